"""Tables in a circle: which of their rows without a natural key the target has already.

Such a row is recognised by its whole content, foreign keys included; but what those point to in the target is known
only once the rows they refer to are recognised, which may be by their content too, and so on round the circle. So the
rows of all tables of the circle are laid side by side (`side_by_side`) and gone through from parents to children.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dfsync.model import frames
from dfsync.model.frames import empty_frame
from dfsync.pipeline.cycles.member import CycleMember
from dfsync.pipeline.table.context import KEY_BATCH_ROWS, TableContext
from dfsync.pipeline.table.extract import RejectLog, read_batches
from dfsync.stages.cycle_match import RowSet, match_cycle
from dfsync.stages.row_hash import HASH_COLUMNS
from dfsync.stages.row_order import cyclic_or_downstream
from dfsync.target.collation import normalize_pair
from dfsync.target.read.keys import read_keys
from dfsync.target.read.rows import read_rows


@dataclass
class _Side:
    """Rows of one end of a table, all with a natural key or all without. Two frames of the same index, the ids there.

    They are apart because a column may be called like a digest.
    """

    digests: pd.DataFrame
    """Of what is compared, save the foreign keys in the circle."""
    references: pd.DataFrame
    """Those foreign keys: ids of this end."""

    def without(self, ids: Any) -> _Side:
        kept = ~self.digests.index.isin(ids)
        return _Side(self.digests[kept], self.references[kept])


def match_cycle_content(members: Sequence[CycleMember]) -> None:
    """Sets `found` of each table, where the content of some of their rows depends on a foreign key that is deferred."""
    tables = [member.table for member in members]
    if not any(_by_content(table) for table in tables):
        return
    names = [table.binding.plan.name for table in tables]
    here, there, ids = [], [], []
    for place, (member, table) in enumerate(zip(members, tables, strict=True)):
        circular = {c: names.index(p) for c, p in table.binding.plan.parents.items() if p in names}
        for keyed, source, found in _parts(member, list(circular)):
            slots = {column: parent for column, parent in circular.items() if column in source.references.columns}
            here.append(_rows(place, keyed, source, slots))
            there.append(_rows(place, keyed, found, slots))
            ids.append(pd.Series(found.digests.index, dtype=table.binding.id_dtype))
    matched = match_cycle(here, there)
    for place, member in enumerate(members):
        mine = [
            new_ids.iloc[match[match >= 0]].set_axis(rows.ids[match >= 0])
            for rows, match, new_ids in zip(here, matched, ids, strict=True)
            if rows.table == place
        ]
        member.content_matches = pd.concat(mine)


def _by_content(table: TableContext) -> bool:
    shape = table.binding
    return bool(shape.plan.deferred) and (not shape.key or any(shape.source[c.name].nullable for c in shape.key))


def _parts(member: CycleMember, circular: list[str]) -> Iterator[tuple[bool, _Side, _Side]]:
    """The rows with a natural key, and those without: of the source, and of the target."""
    table = member.table
    shape = table.binding
    names = [column.name for column in shape.key]
    log = RejectLog()
    if not names:
        unkeyed, stuck = None, cyclic_or_downstream(member.dependencies)
    else:
        keys = pd.concat(
            [empty_frame(shape.key), *map(log.take, read_batches(table, shape.key, KEY_BATCH_ROWS, deferred=circular))]
        )
        whole = frames.non_null_rows(keys)
        unkeyed = keys.index[~whole].to_numpy()
        # A value in the natural key is compared as it is, whatever row has it.
        stuck = cyclic_or_downstream(
            _key_only(member.dependencies, keys.index[whole], [n for n in names if n in shape.plan.parents])
        )
        found = read_keys(table.connection, shape.target, shape.id, names).sort_index()
        source, known = _with_keys(table, keys[whole], found.dropna(), circular)
        yield True, source.without(stuck), known
    here = map(log.take, read_batches(table, shape.columns, table.batch_size, unkeyed, deferred=circular))
    there = read_rows(table.connection, shape.target, shape.id, shape.columns, names)
    # Rows that need themselves are rejects, whatever the target has.
    yield False, _content_hashes(table, here, circular).without(stuck), _content_hashes(table, there, circular)


def _key_only(needed: pd.DataFrame, keyed: pd.Index[Any], key: Collection[str]) -> pd.DataFrame:
    """What the rows need to be recognised: of those with a natural key only what is in it."""
    has_key = needed.index.isin(keyed)
    return needed.assign(**{name: needed[name].mask(has_key) for name in needed.columns if name not in key})


def _with_keys(
    table: TableContext, keys: pd.DataFrame, found: pd.DataFrame, circular: list[str]
) -> tuple[_Side, _Side]:
    plain = [column for column in table.binding.key if column.name not in circular]
    forms = [normalize_pair(table.connection, c, keys[c.name], found[c.name]) for c in plain]
    references = [column.name for column in table.binding.key if column.name in circular]
    here, there = (
        _Side(
            table.hasher.hashes(pd.DataFrame({i: form[side] for i, form in enumerate(forms)}, index=end.index)),
            end[references],
        )
        for side, end in enumerate((keys, found))
    )
    return here, there


def _content_hashes(table: TableContext, batches: Iterable[pd.DataFrame], circular: list[str]) -> _Side:
    names = [column.name for column in table.binding.columns]
    plain = [name for name in names if name not in circular]
    references = [name for name in names if name in circular]
    none = empty_frame(table.binding.columns)
    made = [_Side(table.hasher.hashes(frame[plain]), frame[references]) for frame in batches] or [
        _Side(table.hasher.hashes(none[plain]), none[references])
    ]
    return _Side(pd.concat([end.digests for end in made]), pd.concat([end.references for end in made]))


def _rows(place: int, keyed: bool, end: _Side, slots: dict[str, int]) -> RowSet:
    return RowSet(
        table=place,
        keyed=keyed,
        ids=_signed(pd.Series(end.digests.index)),
        digests=end.digests[list(HASH_COLUMNS)].to_numpy(),
        parents=list(slots.values()),
        references=[_signed(end.references[column]) for column in slots],
        empty=[end.references[column].isna().to_numpy(dtype=bool) for column in slots],
    )


def _signed(ids: Any) -> Any:
    """As int64; those of an unsigned column beyond it turn negative, and stay apart."""
    return ids.fillna(0).to_numpy(dtype=np.uint64 if "uint" in str(ids.dtype) else np.int64).view(np.int64)
