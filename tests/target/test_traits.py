"""What a target's tables may have of their own: clocks, versions, limits, types that SQLite does not know."""

# ruff: noqa: E501 -- SQL reads better unbroken
from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, text

from dfsync.commands.check import check
from dfsync.target.connection import make_engine
from dfsync.target.read.rows import id_span, which_exist
from dfsync.target.schema.reflection import reflect
from tests.support.git_history import counts, execute
from tests.support.scenario import Scenario, statements


@pytest.fixture
def scenario(tmp_path: Path, target: Engine) -> Scenario:
    return Scenario(tmp_path, target)


class TestAColumnThatTheServerSetsToThePresentTimeOnUpdate:
    CLOCK = "TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP"

    def test_keeps_the_sources_value_where_a_circle_is_closed(self, scenario: Scenario) -> None:
        scenario.create_source(
            """CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, up INTEGER REFERENCES t (id), At TEXT);
            INSERT INTO t VALUES (1, 'a', 2, '2001-01-01 00:00:00'), (2, 'b', 1, '2002-01-01 00:00:00')"""
        )
        scenario.create_target(
            f"CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) UNIQUE, up INT, at {self.CLOCK})",
            "INSERT INTO t (name, at) VALUES ('theirs', '2000-01-01')",
        )
        scenario.sync_twice()
        assert scenario.read_target("SELECT name, CAST(at AS CHAR) FROM t ORDER BY at") == [
            ("theirs", "2000-01-01 00:00:00"),
            ("a", "2001-01-01 00:00:00"),
            ("b", "2002-01-01 00:00:00"),
        ]

    def test_is_not_updated_with_others(self, scenario: Scenario) -> None:
        scenario.create_source(
            """CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, n INTEGER, at TEXT);
            INSERT INTO t VALUES (1, 'a', 5, '2001-01-01 00:00:00'), (2, 'b', 6, '2009-01-01 00:00:00')"""
        )
        scenario.create_target(
            f"CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) UNIQUE, n INT, at {self.CLOCK}, own DATETIME ON UPDATE CURRENT_TIMESTAMP)",
            "INSERT INTO t (name, n, at, own) VALUES ('a', 1, '2001-01-01', '2003-01-01'), ('b', 1, '2001-01-01', NULL)",
        )
        assert scenario.sync(on_match="update").counts[0].updated == 2
        assert scenario.sync(on_match="update").counts[0].updated == 0
        assert scenario.read_target("SELECT n, CAST(at AS CHAR), CAST(own AS CHAR) FROM t ORDER BY id") == [
            (5, "2001-01-01 00:00:00", "2003-01-01 00:00:00"),
            (6, "2009-01-01 00:00:00", None),
        ]


class TestASystemVersionedTable:
    @pytest.mark.parametrize(
        "versions",
        [
            "",
            ", came TIMESTAMP(6) GENERATED ALWAYS AS ROW START, went TIMESTAMP(6) GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (came, went)",
        ],
        ids=["hidden", "shown"],
    )
    def test_is_a_table_of_its_present_rows(self, scenario: Scenario, versions: str) -> None:
        if "MariaDB" not in scenario.read_target("SELECT VERSION()")[0][0]:
            pytest.skip("only MariaDB has such tables")
        scenario.create_source(
            """CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL, n INTEGER, up INTEGER REFERENCES t (id));
            INSERT INTO t VALUES (1, 'a', 1, 2), (2, 'b', 2, NULL), (3, 'gone', 3, 1)"""
        )
        scenario.create_target(
            f"CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) UNIQUE, n INT, up INT{versions}) WITH SYSTEM VERSIONING",
            "INSERT INTO t (name, n) VALUES ('gone', 1), ('b', 7)",
            "DELETE FROM t WHERE name = 'gone'",
        )
        result = scenario.sync(on_match="update")
        assert [(c.inserted, c.updated, c.failed) for c in result.counts] == [(2, 1, 0)]
        scenario.sync_twice(on_match="update")
        assert result.plan is not None
        assert result.plan["t"].key == ("name",)
        scenario.assert_same("SELECT t.name, t.n, up.name FROM t LEFT JOIN t AS up ON up.id = t.up")


