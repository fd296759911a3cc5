"""What a person sees of `create-tables`: what was created, or the SQL that would create it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dfsync.text.wording import printable, reindent

if TYPE_CHECKING:
    from dfsync.commands.create_tables import CreateTablesResult

_MAX_MESSAGE = 2000


def script(result: CreateTablesResult) -> list[str]:
    """Word the result as a script of SQL, with all else as comments.

    Parameters
    ----------
    result
        What `dfsync.create_tables` returned.

    Returns
    -------
    list of str
        Comments and statements, the latter of several lines each.
    """
    comments = [_plan_line(result), *(f"{line}." for line in _existing_lines(result)), *_remarks(result)]
    return [*(f"-- {line}" for line in comments), *(f"{reindent(sql)};" for sql in result.statements)]


def create_tables_lines(result: CreateTablesResult) -> list[str]:
    """Word for a terminal what was done: a line per table, and notes."""
    created = [f"Created {printable(table, _MAX_MESSAGE)}" for table in result.created]
    return [_plan_line(result), *created, *_existing_lines(result), *(f"Note: {line}" for line in _remarks(result))]


def _existing_lines(result: CreateTablesResult) -> list[str]:
    return [f"{printable(table, _MAX_MESSAGE)} exists and is left alone" for table in result.existing]


def _plan_line(result: CreateTablesResult) -> str:
    return f"Plan: {printable(result.plan, _MAX_MESSAGE)}"


def _remarks(result: CreateTablesResult) -> list[str]:
    lacking = [f"{table} is not in the source, so it is not created." for table in result.lacking]
    return [printable(line, _MAX_MESSAGE) for line in (*result.notes, *lacking)]
