"""The results as tables, for the terminal and in markdown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.table import Table

from benchmarks.results import Results
from benchmarks.runner import STARTS, TO_EMPTY, TO_FOREIGN
from benchmarks.steps import (
    DFSYNC,
    FIRST,
    FLEET,
    FLOOR,
    FOREIGN,
    PLAIN,
    READING,
    SECOND,
    START,
    TENTH,
    TO_SQL,
    TWO_WRITERS,
    WRITERS,
)

_INTRODUCTION = """# How fast

Written by `make bench`. Seconds are those of the whole process, imports and all, median of the rounds; the floor is the
server alone: `LOAD DATA INFILE` of the finished rows of all tables from its own disk, with the same keys and foreign
keys. Every contestant fills the same tables, made by `create-tables`, and has its rows counted afterwards. All but
dfsync only copy: pandas and dbmerge are given finished rows, whose ids and foreign keys are right already, and
sqlite3-to-mysql keeps those of the source. `method="multi"` sends 1,000 rows a statement. The bare reading is the
source's tables over ADBC, and the target's ids and natural keys over connectorx, without the imports.
"""


# The size that the goals name; those of memory name theirs.
_GOAL_ROWS = 1_000_000
_FLEET_FILES = 1_000


@dataclass(frozen=True)
class Grid:
    """A table of texts; columns after `left` are numbers and go to the right."""

    title: str
    header: tuple[str, ...]
    lines: list[tuple[str, ...]]
    left: int

    def as_rich(self) -> Table:
        table = Table(title=self.title, box=box.SIMPLE_HEAD, title_justify="left")
        for place, name in enumerate(self.header):
            table.add_column(name, justify="left" if place < self.left else "right")
        for line in self.lines:
            table.add_row(*line)
        return table

    def as_markdown(self) -> str:
        rule = ["---" if place < self.left else "---:" for place in range(len(self.header))]
        lines = [self.header, tuple(rule), *self.lines]
        return "\n".join([f"## {self.title}", "", *(f"| {' | '.join(line)} |" for line in lines)])


def grids(results: Results) -> list[Grid]:
    return [_first(results), Grid("The goals", ("work", "took", "against", "ratio", "goal"), list(_goals(results)), 1)]


def write_markdown(path: Path, machine: dict[str, str], tables: list[Grid]) -> None:
    described = "\n".join(["| | |", "| --- | --- |", *(f"| {what} | {text} |" for what, text in machine.items())])
    pictures = "![seconds and memory by the number of commits](seconds.png)"
    parts = [_INTRODUCTION.strip(), described, pictures, *(table.as_markdown() for table in tables)]
    path.write_text("\n\n".join(parts) + "\n")


def _first(results: Results) -> Grid:
    header = ("commits", "contestant", "seconds", "x floor", "rows/s", "peak MB")
    lines: list[tuple[str, ...]] = []
    for rows in results.sizes(FIRST):
        floor = results.seconds(FIRST, FLOOR, rows)
        for who in results.contestants(FIRST):
            measured = results.of(FIRST, who, rows)
            seconds = results.seconds(FIRST, who, rows)
            if measured and seconds is None:
                lines.append((f"{rows:,}", who, _short(results.error(FIRST, who, rows)), "", "", ""))
            elif seconds is not None:
                peak = results.peak_mb(FIRST, who, rows)
                speed = f"{measured[0].in_all / seconds:,.0f}"
                cells = (_seconds(seconds), _ratio(seconds, floor), speed, f"{peak:.0f}" if peak else "")
                lines.append((f"{rows:,}", who, *cells))
    return Grid("First sync into empty tables", header, lines, 2)


def _goals(results: Results) -> Iterator[tuple[str, ...]]:
    for rows in results.sizes(FIRST):
        took = results.seconds(FIRST, DFSYNC, rows)
        plain = results.seconds(FIRST, PLAIN, rows)
        second, reading = results.seconds(SECOND, DFSYNC, rows), results.seconds(SECOND, READING, rows)
        more, floor = results.seconds(TENTH, DFSYNC, rows), results.seconds(TENTH, FLOOR, rows)
        fair = second + 1.25 * floor if second is not None and floor is not None else None
        lines = (
            ("first sync, against the floor", took, results.seconds(FIRST, FLOOR, rows), 1.25),
            ("plain inserts, against to_sql", plain, results.seconds(FIRST, TO_SQL, rows), 1),
            ("second sync, against the bare reading", second, reading, 2),
            ("a tenth more, against second sync + 1.25 floor of the new rows", more, fair, 1),
        )
        for work, ours, against, goal in lines:
            yield from _goal(f"{rows:,} commits: {work}", ours, against, goal if rows == _GOAL_ROWS else None)
    for rows in results.sizes(WRITERS):
        two, floor = (results.seconds(WRITERS, who, rows) for who in (TWO_WRITERS, FLOOR))
        work = "two writers, where innodb_autoinc_lock_mode is 2, against the floor of one connection"
        yield from _goal(f"{rows:,} commits: {work}", two, floor, 0.8 if rows == _GOAL_ROWS else None)
    for files in results.sizes(FLEET):
        took = results.seconds(FLEET, DFSYNC, files)
        work = f"{files:,} files of 1,000 rows into one target, against 60 s"
        yield from _goal(work, took, 60.0 if took is not None else None, 1 if files == _FLEET_FILES else None)
    for rows in results.sizes(FOREIGN):
        empty, foreign = (results.seconds(FOREIGN, who, rows) for who in (TO_EMPTY, TO_FOREIGN))
        yield from _goal(f"1,000 commits to {rows:,} foreign ones, against an empty target", foreign, empty, 2)
    ours, theirs = (results.seconds(START, name, 0) for name in STARTS)
    yield from _goal("`--help`, against `import typer, rich`", ours, theirs, 1.5)
    million, ten = (results.peak_mb(FIRST, DFSYNC, rows) for rows in (1_000_000, 10_000_000))
    yield from _goal("peak MB at 10,000,000 commits, against 600", ten, 600, 1)
    yield from _goal("peak MB at 10,000,000 commits, against 1,000,000", ten, million, 1.3)


def _goal(work: str, took: float | None, against: float | None, goal: float | None) -> Iterator[tuple[str, ...]]:
    if took is not None and against is not None:
        met = "" if goal is None or took <= goal * against else " (missed)"
        yield work, _seconds(took), _seconds(against), _ratio(took, against), f"{goal:g}{met}" if goal else ""


def _seconds(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def _ratio(value: float, against: float | None) -> str:
    return f"{value / against:.2f}" if against else ""


def _short(error: str) -> str:
    return " ".join(error.split())[:80].replace("|", "/")
