"""What the rest of the program may ask of a source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol, Self, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa
from numpy.typing import NDArray

from dfsync.model.partition import Partition
from dfsync.model.schema import Schema, Table
from dfsync.model.source_file import SourceFile
from dfsync.model.types import Mask, OldIds
from dfsync.plan.model import Plan
from dfsync.text.wording import with_count

T = TypeVar("T")
ASKED_FILES = 20
"""So many files of a source give the evidence for questions that a person answers: the first ones."""
FileNumbers = NDArray[np.intp]
"""Positions in `Source.files`."""


class Queryable(Protocol):
    """One SQLite file, which answers queries."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def schema(self) -> Schema:
        """Its tables."""

    @property
    def files(self) -> tuple[SourceFile, ...]:
        """The file itself."""

    def count(self, table: Table) -> int:
        """Count the rows of a table in the snapshot."""

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


class RowIds(Protocol):
    """The ids of one table over several files: no two rows have the same, and the files follow one another."""

    def locate(self, ids: OldIds) -> tuple[FileNumbers, OldIds]:
        """Give the file of each row, and its id there."""

    def combine(self, number: int, own: OldIds) -> tuple[OldIds, Mask]:
        """Give the ids that rows of a file have over all files, and whether the file may have such a row.

        Parameters
        ----------
        number
            The file.
        own
            Ids in that file.

        Returns
        -------
        tuple of int64 array and Mask
            An id that the file cannot have is 0.
        """

    def rows(self, number: int) -> int:
        """Count the rows of a file."""

    def original(self, value: int) -> str:
        """Give what the file has in place of a reference."""


class Source(Protocol):
    """One SQLite file or several of one schema, each read from one consistent snapshot.

    The ids of one file are its own. Of several files they are combined ids, see `RowIds`: those of a file come before
    those of the next one, and foreign keys of the plan hold the combined ids of their parents.
    """

    @property
    def path(self) -> Path:
        """The file; of several the one whose schema counts."""

    @property
    def files(self) -> tuple[SourceFile, ...]:
        """All files, in order, also those that cannot be read."""

    @property
    def several(self) -> bool:
        """Whether ids are combined, and files say of each row of which source it is."""

    @property
    def readable(self) -> tuple[SourceFile, ...]:
        """Those of `files` that are read."""

    @property
    def failures(self) -> Mapping[str, str]:
        """By the name of a file, why it cannot be read; of one file alone there is never any."""

    @property
    def schema(self) -> Schema:
        """Its tables."""

    @property
    def stopped(self) -> bool:
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
            Rows per batch at most.
        ids
            Row ids of the table (int64, ascending, each once). None reads all.

        Yields
        ------
        pandas.DataFrame
            Index `old_id` (int64), the partition's columns in Arrow dtypes.
        """

    def each(self, ask: Callable[[Queryable], T], most: int | None = None) -> list[T]:
        """Ask every file that can be read, in order.

        Parameters
        ----------
        ask
            Gets the file.
        most
            Ask no more files than so many; None asks all.

        Returns
        -------
        list
            The answers; at least one.
        """

    def with_plan(self, plan: Plan) -> Self:
        """Return the source with ids that are unique over its files, and foreign keys that hold these ids.

        Parameters
        ----------
        plan
            The complete plan, which says what the ids and foreign keys are.
        """

    def current(self) -> Self:
        """Return the source as it can be read now: a file that fails later is still a part of it."""

    def row_ids(self, table: str) -> RowIds | None:
        """Return what the ids of a table mean; None where they are those of the one file.

        Parameters
        ----------
        table
            The name of the planned table.
        """

    def stop(self) -> None:
        """Make every further read raise `DfsyncError`, also in other threads."""

    def close(self) -> None:
        """End the snapshot."""


def title(source: Source) -> str:
    """Name a source in one line: the path of its file; of several that of the first, and how many more there are."""
    more = len(source.files) - 1
    return f"{source.files[0].path} and {with_count(more, 'others')}" if more else str(source.files[0].path)
