"""The types that `create-tables` gives columns of which a plan says something, and what it says of values beside."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from dfsync.commands.create_tables import create_tables
from dfsync.model.errors import DfsyncError
from dfsync.model.options import SyncOptions
from dfsync.target.schema.reflection import reflect
from tests.support.git_history import run_sql
from tests.support.scenario import Scenario

SOURCE = """
CREATE TABLE orders (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, created INTEGER, seen, paid TEXT DEFAULT 'no',
    placed DATE, note TEXT, price, kind TEXT);
INSERT INTO orders VALUES (1, 'a', 1700000000123, 1700000000.25, 'yes', '31.12.2023', 'x', 1, 'new'),
    (2, 'b', 1600000000000, 1600000000, 'no', '1.2.2024', 'a longer note', 2.5, 'old');
"""
PLAN = """
[tables.orders]
convert = { created = "epoch_ms", seen = "epoch_s", paid = "boolean" }
dates = { placed = "%d.%m.%Y" }
types = { note = "VARCHAR(5)", price = "DECIMAL(10, 2)", kind = "enum('new','old')", code = "varchar(9) charset ascii" }
"""


@pytest.fixture
def scenario(tmp_path: Path, target: Engine) -> Scenario:
    return Scenario(tmp_path, target)


def created(scenario: Scenario) -> tuple[dict[str, str], tuple[str, ...]]:
    made = create_tables(scenario.source, scenario.target.url, options=SyncOptions(plan=scenario.plan))
    with scenario.target.connect() as connection:
        table = reflect(connection)["orders"]
    return {column.name: column.type for column in table.columns}, made.notes


def test_are_those_of_the_converted_values_and_of_the_plan(scenario: Scenario) -> None:
    scenario.create_source(SOURCE, PLAN.replace("VARCHAR(5)", "VARCHAR(50)"))
    types, notes = created(scenario)
    assert types == {
        "id": types["id"],
        "code": "varchar(9)",
        "created": "datetime(3)",
        "seen": "datetime(6)",
        "paid": "tinyint(1)",
        "placed": "date",
        "note": "varchar(50)",
        "price": "decimal(10,2)",
        "kind": "enum('new','old')",
    }
    assert notes == ()
    assert scenario.sync_twice().counts[0].inserted == 2


def test_of_values_that_the_type_of_the_plan_does_not_hold_it_tells(scenario: Scenario) -> None:
    scenario.create_source(SOURCE, PLAN)
    (note,) = created(scenario)[1]
    assert note.startswith(
        "orders.note: 1 of 2 rows hold no varchar(5) ('a longer note' is longer than the 5 characters"
    )
    assert 'has types = {note = "TEXT", price' in note
    assert scenario.sync().counts[0].failed == 1


def test_of_converted_values_that_do_not_fit_it_tells(scenario: Scenario) -> None:
    scenario.create_source(SOURCE, PLAN.replace("5", "50"))
    run_sql(scenario.source, "INSERT INTO orders (id, code, paid) VALUES (3, 'c', 'maybe')")
    (note,) = created(scenario)[1]
    assert (
        "orders.paid: 1 of 3 rows hold no tinyint(1) ('maybe' does not fit convert = \"boolean\" of the plan)" in note
    )


def test_without_a_plan_it_proposes_what_holds_the_values(scenario: Scenario) -> None:
    scenario.create_source(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, placed DATE, due DATETIME UNIQUE); INSERT INTO orders VALUES "
        "(1, '31.12.2023', '2023-01-01'), (2, '1.2.2024', 'soon')"
    )
    types, notes = created(scenario)
    assert (types["placed"], types["due"]) == ("date", "datetime")
    said = {note.split(":")[0]: note for note in notes}
    assert said["orders.placed"].endswith(
        'In a plan file, [tables.orders] dates = {placed = "%d.%m.%Y"} converts them.'
    )
    assert said["orders.due"].endswith(
        "Correct them in the source, or create the table anew with a plan file in which [tables.orders] has types = "
        '{due = "VARCHAR(255)"}.'
    )


def test_what_it_proposes_for_a_table_with_blanks_in_its_name_can_be_copied(scenario: Scenario) -> None:
    scenario.create_source(
        "CREATE TABLE 'the orders' (id INTEGER PRIMARY KEY, placed DATE); INSERT INTO 'the orders' VALUES "
        "(1, '31.12.2023'), (2, '1.2.2024')"
    )
    (note,) = create_tables(scenario.source, scenario.target.url).notes
    assert 'In a plan file, [tables."the orders"] dates = ' in note


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{ note = 'STRING' }", "gives note the type 'STRING', which the target does not have."),
        ("{ note = 'DATTIME' }", "which the target does not have. Did you mean 'datetime'?"),
        ("{ note = 'INT); DROP TABLE x; --' }", "gives note the type 'INT); DROP TABLE x; --', which the target"),
        ("{ note = 'INT DEFAULT 7' }", "gives note the type 'INT DEFAULT 7', which the target"),
        ("{ id = 'INT' }", "[tables.orders] has id in types, and it holds ids."),
        ("{ gone = 'INT' }", "names the column 'gone', but orders in the source has"),
        ("{ note = 'DATETIME(9)' }", "The target refuses to make orders: "),
        ("{ note = 'TEXT', NOTE = 'TEXT' }", "[tables.orders] types names a column twice."),
    ],
)
def test_that_there_are_not_are_told(scenario: Scenario, line: str, said: str) -> None:
    scenario.create_source(SOURCE, f"[tables.orders]\ntypes = {line}\n")
    with pytest.raises(DfsyncError) as caught:
        created(scenario)
    assert said in str(caught.value)
