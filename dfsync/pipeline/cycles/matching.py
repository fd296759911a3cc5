"""Tables in a circle: which of their rows without a natural key the target has already.

Such a row is recognised by its whole content, foreign keys included; but what those point to in the target is known
only once the rows they refer to are recognised, which may be by their content too, and so on round the circle. So the
rows of all tables of the circle are laid side by side (`cycle_match`) and gone through from parents to children.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from dfsync.model import frames
from dfsync.model.frames import empty_frame
from dfsync.model.types import OldIds
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
    """Rows of one side of a table, all with a natural key or all without. Two frames of the same index, the ids there.

    They are apart because a column may be called like a hash.

    Attributes
    ----------
    hashes
        Of what is compared, save the foreign keys in the cycle.
    references
        Those foreign keys: ids of this side.
    """

    hashes: pd.DataFrame
    references: pd.DataFrame

    def without(self, ids: OldIds) -> Side:
        """Return all rows but these."""
        kept = ~self.hashes.index.isin(ids)
        return Side(self.hashes[kept], self.references[kept])


def match_cycle_content(members: Sequence[CycleMember]) -> None:
    """Set `content_matches` of each table where the content of some rows depends on a foreign key that is deferred."""
    tables = [member.table for member in members]
    if not any(_by_content(table) for table in tables):
        return
    names = [table.binding.plan.name for table in tables]
    here, there, ids = [], [], []
    for place, (member, table) in enumerate(zip(members, tables, strict=True)):
        circular = {c: names.index(p) for c, p in table.binding.plan.parents.items() if p in names}
        for keyed, source, found in _parts(member, list(circular)):
            slots = {column: parent for column, parent in circular.items() if column in source.references.columns}
            here.append(row_set(place, keyed, source, slots))
            there.append(row_set(place, keyed, found, slots))
            ids.append(pd.Series(found.hashes.index, dtype=table.binding.id_dtype))
    matched = match_cycle(here, there)
    for place, member in enumerate(members):
        mine = [
            new_ids.iloc[match.position[match.position >= 0]].set_axis(rows.ids[match.position >= 0])
            for rows, match, new_ids in zip(here, matched, ids, strict=True)
            if rows.table == place
        ]
        member.content_matches = pd.concat(mine)


def _by_content(table: TableContext) -> bool:
    shape = table.binding
    return bool(shape.plan.deferred) and (not shape.key or any(shape.source[c.name].nullable for c in shape.key))


def _parts(member: CycleMember, circular: list[str]) -> Iterator[tuple[bool, Side, Side]]:
    """The rows with a natural key, and those without: of the source, and of the target."""
    table = member.table
    shape = table.binding
    names = [column.name for column in shape.key]
    log = RejectLog()
    unkeyed = None
    keyed = member.dependencies.index[:0]
    if names:
        keys = pd.concat(
            [empty_frame(shape.key), *map(log.take, read_batches(table, shape.key, KEY_BATCH_ROWS, deferred=circular))]
        )
        whole = frames.non_null_rows(keys)
        unkeyed, keyed = keys.index[~whole].to_numpy(), keys.index[whole]
        found = read_keys(table.connection, shape.target, shape.id, names).sort_index()
        source, known = key_hashes(table, keys[whole], found.dropna(), circular)
        yield True, source.without(stuck(member, keyed)), known
    here = map(log.take, read_batches(table, shape.columns, table.batch_size, unkeyed, deferred=circular))
    there = read_rows(table.connection, shape.target, shape.id, shape.columns, names)
    # Rows that need themselves are rejects, whatever the target has.
    source = content_hashes(table, here, circular).without(stuck(member, keyed))
    yield False, source, content_hashes(table, there, circular)


def match_cycle_table(member: CycleMember) -> MatchResult:
    """Match all rows of a table whose rows need no other rows of it to be there before them."""
    if member.content_matches is None:
        return match_table(member.table)
    return match_table(member.table, partial(_match_keyless, member.content_matches))


def _match_keyless(content_matches: pd.Series[int], table: TableContext, ids: OldIds | None = None) -> MatchResult:
    """Match rows as they were recognised together with those of the other tables."""
    log = RejectLog()
    batches = map(log.take, read_batches(table, table.binding.columns, table.batch_size, ids))
    fit = np.concatenate([np.array([], np.int64), *(rows.index.to_numpy() for rows in batches)])
    position = content_matches.index.get_indexer(pd.Index(fit))
    part = row_matches(table.binding, fit, content_matches.to_numpy(), position)
    return MatchResult((part,), log.rejects(), log.notes)


def stuck(member: CycleMember, keyed: pd.Index[int]) -> OldIds:
    """Find the rows that cannot be recognised, since they need themselves for it, or a row that does.

    A row with a natural key (`keyed`) needs what its key refers to; a value there is compared as it is, whatever row
    has it. Any other row needs all that it refers to.
    """
    needed, binding = member.dependencies, member.table.binding
    has_key = needed.index.isin(keyed)
    in_key = [column.name for column in binding.key if column.name in binding.plan.parents]
    masked = {name: needed[name].mask(has_key) for name in needed.columns if name not in in_key}
    references = needed.assign(**masked)
    return old_ids(references, cyclic_or_downstream(parent_positions(references)))


def key_hashes(table: TableContext, keys: pd.DataFrame, found: pd.DataFrame, circular: list[str]) -> tuple[Side, Side]:
    plain = [column for column in table.binding.key if column.name not in circular]
    forms = [normalize_pair(table.connection, c, keys[c.name], found[c.name]) for c in plain]
    references = [column.name for column in table.binding.key if column.name in circular]
    here, there = (
        Side(
            table.hasher.hashes(pd.DataFrame({i: form[side] for i, form in enumerate(forms)}, index=end.index)),
            end[references],
        )
        for side, end in enumerate((keys, found))
    )
    return here, there


def content_hashes(table: TableContext, batches: Iterable[pd.DataFrame], circular: list[str]) -> Side:
    names = [column.name for column in table.binding.columns]
    plain = [name for name in names if name not in circular]
    references = [name for name in names if name in circular]
    none = empty_frame(table.binding.columns)
    made = [Side(table.hasher.hashes(frame[plain]), frame[references]) for frame in batches] or [
        Side(table.hasher.hashes(none[plain]), none[references])
    ]
    return Side(pd.concat([end.hashes for end in made]), pd.concat([end.references for end in made]))


def row_set(place: int, keyed: bool, end: Side, slots: dict[str, int]) -> RowSet:
    return RowSet(
        table=place,
        keyed=keyed,
        ids=_signed(pd.Series(end.hashes.index)),
        hashes=end.hashes[list(HASH_COLUMNS)].to_numpy(),
        parents=list(slots.values()),
        references=[_signed(end.references[column]) for column in slots],
        null=[end.references[column].isna().to_numpy(dtype=bool) for column in slots],
    )


def _signed(ids: Any) -> Any:
    """As int64; those of an unsigned column beyond it turn negative, and stay apart."""
    return ids.fillna(0).to_numpy(dtype=np.uint64 if "uint" in str(ids.dtype) else np.int64).view(np.int64)
