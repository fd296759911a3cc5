"""Lines for a plan file where all values of a column look like dates or booleans that the source writes otherwise."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import product

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dfsync.commands.preflight.inspection import Preflight
from dfsync.model import frames
from dfsync.model.options import BOOLEAN, CONVERT, SyncOptions
from dfsync.model.partition import Partition
from dfsync.model.schema import Column, Table
from dfsync.plan.binding import bind_unchecked
from dfsync.plan.model import TablePlan
from dfsync.plan.questions import Answer
from dfsync.plan.validation import ERROR, NOTE, Finding
from dfsync.source.base import Source
from dfsync.stages.conform.conform import conform

WrittenAs = tuple[str, str]
"""A setting, `convert` or `dates`, and what it says."""
_DAYS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d.%m.%y")
_TIMES = ("", " %H:%M", " %H:%M:%S")
_EPOCHS: tuple[WrittenAs, ...] = tuple(("convert", word) for word in CONVERT if word != BOOLEAN)
_FORMS: tuple[WrittenAs, ...] = tuple(("dates", "".join(form)) for form in product(_DAYS, _TIMES))
_TRIED = {
    **dict.fromkeys(("date", "datetime", "timestamp"), (*_EPOCHS, *_FORMS)),
    **dict.fromkeys(("integer", "bit"), (("convert", BOOLEAN),)),
}
"""By the kind of the target's column, the forms in which a source may write its values."""
_BOOLEAN_TYPES = ("tinyint(1)", "bit(1)")
_SINCE, _UNTIL = dt.datetime(1990, 1, 1), dt.datetime(2100, 1, 1)
"""Instants that numbers are taken for."""
_FIRST_ROWS = 100
"""Of which few forms are left, before all rows are read so."""
_SAID = {
    "epoch_s": "numbers of seconds since 1970",
    "epoch_ms": "numbers of milliseconds since 1970",
    "epoch_us": "numbers of microseconds since 1970",
    BOOLEAN: "words or numbers for yes and no",
}


def proposal_findings(preflight: Preflight, findings: Iterable[Finding]) -> list[Finding]:
    """Look at the tables with values that do not fit, whether all of a column are written in another form.

    Parameters
    ----------
    preflight
        Both ends and the plan.
    findings
        What `check` found: an error with a count and a column is of values that do not fit. A row is an error of
        its first such column alone, so that all columns of the table are looked at.

    Returns
    -------
    list of Finding
        A note for each such column, with the lines for a plan file; several where day and month may be either way.
    """
    unfit = {finding.table for finding in findings if finding.level == ERROR and finding.column and finding.count}
    return [finding for plan in preflight.plan.tables if plan.name in unfit for finding in _of_table(preflight, plan)]


def _of_table(preflight: Preflight, plan: TablePlan) -> Iterator[Finding]:
    source_table, target_table = preflight.tables(plan)
    if source_table is None or target_table is None:
        return
    columns = [c for c in bind_unchecked(plan, source_table, target_table).columns if c.name not in plan.parents]
    found = {
        column.name: forms
        for column in columns
        if (forms := forms_of_all_values(preflight.source, plan, source_table, column))
    }
    for name, forms in found.items():
        answers = tuple(answer.line for answer in proposed_lines(plan, found, name))
        yield Finding(NOTE, plan.name, name, said_of(forms), answers=answers)


def said_of(forms: list[WrittenAs]) -> str:
    """Say what all values of a column look like, as the message of a finding."""
    setting, said = forms[0]
    if setting == "convert":
        return f"all values are {_SAID[said]}; a line of a plan file converts them"
    if len(forms) > 1:
        return "all values are dates, and which number is the day is ambiguous; a line of a plan file says it"
    return "all values are dates of one form; a line of a plan file says which"


def proposed_lines(plan: TablePlan, found: Mapping[str, list[WrittenAs]], column: str) -> list[Answer]:
    """Word what converts a column as lines that hold what is proposed for the other columns, and is in the plan, too.

    Parameters
    ----------
    plan
        The table's plan.
    found
        By column, the forms that all of its values have.
    column
        One of them.

    Returns
    -------
    list of Answer
        One for each form of the column.
    """
    lines = []
    for setting, said in found[column]:
        others = {name: forms[0][1] for name, forms in found.items() if forms[0][0] == setting}
        lines.append(Answer(setting, {**dict(getattr(plan, setting)), **others, column: said}))
    return lines


def forms_of_all_values(source: Source, plan: TablePlan, source_table: Table, column: Column) -> list[WrittenAs]:
    """Find the forms of which all values of a column are, so that converted all of them fit the target.

    Parameters
    ----------
    source
        The open source.
    plan
        The table's plan.
    source_table
        The table in the source.
    column
        The target's column, under the source's name.

    Returns
    -------
    list of WrittenAs
        None where the values fit as they are, or the plan says already how they are written.
    """
    left = list(_TRIED.get(column.kind, ()))
    if column.written_as is not None or (column.kind in ("integer", "bit") and column.type not in _BOOLEAN_TYPES):
        return []
    column, unfit = replace(column, nullable=True), False
    partition = Partition(source.path, source_table.name, plan.id, (column.name,))
    for frame in source.batches(partition, SyncOptions.batch_size) if left else ():
        values = frame[frame[column.name].notna()]
        unfit = unfit or not _fits(column, values)
        for part in (values[:_FIRST_ROWS], values):
            left = [form for form in left if _fits(replace(column, written_as=form), part)]
        if not left:
            return []
    return left if unfit else []


def _fits(column: Column, values: pd.DataFrame) -> bool:
    converted = conform(values, [column])
    if len(converted.rejects) or column.written_as not in _EPOCHS:
        return not len(converted.rejects)
    ends = pc.min_max(frames.as_arrow(converted.frame[column.name]).cast(pa.timestamp("us"))).as_py()
    return ends["min"] is None or (ends["min"] >= _SINCE and ends["max"] < _UNTIL)
