"""What a run has open: both ends, the resolved plan, the bound tables."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from dfsync.model.errors import Remedy
from dfsync.model.options import SyncOptions
from dfsync.model.source_file import SourceSpec
from dfsync.pipeline.journal.rows import RowJournal
from dfsync.pipeline.journal.run import RunJournal
from dfsync.pipeline.session.file_rows import table_of_files
from dfsync.pipeline.session.kept_maps import KeptMaps
from dfsync.pipeline.session.mapping_store import MappingStore
from dfsync.pipeline.session.planning import resolve_draft
from dfsync.pipeline.session.questions import refuse_undecided
from dfsync.pipeline.session.version_check import require_one_version
from dfsync.plan.binding import TableBinding, bind_all
from dfsync.plan.builtin.ready_made import plan_path
from dfsync.plan.graph import ancestors
from dfsync.plan.model import Plan, select
from dfsync.source.base import Source
from dfsync.source.many.files import find_files
from dfsync.source.opening import open_source
from dfsync.stages.row_hash import RowHasher
from dfsync.target import packet
from dfsync.target.connection import abort, connect, make_engine
from dfsync.target.schema.reflection import reflect, require_tables

log = logging.getLogger(__name__)


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
    kept
        The maps of the last run.
    journal
        What this run does to the target; None in a dry run, and before the run begins.
    same_ids
        As of `output.folder.id_mappings.ids_stand`.
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
    kept: KeptMaps = field(default_factory=KeptMaps)
    journal: RunJournal | None = None
    same_ids: dict[str, str] = field(default_factory=dict)
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

    def open_journal(self, binding: TableBinding, connection: sa.Connection, folder: Path | None) -> RowJournal | None:
        """Open the journal of a table in this transaction, with temporary files in `folder`; None in a dry run."""
        if self.journal is None:
            return None
        of_files = partial(table_of_files, self.source, binding.plan)
        return RowJournal(binding, connection, self.connected, folder, of_files)

    def stop(self) -> None:
        """End the work of other threads; without its connection the server rolls a transaction back."""
        self.source.stop()
        for connection in list(self._open):
            abort(connection)


def open_session(
    source: SourceSpec, url: str | sa.URL, options: SyncOptions, *, decided: bool = True, several: bool = False
) -> Session:
    """Open both ends for a run, resolve the plan and bind its tables.

    Parameters
    ----------
    source
        The SQLite file, or several.
    url
        The target.
    options
        What the caller chose.
    decided
        Whether a plan that leaves something undecided is refused.
    several
        Whether one file, too, is opened as one of several.

    Returns
    -------
    Session

    Raises
    ------
    DfsyncError
        For whatever keeps the run from starting.
    """
    opened = open_source(find_files(source), options, several=several)
    engine = make_engine(url)
    try:
        with connect(engine) as connection:
            packet.require_minimum(connection)
            target_schema = reflect(connection)
        keep_ids = options.keep_ids is not None
        path, exclude = plan_path(options.plan), options.exclude
        plan = resolve_draft(path, opened, target_schema, options.on_match, keep_ids=keep_ids, exclude=exclude)
        names = select(plan, options.tables or plan.names)
        needed = [name for name in plan.names if name in {*names, *ancestors(plan, names)}]
        present = [name for name in needed if opened.schema.find(plan[name].table) is not None]
        advice = "`{create_tables}`, with {target} if you gave one, makes what is missing."
        remedy = Remedy(advice, opened.path, options.plan, options.exclude, options.keep_ids)
        require_tables(target_schema, [plan[name].table for name in present], remedy)
        if decided:
            refuse_undecided(plan, opened, target_schema, names, options.exclude)
        opened = opened.with_plan(plan)
        if decided:
            with connect(engine) as connection:
                require_one_version(plan, opened, connection, target_schema)
        # A parent that the source lacks has no rows, and its map stays empty: whatever refers to one is a reject.
        return Session(opened, engine, options, plan, names, bind_all(plan, present, opened.schema, target_schema))
    except BaseException:
        opened.close()
        engine.dispose()
        raise
