"""Tables in a cycle: which of their rows without a natural key the target has already.

Such a row is recognised by its whole content, foreign keys included. The target's ids in these are known only once the
rows they refer to are recognised, which may be by their content too, and so on round the cycle. So the rows of all
tables of the cycle are matched together, parents before children (`dfsync.stages.cycle_match`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from dfsync.model import frames
from dfsync.model.frames import empty_frame
from dfsync.model.types import NewIds, OldIds
from dfsync.pipeline.cycles.member import CycleMember
from dfsync.pipeline.table.context import KEY_BATCH_ROWS, TableContext
from dfsync.pipeline.table.extract import RejectLog, read_batches
from dfsync.pipeline.table.match import MatchResult, match_table, row_matches
from dfsync.stages.cycle_match import RowSet, match_cycle
from dfsync.stages.row_hash import HASH_COLUMNS
from dfsync.stages.row_order import cyclic_or_downstream, old_ids, parent_positions
from dfsync.target.collation import normalize_pair
from dfsync.target.read.keys import read_keys
from dfsync.target.read.rows import read_rows


@dataclass(frozen=True)
class Side:
    """Rows of one side of a table, all with a natural key or all without: two frames by the ids of that side.

    They are two frames because a column may be called like a hash.

    Attributes
    ----------
    hashes
        The `HASH_COLUMNS` (uint64): the hash of what is compared, save the foreign keys in the cycle.
    references
        Those foreign keys: ids of this side (Arrow integers).
    """

    hashes: pd.DataFrame
    references: pd.DataFrame

    def without(self, ids: OldIds | NewIds) -> Side:
        """Return all rows but these."""
        kept = ~self.hashes.index.isin(ids)
        return Side(self.hashes[kept], self.references[kept])


def match_cycle_content(members: Sequence[CycleMember]) -> None:
    """Set `content_matches` of each table where the content of some rows depends on a foreign key that is deferred.

    Parameters
    ----------
    members
        The tables of the cycle.
    """
    tables = [member.table for member in members]
    if not any(_by_content(table) for table in tables):
        return
    names = [table.binding.plan.name for table in tables]
    source_sets, target_sets, target_ids = [], [], []
    for number, (member, table) in enumerate(zip(members, tables, strict=True)):
        parents = {column: names.index(p) for column, p in table.binding.plan.parents.items() if p in names}
        with table.timer("total"):
            sides = list(_sides(member, list(parents)))
        for keyed, source, target in sides:
            slots = {column: parent for column, parent in parents.items() if column in source.references.columns}
            source_sets.append(row_set(number, keyed, source, slots, table.binding.optional_references))
            target_sets.append(row_set(number, keyed, target, slots))
            target_ids.append(pd.Series(target.hashes.index, dtype=table.binding.id_dtype))
    with tables[0].timer("total"), tables[0].timer("match"):
        matches = match_cycle(source_sets, target_sets)
    for number, member in enumerate(members):
        of_table = [
            new_ids.iloc[match.position[match.position >= 0]].set_axis(rows.ids[match.position >= 0])
            for rows, match, new_ids in zip(source_sets, matches, target_ids, strict=True)
            if rows.table == number
        ]
        member.content_matches = pd.concat(of_table)
        ids = {keyed: rows.ids for rows in source_sets if rows.table == number for keyed in [rows.keyed]}
        member.keyless_ids = ids[False]
        member.matchable_ids = np.concatenate(list(ids.values()))


def _by_content(table: TableContext) -> bool:
    """Whether some row may lack a natural key, and some foreign key is deferred."""
    binding = table.binding
    return bool(binding.plan.deferred) and (
        not binding.key or any(binding.source[column.name].nullable for column in binding.key)
    )


def _sides(member: CycleMember, cyclic: list[str]) -> Iterator[tuple[bool, Side, Side]]:
    """The rows with a natural key (True), those that are known by their ids (True), and those without (False).

    Of each the rows of the source, and of the target.
    """
    table = member.table
    binding = table.binding
    names = binding.key_names
    log = RejectLog()
    keyless, taken = None, np.array([], np.int64)
    if names:
        read = read_batches(table, binding.key, KEY_BATCH_ROWS, deferred=cyclic)
        keys = pd.concat([empty_frame(binding.key), *map(log.take, read)])
        non_null = frames.non_null_rows(keys)
        keyless, keyed = keys.index[~non_null].to_numpy(), keys.index[non_null]
        with table.timer("target keys"):
            target_keys = read_keys(table.connection, binding.target, binding.id, names).sort_index().dropna()
        taken = target_keys.index.to_numpy()
        source, target = key_hashes(table, keys[non_null], target_keys, cyclic)
        blocked = unmatchable(member, keyed)
        yield True, source.without(blocked), target
    else:
        blocked = unmatchable(member, member.dependencies.index[:0])
    rest = member.find_known(keyless, taken)
    yield True, *_known_sides(member.known)
    source_rows = map(log.take, read_batches(table, binding.columns, table.batch_size, rest, deferred=cyclic))
    target_rows = read_rows(table.connection, binding.target, binding.id, binding.columns, names)
    # Rows in a NOT NULL cycle are always rejected, whatever the target has.
    source = content_hashes(table, source_rows, cyclic).without(blocked)
    with table.timer("match"):
        target = content_hashes(table, target_rows, cyclic)
    yield False, source, target.without(member.known.to_numpy())


def _known_sides(known: pd.Series[int]) -> tuple[Side, Side]:
    """Rows that are known by their ids: the new id stands for the hash of each."""
    hashes = pd.DataFrame(dict.fromkeys(HASH_COLUMNS, known.to_numpy().astype(np.uint64)))
    ours, theirs = (hashes.set_axis(ids) for ids in (known.index, pd.Index(known.to_numpy())))
    return Side(ours, pd.DataFrame(index=ours.index)), Side(theirs, pd.DataFrame(index=theirs.index))


def match_cycle_table(member: CycleMember) -> MatchResult:
    """Match all rows of a table in which no row needs another one to be inserted before it.

    Parameters
    ----------
    member
        A table, of which `content_matches` is set where it has to be.

    Returns
    -------
    MatchResult
        As `match_table` gives it.
    """
    if member.content_matches is None:
        return match_table(member.table)
    return match_table(member.table, partial(_match_keyless, member.content_matches, member))


def _match_keyless(
    content_matches: pd.Series[int], member: CycleMember, table: TableContext, ids: OldIds | None = None
) -> MatchResult:
    """Match rows as they were recognised together with those of the other tables."""
    log, known = RejectLog(), member.known.index.to_numpy(dtype=np.int64)
    rest = member.find_known(ids, known)
    batches = map(log.take, read_batches(table, table.binding.columns, table.batch_size, rest))
    fit = np.sort(np.concatenate([known, *(rows.index.to_numpy() for rows in batches)]))
    positions = content_matches.index.get_indexer(pd.Index(fit))
    matches = row_matches(table.binding, fit, content_matches.to_numpy(), positions)
    return MatchResult((matches,), log.rejects(), log.notes, known=known)


def unmatchable(member: CycleMember, keyed: pd.Index[int]) -> OldIds:
    """Find the rows that cannot be matched, since what identifies them depends on the row itself.

    Parameters
    ----------
    member
        A table.
    keyed
        The old ids of the rows with a natural key. Such a row depends on what its key refers to; a value there is
        compared as it is, whatever row has it. Any other row depends on all that it refers to.

    Returns
    -------
    OldIds
        The rows that depend on themselves, and those that depend on such a row at any distance.
    """
    dependencies, binding = member.dependencies, member.table.binding
    has_key = dependencies.index.isin(keyed)
    in_key = [column.name for column in binding.key if column.name in binding.plan.parents]
    masked = {name: dependencies[name].mask(has_key) for name in dependencies.columns if name not in in_key}
    references = frames.with_columns(dependencies, masked)
    return old_ids(references, cyclic_or_downstream(parent_positions(references)))


def key_hashes(
    table: TableContext, source_keys: pd.DataFrame, target_keys: pd.DataFrame, cyclic: list[str]
) -> tuple[Side, Side]:
    """Hash the natural keys of both sides.

    Parameters
    ----------
    table
        A table with a natural key.
    source_keys
        Index `old_id`; the columns of the natural key (Arrow dtypes) without NULL.
    target_keys
        The same of the target; index `new_id`.
    cyclic
        The foreign keys in the cycle, which are not hashed.

    Returns
    -------
    tuple of Side
        Of the source and of the target. Values that the target's collation finds equal have the same hash.
    """
    plain = [column for column in table.binding.key if column.name not in cyclic]
    normalized = [
        normalize_pair(table.connection, column, source_keys[column.name], target_keys[column.name]) for column in plain
    ]
    references = [column.name for column in table.binding.key if column.name in cyclic]
    source, target = (
        Side(
            table.hasher.hashes(pd.DataFrame({i: pair[side] for i, pair in enumerate(normalized)}, index=keys.index)),
            keys[references],
        )
        for side, keys in enumerate((source_keys, target_keys))
    )
    return source, target


def content_hashes(table: TableContext, batches: Iterable[pd.DataFrame], cyclic: list[str]) -> Side:
    """Hash whole rows of one side.

    Parameters
    ----------
    table
        A table.
    batches
        Frames of rows: the columns of the table in Arrow dtypes, the index that side's ids.
    cyclic
        The foreign keys in the cycle, which are not hashed.

    Returns
    -------
    Side
        All rows of the batches.
    """
    names = [column.name for column in table.binding.columns]
    plain = [name for name in names if name not in cyclic]
    references = [name for name in names if name in cyclic]
    none = empty_frame(table.binding.columns)
    sides = [Side(table.hasher.hashes(frame[plain]), frame[references]) for frame in batches] or [
        Side(table.hasher.hashes(none[plain]), none[references])
    ]
    return Side(pd.concat([side.hashes for side in sides]), pd.concat([side.references for side in sides]))


def row_set(number: int, keyed: bool, side: Side, slots: dict[str, int], optional: Collection[str] = ()) -> RowSet:
    """Turn one side of a table into arrays for `match_cycle`.

    Parameters
    ----------
    number
        The number of the table.
    keyed
        Whether the rows have a natural key.
    side
        The rows.
    slots
        By foreign key in the cycle the number of the table that it refers to.
    optional
        Those of them in which a reference to a row that is in no set counts as NULL.

    Returns
    -------
    RowSet
        The same rows in the same order.
    """
    return RowSet(
        table=number,
        keyed=keyed,
        ids=_signed(pd.Series(side.hashes.index)),
        hashes=side.hashes[list(HASH_COLUMNS)].to_numpy(),
        parents=list(slots.values()),
        references=[_signed(side.references[column]) for column in slots],
        null=[side.references[column].isna().to_numpy(dtype=bool) for column in slots],
        optional=frozenset(slot for slot, column in enumerate(slots) if column in optional),
    )


def _signed(ids: pd.Series[int]) -> OldIds:
    """As int64; those of an unsigned column beyond it turn negative, and stay distinct."""
    dtype = np.uint64 if "uint" in str(ids.dtype) else np.int64
    return ids.fillna(0).to_numpy(dtype=dtype).view(np.int64)
