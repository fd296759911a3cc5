"""`runs/ID/run.json`: what a run was, and table by table how far it came."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dfsync.model.errors import DfsyncError, Remedy
from dfsync.output.atomic import make_private, sync_folder, write_atomic

RUNS, RUN_FILE = "runs", "run.json"
WRITING, COMMITTED, ROLLED_BACK, UNKNOWN, LOST = "writing", "committed", "rolled back", "unknown", "journal lost"
"""The states of a part. `writing`: its journal is on the disk, and the COMMIT may have been sent. `unknown`: the
connection was lost in the COMMIT, and nobody has looked since. `journal lost`: as `writing`, but its files were deleted
or damaged before anybody looked, so that nobody can tell."""
_LISTED = 5
OPEN_STATES = (WRITING, UNKNOWN)


@dataclass
class Part:
    """What one transaction did to one table."""

    state: str
    inserted: int
    updated: int


@dataclass
class Undone:
    """What all undos of a run did to the rows of one table."""

    deleted: int
    """Inserted rows that were deleted, or were gone already."""
    restored: int
    """Updated rows that have their values of before again."""
    kept: int
    """Rows that stay, each in `kept/NAME.parquet`."""


@dataclass
class TableRecord:
    """One table of a run."""

    name: str
    table: str
    """In the target."""
    id: str | None
    """The target's name of the surrogate id; None where the table has none."""
    references: dict[str, str] = field(default_factory=dict)
    """By foreign key of the plan, the planned table whose ids it holds."""
    parts: list[Part] = field(default_factory=list)
    failed: int = 0
    """Source rows without a target row."""
    error: str | None = None
    undone: Undone | None = None

    @property
    def states(self) -> set[str]:
        """The states of its parts."""
        return {part.state for part in self.parts}

    @property
    def has_rows(self) -> bool:
        """Whether it has rows in the target that no undo took back."""
        is_left = self.undone is None or self.undone.kept > 0
        return is_left and bool(self.count("inserted") or self.count("updated"))

    def committed(self) -> list[tuple[int, Part]]:
        """Give the parts that are in the target, each with its number, which counts from 1."""
        return [(number, part) for number, part in enumerate(self.parts, 1) if part.state == COMMITTED]

    def count(self, what: str) -> int:
        """Count the `inserted` or the `updated` rows that are in the target."""
        return sum(int(getattr(part, what)) for _, part in self.committed())


@dataclass
class RunRecord:
    """One run.

    Attributes
    ----------
    id
        Its time of start in UTC and a random end, so that names sort by age.
    finished
        None while it runs, and for ever where it was killed.
    undone
        When the last undo of it came to its end; None before that, also where one was killed.
    sources
        Where there are several: their names.
    failed_sources
        By name: why a source could not be read.
    """

    id: str
    started: str
    source: str
    target: str
    dfsync: str = ""
    plan: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    tables: list[TableRecord] = field(default_factory=list)
    finished: str | None = None
    undone: str | None = None
    sources: list[str] = field(default_factory=list)
    failed_sources: dict[str, str] = field(default_factory=dict)

    def table(self, name: str) -> TableRecord:
        """Return the table of that name in the plan."""
        return next(table for table in self.tables if table.name == name)

    def count(self, what: str) -> int:
        """Count rows over all tables: `inserted` or `updated`, those in the target; `failed`."""
        return sum(table.failed if what == "failed" else table.count(what) for table in self.tables)

    @property
    def is_unknown(self) -> bool:
        """Whether some part may be in the target or not."""
        return any(part.state in OPEN_STATES for table in self.tables for part in table.parts)

    @property
    def is_lost(self) -> bool:
        """Whether nobody can tell of some part whether it is in the target."""
        return any(LOST in table.states for table in self.tables)

    @property
    def wrote(self) -> bool:
        """Whether rows of it are, or may be, in the target, which no undo took back."""
        return self.undone is None and (self.is_unknown or bool(self.count("inserted") or self.count("updated")))

    @property
    def is_half_done(self) -> bool:
        """Whether it has rows in the target, and came to no end or was taken back in part."""
        kept = any(table.undone is not None and table.undone.kept for table in self.tables)
        return kept or (self.wrote and (self.finished is None or any(table.undone for table in self.tables)))


