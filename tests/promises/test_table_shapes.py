"""Tables of every shape, from a source into a target that has other rows with the same ids, twice."""

# ruff: noqa: E501 -- SQL reads better unbroken
from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from dfsync import SyncOptions, SyncResult, sync
from dfsync.commands.create_tables import create_tables

Syncs = Callable[..., SyncResult]


@pytest.fixture
def twice(tmp_path: Path, target: sa.Engine, target_url: str) -> Syncs:
    """Makes source and target, syncs, and syncs again to see that nothing is left to do."""

    def run(source: str, there: str | None = None, others: str = "", options: SyncOptions | None = None) -> SyncResult:
        path = tmp_path / "source.db"
        with closing(sqlite3.connect(path)) as database:
            database.executescript(source)
        if there is None:
            create_tables(path, target_url)
        with target.begin() as connection:
            for statement in f"{there or ''};{others}".split(";"):
                if statement.strip():
                    connection.exec_driver_sql(statement.replace("%", "%%"))
        first = sync(path, target_url, out=tmp_path / "first", options=options)
        second = sync(path, target_url, out=tmp_path / "second", options=options)
        assert second.summary["inserted"].sum() == 0
        assert list(second.summary["failed"]) == list(first.summary["failed"])
        maps = [(tmp_path / run / "id_mappings.json").read_bytes() for run in ("first", "second")]
        assert maps[0] == maps[1]
        assert first.summary["error"].isna().all()
        return first

    return run


def rows(target: sa.Engine, query: str) -> list[tuple[Any, ...]]:
    with target.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(query))]


def counts(result: SyncResult, name: str) -> tuple[int, ...]:
    found = next(count for count in result.counts if count.name == name)
    return found.total, found.inserted, found.matched, found.failed


def test_a_tree_by_name_and_parent_keeps_its_shape(twice: Syncs, target: sa.Engine) -> None:
    result = twice(
        """CREATE TABLE folders (id INTEGER PRIMARY KEY, name TEXT NOT NULL, parent_id INTEGER REFERENCES folders (id),
               UNIQUE (parent_id, name));
           INSERT INTO folders VALUES (1, 'leaf', 4), (4, 'x', 3), (3, 'x', 2), (2, 'root', NULL), (9, 'lost', 77)""",
        others="INSERT INTO folders (name) VALUES ('theirs'), ('theirs too')",
    )
    assert counts(result, "folders") == (5, 4, 0, 1)
    assert result.rejects["folders"]["reason"].str.startswith("missing parent").all()
    path = """SELECT d.name, c.name, b.name, a.name FROM folders a JOIN folders b ON a.parent_id = b.id
              JOIN folders c ON b.parent_id = c.id JOIN folders d ON c.parent_id = d.id"""
    assert rows(target, path) == [("root", "x", "x", "leaf")]


def test_a_self_reference_that_is_not_null_goes_parents_first(twice: Syncs, target: sa.Engine) -> None:
    result = twice(
        """CREATE TABLE nodes (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, up INTEGER NOT NULL REFERENCES nodes (id));
           INSERT INTO nodes VALUES (1, 'grandchild', 2), (2, 'child', 3), (3, 'root', 3), (5, 'lost', 99)""",
        there="""CREATE TABLE nodes (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) UNIQUE, up INT NOT NULL,
                     FOREIGN KEY (up) REFERENCES nodes (id))""",
        # The root is there already, as a row that refers to itself can only be made by hand.
        others="INSERT INTO nodes VALUES (40, 'root', 40)",
    )
    rejected = result.rejects["nodes"].set_index("old_id")["reason"]
    assert rejected[5].startswith("missing parent")
    assert counts(result, "nodes")[3] == len(rejected)


def test_a_circle_of_two_tables_and_its_orphans(twice: Syncs, target: sa.Engine) -> None:
    result = twice(
        """CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, boss INTEGER REFERENCES people (id),
               team INTEGER REFERENCES teams (id));
           CREATE TABLE teams (id INTEGER PRIMARY KEY, title TEXT NOT NULL UNIQUE,
               lead INTEGER NOT NULL REFERENCES people (id));
           INSERT INTO people VALUES (1, 'ann', NULL, 1), (2, 'bob', 1, 1), (3, 'cy', 99, 2), (4, 'di', 3, NULL);
           INSERT INTO teams VALUES (1, 'A', 2), (2, 'B', 1), (3, 'C', 3)""",
        others="INSERT INTO people (name) VALUES ('zoe'), ('yan')",
    )
    assert counts(result, "people") == (4, 2, 0, 2)
    assert counts(result, "teams") == (3, 2, 0, 1)
    assert rows(target, "SELECT name FROM people ORDER BY name") == [("ann",), ("bob",), ("yan",), ("zoe",)]
    joined = """SELECT p.name, b.name, t.title, l.name FROM people p LEFT JOIN people b ON p.boss = b.id
                JOIN teams t ON p.team = t.id JOIN people l ON t.lead = l.id ORDER BY p.name"""
    assert rows(target, joined) == [("ann", None, "A", "bob"), ("bob", "ann", "A", "bob")]


