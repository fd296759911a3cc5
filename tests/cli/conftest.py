"""The command line in a folder of its own, with a small source."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from dfsync.__main__ import main
from tests.support.git_history import empty_source, run_sql
from tests.support.runs.command_line import ROOT, Cli, Ran


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("MARIADB_URL", raising=False)
    return tmp_path


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    """The program in this process, which is as it was before afterwards."""
    log = logging.getLogger("dfsync")
    before = log.handlers[:], log.level

    def run(*arguments: str) -> Ran:
        capsys.readouterr()
        status = main(list(arguments))
        return Ran(status, *capsys.readouterr())

    yield run
    log.handlers[:], log.level = before


@pytest.fixture
def source(own_folder: Path) -> Path:
    return run_sql(
        empty_source(Path("git_history.db")),
        """INSERT INTO repositories (id, slug) VALUES (1, 'my-repo'), (2, 'other');
        INSERT INTO commits (id, repository_id, hash) VALUES (1, 1, 'x'), (2, 2, 'y');""",
    )
