"""Errors as the command line words them: their remedies name options and commands."""

from __future__ import annotations

from collections.abc import Mapping

from dfsync.model.errors import DfsyncError, Remedy, error_text
from dfsync.text.wording import command_line, program_name

OPTION_NAMES: Mapping[str, str] = {
    "source": "--source",
    "target": "--target",
    "out": "--out",
    "plan": "--plan",
    "tables": "--tables",
    "force": "--force",
    "keep_runs": "--keep-runs",
    "keep_ids": "--keep-ids",
    "runs": f"{program_name()} runs",
    "all_since": "--all-since",
    "run_triggers": "--run-triggers",
}
"""What the parameters that a remedy names are called on the command line."""


def error_message(error: DfsyncError) -> str:
    """Say what happened, and what to do about it on the command line."""
    return error_text((message, None if remedy is None else _advice(remedy)) for message, remedy in error.parts)


def _advice(remedy: Remedy) -> str:
    command = command_line("create-tables", remedy.source or "", remedy.plan, remedy.exclude, remedy.keep_ids)
    return remedy.worded({**OPTION_NAMES, "create_tables": command})