def test_a_link_table_without_an_id(twice: Syncs, target: sa.Engine) -> None:
    result = twice(
        """CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
           CREATE TABLE tags (id INTEGER PRIMARY KEY, tag TEXT NOT NULL UNIQUE);
           CREATE TABLE tagged (person INTEGER NOT NULL REFERENCES people (id), tag INTEGER NOT NULL REFERENCES tags (id),
               note TEXT, PRIMARY KEY (person, tag)) WITHOUT ROWID;
           INSERT INTO people VALUES (1, 'ann'), (2, 'bob');
           INSERT INTO tags VALUES (1, 'red'), (2, 'blue');
           INSERT INTO tagged VALUES (1, 1, 'a'), (2, 2, NULL), (2, 9, 'lost')""",
        others="""INSERT INTO people (name) VALUES ('zoe'), ('bob'); INSERT INTO tags (tag) VALUES ('blue');
                  INSERT INTO tagged VALUES (2, 1, 'theirs')""",
    )
    assert counts(result, "tagged") == (3, 1, 1, 1)
    assert "tagged" not in result.mappings
    joined = "SELECT p.name, t.tag, g.note FROM tagged g JOIN people p ON g.person = p.id JOIN tags t ON g.tag = t.id"
    assert sorted(rows(target, joined)) == [("ann", "red", "a"), ("bob", "blue", "theirs")]


def test_rows_without_any_key_are_counted(twice: Syncs, target: sa.Engine) -> None:
    result = twice(
        """CREATE TABLE log (line TEXT, n INTEGER, at DATETIME, f REAL, b BLOB);
           INSERT INTO log VALUES ('a', 1, '2024-01-02 03:04:05.5', 0.1, x'00ff'), ('a', 1, '2024-01-02 03:04:05.5', 0.1,
               x'00ff'), ('b', NULL, NULL, NULL, NULL), (NULL, NULL, NULL, NULL, NULL), ('', 0, NULL, 0.0, x'')""",
        there="CREATE TABLE log (line TEXT, n INT, at DATETIME(6), f DOUBLE, b BLOB)",
        others="INSERT INTO log VALUES ('a', 1, '2024-01-02 03:04:05.5', 0.1, x'00ff'), ('c', 1, NULL, NULL, NULL)",
    )
    assert counts(result, "log") == (5, 4, 1, 0)
    assert rows(target, "SELECT line, COUNT(*) FROM log GROUP BY line ORDER BY line") == [
        (None, 1),
        ("", 1),
        ("a", 2),
        ("b", 1),
        ("c", 1),
    ]


def test_inheritance_one_to_one_and_a_reference_to_the_child(twice: Syncs, target: sa.Engine) -> None:
    result = twice(
        """CREATE TABLE place (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
           CREATE TABLE restaurant (place_id INTEGER PRIMARY KEY REFERENCES place (id), stars INTEGER);
           CREATE TABLE waiter (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, at INTEGER REFERENCES restaurant (place_id));
           INSERT INTO place VALUES (1, 'here'), (2, 'there');
           INSERT INTO restaurant VALUES (2, 3);
           INSERT INTO waiter VALUES (1, 'w', 2)""",
        others="INSERT INTO place (name) VALUES ('elsewhere'), ('nowhere')",
    )
    assert counts(result, "waiter") == (1, 1, 0, 0)
    joined = "SELECT w.name, p.name, r.stars FROM waiter w JOIN restaurant r ON w.at = r.place_id JOIN place p ON p.id = w.at"
    assert rows(target, joined) == [("w", "there", 3)]


