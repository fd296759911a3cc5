"""The report: one HTML file that shows what a run did, made from nothing but the files that the run left."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dfsync.output.atomic import write_atomic
from dfsync.output.report import html, plan_graph
from dfsync.output.report.html import STAGES, Segment, bar
from dfsync.output.report.run_files import RunArtifacts, read_run
from dfsync.output.result import COUNTED, TableCounts
from dfsync.text.wording import DIFFERENCE_MEANINGS

FILE = "report.html"
_MAX_TIMINGS = 30
"""Tables that get a bar of where their time was spent."""
_OUTCOMES = ("inserted", "updated", "matched", "failed")
_OTHER = "other"
_MAX_SOURCES = 200


def write_report(out: str | Path) -> Path:
    """Write `report.html` into the output folder of a run.

    Parameters
    ----------
    out
        The folder.

    Returns
    -------
    pathlib.Path
        The path of the page.

    Raises
    ------
    DfsyncError
        Where the folder is not that of a finished run.
    """
    folder = Path(out)
    page = html.render(_template_context(read_run(folder)))
    path = folder / FILE
    write_atomic(path, lambda file: file.write(page.encode()))
    return path


@dataclass(frozen=True)
class Timing:
    """Where the time of a table was spent."""

    name: str
    seconds: float
    stages: dict[str, float]
    segments: tuple[Segment, ...]


def _template_context(run: RunArtifacts) -> dict[str, Any]:
    """All that the template needs."""
    timings = _timings(run.counts)
    return {
        "run": run,
        "file": Path(run.source).name,
        "sums": {key: sum(getattr(c, key) for c in run.counts) for key in COUNTED},
        "counts": {c.name: c for c in run.counts},
        "bars": {c.name: _outcome_bar(c) for c in run.counts},
        "whole_bar": _outcome_bar(TableCounts("", "", **{k: sum(getattr(c, k) for c in run.counts) for k in COUNTED})),
        "broken": [c for c in run.counts if c.error],
        "lost": [source for source in run.sources if source.error],
        "sources": sorted(run.sources, key=lambda source: source.error is None)[:_MAX_SOURCES],
        "empty": [c.name for c in run.counts if not (c.total or c.error or c.note)],
        "absent": [c for c in run.counts if c.note],
        "rejecting": sorted((c for c in run.counts if (c.failed or c.unfit) and not c.error), key=lambda c: -c.failed),
        "shared": {stats.name: stats.shared for stats in run.maps},
        "graph": plan_graph.draw(run.plan, html.COLOURS),
        "meanings": {kind: f"{text[0].upper()}{text[1:]}." for kind, text in DIFFERENCE_MEANINGS.items()},
        "without_id": {table.name for table in run.plan.tables if table.id is None},
        "timings": timings[:_MAX_TIMINGS],
        "quicker": timings[_MAX_TIMINGS:],
        "all_timings": timings,
        "stages": [stage for stage in STAGES if any(stage in timing.stages for timing in timings)],
        "whole_timing": _whole_timing(timings),
    }


def _outcome_bar(counts: TableCounts) -> tuple[Segment, ...]:
    parts = [(key, key, getattr(counts, key)) for key in _OUTCOMES]
    return bar([(style, f"{number:,} {label}", number) for style, label, number in parts], counts.total)


def _timings(counts: Iterable[TableCounts]) -> list[Timing]:
    """The slowest first; their bars are to one scale."""
    stages = {c.name: _stages(c) for c in counts if c.seconds}
    longest = max((sum(of.values()) for of in stages.values()), default=0.0)
    timings = [
        Timing(c.name, c.seconds.get("total", 0.0), stages[c.name], _stage_bar(stages[c.name], longest))
        for c in counts
        if c.name in stages
    ]
    return sorted(timings, key=lambda timing: -timing.seconds)


def _stages(counts: TableCounts) -> dict[str, float]:
    """By stage in the order of the stages; what no stage accounts for is `other`, as are unknown stages."""
    known = {stage: counts.seconds[stage] for stage in STAGES if stage in counts.seconds}
    other = counts.seconds.get("total", 0.0) - sum(known.values())
    return {**known, _OTHER: other} if other > 0 else known


def _stage_bar(stages: dict[str, float], whole: float) -> tuple[Segment, ...]:
    return bar([(f"c{STAGES.index(s)}", f"{s}: {html.duration(t)}", t) for s, t in stages.items()], whole)


def _whole_timing(timings: list[Timing]) -> Timing:
    present = [stage for stage in STAGES if any(stage in timing.stages for timing in timings)]
    stages = {stage: sum(timing.stages.get(stage, 0.0) for timing in timings) for stage in present}
    seconds = sum(timing.seconds for timing in timings)
    return Timing("", seconds, stages, _stage_bar(stages, sum(stages.values())))
