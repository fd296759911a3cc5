"""The executor and what runs on it: one item ahead, in order, errors in their place."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from dfsync.execution.executor import open_executor
from dfsync.execution.prefetch import prefetch


def test_the_next_result_is_made_while_the_current_one_is_in_use() -> None:
    begun = [threading.Event() for _ in range(4)]

    def square(number: int) -> int:
        begun[number].set()
        return number * number

    with open_executor("test") as executor:
        results = executor.map(square, range(4))
        assert not begun[0].is_set()
        assert next(results) == 0
        assert begun[1].wait(10)
        assert not begun[2].wait(0.05)
        assert list(results) == [1, 4, 9]


def test_items_are_made_in_a_thread_and_an_error_comes_where_its_item_would_have() -> None:
    makers: list[str] = []

    def items() -> Iterator[int | None]:
        makers.append(threading.current_thread().name)
        yield 1
        yield None
        raise ValueError("no third")

    seen = prefetch(items())
    assert [next(seen), next(seen)] == [1, None]
    with pytest.raises(ValueError, match="no third"):
        next(seen)
    assert makers[0].startswith("dfsync-prefetch")
