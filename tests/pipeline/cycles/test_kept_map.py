"""The map of the last run where tables refer to themselves, or to each other."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from dfsync.output.result import SyncResult
from tests.support.git_history import execute, run_sql
from tests.support.scenario import Scenario

TREE = """CREATE TABLE a (id INTEGER PRIMARY KEY AUTOINCREMENT, note TEXT, up INTEGER REFERENCES a);
    INSERT INTO a VALUES (1, 'root', NULL), (2, 'b', 1), (3, 'b', 1), (4, 'c', 2), (5, 'd', 4)"""
TARGET = """CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, note VARCHAR(9), up INT,
    FOREIGN KEY (up) REFERENCES a (id)) AUTO_INCREMENT = 101"""


def told(result: SyncResult) -> list[tuple[int, int, int, int, int]]:
    return [(c.inserted, c.matched, c.updated, c.failed, c.rekeyed) for c in result.counts]


@pytest.fixture
def tree(tmp_path: Path, target: Engine) -> Scenario:
    """A tree without natural keys."""
    scenario = Scenario(tmp_path, target)
    scenario.create_source(TREE)
    scenario.create_target(TARGET)
    scenario.sync_twice()
    return scenario


class TestKnownByIds:
    def test_an_edited_parent_takes_its_children_along(self, tree: Scenario) -> None:
        run_sql(tree.source, "UPDATE a SET note = 'B' WHERE id = 2; INSERT INTO a (note, up) VALUES ('e', 2)")
        assert told(tree.sync(dry_run=True, on_match="update")) == [(1, 4, 1, 0, 0)]
        assert told(tree.sync(on_match="update")) == [(1, 4, 1, 0, 0)]
        assert tree.read_target("SELECT COUNT(*) FROM a") == [(6,)]
        tree.assert_same("SELECT x.note, y.note FROM a x LEFT JOIN a y ON y.id = x.up")

    def test_a_row_that_was_hung_elsewhere_stays_one(self, tree: Scenario) -> None:
        run_sql(tree.source, "UPDATE a SET up = 3 WHERE id = 4")
        assert told(tree.sync(on_match="update")) == [(0, 4, 1, 0, 0)]
        tree.assert_same("SELECT x.note, y.note FROM a x LEFT JOIN a y ON y.id = x.up")

    def test_rows_that_are_gone_are_inserted_again(self, tree: Scenario) -> None:
        execute(tree.target, "DELETE FROM a WHERE note = 'd'")
        run_sql(tree.source, "UPDATE a SET note = 'C' WHERE id = 4")
        assert told(tree.sync(on_match="update")) == [(1, 3, 1, 0, 0)]
        tree.assert_same("SELECT x.note, y.note FROM a x LEFT JOIN a y ON y.id = x.up")


BOSSES = """CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT UNIQUE, boss INTEGER {null} REFERENCES a);
    INSERT INTO a VALUES (1, 'ann', {root}), (2, 'bob', 1), (3, 'cyd', 2)"""


class TestRekeyed:
    @pytest.fixture(params=["", "NOT NULL"], ids=["filled in afterwards", "parents first"])
    def bosses(self, request: pytest.FixtureRequest, tmp_path: Path, target: Engine) -> Scenario:
        scenario = Scenario(tmp_path, target)
        script = BOSSES.format(null=request.param, root="1" if request.param else "NULL")
        scenario.create_source(script, '[tables.a]\nnatural_key = ["name"]')
        scenario.create_target(
            f"""CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) UNIQUE, boss INT {request.param},
            FOREIGN KEY (boss) REFERENCES a (id)) AUTO_INCREMENT = 101""",
            *(["INSERT INTO a VALUES (50, 'ann', 50)"] if request.param else []),
        )
        scenario.sync()
        assert scenario.read_target("SELECT COUNT(*) FROM a") == [(3,)]
        run_sql(scenario.source, "UPDATE a SET name = 'BOBBY' WHERE id = 2; INSERT INTO a VALUES (4, 'dee', 2)")
        return scenario

    def decide(self, scenario: Scenario, on_rekey: str) -> None:
        scenario.plan = scenario.folder / "plan.toml"
        scenario.plan.write_text(f'[tables.a]\nnatural_key = ["name"]\non_rekey = "{on_rekey}"')

    def test_undecided_nothing_of_it_goes_in(self, bosses: Scenario) -> None:
        before = bosses.all_rows()
        for dry_run in (True, False, False):
            result = bosses.sync(dry_run=dry_run)
            (count,) = result.counts
            assert (count.inserted, count.rekeyed) == (0, 1)
            assert 2 in list(result.rejects["a"]["old_id"])
        assert bosses.all_rows() == before

    def test_follow(self, bosses: Scenario) -> None:
        self.decide(bosses, "follow")
        assert told(bosses.sync(dry_run=True)) == [(1, 2, 1, 0, 1)]
        assert told(bosses.sync()) == [(1, 2, 1, 0, 1)]
        bosses.assert_same("SELECT x.name, y.name FROM a x LEFT JOIN a y ON y.id = x.boss")
        assert told(bosses.sync()) == [(0, 4, 0, 0, 0)]

    def test_insert(self, bosses: Scenario) -> None:
        self.decide(bosses, "insert")
        assert told(bosses.sync()) == [(2, 2, 0, 0, 1)]
        assert bosses.read_target("SELECT COUNT(*) FROM a") == [(5,)]
        assert told(bosses.sync()) == [(0, 4, 0, 0, 0)]


def test_a_parent_in_the_key_that_alone_was_renamed(tmp_path: Path, target: Engine) -> None:
    scenario = Scenario(tmp_path, target)
    scenario.create_source(
        """CREATE TABLE a (id INTEGER PRIMARY KEY, up INTEGER REFERENCES a, name TEXT NOT NULL, UNIQUE (up, name));
        INSERT INTO a VALUES (1, NULL, 'root'), (2, 1, 'b'), (3, 2, 'c')""",
        '[tables.a]\nnatural_key = ["up", "name"]\non_rekey = "insert"',
    )
    scenario.create_target(
        """CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, up INT, name VARCHAR(9) NOT NULL, UNIQUE (up, name),
        FOREIGN KEY (up) REFERENCES a (id))"""
    )
    scenario.sync()
    run_sql(scenario.source, "UPDATE a SET name = 'x' WHERE id = 2")
    # The child is a row of its own below the new parent, but its own key is what it was.
    assert told(scenario.sync()) == [(2, 1, 0, 0, 1)]
