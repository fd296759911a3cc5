"""What `verify` says of other values: changed since, or left as the plan asks; and rows that the target has twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine

import dfsync
from dfsync.__main__ import main
from dfsync.model.errors import DfsyncError
from dfsync.output.last_run import REKEYED_SCHEMA
from tests.support.git_history import execute, run_sql
from tests.support.scenario import Scenario

SOURCE = """CREATE TABLE kv (k VARCHAR(20) PRIMARY KEY, v TEXT) WITHOUT ROWID;
    INSERT INTO kv VALUES ('a', 'source'), ('b', 'source')"""
TARGET = "CREATE TABLE kv (k VARCHAR(20) PRIMARY KEY, v TEXT)"


@pytest.fixture
def scenario(tmp_path: Path, target: Engine) -> Scenario:
    return Scenario(tmp_path, target)


def verify(scenario: Scenario, **options: Any) -> dfsync.VerifyResult:
    chosen = dfsync.SyncOptions(plan=scenario.plan, **options)
    return dfsync.verify(scenario.source, scenario.target.url, out=scenario.folder / "out", options=chosen)


def told(result: dfsync.VerifyResult, name: str) -> list[tuple[Any, ...]]:
    frame = result.differences[name].astype(object)
    plain = frame.where(frame.notna(), None)[["old_id", "kind", "column", "source_value", "target_value"]]
    return list(plain.itertuples(index=False, name=None))


def counts(result: dfsync.VerifyResult, name: str) -> dict[str, int]:
    (table,) = (table for table in result.tables if table.name == name)
    return {key: value for key, value in table.as_dict().items() if key in result.as_dict()["overall"] and value}


class TestWithoutAnId:
    """No map says which rows a sync wrote; the last run's counts do where they are all or none."""

    def test_what_the_target_had_before_is_kept(self, scenario: Scenario) -> None:
        scenario.create_source(SOURCE)
        scenario.create_target(TARGET, "INSERT INTO kv VALUES ('a', 'target, years ago'), ('b', 'source')")
        scenario.sync()
        result = verify(scenario)
        assert counts(result, "kv") == {"total": 2, "equal": 1, "kept": 1}
        assert [row[1:] for row in told(result, "kv")] == [("kept", "v", "source", "target, years ago")]
        assert (result.ok, result.strict_ok) == (True, False)

    def test_some_had_been_there_and_some_had_not(self, scenario: Scenario) -> None:
        scenario.create_source(SOURCE)
        scenario.create_target(TARGET, "INSERT INTO kv VALUES ('a', 'target, years ago')")
        scenario.sync()
        result = verify(scenario)
        assert counts(result, "kv") == {"total": 2, "equal": 1, "other_values": 1}
        assert [row[1] for row in told(result, "kv")] == ["other values"]
        assert (result.ok, result.strict_ok) == (True, False)

    def test_what_the_sync_inserted_was_changed_since(self, scenario: Scenario) -> None:
        scenario.create_source(SOURCE)
        scenario.create_target(TARGET)
        scenario.sync()
        execute(scenario.target, "UPDATE kv SET v = 'other' WHERE k = 'a'")
        result = verify(scenario)
        assert counts(result, "kv") == {"total": 2, "equal": 1, "changed": 1}
        assert not result.ok

    def test_after_an_update_every_other_value_is_a_change(self, scenario: Scenario) -> None:
        scenario.create_source(SOURCE)
        scenario.create_target(TARGET, "INSERT INTO kv VALUES ('a', 'target, years ago')")
        scenario.sync(on_match="update")
        assert verify(scenario).strict_ok
        execute(scenario.target, "UPDATE kv SET v = 'other' WHERE k = 'a'")
        assert counts(verify(scenario), "kv") == {"total": 2, "equal": 1, "changed": 1}


USERS = """CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, age INT, town TEXT);
    INSERT INTO users VALUES (1, 'ann', 30, 'Ulm'), (2, 'bob', 40, 'Kiel')"""
USERS_TARGET = """CREATE TABLE users (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) NOT NULL UNIQUE,
    age INT, town VARCHAR(20))"""


