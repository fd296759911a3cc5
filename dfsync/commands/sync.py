"""The sync: every source row gets a row in the target."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import sqlalchemy as sa

from dfsync.model.options import SyncOptions
from dfsync.output.result import SyncResult
from dfsync.pipeline.observer import Observer
from dfsync.pipeline.session import open_session, open_target
from dfsync.pipeline.sync import run_sync
from dfsync.target.connection import exclusive_lock


def sync(
    source: str | Path,
    target: str | sa.URL | None = None,
    *,
    out: str | Path = "dfsync-out",
    options: SyncOptions | None = None,
    observer: Observer | None = None,
) -> SyncResult:
    """Gives every row of the source a row in the target, and keeps the map from old to new id in `out`.

    `target` is a URL; None looks where the command line looks. Raises `DfsyncError` where it cannot start; a table
    that fails is in the result, and the others go on.
    """
    with open_target(target, source) as choice:
        run = open_session(source, choice.url, options or SyncOptions())
        with run, nullcontext() if run.options.dry_run else exclusive_lock(run.engine):
            return run_sync(run, Path(out), observer or Observer())
