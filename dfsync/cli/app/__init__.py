"""The command line: one module for each kind of command, all of them registered by importing this package.

A command gathers its options and calls the function that does the work. Whatever is slow to import is imported by the
command that needs it, so that `--help` and mistakes answer at once.
"""

# Help lists the commands in this order.
from dfsync.cli.app.group import ALL_WELL, NOT_STARTED, SOME_FAILED, app
from dfsync.cli.app.write import sync
from dfsync.cli.app.look import check, plan, report, verify
from dfsync.cli.app.rows import differences, maps, rejects
from dfsync.cli.app.past import runs, undo
from dfsync.cli.app.make import create_tables, server

__all__ = [
    "ALL_WELL",
    "NOT_STARTED",
    "SOME_FAILED",
    "app",
    "check",
    "create_tables",
    "differences",
    "maps",
    "plan",
    "rejects",
    "report",
    "runs",
    "server",
    "sync",
    "undo",
    "verify",
]
