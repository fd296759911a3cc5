"""What a run writes to the target is in its journal before it is committed."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, event

from dfsync.model.options import SyncOptions
from dfsync.output.journal.record import read_records, run_folder
from dfsync.target.connection import make_engine
from dfsync.target.read.exact import read_digests, read_exact
from dfsync.target.schema.reflection import reflect
from tests.support.git_history import execute, fetch
from tests.support.scenario import Scenario

SHOP = """
CREATE TABLE shop (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, city TEXT, price REAL);
INSERT INTO shop VALUES (1, 'a', 'Ulm', 0.1), (2, 'b', NULL, 0.30000000000000004), (3, 'c', 'Bonn', NULL);
CREATE TABLE tag (id INTEGER PRIMARY KEY, label TEXT NOT NULL UNIQUE);
INSERT INTO tag VALUES (1, 'x'), (2, 'y');
CREATE TABLE shop_tag (shop_id INTEGER NOT NULL REFERENCES shop, tag_id INTEGER NOT NULL REFERENCES tag,
    PRIMARY KEY (shop_id, tag_id)) WITHOUT ROWID;
INSERT INTO shop_tag VALUES (1, 1), (1, 2), (3, 2);
"""


@pytest.fixture
def scenario(tmp_path: Path, target: Engine) -> Scenario:
    return Scenario(tmp_path, target)


def only_record(scenario: Scenario):  # type: ignore[no-untyped-def]
    (record,) = read_records(scenario.folder / "out")
    return record


def journal(scenario: Scenario, what: str, name: str, run: int = -1) -> list[dict[str, object]]:
    out = scenario.folder / "out"
    record = read_records(out)[run]
    rows: list[dict[str, object]] = pq.read_table(run_folder(out, record.id) / what / f"{name}.parquet").to_pylist()
    return rows


class TestInsertedRows:
    def test_have_their_ids_and_the_digests_of_the_server(self, scenario: Scenario) -> None:
        scenario.create_source(SHOP)
        scenario.create_target(None, "INSERT INTO shop (name) VALUES ('own'), ('c')")
        result = scenario.sync()
        assert result.ok, ([c.error for c in result.counts], [r.to_dict() for r in result.rejects.values()])
        rows = journal(scenario, "inserted", "shop")
        assert [row["old_id"] for row in rows] == [1, 2]
        engine = make_engine(scenario.target.url)
        with engine.connect() as connection:
            table = reflect(connection)["shop"]
            ids = scenario.id_maps(result)["shop"]
            (found,) = read_digests(connection, table, "id", result.mappings["shop"]["new_id"].to_numpy()[:2])
        engine.dispose()
        assert [row["new_id"] for row in rows] == [ids[1], ids[2]]
        assert [row["digest"] for row in rows] == found.digests.tolist()
        (record,) = read_records(scenario.folder / "out")
        assert {t.name: [(p.state, p.inserted, p.updated) for p in t.parts] for t in record.tables} == {
            "shop": [("committed", 2, 0)],
            "tag": [("committed", 2, 0)],
            "shop_tag": [("committed", 3, 0)],
        }
        assert record.finished is not None
        assert not record.is_unknown

    def test_of_a_link_table_are_named_by_their_primary_key(self, scenario: Scenario) -> None:
        scenario.create_source(SHOP)
        scenario.create_target(None)
        assert scenario.sync().ok
        rows = journal(scenario, "inserted", "shop_tag")
        keys = sorted(tuple(int(str(part, "ascii")) for part in row["key"].values()) for row in rows)  # type: ignore[attr-defined]
        assert keys == sorted(scenario.read_target("SELECT shop_id, tag_id FROM shop_tag"))

    def test_without_any_key_are_counted(self, scenario: Scenario) -> None:
        scenario.create_source("CREATE TABLE log (line TEXT); INSERT INTO log VALUES ('a'), ('a'), ('b'), (NULL)")
        scenario.create_target("CREATE TABLE log (line TEXT)", "INSERT INTO log VALUES ('a')")
        assert scenario.sync().ok
        counts = sorted((row["count"], row["present"]) for row in journal(scenario, "inserted", "log"))
        assert counts == [(1, 1), (1, 1), (1, 2)]

    def test_are_those_of_many_batches_and_of_references_that_are_filled_later(self, scenario: Scenario) -> None:
        scenario.create_source(
            "CREATE TABLE n (id INTEGER PRIMARY KEY, k TEXT UNIQUE, up INTEGER REFERENCES n);"
            "WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 500)"
            "INSERT INTO n SELECT i, 'k' || i, 501 - i FROM s"
        )
        scenario.create_target(None)
        assert scenario.sync(batch_size=50).ok
        assert_digests_hold(scenario, "n", 500)


def assert_digests_hold(scenario: Scenario, name: str, count: int) -> None:
    """Those of the journal are those of the rows as they are now."""
    rows = {row["new_id"]: row["digest"] for row in journal(scenario, "inserted", name)}
    engine = make_engine(scenario.target.url)
    with engine.connect() as connection:
        table = reflect(connection)[name]
        cells, digests = read_exact(connection, table, ["id"])
    engine.dispose()
    now = dict(zip((int(str(id_, "ascii")) for id_ in cells.column(0).to_pylist()), digests.to_pylist(), strict=True))
    assert rows == now
    assert len(rows) == count


def test_a_second_connection_reads_the_digests_of_large_tables(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dfsync.pipeline.journal import rows

    monkeypatch.setattr(rows, "_ROWS_FOR_A_READER", 100)
    levels = []

    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        if "sha2" in statement:
            levels.append(connection.get_isolation_level())  # type: ignore[attr-defined]

    event.listen(Engine, "before_cursor_execute", note)
    scenario.create_source(
        "CREATE TABLE n (id INTEGER PRIMARY KEY, k TEXT UNIQUE);"
        "WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 500)"
        "INSERT INTO n SELECT i, 'k' || i FROM s"
    )
    scenario.create_target(None)
    assert scenario.sync(batch_size=60).ok
    event.remove(Engine, "before_cursor_execute", note)
    assert {"READ UNCOMMITTED", "REPEATABLE READ"} <= set(levels)
    assert_digests_hold(scenario, "n", 500)


class TestUpdatedRows:
    def test_have_their_values_of_before_and_both_digests(self, scenario: Scenario) -> None:
        scenario.create_source(SHOP)
        scenario.create_target(
            None, "INSERT INTO shop (name, city, price) VALUES ('c', 'Köln', 0.1), ('a', 'Ulm', 0.1), ('own', 'x', 1)"
        )
        assert scenario.sync(on_match="update").ok
        (row,) = journal(scenario, "before", "shop")
        assert row["old_id"] == 3
        assert row["digest"] != row["digest_before"]
        before = row["before"]
        assert isinstance(before, dict)
        assert before == {"id": b"1", "name": b"c", "city": "Köln".encode(), "price": b"0.1"}
        assert only_record(scenario).count("updated") == 1

    def test_that_have_no_id_are_named_by_their_natural_key(self, scenario: Scenario) -> None:
        scenario.create_source(
            "CREATE TABLE p (k TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID; INSERT INTO p VALUES ('a', 'new'), ('b', 'x')",
            '[tables.p]\nid = ""\nnatural_key = ["k"]\non_match = "update"\n',
        )
        scenario.create_target(
            "CREATE TABLE p (k VARCHAR(9) PRIMARY KEY, v VARCHAR(9))", "INSERT INTO p VALUES ('a', 'old')"
        )
        assert scenario.sync().ok
        (row,) = journal(scenario, "before", "p")
        assert row["key"] == {"k": b"a"}
        assert row["before"] == {"k": b"a", "v": b"old"}


def test_a_dry_run_has_no_journal_and_a_run_with_nothing_new_is_in_the_list(scenario: Scenario) -> None:
    scenario.create_source(SHOP)
    scenario.create_target(None)
    scenario.sync(dry_run=True)
    assert not (scenario.folder / "out" / "runs").exists()
    scenario.sync()
    scenario.sync()
    records = read_records(scenario.folder / "out")
    assert [(r.count("inserted"), r.wrote) for r in records] == [(8, True), (0, False)]


def test_the_oldest_journals_are_dropped(scenario: Scenario) -> None:
    scenario.create_source(SHOP)
    scenario.create_target(None)
    for _ in range(3):
        scenario.sync(keep_runs=2)
    assert len(read_records(scenario.folder / "out")) == 2
    scenario.sync(keep_runs=0)
    assert not list((scenario.folder / "out" / "runs").glob("*"))
    assert SyncOptions().keep_runs == 20


@pytest.mark.parametrize(
    "change",
    [
        "city = NULL, region = 'Ulm'",
        "city = ''",
        "city = 'Ul', region = 'm'",
        "price = 0.1 + 2e-17",
        "small = 1.1000001",
        "bits = b'1'",
        "at = '2024-01-01 00:00:00.000001'",
        "blob_ = X'00'",
        "word = 'b'",
        "long_ = CONCAT(long_, ' ')",
    ],
)
def test_any_change_of_a_row_changes_its_digest(target: Engine, change: str) -> None:
    execute(
        target,
        "CREATE TABLE t (id INT PRIMARY KEY, city VARCHAR(20) COLLATE utf8mb4_general_ci, region VARCHAR(20) "
        "CHARACTER SET latin1, price DOUBLE, small FLOAT, bits BIT(9), at DATETIME(6), blob_ BLOB, "
        "word ENUM('a', 'b'), long_ LONGTEXT)",
        "INSERT INTO t VALUES (1, 'Ulm', NULL, 0.1, 1.1, b'0', '2024-01-01', X'', 'a', REPEAT('x', 300000))",
    )
    engine = make_engine(target.url)

    def digest() -> list[int]:
        with engine.connect() as connection:
            found: list[int] = read_exact(connection, reflect(connection)["t"], ["id"])[1].to_pylist()
            return found

    before = digest()
    execute(target, f"UPDATE t SET {change}")  # noqa: S608
    after = digest()
    execute(target, "UPDATE t SET id = 1")
    assert after == digest()
    engine.dispose()
    assert before != after
    assert fetch(target, "SELECT COUNT(*) FROM t") == [(1,)]
