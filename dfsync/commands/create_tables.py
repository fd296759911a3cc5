"""Creates the tables that the target lacks, after those of the source; `dfsync.target.schema` writes the SQL."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import sqlalchemy as sa

from dfsync.commands.preflight.proposals import forms_of_all_values, proposed_lines
from dfsync.model.errors import DfsyncError
from dfsync.model.options import SyncOptions
from dfsync.model.partition import Partition
from dfsync.model.rejects import no_rejects
from dfsync.model.schema import Column, Schema, Table
from dfsync.model.source_file import SourceSpec
from dfsync.output.result import Result
from dfsync.pipeline.session.ends import open_ends
from dfsync.pipeline.session.planning import resolve_draft
from dfsync.pipeline.session.questions import refuse_undecided
from dfsync.plan.builtin.ready_made import plan_path
from dfsync.plan.discovery.draft import expected_schema
from dfsync.plan.graph import ancestors
from dfsync.plan.model import TablePlan, select
from dfsync.plan.questions import Answer
from dfsync.source.base import Source
from dfsync.source.profile import SourceProfiler
from dfsync.stages.conform.conform import conform
from dfsync.target.errors import SERVER_ERRORS, explain
from dfsync.target.schema.builder import TableBuilder
from dfsync.target.schema.reflection import reflect
from dfsync.text.wording import plan_section, printable, reindent, with_count

log = logging.getLogger(__name__)


@dataclass(frozen=True, repr=False)
class CreateTablesResult(Result):
    """What `dfsync.create_tables` did, or with `print_only` would do."""

    plan: str
    """The title of the plan that the tables follow."""
    statements: tuple[str, ...]
    """The SQL, in the order in which it runs."""
    created: tuple[str, ...]
    existing: tuple[str, ...]
    """In the target already, and left alone."""
    lacking: tuple[str, ...]
    """In the plan, and not in the source."""
    notes: tuple[str, ...]
    """Where a table differs from that of the source, and why, and where an existing one lacks a unique key."""

    @property
    def summary(self) -> pd.DataFrame:
        """One row per table, index `table`, column `outcome` str: `created`, `existing` or `lacking`."""
        outcomes = {name: getattr(self, name) for name in ("created", "existing", "lacking")}
        rows = [(table, outcome) for outcome, tables in outcomes.items() for table in tables]
        return pd.DataFrame(rows, columns=["table", "outcome"]).set_index("table")

    def __repr__(self) -> str:
        created = f"{with_count(len(self.created), 'tables')} created"
        return f"<CreateTablesResult: {created}, {len(self.existing)} existing, {len(self.lacking)} lacking>"

    def as_dict(self) -> dict[str, Any]:
        """Give the fields as JSON takes them."""
        return {name: value if isinstance(value, str) else list(value) for name, value in vars(self).items()}


def create_tables(
    source: SourceSpec,
    target: str | sa.URL | None = None,
    *,
    options: SyncOptions | None = None,
    print_only: bool = False,
) -> CreateTablesResult:
    """Create the planned tables of the source that the target lacks.

    Parameters
    ----------
    source
        The SQLite file, or several, as `dfsync.sync` takes them: the types hold the values of all.
    target
        The URL of the database; None looks where `sync` looks.
    options
        `plan` names a plan file, which says what the unique keys are; `tables` narrows it to these and their parents.
    print_only
        Whether the statements are only written down, and nothing changes.

    Returns
    -------
    CreateTablesResult
        The statements, and which tables were created.

    Raises
    ------
    DfsyncError
        Where source or target cannot be reached, no column type of the target holds the values, or the target refuses
        a table.
    """
    options = options or SyncOptions()
    with open_ends(source, target, options) as ends:
        return _create_missing(ends.source, ends.connection, options, print_only)


def _create_missing(
    source: Source, connection: sa.Connection, options: SyncOptions, print_only: bool
) -> CreateTablesResult:
    target_schema = reflect(connection)
    expected, keep_ids = expected_schema(source.schema, target_schema), options.keep_ids is not None
    path = plan_path(options.plan)
    plan = resolve_draft(path, source, expected, keep_ids=keep_ids, exclude=options.exclude)
    requested = select(plan, options.tables or plan.names)
    tables = [plan[name] for name in plan.names if name in {*requested, *ancestors(plan, requested)}]
    present = {table.table.lower(): table for table in tables if source.schema.find(table.table) is not None}
    new = [table for table in present.values() if target_schema.find(table.table) is None]
    existing = [table for table in present.values() if table not in new]
    refuse_undecided(plan, source, target_schema, requested, options.exclude)
    source = source.with_plan(plan)
    built = TableBuilder(source.schema, SourceProfiler(source), target_schema, plan, connection).build(new)
    doubtful = built.doubtful
    if not print_only:
        _execute(connection, built.statements)
        doubtful = _with_named_types(new, doubtful, connection)
    return CreateTablesResult(
        plan=plan.title,
        statements=tuple(sql for _, sql in built.statements),
        created=tuple(table.table for table in new),
        existing=tuple(table.table for table in existing),
        lacking=tuple(table.table for table in tables if table.table.lower() not in present),
        notes=(
            *(f"The source {name} is left out: {why}" for name, why in source.failures.items()),
            *built.notes,
            *_values_that_do_not_fit(source, new, doubtful),
            *_missing_unique_keys(existing, target_schema),
        ),
    )


def _with_named_types(
    tables: Iterable[TablePlan], doubtful: Mapping[str, list[Column]], connection: sa.Connection
) -> dict[str, list[Column]]:
    """Add the columns of which the plan names the type, as the target has made them."""
    named = {plan.table.lower(): [column for column, _ in plan.types] for plan in tables if plan.types}
    if not named:
        return dict(doubtful)
    made = reflect(connection)
    return {
        name: [*columns, *(table[column] for column in named.get(name.lower(), ()))]
        for name, columns in doubtful.items()
        if (table := made.find(name)) is not None
    }


def _values_that_do_not_fit(
    source: Source, tables: Iterable[TablePlan], doubtful: Mapping[str, list[Column]]
) -> Iterator[str]:
    """A note for each column that keeps its declared type, or has that of the plan, and does not hold all values."""
    for plan in tables:
        table = source.schema[plan.table]
        for column in doubtful[table.name]:
            column = replace(column, name=table[column.name].name, written_as=plan.written_as.get(column.name.lower()))
            partition = Partition(source.path, table.name, plan.id, (column.name,))
            batches = source.batches(partition, SyncOptions.batch_size)
            unfit = pd.concat([no_rejects(), *(conform(frame, [column]).rejects for frame in batches)])
            if len(unfit):
                first = f"'{printable(unfit.iloc[0]['value'])}' {unfit.iloc[0]['reason']}"
                yield (
                    f"{table.name}.{column.name}: {len(unfit)} of {with_count(source.count(table), 'rows')} hold no "
                    f"{column.type} ({first}), and the sync will reject them. {_remedy(source, plan, table, column)}"
                )


def _remedy(source: Source, plan: TablePlan, table: Table, column: Column) -> str:
    """What brings the values in: the lines of a plan file that convert all of them, else a type that holds them."""
    forms = forms_of_all_values(source, plan, table, column)
    if forms:
        lines = " or ".join(answer.line for answer in proposed_lines(plan, {column.name: forms}, column.name))
        return f"In a plan file, {plan_section(plan.name)} {lines} converts them."
    keyed = any(column.name in key for key in (plan.key, *table.uniques()))
    line = Answer("types", {**dict(plan.types), column.name: "VARCHAR(255)" if keyed else "TEXT"}).line
    anew = f"create the table anew with a plan file in which {plan_section(plan.name)} has {line}"
    return f"Correct them in the source, or {anew}."


def _missing_unique_keys(existing: list[TablePlan], target_schema: Schema) -> Iterator[str]:
    """A note for each existing table without the unique key that a new one would get."""
    for table in existing:
        target_table = target_schema.find(table.table)
        if target_table and table.key and not target_table.is_unique(table.key):
            yield (
                f"{table.table} has no unique key over {', '.join(table.key)}, its natural key, so nothing keeps other "
                "clients from writing a key twice. Add one in the target if its rows allow it."
            )


def _execute(connection: sa.Connection, statements: list[tuple[str, str]]) -> None:
    for table, sql in statements:
        log.debug("%s: %s", table, sql.split("\n", 1)[0])
        try:
            # As printed: the driver must not look for parameters in names that hold a percent sign.
            connection.execution_options(no_parameters=True).exec_driver_sql(sql)
        except SERVER_ERRORS as error:
            was = re.sub(r"\n *", " ", reindent(sql)).strip()
            raise DfsyncError(f"The target refuses to make {table}: {explain(error)}. It was: {was}") from error
