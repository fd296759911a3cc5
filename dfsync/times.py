"""Where the time of a table goes, stage by stage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Times(dict[str, float]):
    """Seconds by stage. Stages of different threads overlap, so their sum may exceed the whole."""

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self[stage] = self.get(stage, 0.0) + time.perf_counter() - start

    def pulls(self, stage: str, items: Iterator[Any]) -> Iterator[Any]:
        """The items, with the time that each takes to come counted to the stage."""
        while True:
            with self(stage):
                item = next(items, None)
            if item is None:
                return
            yield item
