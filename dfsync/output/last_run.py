"""What the last sync into an output folder, and the last verify, left to tell of themselves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from dfsync.model import frames
from dfsync.model.errors import DfsyncError, Remedy
from dfsync.model.frames import INSERTED, MATCHED
from dfsync.output import files
from dfsync.output.evidence import MapOrigin, other_plan, read_origin

PREVIOUS = "previous_new_id"
REKEYED_SCHEMA = pa.schema(
    [
        ("old_id", pa.int64()),
        (PREVIOUS, pa.int64()),
        ("new_id", pa.int64()),
        ("key_before", pa.string()),
        ("key_after", pa.string()),
    ]
)
"""Of `rekeyed/NAME.parquet`: the rows that have another target row than before, see `dfsync.output.evidence`."""


@dataclass(frozen=True)
class LastRun:
    """The last sync that came to its end; None and empty where no file tells of one."""

    plan: str = ""
    """What its plan is called."""
    _on_match: dict[str, str] = field(default_factory=dict)
    _keeps_ids: frozenset[str] = frozenset()
    _counts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def on_match(self, name: str, default: str) -> str:
        """Tell what the run did with rows of a table that the target had: `skip` or `update`."""
        return self._on_match.get(name, default)

    def keeps_ids(self, name: str) -> bool:
        """Tell whether the run was to keep the ids of a table's rows."""
        return name in self._keeps_ids

    def found_all(self, name: str) -> bool:
        """Tell whether the run is known to have inserted no row of a table."""
        return self._counts.get(name, {}).get(INSERTED) == 0

    def inserted_all(self, name: str) -> bool:
        """Tell whether the run is known to have inserted, or updated, every row of a table that has a target row."""
        return self._counts.get(name, {}).get(MATCHED) == 0


def read_last_run(out: Path) -> LastRun:
    """Read what the last sync left in its folder.

    Parameters
    ----------
    out
        The output folder.

    Returns
    -------
    LastRun
        Of nothing where `summary.json` is missing or damaged.
    """
    try:
        content = json.loads((out / files.SUMMARY).read_bytes())
        return LastRun(
            plan=str(content["plan"]["source"]),
            _on_match={str(table["name"]): str(table["on_match"]) for table in content["plan"]["tables"]},
            _keeps_ids=frozenset(str(t["name"]) for t in content["plan"]["tables"] if t.get("ids") == "keep"),
            _counts={str(table["name"]): dict(table) for table in content["tables"]},
        )
    except (OSError, ValueError, KeyError, TypeError):
        return LastRun()


def require_same_plan(out: Path, origins: Mapping[str, MapOrigin], plan: str) -> None:
    """Refuse maps of another plan.

    Parameters
    ----------
    out
        The output folder.
    origins
        By planned table whose rows its map is to map.
    plan
        What to call the plan of now.

    Raises
    ------
    DfsyncError
        Says of each table how its map differs, and which plan the last sync had.
    """
    maps = out / files.MAPPINGS
    found = {name: other_plan(read_origin(maps / f"{name}.parquet"), now) for name, now in origins.items()}
    unlike = [f"{name}: {difference}" for name, difference in found.items() if difference]
    if unlike:
        last = read_last_run(out).plan
        of_last = f" The last sync had {last}, and this is {plan}." if last and last != plan else ""
        raise DfsyncError(
            f"The maps in {out} are of another plan. {'; '.join(unlike)}.{of_last}",
            Remedy("Name the {plan} of that sync, or sync again with this one."),
        )


def read_rekeyed(out: Path, name: str) -> pd.DataFrame:
    """Read which rows of a table have another target row than before.

    Parameters
    ----------
    out
        The output folder.
    name
        The planned table.

    Returns
    -------
    pandas.DataFrame
        The columns of `REKEYED_SCHEMA`, of several sources `source` too; ids are uint64 where the target's need it. No
        rows where there is no file.

    Raises
    ------
    DfsyncError
        Where the file is damaged.
    """
    path = out / files.REKEYED / f"{name}.parquet"
    if not path.is_file():
        return frames.from_arrow(REKEYED_SCHEMA.empty_table())
    return frames.from_arrow(files.read_columns(path, [*files.source_column(path), *REKEYED_SCHEMA.names]))


@dataclass(frozen=True)
class LastVerify:
    """What the last verify counted."""

    started: datetime
    source: str
    target: str
    tables: int
    rows: int
    differ: int
    as_planned: int


def read_last_verify(out: Path) -> LastVerify | None:
    """Read `verify/summary.json`.

    Parameters
    ----------
    out
        The output folder.

    Returns
    -------
    LastVerify or None
        None where the file is missing or damaged.
    """
    try:
        content = json.loads((out / files.VERIFY / files.SUMMARY).read_bytes())
        return LastVerify(
            started=datetime.fromisoformat(content["started"]).astimezone(UTC),
            source=str(content["source"]),
            target=str(content["target"]),
            tables=len(content["tables"]),
            rows=int(content["overall"]["total"]),
            differ=int(content["differ"]),
            as_planned=int(content["as_planned"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
