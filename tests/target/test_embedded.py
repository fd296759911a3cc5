"""The private MariaDB, with the real mariadbd: it comes, keeps its data, and goes, whatever happens."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, make_url, text

from dfsync.model.errors import DfsyncError
from dfsync.target import embedded as server_module
from dfsync.target.embedded import SOCKET_PATH_BYTES, EmbeddedServer, find_mariadbd

SMALL = ("--innodb-buffer-pool-size=32M", "--innodb-log-file-size=8M")
CHILD = """
import sys
import tempfile
import time
from pathlib import Path
from dfsync.target.embedded import EmbeddedServer

with EmbeddedServer(Path(sys.argv[1]), options=sys.argv[2:]) as server:
    try:
        print(server.pid, flush=True)
        time.sleep(120)
    except KeyboardInterrupt:
        from sqlalchemy import create_engine
        create_engine(server.url).connect().close()
        print("still answers", flush=True)
        raise
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A path for a server, short enough for a socket and gone afterwards, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="dfsync-") as parent:
        yield Path(parent) / "maria db"


@pytest.fixture
def child(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another Python that runs a server over `folder`, in a process group of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), *SMALL],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        start_new_session=True,
    )
    with process:
        yield process
        process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def query(url: str, sql: str) -> list[tuple[Any, ...]]:
    engine = create_engine(url)
    with engine.begin() as connection:
        result = connection.execute(text(sql))
        rows = [tuple(row) for row in result] if result.returns_rows else []
    engine.dispose()
    return rows


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        stat_of = Path(f"/proc/{pid}/stat")
        # Where nobody reaps orphans, a process that has ended stays as a zombie.
        return not stat_of.parent.parent.is_dir() or ") Z " not in stat_of.read_text()
    except OSError:
        return False


