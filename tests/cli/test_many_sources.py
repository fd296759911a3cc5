"""Several sources on the console: every command takes them, and says which one it could not read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dfsync.commands.runs import runs
from tests.support.laptops import Laptops
from tests.support.runs.command_line import Cli

SAYS = "cannot be read: it is not a SQLite database, or it is encrypted."


@pytest.fixture
def laptops(own_folder: Path, target: Engine, target_url: str, monkeypatch: pytest.MonkeyPatch) -> Laptops:
    """A folder of three files and one that is none."""
    monkeypatch.setenv("MARIADB_URL", target_url)
    made = Laptops(own_folder / "laptops", target)
    made.folder.mkdir()
    made.add_all()
    (made.folder / "bad.db").write_bytes(b"SQLite format 3\x00" + b"nonsense" * 1000)
    return made


def test_with_one_that_cannot_be_read(cli: Cli, laptops: Laptops) -> None:
    sources = ("--source", "laptops")
    plan = cli("plan", "--source", "laptops/bad.db", "--source", "laptops/ann.db")
    assert plan.returncode == 0
    assert "Note: the source bad: " in plan.stdout
    made = cli("create-tables", *sources)
    assert made.returncode == 0
    assert f"Note: The source bad is left out: The source laptops/bad.db {SAYS}\n" in made.stdout
    checked = cli("check", *sources)
    assert checked.returncode == 1
    assert "commits: 7 rows, 5 would be inserted, 2 exist or share a row, 0 would fail\n" in checked.stdout
    assert "ERROR: the source bad: " in checked.stdout
    synced = cli("sync", *sources)
    assert synced.returncode == 1
    assert f"  FAILED: bad: The source laptops/bad.db {SAYS}\n" in synced.stdout
    assert "  cem: 5 rows: 2 synced, 3 skipped, 0 failed\n" in synced.stdout
    verified = cli("verify", *sources)
    assert verified.returncode == 1
    assert f"NOT VERIFIED: bad: The source laptops/bad.db {SAYS}\n" in verified.stdout
    (listed,) = json.loads(cli("runs", "--json").stdout)["runs"]
    assert (listed["source"], listed["inserted"], listed["state"]) == ("laptops/ann.db and 3 others", 11, "done")
    assert listed["sources"] == ["ann", "bad", "bob", "cem"]
    assert list(listed["failed_sources"]) == ["bad"]
    assert runs("dfsync-out").summary["failed_sources"].tolist() == [1]
    assert cli("runs").stdout.endswith("  done, 1 source not read\n")
    assert cli("undo").returncode == 0
    assert laptops.read("SELECT COUNT(*) FROM commits") == [(0,)]
    assert not [ran.stderr for ran in (plan, made, checked, synced, verified) if "Traceback" in ran.stderr]


def test_as_json(cli: Cli, laptops: Laptops) -> None:
    Path("list.txt").write_text("laptops/ann.db\nlaptops/bad.db\nerp:laptops/bob.db\n")
    sources = ("--sources", "list.txt")
    cli("create-tables", *sources)
    checked = json.loads(cli("check", *sources, "--json").stdout)
    assert [finding["level"] for finding in checked["findings"] if "bad" in finding["message"]] == ["error"]
    synced = json.loads(cli("sync", *sources, "--json").stdout)
    assert [(source["name"], source["error"] is None) for source in synced["sources"]] == [
        ("ann", True),
        ("bad", False),
        ("erp", True),
    ]
    verified = json.loads(cli("verify", *sources, "--json").stdout)
    assert list(verified["unreadable"]) == ["bad"]


def test_a_dry_run_of_them_changes_nothing(cli: Cli, laptops: Laptops) -> None:
    cli("create-tables", "--source", "laptops")
    ran = cli("sync", "--source", "laptops", "--dry-run")
    assert ran.returncode == 1
    assert laptops.read("SELECT COUNT(*) FROM repositories") == [(0,)]
    assert not Path("dfsync-out").exists()
