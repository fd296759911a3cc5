"""What one attempt at a table writes to the target, as the journal of the run has it.

A row's digest is that of the row as it is when all writes of the transaction are done. Reading the digests of a million
rows takes the server a tenth of the time that it needed to insert them. So a second connection reads those of a batch
while the first one sends the next, by ids that only this transaction has. Rows that are written again later are read
again at the end.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from dfsync.model.types import NewIds, OldIds, unique_ids
from dfsync.output.journal.record import WRITING, Part
from dfsync.output.journal.rows import BEFORE, INSERTED, rows_file, write_rows
from dfsync.pipeline.journal.keyless import KeylessInserts
from dfsync.pipeline.journal.spool import TableSpool
from dfsync.plan.binding import TableBinding
from dfsync.target.errors import SERVER_ERRORS
from dfsync.target.read.exact import DIGEST, Digests, read_digests, read_exact, with_ids, with_keys
from dfsync.target.read.uncommitted import Connect, UncommittedReader

log = logging.getLogger(__name__)

_ROWS_FOR_A_READER = 20_000
"""Fewer rows are read on the first connection, at the end."""


class RowJournal:
    """Owns what is known so far of the rows that a transaction inserts and updates in one table.

    Parameters
    ----------
    binding
        The table.
    connection
        The target, in the transaction.
    connect
        Opens a second connection.
    folder
        Where there is room for temporary files.
    of_files
        Gives rows, by their `old_id`, the ids and the source that the files of the journal say.

    Attributes
    ----------
    uncommitted
        Reads beside the transaction what it has written so far.
    """

    def __init__(
        self,
        binding: TableBinding,
        connection: sa.Connection,
        connect: Connect,
        folder: Path | None,
        of_files: Callable[[pa.Table], pa.Table] = lambda rows: rows,
    ) -> None:
        self._of_files = of_files
        self._binding, self._connection = binding, connection
        self._stack = ExitStack()
        self._digests, self._before = TableSpool(folder), TableSpool(folder)
        for spool in (self._digests, self._before):
            self._stack.callback(spool.close)
        # Closed last first: nobody reads any more when the spools are closed.
        self.uncommitted = self._stack.enter_context(UncommittedReader(connect))
        self._waiting: list[NewIds] = []
        self._readings: list[Future[None]] = []
        self._keyless = None if binding.id else KeylessInserts(connection, binding.target)
        # References that are filled in later change the rows.
        self._early = binding.id is not None and not binding.plan.deferred

    def __enter__(self) -> RowJournal:
        return self

    def __exit__(self, *_: object) -> None:
        """Give back connection and temporary files."""
        self._stack.close()

    def begin_inserts(self) -> None:
        """Note, before the first insert, the rows of a table in which none can be told by its id."""
        if self._keyless is not None:
            self._keyless.begin()

    def note_inserts(self, new_ids: NewIds) -> None:
        """Take the ids of rows that were inserted, ascending."""
        if not self._early or not len(new_ids):
            return
        self._waiting.append(new_ids)
        if len(self._waiting) > 1 and sum(map(len, self._waiting)) >= _ROWS_FOR_A_READER:
            ids, self._waiting = unique_ids(np.concatenate(self._waiting)), []
            self._readings.append(self.uncommitted.submit(partial(self._read_early, ids)))

    def _read_early(self, ids: NewIds, connection: sa.Connection) -> None:
        for part in self._read(connection, ids):
            self._digests.write(_digest_table(*part))

    def _read(self, connection: sa.Connection, ids: NewIds) -> Iterator[tuple[NewIds, Digests]]:
        for rows in read_digests(connection, self._binding.target, self._binding.id or "", ids):
            yield rows.ids, rows.digests

    def note_before(self, by: pd.DataFrame) -> None:
        """Read rows before they are updated.

        Parameters
        ----------
        by
            The columns that name each row in the target: the surrogate id, or the natural key (Arrow dtypes). Index
            `old_id`.
        """
        if not len(by):
            return
        target, own_id = self._binding.target, self._binding.id
        names = [column.name for column in target.columns if not column.generated]
        keys = [] if own_id else list(by.columns)
        if own_id:
            ids, first = np.unique(by[own_id].to_numpy(dtype=self._binding.id_dtype), return_index=True)
            conditions = with_ids(own_id, ids)
        else:
            conditions = with_keys(self._connection, target, by)
        for condition in conditions:
            rows, digests = read_exact(self._connection, target, names, condition)
            columns = {
                "old_id": pa.nulls(len(rows), pa.int64()),
                "new_id": pa.nulls(len(rows), self._binding.id_type),
                "digest_before": digests,
                "before": _struct(rows, names),
            }
            if keys:
                columns["key"] = _struct(rows, [target[name].name for name in keys])
            if own_id:
                new_ids = rows.column(own_id).cast(pa.string()).cast(self._binding.id_type)
                columns["new_id"] = new_ids
                columns["old_id"] = pa.array(by.index.to_numpy()[first[np.searchsorted(ids, new_ids.to_numpy())]])
            self._before.write(pa.table(columns))

    def write(self, run: Path, part: int, old_ids: OldIds, new_ids: NewIds) -> Part:
        """Write the files of the journal, before the transaction commits.

        Parameters
        ----------
        run
            The folder of the run.
        part
            The number of the part, from 1.
        old_ids, new_ids
            The rows for which the transaction inserted target rows, and these; in any order.

        Returns
        -------
        Part
            `WRITING`, with its counts.
        """
        files = [rows_file(run, what, self._binding.plan.name, part) for what in (INSERTED, BEFORE)]
        if self._keyless is not None:
            tables = list(self._keyless.rows()) if len(old_ids) else []
            write_rows(files[0], tables)
            inserted = sum(pc.sum(table.column("count")).as_py() or 0 for table in tables)
        else:
            if not (new_ids[1:] > new_ids[:-1]).all():
                order = np.argsort(new_ids, kind="stable")
                old_ids, new_ids = old_ids[order], new_ids[order]
            inserted = write_rows(files[0], map(self._of_files, self._inserted_rows(old_ids, new_ids)))
        updated = write_rows(files[1], map(self._of_files, self._updated_rows(new_ids)))
        return Part(WRITING, inserted, updated)

    def _inserted_rows(self, old_ids: OldIds, new_ids: NewIds) -> Iterator[pa.Table]:
        """The rows with their digests; `new_ids` ascend."""
        updated = self._updated_ids() if self._before.rows else np.array([], new_ids.dtype)
        touched = np.isin(new_ids, updated)
        done = touched.copy()
        for table in self._early_digests():
            ids, digests = (column.to_numpy() for column in table.columns)
            position = np.minimum(np.searchsorted(new_ids, ids), max(len(new_ids) - 1, 0))
            fresh = new_ids[position] == ids if len(new_ids) else np.zeros(len(ids), dtype=bool)
            fresh[fresh] &= ~done[position[fresh]]
            done[position[fresh]] = True
            yield _rows(old_ids[position[fresh]], ids[fresh], digests[fresh])
        left = ~done | touched
        for ids, digests in self._read(self._connection, new_ids[left]):
            yield _rows(old_ids[np.searchsorted(new_ids, ids)], ids, digests)

    def _early_digests(self) -> Iterator[pa.Table]:
        """What the second connection has read; what it could not read is read with the others."""
        for reading in self._readings:
            try:
                reading.result()
            except SERVER_ERRORS:
                log.debug("some digests have to be read again", exc_info=True)
        yield from self._digests.read()

    def _updated_ids(self) -> NewIds:
        ids = [table.column("new_id").to_numpy() for table in self._before.read()]
        return np.unique(np.concatenate(ids))

    def _updated_rows(self, inserted: NewIds) -> Iterator[pa.Table]:
        """The before-images of the rows that have become others, the first one of each."""
        seen: Any = np.array([], self._binding.id_dtype)
        for table in self._before.read():
            if self._binding.id is None:
                rows = self._with_digest(table)
            else:
                ids = table.column("new_id").to_numpy()
                own = ~np.isin(ids, seen) & ~np.isin(ids, inserted)
                seen = np.union1d(seen, ids)
                rows = self._with_digest(table.filter(pa.array(own)))
            yield rows.filter(pc.not_equal(rows.column(DIGEST), rows.column("digest_before")))

    def _with_digest(self, table: pa.Table) -> pa.Table:
        digests = pa.nulls(table.num_rows, pa.uint64())
        if table.num_rows and self._binding.id is not None:
            ids = table.column("new_id").to_numpy()
            found = list(self._read(self._connection, np.unique(ids)))
            there = pa.array(np.concatenate([ids for ids, _ in found]))
            positions = pc.index_in(pa.array(ids), value_set=there)
            digests = pa.array(np.concatenate([digests for _, digests in found])).take(positions)
        elif table.num_rows:
            digests = self._digests_by_key(table.column("key").combine_chunks())
        return table.append_column(DIGEST, digests)

    def _digests_by_key(self, keys: pa.Array) -> pa.Array:
        """Row by row, in a table without a surrogate id whose rows are updated, which is rare."""
        names = [field.name for field in keys.type]
        rows, digests = read_exact(self._connection, self._binding.target, names)
        now = dict(zip(map(_values, _struct(rows, names).to_pylist()), digests.to_pylist(), strict=True))
        return pa.array([now.get(_values(key)) for key in keys.to_pylist()], pa.uint64())


def _struct(rows: pa.Table, names: list[str]) -> pa.Array:
    return pa.StructArray.from_arrays([rows.column(name).combine_chunks() for name in names], names)


def _values(key: dict[str, bytes]) -> tuple[bytes, ...]:
    return tuple(key.values())


def _digest_table(ids: NewIds, digests: Digests) -> pa.Table:
    return pa.table({"new_id": ids, DIGEST: digests})


def _rows(old_ids: OldIds, new_ids: NewIds, digests: Digests) -> pa.Table:
    return pa.table({"old_id": old_ids, "new_id": new_ids, DIGEST: digests})
