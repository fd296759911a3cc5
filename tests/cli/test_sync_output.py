"""`python -m dfsync` with real rows: what it prints, exit status, dry runs and Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from tests.support.git_history import all_rows, create_tables, execute, fetch, run_sql, sample, user
from tests.support.runs.command_line import Cli, process

pytestmark = pytest.mark.usefixtures("own_folder")


class TestARun:
    def test_tells_its_story(self, source: Path, target: Engine, target_url: str) -> None:
        create_tables(target)
        execute(target, "INSERT INTO repositories (id, slug) VALUES (101, 'other')")
        ran = process("--source", str(source), MARIADB_URL=target_url)
        assert ran.returncode == 0
        assert ran.stderr == ""
        lines = ran.stdout.splitlines()
        assert re.fullmatch(rf"Target: {target.url.database} on .* \(from MARIADB_URL\)", lines[0])
        assert lines[1] == "Plan: built-in plan, 9 tables"
        assert lines[3:13] == [
            "=" * 80,
            "SYNCING REPOSITORIES",
            "=" * 80,
            "",
            "Found 2 repositories to sync",
            "  [SYNC] Repository 'my-repo' (ID: 1 -> 102)",
            "  [SKIP] Repository 'other' already exists (ID: 2 -> 101)",
            "",
            "Repositories: 1 synced, 1 skipped, 0 failed",
            "",
        ]
        assert "OVERALL: 3 records synced, 0 failed" in lines
        assert lines[-1] == "The map from old to new ids: dfsync-out/id_mappings.json"

    def test_ends_with_1_where_rows_failed(self, cli: Cli, source: Path, target: Engine, target_url: str) -> None:
        create_tables(target)
        run_sql(source, "INSERT INTO commits (id, repository_id, hash) VALUES (3, 99, 'z')")
        ran = cli("sync", "--target", target_url, "--out", "elsewhere")
        assert ran.returncode == 1
        reason = "missing parent: repositories has no row with this id in the target, nor in the source"
        assert f"  [FAIL] Commit (ID: 3): column repository_id: value '99': {reason}" in ran.stdout.splitlines()
        assert "OVERALL: 4 records synced, 1 failed" in ran.stdout
        assert Path("elsewhere/rejects/commits.parquet").exists()
        assert not Path("dfsync-out").exists()

    def test_with_json_prints_one_object_alone(self, cli: Cli, source: Path, target: Engine, target_url: str) -> None:
        create_tables(target)
        run_sql(source, "INSERT INTO commits (id, repository_id, hash) VALUES (3, 99, 'z')")
        ran = cli("--json", "--target", target_url)
        assert ran.returncode == 1
        assert json.loads(ran.stdout) == json.loads(Path("dfsync-out/summary.json").read_text())
        assert json.loads(ran.stdout)["out"] == "dfsync-out"
        assert json.loads(cli("--json", "--target", target_url, "--dry-run").stdout)["out"] is None
        assert len(ran.stdout.splitlines()) == 1
        assert "[FAIL] Commit (ID: 3)" in ran.stderr

    def test_goes_on_after_a_table_that_failed_as_a_whole(
        self, cli: Cli, own_folder: Path, target: Engine, target_url: str
    ) -> None:
        run_sql(
            own_folder / "s.db",
            """CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
            INSERT INTO a SELECT i, i FROM n;
            CREATE TABLE b (id INTEGER PRIMARY KEY, name TEXT UNIQUE); INSERT INTO b VALUES (1, 'far too long');
            CREATE TABLE c (id INTEGER PRIMARY KEY, name TEXT UNIQUE); INSERT INTO c VALUES (1, 'c')""",
        )
        columns = "AUTO_INCREMENT PRIMARY KEY, name VARCHAR(5) UNIQUE"
        for name, type_ in {"a": "TINYINT", "b": "INT", "c": "INT"}.items():
            execute(target, f"CREATE TABLE {name} (id {type_} {columns})")
        ran = cli("--source", "s.db", "--target", target_url)
        assert ran.returncode == 1, ran.stderr
        assert "the ids of the table have run out" in ran.stdout
        assert "  [FAIL] B (ID: 1): column name: value 'far too long': is longer" in ran.stdout
        assert "OVERALL: 1 record synced, 201 failed, 1 table rolled back" in ran.stdout
        assert json.loads(Path("dfsync-out/id_mappings.json").read_text())["c"] == {"1": 1}
        assert Path("dfsync-out/summary.json").exists()

    def test_says_that_a_report_is_of_an_earlier_run(
        self, cli: Cli, source: Path, target: Engine, target_url: str
    ) -> None:
        create_tables(target)
        older = "report.html in that folder is of an earlier run; with --report it is made anew."
        assert older not in cli("--target", target_url, "--report").stdout
        assert cli("--target", target_url).stdout.splitlines()[-1] == older
        assert older not in cli("--target", target_url, "--dry-run").stdout

    def test_takes_its_choices(self, cli: Cli, target: Engine, target_url: str) -> None:
        create_tables(target)
        sample(Path("git_history.db"), 120)
        arguments = ["--tables", "commits, repositories", "--batch-size", "50", "--no-local-infile", "--debug"]
        ran = cli("--target", target_url, *arguments)
        assert ran.returncode == 0
        assert [line for line in ran.stdout.splitlines() if re.match(r"\w+: \d+ synced", line)] == [
            "Repositories: 2 synced, 0 skipped, 0 failed",
            "Commits: 120 synced, 0 skipped, 0 failed",
        ]
        assert fetch(target, "SELECT COUNT(*) FROM authors") == [(0,)]

    def test_of_a_source_in_wal_mode_that_is_being_written(self, source: Path, target: Engine, target_url: str) -> None:
        create_tables(target)
        with closing(sqlite3.connect(source)) as writer:
            writer.execute("PRAGMA journal_mode = WAL")
            writer.execute("INSERT INTO repositories (slug) VALUES ('committed')")
            writer.commit()
            writer.execute("INSERT INTO repositories (slug) VALUES ('not committed')")
            ran = process("--target", target_url)
        assert ran.returncode == 0
        assert fetch(target, "SELECT slug FROM repositories ORDER BY id") == [("my-repo",), ("other",), ("committed",)]


class TestADryRun:
    def test_says_what_would_be_done_and_writes_nothing(
        self, cli: Cli, source: Path, target: Engine, target_url: str
    ) -> None:
        create_tables(target)
        execute(target, "INSERT INTO repositories (id, slug) VALUES (101, 'other')")
        before = all_rows(target)
        ran = cli("--dry-run", "--target", target_url)
        assert ran.returncode == 0
        assert "  [SYNC] Repository 'my-repo' would be synced (ID: 1 -> new)" in ran.stdout.splitlines()
        assert "  [SKIP] Repository 'other' already exists (ID: 2 -> 101)" in ran.stdout.splitlines()
        assert "Commits: 2 would be synced, 0 would be skipped, 0 would fail" in ran.stdout.splitlines()
        assert all_rows(target) == before
        assert sorted(path.name for path in Path().iterdir()) == ["git_history.db"]
        counters = "SELECT AUTO_INCREMENT FROM information_schema.TABLES WHERE TABLE_NAME = 'commits' AND TABLE_SCHEMA"
        assert fetch(target, f"{counters} = DATABASE()") in ([(1,)], [(None,)])

    def test_leaves_the_files_of_an_earlier_run(self, cli: Cli, source: Path, target: Engine, target_url: str) -> None:
        create_tables(target)
        assert cli("--target", target_url).returncode == 0
        before = {path: path.read_bytes() for path in Path("dfsync-out").rglob("*") if path.is_file()}
        run_sql(source, "INSERT INTO repositories (slug) VALUES ('more')")
        assert cli("--target", target_url, "--dry-run").returncode == 0
        assert {path: path.read_bytes() for path in Path("dfsync-out").rglob("*") if path.is_file()} == before

    def test_finds_what_would_fail(self, cli: Cli, source: Path, target: Engine, target_url: str) -> None:
        create_tables(target)
        run_sql(source, "INSERT INTO commits (id, repository_id, hash) VALUES (3, 1, hex(zeroblob(21)))")
        ran = cli("--dry-run", "--target", target_url, "--json")
        assert ran.returncode == 1
        assert json.loads(ran.stdout)["overall"] == {"total": 5, "inserted": 4, "matched": 0, "updated": 0, "failed": 1}
        assert json.loads(ran.stdout)["dry_run"] is True


def complaint(cli: Cli, *arguments: str) -> str:
    """What is said where it cannot start: one sentence or two on standard error, status 2."""
    ran = cli(*arguments)
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr
    assert ran.stderr.startswith("dfsync: ")
    assert not Path("dfsync-out").exists()
    return ran.stderr.removeprefix("dfsync: ").removesuffix("\n")


@pytest.mark.usefixtures("source")
class TestWhatKeepsItFromStarting:
    def test_a_server_that_is_not_there(self, cli: Cli) -> None:
        said = complaint(cli, "--target", "mysql://app:hunter2@127.0.0.1:1/app")
        assert said.startswith("The target app on 127.0.0.1:1 cannot be reached: no server answers there; check that")
        assert "hunter2" not in said

    def test_a_socket_that_is_not_there(self, cli: Cli) -> None:
        said = complaint(cli, "--target", "mysql://app@localhost/app?unix_socket=/no/such/socket")
        assert said.startswith(
            "The target app on socket /no/such/socket cannot be reached: there is no such socket; check"
        )

    def test_a_host_that_nobody_knows(self, cli: Cli) -> None:
        said = complaint(cli, "--target", "mysql://app@no-such-host.invalid/app")
        assert "cannot be reached: no host of that name is known here; check its spelling (2003:" in said

    def test_a_wrong_password(self, cli: Cli, target: Engine) -> None:
        with user(target, "right one") as name:
            url = target.url.set(username=name, password="wrong one")
            said = complaint(cli, "--target", url.render_as_string(hide_password=False))
        assert "cannot be reached: user or password is wrong (1045" in said
        assert "wrong one" not in said

    def test_no_password(self, cli: Cli, target: Engine) -> None:
        with user(target, "right one") as name:
            url = target.url.set(username=name, password=None)
            said = complaint(cli, "--target", url.render_as_string(hide_password=False))
        assert "cannot be reached: user or password is wrong; no password was given (1045" in said

    def test_a_database_that_is_not_there(self, cli: Cli, target: Engine) -> None:
        url = target.url.set(database="no_such_database")
        said = complaint(cli, "--target", url.render_as_string(hide_password=False))
        assert "there is no such database; create it first" in said

    def test_a_source_that_is_no_database(self, cli: Cli, target_url: str) -> None:
        Path("git_history.db").write_text("Dear diary, today I am not a database at all. " * 50)
        assert complaint(cli, "--target", target_url) == (
            "The source git_history.db cannot be read: it is not a SQLite database, or it is encrypted."
        )

    def test_a_source_that_is_empty(self, cli: Cli, target_url: str) -> None:
        Path("git_history.db").write_bytes(b"")
        assert complaint(cli, "--target", target_url) == (
            "The source git_history.db has no tables. Name another SQLite file with --source."
        )

    def test_a_source_that_is_locked(self, source: Path, target: Engine, target_url: str) -> None:
        create_tables(target)
        with closing(sqlite3.connect(source)) as writer:
            writer.execute("BEGIN EXCLUSIVE")
            # In a process of its own, since a process does not lock itself out.
            ran = process("--target", target_url)
        assert ran.returncode == 2
        assert ran.stderr == (
            "dfsync: The source git_history.db cannot be read: another program holds it locked; "
            "try again when that is done.\n"
        )

    def test_tables_that_are_not_there(self, cli: Cli, target_url: str) -> None:
        said = complaint(cli, "--target", target_url)
        assert said.startswith("The target lacks repositories, authors, commits,")
        assert "`python -m dfsync create-tables --source git_history.db`" in said

    def test_a_table_of_no_plan(self, cli: Cli, target: Engine, target_url: str) -> None:
        create_tables(target)
        said = complaint(cli, "--target", target_url, "--tables", "commits,pull_request")
        assert said == "No table 'pull_request' in the built-in plan. Did you mean 'pull_requests'?"

    def test_an_output_folder_that_cannot_be(self, cli: Cli, target: Engine, target_url: str) -> None:
        create_tables(target)
        Path("file").touch()
        assert "The output folder file/out" in complaint(cli, "--target", target_url, "--out", "file/out")
        assert fetch(target, "SELECT COUNT(*) FROM repositories") == [(0,)]


class TestInterrupted:
    def test_before_anything_is_open(self, cli: Cli, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted(_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("dfsync.source.many.files.find_files", interrupted)
        ran = cli("sync", "-q")
        assert (ran.returncode, ran.stderr) == (130, "dfsync: stopped.\n")

    @pytest.mark.parametrize(("how", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    @pytest.mark.parametrize(("jobs", "committed"), [("1", "Repositories"), ("2", "Repositories, Pull Requests")])
    def test_in_a_table_rolls_it_back_and_says_where_it_stood(
        self, cli: Cli, target: Engine, target_url: str, how: signal.Signals, status: int, jobs: str, committed: str
    ) -> None:
        create_tables(target)
        sample(Path("git_history.db"), 200)
        with closing(sqlite3.connect("git_history.db")) as connection:
            (awaited,) = connection.execute("SELECT hash FROM commits ORDER BY id LIMIT 1 OFFSET 150").fetchone()
        arguments = ["--target", target_url, "--batch-size", "50", "--tables", "repositories,commits,pull_requests"]
        arguments += ["--jobs", jobs]
        with target.connect() as other:
            # Another one's row of the same key, not committed yet: the insert must wait for what becomes of it.
            other.execute(text("SET FOREIGN_KEY_CHECKS = 0"))
            # In every repository, because the new ids are not known yet.
            for repository in range(1, 10):
                other.execute(
                    text("INSERT INTO commits (hash, repository_id) VALUES (:hash, :repository)"),
                    {"hash": awaited, "repository": repository},
                )
            command = [sys.executable, "-m", "dfsync", *arguments]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
                _wait_for(target, WAITING)
                if jobs != "1":
                    _wait_for(target, "SELECT COUNT(*) FROM pull_requests")
                running.send_signal(how)
                _, err = running.communicate(timeout=60)
            other.rollback()
        assert running.returncode == status
        assert err == (
            "dfsync: stopped in Commits after 150 of 200 rows, rolled back. "
            f"Committed: {committed}. Run the same command again to go on from there.\n"
        )
        assert fetch(target, "SELECT COUNT(*) FROM repositories") == [(3,)]
        assert fetch(target, "SELECT COUNT(*) FROM commits") == [(0,)]
        again = process(*arguments)
        assert again.returncode == 0
        assert "Commits: 200 synced, 0 skipped, 0 failed" in again.stdout

    def test_while_it_writes_a_map_says_that_the_table_is_committed(
        self, cli: Cli, source: Path, target: Engine, target_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        create_tables(target)
        written: list[int] = []

        def interrupt(file: int) -> None:
            if "/mappings/" not in os.readlink(f"/proc/self/fd/{file}"):
                return
            written.append(file)
            if len(written) == 2:
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        monkeypatch.setattr("dfsync.output.atomic.os.fsync", interrupt)
        ran = cli("--target", target_url, "--tables", "repositories,commits")
        assert ran.returncode == 130
        assert ran.stderr == (
            "dfsync: stopped. Committed: Repositories, Commits. Run the same command again to go on from there.\n"
        )
        assert fetch(target, "SELECT COUNT(*) FROM commits") == [(2,)]


WAITING = """
    SELECT COUNT(*) FROM information_schema.INNODB_TRX JOIN information_schema.PROCESSLIST p
    ON p.ID = trx_mysql_thread_id WHERE trx_state = 'LOCK WAIT' AND p.DB = DATABASE()"""


def _wait_for(target: Engine, count: str) -> None:
    deadline = time.monotonic() + 60
    while not _counted(target, count):
        assert time.monotonic() < deadline
        # Asked more often than every 0.1 s, the server would answer from its cache for ever.
        time.sleep(0.2)


def _counted(target: Engine, count: str) -> int:
    with target.connect() as connection:
        mariadb = connection.dialect.is_mariadb  # type: ignore[attr-defined]
    # MySQL's list of processes fails over a statement with an emoji in it.
    elsewhere = "SELECT COUNT(*) FROM performance_schema.data_lock_waits"
    return int(fetch(target, elsewhere if count == WAITING and not mariadb else count)[0][0])
