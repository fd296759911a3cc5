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

from dfsync import frames, target
from dfsync.digest import DIGESTS, digests
from dfsync.equality import comparable
from dfsync.levels import unreached
from dfsync.side_by_side import Rows, side_by_side
from dfsync.table import KEY_ROWS, TablePass, no_rows


@dataclass
class _End:
    """Rows of one end of a table, all with a natural key or all without. Two frames of the same index, the ids there.

    They are apart because a column may be called like a digest.
    """

    digests: pd.DataFrame
    """Of what is compared, save the foreign keys in the circle."""
    references: pd.DataFrame
    """Those foreign keys: ids of this end."""

    def without(self, ids: Any) -> _End:
        kept = ~self.digests.index.isin(ids)
        return _End(self.digests[kept], self.references[kept])


def match_circle(tables: Sequence[TablePass]) -> None:
    """Sets `found` of each table, where the content of some of their rows depends on a foreign key that is deferred."""
    if not any(_by_content(table) for table in tables):
        return
    names = [table.shape.plan.name for table in tables]
    here, there, ids = [], [], []
    for place, table in enumerate(tables):
        circular = {c: names.index(p) for c, p in table.shape.plan.parents.items() if p in names}
        for keyed, source, found in _parts(table, list(circular)):
            slots = {column: parent for column, parent in circular.items() if column in source.references.columns}
            here.append(_rows(place, keyed, source, slots))
            there.append(_rows(place, keyed, found, slots))
            ids.append(pd.Series(found.digests.index, dtype=table.shape.id_dtype))
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


def _parts(table: TablePass, circular: list[str]) -> Iterator[tuple[bool, _End, _End]]:
    """The rows with a natural key, and those without: of the source, and of the target."""
    shape = table.shape
    names = [column.name for column in shape.key]
    if not names:
        unkeyed, stuck = None, unreached(table.needed)
    else:
        keys = pd.concat([no_rows(shape.key), *table.read(shape.key, KEY_ROWS, late=circular)])
        whole = frames.complete(keys)
        unkeyed = keys.index[~whole].to_numpy()
        # A value in the natural key is compared as it is, whatever row has it.
        stuck = unreached(_key_only(table.needed, keys.index[whole], [n for n in names if n in shape.plan.parents]))
        found = target.read_keys(table.connection, shape.target, shape.id, names).sort_index()
        source, known = _with_keys(table, keys[whole], found.dropna(), circular)
        yield True, source.without(stuck), known
    here = table.read(shape.columns, table.batch_size, unkeyed, late=circular)
    there = target.read_rows(table.connection, shape.target, shape.id, shape.columns, names)
    # Rows that need themselves are rejects, whatever the target has.
    yield False, _whole(table, here, circular).without(stuck), _whole(table, there, circular)


def _key_only(needed: pd.DataFrame, keyed: pd.Index[Any], key: Collection[str]) -> pd.DataFrame:
    """What the rows need to be recognised: of those with a natural key only what is in it."""
    has_key = needed.index.isin(keyed)
    return needed.assign(**{name: needed[name].mask(has_key) for name in needed.columns if name not in key})


def _with_keys(table: TablePass, keys: pd.DataFrame, found: pd.DataFrame, circular: list[str]) -> tuple[_End, _End]:
    plain = [column for column in table.shape.key if column.name not in circular]
    forms = [comparable(table.connection, c, keys[c.name], found[c.name]) for c in plain]
    references = [column.name for column in table.shape.key if column.name in circular]
    here, there = (
        _End(digests(pd.DataFrame({i: form[side] for i, form in enumerate(forms)}, index=end.index)), end[references])
        for side, end in enumerate((keys, found))
    )
    return here, there


def _whole(table: TablePass, batches: Iterable[pd.DataFrame], circular: list[str]) -> _End:
    names = [column.name for column in table.shape.columns]
    plain = [name for name in names if name not in circular]
    references = [name for name in names if name in circular]
    none = no_rows(table.shape.columns)
    made = [_End(digests(frame[plain]), frame[references]) for frame in batches] or [
        _End(digests(none[plain]), none[references])
    ]
    return _End(pd.concat([end.digests for end in made]), pd.concat([end.references for end in made]))


def _rows(place: int, keyed: bool, end: _End, slots: dict[str, int]) -> Rows:
    return Rows(
        table=place,
        keyed=keyed,
        ids=_signed(pd.Series(end.digests.index)),
        digests=end.digests[list(DIGESTS)].to_numpy(),
        parents=list(slots.values()),
        references=[_signed(end.references[column]) for column in slots],
        empty=[end.references[column].isna().to_numpy(dtype=bool) for column in slots],
    )


def _signed(ids: Any) -> Any:
    """As int64; those of an unsigned column beyond it turn negative, and stay apart."""
    return ids.fillna(0).to_numpy(dtype=np.uint64 if "uint" in str(ids.dtype) else np.int64).view(np.int64)
