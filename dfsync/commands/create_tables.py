"""Makes the tables that the target lacks, after those of the source. `dfsync.table_builder` writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pymysql
import sqlalchemy as sa

from dfsync.model.errors import DfsyncError
from dfsync.model.options import SyncOptions
from dfsync.model.schema import Schema
from dfsync.pipeline.session import draft_plan, open_target
from dfsync.plan.discovery import expected_schema, resolve
from dfsync.plan.graph import ancestors
from dfsync.plan.model import TablePlan, select
from dfsync.source.profile import SourceProfiler
from dfsync.source.sqlite import SqliteSource
from dfsync.target.connection import connect, make_engine
from dfsync.target.errors import explain
from dfsync.target.schema.builder import TableBuilder
from dfsync.target.schema.reflection import reflect
from dfsync.text.wording import reindent


@dataclass(frozen=True)
class CreateTablesResult:
    """What `create_tables` did, or with `print_only` would do."""

    plan: str
    """The title of the plan that they are made after."""
    statements: tuple[str, ...]
    """In the order in which they run."""
    created: tuple[str, ...]
    existing: tuple[str, ...]
    """In the target already, and left alone."""
    lacking: tuple[str, ...]
    """In the plan, and not in the source."""
    notes: tuple[str, ...]
    """Where a table differs from that of the source, and why, and where one that is there lacks a unique key."""


def create_tables(
    source: str | Path,
    target: str | sa.URL | None = None,
    options: SyncOptions | None = None,
    *,
    print_only: bool = False,
) -> CreateTablesResult:
    """Makes the planned tables of the source that the target lacks. With `print_only` nothing changes.

    `target` is a URL; None looks where the command line looks.

    Raises `DfsyncError` where an end cannot be reached, a table cannot be made, or the target refuses it.
    """
    options = options or SyncOptions()
    with open_target(target, source) as choice:
        engine = make_engine(choice.url)
        try:
            with SqliteSource(source) as opened, connect(engine) as connection:
                return _create_missing(opened, connection, options, print_only)
        finally:
            engine.dispose()


def _create_missing(
    source: SqliteSource, connection: sa.Connection, options: SyncOptions, print_only: bool
) -> CreateTablesResult:
    there = reflect(connection)
    plan = resolve(draft_plan(options.plan, source), source.schema, expected_schema(source.schema, there))
    asked = select(plan, options.tables or plan.names)
    tables = [plan[name] for name in plan.names if name in {*asked, *ancestors(plan, asked)}]
    present = {table.table.lower(): table for table in tables if source.schema.find(table.table) is not None}
    new = [table for table in present.values() if there.find(table.table) is None]
    existing = [table for table in present.values() if table not in new]
    builder = TableBuilder(source.schema, SourceProfiler(source), there, plan, connection)
    statements = builder.build(new)
    if not print_only:
        _execute(connection, statements)
    return CreateTablesResult(
        plan=plan.title,
        statements=tuple(sql for _, sql in statements),
        created=tuple(table.table for table in new),
        existing=tuple(table.table for table in existing),
        lacking=tuple(table.table for table in tables if table.table.lower() not in present),
        notes=(*builder.notes, *_not_unique(existing, there)),
    )


def _not_unique(existing: list[TablePlan], there: Schema) -> Iterator[str]:
    """A note for each table that is left alone though a new one would get a unique key."""
    for table in existing:
        made, key = there.find(table.table), {name.lower() for name in table.key}
        if made and key and not any(key >= {name.lower() for name in unique} for unique in made.uniques()):
            yield (
                f"{table.table} has no unique key over {', '.join(table.key)}, its natural key, so nothing keeps other "
                "clients from writing a key twice. Add one in the target if its rows allow it."
            )


def _execute(connection: sa.Connection, statements: list[tuple[str, str]]) -> None:
    for table, sql in statements:
        try:
            # As printed: the driver must not look for parameters in names that hold a percent sign.
            connection.execution_options(no_parameters=True).exec_driver_sql(sql)
        except (sa.exc.SQLAlchemyError, pymysql.MySQLError) as error:
            was = re.sub(r"\n *", " ", reindent(sql)).strip()
            raise DfsyncError(f"The target refuses to make {table}: {explain(error)}. It was: {was}") from error
