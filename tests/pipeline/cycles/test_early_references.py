"""Rows go in with what they refer to in their own table; an UPDATE follows only where that was not known by then."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sqlalchemy import Engine, create_engine, text

from dfsync.model import frames
from dfsync.target.write.linked_insert import LinkedRows
from tests.support.git_history import execute
from tests.support.scenario import Scenario, statements

SOURCE = """CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT{unique}, up INT REFERENCES a, twin INT REFERENCES a);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
    INSERT INTO a SELECT 2 * i, 'n' || i, CASE WHEN i > 1 THEN 2 * i - 2 END, CASE WHEN i > 50 THEN 2 * i - 100 END
    FROM n;
"""
# The trigger tells which rows an UPDATE has written.
TARGET = """CREATE TABLE updated (name VARCHAR(20));
    CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20){unique}, up INT, twin INT,
        CHECK (name <> 'bad'), FOREIGN KEY (up) REFERENCES a (id),
        FOREIGN KEY (twin) REFERENCES a (id)) AUTO_INCREMENT = 1000;
    CREATE TRIGGER tell AFTER UPDATE ON a FOR EACH ROW INSERT INTO updated VALUES (NEW.name)"""
NATURAL_KEY = " NOT NULL UNIQUE"
RELATIONS = "SELECT a.name, b.name, c.name FROM a LEFT JOIN a b ON b.id = a.up LEFT JOIN a c ON c.id = a.twin"


@pytest.fixture
def scenario(tmp_path: Path, target: Engine) -> Scenario:
    return Scenario(tmp_path, target)


def create(scenario: Scenario, rows: int = 200, changes: str = "", *, unique: str = "", plan: str = "") -> None:
    scenario.create_source(SOURCE.format(rows=rows, unique=unique) + changes, "[tables.a]\n" + plan)
    scenario.create_target(TARGET.format(unique=unique))


def updated(scenario: Scenario) -> list[str]:
    return sorted(name for (name,) in scenario.read_target("SELECT DISTINCT name FROM updated"))


@pytest.mark.parametrize("unique", ["", NATURAL_KEY])
@pytest.mark.parametrize("local_infile", [True, False])
def test_only_rows_that_refer_to_later_ones_are_updated(scenario: Scenario, unique: str, local_infile: bool) -> None:
    later = (
        "UPDATE a SET up = id WHERE id = 20; UPDATE a SET twin = 60 WHERE id = 30; UPDATE a SET up = 398 WHERE id = 40;"
    )
    create(scenario, 200, later, unique=unique)
    result = scenario.sync_twice(batch_size=70, local_infile=local_infile)
    assert result.counts[0].inserted == 200
    scenario.assert_same(RELATIONS)
    assert updated(scenario) == ["n10", "n15", "n20"]
    assert "references" in result.counts[0].seconds


@pytest.mark.parametrize("dry_run", [True, False])
def test_one_row_that_is_refused_takes_only_those_with_it_that_hang_on_it(scenario: Scenario, dry_run: bool) -> None:
    create(scenario, 200, "UPDATE a SET name = 'far too long for that column' WHERE id = 300;")
    result = scenario.sync(batch_size=70, dry_run=dry_run)
    assert (result.counts[0].inserted, result.counts[0].failed) == (149, 51)
    if not dry_run:
        there = scenario.read_source(f"{RELATIONS} WHERE a.id < 300")
        assert sorted(map(repr, scenario.read_target(RELATIONS))) == sorted(map(repr, there))


@pytest.mark.parametrize("bad", [2, 150, 300, 400])
def test_one_row_that_the_server_refuses(scenario: Scenario, bad: int) -> None:
    create(scenario, 200, f"UPDATE a SET name = 'bad', up = NULL WHERE id = {bad};", unique=NATURAL_KEY)  # noqa: S608
    result = scenario.sync_twice(batch_size=70)
    assert list(result.rejects["a"]["old_id"]) == list(range(bad, 401, 2))
    assert scenario.read_target("SELECT count(*) FROM a") == [(bad // 2 - 1,)]


def test_with_null_for_want_of_a_parent_only_the_refused_row_is_missing(scenario: Scenario) -> None:
    create(
        scenario,
        200,
        "UPDATE a SET name = 'bad' WHERE id = 150;",
        unique=NATURAL_KEY,
        plan='on_missing_parent = "null"\n',
    )
    result = scenario.sync_twice(batch_size=70)
    assert list(result.rejects["a"]["old_id"]) == [150]
    assert [(c["column"], c["rows"]) for c in result.counts[0].changed_values] == [("up", 1), ("twin", 1)]
    lost = [row for row in scenario.read_source(RELATIONS) if "bad" in row]
    kept = [tuple(None if cell == "bad" else cell for cell in row) for row in lost if row[0] != "bad"]
    intact = [row for row in scenario.read_source(RELATIONS) if "bad" not in row]
    assert sorted(map(repr, scenario.read_target(RELATIONS))) == sorted(map(repr, intact + kept))


@pytest.mark.parametrize(
    ("changes", "plan", "inserted"),
    [
        ("", "", 500),
        ("DELETE FROM a WHERE id = 2;", "", 0),
        ("UPDATE a SET name = 'far too long for that column' WHERE id = 4;", "", 1),
        ("DELETE FROM a WHERE id = 2;", 'on_missing_parent = "null"\n', 499),
        # The numbers stay, and the reference is one by value.
        ("", 'id = ""\n', 500),
    ],
)
def test_a_long_chain_takes_few_statements(scenario: Scenario, changes: str, plan: str, inserted: int) -> None:
    create(scenario, 500, changes, plan=plan)
    for new in (inserted, 0):
        with statements() as sent:
            result = scenario.sync()
        assert result.counts[0].inserted == new
        assert result.counts[0].error is None
        assert len(sent) < 80


def test_a_row_that_went_in_with_a_parent_that_did_not_stay_gets_null(scenario: Scenario) -> None:
    # 4 refers to 2, which goes in and is an orphan in the end, since its other reference may not be given up.
    scenario.create_source(
        """CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT UNIQUE, up INT REFERENCES a, b INT NOT NULL REFERENCES b);
        CREATE TABLE b (id INTEGER PRIMARY KEY, name TEXT UNIQUE, a INT REFERENCES a);
        INSERT INTO b VALUES (1, 'b1', NULL), (2, 'b2', 77);
        INSERT INTO a VALUES (2, 'orphan', NULL, 2), (4, 'child', 2, 1), (6, 'grandchild', 4, 1)""",
        '[tables.a]\non_missing_parent = "null"\n\n[tables.b]\n',
    )
    scenario.create_target(
        """CREATE TABLE b (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) NOT NULL UNIQUE, a INT);
        CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) NOT NULL UNIQUE, up INT, b INT NOT NULL,
            FOREIGN KEY (up) REFERENCES a (id) ON DELETE CASCADE, FOREIGN KEY (b) REFERENCES b (id));
        ALTER TABLE b ADD FOREIGN KEY (a) REFERENCES a (id)"""
    )
    result = scenario.sync_twice()
    assert {name: list(rejects["old_id"]) for name, rejects in result.rejects.items()} == {"a": [2], "b": [2]}
    children = "SELECT a.name, up.name FROM a LEFT JOIN a up ON up.id = a.up ORDER BY a.id"
    assert scenario.read_target(children) == [("child", None), ("grandchild", "child")]


@pytest.mark.parametrize("local_infile", [True, False])
def test_while_another_client_inserts(scenario: Scenario, local_infile: bool) -> None:
    create(scenario, 600, unique=NATURAL_KEY)
    enough, failures = threading.Event(), []
    engine = create_engine(scenario.target.url)

    def insert() -> None:
        number = 0
        while not enough.is_set():
            number += 1
            try:
                with engine.begin() as connection:
                    connection.execute(text("INSERT INTO a (name) VALUES (:name)"), {"name": f"theirs {number}"})
            except Exception as error:
                failures.append(error)
                return

    client = threading.Thread(target=insert)
    client.start()
    try:
        result = scenario.sync(batch_size=50, local_infile=local_infile)
    finally:
        enough.set()
        client.join()
        engine.dispose()
    assert failures == []
    assert (result.counts[0].error, result.counts[0].inserted) == (None, 600)
    execute(scenario.target, "DELETE FROM a WHERE name LIKE 'theirs%%'")
    scenario.assert_same(RELATIONS)
    mapped = dict(zip(result.mappings["a"]["new_id"], result.mappings["a"]["old_id"], strict=True))
    assert {mapped[id_]: name for id_, name in scenario.read_target("SELECT id, name FROM a")} == dict(
        scenario.read_source("SELECT id, name FROM a")
    )


class TestIdsThatAreNotTheExpectedOnes:
    def test_give_the_rows_back_where_their_references_may_wait(self) -> None:
        frame = frames.from_arrow(pa.table({"up": pa.array([None, None, 7], pa.int64())}), [1, 2, 3])
        done: list[Any] = []

        def insert(rows: pd.DataFrame) -> Any:
            done.append(len(rows))
            # Somebody else got the id 11.
            return np.array([10] if len(rows) == 1 else [12, 13])

        linked = LinkedRows(frame, {"up": np.array([-1, 0, -1])}, {}, insert, np.int64(1), done.append)
        linked.send(frame)
        assert done == ["SAVEPOINT dfsync_linked", 1, 2, "ROLLBACK TO SAVEPOINT dfsync_linked"]
        assert not linked.taken.any()
