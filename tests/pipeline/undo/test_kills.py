"""An undo that is killed at any moment is finished by running it again."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

from dfsync.commands.runs import runs
from tests.pipeline.undo.test_undo import OWN, SHOP
from tests.support.git_history import fetch
from tests.support.runs.undone import dump, id_mappings, undo
from tests.support.scenario import Scenario

MOMENTS = 20
KILLED = """
import os, signal, sys
import dfsync, dfsync.commands.undo
from pymysql.connections import Connection

out, target, moment = sys.argv[1:]
seen = 0


def note():
    global seen
    seen += 1
    if seen == int(moment):
        os.kill(os.getpid(), signal.SIGKILL)


def noted(function):
    # Before it and after it.
    def call(*arguments):
        note()
        result = function(*arguments)
        note()
        return result

    return call


os.fsync = noted(os.fsync)
Connection.commit = noted(Connection.commit)
Connection.query = noted(Connection.query)
dfsync.undo(out, target=target)
print(seen)
"""


def test_at_twenty_moments(scenario: Scenario) -> None:
    scenario.create_source(SHOP)
    scenario.create_target(None, *OWN)
    before = dump(scenario)
    scenario.sync(on_match="update")
    count = int(killed(scenario, 0) or 0)
    assert dump(scenario) == before
    undone = id_mappings(scenario)
    assert count > 2 * MOMENTS
    for moment in range(2, count + 1, count // (MOMENTS - 1)):
        scenario.sync(on_match="update", keep_runs=2)
        assert killed(scenario, moment) is None
        if runs(scenario.folder / "out").runs[-1].undone is None:
            undo(scenario)
        assert dump(scenario) == before, moment
        assert id_mappings(scenario) == undone, moment
        assert runs(scenario.folder / "out").runs[-1].undone is not None


def killed(scenario: Scenario, moment: int) -> str | None:
    """What it printed; None where it was killed."""
    url = scenario.target.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", KILLED, str(scenario.folder / "out"), url, str(moment)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode in (0, -signal.SIGKILL), ran.stderr
    scenario.target.dispose()
    ask = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND ID <> CONNECTION_ID()"
    deadline = time.monotonic() + 20
    while fetch(scenario.target, ask) != [(0,)] and time.monotonic() < deadline:
        scenario.target.dispose()
        time.sleep(0.05)
    return ran.stdout if ran.returncode == 0 else None
