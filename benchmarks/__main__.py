"""`make bench`, or `python -m benchmarks`: dfsync, the floor under it and its peers on the same rows, in one run.

    make bench                                     all of it, up to ten million commits
    make bench ARGS="--quick"                      up to a million, peers that take long left out
    make bench ARGS="--rows 10000 --only dfsync"   a part

What is measured is kept after each step in benchmarks/work; a run that was stopped goes on where it was, as long as
the code is the same.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from functools import partial
from pathlib import Path

from rich.console import Console

from benchmarks.machine import describe, state_of_code
from benchmarks.process import NotDone
from benchmarks.report import grids, write_markdown
from benchmarks.results import Results
from benchmarks.runner import Bench
from benchmarks.steps import CHAINS, DFSYNC, FLOOR, ROOT
from benchmarks.target import Target
from dfsync.model.errors import DfsyncError
from dfsync.target.embedded import EmbeddedServer

HERE = Path(__file__).parent
WORK = HERE / "work"
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
FOREIGN_ROWS = 5_000_000
# Room in memory for the indexes, as a server that serves such tables has; when it writes to the disk is its default.
SERVER_OPTIONS = ("--innodb-buffer-pool-size=3G", "--innodb-log-file-size=1G")
EXTRAS = ("foreign", "fleet", "start", "writers")
FLEET_FILES, QUICK_FLEET_FILES = 1_000, 100
WRITERS_ROWS = 1_000_000
# As MySQL 8 and Galera have it; it cannot be changed while a server runs.
SIDE_BY_SIDE = "--innodb-autoinc-lock-mode=2"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="dfsync, the floor and the peers.")
    parser.add_argument("--rows", type=int, nargs="+", metavar="N", help=f"commits of the sources; default: {SIZES}")
    parser.add_argument(
        "--only", nargs="+", metavar="WHO", choices=[*CHAINS, *EXTRAS], help=", ".join([*CHAINS, *EXTRAS])
    )
    parser.add_argument("--quick", action="store_true", help="up to a million commits, and less patience with peers")
    parser.add_argument("--patience", type=float, metavar="SECONDS", help="for a step; default: 300, quick 100")
    parser.add_argument("--foreign", type=int, default=FOREIGN_ROWS, metavar="N", help="rows of somebody else")
    parser.add_argument("--again", action="store_true", help="forget what has been measured")
    return parser.parse_args()


def stolen(results: Results) -> str:
    """What others had of a virtual machine meanwhile."""
    ours, floors = (f"{results.stolen(who):.1%}" for who in (DFSYNC, FLOOR))
    return f"of the processors' time, by a hypervisor: {ours} (dfsync), {floors} (floor), median of the steps"


def main() -> int:
    asked = arguments()
    console = Console()
    WORK.mkdir(exist_ok=True)
    if asked.again:
        (WORK / "results.json").unlink(missing_ok=True)
    results = Results.open(WORK / "results.json", state_of_code(ROOT))
    only = asked.only or [*CHAINS, *EXTRAS]
    with EmbeddedServer(WORK / "mariadb", options=SERVER_OPTIONS) as server:
        patience = asked.patience or (100.0 if asked.quick else 300.0)
        target = Target(server.url)
        bench = Bench(WORK, target, results, patience, only, partial(print, flush=True))
        if "start" in only:
            bench.start()
        for rows in asked.rows or (SIZES[:-1] if asked.quick else SIZES):
            bench.size(rows)
        if "fleet" in only:
            bench.fleet(QUICK_FLEET_FILES if asked.quick else FLEET_FILES)
        if "foreign" in only:
            bench.foreign(asked.foreign)
        machine = describe(WORK, target.version(), SERVER_OPTIONS)
        machine["Stolen"] = stolen(results)
    if "writers" in only:
        # Not beside the other server, which has memory of its own.
        with EmbeddedServer(WORK / "mariadb-side-by-side", options=(*SERVER_OPTIONS, SIDE_BY_SIDE)) as server:
            bench = Bench(WORK, Target(server.url), results, patience, only, partial(print, flush=True))
            for rows in asked.rows or [WRITERS_ROWS]:
                bench.writers(rows)
    for grid in grids(results):
        console.print(grid.as_rich())
    write_markdown(HERE / "RESULTS.md", machine, grids(results))
    # Last, and only then imported: what this process holds would be counted as that of those that it starts.
    from benchmarks.plot import draw

    draw(results, HERE)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (DfsyncError, NotDone) as error:
        sys.exit(f"bench: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
