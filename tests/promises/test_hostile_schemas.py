"""Schemas that once led to wrong rows without a word: each of these was found by somebody who tried to break it."""
# ruff: noqa: S608 -- names of these tests own

from __future__ import annotations

import resource
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine

from dfsync.__main__ import main
from dfsync.commands.sync import sync
from dfsync.model.errors import DfsyncError
from dfsync.model.options import SyncOptions
from dfsync.pipeline.observer import Observer
from dfsync.plan.model import TablePlan
from tests.support.git_history import execute
from tests.support.scenario import Scenario, failed_rows


@pytest.fixture
def scenario(tmp_path: Path, target: Engine) -> Scenario:
    return Scenario(tmp_path, target)


@pytest.mark.parametrize("name", ["first_id", "new_id", "old_id", "action", "digest_1", "number", "value"])
@pytest.mark.parametrize("key", ["UNIQUE", "", "NOT NULL UNIQUE"])
@pytest.mark.parametrize("on_match", ["skip", "update"])
def test_a_column_called_like_one_of_ours(scenario: Scenario, name: str, key: str, on_match: str) -> None:
    scenario.create_source(
        f"""CREATE TABLE t (id INTEGER PRIMARY KEY, {name} INT {key}, parent INT REFERENCES t, note TEXT);
        INSERT INTO t VALUES (5, 70, NULL, 'a'), (6, 71, 5, 'b'), (7, 72, 6, 'c')""",
        # One that may be NULL is no natural key unless the plan says so.
        f'[tables.t]\nnatural_key = ["{name}"]\n' if key == "UNIQUE" else None,
    )
    scenario.create_target(None, f"INSERT INTO t ({name}, note) VALUES (5, 'x'), (71, 'b'), (70, 'a')")
    scenario.sync(on_match=on_match)
    again = scenario.sync(on_match=on_match).counts[0]
    assert (again.inserted, again.updated, again.failed) == (0, 0, 0)
    mine = [(70, None, "a"), (71, 70, "b"), (72, 71, "c")]
    found = scenario.all_rows()["t"]
    by_id = {row[0]: row for row in found}
    made = [(row[1], by_id[row[2]][1] if row[2] else None, row[3]) for row in found]
    wanted = mine if on_match == "update" or not key else [mine[0], (71, None, "b"), mine[2]]
    assert set(wanted) <= set(made)
    # By whole content 71 is another row than the target's, which has no parent.
    assert len(found) == (4 if key else 5)


def test_a_reference_of_the_target_alone_to_a_table_without_a_mapping(scenario: Scenario) -> None:
    scenario.create_source("CREATE TABLE cart (id INTEGER PRIMARY KEY, shop INT); INSERT INTO cart VALUES (1, 2)")
    scenario.create_target(
        """CREATE TABLE shop (id INT AUTO_INCREMENT PRIMARY KEY, code INT UNIQUE);
        CREATE TABLE cart (id INT AUTO_INCREMENT PRIMARY KEY, shop INT, FOREIGN KEY (shop) REFERENCES shop (id))""",
        "INSERT INTO shop (code) VALUES (1), (2)",
    )
    with pytest.raises(DfsyncError, match=r"cart\.shop refers to shop, which is not in the plan\. Add"):
        scenario.sync()
    scenario.create_source("SELECT 1", '[tables.cart]\nignore_columns = ["shop"]\n')
    scenario.sync_twice()
    scenario.create_source("SELECT 1", '[tables.cart]\nplain_columns = ["shop"]\n')
    scenario.sync()
    assert scenario.all_rows()["cart"] == [(1, None), (2, 2)]


