"""What a run has open: both ends, the resolved plan, the bound tables."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dfsync.model.errors import DfsyncError, Remedy
from dfsync.model.options import SyncOptions
from dfsync.pipeline.mapping_store import MappingStore
from dfsync.plan.binding import TableBinding, bind_all
from dfsync.plan.discovery import resolve, select_draft
from dfsync.plan.graph import ancestors
from dfsync.plan.model import Plan, select, with_on_match
from dfsync.source.sqlite import SqliteSource
from dfsync.stages.row_hash import RowHasher
from dfsync.target import packet
from dfsync.target.config import (
    CONFIG_FILE,
    EMBEDDED,
    EMBEDDED_DATA,
    PARAMETER,
    VARIABLE,
    TargetLocation,
    named_target,
    parse_url,
)
from dfsync.target.connection import abort, connect, make_engine
from dfsync.target.schema.reflection import reflect, require_tables
from dfsync.text.wording import with_count

if TYPE_CHECKING:
    from sqlalchemy import URL


def draft_plan(path: Path | None, source: SqliteSource) -> Plan:
    """The draft that these options choose. Raises `DfsyncError` where a plan file does not fit the source's rows."""
    draft = select_draft(path, source.schema)
    if path is not None:
        _require_unique_ids(draft, source)
    return draft


def _require_unique_ids(draft: Plan, source: SqliteSource) -> None:
    """Raises `DfsyncError` where the column that a plan file calls the id does not tell the source's rows apart."""
    for table in draft.tables:
        have = source.schema.find(table.table)
        if have is None or not table.id or table.id not in have:
            continue
        column: Any = sa.column(have[table.id].name)
        counts = {
            "that is no integer": sa.func.total(sa.func.typeof(column) != "integer"),
            "that another row has too": sa.func.count(column) - sa.func.count(sa.distinct(column)),
        }
        select = sa.select(*(c.label(k) for k, c in counts.items())).select_from(sa.table(have.name))
        for fault, count in source.query(select).to_pylist()[0].items():
            if count:
                raise DfsyncError(
                    f"The {draft.source}: [tables.{table.name}] has {table.id} as its id, and "
                    f"{with_count(int(count), 'rows')} of {have.name} have a value there {fault}. Name another column, "
                    'or give id = "" for none.'
                )


@dataclass
class Session:
    """Owns what one run has open: the source's snapshot and the engine of the target."""

    source: SqliteSource
    engine: sa.Engine
    options: SyncOptions
    plan: Plan
    names: list[str]
    """The tables to sync, in the plan's order."""
    bindings: dict[str, TableBinding]
    """Of those that the source has, and of the parents whose maps they need."""
    mappings: MappingStore = field(default_factory=MappingStore)
    hasher: RowHasher = field(default_factory=RowHasher.random)
    write_errors: dict[str, str] = field(default_factory=dict)
    """By file of the output folder: why it could not be written."""
    _open: set[sa.Connection] = field(default_factory=set)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.source.close()
        self.engine.dispose()

    @contextmanager
    def connected(self) -> Iterator[sa.Connection]:
        """A connection to the target that `stop` cuts."""
        with connect(self.engine) as connection:
            self._open.add(connection)
            try:
                yield connection
            finally:
                self._open.discard(connection)

    def stop(self) -> None:
        """Ends the work of other threads: without a connection the server rolls back."""
        self.source.stop()
        for connection in list(self._open):
            abort(connection)


def open_session(source: str | Path, url: str | sa.URL, options: SyncOptions) -> Session:
    """Opens both ends and completes the plan. Raises `DfsyncError` for whatever keeps the run from starting."""
    opened = SqliteSource(source)
    engine = make_engine(url)
    try:
        with connect(engine) as connection:
            packet.require_minimum(connection)
            there = reflect(connection)
        draft = with_on_match(draft_plan(options.plan, opened), options.on_match)
        plan = resolve(draft, opened.schema, there)
        names = select(plan, options.tables or plan.names)
        needed = [name for name in plan.names if name in {*names, *ancestors(plan, names)}]
        present = [name for name in needed if opened.schema.find(plan[name].table) is not None]
        advice = "`{create_tables}`, with {target} if you gave one, makes what is missing."
        remedy = Remedy(advice, source=source, plan=options.plan)
        require_tables(there, [plan[name].table for name in present], remedy)
        # A parent that the source lacks has no rows, and its map stays empty: whatever refers to one is a reject.
        return Session(opened, engine, options, plan, names, bind_all(plan, present, opened.schema, there))
    except BaseException:
        opened.close()
        engine.dispose()
        raise


@contextlib.contextmanager
def open_target(
    target: str | URL | None, source: str | Path | None = None, *, origin: str = PARAMETER
) -> Iterator[TargetLocation]:
    """Find the target, and run the embedded MariaDB for as long as it is needed where nothing else is named.

    A `source` that cannot be read is refused before that server starts. Raises `DfsyncError` for it, and for a URL or a
    `config.py` that cannot be used. Connects to nothing but the embedded server. `origin` is what the caller's user
    calls the `target`.
    """
    choice = named_target(target, origin)
    if choice is not None:
        yield choice
        return
    if source is not None:
        SqliteSource(source).close()
    from dfsync.target.embedded import EmbeddedServer

    server = EmbeddedServer(EMBEDDED_DATA)
    try:
        server.start()
    except DfsyncError as error:
        named = f"nor {VARIABLE} nor a {CONFIG_FILE} in this folder names a database."
        remedy = Remedy(f"The embedded MariaDB is used because neither {{target}} {named}")
        raise DfsyncError(f"{error}\n", remedy) from error
    try:
        yield TargetLocation(parse_url(server.url, f"the {EMBEDDED}"), EMBEDDED)
    finally:
        server.stop()
