"""What can go wrong for a reason that the user can act on."""

from __future__ import annotations

from pathlib import Path


class DfsyncError(Exception):
    """One plain sentence or two: what happened, where, and what to do. Shown without a traceback, exit status 2."""


class OutputWriteError(DfsyncError):
    """A file that has no room, or no permission; a run goes on without it, exit status 1."""

    def __init__(self, path: Path, error: OSError) -> None:
        self.path = path
        self.reason = error.strerror or str(error)
        super().__init__(f"{path} cannot be written: {self.reason}. Make room or choose another folder, and run again.")


class TableError(DfsyncError):
    """A table that fails as a whole: its transaction rolls back, the other tables go on, exit status 1."""
