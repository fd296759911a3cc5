"""What `check` proposes where all values of a column are written in another form."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

import dfsync
from dfsync.cli.render.check import check_lines
from dfsync.model.options import SyncOptions
from dfsync.plan.validation import Finding
from tests.support.scenario import Scenario

SOURCE = """
CREATE TABLE orders (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, created INTEGER, seen REAL, paid TEXT,
    placed TEXT, shipped TEXT, due TEXT, odd TEXT, blank TEXT);
INSERT INTO orders VALUES
    (1, 'a', 1700000000123, 1700000000.25, 'yes', '31.12.2023', '01/02/2024', '12/31/2023 10:00', '31.12.2023', NULL),
    (2, 'b', 1600000000000, 1600000000, 'no', '1.2.2024', '03/04/2024', '01/02/2023 11:30', 'soon', NULL),
    (3, 'c', NULL, NULL, NULL, NULL, NULL, NULL, '2023-12-31', NULL);
"""
TARGET = """
CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, code VARCHAR(9) NOT NULL UNIQUE, created DATETIME(3),
    seen DATETIME(6), paid BOOLEAN, placed DATE, shipped DATE, due DATETIME, odd DATE, blank DATE)
"""
CONVERT = 'convert = {created = "epoch_ms", seen = "epoch_s", paid = "boolean"}'
DATES = 'dates = {{placed = "%d.%m.%Y", shipped = "{}", due = "%m/%d/%Y %H:%M"}}'


@pytest.fixture
def scenario(tmp_path: Path, target: Engine) -> Scenario:
    made = Scenario(tmp_path, target)
    made.create_source(SOURCE)
    made.create_target(TARGET)
    return made


def checked(scenario: Scenario) -> dfsync.CheckResult:
    return dfsync.check(scenario.source, scenario.target.url, options=SyncOptions(plan=scenario.plan))


def proposed(result: dfsync.CheckResult) -> dict[str | None, Finding]:
    return {f.column: f for f in result.findings if f.level == "note" and f.answers}


def test_names_the_line_for_each_column(scenario: Scenario) -> None:
    result = checked(scenario)
    found = proposed(result)
    assert {column: finding.answers for column, finding in found.items()} == {
        "created": (CONVERT,),
        "seen": (CONVERT,),
        "paid": (CONVERT,),
        "placed": (DATES.format("%d/%m/%Y"),),
        "shipped": (DATES.format("%d/%m/%Y"), DATES.format("%m/%d/%Y")),
        "due": (DATES.format("%d/%m/%Y"),),
    }
    assert "milliseconds since 1970" in found["created"].message
    assert "ambiguous" in found["shipped"].message
    lines = check_lines(result)
    assert "  [tables.orders]" in lines
    assert f"        {CONVERT}" in lines
    assert f"    or  {DATES.format('%m/%d/%Y')}" in lines


def test_and_with_these_lines_all_is_well(scenario: Scenario) -> None:
    scenario.plan = scenario.folder / "plan.toml"
    lines = f"[tables.orders]\n{CONVERT}\n{DATES.format('%m/%d/%Y')}\nignore_columns = ['odd']\n"
    scenario.plan.write_text(lines, encoding="utf-8")
    result = checked(scenario)
    assert result.ok
    assert proposed(result) == {}
    assert scenario.sync_twice().counts[0].inserted == 3


def test_of_what_is_in_the_plan_nothing_is_lost(scenario: Scenario) -> None:
    scenario.plan = scenario.folder / "plan.toml"
    scenario.plan.write_text('[tables.orders]\nconvert = { created = "epoch_ms" }\n', encoding="utf-8")
    assert proposed(checked(scenario))["paid"].answers == (CONVERT,)


def test_numbers_far_from_today_are_no_instants(scenario: Scenario) -> None:
    scenario.create_source("UPDATE orders SET created = 12, seen = 1e17, paid = 2")
    assert not {"created", "seen", "paid"} & proposed(checked(scenario)).keys()
