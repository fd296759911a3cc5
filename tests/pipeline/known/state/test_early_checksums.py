"""The segments of new rows are read while they are sent, and are what a reading at the end would find."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, text

from dfsync.pipeline.known.state import segments, unchanged
from dfsync.target.read.checksums import read_checksums
from dfsync.target.schema.reflection import reflect
from tests.support.git_history import ids
from tests.support.scenario import Scenario, statements

SOURCE = """CREATE TABLE letters (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
    INSERT INTO letters VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd'), (5, 'e'), (6, 'f'), (7, 'g')"""
PLAN = """[tables.letters]
natural_key = ["name"]
on_rekey = "insert"
"""
TARGET = """CREATE TABLE letters (id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) NOT NULL, KEY (name))
    AUTO_INCREMENT = 101 CHARACTER SET utf8mb4"""


@pytest.fixture
def scenario(tmp_path: Path, target: Engine, monkeypatch: pytest.MonkeyPatch) -> Scenario:
    """Seven rows in segments of two, none of them in the target."""
    monkeypatch.setattr(unchanged, "FEWEST_ROWS", 0)
    monkeypatch.setattr(segments, "SEGMENT_ROWS", 2)
    scenario = Scenario(tmp_path, target)
    scenario.create_source(SOURCE, PLAN)
    scenario.create_target(TARGET)
    return scenario


def left(scenario: Scenario) -> pa.Table:
    """The segments in the state that the last run left."""
    return pq.read_table(scenario.folder / "out" / "state" / "letters.segments.parquet")


def test_segments_are_read_early_and_are_those_of_the_end(scenario: Scenario) -> None:
    with statements() as sent:
        scenario.sync(batch_size=3)
    checked = [statement for statement in sent if "crc32" in statement]
    # The last row is read at the end, and all others before; below them the table has none.
    assert ["<=" in statement for statement in checked].count(False) == 1
    assert len(checked) > 2
    found = left(scenario)
    with scenario.target.connect() as connection:
        table = reflect(connection)["letters"]
        now = read_checksums(connection, table, "id", [table["name"]], found.column("last_id").to_numpy())
    assert found.column("rows").to_pylist() == now.rows[:-1].tolist() == [2, 2, 2, 1]
    assert found.column("checksum_1").to_pylist() == now.checksum_1[:-1].tolist()
    assert found.column("checksum_2").to_pylist() == now.checksum_2[:-1].tolist()


def test_what_others_have_not_committed_is_in_no_segment(scenario: Scenario) -> None:
    """A row of another client has the name of one that goes in later, and is committed later still."""
    with scenario.target.connect() as other:

        def insert(statement: str) -> None:
            # When the ids of the first batch are read.
            if "max(`id`)" in statement and "`id` > " in statement and not other.in_transaction():
                other.execute(text("INSERT INTO letters (name) VALUES ('g')"))

        with statements(insert):
            scenario.sync(batch_size=2)
        other.commit()
    assert left(scenario).column("rows").to_pylist() == [2, 2, 2, 1]
    assert len(scenario.read_target("SELECT id FROM letters WHERE name = 'g'")) == 2
    fast, full = (ids(scenario.sync(dry_run=True, full=full).mappings["letters"]) for full in (False, True))
    assert fast == full
