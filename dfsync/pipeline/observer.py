"""Who is told of a run's progress, and in which order."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from threading import Condition
from typing import TYPE_CHECKING

from dfsync.output.result import SyncResult, TableCounts
from dfsync.plan.model import TablePlan

if TYPE_CHECKING:
    import pandas as pd

    from dfsync.plan.model import Plan


class OrderedProgress:
    """Owns how far the tables are, of which several may be in work; the observer hears of those that it was told of."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._done: dict[str, int] = {}
        self._told: set[str] = set()
        self._turns: set[str] = set()
        self._changed = Condition()
        self._stopped = False

    def announce(self, table: TablePlan, total: int) -> None:
        """The turn of the table has come, `total` rows of which are in the source."""
        self._observer.table_started(table, total)
        self._told.add(table.name)
        if table.name in self._done:
            self._observer.progress(table, self._done[table.name])

    def advance(self, table: TablePlan, done: int) -> None:
        """So many rows are done; from whatever thread."""
        self._done[table.name] = done
        if table.name in self._told:
            self._observer.progress(table, done)

    def begin_turn(self, table: TablePlan) -> None:
        """The turn of the group that begins with the table has come."""
        with self._changed:
            self._turns.add(table.name)
            self._changed.notify_all()

    def wait_for_turn(self, table: TablePlan) -> None:
        """Until that turn, or the end of the run."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or table.name in self._turns)

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()


class Observer:
    """What a run tells while it goes, table by table in the plan's order, also where several are in work at a time.

    Every method does nothing until a subclass says otherwise. `progress` may come from another thread than the others.
    """

    def run_started(self, plan: Plan, names: list[str]) -> None:
        """Before the first table; `names` are those that will be synced."""

    def maps_removed(self, out: Path, target: str) -> None:
        """The maps that `out` held were of another `target`, and are gone, since they would mix with those to come."""

    def table_started(self, table: TablePlan, total: int) -> None:
        """`total` rows were found in the source."""

    def table_missing(self, table: TablePlan, reason: str) -> None:
        """The source lacks the table, so it is passed over."""

    def progress(self, table: TablePlan, done: int) -> None:
        """`done` rows of the table are matched or loaded so far."""

    def rows_done(self, table: TablePlan, mapping: Iterable[pd.DataFrame], rejects: pd.DataFrame) -> None:
        """The table is committed, every row accounted for: the frames of `SyncResult`, `mapping` in parts that are made
        when they are asked for."""

    def note(self, table: TablePlan, message: str) -> None:
        """Something that the user should know and that is no error."""

    def table_finished(self, table: TablePlan, counts: TableCounts) -> None:
        """The table is committed, or rolled back where `counts.error` says why."""

    def run_finished(self, result: SyncResult) -> None:
        """After the last table."""
