"""Questions about ids: whether a number means something by itself, and whether an id 0 does."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import sqlalchemy as sa

from dfsync.model.schema import Schema, Table
from dfsync.pipeline.session.planning import id_faults
from dfsync.plan.discovery.evidence import assigned_column, is_reference
from dfsync.plan.discovery.id_names import is_usual_id
from dfsync.plan.discovery.identity import own_number
from dfsync.plan.graph import is_circular, strongly_connected
from dfsync.plan.model import EXPLICIT_ORIGINS, Plan, TablePlan
from dfsync.plan.questions import Answer, Question
from dfsync.source.base import ASKED_FILES, Source
from dfsync.text.wording import with_count

_MAX_FIRST, _MAX_PER_ROW = 1, 2
"""Numbers look counted where they begin with 0 or 1, and the highest is at most twice the number of rows."""


def id_questions(plan: Plan, source: Source, target: Schema, names: Collection[str]) -> Iterator[Question]:
    """Ask about the ids of a plan.

    Parameters
    ----------
    plan
        The complete plan.
    source
        The source, whose rows give the evidence: of several files the first `ASKED_FILES`.
    target
        All tables of the target.
    names
        The tables that are asked about.

    Yields
    ------
    Question
        At most one for each table: its integer primary key has no usual name and the target does not say what it is,
        or a column that the target numbers has values that are no ids, or a row has the id 0.
    """
    circles = strongly_connected(plan.tables)
    for table in plan.tables:
        source_table = source.schema.find(table.table)
        if source_table is None or table.name not in names:
            continue
        target_table = target.find(table.table)
        question = None
        if table.origin.get("id") not in EXPLICIT_ORIGINS:
            question = _unassigned(table, source, source_table, target_table)
            question = question or _meaningful(table, source, source_table, target_table)
        question = question or _zero(table, source, source_table, circular=is_circular(table, circles))
        if question is not None:
            yield question


def _unassigned(table: TablePlan, source: Source, source_table: Table, target_table: Table | None) -> Question | None:
    """A column that the target numbers, in whose values discovery saw no ids, or an id that nothing numbers."""
    if table.id is not None or target_table is None:
        return None
    column = assigned_column(table, source_table, target_table)
    own = own_number(source_table)
    if column is not None:
        faults = id_faults(source, source_table.name, column)
        counted = " and ".join(f"{with_count(count, 'rows')} with a value {f}" for f, count in faults.items() if count)
        evidence = f"is numbered by the target (AUTO_INCREMENT), and cannot be the id: {counted}"
        answers = (Answer("ignore_columns", [column]), Answer("id", ""))
        return Question(table.name, column, evidence, answers)
    known = own is not None and own in target_table and target_table[own].kind == "integer"
    if own is not None and known and is_usual_id(table.table, own) and own not in table.ignore_columns:
        evidence = (
            "is called like an id, and the target does not number it (no AUTO_INCREMENT): with the first line "
            "it stays as it is, and rows of the same number are the same row; with the second the target's column "
            "must become AUTO_INCREMENT"
        )
        return Question(table.name, own, evidence, (Answer("id", ""), Answer("id", own)))
    return None


def _meaningful(table: TablePlan, source: Source, source_table: Table, target_table: Table | None) -> Question | None:
    """An integer primary key that is called like no id, where the target has yet to be made."""
    if target_table is not None or table.id is None or is_usual_id(table.table, table.id):
        return None
    # What the source itself numbers (AUTOINCREMENT) means nothing.
    if table.id in source_table and source_table[table.id].auto_increment:
        return None
    first, last, count = _span(source, source_table, table.id)
    children = [
        other.name
        for other in source.schema.values()
        if other is not source_table
        for reference in other.references
        if reference.parent.lower() == source_table.name.lower() and len(reference.columns) == 1
    ]
    counted = count == 0 or (0 <= first <= _MAX_FIRST and last <= _MAX_PER_ROW * count)
    said = [f"its values go from {first} to {last} in {with_count(count, 'rows')}"] if count else ["there are no rows"]
    said += [f"{children[0]} refers to it"] if children else []
    evidence = (
        f"is an integer primary key that is not called like an id ({', and '.join(said)}): "
        f'id = "{table.id}" gives the rows new numbers, id = "" leaves them'
    )
    number, meaning = Answer("id", table.id), Answer("id", "")
    answers = (number, meaning) if counted or children else (meaning, number)
    return Question(table.name, table.id, evidence, answers)


def _span(source: Source, table: Table, column: str) -> tuple[int, int, int]:
    """The lowest and the highest value, and the number of rows."""
    own: sa.ColumnElement[Any] = sa.column(column)
    ends = sa.select(sa.func.min(own).label("first"), sa.func.max(own).label("last")).select_from(
        sa.table(table.sql_name)
    )
    spans = source.each(lambda file: (file.query(ends).to_pylist()[0], file.count(table)), ASKED_FILES)
    first = min((row["first"] for row, _ in spans if row["first"] is not None), default=0)
    last = max((row["last"] for row, _ in spans if row["last"] is not None), default=0)
    return int(first), int(last), sum(count for _, count in spans)


def _zero(table: TablePlan, source: Source, source_table: Table, *, circular: bool) -> Question | None:
    """A row of the id 0, which AUTO_INCREMENT never gives."""
    if table.id is None or table.keeps_ids or table.keep_ids is not None or is_reference(source_table, table.id):
        return None
    found = sa.exists().where(sa.column(table.id) == 0).select_from(sa.table(source_table.sql_name))
    select = sa.select(found.label("found"))
    if not any(source.each(lambda file: file.query(select).to_pylist()[0]["found"], ASKED_FILES)):
        return None
    evidence = "has a row of id 0: AUTO_INCREMENT never gives 0, so the application probably means this row by its id"
    if circular:
        # Ids are not kept there.
        return Question(table.name, table.id, evidence, (Answer("keep_ids", []), Answer("id", "")))
    return Question(table.name, table.id, evidence, (Answer("keep_ids", [0]), Answer("keep_ids", [])))
