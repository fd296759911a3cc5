"""Ready-made plans on the command line: the list, a name, and what is said where one chose itself."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import dfsync
from dfsync.cli.main import run as main
from dfsync.plan.builtin.ready_made import applications

INDEX = (Path(__file__).parents[2] / "docs" / "plans" / "index.md").read_text(encoding="utf-8")


class TestTheList:
    def test_needs_neither_source_nor_target(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert main(["plan", "--list"]) == 0
        printed = capsys.readouterr().out.splitlines()
        assert [line for line in printed[:-1] if line and not line.startswith(" ")] == [
            application.plan for application in applications()
        ]
        shown = re.findall(r"--list\n(.*?)```", INDEX, flags=re.DOTALL)[0].splitlines()
        assert len(shown) > 5
        assert {*shown} - {"..."} <= {*printed}

    def test_as_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["plan", "--list", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == dfsync.list_plans().as_dict()

    def test_as_a_frame(self) -> None:
        assert dfsync.list_plans().summary.loc["git-history", "telling_tables"] == "repositories, commits"


@pytest.mark.parametrize("command", ["sync", "check", "plan", "create-tables", "verify"])
def test_an_unknown_name(command: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    source = tmp_path / "my.db"
    source.touch()
    url = "mysql://root@127.0.0.1:1/none"
    assert main([command, "--source", str(source), "--target", url, "--plan", "git-histroy"]) == 2
    said = capsys.readouterr().err
    assert "There is no ready-made plan 'git-histroy'. Did you mean 'git-history'? Known: " in said
    assert main([command, "--source", str(source), "--target", url, "--plan", "./none"]) == 2
    assert "Invalid value for '--plan': File './none' does not exist" in capsys.readouterr().err
    assert main([command, "--source", str(source), "--target", url, "--plan", f"{tmp_path}"]) == 2
    assert "is a directory" in capsys.readouterr().err
