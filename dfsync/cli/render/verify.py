"""What a person sees of a verification: a line and the first differences per table, and what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich.console
from rich import box
from rich.table import Table
from rich.text import Text

from dfsync.cli.render.tables import print_table
from dfsync.text.wording import DIFFERENCE_MEANINGS, is_missing, printable, quoted_pair, title_case_name, with_count

if TYPE_CHECKING:
    import pandas as pd

    from dfsync.commands.verify import VerifyResult
    from dfsync.commands.verify_rows import VerifyCounts

MAX_DIFFERENCES = 10
"""Differences of a table that are shown."""
_MAX_MESSAGE = 1000
_LABELS = {
    "equal": "equal",
    "changed": "changed",
    "kept": "kept",
    "shared": "shared",
    "deleted": "deleted",
    "missing": "missing",
    "rejected": "rejected by the sync",
}


def show_verify(result: VerifyResult, folder: Path, out: rich.console.Console, *, quiet: bool = False) -> None:
    """Print a line and the first differences per table, and what they mean.

    Parameters
    ----------
    result
        What `dfsync.verify` returned.
    folder
        The output folder, where `verify/NAME.parquet` are.
    out
        Where to print.
    quiet
        Whether tables that do not differ are left out.
    """
    for table in (table for table in result.tables if table.differ or not quiet):
        _say(out, _line(table), "red" if table.differ else "")
        if table.differ:
            has_id = result.plan is None or result.plan[table.name].id is not None
            _show_differences(result.differences[table.name], has_id, folder / "verify" / f"{table.name}.parquet", out)
    overall = result.as_dict()["overall"]
    if result.ok and quiet:
        _say(out, _overall(result))
        return
    _say(out, "")
    for key, meaning in DIFFERENCE_MEANINGS.items():
        if overall.get(key):
            _say(out, f"{overall[key]} {_LABELS[key]}: {meaning}")
    _say(out, _overall(result))


def _overall(result: VerifyResult) -> str:
    overall = result.as_dict()["overall"]
    differ = sum(table.differ for table in result.tables)
    verdict = f"{differ} differ{'s' * (differ == 1)}" if differ else "nothing differs"
    rejected = f", {overall['rejected']} rejected by the sync" if overall["rejected"] else ""
    tables = with_count(sum(table.note is None for table in result.tables), "tables")
    return f"OVERALL: {with_count(overall['total'], 'rows')} of {tables} verified, {verdict}{rejected}"


def _line(table: VerifyCounts) -> str:
    name = title_case_name(table.name)
    if table.note is not None:
        return f"{name}: not verified: {printable(table.note, _MAX_MESSAGE)}"
    counts = {words: getattr(table, key) for key, words in _LABELS.items()}
    parts = [f"{count} {words}" for words, count in counts.items() if count] or ["nothing to verify"]
    return f"{name}: {with_count(table.total, 'rows')}: {', '.join(parts)}"


def _show_differences(differences: pd.DataFrame, has_id: bool, file: Path, out: rich.console.Console) -> None:
    grid = Table(box=box.SIMPLE_HEAD if out.is_terminal else None, pad_edge=False, padding=(0, 2, 0, 0))
    id_titles = ("old id", "new id", "action") if has_id else ("row",)
    for title in ("", *id_titles, "kind", "column", "source", "target"):
        grid.add_column(title, overflow="fold")
    # Row by row: only the first few get here.
    for row in differences.head(MAX_DIFFERENCES).astype(object).itertuples(index=False):
        ids = (_shown(row.old_id), _shown(row.new_id), _shown(row.action))[: len(id_titles)]
        values = ("", "") if is_missing(row.column) else quoted_pair(row.source_value, row.target_value)
        grid.add_row("", *map(Text, (*ids, str(row.kind), _shown(row.column), *values)))
    print_table(grid, out)
    if len(differences) > MAX_DIFFERENCES:
        _say(out, f"  ... and {len(differences) - MAX_DIFFERENCES} more, all in {printable(file, _MAX_MESSAGE)}")


def _shown(value: object) -> str:
    return "-" if is_missing(value) else printable(value)


def _say(out: rich.console.Console, text: str, style: str = "") -> None:
    out.print(Text(text, style), soft_wrap=True)