def wait_until(true: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not so after {seconds} seconds"
        time.sleep(0.05)


def test_gives_an_empty_utf8mb4_database_that_only_this_user_can_reach(folder: Path) -> None:
    with EmbeddedServer(folder, options=SMALL) as server:
        url = make_url(server.url)
        assert (url.drivername, url.username, url.database) == ("mysql+pymysql", "root", "dfsync")
        assert query(server.url, "SHOW TABLES") == []
        assert query(server.url, "SELECT @@character_set_database, @@character_set_client, @@skip_networking") == [
            ("utf8mb4", "utf8mb4", 1)
        ]
        assert query(server.url, "SELECT @@tmpdir") == [(str(folder / "tmp"),)]
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert url.query["unix_socket"] == str(folder / "socket")
        assert runs(server.pid)
        pid = server.pid
    assert not runs(pid)
    assert not (folder / "socket").exists()


def test_a_second_start_finds_the_data_of_the_first(folder: Path) -> None:
    server = EmbeddedServer(folder, options=SMALL)
    for rows in (1, 2, 3):
        server.start()
        query(server.url, "CREATE TABLE IF NOT EXISTS t (id INT AUTO_INCREMENT PRIMARY KEY)")
        query(server.url, "INSERT INTO t VALUES ()")
        assert len(query(server.url, "SELECT id FROM t")) == rows
        server.stop()
        server.stop()


def test_options_reach_the_server_and_overrule_the_defaults(folder: Path) -> None:
    with EmbeddedServer(folder, options=(*SMALL, "--innodb-autoinc-lock-mode=2", "--local-infile=0")) as server:
        settings = query(server.url, "SELECT @@innodb_autoinc_lock_mode, @@local_infile, @@innodb_buffer_pool_size")
        assert settings == [(2, 0, 32 << 20)]


def test_url_and_pid_are_there_only_while_it_runs(folder: Path) -> None:
    server = EmbeddedServer(folder)
    with pytest.raises(RuntimeError):
        _ = server.url
    with pytest.raises(RuntimeError):
        _ = server.pid


def test_an_exception_inside_stops_the_server(folder: Path) -> None:
    pid = 0

    def fail() -> None:
        nonlocal pid
        with EmbeddedServer(folder, options=SMALL) as server:
            pid = server.pid
            raise KeyError("ours")

    with pytest.raises(KeyError, match="ours"):
        fail()
    assert pid
    assert not runs(pid)


def test_ctrl_c_leaves_the_server_up_until_the_caller_is_done(child: subprocess.Popen[str]) -> None:
    pid = int(line_of(child))
    os.killpg(child.pid, signal.SIGINT)  # as a terminal does: to the whole group
    assert line_of(child) == "still answers"
    child.wait(30)
    assert not runs(pid)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_the_server_ends_with_its_parent_and_the_folder_is_free_again(
    child: subprocess.Popen[str], folder: Path, end: signal.Signals
) -> None:
    pid = int(line_of(child))
    child.send_signal(end)
    child.wait(10)
    with EmbeddedServer(folder, options=SMALL) as server:
        assert not runs(pid)
        assert query(server.url, "SELECT 1") == [(1,)]


def test_a_parent_killed_while_it_initialises_leaves_nothing_in_the_way(
    child: subprocess.Popen[str], folder: Path
) -> None:
    wait_until(lambda: (folder / "data.new").exists())
    child.kill()
    child.wait(10)
    assert not (folder / "data").exists()
    with EmbeddedServer(folder, options=SMALL) as server:
        assert query(server.url, "SELECT COUNT(*) > 10 FROM information_schema.tables") == [(1,)]
    assert not (folder / "data.new").exists()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_parent_ended_while_the_server_starts_takes_it_along(
    child: subprocess.Popen[str], folder: Path, end: signal.Signals
) -> None:
    def server_started() -> re.Match[str] | None:
        lock = folder / "lock"
        return re.search(r"mariadbd is process (\d+)\)", lock.read_text()) if lock.exists() else None

    wait_until(lambda: server_started() is not None)
    time.sleep(0.05)  # into the time when a mariadbd hangs for ever on SIGTERM
    found = server_started()
    child.send_signal(end)
    assert found
    child.wait(10)
    wait_until(lambda: not runs(int(found[1])), 5)
    with EmbeddedServer(folder, options=SMALL) as server:
        assert query(server.url, "SELECT 1") == [(1,)]


def test_started_in_a_thread_it_outlives_the_thread(folder: Path) -> None:
    server = EmbeddedServer(folder, options=SMALL)
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    try:
        time.sleep(0.3)
        assert query(server.url, "SELECT 1") == [(1,)]
    finally:
        server.stop()


def test_a_server_killed_outright_is_recovered(folder: Path) -> None:
    with EmbeddedServer(folder, options=SMALL) as server:
        query(server.url, "CREATE TABLE t AS SELECT 42 AS answer")
        os.kill(server.pid, signal.SIGKILL)
    assert (folder / "pid").exists()
    assert (folder / "socket").exists()
    with EmbeddedServer(folder, options=SMALL) as server:
        assert query(server.url, "SELECT answer FROM t") == [(42,)]


def test_two_at_once_the_second_is_refused_and_the_first_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "LOCK_SECONDS", 0.2)
    with EmbeddedServer(folder, options=SMALL) as first:
        with pytest.raises(DfsyncError, match=rf"in use by process {os.getpid()} .*process {first.pid}"):
            EmbeddedServer(folder).start()
        assert query(first.url, "SELECT 1") == [(1,)]


def test_the_second_waits_for_a_first_that_is_about_to_finish(folder: Path) -> None:
    with EmbeddedServer(folder, options=SMALL) as first:
        timer = threading.Timer(0.5, first.stop)
        timer.start()
        with EmbeddedServer(folder, options=SMALL) as second:
            assert query(second.url, "SELECT 1") == [(1,)]
        timer.join()


def test_a_path_too_long_for_a_socket_gets_a_short_one_elsewhere(folder: Path) -> None:
    long = folder / ("x" * 60) / ("ÿ" * 60)
    with EmbeddedServer(long, options=SMALL) as server:
        path = Path(str(make_url(server.url).query["unix_socket"]))
        assert not path.is_relative_to(folder)
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert query(server.url, "SELECT 1") == [(1,)]
    assert not path.parent.exists()


def test_no_short_path_for_a_socket_at_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = folder / ("x" * 100)
    long.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with pytest.raises(DfsyncError, match=r"longer than 103 bytes.*set TMPDIR"):
        EmbeddedServer(folder / "y" / ("x" * 100), options=SMALL).start()
    assert list(long.iterdir()) == []


