"""The open files of a source, of which there are never more than the system lets a program have."""

from __future__ import annotations

import os
import resource
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from dfsync.model.errors import DfsyncError
from dfsync.model.schema import Schema
from dfsync.model.source_file import SourceFile
from dfsync.source.sqlite import SqliteSource

MOST_OPEN = 256
"""Files that may be open at a time, those beside a database in WAL mode among them."""
_PASSING = 8
"""Files that are open for one read: the least recently used is closed for the next."""
_FILES_IN_WAL_MODE = 3
_ATTEMPTS = 3
_CACHE_KIB = 256
"""Pages are read once or twice, in order: of hundreds of files SQLite's own 2 MB each are too many."""

Fingerprint = tuple[tuple[int, int], ...]


class OpenFiles:
    """Owns the open files. The first ones stay open, and keep their snapshot, for the whole run.

    Those for which there is no room are opened for each read. A file that changed in between raises `DfsyncError`: its
    tables would be of two moments.

    Parameters
    ----------
    files
        All files.
    reflected
        Gives the tables of a file that is opened.
    """

    def __init__(self, files: Sequence[SourceFile], reflected: Callable[[SqliteSource], Schema]) -> None:
        self._files = files
        self._reflected = reflected
        self._room = _room()
        self._staying: dict[int, SqliteSource] = {}
        self._passing: OrderedDict[int, SqliteSource] = OrderedDict()
        self._in_use: dict[int, int] = {}
        self._seen: dict[int, Fingerprint] = {}
        self._counts: dict[int, dict[str, int]] = {}
        self._lock = Lock()

    @contextmanager
    def lease(self, number: int) -> Iterator[SqliteSource]:
        """Open a file where it is not open, and keep it open for as long as it is used.

        Parameters
        ----------
        number
            Its position in `files`.

        Yields
        ------
        SqliteSource

        Raises
        ------
        DfsyncError
            It cannot be opened, or changed since it was opened before.
        """
        with self._lock:
            source = self._staying.get(number) or self._passing.get(number) or self._open(number)
            self._in_use[number] = self._in_use.get(number, 0) + 1
            if number in self._passing:
                self._passing.move_to_end(number)
        try:
            yield source
        finally:
            with self._lock:
                self._in_use[number] -= 1

    def _open(self, number: int) -> SqliteSource:
        path = self._files[number].path
        for _ in range(_ATTEMPTS):
            before = _fingerprint(path)
            source = SqliteSource(path, self._reflected, self._counts.setdefault(number, {}), _CACHE_KIB)
            if _fingerprint(path) == before:
                break
            source.close()
        else:
            raise DfsyncError(f"The source {path} is written all the time, so that no read of it begins.")
        if self._seen.setdefault(number, before) != before:
            source.close()
            raise DfsyncError(f"The source {path} changed while it was read. Sync it again.")
        needed = _FILES_IN_WAL_MODE if _wal(path).exists() else 1
        if needed <= self._room:
            self._room -= needed
            self._staying[number] = source
        else:
            self._passing[number] = source
            self._close_unused()
        return source

    def _close_unused(self) -> None:
        for number in list(self._passing)[:-1]:
            if len(self._passing) <= _PASSING:
                return
            if not self._in_use.get(number):
                self._passing.pop(number).close()

    def drop(self, number: int) -> None:
        """Close a file that failed, as soon as nobody reads it."""
        with self._lock:
            source = self._passing.get(number)
            if source is not None and not self._in_use.get(number):
                self._passing.pop(number).close()

    def stop(self) -> None:
        """Make every further read of the open files raise `DfsyncError`."""
        with self._lock:
            for source in (*self._staying.values(), *self._passing.values()):
                source.stop()

    def close(self) -> None:
        """Close all files."""
        with self._lock:
            for source in (*self._staying.values(), *self._passing.values()):
                source.close()
            self._staying.clear()
            self._passing.clear()


def _room() -> int:
    """How many files may stay open: a check has the source open twice, and half of what may be is for all else."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_OPEN if allowed == resource.RLIM_INFINITY else min(MOST_OPEN, allowed // 4)
    return max(most - _PASSING * _FILES_IN_WAL_MODE, 1)


def _wal(path: Path) -> Path:
    return Path(f"{os.path.realpath(path)}-wal")


def _fingerprint(path: Path) -> Fingerprint:
    """Size and time of what holds the rows: it is looked at, not opened, since closing a file ends SQLite's locks."""
    found = []
    for each in (path, _wal(path)):
        try:
            status = each.stat()
            found.append((status.st_size, status.st_mtime_ns) if status.st_size else (0, 0))
        except OSError:
            found.append((0, 0))
    return tuple(found)
