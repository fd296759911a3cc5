"""Of the rows that the target has already it is told how many have other values, and an update can be looked at."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from dfsync.commands.check import check
from dfsync.model.errors import DfsyncError
from dfsync.model.options import SyncOptions
from tests.support.git_history import run_sql
from tests.support.runs.command_line import process
from tests.support.scenario import Scenario

SOURCE = """CREATE TABLE pg (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, url TEXT, password TEXT, n INTEGER);
    INSERT INTO pg VALUES (1, '0001', '/a', 'hunter2', 1), (2, '0002', '/b', 'geheim', 2), (3, '0003', '/c', 'x', 3)"""
TARGET = """CREATE TABLE pg (id INT AUTO_INCREMENT PRIMARY KEY, path VARCHAR(50) NOT NULL UNIQUE, url VARCHAR(50),
    password VARCHAR(50), n INT)"""
OWN = "INSERT INTO pg (path, url, password, n) VALUES ('0001', '/z', 'correct horse', 1), ('0002', '/b', 'geheim', 2)"


@pytest.fixture
def scenario(tmp_path: Path, target: Engine) -> Scenario:
    scenario = Scenario(tmp_path, target)
    scenario.create_source(SOURCE)
    scenario.create_target(TARGET, OWN)
    return scenario


def test_a_dry_run_and_the_first_sync_count_them(scenario: Scenario) -> None:
    expected = {"compared": 2, "rows": 1, "columns": {"url": 1, "password": 1}}
    rehearsed, (note,) = scenario.sync_with_notes(dry_run=True)
    first, (same_note,) = scenario.sync_with_notes()
    again = scenario.sync()
    assert [result.counts[0].differing for result in (rehearsed, first, again)] == [expected, expected, None]
    assert note == same_note == ("pg: of 2 rows that exist, 1 has other values in the target: url (1), password (1)")
    assert first.summary["differing"].tolist() == [1]


def test_check_notes_them_and_warns_where_they_are_most(scenario: Scenario) -> None:
    def findings() -> list[tuple[str, str]]:
        return [(f.level, f.message) for f in check(scenario.source, scenario.target.url).findings]

    assert ("note", "of 2 rows that exist, 1 has other values in the target: url (1), password (1)") in findings()
    with scenario.target.begin() as connection:
        connection.exec_driver_sql("UPDATE pg SET n = 7")
    (warning,) = [message for level, message in findings() if level == "warning"]
    assert warning.startswith("of 2 rows that exist, 2 have other values in the target: url (1), password (1), n (2)")
    assert 'on_match = "update"' in warning
    assert "natural_key" in warning


def test_only_the_named_columns_are_updated(scenario: Scenario, tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text('[tables.pg]\non_match = "update"\nupdate_columns = ["URL"]\n')
    scenario.plan = plan
    result = scenario.sync()
    assert result.counts[0].updated == 1
    assert scenario.read_target("SELECT url, password FROM pg WHERE path = '0001'") == [("/a", "correct horse")]


def test_an_unknown_update_column_is_refused(scenario: Scenario, tmp_path: Path) -> None:
    scenario.plan = tmp_path / "plan.toml"
    scenario.plan.write_text('[tables.pg]\non_match = "update"\nupdate_columns = ["uri", "path"]\n')
    findings = check(scenario.source, scenario.target.url, options=SyncOptions(plan=scenario.plan)).findings
    errors = [finding for finding in findings if finding.level == "error"]
    assert [error.column for error in errors] == ["uri", "path"]
    assert "update_columns" in errors[0].message
    with pytest.raises(DfsyncError, match="names uri, path"):
        scenario.sync()


def test_a_dry_run_shows_old_and_new_values_and_no_secrets(scenario: Scenario, tmp_path: Path) -> None:
    url = scenario.target.url.render_as_string(hide_password=False)
    where = ["--source", str(scenario.source), "--target", url, "--out", str(tmp_path / "out")]
    done = process("--dry-run", "-v", "--on-match", "update", *where)
    line = "[UPDATE] Pg '0001' would be updated (ID: 1 -> 1): url: '/z' -> '/a', password: '***' -> '***'"
    assert line in done.stdout, done.stdout + done.stderr
    assert "hunter2" not in done.stdout
    brief = process("--dry-run", "--on-match", "update", *where).stdout.splitlines()
    assert "  [UPDATE] Pg '0001' would be updated (ID: 1 -> 1)" in brief


def test_no_output_shows_the_value_of_a_secret_column(scenario: Scenario, tmp_path: Path) -> None:
    with scenario.target.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE pg MODIFY password VARCHAR(13)")
    run_sql(scenario.source, "UPDATE pg SET password = 'much too long a secret' WHERE id = 3")
    url = scenario.target.url.render_as_string(hide_password=False)
    where = ["--source", str(scenario.source), "--target", url]
    out = ["--out", str(tmp_path / "out")]
    printed = [
        process(*arguments)
        for arguments in (
            ("check", *where),
            ("sync", *where, *out, "--debug", "--report"),
            ("verify", *where, *out),
            ("report", str(tmp_path / "out")),
        )
    ]
    files = [path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert any(b"***" in content for content in files)
    for secret in ("much too long a secret", "hunter2", "correct horse"):
        assert not any(secret in done.stdout + done.stderr for done in printed), secret
        assert not any(secret.encode() in content for content in files), secret
