"""Evidence for likely foreign keys: how many values of a column are ids of the table that its name fits."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import sqlalchemy as sa

from dfsync.model.schema import Schema, Table
from dfsync.plan.discovery.likely import STRONG, WEAK, Candidate, candidates
from dfsync.plan.model import Plan, TablePlan
from dfsync.plan.questions import Answer, Question
from dfsync.source.base import ASKED_FILES, Queryable, Source
from dfsync.text.wording import printable, with_count

_SAMPLED_ROWS = 20_000
"""Up to so many rows of a table are looked at, all of them in a smaller one."""
_RANGES = 20
"""So many places of a larger table give a part of the sample each."""
_FEWEST_IDS = {STRONG: 0.5, WEAK: 0.98}
"""The share of a column's values, 0 and NULL left out, that must be ids; a name that fits well leaves room for gaps."""
_FEWEST_NUMBERS = 0.5
"""The share of a column's values that must be integers where another column says which table each is of."""
_MOST_TYPES = 50
_VALUE = "value"


@dataclass(frozen=True)
class LikelyReference:
    """A column that no constraint declares, and whose values are ids of the table that its name fits."""

    table: str
    """In the plan, as `parent`."""
    column: str
    parent: str
    values: int
    """How many values of the column were looked at, NULL left out."""
    ids: int
    """How many of them are ids of `parent`."""
    zeros: int
    """How many of the others are 0, which some applications write for NULL."""
    sampled: bool
    """Whether the table has more rows than were looked at."""
    others: tuple[str, ...] = ()
    """Further tables of which nearly all values are ids."""
    in_key: bool = False
    """Whether the column is in the natural key."""
    fit: str = STRONG
    """How well the name fits: `likely.STRONG` or `likely.WEAK`."""


def reference_questions(plan: Plan, source: Source, target: Schema, names: Collection[str]) -> Iterator[Question]:
    """Ask about columns that look like ids of other tables and are no foreign keys of the plan.

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
        In the plan's order, of each table columns of the natural key first.
    """
    for candidate in candidates(plan, source.schema, target):
        if candidate.table not in names:
            continue
        table = plan[candidate.table]
        reference = _first_reference(plan, candidate, source)
        is_pair = partial(_is_pair, table, candidate)
        if candidate.type_column and not _is_sure(reference) and any(source.each(is_pair, ASKED_FILES)):
            yield _pair_question(table, candidate, source.schema.find(table.table), target.find(table.table))
        elif reference is not None:
            if candidate.is_id:
                yield _id_question(reference)
            yield _reference_question(reference)


def likely_references(plan: Plan, source: Source, target: Schema) -> Iterator[LikelyReference]:
    """Find the undecided columns that look like ids of other tables, for a look at where they point.

    Parameters
    ----------
    plan
        The complete plan.
    source
        The source, whose rows give the evidence: of several files the first `ASKED_FILES`.
    target
        All tables of the target.

    Yields
    ------
    LikelyReference
        In the plan's order. To have those that a plan accepts as well, give a plan without its `plain_columns`.
    """
    found = (_first_reference(plan, candidate, source) for candidate in candidates(plan, source.schema, target))
    yield from filter(None, found)


def _first_reference(plan: Plan, candidate: Candidate, source: Source) -> LikelyReference | None:
    """What the first file says whose rows say something."""
    found = source.each(partial(_reference, plan, candidate), ASKED_FILES)
    return next(filter(None, found), None)


def _reference(plan: Plan, candidate: Candidate, source: Queryable) -> LikelyReference | None:
    """What the rows say of a candidate; None where it is no likely foreign key."""
    child = source.schema.find(plan[candidate.table].table)
    if child is None or not candidate.parents or not source.count(child):
        return None
    values, sampled = _sample(source, child, candidate.column)
    number = as_integer(values.c[_VALUE])
    counted: list[sa.ColumnElement[Any]] = [sa.func.count().label("all")]
    for place, parent in enumerate(candidate.parents):
        is_id = _is_id(plan[parent.name], source, number)
        counted.append(sa.func.total(is_id).label(f"ids {place}"))
        counted.append(sa.func.total(sa.and_(number == 0, sa.not_(is_id))).label(f"zeros {place}"))
    (counts,) = source.query(sa.select(*counted).select_from(values)).to_pylist()
    total = int(counts["all"])
    fitting = []
    for place, parent in enumerate(candidate.parents):
        ids, zeros = int(counts[f"ids {place}"]), int(counts[f"zeros {place}"])
        if ids and ids >= _FEWEST_IDS[parent.fit] * (total - zeros):
            fitting.append((parent, ids, zeros))
    if not fitting:
        return None
    best, ids, zeros = fitting[0]
    others = tuple(parent.name for parent, *_ in fitting[1:] if parent.fit == best.fit)
    where = (candidate.table, candidate.column, best.name)
    found = LikelyReference(*where, total, ids, zeros, sampled, others, candidate.in_key, best.fit)
    return found if _is_sure(found) or not candidate.is_id else None