@pytest.mark.parametrize(
    "setting",
    [
        "sql_select_limit = 10",
        "sql_safe_updates = 1",
        "max_join_size = 10",
        "foreign_key_checks = 0",
        "completion_type = 'RELEASE'",
    ],
)
def test_what_a_server_sets_for_everybody_changes_nothing(scenario: Scenario, setting: str) -> None:
    if "DFSYNC_TEST_URL" in os.environ:
        pytest.skip("this server is not ours to change")
    days = ", ".join(f"({i}, '2001-01-{i}', {i})" for i in range(10, 31))
    folk = ", ".join(f"({i}, 'e{i}', {i % 30 + 1}, '2001-01-{i % 21 + 10}')" for i in range(1, 31))
    scenario.create_source(
        f"""CREATE TABLE t (id INTEGER PRIMARY KEY, day TEXT NOT NULL UNIQUE, n INT); INSERT INTO t VALUES {days};
        CREATE TABLE e (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, up INT REFERENCES e, day TEXT);
        INSERT INTO e VALUES {folk}, (31, 'of no day', NULL, '1999-01-01')"""  # noqa: S608
    )
    scenario.create_target(
        """CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, day DATE UNIQUE, n INT);
        CREATE TABLE e (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) UNIQUE, up INT, day DATE,
            FOREIGN KEY (up) REFERENCES e (id), FOREIGN KEY (day) REFERENCES t (day))""",
    )
    name = setting.split()[0]
    ((usual,),) = scenario.read_target(f"SELECT @@GLOBAL.{name}")
    execute(scenario.target, f"SET GLOBAL {setting}")
    try:
        assert counts(scenario.sync_twice(on_match="update")) == {"t": (21, 0, 0), "e": (30, 0, 1)}
        execute(scenario.target, "UPDATE t SET n = 0 LIMIT 20")
        assert {c.name: (c.inserted, c.updated) for c in scenario.sync(on_match="update").counts} == {
            "t": (0, 20),
            "e": (0, 0),
        }
        scenario.assert_same("SELECT e.name, up.name FROM e JOIN e AS up ON up.id = e.up")
    finally:
        execute(scenario.target, f"SET GLOBAL {name} = {usual!r}")


def test_unique_keys_are_checked_whatever_a_server_sets(scenario: Scenario) -> None:
    if "DFSYNC_TEST_URL" in os.environ:
        pytest.skip("this server is not ours to change")
    execute(scenario.target, "SET GLOBAL unique_checks = 0")
    try:
        with make_engine(scenario.target.url).connect() as connection:
            assert connection.exec_driver_sql("SELECT @@SESSION.unique_checks").scalar() == 1
    finally:
        execute(scenario.target, "SET GLOBAL unique_checks = 1")


def test_the_span_of_ids_is_what_lies_between_the_lowest_and_the_highest(scenario: Scenario) -> None:
    execute(scenario.target, "CREATE TABLE t (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY)")
    with scenario.target.connect() as connection:
        table = reflect(connection)["t"]
        assert id_span(connection, table, "id") == 0
        connection.exec_driver_sql(f"INSERT INTO t VALUES ({2**63 - 2}), ({2**63 + 7})")  # noqa: S608
        assert id_span(connection, table, "id") == 10


def test_ids_that_lie_close_together_are_looked_for_by_their_range(scenario: Scenario) -> None:
    execute(scenario.target, "CREATE TABLE t (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY)")
    execute(scenario.target, f"INSERT INTO t VALUES (1), (2), (3), (5), (900), ({2**63 + 7})")  # noqa: S608
    cases = {
        (): ([], ""),
        (1, 2, 3): ([True, True, True], "count"),
        (3, 4, 5): ([True, False, True], "BETWEEN"),
        (1, 3, 4): ([True, True, False], "BETWEEN"),
        (2, 900, 901): ([True, True, False], "IN"),
        (2**63 + 6, 2**63 + 7): ([False, True], "BETWEEN"),
    }
    with scenario.target.connect() as connection:
        table = reflect(connection)["t"]
        for ids, (expected, said) in cases.items():
            with statements() as sent:
                assert which_exist(connection, table, "id", np.array(ids, np.uint64)).tolist() == expected
            assert said in "".join(sent[-1:])
            assert (said == "IN") == (" IN " in "".join(sent))


