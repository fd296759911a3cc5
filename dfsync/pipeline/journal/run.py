"""The journal of one run: its record, which several tables write at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

import sqlalchemy as sa

from dfsync.output.journal.record import (
    COMMITTED,
    ROLLED_BACK,
    UNKNOWN,
    WRITING,
    Part,
    RunRecord,
    TableRecord,
    drop_oldest,
    new_run_id,
    now,
    remove_partial_files,
    run_folder,
    write_record,
)
from dfsync.output.result import TableCounts
from dfsync.pipeline.journal.settle import is_there
from dfsync.plan.binding import TableBinding
from dfsync.target.connection import connect
from dfsync.target.schema.reflection import reflect

NO_ANSWER = (
    "the connection was lost while the rows were committed ({reason}), and nobody can see now whether they are in the "
    "target; the next sync or undo with this folder looks, and says it in the list of runs"
)
"""What to say of a COMMIT that cannot be settled."""


@dataclass(frozen=True)
class TableWrites:
    """What a transaction wrote to one table.

    Attributes
    ----------
    binding
        The table.
    write
        Writes its files into the folder of the run, as the part of this number.
    """

    binding: TableBinding
    write: Callable[[Path, int], Part]


class RunJournal:
    """Owns the record of the run that goes on. Each change of it is on the disk when its method returns.

    Parameters
    ----------
    out
        The output folder.
    record
        The run, without tables.
    keep
        How many runs keep their journals, this one too.
    """

    def __init__(self, out: Path, record: RunRecord, keep: int) -> None:
        self._out, self._record, self._keep = out, record, keep
        self._lock = Lock()

    @classmethod
    def begin(cls, out: Path, record: RunRecord, keep: int) -> RunJournal:
        """Begin a run.

        Parameters
        ----------
        out, record, keep
            As of the class; the record gets its id here.

        Returns
        -------
        RunJournal

        Raises
        ------
        OutputWriteError
            The record cannot be written.
        """
        remove_partial_files(out)
        record.id = new_run_id(datetime.now(UTC))
        write_record(out, record)
        return cls(out, record, keep)

    @property
    def record(self) -> RunRecord:
        """What is known of the run so far."""
        return self._record

    @property
    def folder(self) -> Path:
        """The folder of the run."""
        return run_folder(self._out, self._record.id)

    def write(self, tables: Sequence[TableWrites]) -> None:
        """Write what a transaction did, before it commits. Raises `OutputWriteError`: then it must not.

        Parameters
        ----------
        tables
            Those of the transaction. One to which nothing was written gets no part.
        """
        changed = False
        for writes in tables:
            table = self._table(writes.binding)
            if table.parts and table.parts[-1].state != COMMITTED:
                # Of an attempt that was rolled back.
                table.parts.pop()
                changed = True
            part = writes.write(self.folder, len(table.parts) + 1)
            if part.inserted or part.updated:
                table.parts.append(part)
                changed = True
        with self._lock:
            if changed:
                write_record(self._out, self._record)

    def mark(self, names: Iterable[str], state: str) -> None:
        """Say what became of the last part of tables that is not committed. Raises `OutputWriteError`."""
        with self._lock:
            open_parts = [t.parts[-1] for t in self._record.tables if t.name in set(names) and t.parts]
            changed = [part for part in open_parts if part.state not in (COMMITTED, state)]
            for part in changed:
                part.state = state
            if changed:
                write_record(self._out, self._record)

    def settle(self, names: Iterable[str], engine: sa.Engine) -> bool:
        """Look whether the last parts of the tables of one transaction are in the target, and say so in the record.

        Parameters
        ----------
        names
            The tables of the transaction.
        engine
            The target.

        Returns
        -------
        bool
            Whether they were committed; True where nothing was written.

        Raises
        ------
        Exception
            The target cannot tell now: the parts are `UNKNOWN`.
        """
        tables = [t for t in self._record.tables if t.name in set(names) and t.parts and t.parts[-1].state == WRITING]
        try:
            there = not tables
            if tables:
                with connect(engine) as connection:
                    schema = reflect(connection)
                    there = any(is_there(connection, schema, self.folder, t, len(t.parts)) for t in tables)
                    connection.rollback()
        except BaseException:
            self.mark(names, UNKNOWN)
            raise
        self.mark(names, COMMITTED if there else ROLLED_BACK)
        return there

    def write_piece(self, writes: TableWrites) -> int:
        """Write what one of several transactions of a table did, before it commits, whatever the others do meanwhile.

        Parameters
        ----------
        writes
            The table.

        Returns
        -------
        int
            The number of the part, for `mark_piece` and `settle_piece`.

        Raises
        ------
        OutputWriteError
            It must not commit then.
        """
        table = self._table(writes.binding)
        with self._lock:
            # Until it is on the disk, nothing of it can be in the target.
            table.parts.append(Part(ROLLED_BACK, 0, 0))
            number = len(table.parts)
        part = writes.write(self.folder, number)
        with self._lock:
            table.parts[number - 1] = part
            write_record(self._out, self._record)
        return number

    def mark_piece(self, name: str, number: int, state: str) -> None:
        """Say what became of a part of a table. Raises `OutputWriteError`."""
        with self._lock:
            self._record.table(name).parts[number - 1].state = state
            write_record(self._out, self._record)

    def settle_piece(self, name: str, number: int, engine: sa.Engine) -> bool:
        """Look whether a part of a table is in the target, as `settle` does, and say so in the record."""
        try:
            with connect(engine) as connection:
                there = is_there(connection, reflect(connection), self.folder, self._record.table(name), number)
                connection.rollback()
        except BaseException:
            self.mark_piece(name, number, UNKNOWN)
            raise
        self.mark_piece(name, number, COMMITTED if there else ROLLED_BACK)
        return there

    def finish(self, counts: Iterable[TableCounts], failed_sources: Mapping[str, str]) -> list[RunRecord]:
        """End the run, and drop the journals of the oldest.

        Parameters
        ----------
        counts
            Of its tables.
        failed_sources
            By name of a source: why it could not be read.

        Returns
        -------
        list of RunRecord
            The runs whose journals are dropped.

        Raises
        ------
        OutputWriteError
            The record cannot be written.
        """
        with self._lock:
            known = {table.name: table for table in self._record.tables}
            by_name: dict[str, TableRecord] = {}
            for entry in counts:
                if entry.note is None:
                    table = known.get(entry.name) or TableRecord(entry.name, entry.table, None)
                    table.failed, table.error = entry.failed, entry.error
                    by_name[entry.name] = table
            # In the plan's order.
            self._record.tables = list(by_name.values())
            self._record.failed_sources = dict(failed_sources)
            self._record.finished = now()
            write_record(self._out, self._record)
        return drop_oldest(self._out, self._keep)

    def _table(self, binding: TableBinding) -> TableRecord:
        with self._lock:
            plan = binding.plan
            table = next((table for table in self._record.tables if table.name == plan.name), None)
            if table is None:
                table = TableRecord(plan.name, binding.target.name, binding.id, plan.parents)
                self._record.tables.append(table)
            return table