def test_several_references_to_one_parent_and_ids_of_any_name(twice: Syncs, target: sa.Engine) -> None:
    result = twice(
        """CREATE TABLE "Team" ("team no" INTEGER PRIMARY KEY, title TEXT NOT NULL UNIQUE);
           CREATE TABLE game (game_key INTEGER PRIMARY KEY, home INTEGER NOT NULL, away INTEGER, day DATE,
               FOREIGN KEY (home) REFERENCES "Team", FOREIGN KEY (away) REFERENCES "Team" ("team no"), UNIQUE (home, day));
           INSERT INTO "Team" VALUES (7, 'x'), (8, 'y');
           INSERT INTO game VALUES (1, 7, 8, '2024-01-01'), (2, 8, NULL, '2024-01-01')""",
        others="INSERT INTO `Team` (title) VALUES ('z'), ('y')",
    )
    assert counts(result, "game") == (2, 2, 0, 0)
    joined = """SELECT h.title, a.title FROM game g JOIN `Team` h ON g.home = h.`team no`
                LEFT JOIN `Team` a ON g.away = a.`team no` ORDER BY 1"""
    assert rows(target, joined) == [("x", "y"), ("y", None)]


def test_names_of_every_kind(twice: Syncs, target: sa.Engine) -> None:
    result = twice(
        """CREATE TABLE "x`; drop table y; --" (id INTEGER PRIMARY KEY, "a%sb" TEXT NOT NULL UNIQUE, "select" TEXT,
               "имя" TEXT, "quo""te" BLOB);
           CREATE TABLE y (id INTEGER PRIMARY KEY, v TEXT NOT NULL UNIQUE, "x ref" INTEGER REFERENCES "x`; drop table y; --" (id));
           CREATE VIEW seen AS SELECT * FROM y;
           INSERT INTO "x`; drop table y; --" VALUES (5, '%s', 'from', 'да', x'01');
           INSERT INTO y VALUES (6, 'v', 5)"""
    )
    assert [c.table for c in result.counts] == ["x`; drop table y; --", "y"]
    assert rows(target, "SELECT COUNT(*) FROM y JOIN `x``; drop table y; --` AS x ON y.`x ref` = x.id") == [(1,)]


def test_generated_columns_and_defaults(twice: Syncs, target: sa.Engine) -> None:
    result = twice(
        """CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER NOT NULL UNIQUE, b INTEGER GENERATED ALWAYS AS (a * 2) STORED,
               c INTEGER GENERATED ALWAYS AS (a + 1));
           INSERT INTO t (id, a) VALUES (5, 10), (6, 20)""",
        there="""CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a INT NOT NULL UNIQUE, b INT AS (a * 3) STORED, c INT,
                     made VARCHAR(10) NOT NULL DEFAULT 'new', seen TIMESTAMP DEFAULT CURRENT_TIMESTAMP)""",
        others="INSERT INTO t (a) VALUES (1), (2)",
    )
    assert counts(result, "t") == (2, 2, 0, 0)
    assert rows(target, "SELECT a, b, c, made FROM t WHERE c IS NOT NULL ORDER BY a") == [
        (10, 30, 11, "new"),
        (20, 60, 21, "new"),
    ]


def test_references_by_value_within_one_table(twice: Syncs, target: sa.Engine) -> None:
    result = twice(
        """CREATE TABLE emp (id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE, boss TEXT REFERENCES emp (email));
           INSERT INTO emp VALUES (1, 'c', 'b'), (2, 'b', 'a'), (3, 'a', NULL), (4, 'x', 'nobody')""",
        there="""CREATE TABLE emp (id INT AUTO_INCREMENT PRIMARY KEY, email VARCHAR(20) NOT NULL UNIQUE, boss VARCHAR(20),
                     FOREIGN KEY (boss) REFERENCES emp (email))""",
    )
    assert counts(result, "emp") == (4, 3, 0, 1)
    assert result.rejects["emp"]["reason"].iloc[0].startswith("missing parent")


def test_a_table_that_is_nothing_but_its_id(twice: Syncs, target: sa.Engine) -> None:
    result = twice(
        """CREATE TABLE a (id INTEGER PRIMARY KEY);
           CREATE TABLE b (id INTEGER PRIMARY KEY, a INTEGER NOT NULL UNIQUE REFERENCES a (id));
           INSERT INTO a VALUES (5), (9); INSERT INTO b VALUES (1, 9)"""
    )
    assert counts(result, "a") == (2, 2, 0, 0)
    assert rows(target, "SELECT a FROM b") == [(result.mappings["a"].set_index("old_id")["new_id"][9],)]
