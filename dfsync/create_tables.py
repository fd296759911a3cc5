"""Makes the tables that the target lacks, after those of the source. `dfsync.table_builder` writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pymysql
import sqlalchemy as sa

from dfsync import target as server
from dfsync.discover import choose_plan, complete
from dfsync.errors import DfsyncError
from dfsync.graph import ancestors
from dfsync.options import Options
from dfsync.plan import TablePlan, only
from dfsync.schema import Schema
from dfsync.settings import open_target
from dfsync.source import Source
from dfsync.table_builder import TableBuilder
from dfsync.target_schema import reflect
from dfsync.words import visible

_LONGEST = 2000


@dataclass(frozen=True)
class Creation:
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

    def script(self) -> list[str]:
        """The SQL, what is to be said about it as comments."""
        said = [f"{visible(table, _LONGEST)} is there and is left alone." for table in self.existing]
        return [f"-- {line}" for line in [self._plan_line(), *said, *self._remarks()]] + [
            f"{_spaced(sql)};" for sql in self.statements
        ]

    def lines(self) -> list[str]:
        """For a terminal, what was done."""
        created = [f"Created {visible(table, _LONGEST)}" for table in self.created]
        existing = [f"{visible(table, _LONGEST)} is there and is left alone" for table in self.existing]
        return [self._plan_line(), *created, *existing, *(f"Note: {line}" for line in self._remarks())]

    def _plan_line(self) -> str:
        return f"Plan: {visible(self.plan, _LONGEST)}"

    def _remarks(self) -> list[str]:
        lacking = [f"{table} is not in the source, so it is not made." for table in self.lacking]
        return [visible(line, _LONGEST) for line in (*self.notes, *lacking)]


def _spaced(sql: str) -> str:
    """As a person would write it; SQLAlchemy begins the lines with tabs and ends them with blanks."""
    return re.sub(r" ?\n\t", "\n  ", sql).replace("\n)ENGINE", "\n) ENGINE")


def create_tables(
    source: str | Path, target: str | sa.URL | None = None, options: Options | None = None, *, print_only: bool = False
) -> Creation:
    """Makes the planned tables of the source that the target lacks. With `print_only` nothing changes.

    `target` is a URL; None looks where the command line looks.

    Raises `DfsyncError` where an end cannot be reached, a table cannot be made, or the target refuses it.
    """
    options = options or Options()
    with open_target(target, source) as choice:
        engine = server.make_engine(choice.url)
        try:
            with Source(source) as opened, server.connect(engine) as connection:
                return _create(opened, connection, options, print_only)
        finally:
            engine.dispose()


def expected_schema(source: Schema, target: Schema) -> Schema:
    """The target as it will be: its tables, and those of the source that it lacks."""
    return Schema({**{name: table for name, table in source.items() if target.find(name) is None}, **target})


def _create(source: Source, connection: sa.Connection, options: Options, print_only: bool) -> Creation:
    there = reflect(connection)
    plan = complete(choose_plan(options.plan, source), source.schema, expected_schema(source.schema, there))
    asked = only(plan, options.tables or plan.names)
    tables = [plan[name] for name in plan.names if name in {*asked, *ancestors(plan, asked)}]
    present = {table.table.lower(): table for table in tables if source.schema.find(table.table) is not None}
    new = [table for table in present.values() if there.find(table.table) is None]
    existing = [table for table in present.values() if table not in new]
    builder = TableBuilder(source, there, plan, connection)
    statements = builder.build(new)
    if not print_only:
        _run(connection, statements)
    return Creation(
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


def _run(connection: sa.Connection, statements: list[tuple[str, str]]) -> None:
    for table, sql in statements:
        try:
            # As printed: the driver must not look for parameters in names that hold a percent sign.
            connection.execution_options(no_parameters=True).exec_driver_sql(sql)
        except (sa.exc.SQLAlchemyError, pymysql.MySQLError) as error:
            was = re.sub(r"\n *", " ", _spaced(sql)).strip()
            raise DfsyncError(f"The target refuses to make {table}: {server.refusal(error)}. It was: {was}") from error
