"""The benchmark's own arithmetic: what is kept, what is compared, who may leave rows out."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine

from benchmarks.machine import processor_time
from benchmarks.process import NotDone, run
from benchmarks.report import grids
from benchmarks.results import Measured, Results
from benchmarks.steps import DFSYNC, FIRST, FLOOR, READING, SECOND, TENTH
from benchmarks.target import TABLES, Target

ROWS = 1_000_000


def first(contestant: str, number: int, seconds: float | None, error: str = "") -> Measured:
    return Measured(FIRST, contestant, ROWS, number, seconds, 100.0, 1_310_000, error)


def test_a_run_that_was_stopped_goes_on_where_it_was_with_the_same_code_only(tmp_path: Path) -> None:
    results = Results.open(tmp_path / "results.json", "code 1")
    results.add(first(DFSYNC, 0, 3.0))
    results.add(first(DFSYNC, 0, 2.0))
    again = Results.open(tmp_path / "results.json", "code 1")
    assert again.has(FIRST, DFSYNC, ROWS, 0)
    assert not again.has(FIRST, DFSYNC, ROWS, 1)
    assert again.seconds(FIRST, DFSYNC, ROWS) == 2.0
    assert not Results.open(tmp_path / "results.json", "code 2").measured


def test_the_median_stands_and_a_failure_is_no_time(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.json", "")
    for number, seconds in enumerate((9.0, 1.0, 2.0)):
        results.add(first(DFSYNC, number, seconds))
        results.add(first(FLOOR, number, 1.0))
    results.add(first("another", 0, None, "it | fell\nover"))
    table, goals = grids(results)
    assert table.lines == [
        ("1,000,000", DFSYNC, "2.00", "2.00", "655,000", "100"),
        ("1,000,000", FLOOR, "1.00", "1.00", "1,310,000", "100"),
        ("1,000,000", "another", "it / fell over", "", "", ""),
    ]
    assert [line[1:] for line in goals.lines] == [("2.00", "1.00", "2.00", "1.25 (missed)")]


def test_a_tenth_more_is_held_against_the_second_sync_and_the_floor_of_the_new_rows(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.json", "")
    measured = ((SECOND, DFSYNC, 3.0), (SECOND, READING, 1.5), (TENTH, DFSYNC, 5.0), (TENTH, FLOOR, 2.0))
    for case, who, seconds in measured:
        results.add(Measured(case, who, ROWS, 0, seconds))
    results.add(first(DFSYNC, 0, 1.0))
    assert [line[1:] for line in grids(results)[1].lines] == [
        ("3.00", "1.50", "2.00", "2"),
        ("5.00", "5.50", "0.91", "1"),
    ]


def test_a_size_that_no_goal_names_misses_none(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.json", "")
    for who, seconds in ((DFSYNC, 2.0), (FLOOR, 1.0)):
        results.add(Measured(FIRST, who, 10_000, 0, seconds))
    assert [line[1:] for line in grids(results)[1].lines] == [("2.00", "1.00", "2.00", "")]


def test_what_was_stolen_is_the_median_of_a_contestants_steps(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.json", "")
    for number, share in enumerate((0.01, 0.5, 0.03)):
        results.add(Measured(FIRST, DFSYNC, ROWS, number, 1.0, stolen=share))
    assert (results.stolen(DFSYNC), results.stolen(FLOOR)) == (0.03, 0.0)


def test_the_processors_time_goes_on() -> None:
    before, _ = processor_time()
    time.sleep(0.1)
    after, stolen = processor_time()
    assert after > before
    assert 0 <= stolen < after


def test_a_process_has_its_own_memory_and_its_end_is_looked_at(tmp_path: Path) -> None:
    small = run((sys.executable, "-c", "print('done')"), tmp_path, 60)
    large = run((sys.executable, "-c", "x = bytearray(b'x') * 300_000_000"), tmp_path, 60)
    assert small.said == "done"
    assert small.peak_mb
    assert large.peak_mb
    assert large.peak_mb > 280
    with pytest.raises(NotDone, match="exit status 3: sorry"):
        run((sys.executable, "-c", "print('sorry'); raise SystemExit(3)"), tmp_path, 60)
    with pytest.raises(NotDone, match="not done within 1 s"):
        run((sys.executable, "-c", "import time; time.sleep(30)"), tmp_path, 1)


def test_rows_left_out_are_noticed(target: Engine, target_url: str) -> None:
    bench = Target(target_url, target.url.database or "")
    bench.create([f"CREATE TABLE {table} (id INT)" for table in TABLES])
    pd.DataFrame({"id": [7]}).to_sql(TABLES[0], target, if_exists="append", index=False)
    pd.DataFrame({"id": [9]}).to_sql(TABLES[-1], target, if_exists="append", index=False)
    assert (bench.highest_ids()[TABLES[0]], bench.highest_ids()[TABLES[-1]]) == (7, 9)
    bench.must_have(2)
    with pytest.raises(NotDone, match="2 rows are there in place of 3"):
        bench.must_have(3)
