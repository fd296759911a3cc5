"""The tables of a plan that are not the source's own as they are, made readable in the snapshot of a file.

A table whose columns have other names is read through a temporary view, which SQLite resolves without cost. The rows of
views and queries are written to a temporary table first: what a query gives has neither ids in order nor a way to the
row of an id, and need not be the same twice. Temporary views and tables are the connection's own, and are on no disk
but that of the temporary folder; the source is only read.

References
----------
https://www.sqlite.org/lang_createview.html
https://www.sqlite.org/tempfiles.html section 2.6
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from contextlib import closing
from dataclasses import replace

from dfsync.model.errors import DfsyncError
from dfsync.model.options import SyncOptions
from dfsync.model.schema import Column, Schema, Table
from dfsync.plan.builtin.ready_made import plan_path
from dfsync.plan.discovery.exclusion import is_named
from dfsync.plan.file import read_plan
from dfsync.plan.model import TablePlan
from dfsync.source.dialect import quoted
from dfsync.source.planned.renamed import new_names, renamed_schema, renamed_table
from dfsync.source.reflection import reflect_columns
from dfsync.source.sqlite import SqliteSource
from dfsync.text.wording import plan_section, printable

_ROWID = "dfsync rowid"
_TEMP = "temp"
_MAX_REASON = 300


class PlannedTables:
    """Shows the tables of a file as a plan wants them.

    Parameters
    ----------
    drafts
        What the plan says of its tables.
    plan
        What to call the plan in errors.
    excluded, unread
        Names in the plan: of tables that are not looked at, and of those whose rows nobody reads. Their queries do not
        run.

    Raises
    ------
    DfsyncError
        A query is not one SELECT.
    """

    def __init__(
        self,
        drafts: Iterable[TablePlan] = (),
        plan: str = "The plan",
        *,
        excluded: Collection[str] = (),
        unread: Collection[str] = (),
    ) -> None:
        self._drafts = tuple(drafts)
        self._plan = plan
        self._excluded, self._unread = excluded, unread
        for draft in self._drafts:
            if draft.query is not None:
                _require_select(plan, draft.name, draft.query)

    @staticmethod
    def of(options: SyncOptions) -> PlannedTables:
        """Read a plan file; without one all tables are shown as they are. Raises `DfsyncError` as `read_plan`."""
        path = plan_path(options.plan)
        if path is None:
            return PlannedTables()
        drafts = read_plan(path).tables
        excluded = {draft.name for draft in drafts if is_named(draft.table, options.exclude)}
        others = () if options.tables is None else [draft for draft in drafts if draft.name not in options.tables]
        # A table without an id is nobody's parent.
        unread = {draft.name for draft in others if not draft.id}
        return PlannedTables(drafts, f"The plan {path}", excluded=excluded, unread=unread)

    def show(self, source: SqliteSource, schema: Schema) -> Schema:
        """Make the planned tables readable in the snapshot of a file.

        Parameters
        ----------
        source
            The file. Its `schema` is not read.
        schema
            Its tables.

        Returns
        -------
        Schema
            The same where the plan wants nothing else.

        Raises
        ------
        DfsyncError
            A query or a view cannot be run, or the plan names a column that is not there.
        """
        planned: list[tuple[TablePlan, Table]] = []
        names: dict[str, dict[str, str]] = {}
        views = {view.lower(): view for view in schema.views}
        for draft in self._drafts:
            table = schema.find(draft.in_source) if draft.in_source is not None else None
            if draft.query is not None:
                what = f"The query of {plan_section(draft.name)}"
                planned.append((draft, self._spooled(source, draft, draft.query, what)))
            elif table is not None and (draft.source_table or draft.columns):
                names[table.name] = new_names(draft, table.columns, self._plan)
                planned.append((draft, _renamed(source, draft, table, names[table.name])))
            elif table is None and (view := views.get((draft.in_source or "").lower())) is not None:
                columns = [] if draft.name in self._excluded else reflect_columns(source, view)
                given = new_names(draft, columns, self._plan) if columns else {}
                select = f"SELECT {_renaming(given)} FROM main.{quoted(view)}"  # noqa: S608 quoted by the dialect
                planned.append((draft, self._spooled(source, draft, select, f"The view {view}")))
        return renamed_schema(schema, planned, names) if planned else schema

    def _spooled(self, source: SqliteSource, draft: TablePlan, select: str, what: str) -> Table:
        if draft.name in self._excluded:
            return Table(draft.table, ())
        return _spool(source, draft, select, what, read=draft.name not in self._unread)


def _require_select(plan: str, name: str, query: str) -> None:
    """Refuse what is not one SELECT: SQLite's grammar takes nothing else for a view, and resolves no names yet."""
    with closing(sqlite3.connect(":memory:")) as connection:
        try:
            connection.execute(f"CREATE TEMP VIEW query AS {query}")
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            reason = printable(error, _MAX_REASON)
            raise DfsyncError(
                f"{plan}: the query of {plan_section(name)} must be one SELECT, which only reads: {reason}."
            ) from error


