"""Jobs of which some need others."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from dfsync.execution.task_graph import TaskGraph


class Log:
    """Jobs by name, and in which order they were done."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def job(self, name: str, before: Callable[[], object] = lambda: None) -> Callable[[], str]:
        def go() -> str:
            before()
            self.done.append(name)
            return name

        return go


@pytest.mark.parametrize("at_once", [1, 2, 10])
def test_each_begins_when_those_that_it_needs_are_done(at_once: int) -> None:
    log = Log()
    with TaskGraph([log.job(name) for name in "abcde"], [{3}, {0}, set(), {2}, {1, 2}], at_once) as graph:
        results = [ended.result(timeout=10) for ended in graph.futures]
    assert results == list("abcde")
    assert "".join(log.done) == "cdabe"


def test_the_first_that_can_goes_first() -> None:
    log = Log()
    with TaskGraph([log.job(name) for name in "abcde"], [set(), {0}, {1}, set(), set()], 1) as graph:
        for ended in graph.futures:
            ended.result(timeout=10)
    assert "".join(log.done) == "abcde"


def test_those_that_need_nobody_go_on_while_one_takes_long() -> None:
    log, free = Log(), threading.Event()
    with TaskGraph([log.job("a", lambda: free.wait(10)), log.job("b"), log.job("c")], [set(), {0}, set()], 2) as graph:
        assert graph.futures[2].result(timeout=10) == "c"
        assert log.done == ["c"]
        free.set()
        assert graph.futures[1].result(timeout=10) == "b"
    assert log.done == ["c", "a", "b"]


def test_no_more_at_a_time_than_was_asked_for() -> None:
    busy, most, lock = 0, 0, threading.Lock()
    meeting = threading.Barrier(3)

    def go() -> None:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        # Three must meet, or it is less than was asked for.
        meeting.wait(10)
        with lock:
            busy -= 1

    with TaskGraph([go] * 6, [set()] * 6, 3) as graph:
        for ended in graph.futures:
            ended.result(timeout=10)
    assert most == 3


def test_who_leaves_early_stops_what_runs_and_calls_off_the_rest() -> None:
    log, stopped = Log(), threading.Event()
    first = log.job("a", lambda: stopped.wait(10))
    graph = TaskGraph([first, log.job("b"), log.job("c")], [set(), {0}, set()], 1, stopped.set)
    with pytest.raises(KeyboardInterrupt), graph:
        raise KeyboardInterrupt
    assert log.done in (["a"], [])
    assert [ended.cancelled() for ended in graph.futures[1:]] == [True, True]


def test_one_that_fails_tells_why_and_those_that_need_it_never_begin() -> None:
    def fail() -> str:
        raise ValueError("no")

    log = Log()
    graph = TaskGraph([fail, log.job("b"), log.job("c")], [set(), {0}, set()], 1)
    graph.__enter__()
    assert graph.futures[2].result(timeout=10) == "c"
    with pytest.raises(ValueError, match="no") as failed:
        graph.futures[0].result(timeout=10)
    graph.__exit__(ValueError, failed.value, None)
    assert log.done == ["c"]
    assert graph.futures[1].cancelled()
