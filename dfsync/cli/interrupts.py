"""Ctrl-C, and signals that ask to end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dfsync.model.errors import DfsyncError


class Interrupted(DfsyncError):
    """Ctrl-C or a signal ended the run."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@contextmanager
def interruptible(message: str | Callable[[], str]) -> Iterator[None]:
    """Turn Ctrl-C, or a signal that asks to end, into an error with a sentence and its exit status.

    Parameters
    ----------
    message
        The sentence, or what makes it at that moment.

    Raises
    ------
    Interrupted
        Where the block was interrupted.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        sentence = message if isinstance(message, str) else message()
        raise Interrupted(sentence, getattr(stop, "status", 130)) from None