def test_the_longest_path_that_needs_no_other_place(folder: Path) -> None:
    longest = folder / ("x" * (SOCKET_PATH_BYTES - len(f"{folder}//socket")))
    with EmbeddedServer(longest, options=SMALL) as server:
        assert make_url(server.url).query["unix_socket"] == str(longest / "socket")


@pytest.mark.parametrize("initialised", [False, True])
def test_a_server_that_dies_while_starting_shows_the_end_of_its_log(folder: Path, initialised: bool) -> None:
    if initialised:
        EmbeddedServer(folder, options=SMALL).__enter__().stop()
    with pytest.raises(DfsyncError, match=r"unknown option '--nonsense'") as raised:
        EmbeddedServer(folder, options=[*SMALL, "--nonsense"]).start()
    assert str(folder / "server.log") in str(raised.value)
    assert len(str(raised.value).splitlines()) <= 11
    with EmbeddedServer(folder, options=SMALL) as server:
        assert query(server.url, "SELECT 1") == [(1,)]


def test_a_server_that_never_answers_is_given_up_and_stopped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "START_SECONDS", -1.0)
    with pytest.raises(DfsyncError, match="did not answer within"):
        EmbeddedServer(folder, options=SMALL).start()
    holder = (folder / "lock").read_text()
    found = re.search(r"its mariadbd is process (\d+)", holder)
    assert found
    assert not runs(int(found[1]))


def test_damaged_data_is_an_error_with_the_log(folder: Path) -> None:
    EmbeddedServer(folder, options=SMALL).__enter__().stop()
    (folder / "data" / "ibdata1").write_bytes(b"no tablespace" * 5000)
    with pytest.raises(DfsyncError, match="InnoDB"):
        EmbeddedServer(folder, options=SMALL).start()


def test_files_of_somebody_else_are_left_alone(folder: Path) -> None:
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(DfsyncError, match="not a private MariaDB's: move them away"):
        EmbeddedServer(folder).start()
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


def test_a_file_where_the_folder_should_be(folder: Path) -> None:
    folder.write_text("a file")
    with pytest.raises(DfsyncError, match="cannot use the folder"):
        EmbeddedServer(folder).start()


def test_data_of_a_newer_mariadb_is_refused_before_it_is_touched(folder: Path) -> None:
    EmbeddedServer(folder, options=SMALL).__enter__().stop()
    version = find_mariadbd()[1]
    assert (folder / "version").read_text() == version
    (folder / "version").write_text("99.1.2")
    (folder / "server.log").unlink()
    with pytest.raises(DfsyncError, match=rf"last run by MariaDB 99\.1\.2, and the older {re.escape(version)}"):
        EmbeddedServer(folder, options=SMALL).start()
    assert not (folder / "server.log").exists()


def test_a_root_with_a_password_is_a_clear_error(folder: Path) -> None:
    with EmbeddedServer(folder, options=SMALL) as server:
        query(server.url, "ALTER USER root@localhost IDENTIFIED BY 'x'")
    with pytest.raises(DfsyncError, match="is up but refuses: Access denied"):
        EmbeddedServer(folder, options=SMALL).start()


def program(folder: Path, name: str, says: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def test_no_mariadbd_names_the_command_that_installs_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "MORE_DIRS", ())
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    program(folder, "mysqld", "mysqld  Ver 8.4.3 for Linux on x86_64 (MySQL Community Server - GPL)")
    with pytest.raises(DfsyncError, match="sudo apt-get install mariadb-server-core"):
        EmbeddedServer(folder / "data").start()
    assert not (folder / "data").exists()
    mysqld = program(folder, "mysqld", "mysqld  Ver 11.8.3-MariaDB for Linux on x86_64")
    assert find_mariadbd() == (str(mysqld), "11.8.3")


def test_a_mariadb_without_its_scripts_says_to_install_it_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    program(folder, "mariadbd", f"Ver 10.11.0-MariaDB\ncharacter-sets-dir   {folder}/charsets/")
    with pytest.raises(DfsyncError, match=r"mariadb_system_tables\.sql is missing: install it again"):
        EmbeddedServer(folder / "data").start()


def test_the_target_fixture_gives_an_empty_database(target: Engine, target_url: str) -> None:
    assert make_url(target_url).database == target.url.database
    with target.connect() as connection:
        assert connection.execute(text("SHOW TABLES")).all() == []
