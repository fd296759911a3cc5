"""Writing files so that a reader, also one after a power cut, finds them whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from dfsync.model.errors import OutputWriteError

_COMPARED_BYTES = 1 << 20


def write_atomic(path: Path, fill: Callable[[IO[bytes]], object], *, keep_same: bool = False) -> None:
    """Write a file whole or not at all: a file beside it takes its name when it is complete and on the disk.

    Parameters
    ----------
    path
        The file.
    fill
        Writes the content.
    keep_same
        Leave a file with this very content as it is, also its time.

    Raises
    ------
    OutputWriteError
        Where there is no room or no permission.

    References
    ----------
    https://man7.org/linux/man-pages/man2/rename.2.html
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            fill(file)
            file.flush()
            if keep_same and path.is_file() and _is_same(partial, path):
                return
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise OutputWriteError(path, error) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _is_same(one: Path, other: Path) -> bool:
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as own, other.open("rb") as others:
        while content := own.read(_COMPARED_BYTES):
            if content != others.read(_COMPARED_BYTES):
                return False
    return True


def make_private(folder: Path) -> None:
    """Make a folder that only its user may read, and those above it. Raises `OutputWriteError`."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OutputWriteError(folder, error) from error


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk: a file whose content is synced may else lose its name.

    Parameters
    ----------
    folder
        The folder.

    Raises
    ------
    OutputWriteError
        The disk refuses.

    References
    ----------
    https://man7.org/linux/man-pages/man2/fsync.2.html
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise OutputWriteError(folder, error) from error
