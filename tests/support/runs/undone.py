"""A sync that is taken back: what the target has to hold before and after."""

from __future__ import annotations

import json
from typing import Any

import dfsync
from dfsync.commands.undo import UndoResult
from dfsync.model.options import UndoOptions
from tests.support.scenario import Rows, Scenario


def undo(scenario: Scenario, run: str | None = None, *, all_since: str | None = None, **options: Any) -> UndoResult:
    return dfsync.undo(
        scenario.folder / "out",
        run,
        target=scenario.target.url,
        all_since=all_since,
        options=UndoOptions(**options),
    )


def dump(scenario: Scenario) -> dict[str, Rows]:
    """All rows of all tables; what differs in bits or digits differs here."""
    rows = {}
    for table in scenario.all_rows():
        columns = [(str(name), str(kind)) for name, kind, *_ in scenario.read_target(f"SHOW COLUMNS FROM `{table}`")]
        listed = ", ".join(f"`{name}` + 0e0" if kind.startswith("float") else f"`{name}`" for name, kind in columns)
        rows[table] = sorted(scenario.read_target(f"SELECT {listed} FROM `{table}`"), key=repr)  # noqa: S608
    return rows


def taken_back(result: UndoResult) -> dict[str, tuple[int, int, int]]:
    """Deleted, restored and kept rows of each table for which one is not zero."""
    tables = [table for run in result.runs for table in run.tables]
    assert not [table.error for table in tables if table.error]
    counts = {t.name: (t.undone.inserted, t.undone.updated, t.undone.kept) for t in tables}
    return {name: count for name, count in counts.items() if any(count)}


def id_mappings(scenario: Scenario) -> dict[str, dict[str, int]]:
    content: dict[str, dict[str, int]] = json.loads((scenario.folder / "out" / "id_mappings.json").read_text())
    return content
