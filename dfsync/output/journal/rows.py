"""The rows of a run's journal: what was inserted, what updated rows were before, and what an undo left.

`inserted/NAME.parquet`, of a table with a surrogate id: `old_id` int64; `new_id` int64, or uint64 where the
target's id needs it; `digest` uint64, of the row as it went in. Of a table without one: `key`, a struct of the primary
key's columns
as bytes, empty where there is none; `digest`; `count` int64, how many such rows went in, and `present`, how many the
table had then.

`before/NAME.parquet`: `old_id`; `new_id`, NULL in a table without a surrogate id; `key`, a struct of the columns that
name the row there, as bytes; `digest_before` and `digest` uint64, of the row before the run and after it; `before`, a
struct of all columns that can be written, as bytes (`target.read.exact`).

`replaced/NAME.parquet`: rows of the map of the run before, as that map had them, of source rows that have another
target row now, or whose target row took another natural key.

`kept/NAME.parquet`: the rows that an undo left: `new_id`, `old_id`, `reason`, each NULL where it has no meaning.

`undoing/NAME.parquet`, of a table without a surrogate id, from before the COMMIT of an undo until the record of the
run says what it did: the rows that are deleted, by `key` and `digest`, or by `digest`, `count`, and `present`, how many
such rows the table had. By it the undo after one that was killed knows whether equal rows are still there or came anew.

A table that is committed in several parts has the files of the first one there, and those of part N in the folder `N`
beside it: `inserted/2/NAME.parquet`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dfsync.model.errors import DfsyncError
from dfsync.output.atomic import make_private, sync_folder, write_atomic
from dfsync.output.journal.record import TableRecord

INSERTED, BEFORE, REPLACED, KEPT, UNDOING = "inserted", "before", "replaced", "kept", "undoing"
KEPT_SCHEMA = pa.schema([("new_id", pa.uint64()), ("old_id", pa.int64()), ("reason", pa.string())])
_ENCODING = {"compression": "zstd", "use_dictionary": False}


def rows_file(run: Path, what: str, name: str, part: int = 1) -> Path:
    """Name a file of the journal.

    Parameters
    ----------
    run
        The folder of the run.
    what
        `INSERTED`, `BEFORE`, `REPLACED`, `KEPT` or `UNDOING`.
    name
        The planned table.
    part
        The number of the part, from 1.
    """
    folder = run / what
    return (folder if part == 1 else folder / str(part)) / f"{name}.parquet"


def write_rows(path: Path, tables: Iterable[pa.Table]) -> int:
    """Write a file of the journal, on the disk with its name when this returns; nothing where there are no rows.

    Parameters
    ----------
    path
        As of `rows_file`.
    tables
        Of one schema.

    Returns
    -------
    int
        The number of rows.

    Raises
    ------
    OutputWriteError
        There is no room or no permission.
    """
    rows = 0
    filled = (table for table in tables if table.num_rows)
    first = next(filled, None)
    if first is None:
        path.unlink(missing_ok=True)
        return 0
    new = [folder for folder in (path.parent, *path.parents[1:3]) if not folder.exists()]
    make_private(path.parent)

    def fill(file: object) -> None:
        nonlocal rows
        ids = [name for name in ("old_id", "new_id") if name in first.schema.names]
        encoding = {**_ENCODING, "column_encoding": dict.fromkeys(ids, "DELTA_BINARY_PACKED")}
        with pq.ParquetWriter(file, first.schema, **encoding) as writer:
            table = first
            while table is not None:
                writer.write_table(table)
                rows += table.num_rows
                table = next(filled, None)

    write_atomic(path, fill)
    for folder in dict.fromkeys([path.parent, *(folder.parent for folder in new)]):
        sync_folder(folder)
    return rows


def read_rows(run: Path, what: str, name: str, parts: Iterable[int]) -> list[pa.Table]:
    """Read the parts of a file of the journal.

    Parameters
    ----------
    run, what, name
        As of `rows_file`.
    parts
        The numbers of the parts.

    Returns
    -------
    list of pyarrow.Table
        One for each part that has such a file.

    Raises
    ------
    DfsyncError
        A file is damaged.
    """
    paths = [rows_file(run, what, name, part) for part in parts]
    try:
        return [pq.read_table(path, partitioning=None) for path in paths if path.exists()]
    except (OSError, pa.ArrowException) as error:
        raise DfsyncError(f"The journal in {run} cannot be read: {error}. It cannot be taken back.") from error


def read_committed(run: Path, what: str, record: TableRecord) -> list[pa.Table]:
    """Read the parts of a file of the journal that are in the target, all of them.

    Parameters
    ----------
    run
        As of `rows_file`.
    what
        `INSERTED` or `BEFORE`.
    record
        The table, which says how many rows there are.

    Returns
    -------
    list of pyarrow.Table

    Raises
    ------
    DfsyncError
        A file is damaged, or lacks rows, or is gone.
    """
    parts = record.committed()
    expected = sum(part.inserted if what == INSERTED else part.updated for _, part in parts)
    return read_whole(run, what, record, [number for number, _ in parts], expected)


def read_whole(run: Path, what: str, record: TableRecord, parts: Iterable[int], expected: int) -> list[pa.Table]:
    """Read parts of a file of the journal that have so many rows together. Raises as `read_committed` does."""
    tables = read_rows(run, what, record.name, parts)
    rows = sum(
        pc.sum(table.column("count")).as_py() if "count" in table.column_names else len(table) for table in tables
    )
    if rows != expected:
        raise DfsyncError(
            f"The journal in {run} lacks rows of {record.table}: a file in {what} was deleted or replaced. "
            "What the run did to this table cannot be taken back."
        )
    return tables
