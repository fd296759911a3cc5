"""Files of SQLite in WAL mode, and what SQLite leaves beside them."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote


def uri(path: Path, mode: str = "ro") -> str:
    """Give the URI by which SQLite opens a file, to read it or, with the mode `rw`, to write."""
    return f"file:{quote(os.fsencode(path.resolve()))}?mode={mode}"


def remove_empty_wal(wal: Path) -> None:
    """Make SQLite remove the empty `-wal` and `-shm` that reading in WAL mode made, unless they are open elsewhere."""
    try:
        if wal.stat().st_size:
            return
        # A read-only connection leaves them; the last one that may write removes them, and has nothing to write.
        path = Path(str(wal).removesuffix("-wal"))
        with closing(sqlite3.connect(uri(path, "rw"), timeout=0, uri=True)) as connection:
            connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    except (OSError, sqlite3.Error):
        return


def in_wal_mode(path: Path) -> bool:
    """Tell by the file's header whether it is in WAL mode: https://www.sqlite.org/fileformat.html section 1.3.3."""
    try:
        with path.open("rb") as file:
            return file.read(20)[18:] == b"\x02\x02"
    except OSError:
        return False
