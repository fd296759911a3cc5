"""Rows whose natural key is another one than in the last run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pandas as pd
import pytest
from sqlalchemy import Engine

from dfsync.model.errors import TableError
from dfsync.output.result import SyncResult
from dfsync.pipeline.table_sync.sync import TableSync
from tests.support.git_history import execute, run_sql
from tests.support.scenario import Scenario

SOURCE = """CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT UNIQUE, age INTEGER);
    CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users, no INTEGER, note TEXT,
        UNIQUE (user_id, no));
    INSERT INTO users VALUES (1, 'ann', 30), (2, 'bob', 40), (5, 'cyd', 50);
    INSERT INTO orders VALUES (1, 1, 1, 'tea'), (2, 1, 2, 'milk'), (3, 2, 1, 'rice'), (4, 5, 1, 'salt');"""
TARGET = """CREATE TABLE users (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) COLLATE utf8mb4_general_ci UNIQUE,
        age INT) AUTO_INCREMENT = 101;
CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, user_id INT NOT NULL, no INT, note VARCHAR(20),
        UNIQUE (user_id, no), FOREIGN KEY (user_id) REFERENCES users (id)) AUTO_INCREMENT = 201"""
HELD = "has the natural key that another source row had in the last run, whose target row has it still"
JOINED = "SELECT name, no, note FROM orders JOIN users ON users.id = user_id ORDER BY name, no"


@pytest.fixture
def synced(tmp_path: Path, target: Engine) -> Scenario:
    """Three users with four orders, which a first run has brought."""
    scenario = Scenario(tmp_path, target)
    scenario.create_source(SOURCE)
    decide(scenario, None)
    scenario.create_target(TARGET, "INSERT INTO users VALUES (9, 'zoe', 1)")
    scenario.sync_twice()
    return scenario


def decide(scenario: Scenario, on_rekey: str | None) -> None:
    scenario.plan = scenario.folder / "plan.toml"
    line = "" if on_rekey is None else f'on_rekey = "{on_rekey}"'
    keys = 'natural_key = ["name"]', 'natural_key = ["user_id", "no"]'
    scenario.plan.write_text(f"[tables.users]\n{keys[0]}\n{line}\n[tables.orders]\n{keys[1]}\n")


def told(result: SyncResult) -> dict[str, tuple[int, int, int, int, int]]:
    return {c.name: (c.inserted, c.matched, c.updated, c.failed, c.rekeyed) for c in result.counts}


def rename(scenario: Scenario, **names: str) -> None:
    for name, other in names.items():
        run_sql(scenario.source, f"UPDATE users SET name = '{other}' WHERE name = '{name}'")  # noqa: S608


def rekeyed_file(scenario: Scenario, name: str = "users") -> list[tuple[Any, ...]]:
    path = scenario.folder / "out" / "rekeyed" / f"{name}.parquet"
    return list(pd.read_parquet(path).itertuples(index=False, name=None)) if path.exists() else []


class TestUndecided:
    def test_nothing_of_it_goes_in_and_it_is_told_every_time(self, synced: Scenario) -> None:
        rename(synced, ann="anna")
        run_sql(synced.source, "INSERT INTO orders VALUES (5, 1, 3, 'eggs')")
        before = synced.all_rows()
        for dry_run in (True, False, False):
            result, notes = synced.sync_with_notes(dry_run=dry_run)
            assert told(result) == {"users": (0, 2, 0, 1, 1), "orders": (0, 2, 0, 3, 0)}
            assert notes == [
                "1 row of users has another natural key than in the last run: name ann -> anna (ID 1); such "
                "rows are rejected until on_rekey of [tables.users] in a plan file decides"
            ]
            (reject,) = result.rejects["users"].to_numpy().tolist()
            assert reject[:3] == [1, "name", "ann -> anna"]
            assert 'on_rekey of [tables.users] in a plan file decides: "follow" gives its target row' in reject[3]
            assert set(result.rejects["orders"]["column"]) == {"user_id"}
        assert synced.all_rows() == before

    def test_a_new_source_row_does_not_take_the_target_row(self, synced: Scenario) -> None:
        rename(synced, ann="anna")
        run_sql(synced.source, "INSERT INTO users VALUES (7, 'ann', 1)")
        for _ in range(2):
            result = synced.sync()
            assert told(result) == {"users": (0, 2, 0, 2, 1), "orders": (0, 2, 0, 2, 0)}
            assert list(result.rejects["users"]["old_id"]) == [1, 7]
            assert result.rejects["users"]["reason"][1] == HELD

    def test_decided_for_a_new_row_a_run_later(self, synced: Scenario) -> None:
        rename(synced, ann="anna")
        synced.sync()
        decide(synced, "insert")
        assert told(synced.sync()) == {"users": (1, 2, 0, 0, 1), "orders": (2, 2, 0, 0, 0)}
        assert [row[:2] + row[3:] for row in rekeyed_file(synced)] == [(1, 101, "ann", "anna")]

    def test_decided_a_run_later_it_is_still_known(self, synced: Scenario) -> None:
        rename(synced, ann="anna")
        synced.sync()
        decide(synced, "follow")
        assert told(synced.sync()) == {"users": (0, 2, 1, 0, 1), "orders": (0, 4, 0, 0, 0)}
        synced.assert_same(JOINED)


class TestInsert:
    def test_it_is_a_row_of_its_own(self, synced: Scenario) -> None:
        decide(synced, "insert")
        rename(synced, ann="anna")
        dry = synced.sync(dry_run=True)
        result, notes = synced.sync_with_notes()
        assert told(dry) == told(result) == {"users": (1, 2, 0, 0, 1), "orders": (2, 2, 0, 0, 0)}
        assert notes == [
            "1 row of users has another natural key than in the last run: name ann -> anna (ID 1); on_rekey makes them "
            "rows of their own"
        ]
        assert rekeyed_file(synced) == [(1, 101, 104, "ann", "anna")]
        moved = rekeyed_file(synced, "orders")
        assert [row[:2] + row[3:] for row in moved] == [(1, 201, "101 / 1", "104 / 1"), (2, 202, "101 / 2", "104 / 2")]
        assert told(synced.sync()) == {"users": (0, 3, 0, 0, 0), "orders": (0, 4, 0, 0, 0)}
        assert rekeyed_file(synced) == [(1, 101, 104, "ann", "anna")]
        assert rekeyed_file(synced, "orders") == moved


class TestFormerTargetRow:
    """What `rekeyed` tells in later runs."""

    def test_it_is_forgotten_when_it_is_gone(self, synced: Scenario) -> None:
        decide(synced, "insert")
        rename(synced, ann="anna", bob="ben")
        synced.sync()
        execute(synced.target, "DELETE FROM orders WHERE user_id = 101", "DELETE FROM users WHERE id = 101")
        synced.sync()
        assert rekeyed_file(synced) == [(2, 102, 105, "bob", "ben")]
        assert [row[:2] for row in rekeyed_file(synced, "orders")] == [(3, 203)]

    def test_it_is_forgotten_when_the_row_is_gone_or_has_it_back(self, synced: Scenario) -> None:
        decide(synced, "insert")
        rename(synced, ann="anna", bob="ben", cyd="cid")
        synced.sync()
        rename(synced, anna="ann")
        run_sql(synced.source, "DELETE FROM orders WHERE user_id = 2; DELETE FROM users WHERE id = 2")
        synced.sync()
        # What the row had in between is there, too.
        assert rekeyed_file(synced) == [(1, 104, 101, "anna", "ann"), (5, 103, 106, "cyd", "cid")]

    def test_several_of_one_row_are_each_told(self, synced: Scenario) -> None:
        decide(synced, "insert")
        rename(synced, ann="anna")
        synced.sync()
        rename(synced, anna="anne")
        for _ in range(2):
            synced.sync()
            assert sorted(rekeyed_file(synced)) == [(1, 101, 105, "ann", "anne"), (1, 104, 105, "anna", "anne")]

    def test_it_is_known_while_the_row_is_a_reject_or_its_table_fails(
        self, synced: Scenario, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        decide(synced, "insert")
        rename(synced, ann="anna")
        synced.sync()
        moved = rekeyed_file(synced)
        rename(synced, anna="a" * 30)
        assert told(synced.sync())["users"] == (0, 2, 0, 1, 0)
        assert rekeyed_file(synced) == moved
        rename(synced, **{"a" * 30: "anna"})
        with monkeypatch.context() as patched:
            patched.setattr(TableSync, "check", Mock(side_effect=TableError("no")))
            synced.sync()
        assert rekeyed_file(synced) == moved
        synced.sync()
        assert rekeyed_file(synced) == moved

    def test_it_is_known_where_the_ids_have_become_larger(self, synced: Scenario) -> None:
        decide(synced, "insert")
        rename(synced, ann="anna")
        synced.sync()
        execute(
            synced.target,
            "ALTER TABLE orders DROP FOREIGN KEY orders_ibfk_1",
            "ALTER TABLE users MODIFY id BIGINT UNSIGNED AUTO_INCREMENT",
            "ALTER TABLE orders MODIFY user_id BIGINT UNSIGNED NOT NULL",
        )
        rename(synced, anna="anne", bob="ben")
        synced.sync()
        assert [row[:2] for row in rekeyed_file(synced)] == [(1, 101), (1, 104), (2, 102)]

    def test_a_damaged_file_is_made_anew(self, synced: Scenario) -> None:
        path = synced.folder / "out" / "rekeyed" / "users.parquet"
        path.parent.mkdir()
        path.write_bytes(b"no Parquet")
        assert told(synced.sync())["users"] == (0, 3, 0, 0, 0)
        assert not path.exists()

    def test_rows_that_are_there_twice_unasked_are_told(self, synced: Scenario) -> None:
        execute(synced.target, "UPDATE users SET name = CONCAT('x', id) WHERE id IN (101, 102)")
        for dry_run, new in ((True, ("a new one", "a new one")), (False, (104, 105))):
            _, notes = synced.sync_with_notes(dry_run=dry_run)
            assert notes[0] == (
                f"2 rows of users have another target row than in the last run: 101 -> {new[0]} (ID 1), 102 -> "
                f"{new[1]} (ID 2); the former ones are still in the target"
            )
            assert notes[1].startswith("3 rows of orders have another target row than in the last run: 201 -> ")
        assert not synced.sync_with_notes()[1]

    def test_a_row_whose_former_one_is_gone_is_not_told(self, synced: Scenario) -> None:
        execute(synced.target, "DELETE FROM orders WHERE user_id = 103", "DELETE FROM users WHERE id = 103")
        _, notes = synced.sync_with_notes()
        assert not notes


class TestFollow:
    def test_the_target_row_takes_the_new_key(self, synced: Scenario) -> None:
        decide(synced, "follow")
        rename(synced, ann="anna")
        assert told(synced.sync(dry_run=True)) == {"users": (0, 2, 1, 0, 1), "orders": (0, 4, 0, 0, 0)}
        result, notes = synced.sync_with_notes()
        assert told(result) == {"users": (0, 2, 1, 0, 1), "orders": (0, 4, 0, 0, 0)}
        assert notes[0].endswith("(ID 1); on_rekey lets their target rows follow")
        assert synced.read_target("SELECT id, name FROM users ORDER BY id")[1] == (101, "anna")
        synced.assert_same(JOINED)
        assert told(synced.sync()) == {"users": (0, 3, 0, 0, 0), "orders": (0, 4, 0, 0, 0)}

    def test_it_takes_the_other_values_too_where_the_plan_updates(self, synced: Scenario) -> None:
        decide(synced, "follow")
        rename(synced, ann="anna")
        run_sql(synced.source, "UPDATE users SET age = 31 WHERE id = 1")
        assert told(synced.sync(on_match="update"))["users"] == (0, 2, 1, 0, 1)
        assert synced.read_target("SELECT name, age FROM users WHERE id = 101") == [("anna", 31)]

    def test_the_target_has_a_row_of_that_key(self, synced: Scenario) -> None:
        decide(synced, "follow")
        rename(synced, ann="zoe")
        result = synced.sync()
        assert told(result) == {"users": (0, 2, 0, 1, 1), "orders": (0, 2, 0, 2, 0)}
        assert "the target has another row of that key already" in result.rejects["users"]["reason"][0]

    def test_a_new_source_row_that_took_the_key_waits_until_the_target_row_has_the_new_one(
        self, synced: Scenario
    ) -> None:
        decide(synced, "follow")
        rename(synced, ann="anna")
        run_sql(synced.source, "INSERT INTO users VALUES (7, 'ann', 1)")
        assert told(synced.sync(dry_run=True))["users"] == (0, 2, 1, 1, 1)
        result = synced.sync()
        assert told(result) == {"users": (0, 2, 1, 1, 1), "orders": (0, 4, 0, 0, 0)}
        assert result.rejects["users"].to_numpy().tolist() == [[7, "name", "ann", HELD]]
        assert told(synced.sync())["users"] == (1, 3, 0, 0, 0)
        synced.assert_same(JOINED)
        assert synced.read_target("SELECT name, age FROM users WHERE name LIKE 'ann%' ORDER BY id") == [
            ("anna", 30),
            ("ann", 1),
        ]

    def test_a_row_that_shared_the_target_row_keeps_it(self, tmp_path: Path, target: Engine) -> None:
        scenario = Scenario(tmp_path, target)
        plan = '[tables.users]\nnatural_key = ["name"]\non_rekey = "follow"'
        scenario.create_source(
            "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO users VALUES (1, 'ann'), (2, 'ann')",
            plan,
        )
        scenario.create_target("CREATE TABLE users (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) UNIQUE)")
        scenario.sync()
        run_sql(scenario.source, "UPDATE users SET name = 'x' WHERE id = 1; INSERT INTO users VALUES (3, 'ann')")
        result, notes = scenario.sync_with_notes()
        assert told(result)["users"] == (1, 2, 0, 0, 1)
        assert notes[-1].endswith("(ID 1); with on_rekey: 1 a row of its own")

    def test_a_new_row_of_the_new_key_shares_the_target_row(self, tmp_path: Path, target: Engine) -> None:
        scenario = Scenario(tmp_path, target)
        plan = '[tables.users]\nnatural_key = ["name"]\non_rekey = "follow"'
        scenario.create_source(
            "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO users VALUES (5, 'ann'), (6, 'b')",
            plan,
        )
        scenario.create_target("CREATE TABLE users (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) UNIQUE)")
        scenario.sync()
        run_sql(scenario.source, "UPDATE users SET name = 'x'; INSERT INTO users VALUES (1, 'x')")
        result = scenario.sync()
        assert told(result)["users"] == (0, 2, 1, 0, 2)
        assert result.counts[0].shared == 2
        assert scenario.read_target("SELECT id, name FROM users ORDER BY id") == [(1, "x"), (2, "b")]

    def test_who_shares_the_new_key_is_a_reject_where_the_server_refuses_it(
        self, tmp_path: Path, target: Engine
    ) -> None:
        scenario = Scenario(tmp_path, target)
        plan = '[tables.users]\nnatural_key = ["name"]\non_rekey = "follow"'
        scenario.create_source(
            "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO users VALUES (5, 'ann'), (6, 'b')",
            plan,
        )
        scenario.create_target(
            "CREATE TABLE users (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) UNIQUE, CHECK (name <> 'x'))"
        )
        scenario.sync()
        run_sql(scenario.source, "UPDATE users SET name = 'x' WHERE id = 5; INSERT INTO users VALUES (1, 'x')")
        result = scenario.sync()
        assert told(result)["users"] == (0, 1, 0, 2, 1)
        assert list(result.rejects["users"]["old_id"]) == [1, 5]
        assert list(result.mappings["users"]["old_id"]) == [6]
        run_sql(scenario.source, "UPDATE users SET name = 'y' WHERE id = 5; DELETE FROM users WHERE id = 1")
        assert told(scenario.sync())["users"] == (0, 1, 1, 0, 1)

    def test_rolled_back_it_is_known_afterwards(self, synced: Scenario) -> None:
        decide(synced, "follow")
        rename(synced, ann="anna")
        execute(
            synced.target,
            "CREATE TRIGGER no BEFORE UPDATE ON users FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'",
        )
        assert told(synced.sync())["users"] == (0, 2, 0, 1, 1)
        execute(synced.target, "DROP TRIGGER no")
        assert told(synced.sync())["users"] == (0, 2, 1, 0, 1)
        synced.assert_same(JOINED)

    def test_rolled_back_a_row_whose_key_did_not_fit_is_known_afterwards(
        self, synced: Scenario, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        decide(synced, "follow")
        rename(synced, ann="a" * 30, bob="ben")
        with monkeypatch.context() as patched:
            patched.setattr(TableSync, "check", Mock(side_effect=TableError("no")))
            assert [c.error for c in synced.sync().counts] == ["no", "no"]
        assert synced.read_target("SELECT name FROM users WHERE id = 102") == [("bob",)]
        rename(synced, **{"a" * 30: "anna"})
        assert told(synced.sync())["users"] == (0, 1, 2, 0, 2)
        synced.assert_same(JOINED)


class TestWhatIsNoOtherKey:
    def test_one_that_the_collation_finds_equal(self, synced: Scenario) -> None:
        rename(synced, ann="ANN")
        assert told(synced.sync())["users"] == (0, 3, 0, 0, 0)

    def test_one_whose_target_row_is_gone(self, synced: Scenario) -> None:
        rename(synced, cyd="dee")
        execute(synced.target, "DELETE FROM orders WHERE user_id = 103", "DELETE FROM users WHERE id = 103")
        assert told(synced.sync()) == {"users": (1, 2, 0, 0, 0), "orders": (1, 3, 0, 0, 0)}

    def test_one_that_changed_in_the_target(self, synced: Scenario) -> None:
        execute(synced.target, "UPDATE users SET name = 'other' WHERE id = 101")
        assert told(synced.sync()) == {"users": (1, 2, 0, 0, 0), "orders": (2, 2, 0, 0, 0)}
        assert rekeyed_file(synced) == [(1, 101, 104, "ann", "ann")]

    def test_swapped_keys_are_other_keys(self, synced: Scenario) -> None:
        rename(synced, ann="x")
        rename(synced, bob="ann")
        rename(synced, x="bob")
        assert told(synced.sync())["users"] == (0, 1, 0, 2, 2)

    def test_a_key_that_becomes_null_or_is_given(self, synced: Scenario) -> None:
        run_sql(synced.source, "UPDATE users SET name = NULL WHERE id = 1")
        result = synced.sync()
        assert told(result)["users"] == (0, 2, 0, 1, 1)
        assert list(result.rejects["users"]["value"]) == ["ann -> NULL"]


def test_the_built_in_plan_inserts(tmp_path: Path) -> None:
    from dfsync.plan.file import BUILT_IN, read_plan

    assert {table.on_rekey for table in read_plan(BUILT_IN).tables} == {"insert"}


@pytest.mark.parametrize("on_rekey", ["follow", "insert"])
def test_killed_before_the_map_was_written_the_next_run_heals(synced: Scenario, on_rekey: str) -> None:
    decide(synced, on_rekey)
    rename(synced, ann="anna", bob="ben")
    run_sql(synced.source, "INSERT INTO orders VALUES (9, 2, 7, 'oats')")
    out, before = synced.folder / "out", synced.folder / "before"
    shutil.copytree(out, before)
    synced.sync()
    after = synced.all_rows()
    known = (out / "id_mappings.json").read_bytes()
    # What a run leaves that is killed between its commits and its files.
    shutil.rmtree(out)
    before.rename(out)
    assert all(c.inserted == c.failed == 0 for c in synced.sync().counts)
    assert synced.all_rows() == after
    assert (out / "id_mappings.json").read_bytes() == known
