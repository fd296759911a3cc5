"""Who runs, and what each of them does in which order in a database of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.process import Ran, run
from benchmarks.target import Target

ROOT = Path(__file__).parents[1]
DFSYNC, PLAIN, FLOOR, READING = "dfsync", "dfsync, plain inserts", "floor", "bare reading"
TO_SQL, MULTI, SQLITE3MYSQL, DBMERGE = "pandas to_sql", "pandas to_sql multi", "sqlite3-to-mysql", "dbmerge"
OUR_PATIENCE = 3600.0
FIRST, SECOND, TENTH, FOREIGN, START, WRITERS = "first", "second", "tenth", "foreign", "start", "writers"
TWO_WRITERS = "dfsync --writers 2"
FLEET = "fleet"
"""Many files into one target."""


@dataclass(frozen=True)
class Ground:
    """What the steps of one size have to work with."""

    target: Target
    source: Path
    """The SQLite file."""
    more: Path
    """The same with a tenth more commits."""
    finished: Path
    """The folder for the rows as they are in the target after a sync: `first`, `tenth`, `frames`."""
    out: Path
    patience: float
    """Seconds that a peer may take."""

    def sync(self, source: Path, *options: str) -> Ran:
        # A name, since the file with a tenth more is the same source.
        named = f"bench:{source}" if source.is_file() else str(source)
        command = (sys.executable, "-m", "dfsync", "--source", named, "--out", str(self.out))
        return run((*command, *options), ROOT, OUR_PATIENCE, {"MARIADB_URL": self.target.url_text})

    def peer(self, *arguments: str | Path) -> Ran:
        return run((sys.executable, "-m", "benchmarks.peers", *arguments), ROOT, self.patience)


@dataclass(frozen=True)
class Step:
    """A measurement of a chain; `contestant` where it is another's than the chain's. `of_more`: the rows that must be
    there afterwards are those of `Ground.more`."""

    case: str
    take: Callable[[Ground], Ran]
    contestant: str = ""
    of_more: bool = False


def _read_both(ground: Ground) -> Ran:
    ran = ground.peer("read", ground.source, ground.target.socket)
    return Ran(float(ran.said), ran.peak_mb)


def _copy(ground: Ground) -> Ran:
    tool = Path(sys.executable).with_name("sqlite3mysql")
    place = ("-d", ground.target.url.database or "", "-u", "root", "-k", ground.target.socket)
    # The same tables as all: its own have no room for the longest texts, and it cannot make them without rows.
    return run((tool, "-f", ground.source, *place, "-K", "-q"), ROOT, ground.patience)


CHAINS: dict[str, tuple[Step, ...]] = {
    DFSYNC: (
        Step(FIRST, lambda ground: ground.sync(ground.source)),
        Step(SECOND, lambda ground: ground.sync(ground.source)),
        Step(SECOND, _read_both, READING),
        Step(TENTH, lambda ground: ground.sync(ground.more), of_more=True),
    ),
    FLOOR: (
        Step(FIRST, lambda ground: Ran(ground.target.load(ground.finished / FIRST))),
        Step(TENTH, lambda ground: Ran(ground.target.load(ground.finished / TENTH)), of_more=True),
    ),
    PLAIN: (Step(FIRST, lambda ground: ground.sync(ground.source, "--no-local-infile")),),
    TO_SQL: (Step(FIRST, lambda ground: ground.peer("to_sql", ground.finished / "frames", ground.target.url_text)),),
    DBMERGE: (Step(FIRST, lambda ground: ground.peer("dbmerge", ground.finished / "frames", ground.target.url_text)),),
    MULTI: (Step(FIRST, lambda ground: ground.peer("multi", ground.finished / "frames", ground.target.url_text)),),
    SQLITE3MYSQL: (Step(FIRST, _copy),),
}
SIDE_BY_SIDE = (
    Step(WRITERS, lambda ground: ground.sync(ground.source), DFSYNC),
    Step(WRITERS, lambda ground: ground.sync(ground.source, "--writers", "2"), TWO_WRITERS),
    Step(WRITERS, lambda ground: Ran(ground.target.load(ground.finished / FIRST)), FLOOR),
)
"""On a server that lets several bulk inserts into one table run side by side; the floor has one connection."""
OURS = (DFSYNC, FLOOR)
NEED_FRAMES = (TO_SQL, DBMERGE, MULTI)
