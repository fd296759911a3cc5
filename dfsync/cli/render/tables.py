"""Tables of text, for a terminal and for a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING

import rich.console
from rich import box
from rich.table import Table
from rich.text import Text

from dfsync.cli.log import record_told
from dfsync.model.rejects import display_values
from dfsync.text.wording import MAX_LINE_CHARACTERS, is_missing, printable

if TYPE_CHECKING:
    import pandas as pd

PIPE_WIDTH = 100
UNBROKEN_WIDTH = 10_000
"""Wide enough for a line of a pipe to be one row, whatever is in it."""
_REASON = "reason"
MAX_ROWS = 1000
"""Rows of a frame that are shown for people."""


def table_console(pipe_width: int = PIPE_WIDTH) -> rich.console.Console:
    """Make a console for tables on standard output: as wide as the terminal, or as `pipe_width` where it is none."""
    out = rich.console.Console()
    return out if out.is_terminal else rich.console.Console(width=pipe_width)


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


def print_frame(parts: Iterable[pd.DataFrame], total: int, out: rich.console.Console) -> None:
    """Print the first rows of a frame as a table; parts that only have others are not read.

    Parameters
    ----------
    parts
        The frame in parts, all with the same columns.
    total
        How many rows it has.
    out
        Where to print.
    """
    grid = Table(box=box.SIMPLE_HEAD if out.is_terminal else None, pad_edge=False, padding=(0, 2, 0, 0))
    for part in parts:
        for name in part.columns if not grid.columns else ():
            grid.add_column(str(name).replace("_", " "), overflow="fold")
        # Row by row: only the first few get here.
        for row in part.head(MAX_ROWS - grid.row_count).astype(object).itertuples(index=False):
            grid.add_row(*(_cell(name, value) for name, value in zip(part.columns, row, strict=True)))
        if grid.row_count == MAX_ROWS:
            break
    print_table(grid, out)
    if total > MAX_ROWS:
        print_text(Text(f"... and {total - MAX_ROWS:,} more; --csv prints all of them."), out)


def _cell(column: str, value: object) -> Text:
    # What to do about a reject is often at the end of its reason.
    text = printable(value, MAX_LINE_CHARACTERS) if column == _REASON else printable(value)
    return Text("-" if is_missing(value) else text)


def write_csv(parts: Iterable[pd.DataFrame], out: IO[str]) -> None:
    """Write a frame as CSV with a header; NULL is nothing, and bytes are `x'00ff'`.

    Parameters
    ----------
    parts
        The frame in parts, all with the same columns.
    out
        Where to write.
    """
    for number, part in enumerate(_texts(parts)):
        part.to_csv(out, index=False, header=number == 0, lineterminator="\n")


def _texts(parts: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    import pandas as pd
    import pyarrow as pa

    for part in parts:
        for name in part.columns:
            array = pa.array(part[name])
            if pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type):
                part[name] = pd.Series(display_values(array), index=part.index, dtype="str")
        yield part
