"""Tables whose rows must wait for other rows of the same table: parents first, and what came too early once more."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.support.scenario import Scenario
from tests.support.tables.bosses import A_BOSS_EACH, BY_NAME, HERE, below_root, told

CIRCLE = "leads into a circle of rows that need each other"


@pytest.fixture
def scenario(tmp_path: Path, target: Engine) -> Scenario:
    return Scenario(tmp_path, target)


def test_a_reference_that_is_no_id_is_a_reject_among_rows_that_are_none(scenario: Scenario) -> None:
    scenario.create_source(
        """CREATE TABLE a (id INTEGER PRIMARY KEY, boss INT REFERENCES a, name TEXT NOT NULL);
        INSERT INTO a VALUES (1, NULL, 'root'), (2, 1, 'k'), (3, 'oops', 'z'), (4, 3, 'of it')""",
        '[tables.a]\nnatural_key = ["boss", "name"]\n',
    )
    scenario.create_target(None)
    result = scenario.sync_twice()
    assert list(result.mappings["a"]["old_id"]) == [1, 2]
    assert result.rejects["a"][["old_id", "column", "value"]].to_numpy().tolist() == [
        [3, "boss", "oops"],
        [4, "boss", "3"],
    ]
    assert result.rejects["a"]["reason"][0] == "is not an integer"


@pytest.mark.parametrize("boss", ["2", "99", "'oops'", "NULL"])
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_natural_key_that_is_there_is_found_whatever_the_row_needs(
    scenario: Scenario, boss: str, dry_run: bool
) -> None:
    scenario.create_source(HERE + f"(1, 'root', 1, NULL, 0), (2, 'x', {boss}, NULL, 0), (3, NULL, 1, 2, 0)", BY_NAME)
    scenario.create_target(
        A_BOSS_EACH, "INSERT INTO a VALUES (5, 'root', 5, NULL, 0), (6, 'x', 5, NULL, 0), (7, NULL, 5, 6, 0)"
    )
    result = scenario.sync(dry_run=dry_run)
    assert result.mappings["a"][["old_id", "new_id"]].to_numpy().tolist() == [[1, 5], [2, 6], [3, 7]]
    assert result.counts[0].matched == 3


def test_who_shares_the_natural_key_of_a_row_that_is_there_is_it_though_it_needs_itself(scenario: Scenario) -> None:
    scenario.create_source(
        HERE + "(1, 'x', 1, NULL, 0), (2, 'x', 99, NULL, 0), (3, NULL, 2, 1, 0), (4, NULL, 2, 2, 0)", BY_NAME
    )
    scenario.create_target(
        A_BOSS_EACH, "INSERT INTO a VALUES (1, 'x', 1, NULL, 0), (3, NULL, 1, 1, 0), (4, NULL, 1, 1, 0)"
    )
    result = scenario.sync_twice()
    assert list(result.mappings["a"]["new_id"]) == [1, 1, 3, 4]


def test_the_children_of_a_row_that_was_found_late_go_in_with_the_same_run(scenario: Scenario) -> None:
    below_root(
        scenario,
        "(1, 'root', NULL, NULL, 0), (2, 'x', 1, NULL, 'bad'), (3, 'y', 1, NULL, 0), (4, 'x', 3, NULL, 0), "
        "(5, 'child', 2, NULL, 0), (6, 'grandson', 5, NULL, 0), (7, 'unfit', 5, NULL, 'bad')",
    )
    result = scenario.sync_twice()
    assert (result.counts[0].inserted, result.counts[0].matched, result.counts[0].failed) == (4, 2, 1)
    assert result.rejects["a"][["old_id", "reason"]].to_numpy().tolist() == [[7, "is not an integer"]]
    bosses = "SELECT a.name, boss.name FROM a JOIN a boss ON boss.id = a.boss ORDER BY a.id"
    assert scenario.read_target(bosses)[-2:] == [("child", "x"), ("grandson", "child")]


@pytest.mark.parametrize("on_match", [None, "update"])
@pytest.mark.parametrize(
    "rows",
    [
        # Of equal keys the second goes in, later and deeper; then the child of the first.
        "(2, 'x', 1, NULL, 'bad'), (3, 'y', 1, NULL, 0), (4, 'X', 3, NULL, 0), (5, 'child', 2, NULL, 0)",
        "(2, 'x', 1, NULL, 0), (3, 'y', 1, NULL, 0), (4, 'x ', 3, NULL, 5)",
        "(2, 'x', 3, NULL, 5), (3, 'y', 1, NULL, 0), (4, 'x', 1, NULL, 6)",
        "(2, 'x', 2, NULL, 5), (4, 'x', 1, NULL, 6)",
        # Without a key: its parent came in by another row.
        "(2, 'x', 1, NULL, 'bad'), (3, NULL, 2, NULL, 0), (4, 'y', 1, NULL, 0), (5, 'x', 4, NULL, 0), "
        "(6, NULL, 5, NULL, 0)",
    ],
)
def test_a_dry_run_knows_the_rows_that_it_would_have_put_there_before(
    scenario: Scenario, rows: str, on_match: str | None
) -> None:
    below_root(scenario, "(1, 'root', 1, NULL, 0), " + rows)
    rehearsed = scenario.sync(dry_run=True, on_match=on_match)
    done = scenario.sync_twice(on_match=on_match)
    assert told(rehearsed) == told(done)
    assert done.counts[0].failed == 0


@pytest.mark.parametrize(
    ("rows", "rejects"),
    [
        # 4 goes in and has no friend; 2 may not take its row over, since 6 came in by it.
        ("(2, 'x', 6, NULL, 0), (6, 'z', 2, 98, 0)", {2: CIRCLE, 4: "missing parent", 6: "missing parent"}),
        ("(2, 'x', 6, NULL, 0), (6, 'z', 2, NULL, 0)", {2: CIRCLE, 4: "missing parent", 6: "missing parent"}),
        ("(2, 'x', 7, NULL, 0), (6, 'z', 2, NULL, 0), (7, 'w', 6, NULL, 0), (8, 'x', 1, NULL, 0)", {}),
        ("(2, 'x', 1, NULL, 0), (5, 'p', 1, 97, 0), (6, 'p', 2, NULL, 0)", {}),
        # 2 needs 6 for as long as 7 has not taken over, which is when 12 is lost, and 6 with it.
        (
            "(2, 'x', 6, NULL, 0), (5, 'p', 3, NULL, 0), (6, 'z', 4, 12, 0), (7, 'z', 5, NULL, 0), (12, 'o', 1, 98, 0)",
            {12: "missing parent"},
        ),
        # Two that are in each other's way, and then none or one that is not.
        (
            "(2, 'x', 8, NULL, 0), (8, 'z', 3, 98, 0), (9, 'z', 4, NULL, 0)",
            {2: CIRCLE, 4: "missing parent", 8: "missing parent", 9: CIRCLE},
        ),
        ("(2, 'x', 8, NULL, 0), (8, 'z', 3, 98, 0), (9, 'z', 4, NULL, 0), (10, 'z', 3, NULL, 0)", {}),
        # The last one comes before those that need what it takes over.
        (
            "(5, 'z', 4, 98, 0), (6, 'x', 5, NULL, 0), (7, 'z', 4, NULL, 0), (8, 's', 3, NULL, 0), "
            "(9, 'z', 8, NULL, 0)",
            {},
        ),
    ],
)
def test_no_row_takes_over_a_target_row_that_it_needs_but_another_may(
    scenario: Scenario, rows: str, rejects: dict[int, str]
) -> None:
    below_root(scenario, "(1, 'root', 1, NULL, 0), (3, 'y', 1, NULL, 0), (4, 'x', 3, 99, 0), " + rows)
    rehearsed, done = scenario.sync(dry_run=True), scenario.sync_twice()
    assert told(rehearsed) == told(done)
    said = done.rejects["a"]
    reasons = dict(zip(said["old_id"], said["reason"], strict=True))
    assert reasons.keys() == rejects.keys()
    assert all(reasons[old].startswith(start) for old, start in rejects.items())


@pytest.mark.parametrize("null", ["", "NOT NULL"])
def test_who_refers_by_a_value_to_an_orphan_is_one(scenario: Scenario, null: str) -> None:
    scenario.create_source(
        """CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT, code TEXT UNIQUE, boss TEXT, friend INT REFERENCES a);
        INSERT INTO a VALUES (1, 'a', 'c1', 'c1', NULL), (2, 'x', 'c2', 'c6', NULL), (4, 'x', 'c4', 'c1', 99),
        (6, 'z', 'c6', 'c1', 98), (7, 'w', 'c7', 'C6', 1), (8, 'v', 'c8', 'c1', 1)""",
        BY_NAME,
    )
    scenario.create_target(
        f"""CREATE TABLE a (id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) UNIQUE, code VARCHAR(9) UNIQUE,
        boss VARCHAR(9) {null}, friend BIGINT, FOREIGN KEY (boss) REFERENCES a (code),
        FOREIGN KEY (friend) REFERENCES a (id))""",
        "INSERT INTO a VALUES (1, 'a', 'c1', 'c1', NULL)",
    )
    rehearsed, done = scenario.sync(dry_run=True), scenario.sync_twice()
    assert told(rehearsed) == told(done)
    assert list(done.mappings["a"]["old_id"]) == [1, 8]
    no_code = "missing parent: a has no row with this code in the target"
    no_id = "missing parent: a has no row with this id in the target, nor in the source"
    assert done.rejects["a"].to_numpy().tolist() == [
        [2, "boss", "c6", no_code],
        [4, "friend", "99", no_id],
        [6, "friend", "98", no_id],
        [7, "boss", "C6", no_code],
    ]


def test_an_orphan_that_refers_to_itself_by_a_value_goes(scenario: Scenario) -> None:
    scenario.create_source(
        """CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT, code TEXT UNIQUE, boss TEXT, friend INT REFERENCES a);
        INSERT INTO a VALUES (1, 'f', 'g', 'g', 99), (2, 'h', 'h', 'h', 2)""",
        BY_NAME,
    )
    scenario.create_target(
        """CREATE TABLE a (id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) UNIQUE, code VARCHAR(9) UNIQUE,
        boss VARCHAR(9), friend BIGINT, FOREIGN KEY (boss) REFERENCES a (code),
        FOREIGN KEY (friend) REFERENCES a (id))"""
    )
    assert list(scenario.sync_twice().rejects["a"]["old_id"]) == [1]


def test_a_key_that_can_be_read_once_its_parent_was_found_late_is_looked_for(scenario: Scenario) -> None:
    scenario.create_source(
        """CREATE TABLE a (id INTEGER PRIMARY KEY, code TEXT UNIQUE, name TEXT, boss INT REFERENCES a, dep TEXT, n INT);
        INSERT INTO a VALUES (1, 'c1', 'r', NULL, NULL, 0), (2, 'c2', 'x', 1, NULL, 'bad'), (3, 'c3', 'y', 1, NULL, 0),
        (4, 'c4', 'x', 1, 'c3', 0), (5, 'c5', 'n', 4, NULL, 0), (6, 'c6', 'z', 1, NULL, 'bad'),
        (7, 'c7', 'n', 2, 'c6', 0)""",
        '[tables.a]\nnatural_key = ["boss", "name"]\n',
    )
    scenario.create_target(
        """CREATE TABLE a (id BIGINT AUTO_INCREMENT PRIMARY KEY, code VARCHAR(9) UNIQUE, name VARCHAR(9), boss BIGINT,
        dep VARCHAR(9), n SMALLINT, UNIQUE (name, boss), FOREIGN KEY (boss) REFERENCES a (id),
        FOREIGN KEY (dep) REFERENCES a (code))"""
    )
    rehearsed, done = scenario.sync(dry_run=True), scenario.sync_twice()
    assert told(rehearsed) == told(done)
    assert list(done.rejects["a"]["old_id"]) == [6]


def test_a_row_that_needs_a_lost_one_and_a_found_one_is_told_of(scenario: Scenario) -> None:
    scenario.create_source(
        HERE + "(1, 'root', 1, 1, 0), (2, 'x', 'oops', 1, 0), (3, 'y', 1, 2, 0), (4, 'z', 3, 1, 0)", BY_NAME
    )
    scenario.create_target(
        A_BOSS_EACH.replace("friend BIGINT", "friend BIGINT NOT NULL"), "INSERT INTO a VALUES (1, 'root', 1, 1, 0)"
    )
    rejects = scenario.sync_twice().rejects["a"]
    assert rejects[["old_id", "column", "value"]].to_numpy().tolist() == [
        [2, "boss", "oops"],
        [3, "friend", "2"],
        [4, "boss", "3"],
    ]
    assert rejects["reason"][1:].str.startswith("missing parent").all()


def test_rows_that_need_each_other_tell_the_value_that_leads_there(scenario: Scenario) -> None:
    scenario.create_source(
        """CREATE TABLE a (id INTEGER PRIMARY KEY, code TEXT UNIQUE, boss TEXT);
        INSERT INTO a VALUES (1, 'x', 'y'), (2, 'y', 'x'), (3, 'z', 'y'), (4, 'w', NULL)""",
        '[tables.a]\nnatural_key = ["code"]\n',
    )
    scenario.create_target(
        """CREATE TABLE a (id BIGINT AUTO_INCREMENT PRIMARY KEY, code VARCHAR(9) UNIQUE, boss VARCHAR(9),
        FOREIGN KEY (boss) REFERENCES a (code))"""
    )
    rejects = scenario.sync_twice().rejects["a"]
    assert rejects[["old_id", "column", "value"]].to_numpy().tolist() == [
        [1, "boss", "y"],
        [2, "boss", "x"],
        [3, "boss", "y"],
    ]
    assert rejects["reason"].str.startswith(CIRCLE).all()


def test_a_row_that_was_taken_over_may_be_taken_back_before_a_later_one(scenario: Scenario) -> None:
    below_root(
        scenario,
        "(1, 'root', 1, NULL, 0), (2, 'x', 6, NULL, 0), (3, 'y', 1, NULL, 0), (4, 'x', 1, 99, 0), (6, 'z', 3, 98, 0)",
    )
    result = scenario.sync_twice()
    assert list(result.mappings["a"]["old_id"]) == [1, 3]
    assert list(result.rejects["a"]["old_id"]) == [2, 4, 6]


def test_a_value_in_the_natural_key_tells_a_row_though_it_leads_into_a_circle(scenario: Scenario) -> None:
    scenario.create_source(
        """CREATE TABLE a (id INTEGER PRIMARY KEY, code TEXT, boss TEXT, friend INT REFERENCES a);
        INSERT INTO a VALUES (1, 'x', 'y', NULL), (2, 'y', 'x', NULL), (3, NULL, NULL, 1)""",
        '[tables.a]\nnatural_key = ["code", "boss"]\n',
    )
    scenario.create_target(
        """CREATE TABLE a (id BIGINT AUTO_INCREMENT PRIMARY KEY, code VARCHAR(9) UNIQUE, boss VARCHAR(9), friend BIGINT,
        UNIQUE (code, boss), FOREIGN KEY (boss) REFERENCES a (code),
        FOREIGN KEY (friend) REFERENCES a (id))""",
        "INSERT INTO a VALUES (1, 'x', NULL, NULL), (2, 'y', 'x', NULL)",
        "UPDATE a SET boss = 'y' WHERE id = 1",
    )
    assert list(scenario.sync_twice().mappings["a"]["new_id"]) == [1, 2, 3]


def test_the_reject_names_the_column_that_leads_into_the_circle(scenario: Scenario) -> None:
    scenario.create_source(HERE + "(1, 'root', 1, 1, 0), (2, 'x', 1, 2, 0)", BY_NAME)
    scenario.create_target(
        A_BOSS_EACH.replace("friend BIGINT", "friend BIGINT NOT NULL"), "INSERT INTO a VALUES (1, 'root', 1, 1, 0)"
    )
    rejects = scenario.sync_twice().rejects["a"]
    assert rejects[["old_id", "column", "value"]].to_numpy().tolist() == [[2, "friend", "2"]]


def test_an_update_of_a_row_that_needs_itself_has_nothing_to_note(scenario: Scenario) -> None:
    below_root(scenario, "(1, 'root', 1, NULL, 5)")
    result, notes = scenario.sync_with_notes(on_match="update")
    assert (result.counts[0].updated, notes) == (1, [])


def test_what_was_matched_is_mapped_though_no_row_can_be_inserted(scenario: Scenario) -> None:
    scenario.create_source(
        """CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT, boss INT REFERENCES a);
        INSERT INTO a VALUES (1, 'root', NULL), (2, 'below', 1)""",
        BY_NAME,
    )
    scenario.create_target(
        """CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) UNIQUE, boss INT,
        FOREIGN KEY (boss) REFERENCES a (id))""",
        "INSERT INTO a VALUES (127, 'root', NULL)",
        """CREATE TRIGGER full_table BEFORE INSERT ON a FOR EACH ROW
        SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1114, MESSAGE_TEXT = 'the table is full'""",
    )
    result = scenario.sync()
    assert "the table is full (1114)" in str(result.counts[0].error)
    assert (result.counts[0].matched, result.counts[0].failed) == (1, 1)
    assert result.mappings["a"][["old_id", "new_id"]].to_numpy().tolist() == [[1, 127]]


@pytest.mark.parametrize("dry_run", [False, True])
def test_what_a_row_that_takes_over_a_target_row_loses_is_noted(scenario: Scenario, dry_run: bool) -> None:
    scenario.create_source(
        """CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT, boss INT REFERENCES a, n NUMERIC);
        INSERT INTO a VALUES (1, 'x', 99, 1), (2, 'x', NULL, 1.25)""",
        BY_NAME,
    )
    scenario.create_target(
        """CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) UNIQUE, boss INT, n DECIMAL(5, 1),
        FOREIGN KEY (boss) REFERENCES a (id))"""
    )
    result, notes = scenario.sync_with_notes(dry_run=dry_run)
    assert result.counts[0].inserted == 1
    assert any("n:" in note and "rounded" in note for note in notes), notes
