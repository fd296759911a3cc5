"""The plan of a sync, resolved against source and target, and the ready-made plans."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd
import sqlalchemy as sa

from dfsync.model.errors import DfsyncError
from dfsync.model.options import SyncOptions
from dfsync.model.source_file import SourceSpec
from dfsync.output.result import Result
from dfsync.pipeline.session.ends import open_ends
from dfsync.pipeline.session.planning import complete_draft
from dfsync.pipeline.session.questions import undecided
from dfsync.plan.builtin.ready_made import Application, applications, plan_path
from dfsync.plan.discovery.bookkeeping import left_out_line
from dfsync.plan.discovery.exclusion import excluded_lines
from dfsync.plan.discovery.resolve import in_order
from dfsync.plan.graph import ancestors
from dfsync.plan.model import Plan, select
from dfsync.plan.questions import Question, with_likely_answers
from dfsync.plan.validation import EMPTY, identity_warnings
from dfsync.source.base import title
from dfsync.target.connection import display_name
from dfsync.target.schema.reflection import reflect
from dfsync.text.wording import printable, with_count


@dataclass(frozen=True, repr=False)
class PlanList(Result):
    """The ready-made plans: what `dfsync.list_plans` returns."""

    plans: tuple[Application, ...]

    @property
    def summary(self) -> pd.DataFrame:
        """One row per plan, index `plan`, all columns str: `name`, `about`, `telling_tables` with commas, `page`."""
        rows = [{**found.as_dict(), "telling_tables": ", ".join(found.telling_tables)} for found in self.plans]
        return pd.DataFrame(rows).set_index("plan")

    def __repr__(self) -> str:
        return f"<PlanList: {with_count(len(self.plans), 'plans')}>"

    def as_dict(self) -> dict[str, Any]:
        """Give what `--json` prints."""
        return {"plans": [found.as_dict() for found in self.plans]}


@dataclass(frozen=True, repr=False)
class ResolvedPlan(Result):
    """A complete plan and the tables that source or target lack: what `dfsync.resolve_plan` returns."""

    plan: Plan
    missing: dict[str, list[str]]
    """By name, which of `source` and `target` lack the table; empty where both have it."""
    source: str = ""
    """The SQLite file."""
    target: str = ""
    """Database and server, without user or password."""
    questions: tuple[Question, ...] = ()
    """What a person must decide before a sync starts."""
    no_order: str | None = None
    """Why no order of the tables puts parents before children, so that no sync starts; None where one does."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """By name, why sources of several cannot be read, as far as they were asked."""

    @property
    def to_write(self) -> Plan:
        """The plan for a plan file, with the likely answers to the questions.

        Without tables that the source lacks, unless another table refers to them.
        """
        present = {name for name, lacking in self.missing.items() if "source" not in lacking}
        answered = with_likely_answers(self.plan, self.questions)
        return _narrowed_to(answered, present | ancestors(answered, present))

    @property
    def warnings(self) -> list[str]:
        """What to know of several tables: those that are compared by their whole content unasked, those left out."""
        present = [table for table in self.plan.tables if "source" not in self.missing[table.name]]
        warnings = identity_warnings(present)
        return [f"{', '.join(map(printable, names))}: {note}." for note, names in warnings.items()]

    @property
    def notes(self) -> list[str]:
        """What the plan leaves out by itself, and why a ready-made one was chosen."""
        chosen = [self.plan.choice] if self.plan.choice else []
        left_out = [left_out_line(map(printable, self.plan.left_out))] if self.plan.left_out else []
        empty = [
            f"{printable(table.name)}: {', '.join(map(printable, table.empty_columns))}: {EMPTY}"
            for table in self.plan.tables
            if table.empty_columns
        ]
        return (
            chosen
            + excluded_lines(self.plan)
            + left_out
            + empty
            + [f"the source {printable(name)}: {why}" for name, why in self.unreadable.items()]
        )

    @property
    def summary(self) -> pd.DataFrame:
        """One row per table in the plan's order, index `name`, all columns str.

        `table`, `id` (None where the table has none), `natural_key`, `foreign_keys` and `missing_in`, the last three
        with commas between their parts.
        """
        rows = [
            {
                "name": table.name,
                "table": table.table,
                "id": table.id,
                "natural_key": ", ".join(table.key),
                "foreign_keys": ", ".join(f"{column} -> {parent}" for column, parent in table.parents.items()),
                "missing_in": ", ".join(self.missing[table.name]),
            }
            for table in self.plan.tables
        ]
        columns = ["name", "table", "id", "natural_key", "foreign_keys", "missing_in"]
        return pd.DataFrame(rows, columns=columns).set_index("name")

    def __repr__(self) -> str:
        return f"<ResolvedPlan: {self.plan.title}, {with_count(len(self.plan.tables), 'tables')}>"

    def as_dict(self) -> dict[str, Any]:
        """Give what `--json` prints."""
        tables = [
            {"order": order, **table.as_dict(), "missing_in": self.missing[table.name]}
            for order, table in enumerate(self.plan.tables, start=1)
        ]
        plan = {**self.plan.as_dict(), "tables": tables}
        questions = [question.as_dict() for question in self.questions]
        return {
            "source": self.source,
            "target": self.target,
            "plan": plan,
            "warnings": self.warnings,
            "notes": self.notes,
            "undecided": questions,
            "no_order": self.no_order,
        }


def resolve_plan(
    source: SourceSpec, target: str | sa.URL | None = None, *, options: SyncOptions | None = None
) -> ResolvedPlan:
    """Complete the plan that a sync with these options would follow, also where tables are missing.

    Parameters
    ----------
    source
        The SQLite file, or several, as `dfsync.sync` takes them: the first that can be read has the schema that counts.
    target
        The URL of the database; None looks where `sync` looks.
    options
        `plan` names a plan file; `tables` narrows the plan to these tables and the parents whose mappings they need.

    Returns
    -------
    ResolvedPlan
        The complete plan, and the tables that source or target lack.

    Raises
    ------
    DfsyncError
        Where source or target cannot be reached, or the plan cannot be completed. That its tables have no order is no
        error here, since the plan is what to mend: it is in `no_order`.
    """
    options = options or SyncOptions()
    with open_ends(source, target, options) as ends:
        target_schema = reflect(ends.connection)
        place = display_name(ends.connection.engine.url)
        completed = complete_draft(plan_path(options.plan), ends.source, target_schema, options.exclude)
        plan, no_order = _ordered(_narrowed(completed, options.tables))
        questions = undecided(plan, ends.source, target_schema, plan.names)
    schemas = {"source": ends.source.schema, "target": target_schema}
    missing = {
        table.name: [name for name, schema in schemas.items() if schema.find(table.table) is None]
        for table in plan.tables
    }
    return ResolvedPlan(plan, missing, title(ends.source), place, questions, no_order, dict(ends.source.failures))


def _ordered(plan: Plan) -> tuple[Plan, str | None]:
    """The plan in order, or as it is with the reason why it has none."""
    try:
        return in_order(plan), None
    except DfsyncError as error:
        return plan, str(error)


def _narrowed(plan: Plan, names: Iterable[str] | None) -> Plan:
    if names is None:
        return plan
    requested = select(plan, names)
    return _narrowed_to(plan, {*requested, *ancestors(plan, requested)})


def _narrowed_to(plan: Plan, kept: set[str]) -> Plan:
    tables = [replace(t, after=tuple(n for n in t.after if n in kept)) for t in plan.tables if t.name in kept]
    return replace(plan, tables=tuple(tables))


def list_plans() -> PlanList:
    """List the ready-made plans: for what each is, and the tables by which a source is known.

    Returns
    -------
    PlanList
    """
    return PlanList(tuple(applications()))
