"""Who hears of a run's progress, and in which order."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from threading import Condition
from typing import TYPE_CHECKING

from dfsync.output.result import SyncResult, TableCounts
from dfsync.plan.model import TablePlan

if TYPE_CHECKING:
    import pandas as pd

    from dfsync.output.journal.record import RunRecord
    from dfsync.plan.model import Plan


class Observer:
    """Hears what a run does, table by table in plan order, also where several are synced at the same time.

    Every method does nothing until a subclass overrides it. `progress` may come from another thread than the others.
    """

    def run_started(self, plan: Plan, names: list[str]) -> None:
        """Hear of the start; `names` are the tables that will be synced."""

    def maps_removed(self, out: Path, target: str) -> None:
        """Hear that the maps in `out` were of another `target` and were removed, lest two maps mix."""

    def run_dropped(self, run: RunRecord) -> None:
        """Hear that the journal of a run that was not finished, or only partly taken back, is no longer kept."""

    def table_started(self, table: TablePlan, total: int) -> None:
        """Hear that a table has its turn; `total` rows of it are in the source."""

    def table_missing(self, table: TablePlan, reason: str) -> None:
        """Hear that a table is skipped, because the source lacks it."""

    def progress(self, table: TablePlan, done: int) -> None:
        """Hear that `done` rows of the table are matched or loaded so far."""

    def rows_done(self, table: TablePlan, mapping: Iterable[pd.DataFrame], rejects: pd.DataFrame) -> None:
        """Hear what became of the rows of a committed table.

        Parameters
        ----------
        table
            The planned table.
        mapping
            Its mapping frame, as in `SyncResult.mappings`, in parts that are made when they are asked for.
        rejects
            Its reject frame, as in `SyncResult.rejects`.
        """

    def cells_updated(self, table: TablePlan, cells: pd.DataFrame) -> None:
        """Hear which cells a run would update, before `rows_done` of a dry run.

        Parameters
        ----------
        table
            The planned table.
        cells
            Index `old_id`: `column`, `source_value` and `target_value` as text, masked where the column is one of
            secrets; the first ten thousand.
        """

    def note(self, table: TablePlan, message: str) -> None:
        """Hear something that the user should know and that is no error."""

    def table_finished(self, table: TablePlan, counts: TableCounts) -> None:
        """Hear that a table is committed, or rolled back where `counts.error` says why."""

    def run_finished(self, result: SyncResult) -> None:
        """Hear of the end."""


class OrderedProgress:
    """Owns how far the tables are, and reports it in plan order, though several are synced at the same time.

    Parameters
    ----------
    observer
        Hears of tables from the moment on that they were announced.
    """

    def __init__(self, observer: Observer) -> None:
        self.observer = observer
        self._done: dict[str, int] = {}
        self._announced: set[str] = set()
        self._turns: set[str] = set()
        self._changed = Condition()
        self._stopped = False

    def announce(self, table: TablePlan, total: int) -> None:
        """Report that the table has its turn; `total` rows of it are in the source."""
        self.observer.table_started(table, total)
        self._announced.add(table.name)
        if table.name in self._done:
            self.observer.progress(table, self._done[table.name])

    def advance(self, table: TablePlan, done: int) -> None:
        """Note that `done` rows of the table are done; from any thread."""
        self._done[table.name] = done
        if table.name in self._announced:
            self.observer.progress(table, done)

    def begin_turn(self, table: TablePlan) -> None:
        """Note that the group that begins with the table has its turn."""
        with self._changed:
            self._turns.add(table.name)
            self._changed.notify_all()

    def wait_for_turn(self, table: TablePlan) -> None:
        """Wait until the group that begins with the table has its turn, or the run stops."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or table.name in self._turns)

    def stop(self) -> None:
        """End every wait."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
