"""What a person sees of a verification: a line and the first differences per table, and what they mean."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich.console
from rich import box, progress
from rich.table import Table
from rich.text import Text

from dfsync.result import Observer
from dfsync.terminal import print_table
from dfsync.words import counted, label, visible

if TYPE_CHECKING:
    import pandas as pd

    from dfsync.plan import TablePlan
    from dfsync.verify import Verified, VerifyResult

SHOWN = 10
_LONGEST = 1000
_VALUE = 40
_BLOB = re.compile("x'[0-9a-f]*'")
_BEFORE = 10
_COUNTED = {
    "equal": "equal",
    "changed": "changed",
    "kept": "kept",
    "shared": "shared",
    "deleted": "deleted",
    "missing": "missing",
    "rejected": "rejected by the sync",
}
_MEANING = {
    "changed": "not as a sync wrote them; changed since, in the target or in the source",
    "kept": "in the target before the last sync, and not as the source is now; --on-match update brings the source's",
    "shared": "one target row with a source row of a lower id and the same natural key, whose values count",
    "deleted": "their target row is gone since the sync",
    "missing": "never synced; run a sync",
    "rejected": "without a target row, as the sync said; rejects/ in the --out folder has the reasons",
}


class Progress(Observer):
    """A progress bar on a terminal, nothing elsewhere, for `check` and `verify`. As a context manager it leaves the
    terminal clean."""

    def __init__(self, out: rich.console.Console) -> None:
        self._bar = progress.Progress(console=out, transient=True, disable=not out.is_terminal)

    def __enter__(self) -> Progress:
        self._bar.start()
        self._bar.add_task("Looking at both ends", total=None)
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def table_started(self, table: TablePlan, total: int) -> None:
        for task in self._bar.task_ids:
            self._bar.remove_task(task)
        self._bar.add_task(label(table.name), total=total)

    def progress(self, table: TablePlan, done: int) -> None:
        self._bar.update(self._bar.task_ids[-1], completed=done)


def show(result: VerifyResult, folder: Path, out: rich.console.Console, *, quiet: bool = False) -> None:
    """Prints the result; `folder` is where `verify/NAME.parquet` are. `quiet` leaves out tables that do not differ."""
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
    for key, meaning in _MEANING.items():
        if overall[key]:
            _say(out, f"{overall[key]} {_COUNTED[key]}: {meaning}")
    _say(out, _overall(result))


def _overall(result: VerifyResult) -> str:
    overall = result.as_dict()["overall"]
    differ = sum(table.differ for table in result.tables)
    verdict = f"{differ} differ{'s' * (differ == 1)}" if differ else "nothing differs"
    rejected = f", {overall['rejected']} rejected by the sync" if overall["rejected"] else ""
    tables = counted(sum(table.note is None for table in result.tables), "tables")
    return f"OVERALL: {counted(overall['total'], 'rows')} of {tables} verified, {verdict}{rejected}"


def _line(table: Verified) -> str:
    name = label(table.name)
    if table.note is not None:
        return f"{name}: not verified: {visible(table.note, _LONGEST)}"
    counts = {words: getattr(table, key) for key, words in _COUNTED.items()}
    parts = [f"{count} {words}" for words, count in counts.items() if count] or ["nothing to verify"]
    return f"{name}: {counted(table.total, 'rows')}: {', '.join(parts)}"


def _show_differences(differences: pd.DataFrame, has_id: bool, file: Path, out: rich.console.Console) -> None:
    grid = Table(box=box.SIMPLE_HEAD if out.is_terminal else None, pad_edge=False, padding=(0, 2, 0, 0))
    places = ("old id", "new id", "action") if has_id else ("row",)
    for title in ("", *places, "kind", "column", "source", "target"):
        grid.add_column(title, overflow="fold")
    # Row by row: only the first few get here.
    for row in differences.head(SHOWN).astype(object).itertuples(index=False):
        ids = (_shown(row.old_id), _shown(row.new_id), _shown(row.action))[: len(places)]
        values = ("", "") if _missing(row.column) else quoted_pair(row.source_value, row.target_value)
        grid.add_row("", *map(Text, (*ids, str(row.kind), _shown(row.column), *values)))
    print_table(grid, out)
    if len(differences) > SHOWN:
        _say(out, f"  ... and {len(differences) - SHOWN} more, all in {visible(file, _LONGEST)}")


def quoted_pair(source: Any, target: Any) -> tuple[str, str]:
    """Both as harmless text, cut so that the first difference is in sight."""
    if _missing(source) or _missing(target):
        return _quoted(source), _quoted(target)
    pairs = zip(source, target, strict=False)
    start = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(source), len(target)))
    cut = start - _BEFORE if start >= _VALUE - _BEFORE else 0
    return _quoted(source, cut), _quoted(target, cut)


def _quoted(value: Any, cut: int = 0) -> str:
    if _missing(value):
        return "NULL"
    quote = "" if _BLOB.fullmatch(value) else "'"
    return f"{quote}{'…' if cut else ''}{visible(value[cut:], _VALUE)}{quote}"


def _shown(value: Any) -> str:
    return "-" if _missing(value) else visible(value)


def _missing(value: Any) -> bool:
    import pandas as pd

    return value is None or value is pd.NA


def _say(out: rich.console.Console, text: str, style: str = "") -> None:
    out.print(Text(text, style), soft_wrap=True)
