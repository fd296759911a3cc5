"""A server that lets bulk inserts into one table run side by side."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine, make_url, text

from dfsync.target.embedded import EmbeddedServer

_SMALL = ("--innodb-buffer-pool-size=32M", "--innodb-log-file-size=16M", "--innodb-flush-log-at-trx-commit=2")


@pytest.fixture(scope="module")
def interleaved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the server, whose `innodb_autoinc_lock_mode` is 2."""
    folder = tmp_path_factory.mktemp("server")
    with EmbeddedServer(folder, options=(*_SMALL, "--innodb-autoinc-lock-mode=2")) as server:
        yield server.url


@pytest.fixture
def interleaved_target(interleaved: str) -> Iterator[Engine]:
    """An engine on an empty database of that server."""
    server = create_engine(interleaved, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text("DROP DATABASE IF EXISTS writers"))
        connection.execute(text("CREATE DATABASE writers CHARACTER SET utf8mb4"))
    server.dispose()
    target = create_engine(make_url(interleaved).set(database="writers"))
    yield target
    target.dispose()
