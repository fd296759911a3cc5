"""Hints and help name the program as the user called it."""

from __future__ import annotations

import pytest

from dfsync.text.wording import command_line
from tests.support.runs.command_line import Cli


@pytest.mark.parametrize(("path", "name"), [("/usr/bin/dfsync", "dfsync"), ("x/__main__.py", "python -m dfsync")])
def test_as_it_was_called(cli: Cli, monkeypatch: pytest.MonkeyPatch, path: str, name: str) -> None:
    monkeypatch.setattr("sys.argv", [path])
    assert command_line("check", "my.db") == f"{name} check --source my.db"
    shown = cli("check", "--help").stdout
    assert f"\n    {name} check --source my.db\n" in shown
    assert ("python -m dfsync" in shown) == (name != "dfsync")
