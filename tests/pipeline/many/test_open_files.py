"""More files than a program may open: each is opened when its turn comes."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.support.laptops import SCHEMA, Laptops
from tests.support.runs.command_line import ROOT

FILES, LIMIT = 300, 256
FROM_PYTHON = """
import sys
from pathlib import Path
import dfsync
paths = sorted(Path("laptops").glob("*.db"))
result = dfsync.sync(paths, sys.argv[1])
assert result.ok, result.summary
"""


def limited(target: Engine, *command: str) -> subprocess.CompletedProcess[str]:
    """Run Python as under `ulimit -n 256`."""
    url = target.url.render_as_string(hide_password=False)
    return subprocess.run(
        [sys.executable, *command],
        env={**os.environ, "PYTHONPATH": str(ROOT), "MARIADB_URL": url},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT)),
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture
def laptops(tmp_path: Path, target: Engine, monkeypatch: pytest.MonkeyPatch) -> Laptops:
    """Files of which each shares a repository with the next one."""
    monkeypatch.chdir(tmp_path)
    made = Laptops(tmp_path / "laptops", target)
    made.folder.mkdir()
    fast = "PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY;"
    for number in range(FILES):
        rows = f"""INSERT INTO repositories VALUES (1, 'r{number}'), (2, 'r{number + 1}');
            INSERT INTO commits VALUES (1, 2, 'h{number}', NULL, NULL);"""  # noqa: S608
        made.add(f"l{number:03}", rows, fast + SCHEMA)
    return made


def test_on_the_console(laptops: Laptops) -> None:
    for command in ("create-tables", "check", "sync", "verify"):
        ran = limited(laptops.target, "-m", "dfsync", command, "--source", "laptops")
        assert ran.returncode == 0, (command, ran.stdout[-500:], ran.stderr[-500:])
    assert laptops.read("SELECT COUNT(*) FROM commits c JOIN repositories r ON r.id = c.repository_id") == [(FILES,)]
    assert len(list((Path("dfsync-out") / "sources").glob("*/id_mappings.json"))) == FILES
    assert limited(laptops.target, "-m", "dfsync", "undo").returncode == 0
    assert laptops.read("SELECT COUNT(*) FROM repositories") == [(0,)]


def test_in_python_with_files_that_need_three_each(laptops: Laptops) -> None:
    laptops.create_tables()
    for path in laptops.paths[:150]:
        laptops.change(path, "PRAGMA journal_mode = WAL")
    ran = limited(laptops.target, "-c", FROM_PYTHON, laptops.target.url.render_as_string(hide_password=False))
    assert ran.returncode == 0, ran.stderr
    assert laptops.read("SELECT COUNT(*) FROM repositories") == [(FILES + 1,)]