class TestAfterAnUpdate:
    def test_a_row_that_was_there_was_changed_since(self, scenario: Scenario) -> None:
        scenario.create_source(USERS)
        scenario.create_target(USERS_TARGET, "INSERT INTO users (name, age) VALUES ('ann', 1)")
        scenario.sync(on_match="update")
        execute(scenario.target, "UPDATE users SET age = 31 WHERE name = 'ann'")
        result = verify(scenario)
        assert told(result, "users") == [(1, "changed", "age", "30", "31")]
        assert not result.ok

    def test_columns_that_an_update_leaves_are_kept(self, scenario: Scenario) -> None:
        scenario.create_source(USERS, '[tables.users]\non_match = "update"\nupdate_columns = ["age"]')
        scenario.create_target(
            USERS_TARGET, "INSERT INTO users (name, age, town) VALUES ('ann', 30, 'Bonn'), ('bob', 40, 'Kiel')"
        )
        scenario.sync()
        execute(scenario.target, "UPDATE users SET town = 'Bonn' WHERE name = 'ann'")
        result = verify(scenario)
        assert told(result, "users") == [(1, "kept", "town", "Ulm", "Bonn")]
        assert result.ok
        execute(scenario.target, "UPDATE users SET age = 31")
        result = verify(scenario)
        assert counts(result, "users") == {"total": 2, "changed": 2}

    def test_a_value_that_fits_no_update_is_counted_apart(self, scenario: Scenario) -> None:
        scenario.create_source(USERS)
        scenario.create_target(
            USERS_TARGET, "INSERT INTO users (name, age, town) VALUES ('ann', 1, 'Ulm'), ('bob', 1, '')"
        )
        scenario.sync()
        run_sql(scenario.source, "UPDATE users SET age = 'forty' WHERE id = 2")
        assert counts(verify(scenario), "users") == {"total": 2, "kept": 2, "unfit": 1}


def test_a_row_that_was_equal_when_it_was_matched_was_changed_since(scenario: Scenario) -> None:
    scenario.create_source("CREATE TABLE n (id INTEGER PRIMARY KEY, t TEXT); INSERT INTO n VALUES (5, 'x')")
    scenario.create_target("CREATE TABLE n (id INT AUTO_INCREMENT PRIMARY KEY, t VARCHAR(9))")
    scenario.sync()
    scenario.sync()
    execute(scenario.target, "UPDATE n SET t = 'y'")
    result = verify(scenario)
    assert told(result, "n") == [(5, "changed", "t", "x", "y")]
    assert not result.ok


def test_null_for_a_missing_parent_is_what_the_plan_asks(scenario: Scenario) -> None:
    plan = '[tables.p]\n[tables.c]\non_missing_parent = "null"\nforeign_keys = { p_id = "p" }'
    scenario.create_source(
        """CREATE TABLE p (id INTEGER PRIMARY KEY, name TEXT UNIQUE); INSERT INTO p VALUES (1, 'a');
        CREATE TABLE c (id INTEGER PRIMARY KEY, name TEXT UNIQUE, p_id INT); INSERT INTO c VALUES (1, 'c', 1)""",
        plan,
    )
    scenario.create_target(
        """CREATE TABLE p (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) UNIQUE);
        CREATE TABLE c (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) UNIQUE, p_id INT)"""
    )
    scenario.sync()
    run_sql(scenario.source, "UPDATE c SET p_id = 99")
    execute(scenario.target, "UPDATE c SET p_id = NULL")
    assert verify(scenario).strict_ok
    execute(scenario.target, "UPDATE c SET p_id = 1")
    assert [row[1:] for row in told(verify(scenario), "c")] == [("changed", "p_id", None, "1")]


