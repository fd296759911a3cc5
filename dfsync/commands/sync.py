"""The sync: every source row gets a row in the target."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa

from dfsync.model.errors import DfsyncError, Remedy
from dfsync.model.options import SyncOptions
from dfsync.model.source_file import SourceSpec
from dfsync.output.folder.same_ends import holds_several
from dfsync.output.result import SyncResult
from dfsync.pipeline.observer import Observer
from dfsync.pipeline.session.ends import open_target
from dfsync.pipeline.session.kept_maps import KeptMaps
from dfsync.pipeline.session.session import open_session
from dfsync.pipeline.sync import run_sync
from dfsync.target.connection import display_name, exclusive_lock
from dfsync.text.wording import other_ids


def sync(
    source: SourceSpec,
    target: str | sa.URL | None = None,
    *,
    options: SyncOptions | None = None,
    out: str | Path = "dfsync-out",
    observer: Observer | None = None,
) -> SyncResult:
    """Give every row of the source a row in the target, and keep the mapping from old to new ids in `out`.

    Parameters
    ----------
    source
        The SQLite file, or several of one schema: a folder, a glob, a list, or a mapping of names to paths. Each is
        opened read-only and read from one snapshot. Rows of one natural key in several files are one row.
    target
        The URL of the database, as `mysql://user:password@host/database`. None takes `MARIADB_URL`, else
        `MARIADB_CONFIG` of a `config.py` in the working directory, else a private MariaDB.
    options
        The choices of the run; None takes the defaults.
    out
        The folder for the mappings, the rejects and the summary; made where it does not exist.
    observer
        Hears of the run's progress.

    Returns
    -------
    SyncResult
        Counts, mappings and rejects by table. A table that failed is among them, and the others are synced.

    Raises
    ------
    DfsyncError
        Where the run cannot start: source or target is out of reach, there is no such plan, tables are missing, or
        another run writes into the same target; or a row cannot keep its id, and the ids are to be kept strictly.
    """
    options = options or SyncOptions()
    with open_target(target, source) as location:
        if options.strict_ids:
            _require_own_ids(sync(source, location.url, options=replace(options, dry_run=True), out=out))
        session = open_session(source, location.url, options, several=holds_several(Path(out)))
        session.kept = KeptMaps.of(Path(out), display_name(location.url), session.plan)
        with session, nullcontext() if session.options.dry_run else exclusive_lock(session.engine):
            return run_sync(session, Path(out), observer or Observer())


def _require_own_ids(foretold: SyncResult) -> None:
    """Raise `DfsyncError` where a dry run foretells that rows get other ids, or cannot tell."""
    faults = [f"{table.name}: {table.error}" for table in foretold.counts if table.error is not None]
    faults += [
        f"{table.name}: {other_ids(table.other_ids)}"
        for table in foretold.counts
        if table.other_ids is not None and table.other_ids["rows"]
    ]
    if faults:
        raise DfsyncError(
            f"Not every row can keep its id, so no row is written. {'. '.join(faults)}.",
            Remedy("Make room in the target, or use {keep_ids}, which gives these rows other ids."),
        )
