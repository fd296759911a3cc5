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
