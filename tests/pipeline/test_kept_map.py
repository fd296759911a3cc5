"""Rows without a natural key that the map of the last run knows by their ids."""

from __future__ import annotations

import shutil
from pathlib import Path
from unittest.mock import Mock

import pandas as pd
import pyarrow as pa
import pytest
from sqlalchemy import Engine

from dfsync.commands.check import check
from dfsync.model.errors import OutputWriteError
from dfsync.output import files
from dfsync.output.result import SyncResult
from dfsync.pipeline.session.kept_maps import KeptMap
from tests.support.git_history import counts, execute, run_sql
from tests.support.scenario import Scenario

ORDERS = """CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, note TEXT, n INTEGER);
    INSERT INTO orders (note, n) VALUES ('a', 1), ('b', 2), ('b', 2), ('c', 3);"""
TARGET = "CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, note VARCHAR(20), n INT) AUTO_INCREMENT = 101"


@pytest.fixture
def synced(tmp_path: Path, target: Engine) -> Scenario:
    """Four orders, two of them alike, that a first run has brought."""
    scenario = Scenario(tmp_path, target)
    scenario.create_source(ORDERS)
    scenario.create_target(TARGET, "INSERT INTO orders VALUES (7, 'x', 9)")
    assert counts(scenario.sync_twice()) == {"orders": (4, 0, 0)}
    return scenario


def edit(scenario: Scenario, script: str) -> None:
    run_sql(scenario.source, script)


def told(result: SyncResult) -> tuple[int, int, int, int]:
    count = result.counts[0]
    return count.inserted, count.matched, count.updated, count.failed


class TestIdentityById:
    def test_a_row_that_changed_in_the_source_stays_one(self, synced: Scenario) -> None:
        edit(synced, "UPDATE orders SET note = 'paid' WHERE id IN (1, 2)")
        before = synced.read_target("SELECT * FROM orders")
        assert told(synced.sync(dry_run=True)) == told(synced.sync()) == (0, 4, 0, 0)
        assert synced.read_target("SELECT * FROM orders") == before

    def test_its_other_values_are_told_by_every_run(self, synced: Scenario) -> None:
        edit(synced, "UPDATE orders SET note = 'paid' WHERE id IN (1, 2)")
        for dry_run in (True, False, False):
            result, notes = synced.sync_with_notes(dry_run=dry_run)
            assert result.counts[0].differing == {"compared": 4, "rows": 2, "columns": {"note": 2}}
            assert notes == ["orders: of 4 rows that exist, 2 have other values in the target: note (2)"]

    def test_check_warns_where_most_have_other_values(self, synced: Scenario) -> None:
        edit(synced, "UPDATE orders SET note = 'paid', n = n + 7 WHERE id < 4")
        findings = check(synced.source, synced.target.url, out=synced.folder / "out").findings
        (warning,) = [f.message for f in findings if f.level == "warning"]
        assert warning.startswith("of 4 rows that exist, 3 have other values in the target: note (3), n (3). on_match")

    def test_it_is_updated_where_the_plan_says_so(self, synced: Scenario) -> None:
        edit(synced, "UPDATE orders SET note = 'paid' WHERE id IN (1, 2)")
        assert told(synced.sync(dry_run=True, on_match="update")) == (0, 2, 2, 0)
        assert told(synced.sync(on_match="update")) == (0, 2, 2, 0)
        assert synced.read_target("SELECT id, note FROM orders ORDER BY id") == [
            (7, "x"),
            (101, "paid"),
            (102, "paid"),
            (103, "b"),
            (104, "c"),
        ]

    def test_a_row_that_changed_in_the_target_stays_one(self, synced: Scenario) -> None:
        execute(synced.target, "UPDATE orders SET note = 'theirs' WHERE id = 103")
        assert told(synced.sync()) == (0, 4, 0, 0)
        assert synced.read_target("SELECT note FROM orders WHERE id = 103") == [("theirs",)]

    def test_a_row_that_changed_in_both_stays_one(self, synced: Scenario) -> None:
        execute(synced.target, "UPDATE orders SET note = 'theirs' WHERE id = 103")
        edit(synced, "UPDATE orders SET note = 'ours' WHERE id = 3; INSERT INTO orders (note, n) VALUES ('d', 4)")
        assert told(synced.sync(on_match="update")) == (1, 3, 1, 0)
        assert synced.read_target("SELECT note FROM orders WHERE id >= 103 ORDER BY id") == [("ours",), ("c",), ("d",)]

    def test_a_row_that_is_gone_is_inserted_again(self, synced: Scenario) -> None:
        execute(synced.target, "DELETE FROM orders WHERE id IN (101, 103)")
        assert told(synced.sync()) == (2, 2, 0, 0)
        assert synced.read_target("SELECT note FROM orders ORDER BY id") == [("x",), ("b",), ("c",), ("a",), ("b",)]
        assert told(synced.sync()) == (0, 4, 0, 0)

    def test_a_new_row_does_not_take_the_target_row_of_one_that_is_known(self, synced: Scenario) -> None:
        edit(synced, "UPDATE orders SET note = 'z' WHERE id = 1; INSERT INTO orders (note, n) VALUES ('a', 1)")
        assert told(synced.sync()) == (1, 4, 0, 0)

    def test_a_row_that_does_not_fit_for_a_while_is_known_afterwards(self, synced: Scenario) -> None:
        execute(synced.target, "DELETE FROM orders WHERE id = 104")
        edit(synced, "UPDATE orders SET n = 'many' WHERE id = 4")
        assert told(synced.sync()) == (0, 3, 0, 1)
        execute(synced.target, "INSERT INTO orders VALUES (104, 'c', 3)")
        assert told(synced.sync()) == (0, 4, 0, 0)

    def test_the_recovery_of_the_readme_doubles_nothing(self, tmp_path: Path, target: Engine) -> None:
        scenario = Scenario(tmp_path, target)
        days = ", ".join(f"('{i + 1}.1.2024')" if i % 3 else "('2024-01-02')" for i in range(120))
        scenario.create_source("CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, placed TEXT)")
        edit(scenario, f"INSERT INTO orders (placed) VALUES {days}")  # noqa: S608
        scenario.create_target("CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, placed DATETIME)")
        assert told(scenario.sync()) == (40, 0, 0, 80)
        execute(target, "ALTER TABLE orders MODIFY placed TEXT")
        assert told(scenario.sync()) == (80, 40, 0, 0)
        assert scenario.read_target("SELECT COUNT(*) FROM orders") == [(120,)]

    def test_lines_of_edited_orders_do_not_double(self, tmp_path: Path, target: Engine) -> None:
        scenario = Scenario(tmp_path, target)
        orders = ", ".join(f"('n{i % 7}')" for i in range(50))
        lines = ", ".join(f"({1 + i % 50}, {i % 3})" for i in range(150))
        scenario.create_source(
            """CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, note TEXT);
            CREATE TABLE items (id INTEGER PRIMARY KEY AUTOINCREMENT, order_id INTEGER NOT NULL REFERENCES orders,
                n INTEGER)"""
        )
        edit(scenario, f"INSERT INTO orders (note) VALUES {orders}")  # noqa: S608
        edit(scenario, f"INSERT INTO items (order_id, n) VALUES {lines}")  # noqa: S608
        scenario.create_target(None)
        scenario.sync()
        edit(scenario, "UPDATE orders SET note = 'paid' WHERE id IN (7, 8)")
        assert counts(scenario.sync(on_match="update")) == {"orders": (0, 48, 0), "items": (0, 150, 0)}
        scenario.assert_same("SELECT note, n FROM items JOIN orders ON orders.id = order_id")


