"""What looks at several sources looks at all of them, and says which one it could not read."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from dfsync.commands.check import check
from dfsync.commands.create_tables import create_tables
from dfsync.commands.plan import resolve_plan
from dfsync.commands.verify import verify
from tests.support.laptops import Laptops

SAYS = "cannot be read: it is not a SQLite database, or it is encrypted."


@pytest.fixture
def laptops(tmp_path: Path, target: Engine) -> Laptops:
    """Three files, and one behind the first that is none."""
    made = Laptops(tmp_path, target)
    made.add_all()
    bad = tmp_path / "bad.db"
    bad.write_bytes(b"SQLite format 3\x00" + b"nonsense" * 1000)
    made.paths.insert(1, bad)
    return made


def test_the_plan_is_that_of_the_first_that_can_be_read(laptops: Laptops) -> None:
    found = resolve_plan([laptops.paths[1], laptops.paths[0]], laptops.target.url)
    assert [t.name for t in found.plan.tables if "source" not in found.missing[t.name]] == [
        "repositories",
        "authors",
        "commits",
    ]
    assert list(found.unreadable) == ["bad"]
    assert [note for note in found.notes if note.startswith("the source bad: ") and note.endswith(SAYS)] == found.notes
    assert found.as_dict()["notes"] == found.notes


def test_tables_are_made_for_the_others(laptops: Laptops) -> None:
    result = create_tables(laptops.paths, laptops.target.url)
    assert {name for (name,) in laptops.read("SHOW TABLES")} == {"repositories", "authors", "commits"}
    (note,) = [note for note in result.notes if "The source " in note]
    assert note.startswith("The source bad is left out: ")
    assert note.endswith(SAYS)


def test_tables_are_wide_enough_for_the_values_of_all(laptops: Laptops) -> None:
    plain = "CREATE TABLE words (id INTEGER PRIMARY KEY, word TEXT NOT NULL UNIQUE, n INTEGER);"
    paths = [
        laptops.add("short", "INSERT INTO words VALUES (1, 'a', 1)", plain),
        laptops.add("long", f"INSERT INTO words VALUES (1, '{'b' * 300}', 5000000000)", plain),  # noqa: S608
    ]
    create_tables(paths, laptops.target.url)
    assert laptops.sync(paths).ok
    assert laptops.read("SELECT CHAR_LENGTH(word), n FROM words ORDER BY n") == [(1, 1), (300, 5_000_000_000)]


class TestCheck:
    def test_counts_the_rows_of_all_that_can_be_read(self, laptops: Laptops) -> None:
        laptops.create_tables()
        result = check(laptops.paths, laptops.target.url, out=laptops.out)
        assert not result.ok
        errors = [finding for finding in result.findings if finding.level == "error"]
        assert [finding.message.startswith("the source bad: ") for finding in errors] == [True]
        counts = {t.name: (t.total, t.inserted, t.matched, t.failed) for t in result.tables}
        assert counts == {"repositories": (5, 3, 2, 0), "authors": (6, 3, 3, 0), "commits": (7, 5, 2, 0)}
        assert not laptops.out.exists()
        assert laptops.read("SELECT COUNT(*) FROM commits") == [(0,)]

    def test_knows_the_maps_of_the_last_run(self, laptops: Laptops) -> None:
        laptops.create_tables()
        laptops.sync()
        counts = {t.name: t.inserted for t in check(laptops.paths, laptops.target.url, out=laptops.out).tables}
        assert counts == {"repositories": 0, "authors": 0, "commits": 0}

    def test_finds_what_does_not_fit_in_any_of_them(self, laptops: Laptops) -> None:
        laptops.create_tables()
        laptops.change(laptops.paths[3], f"UPDATE repositories SET slug = '{'x' * 60}'")  # noqa: S608
        result = check(laptops.paths, laptops.target.url, out=laptops.out)
        assert {t.name: t.failed for t in result.tables} == {"repositories": 1, "authors": 0, "commits": 2}


class TestVerify:
    def test_compares_the_rows_of_all_that_can_be_read(self, laptops: Laptops) -> None:
        laptops.create_tables()
        laptops.sync()
        result = verify(laptops.paths, laptops.target.url, out=laptops.out)
        assert not result.ok
        assert list(result.unreadable) == ["bad"]
        assert {t.name: (t.total, t.differ) for t in result.tables if t.total} == {
            "repositories": (5, 0),
            "authors": (6, 0),
            "commits": (7, 0),
        }
        assert result.as_dict()["unreadable"]["bad"].endswith(SAYS)
        del laptops.paths[1]
        assert verify(laptops.paths, laptops.target.url, out=laptops.out).ok

    def test_finds_what_differs_in_one_of_them(self, laptops: Laptops) -> None:
        laptops.create_tables()
        laptops.sync()
        laptops.change(laptops.paths[2], "UPDATE commits SET message = 'other' WHERE id = 2")
        result = verify(laptops.paths, laptops.target.url, out=laptops.out)
        assert {t.name: t.differ for t in result.tables if t.total} == {"repositories": 0, "authors": 0, "commits": 1}
        differing = result.differences["commits"]
        assert differing[differing["column"] == "message"]["source"].tolist() == ["bob"]
