"""dfsync brings the rows of a SQLite database into a MariaDB or MySQL database that already lives."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dfsync.commands.check import CheckResult as CheckResult
    from dfsync.commands.check import check as check
    from dfsync.commands.create_tables import create_tables as create_tables
    from dfsync.commands.plan import PlanList as PlanList
    from dfsync.commands.plan import list_plans as list_plans
    from dfsync.commands.plan import resolve_plan as resolve_plan
    from dfsync.commands.runs import RunsResult as RunsResult
    from dfsync.commands.runs import runs as runs
    from dfsync.commands.sync import sync as sync
    from dfsync.commands.undo import UndoResult as UndoResult
    from dfsync.commands.undo import undo as undo
    from dfsync.commands.verify import VerifyResult as VerifyResult
    from dfsync.commands.verify import verify as verify
    from dfsync.model.errors import DfsyncError as DfsyncError
    from dfsync.model.options import SyncOptions as SyncOptions
    from dfsync.model.options import UndoOptions as UndoOptions
    from dfsync.output.mappings import crosswalk as crosswalk
    from dfsync.output.mappings import load_mappings as load_mappings
    from dfsync.output.report.page import write_report as write_report
    from dfsync.output.result import SyncResult as SyncResult
    from dfsync.pipeline.observer import Observer as Observer
    from dfsync.target.embedded import EmbeddedServer as EmbeddedServer

__version__ = "0.1.0"

_MODULES = {
    "CheckResult": "commands.check",
    "DfsyncError": "model.errors",
    "EmbeddedServer": "target.embedded",
    "Observer": "pipeline.observer",
    "PlanList": "commands.plan",
    "RunsResult": "commands.runs",
    "SyncOptions": "model.options",
    "SyncResult": "output.result",
    "UndoOptions": "model.options",
    "UndoResult": "commands.undo",
    "VerifyResult": "commands.verify",
    "check": "commands.check",
    "create_tables": "commands.create_tables",
    "crosswalk": "output.mappings",
    "list_plans": "commands.plan",
    "load_mappings": "output.mappings",
    "resolve_plan": "commands.plan",
    "runs": "commands.runs",
    "sync": "commands.sync",
    "undo": "commands.undo",
    "verify": "commands.verify",
    "write_report": "output.report.page",
}
__all__ = ["__version__", *_MODULES]


def __getattr__(name: str) -> object:
    """Import an exported name when it is first asked for (PEP 562): pandas takes longer than `--help` should."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
