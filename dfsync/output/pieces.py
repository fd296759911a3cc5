"""The map of a table that is committed in pieces, until its whole map is written.

`pieces/NAME.N.parquet` has the rows of one piece as `mappings/NAME.parquet` has them, with its `MapOrigin`; N counts
from 1 on. It is on the disk right after the COMMIT of the piece, and gone when the whole map is there: so only a run
that was killed leaves it, and the next one finds by it what no natural key finds.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import pandas as pd

from dfsync.model.errors import OutputWriteError
from dfsync.output.evidence import MapOrigin
from dfsync.output.files import PIECES, write_map_file

_NUMBER = re.compile(r"\.(\d+)\.parquet$")


def piece_files(out: Path, name: str) -> list[Path]:
    """Find the maps of pieces that a killed run has left.

    Parameters
    ----------
    out
        The output folder.
    name
        The planned table.

    Returns
    -------
    list of Path
        The latest first: what it says of a row counts.
    """
    # The name of another table may begin with this one.
    found = [path for path in (out / PIECES).glob("[!.]*.parquet") if _NUMBER.sub("", path.name) == name]
    return sorted(found, key=_number, reverse=True)


def next_piece(out: Path, name: str) -> int:
    """Give the number of the next piece of a table, behind those that a killed run has left."""
    return max(map(_number, piece_files(out, name)), default=0) + 1


def write_piece(out: Path, name: str, number: int, rows: pd.DataFrame, origin: MapOrigin) -> None:
    """Write the map of one piece.

    Parameters
    ----------
    out
        The output folder.
    name
        The planned table.
    number
        Which piece of the table it is.
    rows
        `old_id`, `new_id`, `action` and the natural key, as in `mappings/NAME.parquet`.
    origin
        Whose rows they are.

    Raises
    ------
    OutputWriteError
        Where there is no room or no permission.
    """
    path = out / PIECES / f"{name}.{number}.parquet"
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise OutputWriteError(path, error) from error
    write_map_file(path, [rows], origin)


def remove_pieces(out: Path, name: str) -> None:
    """Remove the maps of a table's pieces: its whole map is written."""
    for path in piece_files(out, name):
        path.unlink(missing_ok=True)


def remove_empty_folder(out: Path) -> None:
    """Remove `pieces` where no table has left a file there, as in every run that ends."""
    with suppress(OSError):
        (out / PIECES).rmdir()


def _number(path: Path) -> int:
    found = _NUMBER.search(path.name)
    return int(found[1]) if found else 0
