"""`undo` on the console: what it prints, and what it says where somebody stops it."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

import dfsync.pipeline.undo.run
from dfsync.commands.runs import runs
from tests.support.git_history import fetch
from tests.support.runs.command_line import Cli

STAGES = ("delete_rows", "forget_rows", "write_record")


@pytest.fixture
def synced(cli: Cli, source: Path, target_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MARIADB_URL", target_url)
    assert cli("create-tables").returncode == 0
    assert cli("sync", "-q").returncode == 0
    return Path("dfsync-out")


@pytest.fixture
def stops(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """By stage, before which of its calls somebody presses Ctrl-C."""
    at: dict[str, int] = {}

    def stopping(stage: str) -> Any:
        function = getattr(dfsync.pipeline.undo.run, stage)

        def call(*arguments: Any) -> Any:
            at[stage] = at.get(stage, 99) - 1
            if at[stage] == 0:
                signal.raise_signal(signal.SIGINT)
            return function(*arguments)

        return call

    for stage in STAGES:
        monkeypatch.setattr(dfsync.pipeline.undo.run, stage, stopping(stage))
    return at


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("call", [1, 2])
def test_ctrl_c_says_what_is_done_and_the_same_command_finishes_it(
    cli: Cli, synced: Path, target: Engine, stops: dict[str, int], stage: str, call: int
) -> None:
    stops[stage] = call
    ran = cli("undo")
    assert ran.returncode == 130
    assert "Traceback" not in ran.stderr
    done, left = ("nothing", "commits, repositories") if call == 1 else ("commits", "repositories")
    assert ran.stderr == (
        f"dfsync: stopped. Taken back: {done}. Not yet, or not wholly: {left}. Run the same command again to finish "
        "it.\n"
    )
    again = cli("undo")
    assert again.returncode == 0
    assert fetch(target, "SELECT COUNT(*) FROM commits") == fetch(target, "SELECT COUNT(*) FROM repositories") == [(0,)]
    assert runs(synced).summary["state"].tolist() == ["undone"]


def test_ctrl_c_in_a_dry_run(cli: Cli, synced: Path, stops: dict[str, int]) -> None:
    stops["delete_rows"] = 2
    ran = cli("undo", "--dry-run")
    assert (ran.returncode, ran.stderr) == (130, "dfsync: stopped; nothing was changed.\n")
    assert cli("undo", "--dry-run").returncode == 0
