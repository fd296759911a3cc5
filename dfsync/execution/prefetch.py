"""Make the next batch while the current one is in use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from dfsync.execution.executor import open_executor

T = TypeVar("T")


def prefetch(items: Iterable[T]) -> Iterator[T]:
    """Iterate in a thread, one item ahead of the caller.

    Parameters
    ----------
    items
        Batches, each of which takes time to make. One finished batch is held in memory beside the current one.

    Yields
    ------
    T
        The items in their order. An exception of `items` is raised where the item would have come.
    """
    with open_executor("dfsync-prefetch") as executor:
        yield from executor.map(_as_is, items)


def _as_is(item: T) -> T:
    return item
