"""Taking a run back, one transaction for each group of tables; what is done is in the record of the run after each."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from dfsync.model.errors import DfsyncError, Remedy
from dfsync.model.options import UndoOptions
from dfsync.model.schema import Schema
from dfsync.output.folder.id_mappings import ID_MAPPINGS, write_id_mappings, write_id_mappings_of_each
from dfsync.output.folder.same_ends import holds_several
from dfsync.output.journal.maps import forget_rows, put_back
from dfsync.output.journal.record import RunRecord, TableRecord, Undone, now, run_folder, write_record
from dfsync.output.journal.rows import (
    INSERTED,
    KEPT,
    REPLACED,
    UNDOING,
    read_committed,
    read_rows,
    rows_file,
    write_rows,
)
from dfsync.pipeline.undo.keyless import KeylessUndo
from dfsync.pipeline.undo.observer import UndoObserver
from dfsync.pipeline.undo.order import groups_of
from dfsync.pipeline.undo.referenced import Undo, delete_rows, keep_referenced
from dfsync.pipeline.undo.table import TableUndo
from dfsync.target.connection import connect
from dfsync.target.errors import RETRYABLE, SERVER_ERRORS, error_code, explain
from dfsync.target.read.references import Reference, delete_triggers, planned_references, read_references
from dfsync.target.schema.reflection import reflect

log = logging.getLogger(__name__)

_ATTEMPTS = 3
_FAILURES = (*SERVER_ERRORS, DfsyncError, pa.ArrowException)
_LOG = sa.text("SHOW VARIABLES WHERE Variable_name IN ('log_bin', 'binlog_format')")


@dataclass(frozen=True)
class UndoneTable:
    """What this undo did to one table."""

    name: str
    table: str
    deleted: int = 0
    """Inserted rows that were deleted, or were gone already."""
    restored: int = 0
    """Updated rows that have their values of before again."""
    kept: int = 0
    """Rows that stay."""
    deleted_before: int = 0
    """What earlier undos of the run deleted; they are not among `deleted`."""
    restored_before: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    """Of the rows that stay, how many for each reason."""
    error: str | None = None
    note: str | None = None
    """What else there is to say of it."""


class RunUndo:
    """Owns the undo of one run.

    Parameters
    ----------
    out
        The output folder.
    record
        The run, of which no part is open.
    engine
        The target; the caller holds its `exclusive_lock`.
    options
        The choices.
    observer
        Hears which tables are done.
    """

    def __init__(
        self, out: Path, record: RunRecord, engine: sa.Engine, options: UndoOptions, observer: UndoObserver
    ) -> None:
        self._out, self._record, self._engine, self._options = out, record, engine, options
        self._observer = observer
        self._run = run_folder(out, record.id)

    def run(self) -> list[UndoneTable]:
        """Take the run back, as far as nobody else is concerned.

        Returns
        -------
        list of UndoneTable
            In the order of the undo, children first.

        Raises
        ------
        DfsyncError
            A table has a trigger on DELETE, or the target or a file is out of reach.
        """
        groups, schema, references = self._groups()
        dropped = self._dropped_tables(schema)
        names = [table.name for group in (dropped, *groups) for table in group]
        self._observer.run_started(self._record.id, names)
        done = [self._drop(table) for table in dropped]
        for group in groups:
            done += self._commit(group, schema, _with_failed(references, done))
        self._finish(done)
        return done

    def look(self, connection: sa.Connection) -> list[UndoneTable]:
        """Do and tell what `run` does, without its commits, files and maps.

        Parameters
        ----------
        connection
            As of `rolled_back`, with what was looked at before in its transaction.

        Returns
        -------
        list of UndoneTable
            As of `run`, which also says what it raises.
        """
        groups, schema, references = self._groups()
        done = [*map(_dropped, self._dropped_tables(schema))]
        for group in groups:
            try:
                undone = self._open(group, schema)
                with connection.begin_nested():
                    done += map(_told, self._undo(connection, undone, _with_failed(references, done)))
            except _FAILURES as error:
                if error_code(error) in RETRYABLE:
                    raise DfsyncError(f"The rows cannot be looked at: {explain(error)}.") from error
                done += _failed(group, error)
        return done

    def _groups(self) -> tuple[list[list[TableRecord]], Schema, list[Reference]]:
        with connect(self._engine) as connection:
            schema = reflect(connection)
            references = self._references(connection, schema)
            self._refuse_triggers(connection)
        found = [(schema.find(record.table), record) for record in self._tables()]
        tables = {table.name: record for table, record in found if table is not None}
        return [[tables[name] for name in group] for group in groups_of(list(tables), references)], schema, references

    def _tables(self) -> list[TableRecord]:
        """Those of which something may be left; what came after a whole undo is of others, also where it is equal."""
        return [table for table in self._record.tables if table.has_rows]

    def _dropped_tables(self, schema: Schema) -> list[TableRecord]:
        return [table for table in self._tables() if schema.find(table.table) is None]

    def _references(self, connection: sa.Connection, schema: Schema) -> list[Reference]:
        # Foreign keys may name a table in another case; a table whose name is the same but for that is another one.
        declared = [
            replace(
                r, child=_own_name(schema, r.child) if r.schema is None else r.child, parent=_own_name(schema, r.parent)
            )
            for r in read_references(connection)
        ]
        known = {(r.child.lower(), r.columns[0].lower()) for r in declared if r.schema is None and len(r.columns) == 1}
        tables = {str(table["name"]): table for table in self._record.plan.get("tables", [])}
        planned = [
            (child["table"], column, tables[parent]["table"], tables[parent]["id"])
            for child in tables.values()
            for column, parent in child["foreign_keys"].items()
            if parent in tables and tables[parent]["id"]
        ]
        others = planned_references(schema, planned)
        return [*declared, *(r for r in others if (r.child.lower(), r.columns[0].lower()) not in known)]

    def _refuse_triggers(self, connection: sa.Connection) -> None:
        triggers = delete_triggers(connection)
        found = [t.table for t in self._tables() if t.count("inserted") and t.table.lower() in triggers]
        if found and not self._options.run_triggers:
            named = ", ".join(f"{triggers[table.lower()]} of {table}" for table in found)
            raise DfsyncError(
                f"Rows would be deleted that have a trigger on DELETE ({named}), and what it does to rows of others "
                "cannot be seen. Nothing was taken back.",
                Remedy("With {run_triggers} the triggers run."),
            )

    def _open(self, group: Sequence[TableRecord], schema: Schema) -> list[Undo]:
        opened: list[Undo] = []
        for record in group:
            table = schema.find(record.table)
            assert table is not None
            if record.id is not None and record.id not in table:
                raise DfsyncError(
                    f"{record.table} has no column {record.id} any more, so nobody can tell which rows are of the run."
                )
            kind = KeylessUndo if record.id is None else TableUndo
            opened.append(kind(record, table, self._run, force=self._options.force))
        return opened

    def _undo(self, connection: sa.Connection, group: list[Undo], references: Sequence[Reference]) -> list[Undo]:
        for undo in group:
            undo.lock(connection)
        for undo in group:
            undo.restore(connection, references)
        edges = keep_referenced(connection, group, references)
        delete_rows(connection, group, edges)
        return group

    def _commit(
        self, group: Sequence[TableRecord], schema: Schema, references: Sequence[Reference]
    ) -> list[UndoneTable]:
        """Undo a group of tables; what may pass by itself is tried again."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                undone = self._open(group, schema)
                with _connected(self._engine) as connection, connection.begin():
                    self._undo(connection, undone, references)
                    for undo in undone:
                        write_rows(rows_file(self._run, KEPT, undo.record.name), [undo.kept()])
                        write_rows(rows_file(self._run, UNDOING, undo.record.name), [undo.begun()])
                break
            except _FAILURES as error:
                log.debug("attempt %d to undo %s failed", attempt, [t.name for t in group], exc_info=True)
                if error_code(error) not in RETRYABLE or attempt == _ATTEMPTS:
                    return _failed(group, error)
        done = [_told(undo) for undo in undone]
        for undo in undone:
            forget_rows(self._out, undo.record.name, self._record.target, undo.gone_ids(), undo.restored_ids())
            parts = range(1, len(undo.record.parts) + 2)
            # The first part has what was before the run.
            for replaced in reversed(read_rows(self._run, REPLACED, undo.record.name, parts)):
                put_back(self._out, undo.record.name, self._record, replaced, undo.restored_ids())
            undo.record.undone = undo.undone()
        self._write([undo.record for undo in undone])
        for undo in undone:
            rows_file(self._run, UNDOING, undo.record.name).unlink(missing_ok=True)
        return done

    def _drop(self, record: TableRecord) -> UndoneTable:
        """Say in the record and the maps that the rows of a table went with it."""
        done = _dropped(record)
        with suppress(DfsyncError):
            ids = [rows.column("new_id").to_numpy() for rows in read_committed(self._run, INSERTED, record)]
            if ids and record.id is not None:
                forget_rows(self._out, record.name, self._record.target, np.concatenate(ids), ids[0][:0])
        record.undone = Undone(record.count("inserted"), 0, 0)
        self._write([record])
        return done

    def _write(self, done: Sequence[TableRecord]) -> None:
        write_record(self._out, self._record)
        for table in done:
            self._observer.table_undone(self._record.id, table.name)

    def _finish(self, done: Sequence[UndoneTable]) -> None:
        several = holds_several(self._out)
        if several or (self._out / ID_MAPPINGS).exists():
            write = write_id_mappings_of_each if several else write_id_mappings
            write(self._out, [str(table["name"]) for table in self._record.plan["tables"]])
        if not any(table.error for table in done):
            self._record.undone = now()
        write_record(self._out, self._record)


