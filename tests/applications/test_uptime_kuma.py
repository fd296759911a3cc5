"""The ready-made plan for Uptime Kuma, with rows by the hundred thousand.

No package brings Uptime Kuma's migrations, so the tables are those of `tests/support/applications/schemas`. Node made
them of its repository: of `db/kuma.db`, `db/old_migrations` and `db/knex_migrations` for SQLite, and of
`db/knex_init_db.js` and `db/knex_migrations` for MariaDB.
"""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine

import dfsync
from tests.applications.support import VARIABLE
from tests.support.applications import uptime_kuma
from tests.support.applications.databases import answers, assert_same, make_source, make_target

pytestmark = pytest.mark.skipif(VARIABLE not in os.environ, reason="`make test-applications` runs this")
HEARTBEATS = 200_000


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("kuma") / "kuma.db"
    return make_source(path, "uptime-kuma", uptime_kuma.instance("a", HEARTBEATS, seed=1))


def test_into_the_database_of_another_instance(source: Path, target: Engine, tmp_path: Path) -> None:
    make_target(target, "uptime-kuma", uptime_kuma.instance("b", HEARTBEATS // 10, seed=2))
    before = {name: answers(target, query) for name, query in uptime_kuma.relations("b")}
    assert dfsync.check(source, target.url, out=tmp_path).ok
    first = dfsync.sync(source, target.url, out=tmp_path)
    assert (first.ok, first.plan is not None and first.plan.base) == (True, "uptime-kuma")
    assert_same(source, target, uptime_kuma.relations("a"))
    assert {name: answers(target, query) for name, query in uptime_kuma.relations("b")} == before
    assert dfsync.verify(source, target.url, out=tmp_path).ok
    again = dfsync.sync(source, target.url, out=tmp_path)
    assert (again.ok, sum(c.inserted + c.updated for c in again.counts)) == (True, 0)


def test_into_its_own_fresh_target_ids_stay(source: Path, target: Engine, tmp_path: Path) -> None:
    settings = pd.DataFrame({"key": ["jwtSecret", "migrateAggregateTableState"], "value": ["new", '"migrated"']})
    make_target(target, "uptime-kuma", {"setting": settings})
    result = dfsync.sync(
        source, target.url, out=tmp_path, options=dfsync.SyncOptions(keep_ids="free", on_match="update")
    )
    assert result.ok
    assert_same(source, target, uptime_kuma.relations("a"))
    changed = {name for name, mapping in result.mappings.items() if (mapping["old_id"] != mapping["new_id"]).any()}
    assert changed == {"setting"}
    assert dfsync.verify(source, target.url, out=tmp_path).ok
