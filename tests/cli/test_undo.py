"""`undo` on the console: what it prints, and what it says where somebody stops it."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

import dfsync.pipeline.undo.run
from dfsync.cli.render.runs import runs_table
from dfsync.commands.runs import RunsResult, runs
from tests.support.git_history import execute, fetch
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


def test_quiet_tells_what_stays_and_the_sums(cli: Cli, synced: Path, target: Engine) -> None:
    execute(target, "UPDATE commits SET hash = 'theirs' WHERE hash = 'x'")
    ran = cli("undo", "-q")
    assert ran.returncode == 1
    assert ran.stdout.splitlines() == [
        "  commits: 1 deleted, 1 kept",
        "    1 kept: changed since the run",
        "  repositories: 1 deleted, 1 kept",
        "    1 kept: commits refers to it",
        "Overall: 2 deleted, 2 kept",
    ]
    done = cli("undo", "-q", "--force")
    assert (done.returncode, done.stdout) == (0, "")


def test_a_run_that_is_partly_taken_back_is_not_dropped_in_silence(cli: Cli, synced: Path, target: Engine) -> None:
    execute(target, "UPDATE commits SET hash = 'theirs' WHERE hash = 'x'")
    assert cli("undo").returncode == 1
    (record,) = runs(synced).runs
    ran = cli("sync", "-q", "--keep-runs", "1")
    told = f"Note: the journal of the run {record.id} (4 rows) is no longer kept: it cannot be taken back\n"
    assert told in ran.stdout
    run = runs(synced).runs[0].id
    assert "Note" not in cli("sync", "-q", "--keep-runs", "1").stdout
    gone = cli("undo", record.id[-6:])
    assert gone.stderr == (
        f"dfsync: dfsync-out has no run '{record.id[-6:]}'. The newest: {runs(synced).runs[-1].id}. Only the newest "
        "runs are kept: --keep-runs of the sync says how many. They are listed by python -m dfsync runs.\n"
    )
    assert run not in gone.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("undo", ""), "An empty text names no run. Runs are listed by python -m dfsync runs."),
        (("undo", "--out", "nowhere"), "There is no folder nowhere. Name that of the sync with --out."),
        (("runs", "--out", "nowhere"), "There is no folder nowhere. Name that of the sync with --out."),
    ],
)
def test_mistakes(cli: Cli, synced: Path, arguments: tuple[str, ...], says: str) -> None:
    ran = cli(*arguments)
    assert (ran.returncode, ran.stderr) == (2, f"dfsync: {says}\n")


def test_a_run_is_named_by_either_end_in_any_case(cli: Cli, synced: Path) -> None:
    assert cli("sync", "-q").returncode == 0
    first, second = (record.id for record in runs(synced).runs)
    assert cli("undo", first[:2]).stderr == (
        f"dfsync: Several runs of dfsync-out begin or end with '20': {first}, {second}.\n"
    )
    assert cli("undo", first.lower()).returncode == 0


def test_runs_fit_into_a_narrow_terminal(cli: Cli, synced: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfsync.cli.render.tables.PIPE_WIDTH", 80)
    (record,) = runs(synced).runs
    assert cli("runs").stdout.splitlines() == [
        f"Target: {record.target}",
        "run                         source          inserted  updated  failed  state",
        f"{record.id}  git_history.db         4        0       0  done",
    ]
    other = replace(record, target="data on socket /a/very/long/path/to/a/socket", finished=None)
    table = runs_table(RunsResult((record, other)))
    assert list(table.columns[2].cells)[1] == "data on sock…to/a/socket"


def test_ctrl_c_in_a_dry_run(cli: Cli, synced: Path, stops: dict[str, int]) -> None:
    stops["delete_rows"] = 2
    ran = cli("undo", "--dry-run")
    assert (ran.returncode, ran.stderr) == (130, "dfsync: stopped; nothing was changed.\n")
    assert cli("undo", "--dry-run").returncode == 0
