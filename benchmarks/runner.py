"""The course of a run: sizes from small to large, in each the contestants by turns, each in an empty database."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import sqlalchemy as sa

from benchmarks.fleet import FLEET_ROWS, make_fleet
from benchmarks.machine import processor_time
from benchmarks.process import NotDone, Ran, run
from benchmarks.results import Measured, Results
from benchmarks.steps import (
    CHAINS,
    DFSYNC,
    FIRST,
    FLEET,
    FOREIGN,
    NEED_FRAMES,
    OURS,
    ROOT,
    SIDE_BY_SIDE,
    START,
    TENTH,
    Ground,
    Step,
)
from benchmarks.target import TABLES, Target

ROUNDS = 3
# What goals are held against is measured more often, since on a shared machine a round may be a quarter off.
OUR_ROUNDS = 5
START_ROUNDS = 7
# From so many commits on once must do; and whoever takes so many seconds runs once, too, other than dfsync and floor.
MANY = 5_000_000
LONG = 20.0
FOREIGN_SOURCE = 1_000
STARTS = {"python -m dfsync --help": ("-m", "dfsync", "--help"), "import typer, rich": ("-c", "import typer, rich")}
TO_EMPTY, TO_FOREIGN = "an empty target", "a target with foreign rows"


@dataclass
class Bench:
    """Owns the folder of a run: sources, finished rows, and what dfsync writes."""

    folder: Path
    target: Target
    results: Results
    patience: float
    only: Collection[str]
    say: Callable[[str], None]
    _definitions: list[str] = field(default_factory=list)
    _before: dict[str, int] = field(default_factory=dict)

    def size(self, rows: int) -> None:
        """All contestants on a source of so many commits, by turns."""
        for number in range(1 if rows >= MANY else OUR_ROUNDS):
            for chain in CHAINS:
                if chain in self.only and self._worth_it(chain, rows, number):
                    self._chain(chain, rows, number)
        # Gigabytes, and needed no more.
        shutil.rmtree(self._finished(rows), ignore_errors=True)

    def foreign(self, commits: int) -> None:
        """A small source against a target with many rows of somebody else, and against an empty one."""
        if all(self.results.has(FOREIGN, who, commits, ROUNDS - 1) for who in (TO_EMPTY, TO_FOREIGN)):
            return
        ground = self._ground(FOREIGN_SOURCE)
        with self.target.empty():
            self._create(ground)
            self.say(f"{commits:,} foreign commits go into the target")
            self.target.add_foreign(commits)
            before, rows = self.target.highest_ids(), self.target.count()
            for number in range(ROUNDS):
                self.target.settle()
                self._take(Step(FOREIGN, _first, TO_FOREIGN), ground, commits, number, rows)
                self.target.delete_above(before)
        for number in range(ROUNDS):
            with self.target.empty():
                self._create(ground)
                self.target.settle()
                self._take(Step(FOREIGN, _first, TO_EMPTY), ground, commits, number)

    def writers(self, rows: int) -> None:
        """One connection into a table, and two, on the server of this target."""
        turns = [(number, step) for number in range(ROUNDS) for step in SIDE_BY_SIDE]
        lacking = [(n, step) for n, step in turns if not self.results.has(step.case, step.contestant, rows, n)]
        if not lacking:
            return
        ground, complete = self._ground(rows), self._finished(rows) / FIRST / "complete"
        # The first one also makes the rows that the floor loads.
        for number, step in lacking if complete.exists() else dict.fromkeys([turns[0], *lacking]):
            with self.target.empty():
                self._create(ground)
                self.target.settle()
                if self._take(step, ground, rows, number) and not complete.exists():
                    self.target.export(ground.finished / FIRST)
        shutil.rmtree(ground.finished, ignore_errors=True)

    def fleet(self, files: int) -> None:
        """So many files of a thousand rows into an empty target."""
        if self.results.has(FLEET, DFSYNC, files, 0):
            return
        ground = self._ground(FOREIGN_SOURCE)
        folder = make_fleet(ground.out.parent / f"fleet-{files}", files)
        with self.target.empty():
            self._create(ground)
            self.target.settle()
            try:
                ran = ground.sync(folder, "--quiet")
                new = Measured(FLEET, DFSYNC, files, 0, ran.seconds, ran.peak_mb, files * FLEET_ROWS)
            except NotDone as error:
                new = Measured(FLEET, DFSYNC, files, 0, None, error=str(error))
        self.results.add(new)
        self.say(f"{files:>11,}  {FLEET:<8}{DFSYNC:<28}{new.error or f'{new.seconds:.2f} s'}")

    def start(self) -> None:
        """How long it takes before anything happens."""
        for number in range(START_ROUNDS):
            for name, arguments in STARTS.items():
                if not self.results.has(START, name, 0, number):
                    ran = run((sys.executable, *arguments), ROOT, self.patience)
                    self.results.add(Measured(START, name, 0, number, ran.seconds, ran.peak_mb))

    def _worth_it(self, chain: str, rows: int, number: int) -> bool:
        steps = [(step.case, step.contestant or chain) for step in CHAINS[chain]]
        if all(self.results.has(case, who, rows, number) for case, who in steps):
            return False
        if chain in OURS:
            return True
        if number >= ROUNDS:
            return False
        if number:
            before = self.results.seconds(FIRST, chain, rows)
            return before is not None and before < LONG
        smaller = [size for size in self.results.sizes(FIRST) if size < rows and self.results.of(FIRST, chain, size)]
        if not smaller:
            return True
        seconds = self.results.seconds(FIRST, chain, smaller[-1])
        if seconds is not None and seconds * rows / smaller[-1] <= self.patience:
            return True
        why = self.results.error(FIRST, chain, smaller[-1]) or f"would take more than {self.patience:.0f} s"
        self.results.add(Measured(FIRST, chain, rows, number, None, error=why))
        return False

    def _chain(self, chain: str, rows: int, number: int) -> None:
        finished = self._finished(rows)
        if chain != DFSYNC and not (finished / TENTH / "complete").exists():
            self._chain(DFSYNC, rows, number)
        ground = self._ground(rows)
        with self.target.empty():
            self._create(ground)
            for step in CHAINS[chain]:
                self.target.settle()
                if not self._take(replace(step, contestant=step.contestant or chain), ground, rows, number):
                    break
                if chain == DFSYNC:
                    self._finish(ground, step)

    def _take(self, step: Step, ground: Ground, rows: int, number: int, there: int = 0) -> bool:
        """Takes a step and keeps what it cost, or why it failed; `there` rows were in the target before."""
        in_all = _count(ground.more if step.of_more else ground.source)
        before = processor_time()
        try:
            ran = step.take(ground)
            passed, stolen = (after - start for after, start in zip(processor_time(), before, strict=True))
            self.target.must_have(in_all + there)
            new = Measured(step.case, step.contestant, rows, number, ran.seconds, ran.peak_mb, in_all)
            new = replace(new, stolen=stolen / max(passed, 1))
        except (NotDone, sa.exc.SQLAlchemyError) as error:
            new = Measured(step.case, step.contestant, rows, number, None, in_all=in_all, error=str(error))
        self.results.add(new)
        done = f"{new.seconds:.2f} s" if new.seconds is not None else new.error
        self.say(f"{rows:>11,}  {step.case:<8}{step.contestant:<28}{done}")
        return not new.error

    def _finish(self, ground: Ground, step: Step) -> None:
        """Keeps the rows as they are now in the target for those who are to send them."""
        if step.case == FIRST:
            self._before = self.target.highest_ids()
        folder = ground.finished / step.case
        if step.case not in (FIRST, TENTH) or (folder / "complete").exists():
            return
        self.target.export(folder, self._before if step.case == TENTH else None)
        if step.case == FIRST and any(name in self.only for name in NEED_FRAMES) and _count(ground.source) < MANY:
            (ground.finished / "frames").mkdir(exist_ok=True)
            ground.peer("frames", ground.finished / "frames", self.target.socket)

    def _create(self, ground: Ground) -> None:
        """The tables, by dfsync's create-tables the first time, and no maps of others."""
        shutil.rmtree(ground.out, ignore_errors=True)
        if self._definitions:
            self.target.create(self._definitions)
            return
        command = (sys.executable, "-m", "dfsync", "create-tables", "--source", ground.source)
        run(command, ROOT, self.patience, {"MARIADB_URL": self.target.url_text})
        self._definitions = self.target.definitions()

    def _ground(self, rows: int) -> Ground:
        more = rows + rows // 10
        source, longer = (self.folder / f"{commits}.db" for commits in (rows, more))
        for path, commits in ((source, rows), (longer, more)):
            if not path.exists():
                self.say(f"A source of {commits:,} commits is made")
                make = (sys.executable, "-m", "data.sample", path, "--synthetic", str(commits))
                subprocess.run(make, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        return Ground(self.target, source, longer, self._finished(rows), self.folder / "out", self.patience)

    def _finished(self, rows: int) -> Path:
        return self.folder / "finished" / str(rows)


def _first(ground: Ground) -> Ran:
    return ground.sync(ground.source)


def _count(source: Path) -> int:
    with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as connection:
        return sum(connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in TABLES)  # noqa: S608
