"""What a run leaves of each table for the next one: `state/NAME.parquet` and `state/NAME.segments.parquet`.

By it the next run sees which rows are as they were on both sides, without reading the keys of the target. Both files
are written after the COMMIT and after the map. They are no evidence without each other, or beside another map: then the
next run reads both sides whole.

`state/NAME.parquet`, one line for each source row whose natural key is that of its target row, by ascending `old_id`:

- `old_id` int64
- `digest` uint64: 64 bits of a keyed hash of the natural key, as it was compared with the target
- `new_id` int64

`state/NAME.segments.parquet`, one line for each range of new ids, ascending:

- `last_id` int64: the highest id of the range, which begins above the one before
- `rows` int64: how many rows the target has in it, others' rows too
- `checksum_1`, `checksum_2` uint64: of ids and keys, as `dfsync.target.read.checksums` has them
"""

from __future__ import annotations

import json
import secrets
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dfsync.model.types import Hashes, NewIds, OldIds
from dfsync.output.atomic import make_private, write_atomic
from dfsync.output.files import STATE
from dfsync.output.folder.fingerprint import map_fingerprint

FORMAT = 1
"""Another one makes the states of earlier versions worthless, which costs a run the time that it took before."""
_METADATA = b"dfsync state"
_ROWS = pa.schema([("old_id", pa.int64()), ("digest", pa.uint64()), ("new_id", pa.int64())])
_SEGMENTS = pa.schema(
    [("last_id", pa.int64()), ("rows", pa.int64()), ("checksum_1", pa.uint64()), ("checksum_2", pa.uint64())]
)


@dataclass(frozen=True)
class _Columns:
    """Arrays of one length, as a file has them."""

    def arrays(self) -> list[NDArray[Any]]:
        """Give the arrays in their order."""
        return [getattr(self, each.name) for each in fields(self)]

    def __len__(self) -> int:
        return len(self.arrays()[0])

    def equals(self, other: Self) -> bool:
        """Tell whether both say the same."""
        return all(np.array_equal(*pair) for pair in zip(self.arrays(), other.arrays(), strict=True))


@dataclass(frozen=True)
class Segments(_Columns):
    """Ranges of new ids, and what the target had in each; arrays of one length by ascending id."""

    last_id: NewIds
    rows: NDArray[np.int64]
    checksum_1: Hashes
    checksum_2: Hashes

    def followed_by(self, later: Segments) -> Segments:
        """Join these and those of higher ids."""
        return Segments(*(np.append(*pair) for pair in zip(self.arrays(), later.arrays(), strict=True)))

    def of(self, ids: NewIds) -> NDArray[np.int64]:
        """Give the number of the segment in which each id lies; their count for one above all of them."""
        return np.searchsorted(self.last_id, ids)


@dataclass(frozen=True)
class RowsState(_Columns):
    """Source rows that have a target row of their natural key; arrays of one length by ascending `old_id`."""

    old_id: OldIds
    digest: Hashes
    new_id: NewIds


@dataclass(frozen=True)
class TableState:
    """What a run knew of one table when it committed."""

    rows: RowsState
    segments: Segments
    seed: int = field(repr=False)
    """Of the hasher of the digests."""
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    """The same in both files."""


def read_state(out: Path, name: str, made_under: dict[str, Any]) -> TableState | None:
    """Read the state of a table.

    Parameters
    ----------
    out
        The output folder.
    name
        The planned table.
    made_under
        What has to be as it was: source, target, plan, the types of the columns, the versions.

    Returns
    -------
    TableState or None
        None where it is missing, damaged, was made under something else, or beside another map.
    """
    rows_path, segments_path = _paths(out, name)
    if not segments_path.is_file():
        return None
    with suppress(OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        said = _said(segments_path)
        if said["made_under"] != _as_json(made_under) or said["map"] != map_fingerprint(out, name):
            return None
        of_rows = _said(rows_path)
        if said["token"] != of_rows["token"]:
            return None
        rows, segments = RowsState(*_read(rows_path, _ROWS)), Segments(*_read(segments_path, _SEGMENTS))
        return TableState(rows, segments, int(of_rows["seed"], 16), said["token"])
    return None


def write_state(
    out: Path, name: str, state: TableState, made_under: dict[str, Any], *, same_rows: bool = False
) -> None:
    """Write the state of a table, of which the map must be written.

    Parameters
    ----------
    out
        The output folder.
    name
        The planned table.
    state
        What is known.
    made_under
        As of `read_state`.
    same_rows
        Whether the file of the rows is there already.

    Raises
    ------
    OutputWriteError
        Where there is no room or no permission.
    """
    rows_path, segments_path = _paths(out, name)
    make_private(rows_path.parent)
    if not same_rows:
        rows = pa.table(state.rows.arrays(), schema=_ROWS)
        _write(rows_path, rows, {"token": state.token, "seed": f"{state.seed:x}"})
    segments = pa.table(state.segments.arrays(), schema=_SEGMENTS)
    said = {"token": state.token, "map": map_fingerprint(out, name), "made_under": _as_json(made_under)}
    _write(segments_path, segments, said)


def remove_state(out: Path, name: str) -> None:
    """Remove the state of a table, where there is one."""
    for path in reversed(_paths(out, name)):
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _paths(out: Path, name: str) -> tuple[Path, Path]:
    return out / STATE / f"{name}.parquet", out / STATE / f"{name}.segments.parquet"


def _as_json(value: Any) -> Any:
    """As it comes back from a file."""
    return json.loads(json.dumps(value))


def _said(path: Path) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((pq.read_schema(path).metadata or {})[_METADATA])
    if said["format"] != FORMAT:
        raise ValueError("it is of another version")
    return said


def _read(path: Path, schema: pa.Schema) -> list[NDArray[Any]]:
    """The columns of a file, without NULL, whose checksums are right."""
    table = pq.read_table(path, page_checksum_verification=True).combine_chunks()
    if not table.schema.equals(schema) or any(column.null_count for column in table.columns):
        raise ValueError("it has other columns")
    return [column.to_numpy() for column in table.columns]


def _write(path: Path, table: pa.Table, said: dict[str, Any]) -> None:
    metadata = {_METADATA: json.dumps({"format": FORMAT, **said}).encode()}
    ids = [name for name in ("old_id", "new_id", "last_id") if name in table.column_names]

    def fill(file: IO[bytes]) -> None:
        pq.write_table(
            table.replace_schema_metadata(metadata),
            file,
            use_dictionary=False,
            # Digests are as good as random.
            compression="none",
            column_encoding=dict.fromkeys(ids, "DELTA_BINARY_PACKED"),
            write_page_checksum=True,
        )

    write_atomic(path, fill)
