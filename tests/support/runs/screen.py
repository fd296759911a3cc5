"""The console of a sync, and what it has written."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
from rich.console import Console as RichConsole

from dfsync.cli.render.sync import SyncConsole
from dfsync.output.result import SyncResult, TableCounts
from dfsync.plan.model import ForeignKey, TablePlan

REPOSITORIES = TablePlan("repositories", "repositories", "id", ("slug",), ())
COMMITS = TablePlan(
    "commits", "commits", "id", ("hash", "repository_id"), (ForeignKey("repository_id", "repositories"),)
)


def mapping(*rows: tuple[Any, ...], key: tuple[str, ...] = ("slug",)) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows), columns=["old_id", "new_id", "action", *key])
    return frame.convert_dtypes(dtype_backend="pyarrow")


def rejects(*rows: tuple[Any, ...]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=["old_id", "column", "value", "reason"]).astype(
        {"old_id": "int64[pyarrow]", "column": "string", "value": "string", "reason": "string"}
    )


NONE, NO_REJECTS = mapping(), rejects()


def result(*counts: TableCounts, dry_run: bool = False) -> SyncResult:
    return SyncResult(counts, {}, {}, 1.5, dry_run)


class Screen:
    """A console and what it has written."""

    def __init__(self, terminal: bool = False, kind: type[SyncConsole] = SyncConsole, **options: Any) -> None:
        self._file = io.StringIO()
        self.out = RichConsole(file=self._file, force_terminal=terminal, width=80, _environ={"TERM": "xterm"})
        self.console = kind(self.out, **options)

    @property
    def text(self) -> str:
        return self._file.getvalue()


def three_repositories(console: SyncConsole) -> None:
    console.table_started(REPOSITORIES, 3)
    frame = mapping((1, 101, "inserted", "my-repo"), (2, 102, "inserted", "other"), (3, 103, "matched", "existing"))
    console.rows_done(REPOSITORIES, [frame], NO_REJECTS)
    console.table_finished(REPOSITORIES, TableCounts("repositories", "repositories", 3, 2, 1))
