"""What a person sees of `runs`: a line per run, the newest last."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from dfsync.text.wording import printable

if TYPE_CHECKING:
    from dfsync.commands.runs import RunsResult

_MAX_NAME = 200


def runs_table(result: RunsResult) -> Table:
    """Make the table of the runs."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("run", no_wrap=True)
    for name in ("source", "target"):
        table.add_column(name, overflow="fold")
    for name in ("inserted", "updated", "failed"):
        table.add_column(name, justify="right")
    table.add_column("state")
    for run, row in result.summary.iterrows():
        numbers = [f"{row[name]:,}" for name in ("inserted", "updated", "failed")]
        kept = f", {row['kept']:,} rows kept" if row["kept"] else ""
        source, target = printable(Path(row["source"]).name, _MAX_NAME), printable(row["target"], _MAX_NAME)
        table.add_row(str(run), source, target, *numbers, f"{row['state']}{kept}")
    return table
