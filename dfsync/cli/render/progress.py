"""A progress bar of a command that reads tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import rich.console
from rich import progress

from dfsync.pipeline.observer import Observer
from dfsync.text.wording import title_case_name

if TYPE_CHECKING:
    from dfsync.plan.model import TablePlan


class ProgressBar(Observer):
    """A progress bar on a terminal, nothing elsewhere, for `check` and `verify`.

    As a context manager it leaves the terminal clean.

    Parameters
    ----------
    out
        The console of the bar.
    """

    def __init__(self, out: rich.console.Console) -> None:
        self._bar = progress.Progress(console=out, transient=True, disable=not out.is_terminal)

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        self._bar.add_task("Reading source and target", total=None)
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def table_started(self, table: TablePlan, total: int) -> None:
        """Begin the bar of a table of `total` rows."""
        for task in self._bar.task_ids:
            self._bar.remove_task(task)
        self._bar.add_task(title_case_name(table.name), total=total)

    def progress(self, table: TablePlan, done: int) -> None:
        """Move the bar to `done` rows."""
        self._bar.update(self._bar.task_ids[-1], completed=done)
