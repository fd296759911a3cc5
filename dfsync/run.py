"""What one run has open, and what it is going to do: both ends, the complete plan, the shapes of its tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import sqlalchemy as sa

from dfsync import frames, packet, target
from dfsync.discover import choose_plan, complete
from dfsync.graph import ancestors
from dfsync.options import Options
from dfsync.plan import Plan, only, with_on_match
from dfsync.shape import Shape, shapes
from dfsync.source import Source
from dfsync.target_schema import fail_if_missing, reflect
from dfsync.words import command_line


@dataclass
class Run:
    """Owns what one run has open: the source's snapshot and the engine of the target."""

    source: Source
    engine: sa.Engine
    options: Options
    plan: Plan
    names: list[str]
    """The tables to sync, in the plan's order."""
    shapes: dict[str, Shape]
    """Of those that the source has, and of the parents whose maps they need."""
    maps: dict[str, pd.DataFrame] = field(default_factory=dict)
    unwritten: dict[str, str] = field(default_factory=dict)
    """By file of the output folder: why it could not be written."""
    _open: set[sa.Connection] = field(default_factory=set)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.source.close()
        self.engine.dispose()

    @contextmanager
    def connected(self) -> Iterator[sa.Connection]:
        """A connection to the target that `stop` cuts."""
        with target.connect(self.engine) as connection:
            self._open.add(connection)
            try:
                yield connection
            finally:
                self._open.discard(connection)

    def stop(self) -> None:
        """Ends the work of other threads: without a connection the server rolls back."""
        self.source.stop()
        for connection in list(self._open):
            target.cut(connection)


def prepare(source: str | Path, url: str | sa.URL, options: Options) -> Run:
    """Opens both ends and completes the plan. Raises `DfsyncError` for whatever keeps the run from starting."""
    opened = Source(source)
    engine = target.make_engine(url)
    try:
        with target.connect(engine) as connection:
            packet.fail_if_small(connection)
            there = reflect(connection)
        draft = with_on_match(choose_plan(options.plan, opened), options.on_match)
        plan = complete(draft, opened.schema, there)
        names = only(plan, options.tables or plan.names)
        needed = [name for name in plan.names if name in {*names, *ancestors(plan, names)}]
        present = [name for name in needed if opened.schema.find(plan[name].table) is not None]
        remedy = command_line("create-tables", source, options.plan)
        fail_if_missing(there, [plan[name].table for name in present], remedy)
        # A parent that the source lacks has no rows: whatever refers to one is a reject.
        absent = {name: frames.no_map() for name in needed if name not in present}
        return Run(opened, engine, options, plan, names, shapes(plan, present, opened.schema, there), absent)
    except BaseException:
        opened.close()
        engine.dispose()
        raise
