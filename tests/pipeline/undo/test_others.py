"""What others did to the rows of a run, or need of them, stays."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, create_engine

import dfsync.pipeline.undo.referenced
import dfsync.pipeline.undo.run
from dfsync.model.errors import DfsyncError
from dfsync.output.journal.record import read_records, run_folder
from tests.support.git_history import execute
from tests.support.runs.undone import dump, taken_back, undo
from tests.support.scenario import Scenario

TREE = """
CREATE TABLE node (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, up INTEGER REFERENCES node);
CREATE TABLE leaf (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, node_id INTEGER NOT NULL REFERENCES node);
INSERT INTO node VALUES (1, 'a', NULL), (2, 'b', 1), (3, 'c', 2), (4, 'd', NULL);
INSERT INTO leaf VALUES (1, 'l1', 1), (2, 'l2', 3), (3, 'l3', 4)"""
NODES = "SELECT name FROM node ORDER BY name"


def kept(scenario: Scenario, name: str) -> dict[int | None, str]:
    out = scenario.folder / "out"
    record = [record for record in read_records(out) if record.tables][-1]
    rows = pq.read_table(run_folder(out, record.id) / "kept" / f"{name}.parquet").to_pylist()
    return {row["old_id"]: row["reason"] for row in rows}


@pytest.fixture
def tree(scenario: Scenario) -> Scenario:
    scenario.create_source(TREE)
    scenario.create_target(None, "INSERT INTO node (name) VALUES ('own')")
    assert scenario.sync().ok
    return scenario


class TestARowThatChanged:
    def test_stays_with_what_it_refers_to(self, tree: Scenario) -> None:
        execute(tree.target, "UPDATE leaf SET name = 'theirs' WHERE name = 'l2'")
        result = undo(tree)
        assert not result.ok
        assert taken_back(result) == {"leaf": (2, 0, 1), "node": (1, 0, 3)}
        assert tree.read_target("SELECT name FROM leaf") == [("theirs",)]
        assert tree.read_target(NODES) == [("a",), ("b",), ("c",), ("own",)]
        assert kept(tree, "leaf") == {2: "changed since the run"}
        assert kept(tree, "node") == {
            1: "a row that stays refers to it",
            2: "a row that stays refers to it",
            3: "leaf refers to it",
        }

    def test_goes_with_force(self, tree: Scenario) -> None:
        execute(tree.target, "UPDATE leaf SET name = 'theirs' WHERE name = 'l2'")
        undo(tree)
        assert undo(tree, force=True).ok
        assert tree.read_target(NODES) == [("own",)]
        assert tree.read_target("SELECT * FROM leaf") == []

    def test_an_updated_one_keeps_their_values(self, scenario: Scenario) -> None:
        scenario.create_source(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, k TEXT NOT NULL UNIQUE, v TEXT, w TEXT);"
            "INSERT INTO t VALUES (1, 'a', 'n', 'n'), (2, 'b', 'n', 'n')"
        )
        scenario.create_target(None, "INSERT INTO t (k, v, w) VALUES ('a', 'old', 'old'), ('b', 'old', 'old')")
        scenario.sync(on_match="update")
        execute(scenario.target, "UPDATE t SET w = 'theirs' WHERE k = 'a'")
        assert taken_back(undo(scenario)) == {"t": (0, 1, 1)}
        assert scenario.read_target("SELECT v, w FROM t ORDER BY k") == [("n", "theirs"), ("old", "old")]
        assert taken_back(undo(scenario, force=True)) == {"t": (0, 1, 0)}
        assert scenario.read_target("SELECT v, w FROM t ORDER BY k") == [("old", "old"), ("old", "old")]

    def test_a_row_that_others_deleted_is_gone(self, tree: Scenario) -> None:
        execute(tree.target, "DELETE FROM leaf WHERE name = 'l1'")
        assert taken_back(undo(tree)) == {"leaf": (3, 0, 0), "node": (4, 0, 0)}

    def test_a_column_that_others_added_keeps_all_rows(self, tree: Scenario) -> None:
        execute(tree.target, "ALTER TABLE leaf ADD COLUMN note INT")
        assert taken_back(undo(tree))["leaf"] == (0, 0, 3)


class TestARowThatIsReferredTo:
    @pytest.mark.parametrize("action", ["CASCADE", "SET NULL", "RESTRICT"])
    def test_from_a_table_that_dfsync_does_not_know(self, tree: Scenario, action: str) -> None:
        execute(
            tree.target,
            "CREATE TABLE theirs (id INT PRIMARY KEY, node BIGINT, "
            f"FOREIGN KEY (node) REFERENCES node (id) ON DELETE {action})",
            "INSERT INTO theirs SELECT 1, id FROM node WHERE name = 'd'",
        )
        before = tree.read_target("SELECT * FROM theirs")
        assert taken_back(undo(tree, force=True)) == {"leaf": (3, 0, 0), "node": (3, 0, 1)}
        assert tree.read_target("SELECT * FROM theirs") == before
        assert kept(tree, "node") == {4: "theirs refers to it"}

    def test_from_another_database(self, tree: Scenario) -> None:
        other = f"{tree.target.url.database}_o"
        execute(
            tree.target,
            f"CREATE DATABASE {other}",
            f"CREATE TABLE {other}.theirs (node BIGINT, "
            f"FOREIGN KEY (node) REFERENCES {tree.target.url.database}.node (id) ON DELETE CASCADE)",
            f"INSERT INTO {other}.theirs SELECT id FROM node WHERE name = 'd'",  # noqa: S608
        )
        assert taken_back(undo(tree))["node"] == (3, 0, 1)
        assert kept(tree, "node") == {4: f"{other}.theirs refers to it"}
        assert len(tree.read_target(f"SELECT * FROM {other}.theirs")) == 1  # noqa: S608
        execute(tree.target, f"DROP DATABASE {other}")

    def test_by_a_row_of_others_in_the_same_table(self, tree: Scenario) -> None:
        execute(tree.target, "INSERT INTO node (name, up) SELECT 'theirs', id FROM node WHERE name = 'b'")
        assert taken_back(undo(tree)) == {"leaf": (3, 0, 0), "node": (2, 0, 2)}
        assert tree.read_target(NODES) == [("a",), ("b",), ("own",), ("theirs",)]

    def test_by_a_foreign_key_that_only_the_plan_knows(self, scenario: Scenario) -> None:
        scenario.create_source(TREE)
        scenario.create_target(
            "CREATE TABLE node (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) NOT NULL UNIQUE, up INT);\n"
            "CREATE TABLE leaf (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) NOT NULL UNIQUE, node_id INT)"
        )
        assert scenario.sync().ok
        execute(scenario.target, "INSERT INTO leaf (name, node_id) SELECT 'theirs', id FROM node WHERE name = 'd'")
        assert taken_back(undo(scenario)) == {"leaf": (3, 0, 0), "node": (3, 0, 1)}

    def test_from_a_table_whose_name_differs_in_case_only(self, tree: Scenario) -> None:
        if tree.read_target("SELECT @@lower_case_table_names") != [(0,)]:
            pytest.skip("the server takes such names for the same")
        execute(
            tree.target,
            "CREATE TABLE Node (id INT PRIMARY KEY, up BIGINT, FOREIGN KEY (up) REFERENCES node (id)"
            " ON DELETE CASCADE)",
            "INSERT INTO Node SELECT id, id FROM node WHERE name <> 'own'",
        )
        before = dump(tree)["Node"]
        assert taken_back(undo(tree)) == {"leaf": (3, 0, 0), "node": (0, 0, 4)}
        assert dump(tree)["Node"] == before

    @pytest.mark.parametrize("name", ["c", "p"])
    def test_in_a_table_without_an_id(self, scenario: Scenario, name: str) -> None:
        scenario.create_source(
            f"CREATE TABLE {name} (code TEXT PRIMARY KEY) WITHOUT ROWID; INSERT INTO {name} VALUES ('a'), ('b')"  # noqa: S608
        )
        scenario.create_target(None)
        scenario.sync()
        execute(
            scenario.target,
            f"CREATE TABLE theirs LIKE {name}",
            "ALTER TABLE theirs CHANGE code x VARCHAR(255) COLLATE utf8mb4_bin, DROP PRIMARY KEY",
            f"ALTER TABLE {name} MODIFY code VARCHAR(255) COLLATE utf8mb4_bin",
            f"ALTER TABLE theirs ADD code INT, ADD FOREIGN KEY (x) REFERENCES {name} (code) ON DELETE CASCADE",
            "INSERT INTO theirs (x) VALUES ('a')",
        )
        assert taken_back(undo(scenario)) == {name: (1, 0, 1)}
        assert scenario.read_target("SELECT x FROM theirs") == [("a",)]

    def test_by_a_row_that_comes_while_it_is_undone(self, tree: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
        execute(
            tree.target,
            "CREATE TABLE theirs (node BIGINT, FOREIGN KEY (node) REFERENCES node (id) ON DELETE CASCADE)",
        )
        look = dfsync.pipeline.undo.referenced.keep_referenced
        outcome: list[str] = []
        other = create_engine(tree.target.url)

        def insert() -> None:
            try:
                execute(other, "INSERT INTO theirs SELECT id FROM (SELECT id FROM node WHERE name = 'd') n")
                outcome.append("inserted")
            except Exception:
                outcome.append("refused")

        writer = threading.Thread(target=insert)

        def look_late(*arguments: object) -> object:
            found = look(*arguments)  # type: ignore[arg-type]
            if not writer.ident:
                writer.start()
                time.sleep(0.3)
            return found

        monkeypatch.setattr(dfsync.pipeline.undo.run, "keep_referenced", look_late)
        undo(tree)
        writer.join()
        other.dispose()
        # Whoever says that the row is in finds it there.
        assert len(tree.read_target("SELECT * FROM theirs")) == (outcome == ["inserted"])
        if outcome == ["inserted"]:
            # The read of that statement was not of a row that was gone.
            assert tree.read_target(NODES) == [("d",), ("own",)]


def test_others_go_on_inserting_into_a_table_that_is_undone(tree: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    look = dfsync.pipeline.undo.referenced.keep_referenced
    other = create_engine(tree.target.url, connect_args={"init_command": "SET SESSION innodb_lock_wait_timeout = 2"})

    def insert_first(*arguments: object) -> object:
        execute(other, f"INSERT INTO node (name) VALUES ('{len(tree.read_target(NODES))}')")  # noqa: S608
        return look(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(dfsync.pipeline.undo.run, "keep_referenced", insert_first)
    undo(tree)
    other.dispose()
    assert tree.read_target(NODES) == [("5",), ("6",), ("own",)]


class TestTriggersOnDelete:
    def test_are_refused_before_anything_is_taken_back(self, tree: Scenario) -> None:
        execute(
            tree.target,
            "CREATE TABLE tally (n INT)",
            "INSERT INTO tally VALUES (1)",
            "CREATE TRIGGER clearing AFTER DELETE ON node FOR EACH ROW DELETE FROM tally",
        )
        before = dump(tree)
        with pytest.raises(DfsyncError, match="clearing of node"):
            undo(tree)
        assert dump(tree) == before
        assert undo(tree, run_triggers=True).ok
        assert tree.read_target("SELECT * FROM tally") == []


def test_rows_of_others_that_are_equal_stay(tmp_path: Path, target: Engine) -> None:
    scenario = Scenario(tmp_path, target)
    scenario.create_source("CREATE TABLE log (line TEXT); INSERT INTO log VALUES ('a'), ('a'), ('b')")
    scenario.create_target("CREATE TABLE log (line TEXT)", "INSERT INTO log VALUES ('a')")
    assert scenario.sync().ok
    execute(scenario.target, "INSERT INTO log VALUES ('b')")
    undo(scenario)
    assert sorted(scenario.read_target("SELECT * FROM log")) == [("a",), ("b",)]


@pytest.mark.parametrize("rule", ["SET NULL", "RESTRICT"])
def test_rows_keep_what_an_update_would_take_from_those_of_others(scenario: Scenario, rule: str) -> None:
    keyed = '[tables.t]\nnatural_key = ["k"]\n'
    table = "CREATE TABLE t (id INTEGER PRIMARY KEY, k TEXT NOT NULL UNIQUE, code TEXT UNIQUE)"
    scenario.create_source(f"{table}; INSERT INTO t VALUES (1, '1', 'new')", keyed)  # noqa: S608
    own = table.replace("PRIMARY", "AUTO_INCREMENT PRIMARY").replace("TEXT", "VARCHAR(9)")
    scenario.create_target(own, "INSERT INTO t (k, code) VALUES ('1', 'old')")
    scenario.sync(on_match="update")
    execute(
        scenario.target,
        f"CREATE TABLE theirs (code VARCHAR(9), FOREIGN KEY (code) REFERENCES t (code) ON UPDATE {rule})",
        "INSERT INTO theirs VALUES ('new')",
    )
    assert taken_back(undo(scenario)) == {"t": (0, 0, 1)}
    assert dump(scenario) == {"t": [(1, "1", "new")], "theirs": [("new",)]}