class TestRowsTwice:
    """The last sync gave a row another target row, and the earlier one is still there."""

    def rekeyed(self, scenario: Scenario, before: str | None, after: str | None) -> None:
        """Of Ann, whose target row was 1 and is 3 now."""
        file = scenario.folder / "out" / "rekeyed" / "users.parquet"
        file.parent.mkdir(exist_ok=True)
        frame = pd.DataFrame([(1, 1, 3, before, after)], columns=REKEYED_SCHEMA.names)
        frame.to_parquet(file, schema=REKEYED_SCHEMA, index=False)

    def renamed(self, scenario: Scenario, plan: str | None = None) -> None:
        scenario.create_source(USERS, plan)
        scenario.create_target(USERS_TARGET)
        scenario.sync()
        run_sql(scenario.source, "UPDATE users SET name = 'anna' WHERE id = 1")
        execute(scenario.target, "INSERT INTO users VALUES (3, 'anna', 30, 'Ulm')")
        # As a sync without the map of the run before.
        (scenario.folder / "out" / "mappings" / "users.parquet").unlink()
        scenario.sync()

    def test_nobody_asked_for_it(self, scenario: Scenario) -> None:
        self.renamed(scenario)
        assert verify(scenario).strict_ok
        self.rekeyed(scenario, "ann", "anna")
        result = verify(scenario)
        assert told(result, "users") == [(1, "doubled", "id", "3", "1")]
        assert counts(result, "users") == {"total": 2, "equal": 1, "doubled": 1}
        assert not result.ok
        # The person deletes the row of the earlier name.
        execute(scenario.target, "DELETE FROM users WHERE name = 'ann'")
        assert verify(scenario).strict_ok

    def test_the_plan_asks_for_it(self, scenario: Scenario) -> None:
        self.renamed(scenario, '[tables.users]\non_rekey = "insert"')
        self.rekeyed(scenario, "ann", "anna")
        result = verify(scenario)
        assert told(result, "users") == [(1, "rekeyed", "id", "3", "1")]
        assert (result.ok, result.strict_ok) == (True, False)
        # The same key: the row was changed in the target, and nobody asked for a second one.
        self.rekeyed(scenario, "ann", "ann")
        assert not verify(scenario).ok

    def test_the_earlier_target_row_is_that_of_another_row_now(self, scenario: Scenario) -> None:
        self.renamed(scenario)
        run_sql(scenario.source, "INSERT INTO users VALUES (9, 'ann', 30, 'Ulm')")
        scenario.sync()
        self.rekeyed(scenario, "ann", "anna")
        assert verify(scenario).strict_ok

    def test_the_map_is_of_a_later_run(self, scenario: Scenario) -> None:
        self.renamed(scenario)
        self.rekeyed(scenario, "ann", "anna")
        execute(scenario.target, "UPDATE users SET id = 30 WHERE id = 3")
        scenario.sync()
        self.rekeyed(scenario, "ann", "anna")
        assert verify(scenario).strict_ok

    def test_one_that_was_changed_too_is_told_as_both_and_counted_once(self, scenario: Scenario) -> None:
        self.renamed(scenario)
        self.rekeyed(scenario, "ann", "anna")
        run_sql(scenario.source, "UPDATE users SET town = 'Bonn' WHERE id = 1")
        result = verify(scenario)
        assert sorted(row[1] for row in told(result, "users")) == ["doubled", "kept"]
        assert counts(result, "users") == {"total": 2, "equal": 1, "doubled": 1}


ORDERS = """CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users, no INTEGER NOT NULL,
    UNIQUE (user_id, no)); INSERT INTO orders VALUES (1, 1, 1), (2, 2, 1)"""
ORDERS_TARGET = """CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, user_id INT NOT NULL, no INT NOT NULL,
    UNIQUE (user_id, no), FOREIGN KEY (user_id) REFERENCES users (id))"""


class TestRowsTwiceAfterASync:
    """As the last sync itself tells that it gave rows other target rows."""

    def synced(self, scenario: Scenario, on_rekey: str) -> None:
        plan = f'base = "discovered"\n[tables.users]\non_rekey = "{on_rekey}"'
        scenario.create_source(f"{USERS};{ORDERS}", plan)
        scenario.create_target(f"{USERS_TARGET};\n{ORDERS_TARGET}")
        scenario.sync()

    def moved(self, result: dfsync.VerifyResult, name: str) -> list[tuple[Any, ...]]:
        """What is told, without the new ids: how many the target passes over depends on the way of the insert."""
        return [(*row[:3], row[4]) for row in told(result, name)]

    def test_of_a_new_natural_key_by_the_plan(self, scenario: Scenario) -> None:
        self.synced(scenario, "insert")
        run_sql(scenario.source, "UPDATE users SET name = 'anna' WHERE id = 1")
        scenario.sync()
        result = verify(scenario)
        assert self.moved(result, "users") == self.moved(result, "orders") == [(1, "rekeyed", "id", "1")]
        assert counts(result, "orders") == {"total": 2, "equal": 1, "rekeyed": 1}
        assert (result.ok, result.strict_ok) == (True, False)
        execute(scenario.target, "DELETE FROM orders WHERE id = 1", "DELETE FROM users WHERE id = 1")
        assert verify(scenario).strict_ok

    def test_none_where_the_target_row_follows(self, scenario: Scenario) -> None:
        self.synced(scenario, "follow")
        run_sql(scenario.source, "UPDATE users SET name = 'anna' WHERE id = 1")
        scenario.sync()
        assert scenario.read_target("SELECT id, name FROM users ORDER BY id") == [(1, "anna"), (2, "bob")]
        assert verify(scenario).strict_ok

    @pytest.mark.parametrize("on_rekey", ["insert", "follow"])
    def test_nobody_asked_for_it_where_the_target_has_another_key(self, scenario: Scenario, on_rekey: str) -> None:
        self.synced(scenario, on_rekey)
        execute(scenario.target, "UPDATE users SET name = 'anna' WHERE name = 'ann'")
        scenario.sync()
        result = verify(scenario)
        assert self.moved(result, "users") == [(1, "doubled", "id", "1")]
        # The natural key of an order holds its user's id, which is another one now.
        of_order = "rekeyed" if on_rekey == "insert" else "doubled"
        assert self.moved(result, "orders") == [(1, of_order, "id", "1")]
        assert not result.ok
        # Later nights have nothing new, and the rows are there twice still.
        scenario.sync()
        assert told(verify(scenario), "users") == told(result, "users")
        assert told(verify(scenario), "orders") == told(result, "orders")
        execute(scenario.target, "DELETE FROM orders WHERE user_id = 1", "DELETE FROM users WHERE id = 1")
        scenario.sync()
        assert verify(scenario).strict_ok


