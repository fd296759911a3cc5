"""What a run has open: both ends, the resolved plan, the bound tables."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from dfsync.model.errors import DfsyncError, Remedy
from dfsync.model.options import SyncOptions
from dfsync.pipeline.session.mapping_store import MappingStore
from dfsync.pipeline.session.questions import refuse_undecided
from dfsync.plan.binding import TableBinding, bind_all
from dfsync.plan.discovery.draft import select_draft
from dfsync.plan.discovery.resolve import resolve
from dfsync.plan.graph import ancestors
from dfsync.plan.model import Plan, select, with_on_match
from dfsync.source.base import Source
from dfsync.source.sqlite import SqliteSource
from dfsync.stages.row_hash import RowHasher
from dfsync.target import packet
from dfsync.target.connection import abort, connect, make_engine
from dfsync.target.schema.reflection import reflect, require_tables
from dfsync.text.wording import with_count

log = logging.getLogger(__name__)


def draft_plan(path: Path | None, source: Source) -> Plan:
    """Select the draft of a plan for a source.

    Parameters
    ----------
    path
        A plan file; None selects the built-in plan, or all tables where the source is of another kind.
    source
        The source.

    Returns
    -------
    Plan
        What it leaves out is for `dfsync.plan.discovery.resolve.resolve`.

    Raises
    ------
    DfsyncError
        Where a plan file cannot be read, or does not fit the source's tables or rows.
    """
    draft = select_draft(path, source.schema)
    log.debug("chose the %s, of the tables %s", draft.source, ", ".join(draft.names))
    if path is not None:
        _require_unique_ids(draft, source)
    return draft


def _require_unique_ids(draft: Plan, source: Source) -> None:
    """Raise `DfsyncError` where the id that a plan file names is not unique, or no integer."""
    for table in draft.tables:
        source_table = source.schema.find(table.table)
        if source_table is None or not table.id or table.id not in source_table:
            continue
        column: Any = sa.column(source_table[table.id].name)
        counts = {
            "that is no integer": sa.func.total(sa.func.typeof(column) != "integer"),
            "that another row has too": sa.func.count(column) - sa.func.count(sa.distinct(column)),
        }
        select = sa.select(*(c.label(k) for k, c in counts.items())).select_from(sa.table(source_table.name))
        for fault, count in source.query(select).to_pylist()[0].items():
            if count:
                raise DfsyncError(
                    f"The {draft.source}: [tables.{table.name}] has {table.id} as its id, and "
                    f"{with_count(int(count), 'rows')} of {source_table.name} have a value there {fault}. Name another "
                    'column, or give id = "" for none.'
                )


@dataclass
class Session:
    """Owns what one run has open: the source's snapshot and the engine of the target.

    Attributes
    ----------
    source
        The source's snapshot.
    engine
        The target.
    options
        What the caller chose.
    plan
        The resolved plan, of all tables.
    names
        The tables to sync, in the plan's order.
    bindings
        By name: the tables that the source has, and the parents whose maps they need.
    mappings
        The new ids so far; what tables learn of each other's rows they learn here.
    hasher
        Hashes rows, by a seed of this session.
    write_errors
        By file of the output folder: why it could not be written.
    """

    source: Source
    engine: sa.Engine
    options: SyncOptions
    plan: Plan
    names: list[str]
    bindings: dict[str, TableBinding]
    mappings: MappingStore = field(default_factory=MappingStore)
    hasher: RowHasher = field(default_factory=RowHasher.random)
    write_errors: dict[str, str] = field(default_factory=dict)
    _open: set[sa.Connection] = field(default_factory=set)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close both ends."""
        self.source.close()
        self.engine.dispose()

    @contextmanager
    def connected(self) -> Iterator[sa.Connection]:
        """Open a connection to the target, which `stop` aborts."""
        with connect(self.engine) as connection:
            self._open.add(connection)
            try:
                yield connection
            finally:
                self._open.discard(connection)

    def stop(self) -> None:
        """End the work of other threads; without its connection the server rolls a transaction back."""
        self.source.stop()
        for connection in list(self._open):
            abort(connection)


def open_session(source: str | Path, url: str | sa.URL, options: SyncOptions, *, decided: bool = True) -> Session:
    """Open both ends for a run, resolve the plan and bind its tables.

    Parameters
    ----------
    source
        The SQLite file.
    url
        The target.
    options
        What the caller chose.
    decided
        Whether a plan that leaves something undecided is refused.

    Returns
    -------
    Session

    Raises
    ------
    DfsyncError
        For whatever keeps the run from starting.
    """
    opened = SqliteSource(source)
    engine = make_engine(url)
    try:
        with connect(engine) as connection:
            packet.require_minimum(connection)
            target_schema = reflect(connection)
        draft = with_on_match(draft_plan(options.plan, opened), options.on_match)
        plan = resolve(draft, opened.schema, target_schema)
        names = select(plan, options.tables or plan.names)
        needed = [name for name in plan.names if name in {*names, *ancestors(plan, names)}]
        present = [name for name in needed if opened.schema.find(plan[name].table) is not None]
        advice = "`{create_tables}`, with {target} if you gave one, makes what is missing."
        remedy = Remedy(advice, source=source, plan=options.plan)
        require_tables(target_schema, [plan[name].table for name in present], remedy)
        if decided:
            refuse_undecided(plan, opened, target_schema, names)
        # A parent that the source lacks has no rows, and its map stays empty: whatever refers to one is a reject.
        return Session(opened, engine, options, plan, names, bind_all(plan, present, opened.schema, target_schema))
    except BaseException:
        opened.close()
        engine.dispose()
        raise
