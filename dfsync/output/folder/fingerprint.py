"""Whether a file of a run is still the one that it was, without reading it whole."""

from __future__ import annotations

import hashlib
from pathlib import Path

from dfsync.output.files import mapping_path

_TAIL_BYTES = 1 << 16


def fingerprint(path: Path) -> str:
    """Tell a file of a run from others by its size, its time and its last bytes, where Parquet says what is in it.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    str
        Empty where it cannot be read.
    """
    try:
        with path.open("rb") as file:
            status = path.stat()
            file.seek(max(0, status.st_size - _TAIL_BYTES))
            end = hashlib.blake2b(file.read(), digest_size=16).hexdigest()
        return f"{status.st_size} {status.st_mtime_ns} {end}"
    except OSError:
        return ""


def map_fingerprint(out: Path, name: str) -> str:
    """Give the fingerprint of `mappings/NAME.parquet`."""
    return fingerprint(mapping_path(out, name))
