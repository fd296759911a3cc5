"""How large one statement may be: the server ends the connection of a client that sends more.

References
----------
https://mariadb.com/docs/server/server-management/variables-and-modes/server-system-variables#max_allowed_packet
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from numpy.typing import NDArray

from dfsync.model import frames
from dfsync.model.errors import DfsyncError
from dfsync.target.errors import RowTooLargeError

_CELL_BYTES = 30
_STATEMENT_BYTES = 200
_ESCAPED = r"[\x00\n\r\x1a\"'\\]"
_MIN_PACKET_BYTES = 1 << 20
_KEPT = "dfsync max_allowed_packet"


def max_allowed_packet(connection: sa.Connection) -> int:
    """The size of the largest statement that the server accepts.

    Parameters
    ----------
    connection
        The target.

    Returns
    -------
    int
        Bytes.
    """
    if _KEPT not in connection.info:
        # No session can change its own.
        connection.info[_KEPT] = int(connection.scalar(sa.text("SELECT @@SESSION.max_allowed_packet")) or 0)
    return int(connection.info[_KEPT])


def require_minimum(connection: sa.Connection) -> None:
    """Refuse a server whose statements are too small for the queries of the program.

    Parameters
    ----------
    connection
        The target.

    Raises
    ------
    DfsyncError
        Its `max_allowed_packet` is below 1 MiB.
    """
    max_packet = max_allowed_packet(connection)
    if max_packet < _MIN_PACKET_BYTES:
        raise DfsyncError(
            f"The target takes {max_packet} bytes at once, and dfsync needs {_MIN_PACKET_BYTES}. Raise its "
            "max_allowed_packet, as in SET GLOBAL max_allowed_packet = 16777216."
        )


def all_fit(frame: pd.DataFrame, max_packet: int) -> bool:
    """Whether a statement can hold any single row.

    Parameters
    ----------
    frame
        Rows to write, in Arrow dtypes.
    max_packet
        The size of the largest statement, in bytes.

    Returns
    -------
    bool
        True where each row fits into a statement of its own.
    """
    return bool((_sizes(frame) + _overhead(frame) <= max_packet).all())


def require_fit(frame: pd.DataFrame, max_packet: int) -> None:
    """Refuse rows of which one is larger than a statement may be.

    Parameters
    ----------
    frame
        Rows to write, in Arrow dtypes.
    max_packet
        The size of the largest statement, in bytes.

    Raises
    ------
    RowTooLargeError
        A row does not fit into a statement of its own; the message is the reason of a reject.
    """
    if not all_fit(frame, max_packet):
        size = int(_sizes(frame).max()) + _overhead(frame)
        raise RowTooLargeError(
            f"has {size} bytes, and the server takes {max_packet} at once; raise its max_allowed_packet"
        )


def chunks(frame: pd.DataFrame, size: int, rows: int | None = None) -> Iterator[pd.DataFrame]:
    """Split rows into chunks that a statement can hold.

    Parameters
    ----------
    frame
        Rows to write or to ask for, in Arrow dtypes.
    size
        The size of a chunk, in bytes as written in a statement. A single row may be larger.
    rows
        The most rows of a chunk; None is no limit.

    Yields
    ------
    pandas.DataFrame
        The rows in their order.
    """
    chunk = np.cumsum(_sizes(frame)) // max(size, 1)
    if rows is not None:
        chunk = np.maximum(chunk, np.arange(len(frame)) // rows)
    for number in np.unique(chunk):
        yield frame[chunk == number]


def _overhead(frame: pd.DataFrame) -> int:
    """Bytes of a statement besides the rows: the names, up to twice."""
    return _STATEMENT_BYTES + sum(4 * len(str(name).encode()) + _CELL_BYTES for name in frame.columns)


def _sizes(frame: pd.DataFrame) -> NDArray[np.int64]:
    """Bytes of each row as the driver writes it, with a second byte for each one that it escapes."""
    sizes = np.full(len(frame), _CELL_BYTES * frame.shape[1], dtype=np.int64)
    for name in frame.columns:
        values = frames.as_arrow(frame[name])
        if pa.types.is_string(values.type) or pa.types.is_binary(values.type):
            written = pc.add(pc.binary_length(values), pc.count_substring_regex(values, _ESCAPED))
            sizes += pc.fill_null(written, 0).to_numpy(zero_copy_only=False)
    return sizes
