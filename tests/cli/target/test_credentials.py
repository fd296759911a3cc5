"""The options that say who asks, on the command line and at a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.support.git_history import create_tables, fetch, user
from tests.support.runs.command_line import Cli

PASSWORD = "p@ss:w/rd?#%x"  # a made-up one


@pytest.fixture
def account(target: Engine, source: Path) -> Iterator[str]:
    create_tables(target)
    with user(target, PASSWORD, "ALL ON *") as name:
        yield name


def option_file(target: Engine, account: str, password: str | None = PASSWORD) -> Path:
    url = target.url
    server = f"socket={url.query['unix_socket']}" if "unix_socket" in url.query else f"host={url.host}\nport={url.port}"
    lines = [server, f"user={account}", *([] if password is None else [f'password="{password}"'])]
    path = Path("my.cnf")
    path.write_text("[client]\n" + "\n".join(lines) + "\n")
    return path


def at_terminal(answer: str, *arguments: str) -> tuple[int, str]:
    """The program at a terminal of its own, where `answer` is typed."""
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-m", "dfsync", *arguments])
    printed = b""
    # A terminal whose program has ended is an error to read.
    with suppress(OSError):
        while part := os.read(terminal, 4096):
            if b"Password of" in part:
                os.write(terminal, f"{answer}\n".encode())
            printed += part
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), printed.decode()


def test_an_option_file_is_enough(cli: Cli, target: Engine, account: str) -> None:
    file = option_file(target, account)
    ran = cli("--defaults-file", str(file), "--target", f"mysql:///{target.url.database}", "--debug")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[0].endswith(f" as {account} (from --target and my.cnf)")
    assert fetch(target, "SELECT COUNT(*) FROM repositories") == [(2,)]
    assert PASSWORD not in ran.stdout + ran.stderr
    file.write_text(f"{file.read_text()}[dfsync]\ndatabase={target.url.database}\n")
    assert cli("verify", "--defaults-file", str(file)).returncode == 0


def test_the_home_folders_option_file_is_not_read_beside_another(
    cli: Cli, target: Engine, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(Path.cwd()))
    Path(".my.cnf").write_text(f'[client]\nuser={account}\npassword="{PASSWORD}"\n')
    file = option_file(target, account, password=None)
    ran = cli("check", "--defaults-file", str(file), "--target", f"mysql:///{target.url.database}")
    assert ran.returncode == 2
    assert "user or password is wrong" in ran.stderr


def test_a_password_that_is_asked_for(target: Engine, account: str) -> None:
    arguments = ["--defaults-file", str(option_file(target, account, None)), "--target"]
    status, printed = at_terminal(PASSWORD, *arguments, f"mysql:///{target.url.database}", "--ask-password")
    assert status == 0, printed
    assert f"Password of {account} at {target.url.database} on " in printed
    assert PASSWORD not in printed
    status, printed = at_terminal("no", *arguments, f"mysql:///{target.url.database}", "--ask-password")
    assert status == 2
    assert "user or password is wrong" in " ".join(printed.split())


def test_no_password_is_asked_for_without_a_terminal(target: Engine, account: str) -> None:
    command = [sys.executable, "-m", "dfsync", "--ask-password", "--target", "mysql://app@host/db"]
    ran = subprocess.run(
        command, input=PASSWORD, capture_output=True, text=True, start_new_session=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("dfsync: --ask-password needs a terminal to ask at.")


def test_nor_for_the_private_server(cli: Cli, source: Path) -> None:
    ran = cli("--ask-password")
    assert ran.returncode == 2
    assert ran.stderr.startswith("dfsync: --ask-password is for a database of yours")
    assert not Path("data").exists()


def test_a_file_of_variables(cli: Cli, target: Engine, target_url: str, source: Path) -> None:
    create_tables(target)
    Path(".env").write_text(f"export MARIADB_URL='{target_url}'\n")
    ran = cli("--env-file", ".env")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[0].endswith("(from .env)")
