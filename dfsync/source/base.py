"""What the rest of the program may ask of a source."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, Self

import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from dfsync.model.partition import Partition
from dfsync.model.schema import Schema, Table
from dfsync.model.types import OldIds


class Source(Protocol):
    """A database that is read from one consistent snapshot."""

    path: Path
    """The file."""
    schema: Schema
    """Its tables."""
    stopped: bool
    """Whether `stop` was called."""

    def __enter__(self) -> Self:
        """Return the source itself."""

    def __exit__(self, *_: object) -> None:
        """End the snapshot."""

    def count(self, table: Table) -> int:
        """Count the rows of a table in the snapshot."""

    def batches(self, partition: Partition, size: int, ids: OldIds | None = None) -> Iterator[pd.DataFrame]:
        """Read the rows of a partition by ascending id, `size` at a time, or only those of `ids`.

        Parameters
        ----------
        partition
            The table, its columns, and the range of row ids.
        size
            Rows per batch; the last one may be shorter.
        ids
            Row ids of the table (int64, ascending, each once). None reads all.

        Yields
        ------
        pandas.DataFrame
            Index `old_id` (int64), the partition's columns in Arrow dtypes.
        """

    def query(self, statement: sa.ClauseElement, batch_rows: int = 1024) -> pa.Table:
        """Run a query of SQLAlchemy in the snapshot.

        Parameters
        ----------
        statement
            The query.
        batch_rows
            From how many rows the type of a column is taken.

        Returns
        -------
        pyarrow.Table
            The result, in one chunk.
        """

    def stop(self) -> None:
        """Make every further read raise `DfsyncError`, also in other threads."""

    def close(self) -> None:
        """End the snapshot."""
