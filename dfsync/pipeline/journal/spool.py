"""Frames of a journal on the disk, until all of them are known."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from dfsync.model.errors import OutputWriteError


class TableSpool:
    """Owns a temporary file without a name: Arrow tables of one schema, which are written and then read in order.

    Parameters
    ----------
    folder
        On a disk with room; None for the system's temporary folder.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._file: Any = None
        self._writer: Any = None
        self.rows = 0

    def write(self, table: pa.Table) -> None:
        """Add a table. Raises `OutputWriteError` where there is no room."""
        if not table.num_rows:
            return
        try:
            if self._writer is None:
                self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 it lives as long as the object
                self._writer = pa.ipc.new_stream(self._file, table.schema)
            self._writer.write_table(table)
        except OSError as error:
            raise OutputWriteError(self._folder or Path(tempfile.gettempdir()), error) from error
        self.rows += table.num_rows

    def read(self) -> Iterator[pa.Table]:
        """Read the tables, after the last of them was written."""
        if self._writer is None:
            return
        self._writer.close()
        self._file.flush()
        self._file.seek(0)
        yield from (pa.Table.from_batches([batch]) for batch in pa.ipc.open_stream(self._file))

    def close(self) -> None:
        """Remove the file."""
        if self._file is not None:
            self._file.close()
