"""The one place that decides where concurrent work runs: in threads of this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Protocol, Self, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_END = object()


class Executor(Protocol):
    """Runs functions while the caller does something else. Leaving its `with` waits for what was submitted."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *raised: object) -> None: ...

    def submit(self, function: Callable[[], R]) -> Future[R]:
        """Begin a call.

        Parameters
        ----------
        function
            What to call, without arguments.

        Returns
        -------
        Future
            Holds what the call returns or raises.
        """

    def map(self, function: Callable[[T], R], partitions: Iterable[T]) -> Iterator[R]:
        """Apply a function to each partition, one partition ahead of the caller.

        Parameters
        ----------
        function
            What to apply.
        partitions
            Taken one by one, when their turn comes.

        Yields
        ------
        R
            The results, in the order of the partitions. What the function or the partitions raise is raised in
            place of the result.
        """


class ThreadExecutor:
    """Runs functions in threads of this process.

    Parameters
    ----------
    name
        The prefix of the threads' names.
    max_workers
        How many functions may run at the same time.
    """

    def __init__(self, name: str, max_workers: int = 1) -> None:
        self._pool = ThreadPoolExecutor(max_workers, thread_name_prefix=name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._pool.shutdown()

    def submit(self, function: Callable[[], R]) -> Future[R]:
        """Begin a call in a thread: see `Executor.submit`."""
        return self._pool.submit(function)

    def map(self, function: Callable[[T], R], partitions: Iterable[T]) -> Iterator[R]:
        """Apply a function to each partition in a thread: see `Executor.map`."""
        # The thread also takes the partition: a generator's own work is done there, too.
        results = map(function, partitions)
        take: Callable[[], R] = partial(next, results, _END)
        ahead = self.submit(take)
        while (result := ahead.result()) is not _END:
            ahead = self.submit(take)
            yield result


def open_executor(name: str, max_workers: int = 1) -> Executor:
    """Choose the executor of the work with this name.

    Parameters
    ----------
    name
        For people who look at the threads: `dfsync-table`.
    max_workers
        How many functions may run at the same time.

    Returns
    -------
    Executor
        To be used in a `with`.
    """
    return ThreadExecutor(name, max_workers)
