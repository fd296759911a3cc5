"""The natural keys that a new map shows of rows that are as they were: the target's, which the last map has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dfsync.model import frames
from dfsync.model.types import OldIds
from dfsync.output.mappings import ACTION, NEW_ID, OLD_ID
from dfsync.pipeline.table.context import KEY_BATCH_ROWS, TableContext
from dfsync.pipeline.table.spool import KeyFrames, KeySpool


class LastKeys:
    """Natural keys with the target's values: of most rows from the last map, of the others from a spool.

    The map stays open, so that it can be read when its file has been replaced.

    Parameters
    ----------
    table
        The table; the file is closed with its temporary files.
    path
        The map.
    spool
        The source's keys of all rows.
    others
        int64, ascending: the rows of which the last map does not have the keys.
    adopted
        The keys of these, with the target's values.
    """

    def __init__(self, table: TableContext, path: Path, spool: KeySpool, others: OldIds, adopted: KeyFrames) -> None:
        self._file = table.spools.enter_context(path.open("rb"))
        self._spool, self._others, self._adopted = spool, others, adopted

    def read(self) -> Iterator[pd.DataFrame]:
        """Read the keys: the frames of the source, so that a map is written in the same parts by whatever way."""
        others = pd.concat([*self._adopted.read()]) if len(self._others) else None
        last = _LastMap(self._file)
        for frame in self._spool.read():
            is_other = np.isin(frame.index, self._others)
            keyed = frames.non_null_rows(frame)
            if not keyed.any():
                yield frame
                continue
            shown = [last.keys(frame.index[keyed & ~is_other].to_numpy(), frame), frame[~keyed]]
            if others is not None:
                shown.append(others.loc[frame.index[keyed & is_other]])
            parts = [part for part in shown if len(part)]
            yield parts[0] if len(parts) == 1 else pd.concat(parts).sort_index()


class _LastMap:
    """Reads the keys of a map once, by ascending `old_id`."""

    def __init__(self, file: object) -> None:
        parquet = pq.ParquetFile(file)
        self._names = [name for name in parquet.schema_arrow.names if name not in (NEW_ID, ACTION)]
        self._batches = parquet.iter_batches(KEY_BATCH_ROWS, columns=self._names)
        self._rest = parquet.schema_arrow.empty_table().select(self._names)

    def keys(self, ids: OldIds, like: pd.DataFrame) -> pd.DataFrame:
        """The keys of these rows, all of which it has, with the columns and dtypes of `like`."""
        tables = [self._rest]
        while len(ids) and (not tables[-1].num_rows or tables[-1].column(OLD_ID)[-1].as_py() < ids[-1]):
            tables.append(pa.Table.from_batches([next(self._batches)]))
        rows = pa.concat_tables(tables).combine_chunks()
        old_ids = rows.column(OLD_ID).to_numpy()
        end = int(np.searchsorted(old_ids, ids[-1], "right")) if len(ids) else 0
        self._rest = rows.slice(end)
        place = np.searchsorted(old_ids, ids)
        if not np.array_equal(old_ids[place], ids):
            raise RuntimeError("the last map has other rows than its state")
        keys = frames.from_arrow(rows.drop_columns([OLD_ID]).take(pa.array(place)), ids)
        return keys.set_axis(like.columns, axis=1).astype(dict(zip(like.columns, like.dtypes, strict=True)))
