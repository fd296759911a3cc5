"""How far each table is, told of in the order in which tables are told of."""

from __future__ import annotations

from threading import Condition

from dfsync.plan import TablePlan
from dfsync.result import Observer


class Progress:
    """Owns how far the tables are, of which several may be in work; the observer hears of those that it was told of."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._done: dict[str, int] = {}
        self._told: set[str] = set()
        self._turns: set[str] = set()
        self._changed = Condition()
        self._stopped = False

    def tell(self, table: TablePlan, total: int) -> None:
        """The turn of the table has come, `total` rows of which are in the source."""
        self._observer.table_started(table, total)
        self._told.add(table.name)
        if table.name in self._done:
            self._observer.progress(table, self._done[table.name])

    def at(self, table: TablePlan, done: int) -> None:
        """So many rows are done; from whatever thread."""
        self._done[table.name] = done
        if table.name in self._told:
            self._observer.progress(table, done)

    def turn(self, table: TablePlan) -> None:
        """The turn of the group that begins with the table has come."""
        with self._changed:
            self._turns.add(table.name)
            self._changed.notify_all()

    def wait(self, table: TablePlan) -> None:
        """Until that turn, or the end of the run."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or table.name in self._turns)

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
