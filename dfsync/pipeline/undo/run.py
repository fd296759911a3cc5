"""Taking a run back, one transaction for each group of tables; what is done is in the record of the run after each."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import sqlalchemy as sa

from dfsync.model.errors import DfsyncError, Remedy
from dfsync.model.options import UndoOptions
from dfsync.model.schema import Schema
from dfsync.output.folder.id_mappings import ID_MAPPINGS, write_id_mappings, write_id_mappings_of_each
from dfsync.output.folder.same_ends import holds_several
from dfsync.output.journal.maps import forget_rows, put_back
from dfsync.output.journal.record import RunRecord, TableRecord, Undone, now, run_folder, write_record
from dfsync.output.journal.rows import KEPT, REPLACED, read_rows, rows_file, write_rows
from dfsync.pipeline.undo.keyless import KeylessUndo
from dfsync.pipeline.undo.order import groups_of
from dfsync.pipeline.undo.referenced import Undo, delete_rows, keep_referenced
from dfsync.pipeline.undo.table import TableUndo
from dfsync.target.connection import connect
from dfsync.target.errors import RETRYABLE, SERVER_ERRORS, error_code, explain
from dfsync.target.read.references import Reference, delete_triggers, planned_references, read_references
from dfsync.target.schema.reflection import reflect

log = logging.getLogger(__name__)

_ATTEMPTS = 3
_LOG = sa.text("SHOW VARIABLES WHERE Variable_name IN ('log_bin', 'binlog_format')")


@dataclass(frozen=True)
class UndoneTable:
    """What became of one table."""

    name: str
    table: str
    undone: Undone
    reasons: dict[str, int]
    """Of the rows that stay, how many for each reason."""
    error: str | None = None


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
    """

    def __init__(self, out: Path, record: RunRecord, engine: sa.Engine, options: UndoOptions) -> None:
        self._out, self._record, self._engine, self._options = out, record, engine, options
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
        with connect(self._engine) as connection:
            schema = reflect(connection)
            references = self._references(connection, schema)
            self._refuse_triggers(connection)
        tables = {_own_name(schema, table.table): table for table in self._tables()}
        groups = [[tables[name] for name in group] for group in groups_of(list(tables), references)]
        done: list[UndoneTable] = []
        if self._options.dry_run:
            # One transaction, so that each table sees what became of those that refer to it.
            with self._connected() as connection, _rolled_back(connection):
                for group in groups:
                    done += [_told(undo) for undo in self._undo(connection, self._open(group, schema), references)]
            return done
        for group in groups:
            done += self._commit(group, schema, references)
        self._finish(done)
        return done

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        """Open a connection that locks rows and no gaps between them, so that others may go on inserting."""
        with connect(self._engine) as connection:
            log_of_statements = {"log_bin": "ON", "binlog_format": "STATEMENT"}
            found = {str(name): str(value) for name, value in connection.execute(_LOG)}
            connection.rollback()
            # With such a log the server refuses to write in READ COMMITTED.
            level = "REPEATABLE READ" if found == log_of_statements else "READ COMMITTED"
            yield connection.execution_options(isolation_level=level)

    def _tables(self) -> list[TableRecord]:
        """Those of which something may be left; what came after a whole undo is of others, also where it is equal."""
        return [table for table in self._record.tables if table.has_rows]

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
            if table is None:
                raise DfsyncError(f"The target has no table {record.table} any more; nothing of it can be taken back.")
            kind = KeylessUndo if record.id is None else TableUndo
            opened.append(kind(record, table, self._run, force=self._options.force))
        return opened

    def _undo(self, connection: sa.Connection, group: list[Undo], references: Sequence[Reference]) -> list[Undo]:
        for undo in group:
            undo.lock(connection)
        for undo in group:
            undo.restore(connection)
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
                with self._connected() as connection, connection.begin():
                    self._undo(connection, undone, references)
                    for undo in undone:
                        write_rows(rows_file(self._run, KEPT, undo.record.name), [undo.kept()])
                break
            except (*SERVER_ERRORS, DfsyncError, pa.ArrowException) as error:
                log.debug("attempt %d to undo %s failed", attempt, [t.name for t in group], exc_info=True)
                if error_code(error) not in RETRYABLE or attempt == _ATTEMPTS:
                    reason = explain(error)
                    return [UndoneTable(t.name, t.table, Undone(0, 0, 0), {}, reason) for t in group]
        for undo in undone:
            forget_rows(self._out, undo.record.name, self._record.target, undo.gone_ids(), undo.restored_ids())
            parts = range(1, len(undo.record.parts) + 2)
            # The first part has what was before the run.
            for replaced in reversed(read_rows(self._run, REPLACED, undo.record.name, parts)):
                put_back(self._out, undo.record.name, self._record, replaced, undo.restored_ids())
            undo.record.undone = undo.undone()
        write_record(self._out, self._record)
        return [_told(undo) for undo in undone]

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


def _told(undo: Undo) -> UndoneTable:
    reasons = undo.kept().column("reason").value_counts().to_pylist()
    counts = {str(entry["values"]): int(entry["counts"]) for entry in reasons}
    return UndoneTable(undo.record.name, undo.record.table, undo.undone(), counts)


@contextmanager
def _rolled_back(connection: sa.Connection) -> Iterator[None]:
    transaction = connection.begin()
    try:
        yield
    finally:
        transaction.rollback()
