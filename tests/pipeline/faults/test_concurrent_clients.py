"""The map is right while other clients insert into the same tables, in every way that AUTO_INCREMENT counts."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, make_url, text

from dfsync.commands.sync import sync
from dfsync.model.errors import DfsyncError
from dfsync.output.result import SyncResult
from dfsync.pipeline.observer import Observer
from dfsync.plan.model import Plan, TablePlan
from dfsync.target.embedded import EmbeddedServer
from tests.support.git_history import assert_copied, counts, create_tables, run, sample, source_rows, target_rows

WAYS = pytest.mark.parametrize("local_infile", [True, False], ids=["load data local", "plain inserts"])
TABLES = ("repositories", "authors", "commits")
CLIENTS = 2
SMALL = ("--innodb-buffer-pool-size=32M", "--innodb-log-file-size=16M", "--innodb-flush-log-at-trx-commit=2")


class Clients:
    """Others who insert commits and authors of their own, one and several at a time, until it is enough."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url)
        self._enough = threading.Event()
        self._started = threading.Barrier(CLIENTS + 1)
        self._threads = [threading.Thread(target=self._insert, args=(number,)) for number in range(CLIENTS)]
        self.failures: list[Exception] = []

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        self._started.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()
        self._engine.dispose()

    def _insert(self, number: int) -> None:
        with self._engine.connect() as connection:
            self._started.wait(20)
            turn = 0
            while not self._enough.is_set():
                turn += 1
                try:
                    self._turn(connection, f"{number}-{turn}", turn % 5 + 1)
                except Exception as error:
                    self.failures.append(error)
                    return

    def _turn(self, connection: Connection, name: str, rows: int) -> None:
        emails = [{"email": f"{name}-{row}@theirs"} for row in range(rows)]
        connection.execute(text("INSERT INTO authors (email) VALUES (:email)"), emails)
        hashes = [{"hash": f"theirs-{name}-{row}"} for row in range(rows)]
        connection.execute(text("INSERT INTO commits (repository_id, hash) VALUES (1, :hash)"), hashes)
        connection.commit()
        # A breath, so that there are not so many of their rows that reading them takes the test's time.
        time.sleep(0.002)


def sync_among_others(source: Path, target: Engine, out: Path, local_infile: bool, **options: Any) -> None:
    with Clients(target.url.render_as_string(hide_password=False)) as others:
        result = run(source, target, out, **{"batch_size": 60, **options}, local_infile=local_infile, tables=TABLES)
    assert others.failures == []
    assert counts(result)["commits"] == (300, 0, 0)
    assert_copied(source, target, result.mappings)
    theirs = [row for row in target_rows(target, "authors").values() if row["email"].endswith("@theirs")]
    assert len(theirs) > 10
    assert len(target_rows(target, "authors")) == len(theirs) + len(source_rows(source, "authors"))
    _assert_in_between(target, source)


def _assert_in_between(target: Engine, source: Path) -> None:
    """Their rows have ids among ours, or the test has proved nothing."""
    rows = {id_: row["email"].endswith("@theirs") for id_, row in target_rows(target, "authors").items()}
    ours = [id_ for id_, foreign in rows.items() if not foreign]
    assert [id_ for id_, foreign in rows.items() if foreign and min(ours) < id_ < max(ours)]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample(tmp_path_factory.mktemp("source") / "history.db", 300)


@pytest.fixture(scope="module", params=[("1", "2"), ("2", "1"), ("2", "3")], ids=" by ".join)
def counting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own way of counting."""
    mode, step = request.param
    options = (*SMALL, f"--innodb-autoinc-lock-mode={mode}", f"--auto-increment-increment={step}")
    with EmbeddedServer(tmp_path_factory.mktemp("server"), options=options) as server:
        yield server.url


@pytest.fixture
def counted(counting: str) -> Iterator[Engine]:
    """A new database there, with the nine tables and a repository of somebody else."""
    server = create_engine(counting, isolation_level="AUTOCOMMIT")
    name = f"counting_{uuid.uuid4().hex}"
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} CHARACTER SET utf8mb4"))
    server.dispose()
    target = create_engine(make_url(counting).set(database=name))
    create_tables(target)
    with target.begin() as connection:
        connection.execute(text("INSERT INTO repositories (slug) VALUES ('theirs')"))
    yield target
    target.dispose()


class TestOtherClients:
    @WAYS
    def test_and_how_this_server_counts(self, source: Path, target: Engine, tmp_path: Path, local_infile: bool) -> None:
        create_tables(target)
        with target.begin() as connection:
            connection.execute(text("INSERT INTO repositories (slug) VALUES ('theirs')"))
        sync_among_others(source, target, tmp_path / "out", local_infile)

    @WAYS
    def test_and_every_way_to_count(self, counted: Engine, source: Path, tmp_path: Path, local_infile: bool) -> None:
        sync_among_others(source, counted, tmp_path / "out", local_infile)

    @WAYS
    def test_and_several_writers(self, counted: Engine, source: Path, tmp_path: Path, local_infile: bool) -> None:
        sync_among_others(source, counted, tmp_path / "out", local_infile, batch_size=9, commit_every=20, writers=2)


class _Pausing(Observer):
    """Stops in the middle of the commits until it may go on."""

    def __init__(self) -> None:
        self.begun, self.there, self.go_on = threading.Event(), threading.Event(), threading.Event()

    def run_started(self, plan: Plan, names: list[str]) -> None:
        self.begun.set()

    def progress(self, table: TablePlan, done: int) -> None:
        if table.name == "commits" and done:
            self.there.set()
            assert self.go_on.wait(60)


class TestTwoAtOnce:
    @pytest.fixture
    def first(self, source: Path, target: Engine, tmp_path: Path) -> Iterator[tuple[_Pausing, Future[SyncResult]]]:
        """A sync that stands still within a table."""
        create_tables(target)
        observer = _Pausing()
        with ThreadPoolExecutor(1) as worker:
            run_ = worker.submit(sync, source, target.url, out=tmp_path / "first", observer=observer)
            assert observer.there.wait(60)
            yield observer, run_
            observer.go_on.set()

    def test_the_second_waits_and_finds_what_the_first_has_brought(
        self, first: tuple[_Pausing, Future[SyncResult]], source: Path, target: Engine, tmp_path: Path
    ) -> None:
        observer, run_ = first
        with ThreadPoolExecutor(1) as worker:
            waiting = _Pausing()
            waiting.go_on.set()
            second = worker.submit(sync, source, target.url, out=tmp_path / "second", observer=waiting)
            assert not waiting.begun.wait(1)
            observer.go_on.set()
            brought, found = counts(run_.result()), counts(second.result())
        assert brought["commits"] == (300, 0, 0)
        assert {name: (synced, failed) for name, (synced, _, failed) in found.items()} == dict.fromkeys(brought, (0, 0))
        maps = [(tmp_path / name / "id_mappings.json").read_bytes() for name in ("first", "second")]
        assert maps[0] == maps[1]

    def test_the_second_does_not_wait_for_ever(
        self,
        first: tuple[_Pausing, Future[SyncResult]],
        source: Path,
        target: Engine,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("dfsync.target.connection._LOCK_SECONDS", 1)
        with pytest.raises(
            DfsyncError, match=r"^Another dfsync is writing to .* has not ended in 1 seconds\. Run again"
        ):
            sync(source, target.url, out=tmp_path / "second")
        assert not (tmp_path / "second").exists()
        first[0].go_on.set()
        assert first[1].result().ok