def test_a_count_alone_tells_that_many_ids_are_there(scenario: Scenario) -> None:
    execute(scenario.target, "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    for _ in range(15):
        execute(scenario.target, "INSERT INTO t SELECT id + (SELECT MAX(id) FROM t) FROM t")
    with scenario.target.connect() as connection, statements() as sent:
        assert which_exist(connection, reflect(connection)["t"], "id", np.arange(1, 2**15 + 1)).all()
    read = [statement for statement in sent if "BETWEEN" in statement]
    assert len(read) == 4
    assert all("count" in statement for statement in read)


def test_an_instant_that_a_timestamp_cannot_hold_is_found_before_any_row_moves(scenario: Scenario) -> None:
    fit = ["1970-01-01 00:00:01", "2038-01-19 03:14:07.4"]
    unfit = ["1970-01-01 00:00:00", "2107-01-01"]
    rows = ", ".join(f"('{at}')" for at in [*fit, *unfit])
    scenario.create_source(f"CREATE TABLE t (id INTEGER PRIMARY KEY, at TEXT); INSERT INTO t (at) VALUES {rows}")  # noqa: S608
    scenario.create_target("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, at TIMESTAMP NULL)")
    findings = check(scenario.source, scenario.target.url).findings
    assert [(f.level, f.column, f.count) for f in findings if f.column] == [
        ("error", "at", len(unfit)),
        # The fraction of a second of one that fits.
        ("note", "at", 1),
    ]
    rejects = scenario.sync_twice().rejects["t"]
    assert rejects["value"].tolist() == unfit
    assert set(rejects["reason"]) == {"is out of the range of timestamp"}
    assert scenario.read_target("SELECT UNIX_TIMESTAMP(at) FROM t ORDER BY id") == [(1,), (2**31 - 1,)]


class TestAColumnThatTheTargetComputes:
    def test_keeps_its_own_value_and_is_told_of(self, scenario: Scenario) -> None:
        scenario.create_source(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, Twice TEXT); INSERT INTO t VALUES (1, 'a', 'other')"
        )
        scenario.create_target(
            "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) UNIQUE, twice VARCHAR(18) AS (CONCAT(name, name)))"
        )
        told = "the target computes it, so the source's values are not copied"
        findings = check(scenario.source, scenario.target.url).findings
        assert [(f.level, f.column, f.message) for f in findings] == [("note", "Twice", told)]
        assert scenario.sync_with_notes()[1] == [f"t.Twice: {told}"]
        assert scenario.read_target("SELECT name, twice FROM t") == [("a", "aa")]


class TestANegativeZero:
    @pytest.mark.parametrize("unique", [" UNIQUE", ""])
    def test_is_the_other_zero(self, scenario: Scenario, unique: str) -> None:
        scenario.create_source(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, n REAL UNIQUE, v INT); INSERT INTO t VALUES (1, 0.0, 5)"
        )
        scenario.create_target(
            f"CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, n DOUBLE{unique}, v INT)",
            "INSERT INTO t VALUES (7, '-0', 5)",
        )
        assert scenario.id_maps(scenario.sync_twice())["t"] == {1: 7}


class TestTheTypeInet6:
    def test_has_one_form_for_each_address_at_both_ends(self, scenario: Scenario) -> None:
        if "MariaDB" not in scenario.read_target("SELECT VERSION()")[0][0]:
            pytest.skip("only MariaDB has that type")
        # The server and the C library write these in different ways.
        addresses = ["1:2:3:4:5:6:7:0", "0:2:3:4:5:6:7:8", "1:0:2:3:4:5:6:7", "::102:304", "::FFFF:1.2.3.4", "1::"]
        rows = ", ".join(f"('{address}')" for address in [*addresses, "1.2.3.4"])
        scenario.create_source(
            f"""CREATE TABLE keyed (id INTEGER PRIMARY KEY, ip TEXT NOT NULL UNIQUE); INSERT INTO keyed (ip) VALUES {rows};
            CREATE TABLE listed (id INTEGER PRIMARY KEY, ip TEXT); INSERT INTO listed (ip) VALUES {rows}"""  # noqa: S608
        )
        scenario.create_target(
            "CREATE TABLE keyed (id INT AUTO_INCREMENT PRIMARY KEY, ip INET6 UNIQUE);\n"
            "CREATE TABLE listed (id INT AUTO_INCREMENT PRIMARY KEY, ip INET6)"
        )
        result = scenario.sync_twice()
        assert counts(result) == {name: (len(addresses), 0, 1) for name in ("keyed", "listed")}
        assert result.rejects["keyed"]["value"].tolist() == ["1.2.3.4"]
        with scenario.target.begin() as connection:
            # Far more rows than the source has, so that keys are looked up and not read whole.
            connection.execute(text("INSERT INTO keyed (id, ip) VALUES (9000, '::9')"))
        assert counts(scenario.sync())["keyed"] == (0, len(addresses), 1)


