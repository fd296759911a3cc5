"""Connections: what they set, and how little they ask."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from dfsync.target import connection as connections
from dfsync.target.connection import DriverConnection, connect, make_engine
from tests.support.laptops import Laptops


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is sent to the server, in order."""
    sent: list[str] = []
    send = DriverConnection._execute_command

    def note(self: DriverConnection, command: int, sql: str | bytes) -> None:
        sent.append(sql if isinstance(sql, str) else sql.decode("utf-8", "replace"))
        send(self, command, sql)

    monkeypatch.setattr(DriverConnection, "_execute_command", note)
    return sent


SETTINGS = {
    "autocommit": 0,
    "foreign_key_checks": 1,
    "unique_checks": 1,
    "time_zone": "+00:00",
    "character_set_client": "utf8mb4",
    "character_set_results": "utf8mb4",
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_session_has_its_settings(target: Engine, setting: str) -> None:
    with make_engine(target.url).connect() as first, first.engine.connect() as second:
        for connection in (first, second):
            assert connection.scalar(text(f"SELECT @@SESSION.{setting}")) == SETTINGS[setting]


def test_reads_are_repeatable_whatever_the_server_has_for_others(target: Engine) -> None:
    engine = make_engine(target.url)
    levels = []
    for level in ("READ UNCOMMITTED", None):
        with engine.connect() as connection:
            if level is not None:
                connection = connection.execution_options(isolation_level=level)
            rows = connection.exec_driver_sql(
                "SHOW VARIABLES WHERE variable_name IN ('tx_isolation', 'transaction_isolation')"
            ).all()
            levels.append({value for _, value in rows})
    assert levels == [{"READ-UNCOMMITTED"}, {"REPEATABLE-READ"}]


def test_text_as_long_as_a_packet_is_joined(target: Engine) -> None:
    with make_engine(target.url).connect() as connection:
        longest, packet = connection.exec_driver_sql("SELECT @@group_concat_max_len, @@max_allowed_packet").one()
        assert longest == packet


def test_a_connection_is_asked_whether_it_lives_only_after_a_while(
    target: Engine, commands: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine(target.url)
    for seconds, asked in ((60.0, 0), (0.0, 1)):
        monkeypatch.setattr(connections, "_FRESH_SECONDS", seconds)
        with connect(engine):
            pass
        commands.clear()
        with connect(engine) as connection:
            connection.exec_driver_sql("SELECT 1")
        assert commands == [""] * asked + ["SELECT 1", "ROLLBACK"]


def test_a_night_without_news_asks_little(tmp_path: Path, target: Engine, commands: list[str]) -> None:
    laptops = Laptops(tmp_path, target)
    laptops.add_all()
    laptops.create_tables()
    laptops.sync(laptops.paths[0], jobs=1)
    commands.clear()
    laptops.sync(laptops.paths[0], jobs=1)
    # To connect twice 10, of the schema 7, for the lock 3, and for each table some 8.
    assert len(commands) <= 60, "\n".join(commands)
