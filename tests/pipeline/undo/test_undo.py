"""After an undo the target is what it was before the run, and the next sync is like a first one."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine

import dfsync
from dfsync.commands.runs import runs
from dfsync.model.errors import DfsyncError
from tests.support.git_history import create_tables, execute, run_sql, sample
from tests.support.runs.undone import dump, id_mappings, taken_back, undo
from tests.support.scenario import Scenario

SHOP = """
CREATE TABLE artist (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE album (id INTEGER PRIMARY KEY, title TEXT NOT NULL UNIQUE, artist_id INTEGER NOT NULL REFERENCES artist);
CREATE TABLE staff (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, boss INTEGER REFERENCES staff,
    team INTEGER REFERENCES team);
CREATE TABLE team (id INTEGER PRIMARY KEY, title TEXT NOT NULL UNIQUE, head INTEGER NOT NULL REFERENCES staff);
CREATE TABLE list_album (list TEXT NOT NULL, album_id INTEGER NOT NULL REFERENCES album, PRIMARY KEY (list, album_id))
    WITHOUT ROWID;
CREATE TABLE play (album TEXT, at TEXT);
INSERT INTO artist VALUES (1, 'Bach'), (2, 'Bartók'), (3, 'Berio');
INSERT INTO album VALUES (1, 'Partitas', 1), (2, 'Mikrokosmos', 2), (3, 'Sequenze', 3), (4, 'Sinfonia', 3);
INSERT INTO staff VALUES (1, 'ann', 2, 1), (2, 'bob', NULL, 1), (3, 'cem', 2, 2), (4, 'dee', 4, NULL);
INSERT INTO team VALUES (1, 'red', 1), (2, 'blue', 3);
INSERT INTO list_album VALUES ('x', 1), ('x', 2), ('y', 4);
INSERT INTO play VALUES ('Partitas', '1'), ('Partitas', '1'), (NULL, '2')"""
OWN = (
    "INSERT INTO artist (name) VALUES ('own'), ('Bach')",
    "INSERT INTO album (title, artist_id) VALUES ('Partitas', 1)",
    "INSERT INTO staff (name) VALUES ('zoe')",
    "INSERT INTO list_album VALUES ('own', 1)",
    "INSERT INTO play VALUES ('Partitas', '1'), ('mine', NULL)",
)


@pytest.fixture
def shop(scenario: Scenario) -> Scenario:
    scenario.create_source(SHOP)
    scenario.create_target(None, *OWN)
    return scenario


class TestTheTargetIsAsBefore:
    @pytest.mark.parametrize("on_match", ["skip", "update"])
    def test_circles_self_references_link_tables_and_rows_without_keys(self, shop: Scenario, on_match: str) -> None:
        before = dump(shop)
        first = shop.sync(on_match=on_match)
        assert first.ok
        assert dump(shop) != before
        expected = {c.name: c.inserted for c in first.counts}
        result = undo(shop)
        assert result.ok
        assert {name: counts[0] for name, counts in taken_back(result).items()} == {
            n: c for n, c in expected.items() if c
        }
        assert dump(shop) == before
        assert runs(shop.folder / "out").summary["state"].tolist() == ["undone"]

    def test_git_history(self, tmp_path: Path, target: Engine) -> None:
        scenario = Scenario(tmp_path, target)
        create_tables(target)
        sample(scenario.source, 300)
        assert scenario.sync(tables=("repositories", "authors")).ok
        before = dump(scenario)
        assert scenario.sync(on_match="update").ok
        assert undo(scenario).ok
        assert dump(scenario) == before
        assert undo(scenario).ok
        assert not any(dump(scenario).values())

    def test_values_of_every_kind_come_back_bit_by_bit(self, scenario: Scenario) -> None:
        scenario.create_source(
            "CREATE TABLE v (id INTEGER PRIMARY KEY, k TEXT NOT NULL UNIQUE, i INT, d TEXT, f REAL, g REAL, dt TEXT, "
            "ts TEXT, b BLOB, bits INT, e TEXT, l TEXT, j TEXT, n TEXT);"
            "INSERT INTO v VALUES "
            "(1, 'a', 1, '1', 1, 1, '2020-01-01', '2020-01-01', X'00', 1, 'x', 'new', '[]', 'new'),"
            "(2, 'b', 1, '1', 1, 1, '2020-01-01', '2020-01-01', X'00', 1, 'x', 'new', '[]', NULL)"
        )
        scenario.create_target(
            "CREATE TABLE v (id INT AUTO_INCREMENT PRIMARY KEY, k VARCHAR(9) NOT NULL UNIQUE, i BIGINT UNSIGNED, "
            "d DECIMAL(40, 10), f DOUBLE, g FLOAT, dt DATETIME(6), ts TIMESTAMP NULL DEFAULT NULL ON UPDATE "
            "CURRENT_TIMESTAMP, b BLOB, bits BIT(60), e ENUM('x', 'y'), l VARCHAR(9) CHARACTER SET latin1, j JSON, "
            "n VARCHAR(9) COLLATE utf8mb4_bin, own INT AS (CHAR_LENGTH(k)))",
            "SET SESSION sql_mode = ''",
            "INSERT INTO v (k, i, d, f, g, dt, ts, b, bits, e, l, j, n) VALUES ('a', 18446744073709551615, "
            "'123456789012345678901234567890.0123456789', 0.1e0 + 0.2e0, 1.1, '0000-00-00', '2001-01-01', "
            "X'00FF275C0A', b'111111111111111111111111111111111111111111111111111111111111', 'y', 'é', '{\"a\": 1}', "
            "'x '), ('b', 0, NULL, NULL, NULL, '2001-01-01 00:00:00.000001', NULL, NULL, NULL, NULL, '', NULL, '')",
        )
        before = dump(scenario)
        result = scenario.sync(on_match="update")
        assert [c.updated for c in result.counts] == [2]
        assert taken_back(undo(scenario)) == {"v": (0, 2, 0)}
        assert dump(scenario) == before

    def test_the_value_that_an_enum_has_for_what_is_none(self, scenario: Scenario) -> None:
        scenario.create_source(
            "CREATE TABLE v (id INTEGER PRIMARY KEY, k TEXT NOT NULL UNIQUE, e TEXT, f TEXT, g TEXT);"
            "INSERT INTO v VALUES (1, 'a', 'x', 'x', 'new'), (2, 'b', 'x', 'x', 'new'), (3, 'c', 'x', 'x', 'new'),"
            "(4, 'd', 'x', 'x', 'new')"
        )
        scenario.create_target(
            "CREATE TABLE v (id INT AUTO_INCREMENT PRIMARY KEY, k VARCHAR(9) NOT NULL UNIQUE, e ENUM('x', 'y'), "
            "f ENUM('', 'x') NOT NULL, g VARCHAR(9), at TIMESTAMP(6) NOT NULL DEFAULT '2001-01-01' ON UPDATE "
            "CURRENT_TIMESTAMP(6))",
            "SET SESSION sql_mode = ''",
            "INSERT INTO v (k, e, f, g) VALUES ('a', 'none', 'none', '1'), ('b', 'y', 'none', '2'), "
            "('c', 'none', '', '3'), ('d', NULL, 'x', '4')",
        )
        numbers = "SELECT k, e, e + 0, f, f + 0, g, at FROM v ORDER BY k"
        before = scenario.read_target(numbers)
        assert [row[4] for row in before] == [0, 0, 1, 2]
        assert [c.updated for c in scenario.sync(on_match="update").counts] == [4]
        assert taken_back(undo(scenario)) == {"v": (0, 4, 0)}
        assert scenario.read_target(numbers) == before

    def test_a_table_without_an_id_is_brought_back_by_its_key(self, scenario: Scenario) -> None:
        scenario.create_source(
            "CREATE TABLE p (k TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID; INSERT INTO p VALUES ('a', 'new'), ('b', 'x')",
            '[tables.p]\nid = ""\nnatural_key = ["k"]\non_match = "update"\n',
        )
        scenario.create_target(
            "CREATE TABLE p (k VARCHAR(9) PRIMARY KEY, v VARCHAR(9))", "INSERT INTO p VALUES ('a', 'old')"
        )
        before = dump(scenario)
        assert scenario.sync().ok
        assert taken_back(undo(scenario)) == {"p": (1, 1, 0)}
        assert dump(scenario) == before

    def test_also_where_the_key_is_such_a_value_of_an_enum(self, scenario: Scenario) -> None:
        scenario.create_source(
            "CREATE TABLE p (k TEXT, n INTEGER, v TEXT, PRIMARY KEY (k, n)) WITHOUT ROWID;"
            "INSERT INTO p VALUES ('', 1, 'new'), ('x', 2, 'new')",
            '[tables.p]\nid = ""\nnatural_key = ["k", "n"]\non_match = "update"\n',
        )
        scenario.create_target(
            "CREATE TABLE p (k ENUM('x'), n INT, v VARCHAR(9), PRIMARY KEY (k, n))",
            "SET SESSION sql_mode = ''",
            "INSERT INTO p VALUES ('none', 1, 'old'), ('x', 2, 'old')",
        )
        before = dump(scenario)
        result = scenario.sync()
        assert taken_back(undo(scenario)) == {"p": (0, sum(c.updated for c in result.counts), 0)}
        assert dump(scenario) == before


class TestTheNextSync:
    def test_gives_what_a_first_one_gave(self, shop: Scenario) -> None:
        first = shop.sync()
        actions = {name: sorted(frame["action"]) for name, frame in first.mappings.items()}
        undo(shop)
        again = shop.sync()
        assert [(c.name, c.inserted, c.matched) for c in again.counts] == [
            (c.name, c.inserted, c.matched) for c in first.counts
        ]
        assert {name: sorted(frame["action"]) for name, frame in again.mappings.items()} == actions

    def test_finds_maps_without_the_rows_that_are_gone(self, shop: Scenario) -> None:
        shop.sync(on_match="update", tables=("artist",))
        assert len(id_mappings(shop)["artist"]) == 3
        undo(shop)
        assert id_mappings(shop) == {"artist": {"1": 2}}
        mapping = dfsync.load_mappings(shop.folder / "out")["artist"]
        assert mapping["action"].tolist() == ["matched"]

    def test_rows_that_were_updated_are_matched_in_the_maps(self, scenario: Scenario) -> None:
        scenario.create_source(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, k TEXT NOT NULL UNIQUE, v TEXT);INSERT INTO t VALUES (1, 'a', 'n')"
        )
        scenario.create_target(None, "INSERT INTO t (k, v) VALUES ('a', 'old')")
        assert scenario.sync(on_match="update").mappings["t"]["action"].tolist() == ["updated"]
        undo(scenario)
        assert dfsync.load_mappings(scenario.folder / "out")["t"]["action"].tolist() == ["matched"]


class TestWhichRun:
    def test_the_newest_that_wrote_then_the_one_before(self, shop: Scenario) -> None:
        before = dump(shop)
        shop.sync(tables=("artist",))
        between = dump(shop)
        shop.sync()
        shop.sync()
        undo(shop)
        assert dump(shop) == between
        undo(shop)
        assert dump(shop) == before
        with pytest.raises(DfsyncError, match="no run that can be taken back"):
            undo(shop)

    def test_an_earlier_one_only_with_those_that_stand_on_it(self, shop: Scenario) -> None:
        before = dump(shop)
        shop.sync(tables=("artist",))
        shop.sync()
        first, second = (record.id for record in runs(shop.folder / "out").runs)
        with pytest.raises(DfsyncError, match=f"The run {second} came after"):
            undo(shop, first)
        assert [run.run for run in undo(shop, all_since=first).runs] == [second, first]
        assert dump(shop) == before

    def test_not_that_of_another_target(self, shop: Scenario) -> None:
        shop.sync()
        execute(shop.target, f"CREATE DATABASE {shop.target.url.database}_b")
        other = shop.target.url.set(database=f"{shop.target.url.database}_b")
        with pytest.raises(DfsyncError, match="wrote into"):
            dfsync.undo(shop.folder / "out", target=other)
        execute(shop.target, f"DROP DATABASE {shop.target.url.database}_b")

    def test_a_dry_run_tells_and_changes_nothing(self, shop: Scenario) -> None:
        shop.sync(on_match="update")
        files = {path: path.read_bytes() for path in (shop.folder / "out").rglob("*") if path.is_file()}
        after = dump(shop)
        told = taken_back(undo(shop, dry_run=True))
        assert dump(shop) == after
        assert files == {path: path.read_bytes() for path in (shop.folder / "out").rglob("*") if path.is_file()}
        assert taken_back(undo(shop)) == told


def test_the_result_is_data(shop: Scenario) -> None:
    shop.sync()
    result = undo(shop)
    assert isinstance(result.summary, pd.DataFrame)
    assert result.summary["deleted"].sum() == sum(counts[0] for counts in taken_back(result).values())
    deleted = int(result.summary["deleted"].sum())
    assert repr(result) == f"<UndoResult: 1 run, {deleted} deleted, 0 restored, 0 kept>"
    told = result.as_dict()
    assert told["ok"] is True
    assert told["overall"] == {"deleted": deleted, "restored": 0, "kept": 0}
    assert told["target"].startswith(f"{shop.target.url.database} on ")
    assert repr(runs(shop.folder / "out")) == "<RunsResult: 1 run>"


class TestRowsWithAnotherKeyThanBefore:
    SOURCE = "CREATE TABLE t (id INTEGER PRIMARY KEY, k TEXT NOT NULL UNIQUE); INSERT INTO t VALUES (1, 'a'), (2, 'b')"

    @pytest.mark.parametrize("on_rekey", ["follow", "insert"])
    def test_are_in_the_map_as_they_were_and_the_next_sync_does_the_same(
        self, scenario: Scenario, on_rekey: str
    ) -> None:
        scenario.create_source(self.SOURCE, f'[tables.t]\nnatural_key = ["k"]\non_rekey = "{on_rekey}"\n')
        scenario.create_target(None)
        scenario.sync()
        before, maps = dump(scenario), id_mappings(scenario)
        keys = dfsync.load_mappings(scenario.folder / "out")["t"]["k"].tolist()
        run_sql(scenario.source, "UPDATE t SET k = 'new' WHERE id = 2")
        scenario.sync()
        after = dump(scenario)
        assert after != before
        assert undo(scenario).ok
        assert dump(scenario) == before
        assert id_mappings(scenario) == maps
        assert dfsync.load_mappings(scenario.folder / "out")["t"]["k"].tolist() == keys
        again = scenario.sync()
        assert [(c.inserted, c.matched, c.updated) for c in again.counts] == [
            (0, 1, 1) if on_rekey == "follow" else (1, 1, 0)
        ]
        assert [row[1] for row in dump(scenario)["t"]] == [row[1] for row in after["t"]]


def test_a_table_that_was_committed_in_pieces(shop: Scenario) -> None:
    before = dump(shop)
    assert shop.sync(commit_every=2).ok
    assert undo(shop).ok
    assert dump(shop) == before