class TestADateOfZeros:
    def test_is_read_as_no_date_of_the_source_and_takes_one(self, scenario: Scenario) -> None:
        scenario.create_source(
            """CREATE TABLE t (id INTEGER PRIMARY KEY, day TEXT NOT NULL UNIQUE, at TEXT);
            INSERT INTO t VALUES (1, '2024-01-01', '2024-01-01 10:00:00'), (2, '2024-01-02', NULL)"""
        )
        scenario.create_target(
            "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, day DATE UNIQUE, at DATETIME)",
            "INSERT IGNORE INTO t (day, at) VALUES ('0000-00-00', '0000-00-00'), ('2024-01-01', '0000-00-00')",
        )
        result = scenario.sync(on_match="update")
        assert [(c.inserted, c.updated, c.failed) for c in result.counts] == [(1, 1, 0)]
        scenario.sync_twice(on_match="update")
        assert scenario.read_target("SELECT CAST(day AS CHAR), CAST(at AS CHAR) FROM t ORDER BY id") == [
            ("0000-00-00", "0000-00-00 00:00:00"),
            ("2024-01-01", "2024-01-01 10:00:00"),
            ("2024-01-02", None),
        ]


class TestAKeyThatHoldsWhatKeysAreReadBy:
    @pytest.mark.parametrize("held", ["a\tb", "a\nb", "a\r", "\\N", "a\t\nb"])
    def test_is_recognised(self, scenario: Scenario, held: str) -> None:
        scenario.create_source("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT, UNIQUE (a, b))")
        with closing(sqlite3.connect(scenario.source)) as database:
            database.executemany("INSERT INTO t (a, b) VALUES (?, ?)", [(held, "x"), ("", held), ("plain", None)])
            database.commit()
        scenario.create_target(
            "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a VARCHAR(9), b VARCHAR(9), UNIQUE (a, b)) COLLATE utf8mb4_bin"
        )
        insert = text("INSERT INTO t (id, a, b) VALUES (:id, :a, :b)")
        with scenario.target.begin() as connection:
            connection.execute(insert, [{"id": 7, "a": "", "b": held}, {"id": 8, "a": held, "b": "x"}])
        assert scenario.id_maps(scenario.sync_twice())["t"] == {1: 8, 2: 7, 3: 9}


class TestAKeyOutsideOfTheColumnsCharacterSet:
    KEYS = ("plain", "Ж", "é", "ﷺ", "😀", "?")

    @pytest.mark.parametrize("charset", ["cp1251", "latin1", "ascii", "gbk", "ucs2", "utf8mb3", "utf8mb4"])
    @pytest.mark.parametrize("key", ["k", "k, other"])
    @pytest.mark.parametrize("highest", [10, 9000], ids=["keys are read", "keys are looked up"])
    def test_is_looked_for_and_not_found(self, scenario: Scenario, charset: str, key: str, highest: int) -> None:
        held = [k for k in self.KEYS if k.encode(_CODECS[charset], "replace").decode(_CODECS[charset]) == k]
        if charset in ("ucs2", "utf8mb3"):
            held.remove("😀")
        rows = ", ".join(f"('{k}', 'ф😀')" for k in self.KEYS)
        scenario.create_source(
            f"CREATE TABLE t (id INTEGER PRIMARY KEY, k TEXT, other TEXT); INSERT INTO t (k, other) VALUES {rows}"  # noqa: S608
        )
        scenario.create_target(
            f"CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, k VARCHAR(9) CHARACTER SET {charset} NOT NULL, other VARCHAR(9) CHARACTER SET utf8mb4, UNIQUE ({key}))",
            f"INSERT INTO t VALUES ({highest}, 'PLAIN', 'Ф😀'), (2, '!', '')",  # noqa: S608
        )
        result = scenario.sync_twice()
        assert counts(result) == {"t": (len(held) - 1, 1, len(self.KEYS) - len(held))}
        assert set(result.rejects["t"]["old_id"]) == {1 + i for i, k in enumerate(self.KEYS) if k not in held}


_CODECS = {
    "cp1251": "cp1251",
    "latin1": "cp1252",
    "ascii": "ascii",
    "gbk": "gbk",
    "ucs2": "utf-16",
    "utf8mb3": "utf-8",
    "utf8mb4": "utf-8",
}
