"""Ctrl-C, and signals that ask to end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dfsync.errors import DfsyncError


class Stopped(DfsyncError):
    """Ctrl-C or a signal ended the run."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@contextmanager
def interruptible(message: str) -> Iterator[None]:
    """Ctrl-C, or a signal that asks to end, is answered with one sentence and its exit status."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise Stopped(message, getattr(stop, "status", 130)) from None
