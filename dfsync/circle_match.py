"""Tables in a circle: which of their rows without a natural key the target has already.

Such a row is recognised by its whole content, foreign keys included; but what those point to in the target is known
only once the rows they refer to are recognised, which may be by their content too, and so on round the circle. So the
rows of all tables of the circle are laid side by side (`side_by_side`) and gone through from parents to children.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from dfsync import content, frames, target
from dfsync.equality import comparable
from dfsync.side_by_side import Rows, side_by_side
from dfsync.table import TablePass, no_keys

_KEY_ROWS = 200_000
_DIGESTS = list(content.KEY[:2])


def match_circle(tables: Sequence[TablePass]) -> None:
    """Sets `found` of each table, where the content of some of their rows depends on a foreign key that is deferred."""
    if not any(_by_content(table) for table in tables):
        return
    names = [table.shape.plan.name for table in tables]
    here, there, ids = [], [], []
    for place, table in enumerate(tables):
        circular = {c: names.index(p) for c, p in table.shape.plan.parents.items() if p in names}
        for keyed, source, found in _parts(table, list(circular)):
            slots = {column: parent for column, parent in circular.items() if column in source.columns}
            here.append(_rows(place, keyed, source, source.index, slots))
            there.append(_rows(place, keyed, found, found[frames.NEW_ID], slots))
            ids.append(found[frames.NEW_ID])
    matched = side_by_side(here, there)
    for place, table in enumerate(tables):
        mine = [
            new_ids.iloc[match[match >= 0]].set_axis(rows.ids[match >= 0])
            for rows, match, new_ids in zip(here, matched, ids, strict=True)
            if rows.table == place
        ]
        table.found = pd.concat(mine)


def _by_content(table: TablePass) -> bool:
    shape = table.shape
    return bool(shape.plan.deferred) and (not shape.key or any(shape.source[c.name].nullable for c in shape.key))


def _parts(table: TablePass, circular: list[str]) -> list[tuple[bool, pd.DataFrame, pd.DataFrame]]:
    """The rows with a natural key, and those without: of the source, by `old_id`, and of the target, with `new_id`.

    Each has the digests of what is compared, save the foreign keys in the circle, which are columns of their own and
    hold the ids of their end.
    """
    shape = table.shape
    parts = []
    unkeyed = None
    if shape.key:
        keys = pd.concat([no_keys(shape), *table.read(shape.key, _KEY_ROWS, late=circular)])
        names = [column.name for column in shape.key]
        found = target.read_keys(table.connection, shape.target, shape.id, names).dropna()
        parts.append((True, *_digested_keys(table, keys.dropna(), found, circular)))
        unkeyed = keys.index[keys.isna().any(axis=1).to_numpy()].to_numpy()
    here = table.read(shape.columns, table.batch_size, unkeyed, late=circular)
    there = target.read_rows(table.connection, shape.target, shape.id, shape.columns, [c.name for c in shape.key])
    parts.append((False, _digested(table, here, circular), _digested(table, there, circular)))
    return parts


def _digested_keys(
    table: TablePass, keys: pd.DataFrame, found: pd.DataFrame, circular: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    plain = [column for column in table.shape.key if column.name not in circular]
    forms = [comparable(table.connection, c, keys[c.name], found[c.name]) for c in plain]
    made = []
    for side, frame in enumerate((keys, found)):
        digested = content.digests(pd.DataFrame({i: form[side] for i, form in enumerate(forms)}, index=frame.index))
        made.append(frame.drop(columns=[column.name for column in plain]).assign(**digested))
    return made[0], made[1]


def _digested(table: TablePass, batches: Iterator[pd.DataFrame], circular: list[str]) -> pd.DataFrame:
    plain = [column.name for column in table.shape.columns if column.name not in circular]
    made = [frame.drop(columns=plain).assign(**content.digests(frame[plain])) for frame in batches]
    none = frames.series(pa.array([], pa.int64()))
    return pd.concat(made or [pd.DataFrame(dict.fromkeys([frames.NEW_ID, *circular, *_DIGESTS], none))])


def _rows(place: int, keyed: bool, frame: pd.DataFrame, ids: Any, slots: dict[str, int]) -> Rows:
    return Rows(
        table=place,
        keyed=keyed,
        ids=_whole(ids),
        digests=frame[_DIGESTS].to_numpy(dtype=np.uint64),
        parents=list(slots.values()),
        references=[_whole(frame[column]) for column in slots],
        empty=[frame[column].isna().to_numpy(dtype=bool) for column in slots],
    )


def _whole(ids: Any) -> Any:
    """As int64; those of an unsigned column beyond it turn negative, and stay apart."""
    return pd.Series(ids).fillna(0).to_numpy(dtype=np.uint64 if "uint" in str(ids.dtype) else np.int64).view(np.int64)
