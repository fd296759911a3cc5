"""Run a graph of tasks on an executor, in plan order where possible."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from graphlib import TopologicalSorter
from threading import Lock
from typing import Generic, Self, TypeVar

from dfsync.execution.executor import open_executor

R = TypeVar("R")


class TaskGraph(Generic[R]):
    """Runs tasks while its `with` is open, each as soon as the tasks that it depends on have succeeded.

    Of the tasks that may start, the first in order starts first. Leaving the `with` by an exception cancels the tasks
    that have not started and calls `stop`; it always waits for the tasks that run.

    Parameters
    ----------
    tasks
        What to call, in plan order.
    dependencies
        For each task, the positions of the tasks that must succeed first. Where one of them fails, the task never
        starts.
    max_workers
        How many tasks may run at the same time.
    stop
        Has to end the tasks that run.

    Raises
    ------
    graphlib.CycleError
        Where tasks depend on each other in a circle.

    Attributes
    ----------
    futures
        By position, what each task returns or raises.
    """

    def __init__(
        self,
        tasks: Sequence[Callable[[], R]],
        dependencies: Sequence[Collection[int]],
        max_workers: int,
        stop: Callable[[], None] = lambda: None,
    ) -> None:
        self.futures: list[Future[R]] = [Future() for _ in tasks]
        self._tasks = tasks
        self._sorter = TopologicalSorter(dict(enumerate(dependencies)))
        self._sorter.prepare()
        self._stop = stop
        self._ready: list[int] = []
        self._lock = Lock()
        self._cancelled = False
        self._executor = open_executor("dfsync-table", max_workers)

    def __enter__(self) -> Self:
        with self._lock:
            self._submit_ready()
        return self

    def __exit__(self, *raised: object) -> None:
        if any(raised):
            with self._lock:
                self._cancelled = True
            for future in self.futures:
                future.cancel()
            self._stop()
        self._executor.__exit__(*raised)

    def _submit_ready(self) -> None:
        for position in self._sorter.get_ready():
            heapq.heappush(self._ready, position)
            self._executor.submit(self._run_first)

    def _run_first(self) -> None:
        with self._lock:
            position = heapq.heappop(self._ready)
        future = self.futures[position]
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(self._tasks[position]())
        except BaseException as error:
            future.set_exception(error)
            return
        with self._lock:
            self._sorter.done(position)
            if not self._cancelled:
                self._submit_ready()
