"""The source that the user names, opened: one SQLite file, or several."""

from __future__ import annotations

from collections.abc import Sequence

from dfsync.model.options import SyncOptions
from dfsync.model.schema import Schema
from dfsync.model.source_file import SourceFile
from dfsync.source.base import Source
from dfsync.source.many.combined import CombinedSource
from dfsync.source.planned.relations import PlannedTables
from dfsync.source.reflection import reflect
from dfsync.source.sqlite import SqliteSource


def open_source(files: Sequence[SourceFile], options: SyncOptions | None = None, *, several: bool = False) -> Source:
    """Open the files of a source.

    Parameters
    ----------
    files
        At least one, as `dfsync.source.many.files.find_files` gives them.
    options
        Names the plan file, whose names, views and queries the source has instead of its own; those of tables that are
        excluded, or not among the `tables`, are not run where they need not be.
    several
        Whether one file, too, is opened as one of several: where the output folder has maps of several.

    Returns
    -------
    Source

    Raises
    ------
    DfsyncError
        None of the files can be read, nor the plan file, or its queries are none.
    """
    planned = PlannedTables.of(options or SyncOptions())
    if len(files) > 1 or several:
        return CombinedSource(files, planned.show)

    def shown(source: SqliteSource) -> Schema:
        return planned.show(source, reflect(source))

    source = SqliteSource(files[0].path, shown)
    source.files = (files[0],)
    return source
