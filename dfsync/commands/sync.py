"""The sync: every source row gets a row in the target."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import sqlalchemy as sa

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
        another run writes into the same target.
    """
    with open_target(target, source) as location:
        session = open_session(source, location.url, options or SyncOptions(), several=holds_several(Path(out)))
        session.kept = KeptMaps.of(Path(out), display_name(location.url), session.plan)
        with session, nullcontext() if session.options.dry_run else exclusive_lock(session.engine):
            return run_sync(session, Path(out), observer or Observer())
