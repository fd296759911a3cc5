"""The rows that the target lacks, sent to it batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dfsync.execution.prefetch import prefetch
from dfsync.model import frames
from dfsync.model.batch import ValueNote
from dfsync.model.frames import empty_frame
from dfsync.model.types import Mask, NewIds, OldIds, Positions
from dfsync.pipeline.journal.rows import RowJournal
from dfsync.pipeline.table.context import TableContext
from dfsync.pipeline.table.extract import read_batches
from dfsync.pipeline.table.keys import fetch_rows_by_key
from dfsync.target.read.rows import highest_id
from dfsync.target.read.unique_keys import UniqueKeys
from dfsync.target.write.loader import BulkLoader
from dfsync.target.write.with_ids import GivenIdLoader

DRY_RUN_FIRST_ID = 2**62


class Loader(Protocol):
    """Takes rows and gives their new ids: `BulkLoader`, or `DryRunLoader` in a dry run."""

    def insert(self, frame: pd.DataFrame) -> tuple[pd.Series[int], pd.DataFrame]:
        """Insert rows.

        Parameters
        ----------
        frame
            The target's columns, conformed and remapped; index `old_id`.

        Returns
        -------
        tuple of Series and DataFrame
            The new id of each inserted row (index `old_id`), and the reject frame of the others.
        """

    def insert_linked(
        self,
        frame: pd.DataFrame,
        parents: Mapping[str, Positions],
        by_value: Mapping[str, Positions],
        *,
        optional: bool = False,
    ) -> tuple[pd.Series[int], pd.DataFrame]:
        """Insert rows that refer to each other; see `BulkLoader.insert_linked`."""


Send = Callable[[pd.DataFrame], "tuple[pd.Series[Any], pd.DataFrame]"]
"""Inserts rows whose deferred foreign keys hold the source's ids; gives what `Loader.insert` gives."""


class DryRunLoader:
    """Takes the rows that no unique key refuses, and gives each an id that no target has.

    So the children of new rows are new as well.
    """

    def __init__(self, table: TableContext) -> None:
        binding = table.binding
        self._type, self._given = binding.id_type, table.given
        highest = 0 if binding.id is None else highest_id(table.connection, binding.target, binding.id)
        self._next = max(DRY_RUN_FIRST_ID, highest + 1)
        self._unique_keys = UniqueKeys(
            table.connection, binding.target, binding.columns, binding.key_names, table.hasher
        )

    def insert(self, frame: pd.DataFrame) -> tuple[pd.Series[int], pd.DataFrame]:
        """Count the rows; see `Loader.insert`."""
        return self.insert_linked(frame, {}, {})

    def _take(self, frame: pd.DataFrame) -> pd.Series[int]:
        if self._given is not None:
            return frames.series(pa.array(self._given.of(frame.index), self._type)).set_axis(frame.index)
        ids = pc.add(pa.array(np.arange(len(frame)), self._type), pa.scalar(self._next, self._type))
        self._next += len(frame)
        return frames.series(ids).set_axis(frame.index)

    def insert_linked(
        self,
        frame: pd.DataFrame,
        parents: Mapping[str, Positions],
        by_value: Mapping[str, Positions],
        *,
        optional: bool = False,
    ) -> tuple[pd.Series[int], pd.DataFrame]:
        """Count the rows, without those that refer to one that is refused; see `Loader.insert_linked`."""
        rejects = self._unique_keys.refused(frame)
        lost = frame.index.isin(rejects.index)
        while (more := _and_children(lost, [*parents.values(), *by_value.values()])).sum() > lost.sum():
            lost = more
        self._unique_keys.add(~lost)
        return self._take(frame[~lost] if lost.any() else frame), rejects


def _and_children(rows: Mask, parents: Iterable[Positions]) -> Mask:
    """These rows, and those that have one of them at a position of `parents`, which is negative for none."""
    more: Mask = np.any([rows, *((places >= 0) & rows[places] for places in parents)], axis=0)
    return more


