"""A source of people, and a target that it was synced into."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

import dfsync
from tests.support.git_history import execute, run_sql
from tests.support.tables.people import SOURCE, TARGET


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return run_sql(tmp_path / "source.db", SOURCE)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def synced(source: Path, target: Engine, out: Path) -> Engine:
    """A target that the source was synced into; Dee was there before, as someone else."""
    execute(target, *TARGET)
    result = dfsync.sync(source, target.url, out=out)
    assert result.ok, result.summary.to_string()
    assert result.summary["matched"].to_dict() == {"people": 1, "notes": 0, "tags": 1, "people_tags": 0, "log": 0}
    return target


@pytest.fixture
def check(source: Path, synced: Engine, out: Path) -> Callable[..., dfsync.VerifyResult]:
    return lambda **options: dfsync.verify(source, synced.url, out=out, options=dfsync.SyncOptions(**options))
