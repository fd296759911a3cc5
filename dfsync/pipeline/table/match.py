"""A table's rows held against those of the target: by natural key, else by their whole content."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from dfsync.execution.executor import open_executor
from dfsync.execution.prefetch import prefetch
from dfsync.model import frames
from dfsync.model.frames import empty_frame
from dfsync.pipeline.table.context import KEY_BATCH_ROWS, TableContext
from dfsync.pipeline.table.ledger import RowLedger, concat_ledgers, empty_ledger, from_match
from dfsync.pipeline.table.spool import KeySpool
from dfsync.plan.binding import TableBinding
from dfsync.stages.match import first_matches, match
from dfsync.stages.row_hash import HASH_COLUMNS, no_hashes, row_hashes, with_occurrence
from dfsync.target.collation import KeyNormalizer, normalize_pair
from dfsync.target.read.keys import lookup_by_key, read_keys
from dfsync.target.read.rows import id_span, read_rows

LOOKUP_RATIO = 5


def match_table(table: TableContext, ids: Any = None, earlier: RowLedger | None = None) -> RowLedger:
    """The outcome before any row is loaded; `ids` (int64, ascending) narrows it to those source rows, and `earlier` is
    what came of others before: who has the natural key of one of these shares its target row, and equal rows without
    a natural key are counted together with these.

    Rows whose key does not fit or whose parent is missing are not in it: they are in `table.rejects`. The natural keys
    are in `table.keys`, or `table.level_keys` where `ids` are given.
    """
    if not table.binding.key:
        return _match_content(table, ids, earlier)
    keys = KeyMatcher(table, ids, earlier or empty_ledger())
    there = keys.read()
    with table.timer("match"):
        found = keys.match(there)
        if ids is not None:
            keys.keep()
    if not len(keys.unkeyed):
        return found
    return concat_ledgers([found, _match_content(table, keys.unkeyed, earlier)])


class KeyMatcher:
    """Owns the natural keys of the source's rows: their file, their digests, and what is needed to compare them."""

    def __init__(self, table: TableContext, ids: Any, earlier: RowLedger) -> None:
        self._table = table
        self._ids = ids
        self._earlier = earlier
        self._earlier_ids = np.array([], dtype=np.int64)
        """The `old_id` of the earlier rows whose keys stand before the target's."""
        self._names = [column.name for column in table.binding.key]
        self._max_rows = table.count(ids)
        self._normalizers = {column.name: KeyNormalizer(table.connection, column) for column in table.binding.key}
        self._file = KeySpool(table.folder)
        table.keys.append(self._file)
        self.unkeyed = np.array([], dtype=np.int64)
        """The `old_id` of the rows with a NULL in the key."""

    def read(self) -> pd.DataFrame:
        """The target's keys, each side read while the other one is; index `new_id`, ascending, no NULL in them. The
        keys of the earlier rows stand first, so that these are found before the target's.

        Of a target that has many more rows than the source, by its ids, only the keys at hand are asked for.
        """
        table, shape = self._table, self._table.binding
        with open_executor("dfsync-source-keys") as executor:
            reading = executor.submit(self._read_source)
            few = LOOKUP_RATIO * self._max_rows
            look_up = (
                shape.id
                and shape.target.is_indexed(shape.plan.key)
                and id_span(table.connection, shape.target, shape.id) > few
            )
            if look_up:
                reading.result()
            with table.timer("target keys"):
                there = self._look_up() if look_up else self._read_target()
            self._source_hashes = reading.result()
        if len(self._earlier):
            there = pd.concat([self._read_earlier(), there.set_axis(there.index.astype(shape.id_dtype))])
        for name, form in self._normalizers.items():
            form.observe(there[name])
        return there

    def match(self, there: pd.DataFrame) -> RowLedger:
        """The outcome of the rows with a natural key; puts the keys' file among the table's."""
        if any(form.needs_server for form in self._normalizers.values()):
            self._source_hashes = _collect_hashes(
                (self._hash_keys(_drop_null_keys(frame)) for frame in self._file.read()), self._max_rows
            )
        pieces = (there.iloc[start : start + KEY_BATCH_ROWS] for start in range(0, max(len(there), 1), KEY_BATCH_ROWS))
        found, (followers, leaders) = first_matches(self._source_hashes, pd.concat(map(self._hash_keys, pieces)))
        old_id = first_id = self._source_hashes.index.to_numpy()
        del self._source_hashes
        shared = (found >= 0) & (found < len(self._earlier_ids))
        if len(followers) or shared.any():
            first_id = old_id.copy()
            first_id[followers] = old_id[leaders]
            first_id[shared] = self._earlier_ids[found[shared]]
        made = _ledger_from_positions(self._table.binding, old_id, there.index.to_numpy(), found, first_id)
        exact = all(form.exact for form in self._normalizers.values())
        if made.resolved.any() and self._table.binding.id and not exact:
            self._adopt_target_values(there, found)
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
        keys = _drop_null_keys(keys[keys.index.isin(earlier.old_id[earlier.resolved & earlier.is_representative])])
        self._earlier_ids = keys.index.to_numpy()
        return keys.set_axis(earlier.new_id[earlier.positions(self._earlier_ids)])

    def _read_source(self) -> pd.DataFrame:
        read = prefetch(self._table.read(self._table.binding.key, KEY_BATCH_ROWS, self._ids))
        return _collect_hashes(self._observe(read), self._max_rows)

    def _observe(self, read: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """The digests of the keys, as long as it looks as if these can be had without the server's help."""
        for frame in self._file.write(read):
            keyed = _drop_null_keys(frame)
            if len(keyed) < len(frame):
                self.unkeyed = np.append(self.unkeyed, frame.index.difference(keyed.index).to_numpy())
            for name, form in self._normalizers.items():
                form.observe(keyed[name])
            weigh = any(form.needs_server for form in self._normalizers.values())
            yield (
                pd.DataFrame(dict.fromkeys(HASH_COLUMNS, np.uint64(0)), keyed.index)
                if weigh
                else self._hash_keys(keyed)
            )

    def _hash_keys(self, keyed: pd.DataFrame) -> pd.DataFrame:
        forms = {place: form.normalize(keyed[name]) for place, (name, form) in enumerate(self._normalizers.items())}
        return row_hashes(pd.DataFrame(forms, index=keyed.index))

    def _read_target(self) -> pd.DataFrame:
        shape = self._table.binding
        return _drop_null_keys(read_keys(self._table.connection, shape.target, shape.id, self._names)).sort_index()

    def _look_up(self) -> pd.DataFrame:
        table, shape = self._table, self._table.binding
        wanted = [empty_frame(shape.key), *map(_drop_null_keys, self._file.read())]
        found = [lookup_by_key(table.connection, shape.target, shape.id, self._names, keys) for keys in wanted]
        return _drop_null_keys(pd.concat(found)).sort_index()

    def _adopt_target_values(self, there: pd.DataFrame, found: Any) -> None:
        """Puts the target's values in place of the source's where the target has the row."""
        file = KeySpool(self._table.folder)
        self._table.keys[-1] = file
        for _ in file.write(_coalesce(frame, there, placed) for frame, placed in self._zip_positions(found)):
            pass
        self._file.close()

    def _zip_positions(self, found: Any) -> Iterator[tuple[pd.DataFrame, Any]]:
        """The frames of the file, with the place of each row's target row, -1 where it has none."""
        start = 0
        for frame in self._file.read():
            keyed = frames.non_null_rows(frame)
            placed = np.full(len(frame), -1)
            placed[keyed] = found[start : start + keyed.sum()]
            start += keyed.sum()
            yield frame, placed


def _coalesce(frame: pd.DataFrame, there: pd.DataFrame, found: Any) -> pd.DataFrame:
    taken = pa.array(found, mask=found < 0)
    made = {
        place: frames.series(
            pc.coalesce(frames.as_arrow(there.iloc[:, place]).take(taken), frames.as_arrow(frame.iloc[:, place]))
        ).set_axis(frame.index)
        for place in range(frame.shape[1])
    }
    return pd.DataFrame(made, index=frame.index).set_axis(frame.columns, axis=1)


def _drop_null_keys(keys: pd.DataFrame) -> pd.DataFrame:
    """Without the rows that have a NULL in the key."""
    whole = frames.non_null_rows(keys)
    return keys if whole.all() else keys[whole]


def _match_content(table: TableContext, ids: Any, earlier: RowLedger | None) -> RowLedger:
    """The outcome of rows recognised by their whole content, because their key holds a NULL or there is none."""
    shape = table.binding
    names = [column.name for column in shape.columns]
    read = table.read(shape.columns, table.batch_size, ids)
    here = _collect_hashes((row_hashes(frame) for frame in read), table.count(ids))
    old_id = here.index.to_numpy()
    if table.content_matches is not None:
        ids, found = table.content_matches.to_numpy(), table.content_matches.index.get_indexer(here.index)
        return _ledger_from_positions(shape, old_id, ids, found)
    with table.timer("match"):
        rows = read_rows(table.connection, shape.target, shape.id, shape.columns, [c.name for c in shape.key])
        there = pd.concat([row_hashes(rows_[names]) for rows_ in rows] or [no_hashes()])
        before = table.level_digests
        before = before if earlier is None else before[before.index.isin(earlier.old_id[earlier.resolved])]
        found, _ = first_matches(with_occurrence(pd.concat([before, here])).iloc[len(before) :], with_occurrence(there))
        if earlier is not None:
            # Who has no target row by then was lost, and may come again.
            table.level_digests = pd.concat([before, here])
    return _ledger_from_positions(shape, old_id, there.index.to_numpy(), found)


def _ledger_from_positions(shape: TableBinding, old_id: Any, ids: Any, found: Any, first_id: Any = None) -> RowLedger:
    """`found` is the place in `ids` of each row's new id, -1 where it has none; without `first_id` none is shared."""
    known = found >= 0
    # Never the dtype of `ids`: of a target without such rows it may be another, and two of them join as floats.
    new_id = np.zeros(len(old_id), shape.id_dtype)
    new_id[known] = ids[found[known]]
    return from_match(old_id, new_id, known, old_id if first_id is None else first_id)


def _collect_hashes(parts: Iterable[pd.DataFrame], most: int) -> pd.DataFrame:
    """The digests of `most` rows at most, one part after the other, without ever holding them twice."""
    index = np.empty(most, np.int64)
    columns = {name: np.empty(most, np.uint64) for name in HASH_COLUMNS}
    end = 0
    for part in parts:
        start, end = end, end + len(part)
        index[start:end] = part.index
        for name in HASH_COLUMNS:
            columns[name][start:end] = part[name]
    made = {name: column[:end] for name, column in columns.items()}
    return pd.DataFrame(made, index=pd.Index(index[:end], name=frames.OLD_ID, copy=False), copy=False)


def fetch_rows_by_key(
    connection: sa.Connection, shape: TableBinding, source: pd.DataFrame, names: Sequence[str]
) -> tuple[pd.DataFrame, Any]:
    """The columns `names` of the target rows that have the natural keys of these source rows (index `old_id`, conformed
    and remapped), by `old_id`, without those that the target does not have; and their new ids."""
    key = [column.name for column in shape.key]
    columns = list(dict.fromkeys([*key, *names]))
    there = lookup_by_key(connection, shape.target, shape.id, key, source[key], columns)
    sides = [normalize_pair(connection, column, source[column.name], there[column.name]) for column in shape.key]
    ours, theirs = (pd.DataFrame(dict(enumerate(side))) for side in zip(*sides, strict=True))
    found = match(ours, theirs.set_axis(range(len(theirs))))[frames.NEW_ID].dropna()
    rows = there.iloc[found.to_numpy(dtype=np.int64)]
    return rows[list(names)].set_axis(found.index), rows.index.to_numpy()
