"""What a column does to values is counted, each row once, and told whatever else is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dfsync.commands.check import check
from dfsync.model.options import SyncOptions
from dfsync.output.result import SyncResult
from tests.support.runs.command_line import process
from tests.support.scenario import Scenario

BEATS = """CREATE TABLE beats (id INTEGER PRIMARY KEY, host TEXT NOT NULL, at DATETIME NOT NULL, load REAL);
    INSERT INTO beats VALUES (1, 'a', '2026-09-01 00:01:24.802', 0.125), (2, 'a', '2026-09-01 00:01:24', 0.5),
    (3, 'b', '2026-09-01 00:01:25', 0.25), (4, 'c', '2026-09-01 00:01:26.1', 0.126), (5, 'd', 'never', 0.126)"""
TARGET = """CREATE TABLE beats (id INT AUTO_INCREMENT PRIMARY KEY, host VARCHAR(9) NOT NULL, at DATETIME NOT NULL,
    `load` DECIMAL(5,2), UNIQUE (host, at))"""
PLAN = '[tables.beats]\nnatural_key = ["host", "at"]\n'
ROUNDED = "decimal(5,2) keeps 2 decimals; longer fractions are rounded"


@pytest.fixture
def scenario(tmp_path: Path, target: Engine) -> Scenario:
    scenario = Scenario(tmp_path, target)
    scenario.create_source(BEATS, PLAN)
    scenario.create_target(TARGET)
    return scenario


def changed(result: SyncResult) -> dict[str, tuple[int, str]]:
    return {values["column"]: (values["rows"], values["note"]) for values in result.counts[0].changed_values}


def test_each_row_is_counted_once_though_its_key_is_read_before_the_rest(scenario: Scenario) -> None:
    result, notes = scenario.sync_with_notes()
    told = changed(result)
    # Row 5 is a reject, and row 1 of 24.802 seconds is 24 on MariaDB, which cuts, and 25 on MySQL, which rounds.
    is_cut = scenario.read_target("SELECT at = '2026-09-01 00:01:24' FROM beats WHERE host = 'a' ORDER BY at") == [(1,)]
    assert result.counts[0].inserted == (3 if is_cut else 4)
    assert told["load"] == (2, ROUNDED)
    assert told["at"][0] == 2
    assert f"{'cut' if is_cut else 'rounded'}; it is in the natural key" in told["at"][1]
    assert f"beats.load: 2 values: {ROUNDED}" in notes
    assert result.summary["changed_values"].tolist() == [4]
    summary = json.loads((scenario.folder / "out" / "summary.json").read_text())
    assert summary["tables"][0]["changed_values"] == result.counts[0].changed_values


def test_a_dry_run_and_check_foretell_it(scenario: Scenario) -> None:
    rehearsed = scenario.sync(dry_run=True)
    findings = check(scenario.source, scenario.target.url, options=SyncOptions(plan=scenario.plan)).findings
    noted = {finding.column: (finding.count, finding.message) for finding in findings if finding.level == "note"}
    result = scenario.sync()
    assert changed(rehearsed) == changed(result)
    assert changed(result).items() <= noted.items()


def test_a_row_whose_content_is_compared_and_that_goes_in_is_counted_once(tmp_path: Path, target: Engine) -> None:
    scenario = Scenario(tmp_path, target)
    scenario.create_source(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n DECIMAL(9,3)); INSERT INTO t VALUES (1, 0.125), (2, 0.126), (3, 1)"
    )
    scenario.create_target("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, n DECIMAL(5,2))")
    assert changed(scenario.sync()) == {"n": (2, ROUNDED)}


def test_quiet_says_it_in_one_line(scenario: Scenario) -> None:
    url = scenario.target.url.render_as_string(hide_password=False)
    out = str(scenario.folder / "out")
    done = process("-q", "--source", str(scenario.source), "--target", url, "--plan", str(scenario.plan), "--out", out)
    lines = [line for line in done.stdout.splitlines() if line.startswith("Note: ")]
    assert len(lines) == 1
    assert lines[0].startswith("Note: 4 values rounded or otherwise changed by the target's columns: beats.")
    assert "beats.at (2)" in lines[0]
    assert "beats.load (2)" in lines[0]
    # A run that writes nothing has nothing new to tell of the same rows.
    again = process("-q", "--source", str(scenario.source), "--target", url, "--plan", str(scenario.plan), "--out", out)
    assert "Note: " not in again.stdout


def test_a_fraction_is_what_the_server_itself_makes_of_it(tmp_path: Path, target: Engine) -> None:
    scenario = Scenario(tmp_path, target)
    scenario.create_source(
        """CREATE TABLE tr (id INTEGER PRIMARY KEY, t DATETIME NOT NULL);
        INSERT INTO tr VALUES (1, '2026-09-01 00:01:24.802')""",
        '[tables.tr]\nnatural_key = ["t"]\n',
    )
    scenario.create_target(
        "CREATE TABLE tr (id INT AUTO_INCREMENT PRIMARY KEY, t DATETIME NOT NULL)",
        "INSERT INTO tr (t) VALUES ('2026-09-01 00:01:24.802')",
    )
    assert (scenario.sync().counts[0].matched, scenario.read_target("SELECT COUNT(*) FROM tr")) == (1, [(1,)])


@pytest.mark.parametrize(
    ("type_", "value", "held"),
    [
        ("CHAR(9)", "'beta   '", "beta"),
        ("ENUM('x','y')", "'X'", "x"),
        ("SET('x','y')", "'y,x'", "x,y"),
        ("INT", "'007'", "7"),
        ("DECIMAL(9,2)", "'007'", "7.00"),
        ("FLOAT", "'0.1'", None),
        ("DOUBLE", "9007199254740993", None),
    ],
)
def test_what_a_column_changes_is_noted(
    tmp_path: Path, target: Engine, type_: str, value: str, held: str | None
) -> None:
    scenario = Scenario(tmp_path, target)
    scenario.create_source(f"CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, {value})")  # noqa: S608
    scenario.create_target(f"CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v {type_})")
    result = scenario.sync()
    assert [values["rows"] for values in result.counts[0].changed_values] == [1]
    assert held is None or scenario.read_target("SELECT CAST(v AS CHAR) FROM t") == [(held,)]
