"""Tables of text, for a terminal and for a pipe."""

from __future__ import annotations

import rich.console
from rich.table import Table
from rich.text import Text

PIPE_WIDTH = 100


def table_console() -> rich.console.Console:
    """Make a console for tables on standard output: as wide as the terminal, or as a page where it is none."""
    out = rich.console.Console()
    return out if out.is_terminal else rich.console.Console(width=PIPE_WIDTH)


def print_table(table: Table, out: rich.console.Console) -> None:
    """Print a table without the blanks that fill up its lines, which only a terminal has a use for.

    Parameters
    ----------
    table
        The table.
    out
        Where to print.
    """
    with out.capture() as printed:
        out.print(table)
    for line in printed.get().splitlines():
        out.print(Text.from_ansi(line.rstrip()), soft_wrap=True)
