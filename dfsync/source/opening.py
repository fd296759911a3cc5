"""The source that the user names, opened: one SQLite file, or several."""

from __future__ import annotations

from collections.abc import Sequence

from dfsync.model.source_file import SourceFile
from dfsync.source.base import Source
from dfsync.source.many.combined import CombinedSource
from dfsync.source.sqlite import SqliteSource


def open_source(files: Sequence[SourceFile], *, several: bool = False) -> Source:
    """Open the files of a source.

    Parameters
    ----------
    files
        At least one, as `dfsync.source.many.files.find_files` gives them.
    several
        Whether one file, too, is opened as one of several: where the output folder has maps of several.

    Returns
    -------
    Source

    Raises
    ------
    DfsyncError
        None of the files can be read.
    """
    if len(files) > 1 or several:
        return CombinedSource(files)
    source = SqliteSource(files[0].path)
    source.files = (files[0],)
    return source
