"""A run into the private MariaDB, which nobody named, says so also where its first line is not seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.runs.command_line import Cli

TOLD = (
    "dfsync: neither --target nor MARIADB_URL nor a config.py names a database, so the target is the private MariaDB "
    "in data/mariadb.\n"
)


@pytest.mark.parametrize(
    "command", [["create-tables", "--print"], ["create-tables"], ["check", "--json"], ["plan"], ["sync", "--json"]]
)
def test_without_a_terminal(cli: Cli, source: Path, command: list[str]) -> None:
    assert cli("create-tables").stderr == TOLD
    assert cli(*command).stderr.startswith(TOLD)


def test_quiet(cli: Cli, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    ran = cli("create-tables")
    assert ran.stderr == ""
    assert "(private MariaDB)" in ran.stdout
    assert cli("-q").stderr == TOLD
    assert cli("verify", "-q").stderr == TOLD


def test_a_named_one_is_not_told_twice(cli: Cli, source: Path, target_url: str) -> None:
    assert cli("create-tables", "--target", target_url).stderr == ""
    assert cli("--target", target_url, "-q").stderr == ""
