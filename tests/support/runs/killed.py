"""A sync or an undo in another process that kills itself, or a server, at a moment of its run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from contextlib import suppress

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from tests.support.git_history import fetch
from tests.support.runs.undone import Synced
from tests.support.scenario import Scenario

HISTORY = ("repositories", "commits", "pull_requests", "pr_approvals")
KILLED = """
import itertools, os, signal, sys
from dfsync.model.options import SyncOptions
from dfsync.pipeline.observer import Observer
from dfsync.target.embedded import EmbeddedServer
from dfsync.commands.sync import sync

source, target, out, event, table, victim = sys.argv[1:]


class Killer(Observer):
    def progress(self, plan, done):
        self._end("progress", plan) if done >= 100 else None

    def rows_done(self, plan, *_):
        self._end("rows_done", plan)

    def table_finished(self, plan, _):
        self._end("table_finished", plan)

    def table_started(self, plan, _):
        self._end("table_started", plan)

    def _end(self, what, plan):
        if (what, plan.name) == (event, table):
            os.kill(int(victim) or os.getpid(), signal.SIGKILL)


def fsync(_, calls=itertools.count(1)):
    if next(calls) == int(table):
        os.kill(os.getpid(), signal.SIGKILL)


if event == "fsync":
    os.fsync = fsync
options = SyncOptions(batch_size=50, tables=("repositories", "commits", "pull_requests", "pr_approvals"))
sync(source, target, out=out, options=options, observer=Killer())
"""
KILLED_AT_A_CALL = """
import itertools, json, os, signal, sys
from pathlib import Path
from sqlalchemy import Engine, event
from dfsync.model.options import SyncOptions
from dfsync.commands.sync import sync
from dfsync.pipeline.journal.run import RunJournal
from dfsync.pipeline.table_sync import pieces

source, target, out, call, number, options = sys.argv[1:]


def count(*_, calls=itertools.count(1)):
    if next(calls) == int(number):
        os.kill(os.getpid(), signal.SIGKILL)


if call == "fsync":
    os.fsync = count
elif call == "write_piece":
    write = pieces.write_piece
    pieces.write_piece = lambda *piece: (count(), write(*piece))
elif call == "mark_piece":
    mark = RunJournal.mark_piece
    RunJournal.mark_piece = lambda *part: (count(), mark(*part))
else:
    event.listen(Engine, call, count)
options = json.loads(options)
if "plan" in options:
    options["plan"] = Path(options["plan"])
sync(source, target, out=out, options=SyncOptions(**options))
"""
"""Kills itself instead of the call of this number: `fsync`, `write_piece`, `mark_piece`, or an event of an engine."""
KILLED_UNDO = """
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


def kill_sync(scenario: Scenario, call: str, number: int, **options: object) -> None:
    """Sync, killed at a call as of `KILLED_AT_A_CALL`."""
    plan = {} if scenario.plan is None else {"plan": str(scenario.plan)}
    ends = [str(scenario.source), _url(scenario.target), str(scenario.folder / "out")]
    command = [sys.executable, "-c", KILLED_AT_A_CALL, *ends, call, str(number), json.dumps({**plan, **options})]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    wait_until_alone(scenario.target)


def kill_undo(synced: Synced, moment: int) -> int | None:
    """Undo, killed at that moment of it; how many moments it had, where it was not killed."""
    command = [sys.executable, "-c", KILLED_UNDO, str(synced.folder / "out"), _url(synced.target), str(moment)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.returncode in (0, -signal.SIGKILL), ran.stderr
    wait_until_alone(synced.target)
    return int(ran.stdout) if ran.returncode == 0 else None


def wait_until_alone(target: Engine) -> None:
    """Until the server has noticed that the killed client is gone, and rolled back."""
    ask = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND ID <> CONNECTION_ID()"
    deadline = time.monotonic() + 20
    alone = False
    while not alone:
        assert time.monotonic() < deadline
        target.dispose()
        time.sleep(0.05)
        # MySQL cannot list a statement, be it another test's, that holds characters beyond three bytes (3854).
        with suppress(OperationalError):
            alone = fetch(target, ask) == [(0,)]


def _url(target: Engine) -> str:
    return target.url.render_as_string(hide_password=False)
