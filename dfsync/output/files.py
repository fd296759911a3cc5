"""The files of a run: mappings, rejects, `id_mappings.json`, `summary.json`; each written whole or not at all."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dfsync.execution.prefetch import prefetch
from dfsync.model import frames
from dfsync.model.errors import DfsyncError, Remedy
from dfsync.model.types import OldIds
from dfsync.output.atomic import write_atomic
from dfsync.output.evidence import MapOrigin, read_origin
from dfsync.output.result import SyncResult

MAPPINGS, REJECTS, VERIFY, REKEYED, UNMAPPED = "mappings", "rejects", "verify", "rekeyed", "unmapped"
PIECES = "pieces"
SUMMARY, ID_MAPPINGS = "summary.json", "id_mappings.json"
_ROWS_PER_GROUP = 100_000
# Keys hardly repeat, and ids go up step by step: half the time and half the size of Parquet's defaults.
_ENCODING: dict[str, Any] = {
    "use_dictionary": [frames.ACTION],
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


def _ensure_writable(folder: Path) -> None:
    done = "made"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        done = "written to"
        tempfile.TemporaryFile(dir=folder).close()
        for killed in folder.glob(".*.[0-9]*.partial"):
            killed.unlink(missing_ok=True)
    except OSError as error:
        message = f"The output folder {folder} cannot be {done}: {error.strerror}."
        raise DfsyncError(message, Remedy("Choose another {out}.")) from error


def require_same_source(out: Path, source: Path) -> None:
    """Refuse a folder with the maps of another source, which would be lost.

    Parameters
    ----------
    out
        The output folder.
    source
        The SQLite file of the run that starts.

    Raises
    ------
    DfsyncError
        Names the other file.
    """
    other = other_end(out, "source", str(source.resolve()))
    if other is not None and _maps(out):
        raise DfsyncError(
            f"{out} holds the maps of a sync of {other}, and this one is of {source.resolve()}: they would be lost.",
            Remedy("Choose another {out} for each source."),
        )


def discard_other_target(out: Path, target: str, *, whole: bool) -> str | None:
    """Remove what a run into another target left, so that mappings of two targets do not mix.

    Parameters
    ----------
    out
        The output folder.
    target
        Database and server of the run that starts.
    whole
        Whether that run syncs all tables of the plan, and so writes all files anew.

    Returns
    -------
    str or None
        The other target; None where the files are of the same target, or there are none.

    Raises
    ------
    DfsyncError
        Where the files are of another target and the run is not `whole`.
    """
    before = other_end(out, "target", target)
    if before is None:
        return None
    if not whole:
        raise DfsyncError(
            f"{out} holds the maps of a sync into {before}, and this one writes into {target}.",
            Remedy("Choose another {out}, or sync without {tables}."),
        )
    for path in (*out.glob("*/*.parquet"), out / ID_MAPPINGS):
        path.unlink(missing_ok=True)
    return before


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
    return not (out / SUMMARY if id_column is None else out / MAPPINGS / f"{name}.parquet").exists()


def _maps(out: Path) -> list[Path]:
    return [path for folder in (MAPPINGS, UNMAPPED, PIECES) for path in sorted((out / folder).glob("[!.]*.parquet"))]


def other_end(out: Path, end: str, name: str) -> str | None:
    """Find another source or target whose files a folder holds.

    Parameters
    ----------
    out
        The output folder.
    end
        `source` or `target`.
    name
        The absolute path of the SQLite file, or database and server.

    Returns
    -------
    str or None
        What the files are of, where that is something else; None where it is the same, or there are none.
    """
    origins = [origin for origin in map(read_origin, _maps(out)) if origin is not None]
    ends = {str(getattr(origin, end)) for origin in origins}
    if not origins:
        # Maps from before they said it themselves; or none, since no table has an id or every row is a reject.
        with suppress(OSError, ValueError, KeyError, TypeError):
            before = str(json.loads((out / SUMMARY).read_text())[end])
            # A relative path may start in another folder than this.
            known = end == "target" or Path(before).is_absolute() or Path(before).exists()
            ends = {before if end == "target" else str(Path(before).resolve())} if known else set()
    return min(ends - {name}, default=None)


def write_mapping(out: Path, name: str, parts: Iterable[pd.DataFrame], origin: MapOrigin | None = None) -> None:
    """Write `mappings/NAME.parquet`, of what `write_map_file` takes."""
    write_map_file(out / MAPPINGS / f"{name}.parquet", parts, origin)


def write_map_file(path: Path, parts: Iterable[pd.DataFrame], origin: MapOrigin | None) -> None:
    """Write a mapping.

    Parameters
    ----------
    path
        The file.
    parts
        At least one frame, with the columns of `SyncResult.mappings` and the same dtypes in all of them.
    origin
        Whose rows it maps; without it the file is no evidence for the next run.
    """
    tables = map(_table, parts)
    first = next(tables)
    schema = first.schema.with_metadata(origin.metadata() if origin else None)
    _write_tables(path, schema, itertools.chain([first], tables), **_ENCODING)


def write_beside_mapping(out: Path, folder: str, name: str, table: pa.Table) -> None:
    """Write `FOLDER/NAME.parquet` where the table has rows, else remove it; see `dfsync.output.evidence`."""
    path = out / folder / f"{name}.parquet"
    if not table.num_rows:
        path.unlink(missing_ok=True)
        return
    _ensure_writable(path.parent)
    write_atomic(path, lambda file: pq.write_table(table, file))


def write_rejects(out: Path, name: str, rejects: pd.DataFrame) -> None:
    """Write `rejects/NAME.parquet` where there are any, else remove it; columns as in `SyncResult.rejects`."""
    path = out / REJECTS / f"{name}.parquet"
    if rejects.empty:
        path.unlink(missing_ok=True)
    else:
        write_atomic(path, lambda file: pq.write_table(_table(rejects), file))


def stale_files(out: Path, names: Iterable[str]) -> list[Path]:
    """Find the files of an earlier run, of tables that are not among `names`."""
    known = {f"{name}.parquet" for name in names}
    return [
        path
        for folder in (MAPPINGS, REJECTS, VERIFY, REKEYED, UNMAPPED)
        for path in sorted((out / folder).glob("[!.]*.parquet"))
        if path.name not in known
    ]


def mapping_file(out: Path, name: str) -> Path:
    """Give the path of a mapping. Raises `DfsyncError` where there is no such file."""
    path = out / MAPPINGS / f"{name}.parquet"
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


def read_rejected(out: Path, name: str) -> OldIds:
    """Read the `old_id` of each row that the last sync rejected, int64. Raises `DfsyncError` for a damaged file."""
    path = out / REJECTS / f"{name}.parquet"
    if not path.exists():
        return np.array([], dtype=np.int64)
    rejected: OldIds = read_columns(path, [frames.OLD_ID]).column(0).to_numpy()
    return rejected


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


def write_id_mappings(out: Path, names: Iterable[str]) -> None:
    """Write `id_mappings.json` from the mapping files of `names`: old id to new id by table, by ascending old id.

    The same mappings give the same bytes. A table that an earlier run synced and this one did not keeps its entry.
    """
    write_atomic(out / ID_MAPPINGS, lambda file: file.writelines(_json(out, list(names))))


def _json(out: Path, names: list[str]) -> Iterator[bytes]:
    paths = [path for name in names if (path := out / MAPPINGS / f"{name}.parquet").is_file()]
    yield b"{"
    for number, path in enumerate(paths):
        yield (",\n  " if number else "\n  ").encode() + json.dumps(path.stem, ensure_ascii=False).encode() + b": {"
        started = False
        for batch in _read_ids(path):
            old, new = (pc.cast(column, pa.string()) for column in batch.columns)
            entries = pc.binary_join_element_wise('    "', old, '": ', new, "")
            yield (",\n" if started else "\n").encode() + pc.binary_join(_listed(entries), ",\n")[
                0
            ].as_buffer().to_pybytes()
            started = True
        yield b"\n  }" if started else b"}"
    yield b"\n}\n" if paths else b"}\n"


def _read_ids(path: Path) -> Iterator[pa.RecordBatch]:
    try:
        yield from pq.ParquetFile(path).iter_batches(_ROWS_PER_GROUP, columns=[frames.OLD_ID, frames.NEW_ID])
    except (OSError, pa.ArrowException) as error:
        raise OSError(f"{path} cannot be read, a sync of its table makes it anew: {error}") from error


def _listed(entries: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array([0, len(entries)], pa.int32()), entries)


def _table(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)


def _write_tables(path: Path, schema: pa.Schema, tables: Iterable[pa.Table], **encoding: Any) -> None:
    """A Parquet file from Arrow tables of that schema as they come."""

    def fill(file: IO[bytes]) -> None:
        with pq.ParquetWriter(file, schema, **encoding) as writer:
            for table in prefetch(tables):
                writer.write_table(table)

    write_atomic(path, fill)
