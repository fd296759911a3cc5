"""What a run left in its folder, read back and added up for the report."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dfsync.model import frames
from dfsync.model.errors import DfsyncError, Remedy
from dfsync.model.frames import INSERTED, MATCHED, UPDATED
from dfsync.model.source_file import SOURCE
from dfsync.output import files
from dfsync.output.last_run import LastVerify, read_last_verify
from dfsync.output.report.reasons import ReasonSummary, readable, summarize_reasons
from dfsync.output.result import COUNTED, SourceCounts, TableCounts
from dfsync.plan.model import ForeignKey, Plan, TablePlan

_LISTS = ("natural_key", "after", "ignore_columns", "plain_columns", "empty_columns", "deferred")
"""The settings of a table that are tuples, and lists in JSON."""


@dataclass(frozen=True)
class MappingStats:
    """One table's mapping at a glance."""

    name: str
    rows: int
    old: tuple[int, int] | None
    """The lowest and the highest id, as in `new`; None where the mapping is empty."""
    new: tuple[int, int] | None
    renumbered: int
    """Rows whose new id is not the old one."""
    shared: int
    """Rows whose target row is that of a row before them, too."""


@dataclass(frozen=True)
class RunArtifacts:
    """All that the report shows."""

    plan: Plan
    counts: tuple[TableCounts, ...]
    started: datetime
    seconds: float
    source: str
    target: str
    maps: tuple[MappingStats, ...]
    rejects: ReasonSummary
    differences: ReasonSummary
    sources: tuple[SourceCounts, ...]
    """Of several sources what became of the rows of each."""
    verified: LastVerify | None
    """What the last verify of this source and target counted; None where there was none."""


def read_run(out: Path) -> RunArtifacts:
    """Read the files of a run and add them up.

    Parameters
    ----------
    out
        The output folder.

    Returns
    -------
    RunArtifacts
        What the report shows.

    Raises
    ------
    DfsyncError
        Where the folder is not that of a finished run, or its files do not belong together.
    """
    path = out / files.SUMMARY
    if not path.is_file():
        raise DfsyncError(
            f"{out} has no {files.SUMMARY}: it is not the folder of a finished sync.",
            Remedy("Name the {out} of one, or run a sync first; a dry run leaves no files."),
        )
    with readable(path):
        content = json.loads(path.read_bytes())
        plan, counts = _plan(content["plan"]), tuple(map(_counts, content["tables"]))
        started, seconds = datetime.fromisoformat(content["started"]).astimezone(UTC), float(content["seconds"])
        source, target = str(content["source"]), str(content["target"])
        sources = tuple(SourceCounts(**entry) for entry in content.get("sources", ()))
    synced = [c for c in counts if c.note is None]
    differences = [path for name in plan.names if (path := out / files.VERIFY / f"{name}.parquet").is_file()]
    return RunArtifacts(
        plan=plan,
        counts=counts,
        started=started,
        seconds=seconds,
        source=source,
        target=target,
        maps=tuple(
            _mapping_stats(out, c, sources) for c in synced if c.name in plan.names and plan[c.name].id is not None
        ),
        rejects=summarize_reasons(
            [_reject_file(out, c) for c in synced if (c.failed or c.unfit) and not c.error], ["reason", "column"]
        ),
        differences=summarize_reasons(differences, ["kind", "column", "action"]),
        sources=sources,
        verified=_last_verify(out, source, target),
    )


def _last_verify(out: Path, source: str, target: str) -> LastVerify | None:
    last = read_last_verify(out)
    return last if last and (Path(last.source).resolve(), last.target) == (Path(source).resolve(), target) else None


def _plan(content: Any) -> Plan:
    tables = []
    for entry in content["tables"]:
        lists = {key: tuple(entry[key] or ()) for key in _LISTS}
        keys = tuple(ForeignKey(str(column), str(parent)) for column, parent in entry["foreign_keys"].items())
        tables.append(TablePlan(**{**entry, **lists, "foreign_keys": keys}))
    plan = Plan(tuple(tables), str(content["source"]))
    for table in plan.tables:
        if unknown := {*table.parents.values(), *table.after} - set(plan.names):
            raise ValueError(f"{table.name} refers to {unknown.pop()!r}, which is not in the plan")
    return plan


def _counts(entry: Any) -> TableCounts:
    counts = TableCounts(**entry)
    counts.seconds = {str(stage): float(seconds) for stage, seconds in counts.seconds.items()}
    for key in COUNTED:
        setattr(counts, key, int(getattr(counts, key)))
    return counts


def _mapping_stats(out: Path, counts: TableCounts, sources: tuple[SourceCounts, ...]) -> MappingStats:
    path = files.mapping_file(out, counts.name)
    with readable(path):
        of_several = [SOURCE] if sources else []
        columns = [*of_several, frames.OLD_ID, frames.NEW_ID, frames.ACTION]
        mapping = pq.read_table(path, columns=columns, read_dictionary=[frames.ACTION])
        if sources:
            # Sources that are not in this run, or failed in it, keep the rows of an earlier one.
            read = pa.array([source.name for source in sources if source.error is None], pa.string())
            mapping = mapping.filter(pc.is_in(mapping.column(SOURCE).cast(pa.string()), read))
        old, new = (mapping.column(name).to_numpy() for name in (frames.OLD_ID, frames.NEW_ID))
        actions = mapping.column(frames.ACTION).to_pandas().value_counts()
        in_mapping = [int(actions.get(action, 0)) for action in (INSERTED, MATCHED, UPDATED)]
        stats = MappingStats(
            name=counts.name,
            rows=len(old),
            old=(int(old.min()), int(old.max())) if len(old) else None,
            new=(int(new.min()), int(new.max())) if len(new) else None,
            renumbered=int((old != new).sum()),
            shared=len(new) - int(pd.Series(new).nunique()),
        )
    in_summary = [counts.inserted, counts.matched, counts.updated]
    if in_mapping != in_summary and not any(source.error for source in sources):
        raise DfsyncError(
            f"{path} and {files.SUMMARY} are of different runs: {in_mapping} rows were inserted, matched and updated "
            f"by the one, {in_summary} by the other. The last sync did not get to its end: run it again."
        )
    return stats


def _reject_file(out: Path, counts: TableCounts) -> Path:
    path = out / files.REJECTS / f"{counts.name}.parquet"
    if not path.is_file():
        raise DfsyncError(
            f"{path} is missing, and {counts.failed + counts.unfit} rows of {counts.name} were rejected. Run the sync "
            "again, and it is made anew."
        )
    return path
