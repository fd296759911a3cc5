"""What a run leaves behind: counts, mapping frames, reject frames."""

from __future__ import annotations

import html
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict

from dfsync.model.source_file import SourceFile

if TYPE_CHECKING:
    import pandas as pd

    from dfsync.plan.model import Plan


class Result(ABC):
    """What a command returns: data, which a notebook shows as one line and a table."""

    @property
    @abstractmethod
    def summary(self) -> pd.DataFrame:
        """One row per table."""

    @abstractmethod
    def as_dict(self) -> dict[str, Any]:
        """Give the result as values that JSON takes."""

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self)[1:-1])}</p>{self.summary.to_html(na_rep='', float_format='{:.2f}'.format)}"


class ChangedValues(TypedDict):
    """Values that the target's column does not hold as the source has them."""

    column: str
    note: str
    """What the column does to them."""
    rows: int


class Differing(TypedDict):
    """Of the rows that the target had before and that a sync leaves as they are, those with other values there."""

    compared: int
    """How many rows were looked at."""
    rows: int
    columns: dict[str, int]
    """In how many rows each column differs."""


class OtherId(TypedDict):
    """A row that has another id in the target than in the source."""

    row: str
    """Its id in the source, and of several files its file."""
    new_id: int | None
    """None where a dry run cannot know it."""
    reason: str
    """`taken`, `unfit`, `there` or `shared`, see `OtherIds`."""


class OtherIds(TypedDict):
    """Of the rows of a table that is to keep its ids, those that have other ids in the target."""

    rows: int
    taken: int
    """Another row has their id."""
    unfit: int
    """The target's column does not assign such an id: it is negative, or too large."""
    there: int
    """The target has the row already, under another id."""
    shared: int
    """They share the target row of an earlier source row, by their natural key."""
    examples: list[OtherId]
    """The first ten."""


@dataclass
class TableCounts:
    """What became of the rows of one table: total = inserted + matched + updated + failed, always."""

    name: str
    table: str
    total: int = 0
    inserted: int = 0
    """Inserted by this run."""
    matched: int = 0
    """They had a target row already, or share one with a row of the same natural key."""
    updated: int = 0
    failed: int = 0
    """They have no target row; each is in the reject frame, unless the whole table failed."""
    shared: int = 0
    """Of those with a target row the ones that share that of an earlier source row, by their natural key."""
    rekeyed: int = 0
    """They have another natural key than in the last run, under the same id; `on_rekey` of the plan says what then."""
    error: str | None = None
    """Why the table failed as a whole."""
    note: str | None = None
    """Why the table was skipped: the source lacks it."""
    unfit: int = 0
    """Of those matched: their own values do not fit, and their target row keeps others. Each is in the reject frame."""
    changed_values: list[ChangedValues] = field(default_factory=list)
    """What the target's columns did to values, such as rounding, and in how many rows that have a target row."""
    differing: Differing | None = None
    """None where nobody looked: a dry run does, and the first sync into a folder; later ones look at the rows that are
    known by their ids alone."""
    other_ids: OtherIds | None = None
    """None where the ids are not to be kept."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Time by stage, and `total`."""
    sources: dict[str, dict[str, int]] = field(default_factory=dict)
    """Of several sources, by name: the five counts of the rows of each."""

    def as_dict(self) -> dict[str, Any]:
        """Give the counts, and the seconds rounded."""
        counts = {name: value for name, value in self.__dict__.items() if name != "sources"}
        return {**counts, "seconds": {stage: round(s, 4) for stage, s in self.seconds.items()}}

    def sums(self) -> dict[str, float | None]:
        """Give one number in place of each field that holds several: all changed values, and the seconds in total."""
        changed = sum(changed["rows"] for changed in self.changed_values)
        differing = None if self.differing is None else self.differing["rows"]
        other_ids = None if self.other_ids is None else self.other_ids["rows"]
        seconds = self.seconds.get("total", 0.0)
        return {"changed_values": changed, "differing": differing, "other_ids": other_ids, "seconds": seconds}


