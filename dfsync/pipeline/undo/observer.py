"""What can be heard of an undo while it goes on."""

from __future__ import annotations

from collections.abc import Sequence


class UndoObserver:
    """Hears how far an undo is; a subclass takes what it wants to know."""

    def run_started(self, run: str, tables: Sequence[str]) -> None:
        """Hear that a run is being taken back, and the names of its tables in the order of the undo."""

    def table_undone(self, run: str, name: str) -> None:
        """Hear that a table is taken back, and that this is in the record of the run."""
