"""Three laptops that share repositories and authors, and one database for all of them."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine

from tests.support.laptops import COMMITS, Laptops, ids


@pytest.fixture
def laptops(tmp_path: Path, target: Engine) -> Laptops:
    made = Laptops(tmp_path, target)
    made.add_all()
    made.create_tables()
    return made


class TestRowsOfOneKey:
    def test_are_one_row(self, laptops: Laptops) -> None:
        result = laptops.sync()
        assert result.ok
        assert laptops.read("SELECT slug FROM repositories ORDER BY slug") == [("core",), ("docs",), ("web",)]
        assert laptops.read("SELECT email FROM authors ORDER BY email") == [("ann",), ("bob",), ("cem",)]
        counts = {c.name: (c.total, c.inserted, c.matched, c.failed) for c in result.counts if c.total}
        assert counts == {"repositories": (5, 3, 2, 0), "authors": (6, 3, 3, 0), "commits": (7, 5, 2, 0)}

    def test_have_the_references_of_their_own_file(self, laptops: Laptops) -> None:
        laptops.sync()
        assert laptops.read(COMMITS) == [
            ("core", "aa", "ann", None, "one"),
            ("core", "cc", None, None, "three"),
            ("core", "dd", "ann", None, "four"),
            ("docs", "aa", "ann", None, "other repository"),
            ("web", "bb", "bob", "ann", "two"),
        ]

    def test_are_mapped_for_every_source(self, laptops: Laptops) -> None:
        result = laptops.sync()
        slugs = dict(laptops.read("SELECT id, slug FROM repositories"))
        mapped = {row: slugs[new] for row, new in ids(result.mappings["repositories"]).items()}
        assert mapped == {
            ("ann", 1): "core",
            ("ann", 2): "web",
            ("bob", 1): "web",
            ("bob", 5): "docs",
            ("cem", 100): "core",
        }

    def test_the_first_source_leads(self, laptops: Laptops) -> None:
        result = laptops.sync(laptops.paths[::-1])
        assert laptops.read("SELECT a.email FROM commits c JOIN authors a ON a.id = c.author_id WHERE hash = 'cc'") == [
            ("cem",)
        ]
        mapping = result.mappings["commits"]
        assert mapping["source"].tolist() == ["cem", "cem", "bob", "bob", "ann", "ann", "ann"]
        assert mapping["old_id"].tolist() == [9, 11, 1, 2, 1, 2, 3]


class TestASecondRun:
    def test_finds_nothing_new(self, laptops: Laptops) -> None:
        first = laptops.sync()
        maps = dict(first.mappings)
        second = laptops.sync()
        assert {c.inserted for c in second.counts} == {0}
        for name, mapping in maps.items():
            pd.testing.assert_frame_equal(second.mappings[name].drop(columns="action"), mapping.drop(columns="action"))

    def test_takes_the_rows_of_a_source_that_is_new(self, laptops: Laptops) -> None:
        last = laptops.paths.pop()
        laptops.sync()
        laptops.paths.insert(0, last)
        result = laptops.sync()
        assert {c.name: c.inserted for c in result.counts if c.total} == {"repositories": 0, "authors": 1, "commits": 1}


class TestTheFiles:
    def test_id_mappings_of_each_source(self, laptops: Laptops) -> None:
        result = laptops.sync()
        for name in ("ann", "bob", "cem"):
            found = json.loads((laptops.out / "sources" / name / "id_mappings.json").read_text())
            own = {
                table: {str(old): new for (source, old), new in ids(mapping).items() if source == name}
                for table, mapping in result.mappings.items()
            }
            assert found == own
        assert not (laptops.out / "id_mappings.json").exists()

    def test_the_summary_counts_each_source(self, laptops: Laptops) -> None:
        result = laptops.sync()
        summary = json.loads((laptops.out / "summary.json").read_text())
        counts = [{**source, "path": Path(source["path"]).name} for source in summary["sources"]]
        nothing = {"updated": 0, "failed": 0, "error": None}
        assert counts == [
            {"name": "ann", "path": "ann.db", "total": 7, "inserted": 7, "matched": 0, **nothing},
            {"name": "bob", "path": "bob.db", "total": 6, "inserted": 2, "matched": 4, **nothing},
            {"name": "cem", "path": "cem.db", "total": 5, "inserted": 2, "matched": 3, **nothing},
        ]
        assert sum(source["total"] for source in summary["sources"]) == summary["overall"]["total"]
        assert [source.name for source in result.sources] == ["ann", "bob", "cem"]


class TestARejectedRow:
    def test_is_named_with_its_source_and_the_value_that_this_has(self, laptops: Laptops) -> None:
        laptops.change(laptops.paths[1], "INSERT INTO commits VALUES (50, 4711, 'zz', NULL, 'lost')")
        laptops.change(laptops.paths[2], "INSERT INTO commits VALUES (51, 1, 'zz', NULL, 'has the id of another')")
        rejects = laptops.sync().rejects["commits"]
        assert rejects["source"].tolist() == ["bob", "cem"]
        assert rejects["old_id"].tolist() == [50, 51]
        assert rejects["value"].tolist() == ["4711", "1"]
        assert rejects["reason"].str.startswith("missing parent").all()
