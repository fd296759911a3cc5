"""Measure where the time of a table goes, stage by stage."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeVar

T = TypeVar("T")

_END = object()


@dataclass(frozen=True)
class StageTimer:
    """Adds up the time of each stage.

    Attributes
    ----------
    seconds
        By stage. Stages of different threads overlap, so their sum may exceed the wall time.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Add the time that the `with` block takes to the stage, also where it raises."""
        start = time.perf_counter()
        try:
            yield
        finally:
            passed = time.perf_counter() - start
            # A stage may run in several threads at once.
            with self._lock:
                self.seconds[stage] = self.seconds.get(stage, 0.0) + passed

    def timed_iter(self, stage: str, items: Iterable[T]) -> Iterator[T]:
        """Add the time that each item takes to come to the stage, not the time of its use.

        Parameters
        ----------
        stage
            The key in `seconds`.
        items
            What to iterate.

        Yields
        ------
        T
            The items.
        """
        iterator = iter(items)
        while True:
            with self(stage):
                item = next(iterator, _END)
            if item is _END:
                return
            yield item  # type: ignore[misc]