def test_a_reference_to_what_means_the_same_at_both_ends_travels(scenario: Scenario) -> None:
    scenario.create_source("CREATE TABLE cart (id INTEGER PRIMARY KEY, shop INT); INSERT INTO cart VALUES (1, 2)")
    scenario.create_target(
        """CREATE TABLE shop (id INT AUTO_INCREMENT PRIMARY KEY, code INT UNIQUE);
        CREATE TABLE cart (id INT AUTO_INCREMENT PRIMARY KEY, shop INT, FOREIGN KEY (shop) REFERENCES shop (code))""",
        "INSERT INTO shop (code) VALUES (1), (2)",
    )
    scenario.sync_twice()
    assert scenario.all_rows()["cart"] == [(1, 2)]


def test_a_circle_with_a_parent_outside_it(scenario: Scenario) -> None:
    scenario.create_source(
        """CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, b INT REFERENCES b);
        CREATE TABLE c (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
        CREATE TABLE b (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, a INT REFERENCES a,
            c INT NOT NULL REFERENCES c);
        INSERT INTO c VALUES (3, 'c');
        INSERT INTO a VALUES (1, 'a', 2);
        INSERT INTO b VALUES (2, 'b', 1, 3)"""
    )
    scenario.create_target(None, "INSERT INTO c (name) VALUES ('x')")
    scenario.sync_twice()
    rows = scenario.all_rows()
    assert [row[1:] for row in rows["a"]] == [("a", 1)]
    assert [row[1:] for row in rows["b"]] == [("b", 1, 2)]


def test_update_of_a_table_without_an_id_goes_by_the_natural_key(scenario: Scenario) -> None:
    scenario.create_source(
        """CREATE TABLE price (code TEXT PRIMARY KEY, cents INT, note TEXT);
        INSERT INTO price VALUES ('A', 5, 'x'), ('b', 6, NULL), ('c', 7, NULL)"""
    )
    scenario.create_target(
        """CREATE TABLE price (code VARCHAR(9) CHARACTER SET latin1 PRIMARY KEY, cents INT, note VARCHAR(9))""",
        "INSERT INTO price VALUES ('a', 1, 'x'), ('b', 6, NULL), ('z', 9, NULL)",
    )
    result = scenario.sync(on_match="update")
    assert scenario.sync(on_match="update").counts[0].updated == 0
    assert scenario.all_rows()["price"] == [("a", 5, "x"), ("b", 6, None), ("c", 7, None), ("z", 9, None)]
    counts = result.counts[0]
    assert (counts.inserted, counts.updated, counts.matched) == (1, 1, 1)


def test_update_of_rows_that_nothing_tells_apart_is_refused(scenario: Scenario) -> None:
    scenario.create_source(
        "CREATE TABLE price (code TEXT, cents INT); INSERT INTO price VALUES ('a', 5)",
        '[tables.price]\nnatural_key = ["code"]\non_match = "update"\n',
    )
    scenario.create_target("CREATE TABLE price (code VARCHAR(9), cents INT)")
    with pytest.raises(DfsyncError, match=r"cannot be updated: it has no surrogate id, and its natural key \(code\)"):
        scenario.sync()


def test_the_next_row_of_its_natural_key_takes_an_orphans_place_in_a_circle(scenario: Scenario) -> None:
    scenario.create_source(
        """CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT, b INT, note TEXT);
        CREATE TABLE b (id INTEGER PRIMARY KEY, name TEXT, a INT NOT NULL);
        INSERT INTO a VALUES (1, 'x', 99, 'lost'), (2, 'X', NULL, 'heir'), (3, 'x', 7, 'third'), (4, 'y', 99, 'alone');
        INSERT INTO b VALUES (7, 'of 1', 1), (8, 'of 2', 2), (9, 'of 4', 4)""",
        """[tables.a]
        natural_key = ["name"]
        foreign_keys = { b = "b" }
        [tables.b]
        natural_key = ["name"]
        foreign_keys = { a = "a" }
        """,
    )
    scenario.create_target(
        """CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) NOT NULL UNIQUE, b INT, note VARCHAR(9));
        CREATE TABLE b (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) NOT NULL UNIQUE, a INT NOT NULL,
            FOREIGN KEY (a) REFERENCES a (id))"""
    )
    result = scenario.sync()
    mapping = result.mappings["a"]
    assert [row[1:] for row in scenario.all_rows()["a"]] == [("X", None, "heir")]
    assert [row[1] for row in scenario.all_rows()["b"]] == ["of 1", "of 2"]
    assert failed_rows(result)["a"] == [4]
    assert list(mapping["action"]) == ["matched", "inserted", "matched"]
    assert list(mapping["name"]) == ["X"] * 3
    again = scenario.sync()
    assert (again.counts[0].inserted, again.counts[0].failed, again.counts[1].failed) == (0, 1, 1)
    assert list(again.mappings["a"]["new_id"]) == list(mapping["new_id"])


