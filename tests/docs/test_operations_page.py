"""docs/operations.md: the rights that it names are enough, and its option file is one."""

from __future__ import annotations

import configparser
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dfsync.__main__ import main
from dfsync.target.config.option_file import read_option_file
from tests.support.git_history import fetch, user

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
GRANTS = re.findall(r"^GRANT (.*) ON app\.\*", PAGE, flags=re.MULTILINE)
SOURCE = """
CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, boss_id INTEGER REFERENCES people (id));
CREATE TABLE notes (id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL REFERENCES people (id), text TEXT);
INSERT INTO people VALUES (1, 'Ada', 2), (2, 'Bob', NULL), (3, 'Eve', 3);
INSERT INTO notes VALUES (7, 1, 'x'), (8, 3, 'y');
"""


def test_the_rights_are_enough(tmp_path: Path, target: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(sqlite3.connect("my.db")) as connection:
        connection.executescript(SOURCE)
    assert len(GRANTS) == 5
    with user(target, "secret", *(f"{grant} ON *" for grant in GRANTS)) as name:
        url = target.url.set(username=name, password="secret").render_as_string(hide_password=False)
        monkeypatch.setenv("MARIADB_URL", url)
        for command in ("create-tables", "check", "sync", "verify", "sync --on-match update", "undo", "sync"):
            words = command.split()
            source = [] if command == "undo" else ["--source", "my.db"]
            assert main([*words, *source]) == 0, command
            rows = 3 if words[0] in ("sync", "verify") else 0
            assert fetch(target, "SELECT COUNT(*) FROM people") == [(rows,)], command
        with closing(sqlite3.connect("my.db")) as connection, connection:
            connection.execute("UPDATE notes SET text = 'z'")
        assert main(["sync", "--source", "my.db", "--on-match", "update"]) == 0
        assert main(["undo"]) == 0


def test_the_option_file_is_one(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```ini\n(# ~/\.my\.cnf.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "my.cnf").write_text(block)
    assert read_option_file(tmp_path / "my.cnf", "my.cnf").values == {
        "user": "app",
        "password": "p@ss#word",
        "host": "db.example.com",
        "ssl-ca": "/etc/ssl/certs/db-ca.pem",
    }


def test_the_commands_of_every_night_are_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They find every option known, and no such file."""
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"dfsync ((?:sync|verify) -q .*?)(?: &&|$)", PAGE, flags=re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        assert main(command.split()) == 2
        assert "File 'my.db' does not exist" in capsys.readouterr().err


def test_the_units_are_units() -> None:
    blocks = re.findall(r"^```ini\n# /etc/systemd.*?\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        configparser.RawConfigParser(strict=False).read_string(block)
