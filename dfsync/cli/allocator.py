"""How little memory a large source takes.

The C library and Arrow keep freed memory for the next time, each thread its own. With batches in several threads that
comes to more than is in use; without it a run takes about a fifth more of the processor's time.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

LARGE_SOURCE_BYTES = 1 << 30
"""Bytes of a source from which on memory counts for more than time."""
MANY_SOURCES = 100
"""As `LARGE_SOURCE_BYTES`: the number of files."""
# From malloc.h.
_M_MMAP_THRESHOLD = -3
_THRESHOLD_BYTES = 1 << 18


def release_freed_memory(sources: Iterable[Path]) -> None:
    """For a large source, have this process give memory back to the system as soon as it is freed.

    Parameters
    ----------
    sources
        The SQLite files; their size decides.

    Notes
    -----
    Calls `mallopt` of the GNU C library, and does nothing where there is another one.

    References
    ----------
    https://man7.org/linux/man-pages/man3/mallopt.3.html
    """
    sizes = [path.stat().st_size for path in sources if path.exists()]
    if sum(sizes) < LARGE_SOURCE_BYTES and len(sizes) < MANY_SOURCES:
        return
    pa.set_memory_pool(pa.system_memory_pool())
    # No other C library has this function, nor the need for it.
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _THRESHOLD_BYTES)