class TestMapsOfOthers:
    def test_of_another_source(self, scenario: Scenario, tmp_path: Path) -> None:
        scenario.create_source(USERS)
        scenario.create_target(USERS_TARGET)
        scenario.sync()
        other = run_sql(tmp_path / "other.db", USERS)
        with pytest.raises(DfsyncError) as refused:
            dfsync.verify(other, scenario.target.url, out=tmp_path / "out")
        assert str(refused.value) == (
            f"The maps in {tmp_path}/out are of {scenario.source}, and not of {other}. Name its out= or source=."
        )

    def test_of_another_target(self, scenario: Scenario, tmp_path: Path) -> None:
        scenario.create_source(USERS)
        scenario.create_target(USERS_TARGET)
        scenario.sync()
        elsewhere = f"{scenario.target.url.database}_2"
        execute(scenario.target, f"CREATE DATABASE {elsewhere}", f"CREATE TABLE {elsewhere}.users LIKE users")
        try:
            with pytest.raises(DfsyncError, match=f"are of a sync into {scenario.target.url.database} on .*, and not"):
                dfsync.verify(scenario.source, scenario.target.url.set(database=elsewhere), out=tmp_path / "out")
        finally:
            execute(scenario.target, f"DROP DATABASE {elsewhere}")


@pytest.mark.parametrize("folder", ["mappings", "rekeyed", "rejects"])
def test_a_damaged_file_is_named(scenario: Scenario, capsys: pytest.CaptureFixture[str], folder: str) -> None:
    scenario.create_source(USERS)
    scenario.create_target(USERS_TARGET)
    scenario.sync()
    path = scenario.folder / "out" / folder / "users.parquet"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"no Parquet")
    ends = ["--source", str(scenario.source), "--target", scenario.target.url.render_as_string(hide_password=False)]
    assert main(["verify", *ends, "--out", str(scenario.folder / "out")]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"The file {path} cannot be read: " in said
    assert said.endswith("A sync makes it anew.")


class TestMapsOfAnotherPlan:
    def synced(self, scenario: Scenario) -> None:
        plan = """[tables.users]\nnatural_key = ["name", "town"]
[tables.orders]\nnatural_key = ["no"]\nforeign_keys = { user_id = "users" }"""
        scenario.create_source(f"{USERS};{ORDERS}", plan)
        scenario.create_target(f"{USERS_TARGET};\n{ORDERS_TARGET}")
        scenario.sync()

    def test_they_are_refused_by_table(self, scenario: Scenario) -> None:
        self.synced(scenario)
        assert verify(scenario).tables[0].total == 2
        with pytest.raises(DfsyncError) as refused:
            dfsync.verify(scenario.source, scenario.target.url, out=scenario.folder / "out")
        assert str(refused.value) == (
            f"The maps in {scenario.folder}/out are of another plan. users: the last run recognised rows by name, "
            "town, this plan by name; orders: the last run recognised rows by no, this plan by user_id, "
            f"no. The last sync had plan {scenario.plan}, and this is discovered plan. Name the "
            "SyncOptions(plan=...) of that sync, or sync again with this one."
        )

    def test_on_the_command_line_with_exit_status_2(
        self, scenario: Scenario, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.synced(scenario)
        ends = ["--source", str(scenario.source), "--target", scenario.target.url.render_as_string(False)]
        assert main(["verify", *ends, "--out", str(scenario.folder / "out")]) == 2
        said = " ".join(capsys.readouterr().err.split())
        assert "Name the --plan of that sync, or sync again with this one." in said
        assert "Traceback" not in said

    def test_other_settings_alone_are_no_other_plan(self, scenario: Scenario) -> None:
        self.synced(scenario)
        assert scenario.plan is not None
        scenario.plan.write_text(
            scenario.plan.read_text().replace("[tables.users]", "[tables.users]\non_rekey='follow'")
        )
        assert verify(scenario).tables[0].total == 2

    def test_a_map_of_before_they_said_it_is_compared(self, scenario: Scenario) -> None:
        self.synced(scenario)
        for path in (scenario.folder / "out" / "mappings").iterdir():
            pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
        assert dfsync.verify(scenario.source, scenario.target.url, out=scenario.folder / "out").tables[0].total == 2