def _is_id(parent: TablePlan, source: Queryable, number: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    table = source.schema.find(parent.table)
    name = parent.table if table is None else table.sql_name
    return number.in_(sa.select(sa.column(parent.id or "")).select_from(sa.table(name)))


def _sample(source: Queryable, table: Table, column: str) -> tuple[sa.Subquery, bool]:
    """The values of a column that are not NULL, as `value`, and whether they are of some of the rows alone."""
    value: sa.ColumnElement[Any] = sa.column(column)
    rows = sa.select(value.label(_VALUE)).select_from(sa.table(table.sql_name)).where(value.is_not(None))
    if source.count(table) <= _SAMPLED_ROWS:
        return rows.subquery(), False
    if table.rowid is None:
        return rows.limit(_SAMPLED_ROWS).subquery(), True
    rowid: sa.ColumnElement[Any] = sa.literal_column(table.rowid)
    # SQLite looks up the lowest and the highest alone, and reads the whole table for both at once.
    of_table = sa.table(table.sql_name)
    ends = (sa.select(end(rowid)).select_from(of_table).scalar_subquery() for end in (sa.func.min, sa.func.max))
    low, high = (
        source.query(sa.select(*(end.label(name) for name, end in zip(("low", "high"), ends, strict=True))))
        .to_pylist()[0]
        .values()
    )
    step = (high - low) // _RANGES + 1
    parts = [
        rows.where(rowid >= start, rowid < start + step).limit(_SAMPLED_ROWS // _RANGES).subquery()
        for start in range(low, high + 1, step)
    ]
    return sa.union_all(*(sa.select(part.c[_VALUE]) for part in parts)).subquery(), True


def as_integer(value: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Give the integer that a value of the source is, also where it is a text or a float.

    Parameters
    ----------
    value
        A column.

    Returns
    -------
    ColumnElement
        NULL where it is none: `'007'` and 1.5 are no ids.
    """
    integer = sa.cast(value, sa.Integer)
    held = sa.func.typeof(value)
    return sa.case(
        (held == "integer", value),
        (sa.and_(held == "real", value == integer), integer),
        (sa.and_(held == "text", value == sa.cast(integer, sa.Text)), integer),
    )


def _is_sure(reference: LikelyReference | None) -> bool:
    """Whether a column that a type column belongs to is an id of one table all the same."""
    return (
        reference is not None
        and reference.fit == STRONG
        and reference.ids >= _FEWEST_IDS[WEAK] * (reference.values - reference.zeros)
    )


def _is_pair(table: TablePlan, candidate: Candidate, source: Queryable) -> bool:
    """Whether the rows show ids in the column, and names of tables in its type column or ids of such names."""
    child = source.schema.find(table.table)
    if child is None or candidate.type_column is None:
        return False
    values, _ = _sample(source, child, candidate.column)
    number = as_integer(values.c[_VALUE])
    counts = sa.select(sa.func.count().label("all"), sa.func.count(number).label("numbers")).select_from(values)
    (ids,) = source.query(counts).to_pylist()
    if not ids["numbers"] or ids["numbers"] < _FEWEST_NUMBERS * ids["all"]:
        return False
    types, _ = _sample(source, child, candidate.type_column)
    held = types.c[_VALUE]
    seen = sa.select(
        sa.func.count(sa.distinct(held)).label("types"), sa.func.count(as_integer(held)).label("numbers")
    ).select_from(types)
    (said,) = source.query(seen).to_pylist()
    return bool(said["types"]) and (candidate.typed_by_id or (said["types"] <= _MOST_TYPES and not said["numbers"]))


def _id_question(found: LikelyReference) -> Question:
    evidence = f"is its id, but looks like an id of {printable(found.parent)}: {_counted(found)}"
    return Question(found.table, found.column, evidence, (Answer("id", ""), Answer("id", found.column)))


def _counted(found: LikelyReference) -> str:
    counted = f"{found.ids} of {with_count(found.values, 'values')}{' looked at' if found.sampled else ''}"
    return counted + (f"; {found.zeros} are 0, which is no id there" if found.zeros else "")


def _reference_question(found: LikelyReference) -> Question:
    evidence = f"looks like an id of {printable(found.parent)}: {_counted(found)}"
    if found.in_key:
        evidence += ". It is in the natural key: unchanged, rows of a second source are taken for those of the first"
    keys = [Answer("foreign_keys", {found.column: parent}) for parent in (found.parent, *found.others)]
    return Question(found.table, found.column, evidence, (*keys, Answer("plain_columns", [found.column])))


def _pair_question(
    table: TablePlan, candidate: Candidate, source_table: Table | None, target_table: Table | None
) -> Question:
    evidence = f"names rows of the table that {printable(candidate.type_column)} names: such ids cannot follow"
    answers = [Answer("ignore_columns", [candidate.column]), Answer("plain_columns", [candidate.column])]
    written = target_table or source_table
    # Left out, the column must be filled by the target, and no key may need it.
    if candidate.in_key or (written and candidate.column in written and written[candidate.column].required):
        answers.reverse()
    return Question(table.name, candidate.column, evidence, tuple(answers))
