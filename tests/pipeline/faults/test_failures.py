"""A table that fails as a whole rolls back, and the others go on."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text

import dfsync.target.connection
from dfsync.__main__ import main
from dfsync.commands.sync import sync
from dfsync.model.options import SyncOptions
from dfsync.output.result import TableCounts
from dfsync.pipeline.observer import Observer
from dfsync.plan.model import TablePlan
from dfsync.stages.conform.conform import conform
from dfsync.target.connection import _SESSION
from dfsync.target.embedded import EmbeddedServer
from dfsync.text.redaction import register_secret
from tests.conftest import TEST_OPTIONS
from tests.support.git_history import (
    assert_copied,
    counts,
    create_tables,
    empty_source,
    execute,
    fetch,
    ids,
    run,
    run_sql,
    source_rows,
    target_rows,
    user,
)
from tests.support.runs.killed import HISTORY, KILLED

WAYS = pytest.mark.parametrize("local_infile", [True, False], ids=["load data local", "plain inserts"])


@pytest.fixture
def limited(target: Engine) -> Iterator[Engine]:
    """The target as a user who may not write everywhere."""
    create_tables(target)
    writable = ("repositories", "commits", "pr_approvals")
    with user(target, "secret pass", "SELECT ON *", *(f"INSERT ON {table}" for table in writable)) as name:
        engine = create_engine(target.url.set(username=name, password="secret pass"))
        yield engine
        engine.dispose()


@contextmanager
def server_of_its_own(folder: Path) -> Iterator[EmbeddedServer]:
    """A server that may be killed, with the nine tables."""
    with EmbeddedServer(folder / "mariadb", options=TEST_OPTIONS) as server:
        target = create_engine(server.url)
        create_tables(target)
        target.dispose()
        yield server


class TestATableThatFails:
    def test_rolls_back_while_the_others_commit_and_its_children_are_rejects(
        self, source: Path, target: Engine, limited: Engine, out: Path
    ) -> None:
        execute(
            target,
            f"INSERT INTO repositories (id, slug) VALUES (7, '{source_rows(source, 'repositories')[12]['slug']}')",  # noqa: S608
            "INSERT INTO pull_requests (id, repository_id, pr_id) VALUES (77, 7, 1)",
        )
        result = run(source, limited, out, tables=HISTORY)
        assert not result.ok
        pulls = source_rows(source, "pull_requests")
        there = [id_ for id_, row in pulls.items() if (row["repository_id"], row["pr_id"]) == (12, 1)]
        assert len(there) == 1
        by_name = {c.name: c for c in result.counts}
        assert "denied" in (by_name["pull_requests"].error or "")
        assert counts(result)["pull_requests"] == (0, len(there), len(pulls) - len(there))
        assert counts(result)["commits"] == (200, 0, 0)
        assert len(target_rows(target, "commits")) == 200
        assert list(target_rows(target, "pull_requests")) == [77]
        # What is in the target stays in the map, and lets its own children in.
        assert ids(result.mappings["pull_requests"]) == dict.fromkeys(there, 77)
        children = source_rows(source, "pr_approvals")
        orphans = [id_ for id_, row in children.items() if row["pull_request_id"] not in there]
        assert list(result.rejects["pr_approvals"]["old_id"]) == orphans
        assert counts(result)["pr_approvals"] == (len(children) - len(orphans), 0, len(orphans))
        assert result.rejects["pull_requests"].empty

    def test_is_made_good_by_another_run(self, source: Path, target: Engine, limited: Engine, out: Path) -> None:
        run(source, limited, out, tables=HISTORY)
        result = run(source, target, out, tables=HISTORY)
        assert result.ok
        assert_copied(source, target, result.mappings, also_matched=True)

    @WAYS
    def test_in_the_middle_leaves_none_of_its_rows(
        self, source: Path, target: Engine, out: Path, local_infile: bool
    ) -> None:
        create_tables(target)
        options = SyncOptions(batch_size=50, tables=HISTORY, local_infile=local_infile, jobs=1)
        cut = _CutOff(target, "commits", after=100)
        result = sync(source, target.url, out=out, options=options, observer=cut)
        assert cut.done
        by_name = {c.name: c for c in result.counts}
        assert by_name["commits"].error
        assert counts(result)["commits"] == (0, 0, 200)
        assert fetch(target, "SELECT COUNT(*) FROM commits") == [(0,)]
        assert {name: c.failed for name, c in by_name.items() if name != "commits"} == {
            "repositories": 0,
            "pull_requests": 0,
            "pr_approvals": 0,
        }
        assert ids(result.mappings["commits"]) == {}

    @WAYS
    def test_because_its_ids_have_run_out(self, source: Path, target: Engine, out: Path, local_infile: bool) -> None:
        create_tables(target)
        execute(target, "ALTER TABLE pull_requests MODIFY id INT AUTO_INCREMENT, AUTO_INCREMENT = 2147483640")
        result = run(source, target, out, tables=HISTORY, local_infile=local_infile)
        assert [c.name for c in result.counts if c.error] == ["pull_requests"]
        if "MariaDB" in fetch(target, "SELECT VERSION()")[0][0]:
            assert "the ids of the table have run out; give its id column a larger type (167: Out of range" in str(
                [c.error for c in result.counts]
            )
        assert counts(result)["commits"] == (200, 0, 0)
        assert counts(result)["pull_requests"] == (0, 0, 20)
        assert target_rows(target, "pull_requests") == {}
        assert set(result.rejects["pr_approvals"]["old_id"]) == set(source_rows(source, "pr_approvals"))

    def test_for_a_lock_that_is_soon_gone_succeeds_after_all(
        self, target: Engine, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        create_tables(target)
        source = run_sql(empty_source(tmp_path / "s.db"), "INSERT INTO authors (id, email) VALUES (1, 'a'), (2, 'b')")
        monkeypatch.setattr(dfsync.target.connection, "_SESSION", (*_SESSION, "innodb_lock_wait_timeout = 1"))
        with target.connect() as other:
            other.execute(text("INSERT INTO authors (email) VALUES ('b')"))
            timer = threading.Timer(1.6, other.rollback)
            timer.start()
            result = run(source, target, out, tables=("authors",))
            timer.join()
        assert counts(result) == {"authors": (2, 0, 0)}
        known = ids(result.mappings["authors"])
        assert dict(fetch(target, "SELECT id, email FROM authors")) == {
            known[1]: "a",
            known[2]: "b",
        }

    def test_for_a_lock_that_stays_says_so(
        self, target: Engine, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        create_tables(target)
        source = run_sql(
            empty_source(tmp_path / "s.db"),
            "INSERT INTO authors (id, email) VALUES (1, 'a'), (2, 'b'); INSERT INTO repositories (slug) VALUES ('r')",
        )
        monkeypatch.setattr(dfsync.target.connection, "_SESSION", (*_SESSION, "innodb_lock_wait_timeout = 1"))
        with target.connect() as other:
            other.execute(text("INSERT INTO authors (email) VALUES ('b')"))
            result = run(source, target, out, tables=("repositories", "authors"))
        (failed,) = [c for c in result.counts if c.error]
        assert (failed.name, failed.total, failed.failed) == ("authors", 2, 2)
        assert "Lock wait timeout exceeded" in (failed.error or "")
        assert fetch(target, "SELECT COUNT(*) FROM authors") == [(0,)]
        assert fetch(target, "SELECT COUNT(*) FROM repositories") == [(1,)]

    def test_because_the_source_is_cut_off_while_it_is_read(
        self, source: Path, target: Engine, tmp_path: Path, out: Path
    ) -> None:
        class Cut(Observer):
            def table_finished(self, table: TablePlan, counts: TableCounts) -> None:
                if table.name == "repositories":
                    os.truncate(cut, cut.stat().st_size // 9)

        create_tables(target)
        cut = Path(shutil.copy(source, tmp_path / "cut.db"))
        result = sync(cut, target.url, out=out, options=SyncOptions(tables=HISTORY), observer=Cut())
        errors = [c.error or "" for c in result.counts]
        assert ["it is damaged" in error for error in errors] == [False, True, True, True]
        assert (out / "summary.json").exists()
        # The file is made whole again, which is no other source.
        shutil.copy(source, cut)
        assert run(cut, target, out, tables=HISTORY).ok
        assert_copied(cut, target, run(cut, target, out, tables=HISTORY).mappings, also_matched=True)

    @pytest.mark.parametrize(("times", "failed"), [(1, []), (3, ["authors"])], ids=["once", "every time"])
    def test_for_a_deadlock_is_tried_again_but_not_for_ever(
        self, target: Engine, tmp_path: Path, out: Path, times: int, failed: list[str]
    ) -> None:
        create_tables(target)
        source = run_sql(
            empty_source(tmp_path / "s.db"),
            """INSERT INTO authors (id, email) VALUES (1, 'a'), (2, 'b');
            INSERT INTO repositories (id, slug) VALUES (5, 'r')""",
        )
        options = SyncOptions(batch_size=1, tables=("repositories", "authors"), jobs=1)
        with closing(_Crosswise(target, times)) as other:
            result = sync(source, target.url, out=out, options=options, observer=other)
        assert other.times == 0
        assert [c.name for c in result.counts if c.error] == failed
        assert not failed or "Deadlock found" in str(result.summary.loc["authors", "error"])
        assert fetch(target, "SELECT COUNT(*) FROM authors") == [(0 if failed else 2,)]
        assert fetch(target, "SELECT COUNT(*) FROM repositories") == [(1,)]
        assert run(source, target, out, tables=("authors",)).ok
        known = ids(run(source, target, out, tables=("authors",)).mappings["authors"])
        assert dict(fetch(target, "SELECT id, email FROM authors")) == {known[1]: "a", known[2]: "b"}

    def test_by_a_fault_of_dfsync_says_so_and_lets_the_others_go_on(
        self,
        source: Path,
        target: Engine,
        out: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        create_tables(target)

        def faulty(frame: Any, columns: Any) -> Any:
            if "hash" in frame:
                raise KeyError("a pass word")
            return conform(frame, columns)

        monkeypatch.setattr("dfsync.pipeline.table.extract.conform", faulty)
        register_secret("a pass word")
        command = ["--source", str(source), "--target", target.url.render_as_string(hide_password=False)]
        assert main([*command, "--out", str(out), "--tables", ",".join(HISTORY), "--quiet"]) == 1
        said = capsys.readouterr()
        assert "Commits: FAILED, rolled back: a fault of dfsync, please report it (KeyError: '***')" in " ".join(
            said.out.split()
        )
        assert "Traceback" not in said.out + said.err
        assert fetch(target, "SELECT COUNT(*) FROM commits") == [(0,)]
        assert fetch(target, "SELECT COUNT(*) FROM pull_requests") == [(20,)]
        assert main([*command, "--out", str(out), "--tables", "commits", "--debug"]) == 1
        assert "Traceback" in capsys.readouterr().err

    @WAYS
    def test_because_the_server_dies_tells_that_and_not_that_it_cannot_roll_back(
        self, source: Path, tmp_path: Path, out: Path, local_infile: bool
    ) -> None:
        with server_of_its_own(tmp_path) as server:
            options = SyncOptions(batch_size=50, tables=HISTORY, local_infile=local_infile, jobs=1)
            result = sync(source, server.url, out=out, options=options, observer=_Kill(server.pid, "commits", 100))
        errors = {c.name: c.error or "" for c in result.counts}
        assert errors["repositories"] == ""
        assert re.search(r"Lost connection|gone away", errors["commits"]), errors["commits"]
        assert "cannot be reached" in errors["pull_requests"]
        assert counts(result)["commits"] == (0, 0, 200)

    @pytest.mark.parametrize("moment", ["progress", "rows_done", "table_finished"])
    def test_because_the_server_dies_shows_nobodys_traceback(
        self, source: Path, tmp_path: Path, out: Path, moment: str
    ) -> None:
        with server_of_its_own(tmp_path) as server:
            arguments = [str(source), server.url, str(out), moment, "commits", str(server.pid)]
            ran = subprocess.run([sys.executable, "-c", KILLED, *arguments], capture_output=True, text=True)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")

    def test_because_the_server_is_restarted_lets_the_others_go_on(
        self, source: Path, tmp_path: Path, out: Path
    ) -> None:
        class Restart(_Kill):
            def progress(self, table: TablePlan, done: int) -> None:
                was_up = bool(self._pid)
                super().progress(table, done)
                if was_up and not self._pid:
                    server.stop()
                    server.start()

        with server_of_its_own(tmp_path) as server:
            options = SyncOptions(batch_size=50, tables=HISTORY, jobs=1)
            result = sync(source, server.url, out=out, options=options, observer=Restart(server.pid, "commits", 100))
            errors = {c.name: c.error for c in result.counts if c.error}
            assert list(errors) == ["commits"]
            assert "the connection to the server is lost; see that it runs (" in (errors["commits"] or "")
            target = create_engine(server.url)
            assert counts(run(source, target, out, tables=HISTORY))["commits"] == (200, 0, 0)
            assert_copied(source, target, run(source, target, out, tables=HISTORY).mappings, also_matched=True)
            target.dispose()

    def test_for_two_reasons_tells_the_first(self, source: Path, tmp_path: Path, out: Path) -> None:
        class Faulty(_Kill):
            def progress(self, table: TablePlan, done: int) -> None:
                super().progress(table, done)
                if not self._pid:
                    raise ValueError("the first")

        with server_of_its_own(tmp_path) as server:
            options = SyncOptions(batch_size=50, tables=HISTORY, jobs=1)
            result = sync(source, server.url, out=out, options=options, observer=Faulty(server.pid, "commits", 100))
        assert "(ValueError: the first)" in {c.name: c.error or "" for c in result.counts}["commits"]


class _Crosswise(Observer):
    """Has inserted author b when dfsync has inserted author a, and then wants a, so many times. Its transaction is the
    larger one, so that the server gives up dfsync's."""

    def __init__(self, target: Engine, times: int) -> None:
        self._target, self.times = target, times
        self._threads: list[threading.Thread] = []

    def progress(self, table: TablePlan, done: int) -> None:
        if (table.name, done) != ("authors", 1) or not self.times:
            return
        self.close()
        self.times -= 1
        waits = threading.Event()
        self._threads.append(threading.Thread(target=self._insert, args=(waits,)))
        self._threads[-1].start()
        assert waits.wait(20)
        # Until it is seen to wait for the author a.
        time.sleep(0.3)

    def _insert(self, waits: threading.Event) -> None:
        with self._target.connect() as other:
            for number in range(50):
                other.execute(text("INSERT INTO staff_details (bank_id_1) VALUES (:number)"), {"number": number})
            other.execute(text("INSERT INTO authors (email) VALUES ('b')"))
            waits.set()
            other.execute(text("INSERT INTO authors (email) VALUES ('a')"))
            other.rollback()

    def close(self) -> None:
        for thread in self._threads:
            thread.join()


class _Kill(Observer):
    """Ends the server in the middle of a table."""

    def __init__(self, pid: int, table: str, after: int) -> None:
        self._pid, self._table, self._after = pid, table, after

    def progress(self, table: TablePlan, done: int) -> None:
        if table.name == self._table and done >= self._after and self._pid:
            os.kill(self._pid, signal.SIGKILL)
            self._pid = 0


class _CutOff(Observer):
    """Ends dfsync's connection in the middle of a table."""

    def __init__(self, target: Engine, table: str, after: int) -> None:
        self._target, self._table, self._after = target, table, after
        self.done = False

    def progress(self, table: TablePlan, done: int) -> None:
        if table.name == self._table and done >= self._after and not self.done:
            self.done = True
            with self._target.connect() as connection:
                mine = connection.scalar(text("SELECT CONNECTION_ID()"))
                others = connection.scalars(
                    text("SELECT ID FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND ID <> :mine"),
                    {"mine": mine},
                ).all()
                for other in others:
                    connection.exec_driver_sql(f"KILL {int(other)}")
