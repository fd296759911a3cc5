"""The command line as far as it goes without a sync: usage, mistakes, help, completion, signals, start-up time."""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

import dfsync.__main__
import dfsync.cli.app.write
from dfsync.text import redaction

ROOT = Path(__file__).parents[2]
COMMANDS = [
    *("sync", "check", "plan", "verify", "report", "rejects", "differences", "maps"),
    *("runs", "undo", "create-tables", "server"),
]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("MARIADB_URL", raising=False)


def dfsync_run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dfsync", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def complaint(*arguments: str) -> str:
    """What a mistake gets: nothing on standard output, one sentence or two on standard error, status 2."""
    ran = dfsync_run(*arguments)
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert ran.stderr.startswith("dfsync: ")
    assert "Traceback" not in ran.stderr
    return ran.stderr.removeprefix("dfsync: ").removesuffix("\n")


class TestHelp:
    def test_of_the_program(self) -> None:
        ran = dfsync_run("--help")
        assert ran.returncode == 0
        for command in COMMANDS:
            assert f"\n  {command} " in ran.stdout
        assert "`python -m dfsync sync --help`" in ran.stdout
        assert "..." not in ran.stdout.partition("\nCommands:")[2]

    @pytest.mark.parametrize("command", COMMANDS)
    def test_of_every_command_with_an_example(self, command: str) -> None:
        ran = dfsync_run(command, "--help")
        assert ran.returncode == 0
        assert f"Usage: python -m dfsync {command} [OPTIONS]" in ran.stdout
        assert "Example" in ran.stdout
        assert f"python -m dfsync {'' if command == 'sync' else command}" in ran.stdout
        assert max(map(len, ran.stdout.splitlines())) <= 80

    def test_version(self) -> None:
        assert dfsync_run("--version").stdout == f"dfsync {dfsync.__version__}\n"

    def test_nothing_at_all_explains_itself(self) -> None:
        ran = dfsync_run()
        assert ran.returncode == 2
        assert ran.stdout == ""
        assert "There is no git_history.db in this folder." in ran.stderr
        assert "python -m dfsync --source my.db" in ran.stderr
        assert len(ran.stderr.splitlines()) == 11


class TestMistakes:
    def test_a_command_that_is_none(self) -> None:
        assert complaint("snyc") == "No such command 'snyc'. Did you mean 'sync'? Try 'python -m dfsync --help'."

    def test_an_option_that_is_none(self) -> None:
        said = complaint("--soruce", "x")
        assert said.startswith("No such option: --soruce")
        assert "--source" in said
        assert said.endswith("Try 'python -m dfsync sync --help'.")

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["--source", "no.db"], "'no.db' does not exist"),
            (["sync", "--source", "empty"], "There is no SQLite file in the folder empty. Name a file with --source."),
            (["sync", "--source", "*.nothing"], "No file matches *.nothing. Name SQLite files with --source."),
            (["sync", "--sources", "no.txt"], "'no.txt' does not exist"),
            (["check"], "'git_history.db' does not exist"),
            (["--plan", "no.toml"], "'no.toml' does not exist"),
            (["--batch-size", "0"], "give 1 or more"),
            (["--batch-size", "many"], "Invalid value for '--batch-size': it should be a whole number."),
            (["--on-match", "both"], "Invalid value for '--on-match': 'both' is not one of 'skip', 'update'"),
            (["--keep-ids=all"], "Invalid value for '--keep-ids': 'all' is not one of 'free', 'strict'"),
            (["sync", "--keep-ids", "extra"], "extra"),
            (["sync", "extra"], "extra"),
            (["server", "--data-dir", "file"], "is a file"),
        ],
    )
    def test_of_values(self, arguments: list[str], says: str) -> None:
        if says != "'git_history.db' does not exist":
            Path("git_history.db").touch()
        Path("file").touch()
        Path("empty").mkdir()
        assert says in complaint(*arguments)

    @pytest.mark.parametrize("arguments", [["sync"], [], ["sync", "--source"], ["--on-match"], ["report", "x"]])
    def test_that_hold_a_password(self, arguments: list[str]) -> None:
        Path("git_history.db").touch()
        said = complaint(*arguments, "mysql://app:p w@x@host/db")
        assert "mysql://***@host/db" in said
        assert "app" not in said
        assert "p w" not in said

    @pytest.mark.parametrize("command", ["", "sync", "check"])
    def test_of_what_wants_an_option(self, command: str) -> None:
        for name in ("git_history.db", "my.db"):
            Path(name).touch()
        assert " A source is named with --source. Try" in complaint(*command.split(), "my.db")
        assert " A target is named with --target, or by MARIADB_URL." in complaint(*command.split(), "mysql://a@b/c")

    def test_of_options_that_contradict_each_other(self) -> None:
        Path("git_history.db").touch()
        assert "--verbose and --quiet" in complaint("-q", "-v")

    @pytest.mark.parametrize("command", ["sync", "check", "create-tables"])
    def test_of_targets(self, command: str) -> None:
        Path("git_history.db").touch()
        said = complaint(command, "--target", "mysql://app:hunter2@swordfish@host/db")
        assert "percent-encoded" in said
        assert "hunter2" not in said
        assert "swordfish" not in said

    def test_of_tables(self) -> None:
        Path("git_history.db").touch()
        assert complaint("--tables", " , ") == (
            "--tables names no table: leave it out, or write names like repositories,commits."
        )

    def test_of_config(self) -> None:
        Path("git_history.db").touch()
        Path("config.py").write_text("MARIADB_CONFIG = {'password': hunter2}")
        said = complaint("check", "--debug")
        assert "config.py in this folder cannot be read (NameError in line 1)" in said
        assert "hunter2" not in said

    def test_control_characters_are_shown_and_not_obeyed(self) -> None:
        assert "\x1b" not in complaint("\x1b[2J")
        assert "\x1b" not in complaint("--source", "\x1b[2J")

    def test_a_terminal_without_unicode(self) -> None:
        ran = dfsync_run("--source", "ü🦭", PYTHONIOENCODING="ascii")
        assert ran.returncode == 2
        assert r"\xfc\U0001f9ad" in ran.stderr

    @pytest.mark.parametrize(("arguments", "command"), [(["undo", "--all-since"], "undo"), (["--source"], "sync")])
    def test_an_option_without_its_value(self, arguments: list[str], command: str) -> None:
        said = complaint(*arguments)
        assert said == f"Option '{arguments[-1]}' requires an argument. Try 'python -m dfsync {command} --help'."


