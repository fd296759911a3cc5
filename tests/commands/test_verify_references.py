"""`verify` tells of ids that were copied unchanged, though the rows that they name have other ids now."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

import dfsync
from dfsync.__main__ import main
from dfsync.commands.verifying import references as verify_references
from dfsync.pipeline.session.reference_evidence import LikelyReference
from tests.support.git_history import run_sql
from tests.support.scenario import Scenario

SOURCE = """CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
    INSERT INTO customers VALUES (1, 'ann'), (7, 'bob'), (9, 'cem');
    CREATE TABLE orders (id INTEGER PRIMARY KEY, nr TEXT UNIQUE, customer_id INT, buyer TEXT);
    INSERT INTO orders VALUES (1, 'a', 1, '1'), (2, 'b', 7, '7'), (3, 'c', 9, 'nine'), (4, 'd', 9, NULL),
        (5, 'e', 99, '007')"""
PLAN = '[tables.customers]\n[tables.orders]\nplain_columns = ["customer_id", "buyer"]'


def references(*columns: str) -> Callable[..., Iterator[LikelyReference]]:
    return lambda *_: iter([likely("orders", column, "customers") for column in columns])


def likely(table: str, column: str, parent: str) -> LikelyReference:
    return LikelyReference(table, column, parent, values=0, ids=0, zeros=0, sampled=False)


@pytest.fixture
def scenario(tmp_path: Path, target: Engine) -> Scenario:
    scenario = Scenario(tmp_path, target)
    scenario.create_source(SOURCE, PLAN)
    scenario.create_target(None)
    scenario.sync()
    return scenario


def test_how_many_point_elsewhere(
    scenario: Scenario, target_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verify_references, "likely_references", references("customer_id", "buyer"))
    given = ["--source", str(scenario.source), "--target", target_url, "--out", str(scenario.folder / "out")]
    status = main(["verify", *given, "--plan", str(scenario.plan)])
    printed = capsys.readouterr().out
    # Ann is 1 in both; of 99 there is no customer; "007" is no number.
    said = "looks like an id of customers, and {} point to other rows than in the source\n"
    assert f"Note: orders.customer_id {said.format('3 of 4')}" in printed
    assert f"Note: orders.buyer {said.format('1 of 2')}" in printed
    assert status == 0


def test_an_id_may_be_a_float(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_references, "likely_references", references("customer_id"))
    run_sql(
        scenario.source,
        """ALTER TABLE orders RENAME TO old; CREATE TABLE orders (id INTEGER PRIMARY KEY, nr TEXT, customer_id REAL,
        buyer TEXT); INSERT INTO orders SELECT * FROM old; UPDATE orders SET customer_id = 1.5 WHERE id = 1""",
    )
    assert notes(scenario, "orders")[0].endswith(", and 3 of 3 point to other rows than in the source")


def test_of_tables_that_are_verified(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_references, "likely_references", references("customer_id"))
    assert notes(scenario, "customers") == ()
    assert len(notes(scenario, "orders")) == 1


def test_where_all_ids_are_the_same_nothing_is_told(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_references, "likely_references", references("customer_id"))
    run_sql(scenario.source, "UPDATE orders SET customer_id = 1")
    assert notes(scenario, "orders") == ()


def test_a_column_that_the_plan_calls_plain(scenario: Scenario) -> None:
    said = "orders.customer_id looks like an id of customers, and 3 of 4 point to other rows than in the source"
    assert said in notes(scenario, "orders")


def notes(scenario: Scenario, *tables: str) -> tuple[str, ...]:
    options = dfsync.SyncOptions(plan=scenario.plan, tables=tables)
    return dfsync.verify(scenario.source, scenario.target.url, out=scenario.folder / "out", options=options).notes
