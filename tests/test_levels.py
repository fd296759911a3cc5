"""Tables whose rows must wait for other rows of the same table: parents first, and what came too early once more."""
# ruff: noqa: S608 -- names of these tests own

from __future__ import annotations

from pathlib import Path

import pytest
from ends import Ends
from sqlalchemy import Engine

from dfsync.options import Options
from dfsync.plan import TablePlan
from dfsync.result import Observer
from dfsync.sync import sync

BY_NAME = '[tables.a]\nnatural_key = ["name"]\n'
A_BOSS_EACH = """CREATE TABLE a (id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) UNIQUE, boss BIGINT NOT NULL,
    friend BIGINT, n SMALLINT, FOREIGN KEY (boss) REFERENCES a (id), FOREIGN KEY (friend) REFERENCES a (id))"""
HERE = """CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT, boss INT REFERENCES a, friend INT REFERENCES a, n INT);
    INSERT INTO a VALUES """


@pytest.fixture
def ends(tmp_path: Path, target: Engine) -> Ends:
    return Ends(tmp_path, target)


def test_a_reference_that_is_no_id_is_a_reject_among_rows_that_are_none(ends: Ends) -> None:
    ends.here(
        """CREATE TABLE a (id INTEGER PRIMARY KEY, boss INT REFERENCES a, name TEXT NOT NULL);
        INSERT INTO a VALUES (1, NULL, 'root'), (2, 1, 'k'), (3, 'oops', 'z'), (4, 3, 'of it')""",
        '[tables.a]\nnatural_key = ["boss", "name"]\n',
    )
    ends.there(None)
    result = ends.sync_twice()
    assert list(result.mappings["a"]["old_id"]) == [1, 2]
    assert result.rejects["a"][["old_id", "column", "value"]].to_numpy().tolist() == [
        [3, "boss", "oops"],
        [4, "boss", "3"],
    ]
    assert result.rejects["a"]["reason"][0] == "is not an integer"


@pytest.mark.parametrize("boss", ["2", "99", "'oops'", "NULL"])
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_natural_key_that_is_there_is_found_whatever_the_row_needs(ends: Ends, boss: str, dry_run: bool) -> None:
    ends.here(HERE + f"(1, 'root', 1, NULL, 0), (2, 'x', {boss}, NULL, 0), (3, NULL, 1, 2, 0)", BY_NAME)
    ends.there(A_BOSS_EACH, "INSERT INTO a VALUES (5, 'root', 5, NULL, 0), (6, 'x', 5, NULL, 0), (7, NULL, 5, 6, 0)")
    result = ends.sync(dry_run=dry_run)
    assert result.mappings["a"][["old_id", "new_id"]].to_numpy().tolist() == [[1, 5], [2, 6], [3, 7]]
    assert result.counts[0].skipped == 3


def test_who_shares_the_natural_key_of_a_row_that_is_there_is_it_though_it_needs_itself(ends: Ends) -> None:
    ends.here(HERE + "(1, 'x', 1, NULL, 0), (2, 'x', 99, NULL, 0), (3, NULL, 2, 1, 0), (4, NULL, 2, 2, 0)", BY_NAME)
    ends.there(A_BOSS_EACH, "INSERT INTO a VALUES (1, 'x', 1, NULL, 0), (3, NULL, 1, 1, 0), (4, NULL, 1, 1, 0)")
    result = ends.sync_twice()
    assert list(result.mappings["a"]["new_id"]) == [1, 1, 3, 4]


def test_the_children_of_a_row_that_was_found_late_go_in_with_the_same_run(ends: Ends) -> None:
    ends.here(
        HERE + "(1, 'root', NULL, NULL, 0), (2, 'x', 1, NULL, 'bad'), (3, 'y', 1, NULL, 0), (4, 'x', 3, NULL, 0), "
        "(5, 'child', 2, NULL, 0), (6, 'grandson', 5, NULL, 0), (7, 'unfit', 5, NULL, 'bad')",
        BY_NAME,
    )
    ends.there(A_BOSS_EACH, "INSERT INTO a VALUES (1, 'root', 1, NULL, 0)")
    result = ends.sync_twice()
    assert (result.counts[0].synced, result.counts[0].skipped, result.counts[0].failed) == (4, 2, 1)
    assert result.rejects["a"][["old_id", "reason"]].to_numpy().tolist() == [[7, "is not an integer"]]
    bosses = "SELECT a.name, boss.name FROM a JOIN a boss ON boss.id = a.boss ORDER BY a.id"
    assert ends.read_there(bosses)[-2:] == [("child", "x"), ("grandson", "child")]