class JournalingLoader:
    """Lets the journal look at the table before the first row is inserted.

    Parameters
    ----------
    loader
        Inserts the rows.
    journal
        That of the table.
    """

    def __init__(self, loader: Loader, journal: RowJournal) -> None:
        self._loader, self._journal = loader, journal

    def insert(self, frame: pd.DataFrame) -> tuple[pd.Series[int], pd.DataFrame]:
        """Insert rows; see `Loader.insert`."""
        self._journal.begin_inserts()
        return self._loader.insert(frame)

    def insert_linked(
        self,
        frame: pd.DataFrame,
        parents: Mapping[str, Positions],
        by_value: Mapping[str, Positions],
        *,
        optional: bool = False,
    ) -> tuple[pd.Series[int], pd.DataFrame]:
        """Insert rows that refer to each other; see `Loader.insert_linked`."""
        self._journal.begin_inserts()
        return self._loader.insert_linked(frame, parents, by_value, optional=optional)


@dataclass(frozen=True)
class LoadedBatch:
    """What became of the rows of one batch.

    Attributes
    ----------
    new_ids
        Of the inserted rows: index `old_id`.
    rejects
        Rows that did not fit, lacked a parent or were refused by the server.
    notes
        The values that the target cannot hold as they are.
    refused
        int64: the `old_id` of the rows that the server refused.
    """

    new_ids: pd.Series[int]
    rejects: pd.DataFrame
    notes: Sequence[ValueNote]
    refused: OldIds


def open_loader(table: TableContext, *, dry_run: bool, local_infile: bool) -> Loader:
    """Open the way into the target.

    Parameters
    ----------
    table
        The table, in its transaction.
    dry_run
        Send nothing.
    local_infile
        Whether `LOAD DATA LOCAL` may be used.

    Returns
    -------
    Loader
    """
    if dry_run:
        return DryRunLoader(table)
    binding = table.binding
    bulk = BulkLoader(table.connection, binding.target, binding.id, local_infile=local_infile)
    loader: Loader = bulk
    if table.given is not None and binding.id is not None:
        inserted = partial(_inserted_by_others, table)
        loader = GivenIdLoader(bulk, table.connection, binding.target, binding.id, table.given, inserted)
    return loader if table.journal is None else JournalingLoader(loader, table.journal)


def load_rows(table: TableContext, ids: OldIds, send: Send) -> Iterator[LoadedBatch]:
    """Insert source rows. The next batch is read while one is sent.

    Parameters
    ----------
    table
        The table.
    ids
        int64, ascending: the rows to insert.
    send
        Inserts the rows of a batch, once those of the batches before were taken.

    Yields
    ------
    LoadedBatch
        By ascending `old_id`.
    """
    for batch in prefetch(read_batches(table, table.binding.columns, table.batch_size, ids)):
        with table.timer("load"):
            new_ids, refused = send(batch.frame)
        rejects = pd.concat([batch.rejects, refused]) if len(refused) else batch.rejects
        yield LoadedBatch(new_ids, rejects, batch.notes, refused.index.to_numpy())


def with_deferred_nulls(table: TableContext, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with NULL in the foreign keys that get their value later; see `TablePlan.deferred`."""
    return frames.with_columns(
        rows, {column: frames.nulls_like(rows[column]) for column in table.binding.plan.deferred}
    )


def _inserted_by_others(table: TableContext, refused: OldIds) -> OldIds:
    keys, _ = match_concurrent_inserts(table, refused)
    return keys.index.to_numpy(dtype=np.int64)


def match_concurrent_inserts(table: TableContext, refused: OldIds) -> tuple[pd.DataFrame, NewIds]:
    """Find the target rows that other clients inserted, under the same natural key, since the snapshot.

    Parameters
    ----------
    table
        The table. A connection of its own sees what its snapshot does not.
    refused
        int64, ascending: source rows that the server refused.

    Returns
    -------
    tuple of DataFrame and array
        The natural keys with the target's values, index `old_id`, of the rows that were found; and their new ids.
    """
    binding = table.binding
    names = binding.key_names
    if not names or not len(refused):
        return empty_frame(binding.key), np.array([], binding.id_dtype)
    batches = read_batches(table, binding.key, len(refused), refused)
    keys = pd.concat([empty_frame(binding.key), *(batch.frame for batch in batches)]).dropna()
    with table.connection.engine.connect() as fresh:
        return fetch_rows_by_key(fresh, binding, keys, names)
