"""What can go wrong for a reason that the user can act on."""

from __future__ import annotations


class DfsyncError(Exception):
    """One plain sentence or two: what happened, where, and what to do. Shown without a traceback, exit status 2."""


class TableFailed(DfsyncError):
    """A table that fails as a whole: its transaction rolls back, the other tables go on, exit status 1."""
