"""How much one statement may hold: the server hangs up on whoever sends more than its `max_allowed_packet`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from dfsync.model import frames
from dfsync.model.errors import DfsyncError
from dfsync.target.errors import RowTooLarge

_CELL = 30
_STATEMENT = 200
_ESCAPED = r"[\x00\n\r\x1a\"'\\]"
_MIN_PACKET = 1 << 20


def max_allowed_packet(connection: sa.Connection) -> int:
    """Bytes of the largest statement that the server takes."""
    return int(connection.scalar(sa.text("SELECT @@SESSION.max_allowed_packet")) or 0)


def require_minimum(connection: sa.Connection) -> None:
    """Raises `DfsyncError` where the server takes less at once than what asks for its rows may hold."""
    most = max_allowed_packet(connection)
    if most < _MIN_PACKET:
        raise DfsyncError(
            f"The target takes {most} bytes at once, and dfsync needs {_MIN_PACKET}. Raise its max_allowed_packet, as "
            "in SET GLOBAL max_allowed_packet = 16777216."
        )


def all_fit(frame: pd.DataFrame, most: int) -> bool:
    """Whether each row for itself goes into a statement of so many bytes."""
    return bool((_sizes(frame) + _overhead(frame) <= most).all())


def require_fit(frame: pd.DataFrame, most: int) -> None:
    """Raises `TooLarge` where some row does not fit."""
    if not all_fit(frame, most):
        size = int(_sizes(frame).max()) + _overhead(frame)
        raise RowTooLarge(f"has {size} bytes, and the server takes {most} at once; raise its max_allowed_packet")


def chunks(frame: pd.DataFrame, size: int, rows: int | None = None) -> Iterator[pd.DataFrame]:
    """Parts of some `size` bytes as they are written in a statement, and of so many rows at most."""
    chunk = np.cumsum(_sizes(frame)) // max(size, 1)
    if rows is not None:
        chunk = np.maximum(chunk, np.arange(len(frame)) // rows)
    for number in np.unique(chunk):
        yield frame[chunk == number]


def _overhead(frame: pd.DataFrame) -> int:
    """What a statement holds beside the rows: the names, up to twice."""
    return _STATEMENT + sum(4 * len(str(name).encode()) + _CELL for name in frame.columns)


def _sizes(frame: pd.DataFrame) -> Any:
    """Bytes of each row as the driver writes it, with a second one for each byte that it escapes."""
    sizes = np.full(len(frame), _CELL * frame.shape[1], dtype=np.int64)
    for name in frame.columns:
        values = frames.as_arrow(frame[name])
        if pa.types.is_string(values.type) or pa.types.is_binary(values.type):
            written = pc.add(pc.binary_length(values), pc.count_substring_regex(values, _ESCAPED))
            sizes += pc.fill_null(written, 0).to_numpy(zero_copy_only=False)
    return sizes
