"""A table's rows held against those of the target: by natural key, else by their whole content."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from dfsync import frames, outcome, target
from dfsync.digest import DIGESTS, digests, no_digests, numbered
from dfsync.equality import Form, comparable
from dfsync.execution.executor import open_executor
from dfsync.execution.prefetch import prefetch
from dfsync.key_file import KeyFile
from dfsync.match import match, places
from dfsync.outcome import Outcome
from dfsync.shape import Shape
from dfsync.table import KEY_ROWS, TablePass, no_rows

_LOOK_UP = 5


def match_table(table: TablePass, ids: Any = None, earlier: Outcome | None = None) -> Outcome:
    """The outcome before any row is loaded; `ids` (int64, ascending) narrows it to those source rows, and `earlier` is
    what came of others before: who has the natural key of one of these shares its target row, and equal rows without
    a natural key are counted together with these.

    Rows whose key does not fit or whose parent is missing are not in it: they are in `table.rejects`. The natural keys
    are in `table.keys`, or `table.level_keys` where `ids` are given.
    """
    if not table.shape.key:
        return _match_content(table, ids, earlier)
    keys = _Keys(table, ids, earlier or outcome.nothing())
    there = keys.read()
    with table.times("match"):
        found = keys.match(there)
        if ids is not None:
            keys.keep()
    if not len(keys.unkeyed):
        return found
    return outcome.joined([found, _match_content(table, keys.unkeyed, earlier)])


class _Keys:
    """Owns the natural keys of the source's rows: their file, their digests, and what is needed to compare them."""

    def __init__(self, table: TablePass, ids: Any, earlier: Outcome) -> None:
        self._table = table
        self._ids = ids
        self._earlier = earlier
        self._earlier_ids = np.array([], dtype=np.int64)
        """The `old_id` of the earlier rows whose keys stand before the target's."""
        self._names = [column.name for column in table.shape.key]
        self._most = table.count(ids)
        self._forms = {column.name: Form(table.connection, column) for column in table.shape.key}
        self._file = KeyFile(table.folder)
        table.keys.append(self._file)
        self.unkeyed = np.array([], dtype=np.int64)
        """The `old_id` of the rows with a NULL in the key."""

    def read(self) -> pd.DataFrame:
        """The target's keys, each side read while the other one is; index `new_id`, ascending, no NULL in them. The
        keys of the earlier rows stand first, so that these are found before the target's.

        Of a target that has many more rows than the source, by its ids, only the keys at hand are asked for.
        """
        table, shape = self._table, self._table.shape
        with open_executor("dfsync-source-keys") as executor:
            reading = executor.submit(self._read_source)
            few = _LOOK_UP * self._most
            look_up = (
                shape.id
                and shape.target.is_indexed(shape.plan.key)
                and target.id_span(table.connection, shape.target, shape.id) > few
            )
            if look_up:
                reading.result()
            with table.times("target keys"):
                there = self._look_up() if look_up else self._read_target()
            self._here = reading.result()
        if len(self._earlier):
            there = pd.concat([self._read_earlier(), there.set_axis(there.index.astype(shape.id_dtype))])
        for name, form in self._forms.items():
            form.see(there[name])
        return there

    def match(self, there: pd.DataFrame) -> Outcome:
        """The outcome of the rows with a natural key; puts the keys' file among the table's."""
        if any(form.weigh for form in self._forms.values()):
            self._here = _gathered((self._digested(_keyed(frame)) for frame in self._file.read()), self._most)
        pieces = (there.iloc[start : start + KEY_ROWS] for start in range(0, max(len(there), 1), KEY_ROWS))
        found, (followers, leaders) = places(self._here, pd.concat(map(self._digested, pieces)))
        old_id = first_id = self._here.index.to_numpy()
        del self._here
        shared = (found >= 0) & (found < len(self._earlier_ids))
        if len(followers) or shared.any():
            first_id = old_id.copy()
            first_id[followers] = old_id[leaders]
            first_id[shared] = self._earlier_ids[found[shared]]
        made = _found(self._table.shape, old_id, there.index.to_numpy(), found, first_id)
        exact = all(form.exact for form in self._forms.values())
        if made.known.any() and self._table.shape.id and not exact:
            self._take_theirs(there, found)
        return made

    def keep(self) -> None:
        """Takes the keys into memory, and gives the file back."""
        file = self._table.keys.pop()
        self._table.level_keys += file.read()
        file.close()

    def _read_earlier(self) -> pd.DataFrame:
        """The keys of the earlier rows, one for each target row. A dry run has no other trace of these, and those of a
        table without a surrogate id can be told by nothing else."""
        earlier, keys = self._earlier, self._table.all_level_keys()
        keys = _keyed(keys[keys.index.isin(earlier.old_id[earlier.known & earlier.own])])
        self._earlier_ids = keys.index.to_numpy()
        return keys.set_axis(earlier.new_id[earlier.places(self._earlier_ids)])

    def _read_source(self) -> pd.DataFrame:
        read = prefetch(self._table.read(self._table.shape.key, KEY_ROWS, self._ids))
        return _gathered(self._seen(read), self._most)

    def _seen(self, read: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """The digests of the keys, as long as it looks as if these can be had without the server's help."""
        for frame in self._file.write(read):
            keyed = _keyed(frame)
            if len(keyed) < len(frame):
                self.unkeyed = np.append(self.unkeyed, frame.index.difference(keyed.index).to_numpy())
            for name, form in self._forms.items():
                form.see(keyed[name])
            weigh = any(form.weigh for form in self._forms.values())
            yield pd.DataFrame(dict.fromkeys(DIGESTS, np.uint64(0)), keyed.index) if weigh else self._digested(keyed)

    def _digested(self, keyed: pd.DataFrame) -> pd.DataFrame:
        forms = {place: form.of(keyed[name]) for place, (name, form) in enumerate(self._forms.items())}
        return digests(pd.DataFrame(forms, index=keyed.index))

    def _read_target(self) -> pd.DataFrame:
        shape = self._table.shape
        return _keyed(target.read_keys(self._table.connection, shape.target, shape.id, self._names)).sort_index()

    def _look_up(self) -> pd.DataFrame:
        table, shape = self._table, self._table.shape
        wanted = [no_rows(shape.key), *map(_keyed, self._file.read())]
        found = [target.find_keys(table.connection, shape.target, shape.id, self._names, keys) for keys in wanted]
        return _keyed(pd.concat(found)).sort_index()

    def _take_theirs(self, there: pd.DataFrame, found: Any) -> None:
        """Puts the target's values in place of the source's where the target has the row."""
        file = KeyFile(self._table.folder)
        self._table.keys[-1] = file
        for _ in file.write(_taken(frame, there, placed) for frame, placed in self._with_places(found)):
            pass
        self._file.close()

    def _with_places(self, found: Any) -> Iterator[tuple[pd.DataFrame, Any]]:
        """The frames of the file, with the place of each row's target row, -1 where it has none."""
        start = 0
        for frame in self._file.read():
            keyed = frames.complete(frame)
            placed = np.full(len(frame), -1)
            placed[keyed] = found[start : start + keyed.sum()]
            start += keyed.sum()
            yield frame, placed


def _taken(frame: pd.DataFrame, there: pd.DataFrame, found: Any) -> pd.DataFrame:
    taken = pa.array(found, mask=found < 0)
    made = {
        place: frames.series(
            pc.coalesce(frames.arrow(there.iloc[:, place]).take(taken), frames.arrow(frame.iloc[:, place]))
        ).set_axis(frame.index)
        for place in range(frame.shape[1])
    }
    return pd.DataFrame(made, index=frame.index).set_axis(frame.columns, axis=1)


def _keyed(keys: pd.DataFrame) -> pd.DataFrame:
    """Without the rows that have a NULL in the key."""
    whole = frames.complete(keys)
    return keys if whole.all() else keys[whole]


def _match_content(table: TablePass, ids: Any, earlier: Outcome | None) -> Outcome:
    """The outcome of rows recognised by their whole content, because their key holds a NULL or there is none."""
    shape = table.shape
    names = [column.name for column in shape.columns]
    read = table.read(shape.columns, table.batch_size, ids)
    here = _gathered((digests(frame) for frame in read), table.count(ids))
    old_id = here.index.to_numpy()
    if table.found is not None:
        ids, found = table.found.to_numpy(), table.found.index.get_indexer(here.index)
        return _found(shape, old_id, ids, found)
    with table.times("match"):
        rows = target.read_rows(table.connection, shape.target, shape.id, shape.columns, [c.name for c in shape.key])
        there = pd.concat([digests(rows_[names]) for rows_ in rows] or [no_digests()])
        before = table.level_digests
        before = before if earlier is None else before[before.index.isin(earlier.old_id[earlier.known])]
        found, _ = places(numbered(pd.concat([before, here])).iloc[len(before) :], numbered(there))
        if earlier is not None:
            # Who has no target row by then was lost, and may come again.
            table.level_digests = pd.concat([before, here])
    return _found(shape, old_id, there.index.to_numpy(), found)


def _found(shape: Shape, old_id: Any, ids: Any, found: Any, first_id: Any = None) -> Outcome:
    """`found` is the place in `ids` of each row's new id, -1 where it has none; without `first_id` none is shared."""
    known = found >= 0
    # Never the dtype of `ids`: of a target without such rows it may be another, and two of them join as floats.
    new_id = np.zeros(len(old_id), shape.id_dtype)
    new_id[known] = ids[found[known]]
    return outcome.matched(old_id, new_id, known, old_id if first_id is None else first_id)


def _gathered(parts: Iterable[pd.DataFrame], most: int) -> pd.DataFrame:
    """The digests of `most` rows at most, one part after the other, without ever holding them twice."""
    index = np.empty(most, np.int64)
    columns = {name: np.empty(most, np.uint64) for name in DIGESTS}
    end = 0
    for part in parts:
        start, end = end, end + len(part)
        index[start:end] = part.index
        for name in DIGESTS:
            columns[name][start:end] = part[name]
    made = {name: column[:end] for name, column in columns.items()}
    return pd.DataFrame(made, index=pd.Index(index[:end], name=frames.OLD_ID, copy=False), copy=False)


def rows_by_key(
    connection: sa.Connection, shape: Shape, source: pd.DataFrame, names: Sequence[str]
) -> tuple[pd.DataFrame, Any]:
    """The columns `names` of the target rows that have the natural keys of these source rows (index `old_id`, conformed
    and remapped), by `old_id`, without those that the target does not have; and their new ids."""
    key = [column.name for column in shape.key]
    columns = list(dict.fromkeys([*key, *names]))
    there = target.find_keys(connection, shape.target, shape.id, key, source[key], columns)
    sides = [comparable(connection, column, source[column.name], there[column.name]) for column in shape.key]
    ours, theirs = (pd.DataFrame(dict(enumerate(side))) for side in zip(*sides, strict=True))
    found = match(ours, theirs.set_axis(range(len(theirs))))[frames.NEW_ID].dropna()
    rows = there.iloc[found.to_numpy(dtype=np.int64)]
    return rows[list(names)].set_axis(found.index), rows.index.to_numpy()
