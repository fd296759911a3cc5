"""The MariaDB that the tests run against: one of their own per worker, or the one that DFSYNC_TEST_URL names."""

from __future__ import annotations

import logging
import os
import signal
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from sqlalchemy import Engine, create_engine, make_url, text

from dfsync.target.embedded import EmbeddedServer

# Tests kill processes, not machines, so the log need not reach the disk at every commit.
TEST_OPTIONS = (
    "--innodb-buffer-pool-size=64M",
    "--innodb-log-file-size=32M",
    "--innodb-flush-log-at-trx-commit=2",
)

# How long one example takes says how busy the machine is. `thorough` is the long run, of the properties too that do not
# say themselves how often they are tried.
settings.register_profile("unhurried", deadline=None)
settings.register_profile("thorough", max_examples=10_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "unhurried"))

# What runs in the background of a shell, or under nohup, ignores these, and so would all that the tests start.
for _signal, _handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_signal) is signal.SIG_IGN:
        signal.signal(_signal, _handler)


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """The level and the handlers that a command gives the log last for one test, in whatever order tests run."""
    log = logging.getLogger("dfsync")
    handlers, level = log.handlers[:], log.level
    yield
    log.handlers[:] = handlers
    log.setLevel(level)


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """The URL of a real server, to add one's own database to."""
    given = os.environ.get("DFSYNC_TEST_URL")
    if given:
        yield given
        return
    with (
        tempfile.TemporaryDirectory(prefix="dfsync-tests-") as folder,
        EmbeddedServer(Path(folder) / "mariadb", options=TEST_OPTIONS) as server,
    ):
        yield server.url


@pytest.fixture
def target(server_url: str) -> Iterator[Engine]:
    """An engine on a new, empty database of this test alone."""
    name = f"dfsync_test_{uuid.uuid4().hex}"
    server = create_engine(server_url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} CHARACTER SET utf8mb4"))
    engine = create_engine(make_url(server_url).set(database=name))
    yield engine
    engine.dispose()
    with server.connect() as connection:
        # A connection that a test forgot may hold a table; fail then, not hang.
        connection.execute(text("SET lock_wait_timeout = 20"))
        connection.execute(text(f"DROP DATABASE {name}"))
    server.dispose()


@pytest.fixture
def target_url(target: Engine) -> str:
    """The URL of `target`."""
    return target.url.render_as_string(hide_password=False)
