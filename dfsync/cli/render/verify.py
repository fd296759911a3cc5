"""What a person sees of a verification: a line and the first differences per table, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import rich.console
from rich import box
from rich.table import Table
from rich.text import Text

from dfsync.cli.log import record_told
from dfsync.cli.render.tables import print_table, print_text
from dfsync.model.source_file import SOURCE
from dfsync.text.wording import DIFFERENCE_MEANINGS, is_missing, printable, quoted_pair, title_case_name, with_count

if TYPE_CHECKING:
    import pandas as pd

    from dfsync.commands.verify import VerifyResult
    from dfsync.commands.verifying.counts import VerifyCounts

MAX_DIFFERENCES = 10
"""Differences of a table that are shown."""
_MAX_MESSAGE = 1000
_LABELS = {
    "equal": "equal",
    "changed": "changed",
    "doubled": "doubled",
    "deleted": "deleted",
    "missing": "missing",
    "kept": "kept",
    "shared": "shared",
    "other_values": "with other values",
    "rekeyed": "rekeyed",
    "rejected": "rejected by the sync",
}
_KINDS = {"other_values": "other values", "unfit": "does not fit"}
"""The kind of a difference that a count is of, where they have two names."""
_OF_THESE = {"unfit": "of these with a value that does not fit"}


@dataclass(frozen=True)
class _Page:
    """Where lines and tables go: the console, unless they are for the log file alone."""

    out: rich.console.Console
    quiet: bool

    def say(self, text: str, style: str = "", *, always: bool = False) -> None:
        if always or not self.quiet:
            print_text(Text(text, style), self.out)
        else:
            record_told(text)

    def table(self, grid: Table) -> None:
        print_table(grid, self.out, shown=not self.quiet)


def show_verify(
    result: VerifyResult,
    folder: Path,
    out: rich.console.Console,
    *,
    verbose: bool = False,
    quiet: bool = False,
    strict: bool = False,
) -> None:
    """Print a line and the first differences per table, and what they mean.

    Parameters
    ----------
    result
        What `dfsync.verify` returned.
    folder
        The output folder, where `verify/NAME.parquet` are.
    out
        Where to print.
    verbose
        Whether tables without rows get a line each.
    quiet
        Whether notes are all, and where something differs the overall line.
    strict
        Whether a row that differs as the plan asks differs, too.
    """
    page = _Page(out, quiet)
    empty = [table for table in result.tables if not table.total and table.note is None and not verbose]
    for table in (table for table in result.tables if table not in empty):
        page.say(_line(table), "red" if table.differ else "yellow" if table.as_planned else "")
        if table.differ or table.as_planned:
            has_id = result.plan is None or result.plan[table.name].id is not None
            _show_differences(result.differences[table.name], has_id, folder / "verify" / f"{table.name}.parquet", page)
    if empty:
        page.say(f"{with_count(len(empty), 'tables')} without rows")
    page.say("")
    overall = result.as_dict()["overall"]
    for key, label in {**_LABELS, **_OF_THESE}.items():
        meaning = DIFFERENCE_MEANINGS.get(_KINDS.get(key, key))
        if overall[key] and meaning:
            page.say(f"{overall[key]} {label}: {meaning}")
    for source, why in result.unreadable.items():
        page.say(f"NOT VERIFIED: {printable(source)}: {printable(why, _MAX_MESSAGE)}", "red", always=True)
    for note in result.notes:
        page.say(f"Note: {note}", "yellow", always=True)
    page.say(_overall(result), always=not (result.strict_ok if strict else result.ok))


def _overall(result: VerifyResult) -> str:
    overall = result.as_dict()["overall"]
    verified = sum(table.note is None for table in result.tables)
    rejected = f", {overall['rejected']} rejected by the sync" if overall["rejected"] else ""
    done = f"{with_count(overall['total'], 'rows')} of {with_count(verified, 'tables')} verified"
    return f"OVERALL: {done}, {_verdict(result)}{rejected}"


def _verdict(result: VerifyResult) -> str:
    differ, planned = (sum(getattr(table, key) for table in result.tables) for key in ("differ", "as_planned"))
    if not differ:
        return f"nothing differs but {with_count(planned, 'rows')}, as the plan asks" if planned else "nothing differs"
    more = f", and {planned} more as the plan asks" if planned else ""
    return f"{differ} {'differs' if differ == 1 else 'differ'}{more}"


def _line(table: VerifyCounts) -> str:
    name = title_case_name(table.name)
    if table.note is not None:
        return f"{name}: not verified: {printable(table.note, _MAX_MESSAGE)}"
    counts = {words: getattr(table, key) for key, words in _LABELS.items()}
    parts = [f"{count} {words}" for words, count in counts.items() if count] or ["nothing to verify"]
    return f"{name}: {with_count(table.total, 'rows')}: {', '.join(parts)}"


def _show_differences(differences: pd.DataFrame, has_id: bool, file: Path, page: _Page) -> None:
    grid = Table(box=box.SIMPLE_HEAD if page.out.is_terminal else None, pad_edge=False, padding=(0, 2, 0, 0))
    id_titles = ("old id", "new id", "action") if has_id else ("row",)
    of_several = SOURCE in differences.columns
    for title in ("", *(["of"] if of_several else []), *id_titles, "kind", "column", "source", "target"):
        grid.add_column(title, overflow="fold")
    # Row by row: only the first few get here.
    for row in differences.head(MAX_DIFFERENCES).astype(object).itertuples(index=False):
        ids = (_shown(row.old_id), _shown(row.new_id), _shown(row.action))[: len(id_titles)]
        values = ("", "") if is_missing(row.column) else quoted_pair(row.source_value, row.target_value)
        name = (printable(getattr(row, SOURCE)),) if of_several else ()
        grid.add_row("", *map(Text, (*name, *ids, str(row.kind), _shown(row.column), *values)))
    page.table(grid)
    if len(differences) > MAX_DIFFERENCES:
        page.say(f"  ... and {len(differences) - MAX_DIFFERENCES} more, all in {printable(file, _MAX_MESSAGE)}")


def _shown(value: object) -> str:
    return "-" if is_missing(value) else printable(value)
