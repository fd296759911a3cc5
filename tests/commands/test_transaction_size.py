"""What `check` says of tables that are larger than a cluster takes in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from dfsync.commands.check import check
from dfsync.commands.preflight import inspection
from dfsync.model.options import SyncOptions
from dfsync.source.profile import average_row_bytes
from dfsync.source.sqlite import SqliteSource
from dfsync.target.schema.preconditions import TransactionLimit, transaction_limits
from tests.support.git_history import run_sql
from tests.support.scenario import Scenario
from tests.support.tables.visits import SOURCE, TARGET

ROWS = TransactionLimit("wsrep_max_ws_rows", "rows", 10)
BYTES = TransactionLimit("wsrep_max_ws_size", "bytes", 300)


@pytest.fixture
def scenario(tmp_path: Path, target: Engine) -> Scenario:
    scenario = Scenario(tmp_path, target)
    scenario.create_source(SOURCE)
    scenario.create_target(TARGET)
    return scenario


@pytest.fixture
def server(target: Engine) -> Iterator[Engine]:
    engine = create_engine(target.url, isolation_level="AUTOCOMMIT")
    yield engine
    engine.dispose()


def warned(scenario: Scenario, commit_every: int | None = None) -> dict[str, str]:
    findings = check(scenario.source, scenario.target.url, options=SyncOptions(commit_every=commit_every)).findings
    return {f.table: f.message for f in findings if "in one transaction" in f.message and f.level == "warning"}


class TestATableThatIsTooLarge:
    def test_is_named_with_the_rows_to_commit_at_a_time(
        self, scenario: Scenario, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(inspection, "transaction_limits", lambda _: [ROWS])
        found = warned(scenario)
        assert found.keys() == {"places", "visits"}
        assert found["places"] == (
            "its 20 new rows have some 0.1 MB, and the server takes 10 rows in one transaction (wsrep_max_ws_rows): "
            "sync with --commit-every 8"
        )
        assert warned(scenario, commit_every=8) == {}
        assert warned(scenario, commit_every=11).keys() == {"places", "visits"}

    def test_is_measured_in_bytes(self, scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(inspection, "transaction_limits", lambda _: [ROWS, BYTES])
        # A row of places has 8 bytes and "place 12", a row of visits a number more.
        assert warned(scenario)["visits"].endswith(
            "300 bytes in one transaction (wsrep_max_ws_size): sync with --commit-every 7"
        )
        run_sql(scenario.source, "UPDATE visits SET note = note || hex(zeroblob(18))")
        assert warned(scenario)["visits"].endswith("(wsrep_max_ws_size): sync with --commit-every 2")

    def test_counts_only_rows_that_would_be_inserted(self, scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
        assert scenario.sync(tables=("places",)).ok
        monkeypatch.setattr(inspection, "transaction_limits", lambda _: [ROWS])
        assert warned(scenario).keys() == {"visits"}

    def test_cannot_be_divided_where_its_rows_refer_to_each_other(
        self, tmp_path: Path, target: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scenario = Scenario(tmp_path, target)
        scenario.create_source(
            """CREATE TABLE staff (id INTEGER PRIMARY KEY, name TEXT UNIQUE, boss_id INTEGER REFERENCES staff);
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 11)
            INSERT INTO staff SELECT i, 'name ' || i, 1 FROM n"""
        )
        scenario.create_target(None)
        monkeypatch.setattr(inspection, "transaction_limits", lambda _: [ROWS])
        assert warned(scenario, commit_every=5)["staff"].endswith(
            "set it higher there, since rows that refer to each other are committed together"
        )


class TestTheLimits:
    def test_of_a_server_that_is_in_no_cluster_are_none(self, server: Engine) -> None:
        with server.connect() as connection:
            with suppress(DBAPIError):
                connection.execute(text("SET GLOBAL wsrep_max_ws_rows = 3"))
            try:
                assert [limit for limit in transaction_limits(connection) if limit.setting.startswith("wsrep")] == []
            finally:
                with suppress(DBAPIError):
                    connection.execute(text("SET GLOBAL wsrep_max_ws_rows = 0"))

    def test_of_group_replication_are_read(self, server: Engine, scenario: Scenario) -> None:
        with server.connect() as connection:
            try:
                connection.execute(text("INSTALL PLUGIN group_replication SONAME 'group_replication.so'"))
            except DBAPIError:
                pytest.skip("this server has no group replication")
            try:
                usual = transaction_limits(connection)
                connection.execute(text("SET GLOBAL group_replication_transaction_size_limit = 300"))
                found = warned(scenario)
            finally:
                connection.execute(text("UNINSTALL PLUGIN group_replication"))
            assert usual == [TransactionLimit("group_replication_transaction_size_limit", "bytes", 150_000_000)]
            assert found.keys() == {"places", "visits"}
            assert transaction_limits(connection) == []


def test_a_row_has_the_bytes_of_its_texts_and_eight_for_any_other_value(tmp_path: Path) -> None:
    path = run_sql(
        tmp_path / "source.db",
        "CREATE TABLE t (a TEXT, b INTEGER, c BLOB); INSERT INTO t VALUES ('Größe', 1, x'00ff'), (NULL, 2, NULL); "
        "CREATE TABLE none (a)",
    )
    with SqliteSource(path) as source:
        # 8 of the id, 7 or 8, 8, and 2 or 8.
        assert average_row_bytes(source, source.schema["t"], ["a", "b", "c"]) == ((8 + 7 + 8 + 2) + (8 + 8 + 8 + 8)) / 2
        assert average_row_bytes(source, source.schema["none"], ["a"]) == 0
