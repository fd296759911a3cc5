"""What a person sees of `runs`: a line per run, the newest last."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from dfsync.text.wording import printable, with_count

if TYPE_CHECKING:
    from dfsync.commands.runs import RunsResult
    from dfsync.output.journal.record import RunRecord

_MAX_SOURCE, _MAX_TARGET, _MAX_LINE = 16, 24, 200
_NUMBERS = ("inserted", "updated", "failed")


def runs_title(result: RunsResult) -> str | None:
    """Name the target of all runs; None where they have several."""
    targets = {record.target for record in result.runs}
    return f"Target: {printable(targets.pop(), _MAX_LINE)}" if len(targets) == 1 else None


def runs_table(result: RunsResult) -> Table:
    """Make the table of the runs: with their targets where they have several."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("run", no_wrap=True)
    has_targets = runs_title(result) is None
    for name in ("source", "target") if has_targets else ("source",):
        table.add_column(name, overflow="fold")
    for name in _NUMBERS:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("state")
    for record, (_, row) in zip(result.runs, result.summary.iterrows(), strict=True):
        targets = [_shortened(record.target, _MAX_TARGET)] if has_targets else []
        numbers = [f"{row[name]:,}" for name in _NUMBERS]
        kept = f", {row['kept']:,} kept" if row["kept"] else ""
        failed = f", {with_count(row['failed_sources'], 'sources')} not read" if row["failed_sources"] else ""
        table.add_row(record.id, _sources(record), *targets, *numbers, f"{row['state']}{failed}{kept}")
    return table


def _sources(record: RunRecord) -> str:
    """The file; of several sources their names where these are short."""
    if not record.sources:
        return _shortened(Path(record.source).name, _MAX_SOURCE)
    names = ", ".join(record.sources)
    few = len(names) <= _MAX_SOURCE or len(record.sources) == 1
    return _shortened(names, _MAX_SOURCE) if few else with_count(len(record.sources), "sources")


def _shortened(text: str, length: int) -> str:
    """Take the middle out of a text that is too long: its beginning and its end tell most."""
    shown = printable(text, _MAX_LINE)
    if len(shown) <= length:
        return shown
    end = (length - 1) // 2
    return f"{shown[: length - 1 - end]}…{shown[-end:]}"