def _renamed(source: SqliteSource, draft: TablePlan, table: Table, names: dict[str, str]) -> Table:
    """The table under its new names; a view of the connection where columns have others."""
    if not draft.columns:
        return renamed_table(table, draft, names, table.name)
    view = f"dfsync {draft.name}"
    rowid = [] if table.rowid is None else [f"{table.rowid} AS {quoted(_ROWID)}"]
    columns = ", ".join([*rowid, _renaming(names)])
    _run(source, f"CREATE TEMP VIEW {quoted(view)} AS SELECT {columns} FROM main.{quoted(table.name)}")  # noqa: S608 quoted by the dialect
    shown = renamed_table(table, draft, names, view)
    return shown if table.rowid is None else replace(shown, rowid=quoted(_ROWID))


def _renaming(names: dict[str, str]) -> str:
    return ", ".join(f"{quoted(name)} AS {quoted(new)}" for name, new in names.items())


def _spool(source: SqliteSource, draft: TablePlan, select: str, what: str, *, read: bool) -> Table:
    """The rows of a SELECT in a temporary table, whose columns keep every value as it is since they have no type."""
    view, rows = quoted(f"dfsync select {draft.name}"), f"dfsync {draft.name}"
    try:
        _run(source, f"CREATE TEMP VIEW {view} AS {select}")
        columns = reflect_columns(source, f"dfsync select {draft.name}", _TEMP)
        listed = ", ".join(quoted(column.name) for column in columns)
        _run(source, f"CREATE TEMP TABLE {quoted(rows)} ({listed})")
        if read:
            _run(source, f"INSERT INTO {quoted(rows)} SELECT * FROM {view}")  # noqa: S608 quoted by the dialect
        if read and not _is_same(source, view, quoted(rows)):
            source.unsteady[draft.table] = (
                f"{what} gives other rows when it is run again, so nothing could be compared with the next run. Leave "
                "out what changes by itself, such as random(), 'now', or a LIMIT without an ORDER BY."
            )
        _run(source, f"DROP VIEW {view}")
    except DfsyncError as error:
        # As in `IO: Failed to step query: no such column: name`.
        reason = str(error.__cause__ or error).split(" query: ", 1)[-1]
        raise DfsyncError(f"{what} cannot be run on {source.path}: {printable(reason, _MAX_REASON)}.") from error
    return _table(draft, columns, rows)


def _is_same(source: SqliteSource, view: str, rows: str) -> bool:
    """Whether a second read gives the rows of the first one."""
    statement = (
        f"SELECT (SELECT count(*) FROM {view}) = (SELECT count(*) FROM {rows}) AND NOT EXISTS "  # noqa: S608 quoted by the dialect
        f"(SELECT * FROM {view} EXCEPT SELECT * FROM {rows}) AS same"
    )
    return bool(source.run(statement, [], 1).to_pylist()[0]["same"])


def _table(draft: TablePlan, columns: Sequence[Column], rows: str) -> Table:
    """The table of a query; its id, which the plan names, stands for a primary key, which a query has not."""
    taken = {column.name.lower() for column in columns}
    rowid = next((alias for alias in ("rowid", "_rowid_", "oid") if alias not in taken), None)
    own = next((column.name for column in columns if draft.id and column.name.lower() == draft.id.lower()), None)
    described = tuple(
        replace(column, kind="integer", type="INTEGER", nullable=False) if column.name == own else column
        for column in columns
    )
    key = () if own is None else (own,)
    return Table(draft.table, described, primary_key=key, rowid=rowid, relation=rows, spooled=True)


def _run(source: SqliteSource, statement: str) -> None:
    source.run(statement, [], 1)
