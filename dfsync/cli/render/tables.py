"""Tables of text, for a terminal and for a pipe."""

from __future__ import annotations

import rich.console
from rich.table import Table
from rich.text import Text

from dfsync.cli.log import record_told

PIPE_WIDTH = 100


def table_console() -> rich.console.Console:
    """Make a console for tables on standard output: as wide as the terminal, or as a page where it is none."""
    out = rich.console.Console()
    return out if out.is_terminal else rich.console.Console(width=PIPE_WIDTH)


def print_text(text: Text, out: rich.console.Console, *, soft_wrap: bool = True) -> None:
    """Print a text, without line breaks of Rich's if `soft_wrap`, and write it into the log file where there is one."""
    record_told(text.plain)
    out.print(text, soft_wrap=soft_wrap)


def print_table(table: Table, out: rich.console.Console, *, shown: bool = True) -> None:
    """Print a table without the blanks that fill up its lines, which only a terminal has a use for.

    Parameters
    ----------
    table
        The table.
    out
        Where to print.
    shown
        Whether it is for the terminal, and not for the log file alone.
    """
    with out.capture() as printed:
        out.print(table)
    for line in printed.get().splitlines():
        text = Text.from_ansi(line.rstrip())
        if shown:
            print_text(text, out)
        else:
            record_told(text.plain)
