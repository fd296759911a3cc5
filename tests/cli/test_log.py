"""What reaches standard error and the process list: everything but passwords."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dfsync.cli.log import sanitize, start_log
from dfsync.target.config.location import named_target
from dfsync.target.config.url import parse_url
from dfsync.text import redaction
from tests.support.runs.command_line import Cli

ROOT = Path(__file__).parents[2]


class TestMasking:
    def test_in_every_spelling(self) -> None:
        parse_url("mysql://app:p%40ss%3Aw%2F%27rd@host/db", "--target")
        for spelling in ("p@ss:w/'rd", "p%40ss%3Aw%2F%27rd", "p%40ss%3Aw/%27rd"):
            assert redaction.redact(f"<{spelling}>") == "<***>"

    def test_config_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("MARIADB_URL", raising=False)
        Path("config.py").write_text("MARIADB_CONFIG = {'database': 'gpt', 'password': 'correct horse'}")
        named_target(None)
        assert redaction.redact("the correct horse") == "the ***"

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process change its arguments")
    @pytest.mark.parametrize("form", [["--target", "{}"], ["--target={}"]])
    @pytest.mark.parametrize("password", ["hunter2", "hünter2", "hunter2\udcff"])
    def test_ps_does_not_show_it(self, tmp_path: Path, form: list[str], password: str) -> None:
        script = tmp_path / "script.py"
        script.write_text(
            """
            import sys
            from pathlib import Path
            from dfsync.cli.process_title import hide_from_process_list
            hide_from_process_list(sys.argv[-1].removeprefix("--target="))
            print(Path("/proc/self/cmdline").read_bytes())
            print(ascii(sys.argv))
            """.replace("    ", "")
        )
        url = f"mysql://app:{password}@host/db"
        command = [sys.executable, str(script), *(part.format(url) for part in form)]
        ran = subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True)
        seen, known = ran.stdout.splitlines()
        assert "nter2" not in seen
        assert "*" * len(url) in seen
        assert ascii(url)[1:-1] in known


class TestLog:
    def test_warnings_are_sentences_and_the_rest_is_silent(self, capsys: pytest.CaptureFixture[str]) -> None:
        start_log(debug=False)
        logging.getLogger("dfsync.load").info("detail")
        logging.getLogger("dfsync.load").warning("look %s", "here\x1b[2J")
        captured = capsys.readouterr()
        assert captured.err == "dfsync: look here\\x1b[2J\n"
        assert captured.out == ""

    def test_debug_shows_all_but_passwords(self, capsys: pytest.CaptureFixture[str]) -> None:
        redaction.register_secret("hunter2 of the log")
        start_log(debug=True)
        log = logging.getLogger("dfsync.target")
        log.debug("with %s", "hunter2 of the log")
        try:
            raise ValueError("hunter2%20of%20the%20log")
        except ValueError:
            log.exception("failed")
        said = capsys.readouterr().err
        assert "DEBUG dfsync.target: with ***" in said
        assert "ValueError: ***" in said
        assert "hunter2" not in said

    def test_twice_is_once(self, capsys: pytest.CaptureFixture[str]) -> None:
        start_log(debug=True)
        start_log(debug=True)
        logging.getLogger("dfsync").warning("once")
        assert capsys.readouterr().err.count("once") == 1

    def test_safe_keeps_line_breaks(self) -> None:
        assert sanitize("a\nb\x07") == "a\nb\\x07"
        assert len(sanitize("x" * 5000)) == 5000 < sys.maxsize


class TestSteps:
    """`--debug` logs what a command does, also when all is well."""

    @pytest.mark.parametrize("command", ["create-tables", "plan", "check", "sync", "verify"])
    def test_of_every_command(self, cli: Cli, source: Path, target_url: str, command: str) -> None:
        given = ["--source", str(source), "--target", target_url, "--tables", "repositories"]
        for before in ("create-tables", "sync"):
            if command not in (before, "create-tables"):
                assert cli(before, *given).stderr == ""
        said = cli(command, *given, "--debug").stderr
        assert f"opened the source {source}, which has 9 tables" in said
        assert "connected to dfsync_test_" in said
        assert "chose the built-in plan, of the tables repositories, authors, commits" in said

    def test_of_each_table(self, cli: Cli, source: Path, target_url: str) -> None:
        given = ["--source", str(source), "--target", target_url, "--debug"]
        assert "repositories: CREATE TABLE" in cli("create-tables", *given).stderr
        said = cli("sync", *given).stderr
        assert "began the transaction of commits" in said
        assert "commits: {'name': 'commits', 'table': 'commits', 'total': 2, 'inserted': 2, " in said
        assert said.count("'seconds': {") == 9
        assert "commits: {'name': 'commits', 'table': 'commits', 'total': 2, 'equal': 2" in cli("verify", *given).stderr


class TestFile:
    def test_holds_what_is_told_with_the_time_and_is_appended(self, cli: Cli, target_url: str, source: Path) -> None:
        where = ("--target", target_url, "--log-file", "dfsync.log")
        assert cli("create-tables", *where).returncode == 0
        ran = cli("-q", *where)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
        assert cli("verify", "-q", *where).stdout == ""
        lines = Path("dfsync.log").read_text().splitlines()
        assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} (INFO|WARNING|ERROR) ", line) for line in lines)
        told = [line.split(" ", 2)[2] for line in lines]
        for line in ("Created commits", "Commits: 2 synced, 0 skipped, 0 failed", "Commits: 2 rows: 2 equal"):
            assert line in told
        assert told[-1].startswith("exit status 0, after ")
        assert sum(line.startswith("exit status 0") for line in told) == 3
        assert Path("dfsync.log").stat().st_mode & 0o777 == 0o600

    def test_holds_failures_and_no_password(self, cli: Cli, source: Path) -> None:
        ran = cli("--target", "mysql://app:correct%20horse@127.0.0.1:1/db", "--log-file", "dfsync.log", "--debug")
        assert ran.returncode == 2
        text = Path("dfsync.log").read_text()
        assert " ERROR dfsync.cli.told: The target db on 127.0.0.1:1 cannot be reached: " in text
        assert "exit status 2" in text
        assert "horse" not in text

    def test_that_cannot_be_written(self, cli: Cli, source: Path) -> None:
        ran = cli("--log-file", "no/such/folder.log")
        assert (ran.returncode, ran.stderr) == (
            2,
            "dfsync: The log file no/such/folder.log cannot be written: No such file or directory.\n",
        )
