"""What a run leaves of a table for the next one is evidence only whole, and beside the map that it was written with."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dfsync.output.files import STATE, open_folder, write_mapping
from dfsync.output.folder.state import RowsState, Segments, TableState, read_state, remove_state, write_state

UNDER = {"server": ["11", 8], "origin": {"key": ("a", "b")}}


def state(*digests: int) -> TableState:
    ids = np.arange(1, len(digests) + 1)
    rows = RowsState(ids, np.array(digests, np.uint64), ids * 10)
    one = np.array([2**63 + 5], np.uint64)
    return TableState(rows, Segments(ids[-1:] * 10, np.array([len(digests)]), one, one + np.uint64(1)), seed=2**255)


def write_map(out: Path, *new_ids: int) -> None:
    write_mapping(out, "people", [pd.DataFrame({"old_id": range(len(new_ids)), "new_id": new_ids})])


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    open_folder(folder)
    write_map(folder, 10, 20, 30)
    write_state(folder, "people", state(7, 8, 2**64 - 1), UNDER)
    return folder


def test_it_comes_back_as_it_was(out: Path) -> None:
    found = read_state(out, "people", UNDER)
    assert found is not None
    assert found.rows.old_id.tolist() == [1, 2, 3]
    assert found.rows.digest.tolist() == [7, 8, 2**64 - 1]
    assert found.rows.new_id.tolist() == [10, 20, 30]
    assert found.segments.last_id.tolist() == [30]
    assert found.segments.rows.tolist() == [3]
    assert found.segments.checksum_1.tolist() == [2**63 + 5]
    assert found.segments.checksum_2.tolist() == [2**63 + 6]
    assert found.seed == 2**255


def test_only_its_user_may_read_it(out: Path) -> None:
    assert {oct(path.stat().st_mode)[-3:] for path in (out / STATE).iterdir()} == {"600"}
    assert oct((out / STATE).stat().st_mode)[-3:] == "700"


@pytest.mark.parametrize("under", [{}, {**UNDER, "server": ["11", 9]}, {**UNDER, "origin": {"key": ("b", "a")}}])
def test_one_that_was_made_under_something_else_is_none(out: Path, under: dict[str, object]) -> None:
    assert read_state(out, "people", under) is None


def test_one_beside_another_map_is_none(out: Path) -> None:
    write_map(out, 10, 20, 31)
    assert read_state(out, "people", UNDER) is None


def test_one_without_a_map_is_none(out: Path) -> None:
    (out / "mappings" / "people.parquet").unlink()
    assert read_state(out, "people", UNDER) is None


@pytest.mark.parametrize("name", ["people.parquet", "people.segments.parquet"])
def test_one_without_one_of_its_files_is_none(out: Path, name: str) -> None:
    (out / STATE / name).unlink()
    assert read_state(out, "people", UNDER) is None


def test_files_of_two_runs_are_none(out: Path) -> None:
    shutil.copy(out / STATE / "people.parquet", out / "before.parquet")
    write_state(out, "people", state(1, 2, 3), UNDER)
    assert read_state(out, "people", UNDER) is not None
    shutil.copy(out / "before.parquet", out / STATE / "people.parquet")
    assert read_state(out, "people", UNDER) is None


@pytest.mark.parametrize("name", ["people.parquet", "people.segments.parquet"])
def test_no_damaged_bit_makes_it_another_one(out: Path, name: str) -> None:
    path = out / STATE / name
    content = path.read_bytes()
    for place in range(0, len(content), 3):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        found = read_state(out, "people", UNDER)
        if found is not None:
            assert found.rows.digest.tolist() == [7, 8, 2**64 - 1], place
            assert found.rows.old_id.tolist() == [1, 2, 3], place
            assert found.rows.new_id.tolist() == [10, 20, 30], place
            assert found.segments.checksum_1.tolist() == [2**63 + 5], place
            assert found.segments.last_id.tolist() == [30], place


@pytest.mark.parametrize("size", [0, 3, 100])
def test_a_file_that_was_cut_off_is_none(out: Path, size: int) -> None:
    path = out / STATE / "people.parquet"
    path.write_bytes(path.read_bytes()[:size])
    assert read_state(out, "people", UNDER) is None


def test_only_the_segments_are_written_where_the_rows_are_the_same(out: Path) -> None:
    path = out / STATE / "people.parquet"
    before, found = path.stat().st_mtime_ns, read_state(out, "people", UNDER)
    assert found is not None
    write_map(out, 10, 20, 31)
    write_state(out, "people", found, UNDER, same_rows=True)
    assert path.stat().st_mtime_ns == before
    assert read_state(out, "people", UNDER) is not None


def test_it_can_be_removed_twice(out: Path) -> None:
    for _ in range(2):
        remove_state(out, "people")
        assert not list((out / STATE).iterdir())