class TestWhatIsNoEvidence:
    def edited(self, scenario: Scenario) -> SyncResult:
        edit(scenario, "UPDATE orders SET note = 'paid' WHERE id = 1")
        return scenario.sync()

    def test_a_map_that_is_lost(self, synced: Scenario) -> None:
        shutil.rmtree(synced.folder / "out")
        assert told(self.edited(synced)) == (1, 3, 0, 0)

    def test_a_map_that_is_damaged(self, synced: Scenario) -> None:
        (synced.folder / "out" / "mappings" / "orders.parquet").write_bytes(b"PAR1")
        assert told(self.edited(synced)) == (1, 3, 0, 0)

    def test_a_map_of_another_plan(self, synced: Scenario) -> None:
        synced.plan = synced.folder / "plan.toml"
        synced.plan.write_text('[tables.orders]\nnatural_key = ["n"]\nidentity = "id"')
        synced.sync()
        synced.plan.write_text('[tables.orders]\nidentity = "id"')
        edit(synced, "UPDATE orders SET note = 'paid' WHERE id = 1")
        result, notes = synced.sync_with_notes()
        assert told(result) == (1, 3, 0, 0)
        assert notes == [
            "orders: the last run recognised rows by n, this plan by their whole content; its map is not used"
        ]
        assert synced.sync_with_notes()[1] == []

    def test_where_ids_are_used_again_content_tells(self, tmp_path: Path, target: Engine) -> None:
        scenario = Scenario(tmp_path, target)
        scenario.create_source(ORDERS.replace("AUTOINCREMENT", ""))
        scenario.create_target(TARGET)
        scenario.sync()
        edit(scenario, "UPDATE orders SET note = 'paid' WHERE id = 1")
        result, notes = scenario.sync_with_notes()
        assert told(result) == (1, 3, 0, 0)
        assert "changed in the target or in the source is inserted once more" in notes[0]

    def test_a_map_whose_table_was_emptied(self, synced: Scenario) -> None:
        execute(synced.target, "TRUNCATE TABLE orders")
        execute(synced.target, *("INSERT INTO orders (n) VALUES (9)" for _ in range(102)))
        result, notes = synced.sync_with_notes()
        assert told(result) == (4, 0, 0, 0)
        assert notes == [
            "orders: the map of the last run is no evidence and is not used: the target's next id is 103, and the map "
            "of the last run has 104: the table was emptied or made anew"
        ]

    def test_a_source_that_is_an_older_copy(self, synced: Scenario) -> None:
        shutil.copy(synced.source, synced.folder / "older.db")
        edit(synced, "INSERT INTO orders (note, n) VALUES ('e', 5)")
        assert told(synced.sync()) == (1, 4, 0, 0)
        (synced.folder / "older.db").replace(synced.source)
        edit(synced, "UPDATE orders SET note = 'new here' WHERE id = 1")
        result, notes = synced.sync_with_notes()
        assert told(result) == (1, 3, 0, 0)
        assert "the source has given the ids up to 4, and the map of the last run has 5" in notes[0]


