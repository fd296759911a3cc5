"""The natural keys of a table's rows on the disk, where millions of them have room."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa

from dfsync.model import frames
from dfsync.model.errors import DfsyncError


@contextmanager
def _explain_full_disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DfsyncError(
            f"There is no room for the table's natural keys: {error.strerror}. Choose another --out."
        ) from error


class KeyFrames(Protocol):
    """Natural keys that can be read as often as needed."""

    def read(self) -> Iterator[pd.DataFrame]:
        """Read the frames: index `old_id`, ascending over all of them."""
        ...


class KeySpool:
    """Owns a temporary file without a name, written once and read as often as needed; it is gone with the process.

    Parameters
    ----------
    folder
        On a disk with room for the keys; None for the system's temporary folder.
    """

    def __init__(self, folder: Path | None = None) -> None:
        with _explain_full_disk():
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 it lives as long as the object
        self._writer: Any = None
        self._columns: Any = None

    def write(self, keys: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """Write frames, and pass each on when it is written.

        Parameters
        ----------
        keys
            Index `old_id`; the same columns of Arrow dtypes in each.

        Yields
        ------
        DataFrame
            The frames as they came.
        """
        for frame in keys:
            table = frames.to_arrow(frame).rename_columns([str(i) for i in range(frame.shape[1])])
            table = table.append_column(frames.OLD_ID, pa.array(frame.index.to_numpy()))
            self._columns = frame.columns
            with _explain_full_disk():
                self._writer = self._writer or pa.ipc.new_stream(self._file, table.schema)
                self._writer.write_table(table)
                self._file.flush()
            yield frame
        if self._writer is not None:
            with _explain_full_disk():
                self._writer.close()
                self._file.flush()

    def read(self) -> Iterator[pd.DataFrame]:
        """Read the frames again, after all of them were written."""
        if self._writer is None:
            return
        self._file.seek(0)
        for batch in pa.ipc.open_stream(self._file):
            table = pa.Table.from_batches([batch])
            frame = frames.from_arrow(table.drop_columns([frames.OLD_ID]), batch.column(frames.OLD_ID))
            yield frame.set_axis(self._columns, axis=1)

    def close(self) -> None:
        """Remove the file. It flushes once more; a full disk is ignored, since the data is no longer needed."""
        with suppress(OSError):
            self._file.close()
