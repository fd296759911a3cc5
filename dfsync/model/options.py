"""The choices that a caller has for a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dfsync.model.errors import DfsyncError

ON_MATCH = ("skip", "update")
IDENTITY = ("id", "content")
ON_REKEY = ("insert", "follow")
ON_MISSING_PARENT = ("reject", "null")
IDS = ("new", "keep")
BOOLEAN = "boolean"
CONVERT = ("epoch_s", "epoch_ms", "epoch_us", BOOLEAN)
OTHER_VERSION = ("refuse", "accept")
KEEP_IDS = ("free", "strict")
MAX_BATCH_ROWS = 10_000_000
"""The maximum of `batch_size`: more rows need more memory than any machine has."""
MAX_JOBS = 64
"""The maximum of `jobs`: each takes a connection, and a server limits their number."""
MAX_WRITERS = 64
"""The maximum of `writers`, for the same reason."""
PIECE_ROWS = 100_000
"""Rows of a piece where several writers are asked for and `commit_every` is not."""


def is_plan_name(text: str) -> bool:
    """Tell whether a text names a ready-made plan, and not a file."""
    return not (text.lower().endswith(".toml") or any(sign in text for sign in "/\\"))


@dataclass(frozen=True)
class SyncOptions:
    """The choices of one run, the same for the command line, the notebook and Python.

    A path may be given as text, and names in any order and collection.

    Raises
    ------
    DfsyncError
        Where a value is not allowed.
    """

    plan: Path | str | None = None
    """A plan file, or a name of `dfsync.list_plans`: text without `/` and `.toml`, such as `django` or `discovered`.
    None takes the ready-made plan whose telling tables are in the source, else a discovered one."""
    tables: tuple[str, ...] | None = None
    """The names of the tables to sync; None takes all."""
    exclude: tuple[str, ...] = ()
    """Patterns of names of the source's tables that are left out, such as `knex_*`, whatever the plan says."""
    batch_size: int = 50_000
    """Rows read, converted and sent at a time."""
    on_match: str | None = None
    """`skip` or `update` for every table; None leaves it to the plan."""
    keep_ids: str | None = None
    """`free` keeps the ids of all tables: a row gets another one only where its own is not free in the target. `strict`
    stops before the first row is written where there is such a row. None leaves it to the plan."""
    dry_run: bool = False
    """Whether to do everything but write: nothing in the target changes, and no file is written."""
    local_infile: bool = True
    """Whether `LOAD DATA LOCAL` may be used; where not, or where the server refuses it, INSERT is used."""
    jobs: int = 3
    """How many tables may be synced at a time, where they do not depend on each other; each has its own transaction."""
    commit_every: int | None = None
    """Commit the new rows of a table in pieces of so many rows; None commits a table in one transaction."""
    writers: int = 1
    """How many connections may insert pieces of one table at a time, where `innodb_autoinc_lock_mode` is 2. With more
    than one and no `commit_every` a piece has `PIECE_ROWS` rows."""

    keep_runs: int = 20
    """How many runs, this one too, keep the journal by which they can be taken back; 0 keeps none."""
    full: bool = False
    """Whether to read the keys of both sides whole, and not by what the last run left in `state`. The result is the
    same."""

    def __post_init__(self) -> None:
        if self.keep_runs < 0:
            raise DfsyncError(f"There cannot be {self.keep_runs} runs with a journal: give 0 or more.")
        if self.on_match not in (None, *ON_MATCH):
            raise DfsyncError(f"on_match must be 'skip' or 'update', not {self.on_match!r}.")
        if self.keep_ids not in (None, *KEEP_IDS):
            raise DfsyncError(f"keep_ids must be 'free' or 'strict', not {self.keep_ids!r}.")
        if not 1 <= self.batch_size <= MAX_BATCH_ROWS:
            raise DfsyncError(f"A batch cannot have {self.batch_size} rows: give a number from 1 to {MAX_BATCH_ROWS}.")
        if not 1 <= self.jobs <= MAX_JOBS:
            raise DfsyncError(f"There cannot be {self.jobs} tables at a time: give a number from 1 to {MAX_JOBS}.")
        if self.commit_every is not None and self.commit_every < 1:
            raise DfsyncError(f"A piece cannot have {self.commit_every} rows: give commit_every a number from 1 on.")
        if not 1 <= self.writers <= MAX_WRITERS:
            raise DfsyncError(f"A table cannot have {self.writers} writers: give a number from 1 to {MAX_WRITERS}.")
        if isinstance(self.plan, str) and not is_plan_name(self.plan):
            object.__setattr__(self, "plan", Path(self.plan))
        object.__setattr__(self, "exclude", (self.exclude,) if isinstance(self.exclude, str) else tuple(self.exclude))
        if self.tables is not None:
            object.__setattr__(self, "tables", (self.tables,) if isinstance(self.tables, str) else tuple(self.tables))

    @property
    def strict_ids(self) -> bool:
        """Whether a row that cannot keep its id stops a run; a dry run goes on, and tells of all such rows."""
        return self.keep_ids == "strict" and not self.dry_run

    @property
    def piece_rows(self) -> int | None:
        """Rows of a piece; None where a table is committed in one transaction, as in every dry run."""
        if self.dry_run:
            return None
        return PIECE_ROWS if self.commit_every is None and self.writers > 1 else self.commit_every


@dataclass(frozen=True)
class UndoOptions:
    """The choices of an undo, the same for the command line and Python."""

    force: bool = False
    """Whether rows that were changed since the run go, too, with these changes."""
    dry_run: bool = False
    """Whether all of it is rolled back at the end."""
    run_triggers: bool = False
    """Whether tables with a trigger on DELETE are undone, whatever the trigger does."""
