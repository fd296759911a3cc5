"""The `MARIADB_URL` of a `.env` file."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfsync.model.errors import DfsyncError
from dfsync.target.config.env_file import read_variable
from dfsync.target.config.location import Credentials, named_target

URL = "mysql://app:hunter2@host/db"


@pytest.mark.parametrize(
    "line",
    [
        f"MARIADB_URL={URL}",
        f"export MARIADB_URL = {URL}  # ours",
        f"MARIADB_URL='{URL}'",
        f'MARIADB_URL="{URL}" # ours',
        f"MARIADB_URL=mysql://first/db\nOTHER=1\n\n# MARIADB_URL=no\nMARIADB_URL={URL}\n",
    ],
)
def test_spellings(tmp_path: Path, line: str) -> None:
    (tmp_path / ".env").write_text(line)
    assert read_variable(tmp_path / ".env", "MARIADB_URL") == URL


def test_signs_in_values_stay(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text('A=a#b$c\nB="x\\"y"\nC=\'it is \\n\'\n')
    assert [read_variable(tmp_path / ".env", name) for name in "ABC"] == ["a#b$c", 'x"y', "it is \\n"]


@pytest.mark.parametrize("text", ["", "MARIADB_URL=\n", "DATABASE=hunter2\n", b"MARIADB_URL=\xff"])
def test_one_that_names_none(tmp_path: Path, text: str | bytes) -> None:
    (tmp_path / ".env").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DfsyncError, match=r"\.env names no target: it ") as caught:
        read_variable(tmp_path / ".env", "MARIADB_URL")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_it_comes_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MARIADB_URL", "mysql://other/db")
    Path(".env").write_text(f"MARIADB_URL={URL}\n")
    location = named_target(None, credentials=Credentials(env_file=Path(".env")))
    assert location is not None
    assert location.description == "Target: db on host:3306 as app (from .env)"
    with pytest.raises(DfsyncError, match=r"^--target and \.env both name the target"):
        named_target(URL, "--target", Credentials(env_file=Path(".env")))
