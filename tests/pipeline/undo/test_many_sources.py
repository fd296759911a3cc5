"""A run over several sources is taken back as a whole, and what the maps have of other runs and sources stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

import dfsync
from dfsync.commands.runs import runs
from dfsync.model.errors import DfsyncError
from dfsync.source.sqlite import SqliteSource
from tests.support.laptops import COMMITS, Laptops, ids
from tests.support.runs.undone import dump, taken_back, undo

OWN = (
    "INSERT INTO repositories (slug) VALUES ('own'), ('web')",
    "INSERT INTO authors (email) VALUES ('zoe'), ('ann')",
)


@pytest.fixture
def laptops(tmp_path: Path, target: Engine) -> Laptops:
    made = Laptops(tmp_path, target)
    made.add_all()
    made.create_tables()
    made.execute(*OWN)
    return made


def maps(laptops: Laptops) -> dict[str, dict[tuple[str, int], int]]:
    """The new ids by table, and by source and old id; `sources/NAME/id_mappings.json` say the same."""
    found = {name: ids(mapping) for name, mapping in dfsync.load_mappings(laptops.out).items()}
    of_files: dict[str, dict[tuple[str, int], int]] = {name: {} for name in found}
    for path in (laptops.out / "sources").glob("*/id_mappings.json"):
        for name, entries in json.loads(path.read_text()).items():
            of_files[name] |= {(path.parent.name, int(old)): new for old, new in entries.items()}
    assert of_files == found
    return found


class TestAllOfIt:
    def test_is_taken_back(self, laptops: Laptops) -> None:
        before = dump(laptops)
        laptops.sync()
        assert taken_back(undo(laptops)) == {"commits": (5, 0, 0), "authors": (2, 0, 0), "repositories": (2, 0, 0)}
        assert dump(laptops) == before
        # What was there before is still what these rows are.
        assert maps(laptops) == {
            "repositories": {("ann", 2): 2, ("bob", 1): 2},
            "authors": {("ann", 1): 2, ("bob", 7): 2, ("cem", 4): 2},
            "commits": {},
        }

    def test_and_the_next_sync_gives_the_content_of_a_first_one(self, laptops: Laptops) -> None:
        first = laptops.sync()
        content, counts = laptops.read(COMMITS), first.summary.drop(columns="seconds", errors="ignore")
        mapped = {name: sorted(rows) for name, rows in maps(laptops).items()}
        undo(laptops)
        again = laptops.sync()
        assert laptops.read(COMMITS) == content
        assert again.summary["inserted"].tolist() == counts["inserted"].tolist()
        assert again.summary["matched"].tolist() == counts["matched"].tolist()
        assert {name: sorted(rows) for name, rows in maps(laptops).items()} == mapped

    def test_with_the_values_that_rows_had_before_an_update(self, laptops: Laptops) -> None:
        laptops.sync(laptops.paths[:2])
        laptops.execute("UPDATE commits SET message = 'theirs'")
        before, mapped = dump(laptops), maps(laptops)
        result = laptops.sync(on_match="update")
        assert [c.updated for c in result.counts if c.name == "commits"] == [4]
        assert taken_back(undo(laptops))["commits"] == (1, 4, 0)
        assert dump(laptops) == before
        shared = {"repositories": {("cem", 100): 3}, "authors": {("cem", 4): 2}, "commits": {("cem", 9): 3}}
        assert maps(laptops) == {name: {**rows, **shared[name]} for name, rows in mapped.items()}
        assert set(dfsync.load_mappings(laptops.out)["commits"]["action"]) == {"matched"}


class TestTheMapsOfOthers:
    @pytest.mark.parametrize("second", [(0, 1, 2), (0, 2), (2, 1)])
    def test_are_those_of_the_run_before(self, laptops: Laptops, second: tuple[int, ...]) -> None:
        laptops.sync(laptops.paths[:2])
        before, mapped = dump(laptops), maps(laptops)
        laptops.sync([laptops.paths[number] for number in second])
        assert maps(laptops)["authors"].keys() > mapped["authors"].keys()
        assert undo(laptops).ok
        assert dump(laptops) == before
        left = maps(laptops)
        for name, rows in mapped.items():
            assert {row: new for row, new in left[name].items() if row[0] != "cem"} == rows, name
        # Of its own rows there are those of a key that the others have too.
        assert {name: [old for source, old in rows if source == "cem"] for name, rows in left.items()} == {
            "repositories": [100],
            "authors": [4],
            "commits": [9],
        }

    def test_stay_where_the_first_run_is_taken_back_too(self, laptops: Laptops) -> None:
        before = dump(laptops)
        laptops.sync(laptops.paths[:2])
        laptops.sync()
        first, second = (record.id for record in runs(laptops.out).runs)
        with pytest.raises(DfsyncError, match=second):
            undo(laptops, first)
        assert [run.run for run in undo(laptops, all_since=first).runs] == [second, first]
        assert dump(laptops) == before
        assert maps(laptops)["commits"] == {}

    def test_have_their_keys_of_before_where_the_run_followed_new_ones(self, laptops: Laptops) -> None:
        assert laptops.plan is None
        laptops.plan = laptops.folder / "plan.toml"
        laptops.plan.write_text(
            '[tables.repositories]\nnatural_key = ["slug"]\non_rekey = "follow"\n'
            '[tables.authors]\nnatural_key = ["email"]\n[tables.commits]\nnatural_key = ["hash", "repository_id"]\n'
        )
        laptops.sync()
        before, mapped = dump(laptops), maps(laptops)
        keys = dfsync.load_mappings(laptops.out)["repositories"]["slug"].tolist()
        laptops.change(laptops.paths[1], "UPDATE repositories SET slug = 'manual' WHERE id = 5")
        result = laptops.sync()
        assert [c.updated for c in result.counts if c.name == "repositories"] == [1]
        assert dump(laptops) != before
        assert undo(laptops).ok
        assert dump(laptops) == before
        assert maps(laptops) == mapped
        assert dfsync.load_mappings(laptops.out)["repositories"]["slug"].tolist() == keys
        assert [c.updated for c in laptops.sync().counts if c.name == "repositories"] == [1]


class TestARunWithAFileThatFailed:
    def test_from_the_beginning(self, laptops: Laptops) -> None:
        laptops.sync(laptops.paths[:2])
        before, mapped = dump(laptops), maps(laptops)
        laptops.paths[1].write_bytes(b"SQLite format 3\x00" + b"nonsense" * 1000)
        result = laptops.sync()
        assert [source.name for source in result.sources if source.error] == ["bob"]
        assert taken_back(undo(laptops)) == {"commits": (1, 0, 0), "authors": (1, 0, 0)}
        assert dump(laptops) == before
        left = maps(laptops)
        for name, rows in mapped.items():
            assert {row: new for row, new in left[name].items() if row[0] != "cem"} == rows, name

    def test_in_the_middle(self, laptops: Laptops, monkeypatch: pytest.MonkeyPatch) -> None:
        tables, failing = SqliteSource.tables, [1]

        def read(self: Any, partition: Any, size: int, ids: Any = None) -> Any:
            if self.path.stem == "bob" and partition.table == "commits":
                failing[0] -= 1
                if failing[0] < 0:
                    raise DfsyncError("The disk is gone.")
            return tables(self, partition, size, ids)

        monkeypatch.setattr(SqliteSource, "tables", read)
        before = dump(laptops)
        result = laptops.sync()
        assert [source.name for source in result.sources if source.error] == ["bob"]
        assert taken_back(undo(laptops)) == {"commits": (4, 0, 0), "authors": (2, 0, 0), "repositories": (2, 0, 0)}
        assert dump(laptops) == before
        monkeypatch.undo()
        assert laptops.sync().ok
        assert len(laptops.read(COMMITS)) == 5
