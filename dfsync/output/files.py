"""The files of a run: mappings, rejects, `id_mappings.json`, `summary.json`; each written whole or not at all."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dfsync.execution.prefetch import prefetch
from dfsync.model import frames
from dfsync.model.errors import DfsyncError, Remedy
from dfsync.model.source_file import SOURCE
from dfsync.output.atomic import write_atomic
from dfsync.output.evidence import MapOrigin
from dfsync.output.result import SyncResult

MAPPINGS, REJECTS, VERIFY, REKEYED, UNMAPPED = "mappings", "rejects", "verify", "rekeyed", "unmapped"
OTHER_IDS = "other_ids"
PIECES, STATE = "pieces", "state"
SUMMARY, SOURCES = "summary.json", "sources"
_PARTIAL = ".*.[0-9]*.partial"
_ROWS_PER_GROUP = 100_000
# Keys hardly repeat, and ids go up step by step: half the time and half the size of Parquet's defaults.
_ENCODING: dict[str, Any] = {
    "column_encoding": dict.fromkeys([frames.OLD_ID, frames.NEW_ID], "DELTA_BINARY_PACKED"),
    "compression": "zstd",
}


def open_folder(out: Path) -> None:
    """Make the output folder, private to the user, and remove the half-written files of a run that was killed.

    Parameters
    ----------
    out
        The folder.

    Raises
    ------
    DfsyncError
        Where it cannot be written.
    """
    for folder in (out, out / MAPPINGS, out / REJECTS, *filter(Path.exists, [out / PIECES])):
        _ensure_writable(folder)
    for pattern in (_PARTIAL, f"*/{_PARTIAL}", f"{SOURCES}/*/{_PARTIAL}"):
        for killed in out.glob(pattern):
            # Whoever may not remove it may not write there either, which the one who writes there tells.
            with suppress(OSError):
                killed.unlink(missing_ok=True)


def _ensure_writable(folder: Path) -> None:
    done = "made"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        done = "written to"
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        message = f"The output folder {folder} cannot be {done}: {error.strerror}."
        raise DfsyncError(message, Remedy("Choose another {out}.")) from error


def is_first_sync(out: Path, name: str, id_column: str | None) -> bool:
    """Tell whether no earlier run has left its files of a table.

    Parameters
    ----------
    out
        The output folder.
    name
        The planned table.
    id_column
        Its id; a table without one has no mapping, and the summary tells.
    """
    return not (out / SUMMARY if id_column is None else mapping_path(out, name)).exists()


def write_mapping(
    out: Path,
    name: str,
    parts: Iterable[pd.DataFrame],
    origin: MapOrigin | None = None,
    others: Iterable[pa.Table] = (),
) -> None:
    """Write `mappings/NAME.parquet`, of what `write_map_file` takes."""
    write_map_file(mapping_path(out, name), parts, origin, others)


def write_map_file(
    path: Path, parts: Iterable[pd.DataFrame], origin: MapOrigin | None, others: Iterable[pa.Table] = ()
) -> None:
    """Write a mapping.

    Parameters
    ----------
    path
        The file.
    parts
        At least one frame, with the columns of `SyncResult.mappings` and the same dtypes in all of them.
    origin
        Whose rows it maps; without it the file is no evidence for the next run.
    others
        Rows of sources that this run has not read, as their map had them; they follow the others.
    """
    tables = map(_table, parts)
    first = next(tables)
    schema = first.schema.with_metadata(origin.metadata() if origin else None)
    dictionaries = [column for column in (SOURCE, frames.ACTION) if column in schema.names]
    rows = itertools.chain([first], tables, (_alike(table, schema) for table in others))
    _write_tables(path, schema, rows, **{**_ENCODING, "use_dictionary": dictionaries})


def _alike(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Rows of an older map; a value of a key that has become of another type is NULL where that does not take it."""
    columns = []
    for field in schema:
        column = table.column(field.name) if field.name in table.column_names else pa.nulls(len(table), field.type)
        try:
            columns.append(column.cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            columns.append(pa.nulls(len(table), field.type))
    return pa.table(columns, schema=schema)


def write_beside_mapping(out: Path, folder: str, name: str, table: pa.Table) -> None:
    """Write `FOLDER/NAME.parquet` where the table has rows, else remove it; see `dfsync.output.evidence`."""
    path = out / folder / f"{name}.parquet"
    if not table.num_rows:
        path.unlink(missing_ok=True)
        return
    _ensure_writable(path.parent)
    write_atomic(path, lambda file: pq.write_table(table, file), keep_same=True)


def write_rejects(out: Path, name: str, rejects: pd.DataFrame) -> None:
    """Write `rejects/NAME.parquet` where there are any, else remove it; columns as in `SyncResult.rejects`."""
    path = out / REJECTS / f"{name}.parquet"
    if rejects.empty:
        path.unlink(missing_ok=True)
    else:
        write_atomic(path, lambda file: pq.write_table(_table(rejects), file), keep_same=True)


def stale_files(out: Path, names: Iterable[str]) -> list[Path]:
    """Find the files of an earlier run, of tables that are not among `names`."""
    known = {f"{name}.parquet" for name in names}
    return [
        path
        for folder in (MAPPINGS, REJECTS, VERIFY, REKEYED, UNMAPPED, OTHER_IDS)
        for path in sorted((out / folder).glob("[!.]*.parquet"))
        if path.name not in known
    ]


def mapping_path(out: Path, name: str) -> Path:
    """Name the file of a mapping, which need not be there."""
    return out / MAPPINGS / f"{name}.parquet"


def mapping_file(out: Path, name: str) -> Path:
    """Give the path of a mapping. Raises `DfsyncError` where there is no such file."""
    path = mapping_path(out, name)
    if not path.is_file():
        remedy = Remedy("it is made by a sync with this {out}. Run that first.")
        raise DfsyncError(f"{out} has no mapping of {name}:", remedy)
    return path


def read_map(out: Path, name: str, *more: str) -> pd.DataFrame:
    """Read a mapping.

    Parameters
    ----------
    out
        The output folder.
    name
        The planned table.
    *more
        Columns besides `old_id` and `new_id`.

    Returns
    -------
    pandas.DataFrame
        `old_id` and `new_id` (int64, or uint64 where the target's ids need it), then `more`, by ascending `old_id`.

    Raises
    ------
    DfsyncError
        Where the file is missing or damaged.
    """
    return frames.from_arrow(read_columns(mapping_file(out, name), [frames.OLD_ID, frames.NEW_ID, *more]))


def read_columns(path: Path, names: Sequence[str]) -> pa.Table:
    """Read columns of a Parquet file of a run. Raises `DfsyncError` where it is damaged, or has no such column."""
    try:
        return pq.read_table(path, columns=names).select(names)
    except (OSError, KeyError, pa.ArrowException) as error:
        raise DfsyncError(f"The file {path} cannot be read: {error}. A sync makes it anew.") from error


def read_rejected(out: Path, name: str) -> pd.DataFrame:
    """Read the `old_id` (Arrow int64) of each row that the last sync rejected, of several sources with its `source`.

    Raises `DfsyncError` for a damaged file.
    """
    path = out / REJECTS / f"{name}.parquet"
    if not path.exists():
        return frames.from_arrow(pa.table({frames.OLD_ID: pa.array([], pa.int64())}))
    return frames.from_arrow(read_columns(path, [*source_column(path), frames.OLD_ID]))


def source_column(path: Path) -> list[str]:
    """Give the column `source` of a file where it has one; none where it is damaged, which its reader finds."""
    with suppress(OSError, pa.ArrowException):
        return [SOURCE] if SOURCE in pq.read_schema(path).names else []
    return []


def write_differences(out: Path, name: str, schema: pa.Schema, tables: Iterator[pa.Table]) -> None:
    """Write `verify/NAME.parquet` from tables of that schema as they come, where there are any, else remove it."""
    path = out / VERIFY / f"{name}.parquet"
    first = next(tables, None)
    if first is None:
        path.unlink(missing_ok=True)
        return

    _ensure_writable(path.parent)
    _write_tables(path, schema, itertools.chain([first], tables))


def write_summary(out: Path, result: SyncResult) -> None:
    """Write `summary.json`."""
    _write_json(out / SUMMARY, result.as_dict())


def write_verify_summary(out: Path, content: Mapping[str, Any]) -> None:
    """Write `verify/summary.json`: what a verify counted."""
    _ensure_writable(out / VERIFY)
    _write_json(out / VERIFY / SUMMARY, content)


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # The source's name may hold bytes that are no text; in JSON, too, \udcff is how to write one.
    content = f"{text}\n".encode(errors="backslashreplace")
    write_atomic(path, lambda file: file.write(content))


def _table(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)


def _write_tables(path: Path, schema: pa.Schema, tables: Iterable[pa.Table], **encoding: Any) -> None:
    """A Parquet file from Arrow tables of that schema as they come."""

    def fill(file: IO[bytes]) -> None:
        with pq.ParquetWriter(file, schema, **encoding) as writer:
            for table in prefetch(tables):
                writer.write_table(table)

    write_atomic(path, fill, keep_same=True)
