"""A sync in another process that kills itself, or a server, at a moment of its run."""

from __future__ import annotations

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
else:
    event.listen(Engine, call, count)
options = json.loads(options)
if "plan" in options:
    options["plan"] = Path(options["plan"])
sync(source, target, out=out, options=SyncOptions(**options))
"""
"""Kills itself instead of the call of this number: `fsync`, `write_piece`, or an event of an engine (`commit`)."""
