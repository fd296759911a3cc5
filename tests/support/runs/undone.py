"""A sync that is taken back: what the target has to hold before and after."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Engine

import dfsync
from dfsync.commands.undo import UndoResult
from dfsync.model.options import UndoOptions
from tests.support.scenario import Rows


class Synced(Protocol):
    """What was synced, one file or several, and where the files of its runs are: in `out` of the folder."""

    folder: Path
    target: Engine


def undo(synced: Synced, run: str | None = None, *, all_since: str | None = None, **options: Any) -> UndoResult:
    return dfsync.undo(
        synced.folder / "out",
        run,
        target=synced.target.url,
        all_since=all_since,
        options=UndoOptions(**options),
    )


def dump(synced: Synced) -> dict[str, Rows]:
    """All rows of all tables; what differs in bits or digits differs here."""
    rows = {}
    for table in [name for name, kind in _read(synced, "SHOW FULL TABLES") if kind == "BASE TABLE"]:
        columns = [(str(name), str(kind)) for name, kind, *_ in _read(synced, f"SHOW COLUMNS FROM `{table}`")]
        listed = ", ".join(f"`{name}` + 0e0" if kind.startswith("float") else f"`{name}`" for name, kind in columns)
        rows[table] = sorted(_read(synced, f"SELECT {listed} FROM `{table}`"), key=repr)  # noqa: S608
    return rows


def _read(synced: Synced, query: str) -> Rows:
    with synced.target.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query.replace("%", "%%"))]


def taken_back(result: UndoResult) -> dict[str, tuple[int, int, int]]:
    """Deleted, restored and kept rows of each table for which one is not zero."""
    tables = [table for run in result.runs for table in run.tables]
    assert not [table.error for table in tables if table.error]
    counts = {t.name: (t.deleted, t.restored, t.kept) for t in tables}
    return {name: count for name, count in counts.items() if any(count)}


def id_mappings(synced: Synced) -> dict[str, dict[str, int]]:
    content: dict[str, dict[str, int]] = json.loads((synced.folder / "out" / "id_mappings.json").read_text())
    return content