def test_rows_that_need_each_other_tell_the_value_that_leads_there(ends: Ends) -> None:
    ends.here(
        """CREATE TABLE a (id INTEGER PRIMARY KEY, code TEXT UNIQUE, boss TEXT);
        INSERT INTO a VALUES (1, 'x', 'y'), (2, 'y', 'x'), (3, 'z', 'y'), (4, 'w', NULL)""",
        '[tables.a]\nnatural_key = ["code"]\n',
    )
    ends.there(
        """CREATE TABLE a (id BIGINT AUTO_INCREMENT PRIMARY KEY, code VARCHAR(9) UNIQUE, boss VARCHAR(9),
        FOREIGN KEY (boss) REFERENCES a (code))"""
    )
    rejects = ends.sync_twice().rejects["a"]
    assert rejects[["old_id", "column", "value"]].to_numpy().tolist() == [
        [1, "boss", "y"],
        [2, "boss", "x"],
        [3, "boss", "y"],
    ]
    assert rejects["reason"].str.startswith("leads into a circle of rows").all()


def test_of_equal_keys_the_lowest_id_counts_also_beyond_63_bits(ends: Ends) -> None:
    ends.here(
        """CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT, friend INT REFERENCES a);
        INSERT INTO a VALUES (1, 'x', NULL), (2, NULL, 1)""",
        BY_NAME,
    )
    ends.there(
        """CREATE TABLE a (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9), friend BIGINT UNSIGNED,
        KEY (name), FOREIGN KEY (friend) REFERENCES a (id))""",
        f"INSERT INTO a VALUES (7, 'x', NULL), ({2**63 + 5}, 'x', NULL), (9, NULL, {2**63 + 5})",
    )
    result = ends.sync_twice()
    assert list(result.mappings["a"]["new_id"]) == [7, 2**63 + 6]
    assert ends.read_there(f"SELECT friend FROM a WHERE id = {2**63 + 6}") == [(7,)]


def test_a_row_that_was_taken_over_may_be_taken_back_before_a_later_one(ends: Ends) -> None:
    ends.here(
        HERE + "(1, 'root', 1, NULL, 0), (2, 'x', 6, NULL, 0), (3, 'y', 1, NULL, 0), (4, 'x', 1, 99, 0), "
        "(6, 'z', 3, 98, 0)",
        BY_NAME,
    )
    ends.there(A_BOSS_EACH, "INSERT INTO a VALUES (1, 'root', 1, NULL, 0)")
    result = ends.sync_twice()
    assert list(result.mappings["a"]["old_id"]) == [1, 3]
    assert list(result.rejects["a"]["old_id"]) == [2, 4, 6]


def test_a_value_in_the_natural_key_tells_a_row_though_it_leads_into_a_circle(ends: Ends) -> None:
    ends.here(
        """CREATE TABLE a (id INTEGER PRIMARY KEY, code TEXT, boss TEXT, friend INT REFERENCES a);
        INSERT INTO a VALUES (1, 'x', 'y', NULL), (2, 'y', 'x', NULL), (3, NULL, NULL, 1)""",
        '[tables.a]\nnatural_key = ["code", "boss"]\n',
    )
    ends.there(
        """CREATE TABLE a (id BIGINT AUTO_INCREMENT PRIMARY KEY, code VARCHAR(9) UNIQUE, boss VARCHAR(9), friend BIGINT,
        UNIQUE (code, boss), FOREIGN KEY (boss) REFERENCES a (code),
        FOREIGN KEY (friend) REFERENCES a (id))""",
        "INSERT INTO a VALUES (1, 'x', NULL, NULL), (2, 'y', 'x', NULL)",
        "UPDATE a SET boss = 'y' WHERE id = 1",
    )
    assert list(ends.sync_twice().mappings["a"]["new_id"]) == [1, 2, 3]


def test_the_reject_names_the_column_that_leads_into_the_circle(ends: Ends) -> None:
    ends.here(HERE + "(1, 'root', 1, 1, 0), (2, 'x', 1, 2, 0)", BY_NAME)
    ends.there(
        A_BOSS_EACH.replace("friend BIGINT", "friend BIGINT NOT NULL"), "INSERT INTO a VALUES (1, 'root', 1, 1, 0)"
    )
    rejects = ends.sync_twice().rejects["a"]
    assert rejects[["old_id", "column", "value"]].to_numpy().tolist() == [[2, "friend", "2"]]


def test_an_update_of_a_row_that_needs_itself_has_nothing_to_note(ends: Ends) -> None:
    ends.here(HERE + "(1, 'root', 1, NULL, 5)", BY_NAME)
    ends.there(A_BOSS_EACH, "INSERT INTO a VALUES (1, 'root', 1, NULL, 0)")
    notes: list[str] = []

    class Notes(Observer):
        def note(self, table: TablePlan, text: str) -> None:
            notes.append(text)

    options = Options(plan=ends.plan, on_match="update")
    result = sync(ends.source, ends.target.url, out=ends.folder / "out", options=options, observer=Notes())
    assert (result.counts[0].updated, notes) == (1, [])
