"""Choices of a sync that meet rows which several files share: kept ids, pieces, updates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from dfsync.output.journal.record import read_records
from dfsync.output.result import SyncResult
from tests.support.laptops import COMMITS, Laptops, ids
from tests.support.runs.undone import dump, taken_back, undo

EVERYTHING = [
    ("core", "aa", "ann", None, "one"),
    ("core", "cc", None, None, "three"),
    ("core", "dd", "ann", None, "four"),
    ("docs", "aa", "ann", None, "other repository"),
    ("web", "bb", "bob", "ann", "two"),
]


@pytest.fixture
def laptops(tmp_path: Path, target: Engine) -> Laptops:
    made = Laptops(tmp_path, target)
    made.add_all()
    made.create_tables()
    return made


def told(result: SyncResult) -> dict[str, tuple[int, int, int, int]]:
    return {c.name: (c.inserted, c.matched, c.updated, c.failed) for c in result.counts if c.total}


class TestCommitEvery:
    @pytest.mark.parametrize("rows", [1, 2, 3])
    def test_ends_as_one_transaction_does(self, laptops: Laptops, rows: int) -> None:
        result = laptops.sync(commit_every=rows)
        assert told(result) == {
            "repositories": (3, 2, 0, 0),
            "authors": (3, 3, 0, 0),
            "commits": (5, 2, 0, 0),
        }
        assert laptops.read(COMMITS) == EVERYTHING
        hashes = dict(laptops.read("SELECT id, hash FROM commits"))
        assert {row: hashes[new] for row, new in ids(result.mappings["commits"]).items()} == {
            ("ann", 1): "aa",
            ("ann", 2): "bb",
            ("ann", 3): "cc",
            ("bob", 1): "bb",
            ("bob", 2): "aa",
            ("cem", 9): "cc",
            ("cem", 11): "dd",
        }
        (run,) = read_records(laptops.out)
        assert [len(t.parts) for t in run.tables if t.name == "commits"] == [-(-5 // rows)]
        assert not (laptops.out / "pieces").exists()
        assert ids(laptops.sync().mappings["commits"]) == ids(result.mappings["commits"])
        assert laptops.read(COMMITS) == EVERYTHING

    def test_and_is_taken_back(self, laptops: Laptops) -> None:
        before = dump(laptops)
        laptops.sync(commit_every=2)
        assert undo(laptops).ok
        assert dump(laptops) == before


class TestUpdates:
    @pytest.fixture(autouse=True)
    def theirs(self, laptops: Laptops) -> None:
        """The target has some of the rows with values of its own."""
        laptops.execute(
            "INSERT INTO repositories (id, slug) VALUES (50, 'core'), (51, 'web')",
            "INSERT INTO authors (id, email) VALUES (60, 'bob')",
            "INSERT INTO commits (id, repository_id, hash, message) VALUES (70, 50, 'cc', 'x'), (71, 51, 'bb', 'x')",
        )

    @pytest.mark.parametrize("pieces", [None, 2])
    def test_take_the_values_of_the_first_source(self, laptops: Laptops, pieces: int | None) -> None:
        before = dump(laptops)
        laptops.change(laptops.paths[2], "UPDATE commits SET message = 'of cem' WHERE hash = 'cc'")
        result = laptops.sync(on_match="update", commit_every=pieces)
        assert told(result)["commits"] == (3, 2, 2, 0)
        assert laptops.read(COMMITS) == EVERYTHING
        actions = {(row.source, row.old_id): row.action for row in result.mappings["commits"].itertuples()}
        assert actions["ann", 3] == "updated"
        assert actions["cem", 9] == "matched"
        assert taken_back(undo(laptops))["commits"] == (3, 2, 0)
        assert dump(laptops) == before

    def test_take_those_of_the_source_that_is_first_now(self, laptops: Laptops) -> None:
        laptops.change(laptops.paths[2], "UPDATE commits SET message = 'of cem' WHERE hash = 'cc'")
        laptops.sync(laptops.paths[::-1], on_match="update")
        assert laptops.read("SELECT message FROM commits WHERE hash = 'cc'") == [("of cem",)]


class TestKeptIds:
    PLACES = "CREATE TABLE places (id INTEGER PRIMARY KEY, name VARCHAR(9) NOT NULL UNIQUE);"
    PLAN = "[tables.places]\nnatural_key = ['name']\nkeep_ids = [0]\n"

    @pytest.fixture
    def places(self, tmp_path: Path, target: Engine) -> Laptops:
        plan = tmp_path / "plan.toml"
        plan.write_text(self.PLAN)
        made = Laptops(tmp_path / "places", target, plan=plan)
        made.folder.mkdir()
        made.add("north", "INSERT INTO places VALUES (0, 'nowhere'), (1, 'Oslo')", self.PLACES)
        made.add("south", "INSERT INTO places VALUES (0, 'nowhere'), (1, 'Rome'), (2, 'Oslo')", self.PLACES)
        made.create_tables()
        return made

    @pytest.mark.parametrize("options", [{}, {"commit_every": 1}, {"on_match": "update"}])
    def test_are_kept_once(self, places: Laptops, options: dict[str, Any]) -> None:
        result = places.sync(**options)
        assert told(result) == {"places": (3, 2, 0, 0)}
        mapped = ids(result.mappings["places"])
        assert mapped["north", 0] == mapped["south", 0] == 0
        names = dict(places.read("SELECT id, name FROM places"))
        assert names[0] == "nowhere"
        assert mapped["north", 1] == mapped["south", 2]
        assert sorted(names.values()) == ["Oslo", "Rome", "nowhere"]
        again = places.sync()
        assert told(again) == {"places": (0, 5, 0, 0)}
        assert undo(places).ok
        assert dump(places)["places"] == []

    def test_are_those_of_a_row_that_the_target_has(self, places: Laptops) -> None:
        places.execute("SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO'", "INSERT INTO places VALUES (0, 'nowhere')")
        assert told(places.sync()) == {"places": (2, 3, 0, 0)}

    def test_of_another_key_in_each_file_are_one_row_and_the_first_leads(self, places: Laptops) -> None:
        places.change(places.paths[1], "UPDATE places SET name = 'void' WHERE id = 0")
        for on_match in (None, "update"):
            mapped = ids(places.sync(on_match=on_match).mappings["places"])
            assert mapped["north", 0] == mapped["south", 0] == 0
            assert sorted(places.read("SELECT name FROM places")) == [("Oslo",), ("Rome",), ("nowhere",)]


class TestOwnIds:
    """Rows of several files may have one id: the first file keeps it."""

    @pytest.mark.parametrize("options", [{}, {"commit_every": 1}, {"on_match": "update"}])
    def test_are_those_of_the_first_file(self, laptops: Laptops, options: dict[str, Any]) -> None:
        result = laptops.sync(keep_ids="free", **options)
        assert laptops.read(COMMITS) == EVERYTHING
        mapped = {name: ids(mapping) for name, mapping in result.mappings.items()}
        assert mapped["repositories"] == {
            ("ann", 1): 1, ("ann", 2): 2, ("bob", 1): 2, ("bob", 5): 5, ("cem", 100): 1
        }  # fmt: skip
        new = mapped["commits"]["bob", 2]
        assert new > 11
        assert mapped["commits"] == {
            ("ann", 1): 1, ("ann", 2): 2, ("ann", 3): 3, ("bob", 1): 2, ("bob", 2): new, ("cem", 9): 3, ("cem", 11): 11
        }  # fmt: skip
        # A negative id is none that the target assigns.
        assert mapped["authors"]["cem", -3] > 2
        found = {c.name: c.other_ids for c in result.counts}["commits"]
        assert found is not None
        assert [(row["row"], row["new_id"], row["reason"]) for row in found["examples"]] == [
            ("1 of bob", 2, "shared"), ("2 of bob", new, "taken"), ("9 of cem", 3, "shared")
        ]  # fmt: skip
        again = laptops.sync(keep_ids="free")
        assert {name: ids(mapping) for name, mapping in again.mappings.items()} == mapped
        assert undo(laptops).ok
        assert dump(laptops)["commits"] == []
