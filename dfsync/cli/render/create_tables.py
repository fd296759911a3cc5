"""What a person sees of `create-tables`: what was made, or the SQL that would make it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dfsync.text.wording import printable, reindent

if TYPE_CHECKING:
    from dfsync.commands.create_tables import CreateTablesResult

_MAX_MESSAGE = 2000


def script(result: CreateTablesResult) -> list[str]:
    """The SQL, what is to be said about it as comments."""
    said = [f"{printable(table, _MAX_MESSAGE)} is there and is left alone." for table in result.existing]
    return [f"-- {line}" for line in [_plan_line(result), *said, *_remarks(result)]] + [
        f"{reindent(sql)};" for sql in result.statements
    ]


def create_tables_lines(result: CreateTablesResult) -> list[str]:
    """For a terminal, what was done."""
    created = [f"Created {printable(table, _MAX_MESSAGE)}" for table in result.created]
    existing = [f"{printable(table, _MAX_MESSAGE)} is there and is left alone" for table in result.existing]
    return [_plan_line(result), *created, *existing, *(f"Note: {line}" for line in _remarks(result))]


def _plan_line(result: CreateTablesResult) -> str:
    return f"Plan: {printable(result.plan, _MAX_MESSAGE)}"


def _remarks(result: CreateTablesResult) -> list[str]:
    lacking = [f"{table} is not in the source, so it is not made." for table in result.lacking]
    return [printable(line, _MAX_MESSAGE) for line in (*result.notes, *lacking)]
