"""What a person sees of `undo`: a line per table, what stays and why, and the sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dfsync.pipeline.undo.observer import UndoObserver
from dfsync.text.wording import printable, with_count

if TYPE_CHECKING:
    from dfsync.commands.undo import UndoneRun, UndoResult
    from dfsync.pipeline.undo.run import UndoneTable

_MAX_MESSAGE = 500


class UndoProgress(UndoObserver):
    """Knows how far an undo is, for whoever stops it.

    Parameters
    ----------
    dry_run
        Whether nothing is changed.
    """

    def __init__(self, *, dry_run: bool) -> None:
        self._dry_run = dry_run
        self._done: list[str] = []
        self._left: list[str] = []

    def run_started(self, run: str, tables: Sequence[str]) -> None:
        """Note the tables; those of a run that failed before are left."""
        self._left += tables

    def table_undone(self, run: str, name: str) -> None:
        """Note that the table is done."""
        self._left.remove(name)
        self._done.append(name)

    def interruption_message(self) -> str:
        """Say what is done and what is not."""
        if self._dry_run:
            return "stopped; nothing was changed."
        done, left = (", ".join(map(printable, names)) for names in (self._done, self._left))
        told = f"stopped. Taken back: {done or 'nothing'}."
        # The one that was at work may be committed or not, which only the next undo sees.
        rest = f" Not yet, or not wholly: {left}." if left else ""
        return f"{told}{rest} Run the same command again to finish it."


def undo_lines(result: UndoResult, *, quiet: bool = False) -> list[str]:
    """Word the result for a terminal.

    Parameters
    ----------
    result
        The outcome of an undo.
    quiet
        Whether only what stays or failed is told, and then the sums.

    Returns
    -------
    list of str
    """
    if quiet:
        tables = [table for run in result.runs for table in run.tables if table.error or table.kept]
        overall = [] if result.ok else [_overall(result)]
        return [*(line for table in tables for line in _table_lines(table)), *overall]
    lines = []
    for run in result.runs:
        lines += [
            f"Run {run.run}",
            *(line for table in run.tables for line in _table_lines(table)),
            *_kept_line(result, run),
        ]
    return [*lines, "", _overall(result)]


def _overall(result: UndoResult) -> str:
    return f"{'Dry run: it would be' if result.dry_run else 'Overall:'} {_counts(result.count)}"


def _counts(count: Callable[[str], int]) -> str:
    """Word what this undo did; what earlier ones of the run did stands behind it."""
    parts = [f"{_now(count, 'deleted')}", f"{count('kept'):,} kept"]
    if count("restored") or count("restored_before"):
        parts.insert(1, _now(count, "restored"))
    return ", ".join(parts)


def _now(count: Callable[[str], int], what: str) -> str:
    before = count(f"{what}_before")
    return f"{count(what):,} {what}{f' now ({before:,} before)' if before else ''}"


def _table_lines(table: UndoneTable) -> list[str]:
    name = printable(table.name)
    if table.error is not None:
        return [f"  [FAIL] {name}: nothing was taken back: {printable(table.error, _MAX_MESSAGE)}"]
    reasons = [f"    {count:,} kept: {printable(reason, _MAX_MESSAGE)}" for reason, count in table.reasons.items()]
    note = [] if table.note is None else [f"    {printable(table.note, _MAX_MESSAGE)}"]
    return [f"  {name}: {_counts(partial(getattr, table))}", *note, *reasons]


def _kept_line(result: UndoResult, run: UndoneRun) -> list[str]:
    kept = run.count("kept")
    if not kept or result.dry_run:
        return []
    folder = Path(result.out) / "runs" / run.run / "kept"
    return [f"  {with_count(kept, 'rows')} of the run kept; which ones, and why: {printable(folder, _MAX_MESSAGE)}"]