class TestRejectsThatTheMapOfTheLastRunHas:
    @pytest.fixture
    def coded(self, tmp_path: Path, target: Engine) -> Scenario:
        """Three rows whose natural key was text, and is a number by now; one of them is a reject since."""
        scenario = Scenario(tmp_path, target)
        scenario.create_source(
            """CREATE TABLE a (id INTEGER PRIMARY KEY, code TEXT UNIQUE);
            INSERT INTO a VALUES (1, '1'), (2, '2'), (3, 'x')""",
            '[tables.a]\nnatural_key = ["code"]',
        )
        scenario.create_target("CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, code VARCHAR(9) UNIQUE)")
        assert told(scenario.sync()) == (3, 0, 0, 0)
        execute(target, "DELETE FROM a WHERE code = 'x'", "ALTER TABLE a MODIFY code INT")
        assert told(scenario.sync()) == (0, 2, 0, 1)
        return scenario

    def test_their_keys_may_be_of_another_type_by_now(self, coded: Scenario) -> None:
        for _ in range(2):
            result = coded.sync()
            assert (told(result), result.write_errors) == ((0, 2, 0, 1), {})
            assert pd.read_parquet(coded.folder / "out" / "unmapped" / "a.parquet").to_numpy().tolist() == [
                [3, 3, "inserted", "x"]
            ]

    def test_one_that_fits_again_is_known_though_the_new_map_is_not_written(
        self, synced: Scenario, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        execute(synced.target, "DELETE FROM orders WHERE id = 104")
        edit(synced, "UPDATE orders SET n = 'many' WHERE id = 4")
        assert told(synced.sync()) == (0, 3, 0, 1)
        execute(synced.target, "INSERT INTO orders VALUES (104, 'c', 3)")
        with monkeypatch.context() as patched:
            full = OutputWriteError(synced.folder / "out" / "mappings" / "orders.parquet", OSError("full"))
            patched.setattr(files, "write_mapping", Mock(side_effect=full))
            assert told(synced.sync()) == (0, 4, 0, 0)
        edit(synced, "UPDATE orders SET note = 'paid', n = 7 WHERE id = 4")
        assert told(synced.sync()) == (0, 4, 0, 0)
        assert not (synced.folder / "out" / "unmapped" / "orders.parquet").exists()

    def test_a_map_that_cannot_be_read_then_is_told(self, coded: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
        def damaged(*_: object) -> None:
            raise pa.ArrowInvalid("damaged")

        monkeypatch.setattr(KeptMap, "rows", damaged)
        result = coded.sync()
        assert (told(result), result.write_errors) == ((0, 2, 0, 1), {"unmapped/a.parquet": "damaged"})


def test_killed_before_the_map_was_written_the_next_run_heals(synced: Scenario) -> None:
    edit(synced, "UPDATE orders SET note = 'paid' WHERE id = 1; INSERT INTO orders (note, n) VALUES ('b', 2), ('e', 5)")
    out, before = synced.folder / "out", synced.folder / "before"
    shutil.copytree(out, before)
    assert told(synced.sync(on_match="update")) == (2, 3, 1, 0)
    after = synced.all_rows()
    shutil.rmtree(out)
    before.rename(out)
    assert told(synced.sync(on_match="update")) == (0, 6, 0, 0)
    assert synced.all_rows() == after
