"""Files that cannot be read, are missing, of another schema, or change: each fails alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine

from dfsync.commands.runs import runs
from dfsync.model.errors import DfsyncError
from dfsync.source.many import combined, open_files
from dfsync.source.sqlite import SqliteSource
from tests.support.git_history import run_sql
from tests.support.laptops import COMMITS, SCHEMA, Laptops


@pytest.fixture
def laptops(tmp_path: Path, target: Engine) -> Laptops:
    made = Laptops(tmp_path, target)
    made.add_all()
    made.create_tables()
    return made


def damaged(folder: Path) -> Path:
    path = folder / "damaged.db"
    path.write_bytes(b"SQLite format 3\x00" + b"nonsense" * 1000)
    return path


def other_schema(folder: Path) -> Path:
    script = SCHEMA.replace("message TEXT, ", "message TEXT, subject TEXT, ")
    return run_sql(folder / "other.db", script)


def without_a_table(folder: Path) -> Path:
    return run_sql(folder / "lacking.db", "CREATE TABLE repositories (id INTEGER PRIMARY KEY, slug VARCHAR(50) UNIQUE)")


def missing(folder: Path) -> Path:
    return folder / "missing.db"


class TestAFileThatCannotBeRead:
    @pytest.mark.parametrize(
        ("make", "says"),
        [
            (damaged, "cannot be read"),
            (missing, "There is no source"),
            (other_schema, "commits has the column subject, which is not there"),
            (without_a_table, "it has no table authors"),
        ],
    )
    @pytest.mark.parametrize("place", [1, 3])
    def test_fails_alone(self, laptops: Laptops, make: Any, says: str, place: int) -> None:
        path = make(laptops.folder)
        result = laptops.sync([*laptops.paths[:place], path, *laptops.paths[place:]])
        assert not result.ok
        assert not [c.error for c in result.counts if c.error]
        errors = {source.name: source.error for source in result.sources if source.error}
        assert list(errors) == [path.stem]
        assert says in str(errors[path.stem])
        assert len(laptops.read(COMMITS)) == 5
        summary = json.loads((laptops.out / "summary.json").read_text())
        assert [source["name"] for source in summary["sources"] if source["error"]] == [path.stem]

    @pytest.mark.parametrize("make", [damaged, missing])
    def test_may_be_the_first(self, laptops: Laptops, make: Any) -> None:
        result = laptops.sync([make(laptops.folder), *laptops.paths])
        assert [source.name for source in result.sources if source.error] == [make(laptops.folder).stem]
        assert len(laptops.read(COMMITS)) == 5

    def test_none_is_left(self, laptops: Laptops) -> None:
        with pytest.raises(DfsyncError, match=r"^None of the 2 sources can be read\. Name others with source=\. The"):
            laptops.sync([damaged(laptops.folder), missing(laptops.folder)])

    def test_its_map_stays_as_it_was(self, laptops: Laptops) -> None:
        first = laptops.sync().mappings["commits"]
        content = laptops.paths[1].read_bytes()
        laptops.paths[1].write_bytes(b"SQLite format 3\x00" + b"nonsense" * 1000)
        result = laptops.sync()
        assert [source.name for source in result.sources if source.error] == ["bob"]
        again = result.mappings["commits"]
        columns = ["source", "old_id", "new_id"]
        assert sorted(map(tuple, again[columns].to_numpy())) == sorted(map(tuple, first[columns].to_numpy()))
        laptops.paths[1].write_bytes(content)
        assert laptops.sync().ok


class TestAFileThatFailsInTheMiddle:
    @pytest.fixture
    def fails(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
        """By table, the number of the read of bob's rows that fails."""
        failing: dict[str, int] = {}
        tables = SqliteSource.tables

        def read(self: Any, partition: Any, size: int, ids: Any = None) -> Any:
            if self.path.stem == "bob" and partition.table in failing:
                failing[partition.table] -= 1
                if failing[partition.table] < 0:
                    raise DfsyncError("The disk is gone.")
            return tables(self, partition, size, ids)

        monkeypatch.setattr(SqliteSource, "tables", read)
        return failing

    def test_gives_nothing_to_that_table_and_later_ones(self, laptops: Laptops, fails: dict[str, int]) -> None:
        fails["authors"] = 0
        # One table after the other: another one that is being read would lose the file's rows too.
        result = laptops.sync(jobs=1)
        assert not result.ok
        counts = {c.name: (c.total, c.inserted, c.matched, c.failed) for c in result.counts if c.total}
        assert counts == {"repositories": (5, 3, 2, 0), "authors": (6, 3, 1, 2), "commits": (7, 4, 1, 2)}
        assert [c.error for c in result.counts if c.error] == []
        (bob,) = [source for source in result.sources if source.name == "bob"]
        assert (bob.total, bob.inserted, bob.matched, bob.failed, bob.error) == (6, 1, 1, 4, "The disk is gone.")
        (run,) = runs(laptops.out).runs
        assert (run.count("failed"), run.failed_sources) == (4, {"bob": "The disk is gone."})
        assert laptops.read("SELECT slug FROM repositories ORDER BY slug") == [("core",), ("docs",), ("web",)]
        fails.clear()
        assert laptops.sync().ok
        assert len(laptops.read(COMMITS)) == 5

    def test_after_rows_of_it_were_read(self, laptops: Laptops, fails: dict[str, int]) -> None:
        fails["commits"] = 1
        result = laptops.sync()
        counts = {c.name: (c.total, c.inserted, c.matched, c.failed) for c in result.counts if c.total}
        assert counts == {"repositories": (5, 3, 2, 0), "authors": (6, 3, 3, 0), "commits": (7, 4, 1, 2)}
        assert laptops.read("SELECT COUNT(*) FROM commits") == [(4,)]

    def test_where_none_is_left_the_folder_is_that_of_the_same_sources(
        self, laptops: Laptops, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def read(*_: Any) -> Any:
            raise DfsyncError("The disk is gone.")

        with monkeypatch.context() as patched:
            patched.setattr(SqliteSource, "tables", read)
            assert all(source.error for source in laptops.sync(jobs=1).sources)
        assert laptops.sync().ok
        assert len(laptops.read(COMMITS)) == 5


class TestManyFiles:
    @pytest.fixture(autouse=True)
    def few_open(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(open_files, "MOST_OPEN", 26)
        monkeypatch.setattr(open_files, "_PASSING", 3)

    def test_are_opened_when_their_turn_comes(self, tmp_path: Path, target: Engine) -> None:
        laptops = Laptops(tmp_path, target)
        for number in range(40):
            rows = f"(1, 'r{number}'), (2, 'r{number + 1}')"
            laptops.add(f"l{number:02}", f"INSERT INTO repositories VALUES {rows}")  # noqa: S608
        laptops.create_tables()
        result = laptops.sync()
        assert result.ok
        assert laptops.read("SELECT COUNT(*) FROM repositories") == [(41,)]
        assert laptops.sync().ok

    def test_one_that_changes_fails_alone(
        self, tmp_path: Path, target: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        laptops = Laptops(tmp_path, target)
        for number in range(40):
            laptops.add(f"l{number:02}", f"INSERT INTO repositories VALUES (1, 'r{number}')")  # noqa: S608
        laptops.create_tables()
        with_plan = combined.CombinedSource.with_plan

        def change_the_last(self: Any, plan: Any) -> Any:
            made = with_plan(self, plan)
            for path in laptops.paths[30:31]:
                run_sql(path, "INSERT INTO repositories VALUES (2, 'new')")
            return made

        monkeypatch.setattr(combined.CombinedSource, "with_plan", change_the_last)
        result = laptops.sync()
        errors = {source.name: source.error for source in result.sources if source.error}
        assert list(errors) == ["l30"]
        assert str(errors["l30"]).endswith("changed while it was read. Sync it again.")
        assert laptops.read("SELECT COUNT(*) FROM repositories") == [(39,)]


def test_rejects_have_the_source_too(laptops: Laptops) -> None:
    laptops.change(laptops.paths[0], "INSERT INTO commits VALUES (77, 999, 'x', NULL, NULL)")
    laptops.sync()
    rejects = pd.read_parquet(laptops.out / "rejects" / "commits.parquet")
    assert rejects.to_dict("records")[0]["source"] == "ann"
