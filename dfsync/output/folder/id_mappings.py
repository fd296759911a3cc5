"""`id_mappings.json`: old id to new id by table, of one source, or of each of several."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dfsync.model import frames
from dfsync.model.source_file import SOURCE
from dfsync.output.atomic import make_private, write_atomic
from dfsync.output.files import SOURCES, STATE, mapping_path
from dfsync.output.folder.fingerprint import fingerprint, map_fingerprint

ID_MAPPINGS = "id_mappings.json"
_ROWS_PER_GROUP = 100_000


def write_id_mappings(out: Path, names: Iterable[str]) -> None:
    """Write `id_mappings.json` from the mapping files of `names`: old id to new id by table, by ascending old id.

    The same mappings give the same bytes. A table that an earlier run synced and this one did not keeps its entry.
    """
    write_atomic(out / ID_MAPPINGS, lambda file: file.writelines(_json(out, list(names))))


def ids_stand(out: Path, names: Iterable[str], same_ids: Mapping[str, str]) -> bool:
    """Tell whether `id_mappings.json` has what the mapping files of `names` say, without reading any of them.

    Parameters
    ----------
    out
        The output folder.
    names
        The tables of the plan.
    same_ids
        By table whose map was written anew with the ids that it had: the fingerprint that it had before.

    Returns
    -------
    bool
        False also where nothing tells which maps the file was made of.
    """
    try:
        record = json.loads((out / STATE / ID_MAPPINGS).read_bytes())
        made_of = dict(record["maps"])
        stands = bool(record["file"]) and record["file"] == fingerprint(out / ID_MAPPINGS)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    now = _map_fingerprints(out, names)
    return stands and [*now] == [*made_of] and all(made_of[n] in (now[n], same_ids.get(n)) for n in now)


def note_maps(out: Path, names: Iterable[str]) -> None:
    """Note of which mapping files `id_mappings.json` is made, for `ids_stand`."""
    record = {"file": fingerprint(out / ID_MAPPINGS), "maps": _map_fingerprints(out, names)}
    content = json.dumps(record, indent=2).encode()
    path = out / STATE / ID_MAPPINGS
    make_private(path.parent)
    write_atomic(path, lambda file: file.write(content), keep_same=True)


def _map_fingerprints(out: Path, names: Iterable[str]) -> dict[str, str]:
    return {name: found for name in names if (found := map_fingerprint(out, name))}


def _json(out: Path, names: list[str]) -> Iterator[bytes]:
    paths = [path for name in names if (path := mapping_path(out, name)).is_file()]
    yield b"{"
    for number, path in enumerate(paths):
        yield (",\n  " if number else "\n  ").encode() + json.dumps(path.stem, ensure_ascii=False).encode() + b": {"
        started = False
        for batch in _read_ids(path):
            yield (b",\n" if started else b"\n") + _joined(_lines(*batch.columns))
            started = True
        yield b"\n  }" if started else b"}"
    yield b"\n}\n" if paths else b"}\n"


def write_id_mappings_of_each(out: Path, names: Iterable[str]) -> None:
    """Write `sources/NAME/id_mappings.json` for each of several sources, as `write_id_mappings` does for one.

    A source that the mappings no longer have loses its file, as does what an earlier run of one source has left.
    """
    paths = [path for name in names if (path := mapping_path(out, name)).is_file()]
    started: set[Path] = set()
    with tempfile.TemporaryDirectory(prefix=".", dir=out) as folder:
        parts = Path(folder)
        for path in paths:
            for source, entries in _entries_of_each(path):
                part = parts / source / ID_MAPPINGS
                part.parent.mkdir(parents=True, exist_ok=True)
                with part.open("ab") as file:
                    file.write(b",\n  " if part in started else b"{\n  ")
                    file.write(json.dumps(path.stem, ensure_ascii=False).encode() + b": {\n" + entries + b"\n  }")
                started.add(part)
        for part in started:
            written = out / SOURCES / part.relative_to(parts)
            content = part.read_bytes() + b"\n}\n"
            if not written.is_file() or written.read_bytes() != content:
                written.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_atomic(written, lambda file, content=content: file.write(content))  # type: ignore[misc]
        current = {out / SOURCES / part.relative_to(parts) for part in started}
    for left in {*(out / SOURCES).glob(f"**/{ID_MAPPINGS}")} - current:
        left.unlink(missing_ok=True)
    (out / ID_MAPPINGS).unlink(missing_ok=True)


def _entries_of_each(path: Path) -> Iterator[tuple[str, bytes]]:
    """The lines of each source that a mapping has; its rows stand together."""
    lines: list[bytes] = []
    last = ""
    for batch in _read(path, [SOURCE, frames.OLD_ID, frames.NEW_ID]):
        names = batch.column(0).cast(pa.string())
        entries = _lines(batch.column(1), batch.column(2))
        codes = pc.dictionary_encode(names).indices.to_numpy()
        ends = [*(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
        for start, end in itertools.pairwise([0, *ends]):
            name = names[start].as_py()
            if lines and name != last:
                yield last, b",\n".join(lines)
                lines = []
            last = name
            lines.append(_joined(entries[start:end]))
    if lines:
        yield last, b",\n".join(lines)


def _lines(old_id: pa.Array, new_id: pa.Array) -> pa.Array:
    old, new = (pc.cast(column, pa.string()) for column in (old_id, new_id))
    return pc.binary_join_element_wise('    "', old, '": ', new, "")


def _joined(lines: pa.Array) -> bytes:
    listed = pa.ListArray.from_arrays(pa.array([0, len(lines)], pa.int32()), lines)
    joined: bytes = pc.binary_join(listed, ",\n")[0].as_buffer().to_pybytes()
    return joined


def _read_ids(path: Path) -> Iterator[pa.RecordBatch]:
    return _read(path, [frames.OLD_ID, frames.NEW_ID])


def _read(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    try:
        yield from pq.ParquetFile(path).iter_batches(_ROWS_PER_GROUP, columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise OSError(f"{path} cannot be read, a sync of its table makes it anew: {error}") from error