def new_run_id(now: datetime) -> str:
    """Make the id of a run that starts now: names of later runs sort behind it."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%S%f}"[:-3] + f"Z-{secrets.token_hex(3)}"


def run_folder(out: Path, run_id: str) -> Path:
    """Name the folder of a run."""
    return out / RUNS / run_id


def now() -> str:
    """Give the present time in UTC as the files have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_record(out: Path, record: RunRecord) -> None:
    """Write `run.json`, whole and on the disk. Raises `OutputWriteError`."""
    folder = run_folder(out, record.id)
    is_new = not folder.exists()
    make_private(folder)
    text = json.dumps(asdict(record), indent=1, ensure_ascii=False, default=str)
    content = f"{text}\n".encode(errors="backslashreplace")
    write_atomic(folder / RUN_FILE, lambda file: file.write(content))
    for parent in (folder, folder.parent, out) if is_new else (folder,):
        sync_folder(parent)


def read_records(out: Path) -> list[RunRecord]:
    """Read all runs of an output folder, the oldest first.

    Parameters
    ----------
    out
        The output folder.

    Returns
    -------
    list of RunRecord
        Without those whose `run.json` is missing or damaged.
    """
    paths = sorted((out / RUNS).glob(f"*/{RUN_FILE}"))
    return [record for record in map(_read, paths) if record is not None]


def unreadable_runs(out: Path) -> list[str]:
    """Give the ids of the runs whose `run.json` is missing or damaged, the oldest first."""
    readable = {record.id for record in read_records(out)}
    return sorted(path.name for path in (out / RUNS).glob("*") if path.is_dir() and path.name not in readable)


def find_record(out: Path, run_id: str) -> RunRecord:
    """Read a run by its id, or by the beginning or the end of it that no other has, in any case.

    Parameters
    ----------
    out
        The output folder.
    run_id
        What the user wrote.

    Returns
    -------
    RunRecord

    Raises
    ------
    DfsyncError
        None or several are called so.
    """
    records, part = read_records(out), run_id.strip().lower()
    if not part:
        raise DfsyncError("An empty text names no run.", Remedy("Runs are listed by {runs}."))
    ids = {record.id.lower(): record for record in records}
    found = (
        [ids[part]] if part in ids else [r for each, r in ids.items() if each.startswith(part) or each.endswith(part)]
    )
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(record.id for record in found[-_LISTED:])
        raise DfsyncError(f"Several runs of {out} begin or end with {run_id!r}: {listed}.")
    listed = f"The newest: {', '.join(record.id for record in records[-_LISTED:])}." if records else "It has none."
    raise DfsyncError(
        f"{out} has no run {run_id!r}. {listed}",
        Remedy("Only the newest runs are kept: {keep_runs} of the sync says how many. They are listed by {runs}."),
    )


def require_folder(out: Path) -> None:
    """Raise `DfsyncError` where there is no such output folder."""
    if not out.is_dir():
        raise DfsyncError(f"There is no folder {out}.", Remedy("Name that of the sync with {out}."))


def _read(path: Path) -> RunRecord | None:
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        return RunRecord(**{**content, "tables": [_table(table) for table in content["tables"]]})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _table(content: Mapping[str, Any]) -> TableRecord:
    undone = content["undone"]
    parts = [Part(**part) for part in content["parts"]]
    return TableRecord(**{**content, "parts": parts, "undone": None if undone is None else Undone(**undone)})


def remove_partial_files(out: Path) -> None:
    """Remove the half-written files of runs that were killed."""
    for path in (out / RUNS).glob("**/.*.partial"):
        path.unlink(missing_ok=True)


def drop_oldest(out: Path, keep: int) -> list[RunRecord]:
    """Remove the folders of all runs but the newest `keep`; what cannot be removed stays. Gives the runs of them."""
    folders = sorted(path for path in (out / RUNS).glob("*") if path.is_dir())
    dropped = folders[: max(len(folders) - keep, 0)]
    records = [record for folder in dropped if (record := _read(folder / RUN_FILE)) is not None]
    for folder in dropped:
        shutil.rmtree(folder, ignore_errors=True)
    return records
