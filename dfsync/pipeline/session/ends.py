"""Opening source and target, for every command in the same way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import sqlalchemy as sa

from dfsync.model.errors import DfsyncError, Remedy
from dfsync.model.options import SyncOptions
from dfsync.model.source_file import SourceSpec
from dfsync.source.base import Source
from dfsync.source.many.files import find_files
from dfsync.source.opening import open_source
from dfsync.target.config.location import (
    CONFIG_FILE,
    EMBEDDED,
    EMBEDDED_DATA,
    PARAMETER,
    VARIABLE,
    Credentials,
    TargetLocation,
    named_target,
)
from dfsync.target.config.url import parse_url
from dfsync.target.connection import connect, make_engine
from dfsync.target.embedded import EmbeddedServer


@dataclass(frozen=True)
class Ends:
    """Both ends, open.

    Attributes
    ----------
    source
        The source's snapshot.
    connection
        A connection to the target.
    """

    source: Source
    connection: sa.Connection


@contextmanager
def open_ends(
    source: SourceSpec, target: str | sa.URL | None = None, options: SyncOptions | None = None
) -> Iterator[Ends]:
    """Open source and target.

    Parameters
    ----------
    source
        The SQLite file, or several: see `dfsync.source.many.files.find_files`.
    target
        A URL; None looks where the command line looks.
    options
        As for `open_source`.

    Yields
    ------
    Ends

    Raises
    ------
    DfsyncError
        Where one of them cannot be opened; one error for both where neither can.
    """
    with open_target(target, source) as location, ExitStack() as stack:
        engine = make_engine(location.url)
        stack.callback(engine.dispose)
        opened: Source | None = None
        connection: sa.Connection | None = None
        errors: list[DfsyncError] = []
        try:
            opened = stack.enter_context(open_source(find_files(source), options))
        except DfsyncError as error:
            errors.append(error)
        try:
            connection = stack.enter_context(connect(engine))
        except DfsyncError as error:
            errors.append(error)
        if opened is None or connection is None:
            raise DfsyncError.combined(errors)
        yield Ends(opened, connection)


@contextmanager
def open_target(
    target: str | sa.URL | None,
    source: SourceSpec | None = None,
    *,
    origin: str = PARAMETER,
    credentials: Credentials | None = None,
) -> Iterator[TargetLocation]:
    """Find the target, and run the private MariaDB for as long as it is needed where nothing else is named.

    A `source` that cannot be read is refused before that server starts. Raises `DfsyncError` for it, and for a URL or a
    `config.py` that cannot be used. Connects to nothing but the private MariaDB. `origin` is what the caller's user
    calls the `target`; `credentials` are what else the user gave.
    """
    choice = named_target(target, origin, credentials)
    if choice is not None:
        yield choice
        return
    if source is not None:
        open_source(find_files(source)).close()
    server = EmbeddedServer(EMBEDDED_DATA)
    try:
        server.start()
    except DfsyncError as error:
        named = f"nor {VARIABLE} nor a {CONFIG_FILE} in this folder names a database."
        remedy = Remedy(f"The private MariaDB is used because neither {{target}} {named}")
        raise DfsyncError(f"{error}\n", remedy) from error
    try:
        yield TargetLocation(parse_url(server.url, f"the {EMBEDDED}"), EMBEDDED)
    finally:
        server.stop()