def test_orphans_of_one_natural_key_in_a_circle_are_all_rejects(scenario: Scenario) -> None:
    scenario.create_source(
        """CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, parent INT REFERENCES t);
        INSERT INTO t VALUES (1, 'x', 98), (2, 'X', 99), (3, 'y', 1), (4, 'z', 97), (5, 'z', 96), (6, 'Z', NULL)""",
        '[tables.t]\nnatural_key = ["name"]\n',
    )
    scenario.create_target(
        "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) NOT NULL UNIQUE, parent INT)"
    )
    result = scenario.sync_twice()
    assert list(result.rejects["t"]["old_id"]) == [1, 2, 3]
    assert [row[1:] for row in scenario.all_rows()["t"]] == [("Z", None)]
    assert (result.counts[0].inserted, result.counts[0].matched) == (1, 2)


class _Quicker(Observer):
    """Another client, who inserts a row as soon as the table's rows are matched."""

    def __init__(self, scenario: Scenario, row: str) -> None:
        self._ends, self._rows = scenario, [row]

    def progress(self, table: TablePlan, done: int) -> None:
        if self._rows:
            execute(self._ends.target, self._rows.pop())


@pytest.mark.parametrize("at_once", [1, 200_000])
def test_the_map_has_the_keys_of_target_rows_that_others_have_made(
    scenario: Scenario, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dfsync.pipeline.table.match.KEY_BATCH_ROWS", at_once)
    scenario.create_source(
        """CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, n INT);
        INSERT INTO t VALUES (1, 'x', 'no number'), (2, 'y', 2), (3, 'X', 3), (4, 'z', 4), (5, 'z', 5), (6, 'x', 6)""",
        '[tables.t]\nnatural_key = ["name"]\n',
    )
    scenario.create_target("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) NOT NULL UNIQUE, n INT)")
    quicker = _Quicker(scenario, "INSERT INTO t (name, n) VALUES ('Z', 9)")
    result = sync(
        scenario.source,
        scenario.target.url,
        out=scenario.folder / "out",
        options=SyncOptions(plan=scenario.plan),
        observer=quicker,
    )
    mapping = result.mappings["t"]
    made = {new_id: name for new_id, name, _ in scenario.all_rows()["t"]}
    assert list(mapping["name"]) == [made[new_id] for new_id in mapping["new_id"]] == ["X", "y", "X", "Z", "Z", "X"]


@pytest.mark.parametrize(("parent", "said"), [("INT", 'plain_columns = ["parent"]'), ("INT REFERENCES t", "")])
def test_high_unsigned_ids_of_rows_with_and_without_a_whole_key(scenario: Scenario, parent: str, said: str) -> None:
    scenario.create_source(
        f"""CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, parent {parent});
        INSERT INTO t VALUES (1, 'x', NULL), (2, NULL, NULL), (3, 'y', NULL), (4, NULL, 1)""",
        f'[tables.t]\nnatural_key = ["name"]\n{said}\n',
    )
    scenario.create_target(
        """CREATE TABLE t (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) UNIQUE,
            parent BIGINT UNSIGNED)""",
        "INSERT INTO t VALUES (18446744073709550001, 'x', NULL)",
    )
    result = scenario.sync_twice()
    assert sorted(result.mappings["t"]["new_id"]) == [row[0] for row in scenario.all_rows()["t"]]


def test_a_level_later_than_the_row_of_its_natural_key_that_failed(scenario: Scenario) -> None:
    scenario.create_source(
        """CREATE TABLE t (id INTEGER PRIMARY KEY, parent INT NOT NULL, name TEXT, n INT);
        INSERT INTO t VALUES (1, 9, 'a', 'no number'), (2, 9, 'b', 1), (3, 2, 'A', 3), (4, 1, 'c', 4)""",
        """[tables.t]
        natural_key = ["name"]
        foreign_keys = { parent = "t" }
        """,
    )
    scenario.create_target(
        """CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, parent INT, name VARCHAR(9) NOT NULL UNIQUE, n INT)""",
    )
    scenario.sync_twice()


_BY_VALUE = """CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) NOT NULL UNIQUE,
    code VARCHAR(9) UNIQUE, boss VARCHAR(9), n INT, u INT, FOREIGN KEY (boss) REFERENCES t (code));
    CREATE TABLE u (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) NOT NULL UNIQUE, t INT NOT NULL)"""
_OF_TWO_LEVELS = "(1, 'x', 'a', NULL, 1, {u}), (2, 'c', 'c', NULL, 2, NULL), (3, 'X', 'b', 'c', 3, NULL)"


def _here_in_levels(scenario: Scenario, u: str, more: str = "") -> None:
    scenario.create_source(
        f"""CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, code TEXT, boss TEXT, n INT, u INT);
        CREATE TABLE u (id INTEGER PRIMARY KEY, name TEXT, t INT);
        INSERT INTO t VALUES {_OF_TWO_LEVELS.format(u=u)} {more};
        INSERT INTO u VALUES (7, 'of 3', 3), (8, 'of 1', 1)""",
        '[tables.t]\nnatural_key = ["name"]\nforeign_keys = {u = "u"}\n'
        '[tables.u]\nnatural_key = ["name"]\nforeign_keys = {t = "t"}\n',
    )


def test_the_row_of_a_later_level_takes_an_orphans_place_in_a_circle(scenario: Scenario) -> None:
    _here_in_levels(scenario, "99")
    scenario.create_target(_BY_VALUE)
    result = scenario.sync_twice()
    assert (result.counts[0].inserted, result.counts[0].matched) == (2, 1)
    assert [row[1:] for row in scenario.all_rows()["t"]] == [("X", "b", "c", 3, None), ("c", "c", None, 2, None)]
    assert {row[2] for row in scenario.all_rows()["u"]} == {1}


def test_a_level_of_which_no_key_fits(scenario: Scenario) -> None:
    scenario.create_source(
        """CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, code TEXT, boss TEXT, n INT);
        INSERT INTO t VALUES (1, 'x', 'a', NULL, 1), (2, 'too long a name', 'b', 'a', 2)""",
        '[tables.t]\nnatural_key = ["name"]\n',
    )
    scenario.create_target(_BY_VALUE)
    counts = scenario.sync_twice().counts[0]
    assert (counts.inserted, counts.failed) == (1, 1)


def test_of_one_natural_key_in_two_levels_the_lowest_id_counts_for_an_update(scenario: Scenario) -> None:
    _here_in_levels(scenario, "NULL")
    scenario.create_target(_BY_VALUE, "INSERT INTO t (name, n) VALUES ('x', 0)")
    result = scenario.sync(on_match="update")
    assert (result.counts[0].inserted, result.counts[0].updated, result.counts[0].matched) == (1, 1, 1)
    assert scenario.read_target("SELECT name, n FROM t ORDER BY name") == [("c", 2), ("x", 1)]
    assert scenario.sync(on_match="update").counts[0].updated == 0


def test_a_table_that_fails_at_a_later_level_leaves_no_row_in_the_map(scenario: Scenario) -> None:
    _here_in_levels(scenario, "NULL", ", (4, 'd', 'd', 'c', 13, NULL)")
    scenario.create_source("SELECT 1", (scenario.plan or Path()).read_text().replace('{u = "u"}', "{}"))
    scenario.create_target(
        _BY_VALUE,
        """CREATE TRIGGER full BEFORE INSERT ON t FOR EACH ROW IF NEW.n = 13
        THEN SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1030; END IF""",
    )
    result = scenario.sync()
    assert result.counts[0].error
    assert (result.counts[0].failed, result.counts[1].failed) == (4, 2)
    assert scenario.all_rows() == {"t": [], "u": []}


def test_the_maps_of_another_target_do_not_mix_with_these(
    scenario: Scenario, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario.create_source(
        """CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
        CREATE TABLE b (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
        INSERT INTO a VALUES (1, 'x'); INSERT INTO b VALUES (1, 'y')"""
    )
    scenario.create_target(None)
    scenario.sync()
    for path in (scenario.folder / "out" / "mappings").iterdir():
        mapping = pq.read_table(path)
        said = mapping.schema.metadata[b"dfsync"].replace(str(scenario.target.url.database).encode(), b"elsewhere")
        pq.write_table(mapping.replace_schema_metadata({b"dfsync": said}), path)
    with pytest.raises(DfsyncError, match="holds the maps of a sync into elsewhere on"):
        scenario.sync(tables=("a",))
    (scenario.folder / "out" / "mappings" / "gone.parquet").touch()
    out, url = scenario.folder / "out", scenario.target.url.render_as_string(hide_password=False)
    again = ["--source", str(scenario.source), "--target", url, "--out", str(out)]
    assert main(again) == 0
    removed = f"Note: Removed from {out}: the maps of an earlier sync, which wrote into elsewhere on "
    assert removed in capsys.readouterr().out
    assert main(again) == 0
    assert "Removed" not in capsys.readouterr().out
    assert sorted(path.stem for path in (scenario.folder / "out" / "mappings").iterdir()) == ["a", "b"]


def test_a_chain_of_more_links_than_a_process_may_have_files(scenario: Scenario) -> None:
    scenario.create_source(
        """CREATE TABLE t (id INTEGER PRIMARY KEY, parent INT REFERENCES t, name TEXT, UNIQUE (parent, name));
        INSERT INTO t WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)
            SELECT i, nullif(i - 1, 0), 'n' FROM n"""
    )
    scenario.create_target(
        """CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, parent INT, name VARCHAR(9), UNIQUE (parent, name),
            FOREIGN KEY (parent) REFERENCES t (id))"""
    )
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 40, hard))
    try:
        scenario.sync_twice()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(scenario.all_rows()["t"]) == 60


def test_a_row_that_the_server_refuses_is_told_with_the_column_and_the_value(scenario: Scenario) -> None:
    scenario.create_source(
        """CREATE TABLE kind (code TEXT PRIMARY KEY);
        CREATE TABLE item (id INTEGER PRIMARY KEY, `Co``de` TEXT REFERENCES kind, n INT, name TEXT NOT NULL UNIQUE);
        INSERT INTO kind VALUES ('a');
        INSERT INTO item VALUES (1, 'a', 1, 'x'), (2, 'zz', 2, 'y'), (3, NULL, 13, 'z'), (4, 'a', 14, 'w')"""
    )
    scenario.create_target(
        None,
        """CREATE TRIGGER strict_ BEFORE INSERT ON item FOR EACH ROW SET NEW.n = IF(NEW.n = 13, NULL, NEW.n),
        NEW.name = IF(NEW.n = 14, 'x', NEW.name)""",
        "ALTER TABLE item MODIFY n BIGINT NOT NULL",
    )
    found = scenario.sync().rejects["item"]
    told = [tuple(row) for row in found[["old_id", "column", "value"]].fillna("-").to_numpy().tolist()]
    assert told == [(2, "Co`de", "zz"), (3, "n", "13"), (4, "-", "-")]