def _own_name(schema: Schema, name: str) -> str:
    table = schema.find(name)
    return name if table is None else table.name


def _with_failed(references: Sequence[Reference], done: Sequence[UndoneTable]) -> list[Reference]:
    """Mark the references of tables that failed."""
    failed = {table.table.lower() for table in done if table.error}
    return [replace(r, child_failed=r.schema is None and r.child.lower() in failed) for r in references]


def _told(undo: Undo) -> UndoneTable:
    reasons = undo.kept().column("reason").value_counts().to_pylist()
    counts = {str(entry["values"]): int(entry["counts"]) for entry in reasons}
    return _since_before(undo.record, undo.undone(), reasons=counts)


def _dropped(record: TableRecord) -> UndoneTable:
    inserted, updated = (record.count(what) for what in ("inserted", "updated"))
    counts = " and ".join(f"{n:,} that it {what}" for n, what in ((inserted, "inserted"), (updated, "updated")) if n)
    note = f"the target has no table {record.table} any more, and with it went the rows of the run: {counts}"
    return _since_before(record, Undone(inserted, 0, 0), note=note)


def _since_before(record: TableRecord, undone: Undone, **told: Any) -> UndoneTable:
    """Take what earlier undos of the run did from what all of them did."""
    before = record.undone or Undone(0, 0, 0)
    return UndoneTable(
        record.name,
        record.table,
        deleted=max(undone.deleted - before.deleted, 0),
        restored=max(undone.restored - before.restored, 0),
        kept=undone.kept,
        deleted_before=before.deleted,
        restored_before=before.restored,
        **told,
    )


def _failed(group: Sequence[TableRecord], error: BaseException) -> list[UndoneTable]:
    return [UndoneTable(table.name, table.table, error=explain(error)) for table in group]


@contextmanager
def _connected(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Open a connection that locks rows and no gaps between them, so that others may go on inserting."""
    with connect(engine) as connection:
        log_of_statements = {"log_bin": "ON", "binlog_format": "STATEMENT"}
        found = {str(name): str(value) for name, value in connection.execute(_LOG)}
        connection.rollback()
        # With such a log the server refuses to write in READ COMMITTED.
        level = "REPEATABLE READ" if found == log_of_statements else "READ COMMITTED"
        yield connection.execution_options(isolation_level=level)


@contextmanager
def rolled_back(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Open one transaction for a dry run of several runs and all their tables, since each sees what became of others.

    Parameters
    ----------
    engine
        The target.

    Yields
    ------
    sqlalchemy.Connection
        In the transaction, which is rolled back at the end.
    """
    with _connected(engine) as connection:
        transaction = connection.begin()
        try:
            yield connection
        finally:
            transaction.rollback()
