"""How little memory a large source takes.

The C library and Arrow keep freed memory for the next time, each thread its own. With batches in several threads that
comes to more than is in use; without it a run takes about a fifth more of the processor's time.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

LARGE_SOURCE_BYTES = 1 << 30
"""Bytes of a source from which on memory counts for more than time."""
# From malloc.h.
_M_MMAP_THRESHOLD = -3
_THRESHOLD_BYTES = 1 << 18


def release_freed_memory(source: Path) -> None:
    """For a large source, have this process give memory back to the system as soon as it is freed.

    Parameters
    ----------
    source
        The SQLite file; its size decides.

    Notes
    -----
    Calls `mallopt` of the GNU C library, and does nothing where there is another one.

    References
    ----------
    https://man7.org/linux/man-pages/man3/mallopt.3.html
    """
    if source.stat().st_size < LARGE_SOURCE_BYTES:
        return
    pa.set_memory_pool(pa.system_memory_pool())
    # No other C library has this function, nor the need for it.
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _THRESHOLD_BYTES)
