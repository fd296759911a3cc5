"""The maps of an output folder after an undo: without the rows that went."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dfsync.model import frames
from dfsync.model.source_file import SOURCE
from dfsync.model.types import NewIds
from dfsync.output.atomic import write_atomic
from dfsync.output.evidence import read_origin
from dfsync.output.files import MAPPINGS, OTHER_IDS, REKEYED, UNMAPPED, mapping_path
from dfsync.output.journal.record import RunRecord
from dfsync.output.pieces import piece_files

_ROWS_PER_BATCH = 200_000


_KEY_TYPES = {SOURCE: pa.string(), frames.OLD_ID: pa.int64()}
"""The columns by which the rows of a map are sorted."""


def forget_rows(out: Path, name: str, target: str, gone: NewIds, restored: NewIds) -> None:
    """Take target rows out of the maps of a table.

    Parameters
    ----------
    out
        The output folder.
    name
        The planned table.
    target
        Database and server. Maps of another target stay as they are.
    gone
        Ids of target rows that are deleted: no source row has them now.
    restored
        Ids of target rows that have their values of before: their source rows are matched, and not updated.

    Raises
    ------
    OutputWriteError
        A file cannot be written.
    """
    whole = [out / folder / f"{name}.parquet" for folder in (MAPPINGS, REKEYED, UNMAPPED, OTHER_IDS)]
    for path in (*whole, *piece_files(out, name)):
        if path.exists() and (len(gone) or len(restored)) and not is_of_another(path, target):
            _rewrite(path, lambda batch: _without(batch, gone, restored), keep_empty=path == whole[0])


def put_back(out: Path, name: str, run: RunRecord, rows: pa.Table, restored: NewIds) -> None:
    """Put rows of an earlier map back, of source rows that have no target row now or whose target row is restored.

    Parameters
    ----------
    out, name
        As of `forget_rows`, which comes before.
    run
        The run that is undone. A map of another source or target stays as it is.
    rows
        As of `replaced/NAME.parquet`.
    restored
        As of `forget_rows`.
    """
    path = mapping_path(out, name)
    if not path.exists() or not rows.num_rows or is_of_another(path, run.target, run.source):
        return
    try:
        now = pq.read_table(path)
        rows = rows.select(now.column_names).cast(now.schema)
    except (pa.ArrowException, KeyError, ValueError):
        # The map has another natural key now, and these rows would be no evidence.
        return
    stay = pc.invert(pc.is_in(now.column(frames.NEW_ID), value_set=pa.array(restored, now.schema.field("new_id").type)))
    taken = _row_keys(now.filter(stay))
    back = rows.filter(pc.invert(pc.is_in(_row_keys(rows), value_set=taken)))
    at = back.schema.get_field_index(frames.ACTION)
    field = back.schema.field(at)
    actions = pa.array([frames.MATCHED] * back.num_rows, pa.string()).cast(field.type)
    back = back.set_column(at, field, actions)
    others = now.filter(pc.invert(pc.is_in(_row_keys(now), value_set=_row_keys(back))))
    joined = pa.concat_tables([others, back])
    order = [joined.column(name).cast(_KEY_TYPES[name]) for name in _KEY_TYPES if name in joined.column_names[:2]]
    keys = pa.table(order, names=[str(place) for place in range(len(order))])
    places = pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in keys.column_names])
    table = joined.take(places).replace_schema_metadata(now.schema.metadata)
    write_atomic(path, lambda file: pq.write_table(table, file, compression="zstd"))


def _row_keys(rows: pa.Table) -> pa.ChunkedArray:
    """What tells source rows apart: the old id, of several sources with the name of its source."""
    if rows.column_names[0] != SOURCE:
        return rows.column(frames.OLD_ID)
    parts = (rows.column(name).cast(pa.string()) for name in (SOURCE, frames.OLD_ID))
    return pc.binary_join_element_wise(*parts, "\n")


def _rewrite(path: Path, change: Callable[[pa.Table], pa.Table], *, keep_empty: bool) -> None:
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowException:
        # What it said is lost, and the next sync makes it anew.
        path.unlink()
        return
    changed = (change(pa.Table.from_batches([batch])) for batch in file.iter_batches(_ROWS_PER_BATCH))
    tables: Iterator[pa.Table] = (table for table in changed if table.num_rows)
    first = next(tables, None)
    if first is None and not keep_empty:
        path.unlink()
        return

    def fill(out: IO[bytes]) -> None:
        with pq.ParquetWriter(out, file.schema_arrow, compression="zstd") as writer:
            writer.write_table(file.schema_arrow.empty_table() if first is None else first)
            for table in tables:
                writer.write_table(table)

    write_atomic(path, fill)


def _without(table: pa.Table, gone: NewIds, restored: NewIds) -> pa.Table:
    ids: Any = table.column(frames.NEW_ID).to_numpy()
    kept = table.filter(pa.array(~np.isin(ids, gone)))
    if frames.ACTION not in table.column_names or not len(restored):
        return kept
    updated = pc.and_(
        pc.equal(kept.column(frames.ACTION), frames.UPDATED),
        pa.array(np.isin(kept.column(frames.NEW_ID).to_numpy(), restored)),
    )
    at = kept.schema.get_field_index(frames.ACTION)
    actions = pc.if_else(updated, frames.MATCHED, kept.column(frames.ACTION)).cast(kept.schema.field(at).type)
    return kept.set_column(at, kept.schema.field(at), actions)


def is_of_another(path: Path, target: str, source: str | None = None) -> bool:
    """Tell whether a map says that it is of another target, or of one other source, so that its ids mean other rows."""
    origin = read_origin(path)
    if origin is None:
        return False
    return origin.target != target or (source is not None and origin.source not in ("", source))
