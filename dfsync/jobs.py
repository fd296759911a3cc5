"""Jobs of which some need others: several at a time, and of those that need no other any more the first one first."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Generic, Self, TypeVar

R = TypeVar("R")


class Jobs(Generic[R]):
    """Owns the threads in which they are done, for as long as it is open. Whoever leaves it early has those that have
    not begun called off; `stop` has to end the others."""

    def __init__(
        self,
        jobs: Sequence[Callable[[], R]],
        needs: Sequence[Collection[int]],
        at_once: int,
        stop: Callable[[], None] = lambda: None,
    ) -> None:
        """`needs` are, for each job, the places of those that must be done before it; where one of them fails, it is
        never begun."""
        self.ended: list[Future[R]] = [Future() for _ in jobs]
        """By place, what each will give, or raise."""
        self._jobs = jobs
        self._waits_for = [set(places) for places in needs]
        self._stop = stop
        self._ready: list[int] = []
        self._lock = Lock()
        self._over = False
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="dfsync-table")

    def __enter__(self) -> Self:
        with self._lock:
            self._begin([place for place, waits_for in enumerate(self._waits_for) if not waits_for])
        return self

    def __exit__(self, *raised: object) -> None:
        if any(raised):
            with self._lock:
                self._over = True
            for future in self.ended:
                future.cancel()
            self._stop()
        self._pool.shutdown()

    def _begin(self, places: Iterable[int]) -> None:
        for place in places:
            heapq.heappush(self._ready, place)
            self._pool.submit(self._go)

    def _go(self) -> None:
        with self._lock:
            place = heapq.heappop(self._ready)
        future = self.ended[place]
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(self._jobs[place]())
        except BaseException as error:
            future.set_exception(error)
        else:
            self._done(place)

    def _done(self, done: int) -> None:
        with self._lock:
            waiting = [place for place, waits_for in enumerate(self._waits_for) if done in waits_for]
            for place in waiting:
                self._waits_for[place].discard(done)
            if not self._over:
                self._begin(place for place in waiting if not self._waits_for[place])