class TestUnexpected:
    @pytest.fixture
    def _broken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(debug: bool, file: Path | None) -> None:
            raise RuntimeError("disk on fire, password hunter2+swordfish")

        Path("git_history.db").touch()
        redaction.register_secret("hunter2+swordfish")
        monkeypatch.setattr(dfsync.cli.app.write, "start_log", broken)

    @pytest.mark.usefixtures("_broken")
    def test_an_apology(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert dfsync.__main__.main([]) == 2
        assert capsys.readouterr() == (
            "",
            "dfsync: sorry, this should not happen: RuntimeError: disk on fire, password ***\n"
            "Run it again with --debug for the traceback.\n",
        )

    @pytest.mark.usefixtures("_broken")
    def test_with_the_traceback(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert dfsync.__main__.main(["--debug"]) == 2
        said = capsys.readouterr().err
        assert "Traceback (most recent call last)" in said
        assert "swordfish" not in said

    def test_signals_are_as_before_afterwards(self) -> None:
        before = signal.getsignal(signal.SIGTERM)
        dfsync.__main__.main(["--help"])
        assert signal.getsignal(signal.SIGTERM) is before


class TestCompletion:
    @pytest.mark.parametrize(
        ("line", "offered"),
        [
            ("dfsync ", COMMANDS),
            ("dfsync c", ["check", "create-tables"]),
            ("dfsync sync --batch", ["--batch-size"]),
            ("dfsync --source x --ta", ["--target", "--tables"]),
            ("dfsync create-tables --pr", ["--print"]),
            ("dfsync --on-match ", ["skip", "update"]),
        ],
    )
    def test_bash(self, line: str, offered: list[str]) -> None:
        code = "import sys; sys.argv[0] = 'dfsync'; from dfsync.__main__ import main; sys.exit(main())"
        ran = subprocess.run(
            [sys.executable, "-c", code],
            env={
                **os.environ,
                "_DFSYNC_COMPLETE": "complete_bash",
                "COMP_WORDS": line,
                "COMP_CWORD": str(len(line.split(" ")) - 1),
            },
            capture_output=True,
            text=True,
        )
        assert ran.stdout.split() == offered


class TestInterrupted:
    @pytest.mark.parametrize(
        ("command", "how", "status", "says"),
        [
            (
                "sync",
                signal.SIGINT,
                130,
                "stopped. Committed: nothing yet. Run the same command again to go on from there",
            ),
            (
                "sync",
                signal.SIGTERM,
                143,
                "stopped. Committed: nothing yet. Run the same command again to go on from there",
            ),
            ("check", signal.SIGINT, 130, "stopped; nothing was changed"),
            ("plan", signal.SIGINT, 130, "stopped; nothing was changed"),
            ("verify", signal.SIGTERM, 143, "stopped; what was found so far is not shown"),
            ("create-tables", signal.SIGINT, 130, "stopped; tables that were created stay"),
        ],
    )
    def test_while_it_waits_for_a_server_that_never_answers(
        self, command: str, how: signal.Signals, status: int, says: str
    ) -> None:
        with closing(sqlite3.connect("my.db")) as source:
            source.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)")
        with socket.create_server(("127.0.0.1", 0)) as silent:
            target = f"mysql://app:hunter2@127.0.0.1:{silent.getsockname()[1]}/db"
            words = [sys.executable, "-m", "dfsync", command, "--source", "my.db", "--target", target]
            with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
                silent.settimeout(60)
                held, _ = silent.accept()
                if sys.platform == "linux":
                    assert "hunter2" not in Path(f"/proc/{running.pid}/cmdline").read_text()
                running.send_signal(how)
                out, err = running.communicate(timeout=60)
                held.close()
        assert running.returncode == status
        assert out.startswith("Target: db on 127.0.0.1:") or command in ("plan", "create-tables")
        assert err.startswith(f"dfsync: {says}.")
        assert len(err.splitlines()) == 1

    def test_before_it_is_loaded(self) -> None:
        code = """if True:
            import builtins, sys
            real = builtins.__import__
            def interrupted(name, *more):
                if name.startswith("typer"):
                    raise KeyboardInterrupt
                return real(name, *more)
            builtins.__import__ = interrupted
            from dfsync.__main__ import main
            sys.exit(main(["--help"]))"""
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert (ran.returncode, ran.stdout, ran.stderr) == (130, "", "dfsync: stopped.\n")


class TestServer:
    @pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
    def test_runs_until_it_is_told_to_stop(self, how: signal.Signals) -> None:
        command = [sys.executable, "-m", "dfsync", "server", "--data-dir", "db"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
            assert running.stdout is not None
            line = running.stdout.readline()
            assert re.fullmatch(r"export MARIADB_URL='mysql://root@localhost/dfsync\?unix_socket=[^&']*'\n", line)
            engine = create_engine(line.split("'")[1].replace("mysql:", "mysql+pymysql:"))
            with engine.connect() as connection:
                assert connection.scalar(text("SELECT DATABASE()")) == "dfsync"
            engine.dispose()
            running.send_signal(how)
            out, err = running.communicate(timeout=60)
        assert running.returncode == 0
        assert out == ""
        assert err.splitlines()[-1] == "The private MariaDB has stopped."

    def test_says_when_the_server_ends_by_itself(self) -> None:
        command = [sys.executable, "-m", "dfsync", "server", "--data-dir", "db"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
            assert running.stdout is not None
            running.stdout.readline()
            os.kill(int(Path("db/pid").read_text()), signal.SIGKILL)
            _, err = running.communicate(timeout=60)
        assert running.returncode == 2
        assert err.splitlines()[-1] == ("dfsync: The private MariaDB has ended by itself; its log is db/server.log.")


class TestStartUp:
    def test_help_loads_nothing_heavy(self) -> None:
        heavy = {"pandas", "numpy", "pyarrow", "sqlalchemy", "pymysql", "adbc_driver_sqlite", "rich.console"}
        code = (
            "import sys; from dfsync.__main__ import main; main(['--help']);"
            f"print('loaded', sorted({heavy!r} & sys.modules.keys()))"
        )
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert ran.stdout.splitlines()[-1] == "loaded []"

    def test_help_takes_at_most_half_as_long_again_as_its_libraries(self) -> None:
        def seconds(*command: str) -> float:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, *command], capture_output=True, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

        pairs = [(seconds("-c", "import typer, rich"), seconds("-m", "dfsync", "--help")) for _ in range(20)]
        libraries, helped = (min(times) for times in zip(*pairs, strict=True))
        assert helped <= 1.5 * libraries
