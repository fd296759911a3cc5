"""The next batch is made while this one is being used."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def prefetch(items: Iterator[T]) -> Iterator[T]:
    """The items in their order, each made in a thread of its own while the one before is in use.

    One item is held ahead. An exception of the maker is raised where its item would have come.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="dfsync-prefetch") as worker:
        ahead = worker.submit(next, items, None)
        while (item := ahead.result()) is not None:
            ahead = worker.submit(next, items, None)
            yield item