@dataclass(frozen=True)
class SourceCounts:
    """What became of the rows of one of several sources, in all tables together."""

    name: str
    path: str
    total: int = 0
    inserted: int = 0
    matched: int = 0
    updated: int = 0
    failed: int = 0
    error: str | None = None
    """Why it cannot be read; rows that it had not given by then are among the failed ones where they were counted."""


@dataclass(frozen=True, repr=False)
class SyncResult(Result):
    """The outcome of `dfsync.sync`.

    The frames are read from the files in `out` when they are asked for: give runs that you compare a folder each.

    `mappings[name]`: one row per source row that has a target row, by ascending `old_id`:
    `old_id` int64, `new_id` int64 (uint64 where the target's id is unsigned and needs it), `action` string
    (`inserted`, `matched`, `updated`), then the natural key's columns with the target's values and dtypes.
    `rejects[name]`: one row per source row that could not get a target row: `old_id` int64, `column` string,
    `value` string, `reason` string; `column` and `value` are NULL where the server refused the row as a whole. Rows
    that have a target row and could not give it their values are in it too, counted as `unfit`; their reason ends in
    `dfsync.model.rejects.KEEPS_OTHER_VALUES`. Empty where nothing was rejected.
    """

    counts: tuple[TableCounts, ...]
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
    sources: tuple[SourceCounts, ...] = ()
    """Where there are several."""
    write_errors: Mapping[str, str] = field(default_factory=dict)
    """By file of that folder: why it could not be written. What was synced is in the target all the same, and another
    run makes the file anew."""

    @property
    def ok(self) -> bool:
        """Whether every source row has a target row that could take its values, and every file is written."""
        failed = any(c.failed or c.unfit or c.error for c in self.counts) or any(s.error for s in self.sources)
        return not self.write_errors and not failed

    @property
    def summary(self) -> pd.DataFrame:
        """One row per table, index `name`.

        `table` str; `total`, `inserted`, `matched`, `updated`, `failed`, `shared`, `rekeyed`, `unfit` and
        `changed_values` int64; `differing` Int64, the rows with other values, NULL where nobody looked; `other_ids`
        Int64, the rows with other ids, NULL where these are not to be kept; `seconds` float64;
        `error` and `note` str or None.
        """
        import pandas as pd

        rows = [{**c.as_dict(), **c.sums()} for c in self.counts]
        table = pd.DataFrame(rows, columns=list(TableCounts("", "").as_dict())).set_index("name")
        return table.astype({"differing": "Int64", "other_ids": "Int64"})

    def __repr__(self) -> str:
        counts = ", ".join(f"{number} {key}" for key, number in self._sums.items())
        dry = "dry run, " if self.dry_run else ""
        return f"<SyncResult: {dry}{len(self.counts)} tables, {counts}, {self.seconds:.1f} s>"

    @property
    def _sums(self) -> dict[str, int]:
        return {key: sum(getattr(c, key) for c in self.counts) for key in COUNTED}

    def as_dict(self) -> dict[str, Any]:
        """Give what `summary.json` and `--json` hold."""
        return {
            "ok": self.ok,
            "dry_run": self.dry_run,
            "started": self.started,
            "seconds": round(self.seconds, 4),
            "source": self.source,
            **({"sources": [asdict(source) for source in self.sources]} if self.sources else {}),
            "target": self.target,
            "out": self.out,
            "overall": self._sums,
            "write_errors": dict(self.write_errors),
            "tables": [c.as_dict() for c in self.counts],
            "plan": None if self.plan is None else self.plan.as_dict(),
        }


COUNTED = ("total", "inserted", "matched", "updated", "failed")


def count_sources(
    files: Sequence[SourceFile], counts: Iterable[TableCounts], failures: Mapping[str, str]
) -> tuple[SourceCounts, ...]:
    """Add up the counts of each source.

    Parameters
    ----------
    files
        The sources.
    counts
        Of each table.
    failures
        By name, why sources cannot be read.

    Returns
    -------
    tuple of SourceCounts
        In the order of `files`.
    """
    sums = {file.name: dict.fromkeys(COUNTED, 0) for file in files}
    for table in counts:
        for name, of_source in table.sources.items():
            for key, number in of_source.items():
                sums[name][key] += number
    return tuple(SourceCounts(f.name, str(f.path), **sums[f.name], error=failures.get(f.name)) for f in files)
