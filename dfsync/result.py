"""What a run leaves behind: counts, mapping frames, reject frames."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfsync.errors import DfsyncError

if TYPE_CHECKING:
    import pandas as pd

    from dfsync.plan import Plan, TablePlan

INSERTED, MATCHED, UPDATED = "inserted", "matched", "updated"


@dataclass
class Counts:
    """What became of the rows of one table: total = synced + skipped + updated + failed, always."""

    name: str
    table: str
    total: int = 0
    synced: int = 0
    """Inserted by this run."""
    skipped: int = 0
    """They had a target row already, or share one with a row of the same natural key."""
    updated: int = 0
    failed: int = 0
    """They have no target row; each is in the reject frame, unless the whole table failed."""
    error: str | None = None
    """Why the table failed as a whole."""
    note: str | None = None
    """Why the table was not looked at: the source lacks it."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Time by stage, and `total`."""

    def as_dict(self) -> dict[str, Any]:
        return {**self.__dict__, "seconds": {stage: round(s, 4) for stage, s in self.seconds.items()}}


class Frames(Mapping[str, "pd.DataFrame"]):
    """Frames by table name, each read from its Parquet file when it is asked for, as Arrow dtypes."""

    def __init__(self, folder: Path, names: list[str], empty: Callable[[], pd.DataFrame] | None = None) -> None:
        self._folder = folder
        self._names = names
        self._empty = empty

    def __getitem__(self, name: str) -> pd.DataFrame:
        import pandas as pd

        if name not in self._names:
            there = ", ".join(self._names) or "none"
            raise KeyError(
                f"No frame of {name}: no such table was synced, it has no id to map, or its file could not be written. "
                f"There are: {there}."
            )
        path = self._folder / f"{name}.parquet"
        if self._empty is not None and not path.exists():
            return self._empty()
        return pd.read_parquet(path, dtype_backend="pyarrow")

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __repr__(self) -> str:
        return f"<Frames: {', '.join(self._names) or 'none'}>"

    def __len__(self) -> int:
        return len(self._names)


@dataclass(frozen=True, repr=False)
class SyncResult:
    """The outcome of `dfsync.sync`.

    The frames are read from the files in `out` when they are asked for: give runs that you compare a folder each.

    `mappings[name]`: one row per source row that has a target row, by ascending `old_id`:
    `old_id` int64, `new_id` int64 (uint64 where the target's id is unsigned and needs it), `action` string
    (`inserted`, `matched`, `updated`), then the natural key's columns with the target's values and dtypes.
    `rejects[name]`: one row per source row that could not get a target row: `old_id` int64, `column` string,
    `value` string, `reason` string; `column` and `value` are NULL where the server refused the row as a whole. Empty
    where nothing was rejected.
    """

    counts: tuple[Counts, ...]
    mappings: Mapping[str, pd.DataFrame]
    rejects: Mapping[str, pd.DataFrame]
    seconds: float
    dry_run: bool = False
    """Then `mappings` holds what was found in the target, and nothing that would be new."""
    keep: Any = field(default=None, compare=False)
    """Holds the temporary folder of a dry run for as long as the result lives."""
    plan: Plan | None = None
    """The completed plan, of all tables, also where only some were synced."""
    started: str = ""
    """Date and time in UTC, as in ISO 8601."""
    source: str = ""
    """The SQLite file."""
    target: str = ""
    """Database and server, without user or password."""
    out: str | None = None
    """The folder of the files; None where a dry run leaves none."""
    unwritten: Mapping[str, str] = field(default_factory=dict)
    """By file of that folder: why it could not be written. What was synced is in the target all the same, and another
    run makes the file anew."""

    @property
    def ok(self) -> bool:
        """Whether every source row has a target row, and every file is written."""
        return not self.unwritten and not any(c.failed or c.error for c in self.counts)

    @property
    def summary(self) -> pd.DataFrame:
        """One row per table, index `name`: `table` str, `total`, `synced`, `skipped`, `updated`, `failed` int64,
        `seconds` float64, `error` and `note` str or None."""
        import pandas as pd

        rows = [{**c.as_dict(), "seconds": c.seconds.get("total", 0.0)} for c in self.counts]
        return pd.DataFrame(rows, columns=list(Counts("", "").as_dict())).set_index("name")

    def __repr__(self) -> str:
        counts = ", ".join(f"{number} {key}" for key, number in self._sums.items())
        dry = "dry run, " if self.dry_run else ""
        return f"<SyncResult: {dry}{len(self.counts)} tables, {counts}, {self.seconds:.1f} s>"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self)[1:-1])}</p>{self.summary.to_html(na_rep='', float_format='{:.2f}'.format)}"

    @property
    def _sums(self) -> dict[str, int]:
        return {key: sum(getattr(c, key) for c in self.counts) for key in COUNTED}

    def as_dict(self) -> dict[str, Any]:
        """What `summary.json` and `--json` hold."""
        return {
            "ok": self.ok,
            "dry_run": self.dry_run,
            "started": self.started,
            "seconds": round(self.seconds, 4),
            "source": self.source,
            "target": self.target,
            "out": self.out,
            "overall": self._sums,
            "unwritten": dict(self.unwritten),
            "tables": [c.as_dict() for c in self.counts],
            "plan": None if self.plan is None else self.plan.as_dict(),
        }


COUNTED = ("total", "synced", "skipped", "updated", "failed")


class Observer:
    """What a run tells while it goes, table by table in the plan's order, also where several are in work at a time.

    Every method does nothing until a subclass says otherwise. `progress` may come from another thread than the others.
    """

    def run_started(self, plan: Plan, names: list[str]) -> None:
        """Before the first table; `names` are those that will be synced."""

    def maps_removed(self, out: Path, target: str) -> None:
        """The maps that `out` held were of another `target`, and are gone, since they would mix with those to come."""

    def table_started(self, table: TablePlan, total: int) -> None:
        """`total` rows were found in the source."""

    def table_missing(self, table: TablePlan, reason: str) -> None:
        """The source lacks the table, so it is passed over."""

    def progress(self, table: TablePlan, done: int) -> None:
        """`done` rows of the table are matched or loaded so far."""

    def rows_done(self, table: TablePlan, mapping: Iterable[pd.DataFrame], rejects: pd.DataFrame) -> None:
        """The table is committed, every row accounted for: the frames of `SyncResult`, `mapping` in parts that are made
        when they are asked for."""

    def note(self, table: TablePlan, message: str) -> None:
        """Something that the user should know and that is no error."""

    def table_finished(self, table: TablePlan, counts: Counts) -> None:
        """The table is committed, or rolled back where `counts.error` says why."""

    def run_finished(self, result: SyncResult) -> None:
        """After the last table."""


def load_mappings(folder: str | Path) -> Mapping[str, pd.DataFrame]:
    """The mapping frames that a run left in its `--out` folder, by table name, in the order of the plan.

    Read as they are asked for; frames as in `SyncResult.mappings`. Raises `DfsyncError` where the folder holds none.
    """
    mappings = Path(folder) / "mappings"
    found = sorted(path.stem for path in mappings.glob("[!.]*.parquet"))
    if not found:
        raise DfsyncError(f"No mappings in {folder}: it should be the --out folder of an earlier run.")
    planned = _planned(Path(folder) / "summary.json")
    return Frames(mappings, found if planned is None else [name for name in planned if name in found])


def _planned(summary: Path) -> list[str] | None:
    """The tables of the plan of the last run; None where none has come to its end."""
    try:
        return [table["name"] for table in json.loads(summary.read_bytes())["plan"]["tables"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None
