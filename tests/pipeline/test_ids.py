"""Which number of a row is its id: what the source does not declare, what means something, and the id 0."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine

import dfsync
from dfsync.__main__ import main
from dfsync.model.errors import DfsyncError
from dfsync.model.options import SyncOptions
from tests.support.git_history import execute, fetch, ids, run_sql
from tests.support.scenario import Scenario

PEOPLE = """CREATE TABLE people (id INT AUTO_INCREMENT PRIMARY KEY, full_name VARCHAR(20), mail VARCHAR(20) UNIQUE)"""


@pytest.fixture
def scenario(tmp_path: Path, target: Engine) -> Scenario:
    return Scenario(tmp_path, target)


def undecided(scenario: Scenario) -> dict[str, list[str]]:
    """By column, the answers that a check asks for."""
    options = SyncOptions(plan=scenario.plan)
    found = dfsync.check(scenario.source, scenario.target.url, options=options).findings
    return {f"{f.table}.{f.column}": list(f.answers) for f in found if f.level == "undecided"}


class TestASourceWithoutDeclaredKeys:
    """What pandas' `to_sql` and `CREATE TABLE AS` leave."""

    @pytest.fixture
    def frame(self, scenario: Scenario) -> pd.DataFrame:
        columns = {"id": [1, 2, 3], "full_name": ["Zoe", "Yan", "Xi"], "mail": ["z@x", "y@x", "x@x"]}
        frame = pd.DataFrame(columns)
        frame.to_sql("people", f"sqlite:///{scenario.source}", index=False)
        scenario.create_target(PEOPLE, "INSERT INTO people (full_name, mail) VALUES ('Ann', 'a@x'), ('Bob', 'b@x')")
        return frame

    @pytest.mark.parametrize("on_match", ["skip", "update"])
    @pytest.mark.usefixtures("frame")
    def test_gets_new_ids(self, scenario: Scenario, on_match: str) -> None:
        plan = dfsync.resolve_plan(scenario.source, scenario.target.url).plan
        assert (plan["people"].id, plan["people"].key) == ("id", ())
        assert plan["people"].origin["id"].startswith("AUTO_INCREMENT of the target; ")
        first = scenario.sync_twice(on_match=on_match)
        assert ids(first.mappings["people"]) == {1: 3, 2: 4, 3: 5}
        assert scenario.read_target("SELECT full_name FROM people ORDER BY id") == [
            ("Ann",), ("Bob",), ("Zoe",), ("Yan",), ("Xi",),
        ]  # fmt: skip

    def test_whose_numbers_are_not_unique_is_undecided(self, scenario: Scenario, frame: pd.DataFrame) -> None:
        pd.concat([frame, frame.tail(1).assign(mail="w@x")]).to_sql(
            "people", f"sqlite:///{scenario.source}", index=False, if_exists="replace"
        )
        assert undecided(scenario) == {"people.id": ['ignore_columns = ["id"]', 'id = ""']}
        with pytest.raises(DfsyncError, match="cannot be the id: 1 row with a value that another row has too"):
            scenario.sync()
        assert len(scenario.read_target("SELECT * FROM people")) == 2
        scenario.create_source("SELECT 1", '[tables.people]\nignore_columns = ["id"]')
        assert scenario.sync().summary["inserted"].sum() == 4

    @pytest.mark.usefixtures("frame")
    def test_is_verified(self, scenario: Scenario) -> None:
        scenario.sync()
        assert dfsync.verify(scenario.source, scenario.target.url, out=scenario.folder / "out").ok

    @pytest.mark.usefixtures("frame")
    def test_keeps_its_numbers_where_a_plan_says_so(self, scenario: Scenario) -> None:
        scenario.create_source("SELECT 1", '[tables.people]\nid = ""\n')
        result = scenario.sync()
        assert (result.summary["inserted"].sum(), result.summary["matched"].sum()) == (1, 2)


class TestNumbersThatMeanSomething:
    REVENUE = """CREATE TABLE revenue (year INTEGER PRIMARY KEY, eur INTEGER);
        INSERT INTO revenue VALUES (2019, 5), (2020, 6), (2023, 7)"""

    def test_stay_where_the_target_does_not_number_them(self, scenario: Scenario) -> None:
        scenario.create_source(self.REVENUE)
        scenario.create_target(
            "CREATE TABLE revenue (year INT PRIMARY KEY, eur INT)", "INSERT INTO revenue VALUES (2019, 5)"
        )
        assert undecided(scenario) == {}
        scenario.sync_twice()
        assert scenario.read_target("SELECT * FROM revenue") == [(2019, 5), (2020, 6), (2023, 7)]

    def test_are_undecided_where_the_table_is_to_be_made(self, scenario: Scenario) -> None:
        scenario.create_source(self.REVENUE)
        assert undecided(scenario) == {"revenue.year": ['id = ""', 'id = "year"']}
        with pytest.raises(DfsyncError, match=r"its values go from 2019 to 2023 in 3 rows"):
            scenario.create_target(None)
        assert scenario.read_target("SHOW TABLES") == []

    def test_are_decided_by_one_command(self, scenario: Scenario) -> None:
        scenario.create_source(self.REVENUE)
        scenario.plan = scenario.folder / "plan.toml"
        url = scenario.target.url.render_as_string(hide_password=False)
        assert main(["plan", "--source", str(scenario.source), "--target", url, "--write", str(scenario.plan)]) == 0
        assert undecided(scenario) == {}
        scenario.create_target(None)
        scenario.sync_twice()
        assert scenario.read_target("SELECT * FROM revenue") == [(2019, 5), (2020, 6), (2023, 7)]
        # Now the target says it.
        scenario.plan = None
        assert undecided(scenario) == {}

    def test_that_look_counted_are_likely_ids(self, scenario: Scenario) -> None:
        scenario.create_source(
            """CREATE TABLE sessions (session INTEGER PRIMARY KEY, start TEXT);
            INSERT INTO sessions VALUES (1, 'a'), (2, 'b'), (4, 'c');
            CREATE TABLE zip (plz INTEGER PRIMARY KEY, town TEXT); INSERT INTO zip VALUES (80331, 'München');
            CREATE TABLE houses (id INTEGER PRIMARY KEY, plz INTEGER REFERENCES zip)"""
        )
        assert undecided(scenario) == {
            "sessions.session": ['id = "session"', 'id = ""'],
            "zip.plz": ['id = "plz"', 'id = ""'],
        }

    def test_usual_names_are_not_asked_about(self, scenario: Scenario) -> None:
        scenario.create_source("CREATE TABLE a (a_no INTEGER PRIMARY KEY, x INT); INSERT INTO a VALUES (2019, 1)")
        assert undecided(scenario) == {}

    def test_a_usual_name_that_the_target_does_not_number_is(self, scenario: Scenario) -> None:
        scenario.create_source("CREATE TABLE a (id INTEGER PRIMARY KEY, x INT); INSERT INTO a VALUES (1, 1)")
        scenario.create_target("CREATE TABLE a (id INT PRIMARY KEY, x INT)", "INSERT INTO a VALUES (1, 9)")
        assert undecided(scenario) == {"a.id": ['id = ""', 'id = "id"']}
        with pytest.raises(DfsyncError, match="rows of the same number are the same row"):
            scenario.sync()


class TestTheIdZero:
    """MLflow's default experiment has the id 0, by which the application asks for it."""

    SOURCE = """CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
        CREATE TABLE runs (id INTEGER PRIMARY KEY, experiment_id INTEGER REFERENCES experiments, n INT);
        INSERT INTO experiments VALUES (0, 'Default'), (1, 'mine');
        INSERT INTO runs VALUES (1, 0, 10), (2, 1, 20)"""
    TARGET = """CREATE TABLE experiments (experiment_id INT AUTO_INCREMENT PRIMARY KEY,
    name VARCHAR(9) NOT NULL UNIQUE);
CREATE TABLE runs (id INT AUTO_INCREMENT PRIMARY KEY, experiment_id INT, n INT,
    FOREIGN KEY (experiment_id) REFERENCES experiments (experiment_id))"""
    PLAN = "[tables.experiments]\nkeep_ids = [0]\n[tables.runs]"
    ROWS = "SELECT experiment_id, name, n FROM experiments JOIN runs USING (experiment_id) ORDER BY n"

    def start(self, scenario: Scenario, plan: str | None, *rows: str) -> None:
        scenario.create_source(self.SOURCE, plan)
        scenario.create_target(self.TARGET, *rows)

    def test_is_undecided(self, scenario: Scenario) -> None:
        self.start(scenario, None)
        assert undecided(scenario) == {"experiments.experiment_id": ["keep_ids = [0]", "keep_ids = []"]}
        asked = r"has a row of id 0: .*\n.*experiments\]\n.*keep_ids = \[0\]\n.*or: keep_ids = \[\]"
        with pytest.raises(DfsyncError, match=asked):
            scenario.sync()

    def test_is_replaced_where_the_plan_says_so(self, scenario: Scenario) -> None:
        self.start(scenario, self.PLAN.replace("[0]", "[]"))
        assert ids(scenario.sync_twice().mappings["experiments"]) == {0: 1, 1: 2}

    @pytest.mark.parametrize("on_match", ["skip", "update"])
    def test_is_kept_where_the_target_lacks_it(self, scenario: Scenario, on_match: str) -> None:
        self.start(scenario, self.PLAN, "INSERT INTO experiments (name) VALUES ('theirs')")
        assert list(scenario.sync_twice(on_match=on_match).summary["inserted"]) == [2, 2]
        ((mine,),) = scenario.read_target("SELECT experiment_id FROM experiments WHERE name = 'mine'")
        assert scenario.id_maps(scenario.sync())["experiments"] == {0: 0, 1: mine}
        assert scenario.read_target(self.ROWS) == [(0, "Default", 10), (mine, "mine", 20)]
        options = SyncOptions(plan=scenario.plan)
        assert dfsync.verify(scenario.source, scenario.target.url, out=scenario.folder / "out", options=options).ok

    def test_is_the_row_that_the_target_has_of_it(self, scenario: Scenario) -> None:
        zero = "UPDATE experiments SET experiment_id = 0 WHERE name = 'Standard'"
        self.start(scenario, self.PLAN, "INSERT INTO experiments (name) VALUES ('Standard')", zero)
        assert list(scenario.sync_twice().summary.loc["experiments", ["inserted", "matched"]]) == [1, 1]
        assert scenario.read_target(self.ROWS) == [(0, "Standard", 10), (2, "mine", 20)]

    def test_is_a_reject_where_another_row_has_its_key(self, scenario: Scenario) -> None:
        self.start(scenario, self.PLAN, "INSERT INTO experiments (name) VALUES ('Default')")
        result = scenario.sync()
        assert list(result.summary["failed"]) == [1, 1]
        assert result.rejects["experiments"]["reason"].tolist() == [
            "keep_ids: the target has no row of id 0, and its row 1 has this natural key; give that row the id 0 "
            "there, or take 0 out of keep_ids"
        ]
        assert scenario.read_target(self.ROWS) == [(2, "mine", 20)]

    @pytest.mark.parametrize("on_match", ["skip", "update"])
    def test_does_not_share_its_target_row_with_a_row_of_another_key(self, scenario: Scenario, on_match: str) -> None:
        zero = "UPDATE experiments SET experiment_id = 0 WHERE name = 'mine'"
        self.start(scenario, self.PLAN, "INSERT INTO experiments (name) VALUES ('mine')", zero)
        result, notes = scenario.sync_with_notes(on_match=on_match)
        assert notes[0].endswith(
            "name mine -> Default (ID 0); the target keeps its own, since another source row has that key; change one "
            "of the keys, or take the id out of keep_ids"
        )
        assert ids(result.mappings["experiments"]) == {0: 0}
        assert list(result.summary.loc["experiments", ["matched", "failed"]]) == [1, 1]
        assert result.rejects["experiments"][["old_id", "reason"]].to_numpy().tolist() == [
            [1, "keep_ids: its target row 0 is the source's row 0, which has another natural key; change one of the "
             "keys, or take 0 out of keep_ids"]
        ]  # fmt: skip
        assert scenario.read_target(self.ROWS) == [(0, "mine", 10)]

    @pytest.mark.parametrize("setting", ["skip", "update", "follow"])
    def test_with_another_key_in_the_target_is_told_or_made_right(self, scenario: Scenario, setting: str) -> None:
        more = '\non_rekey = "follow"' if setting == "follow" else ""
        on_match = "update" if setting == "update" else "skip"
        zero = "UPDATE experiments SET experiment_id = 0 WHERE name = 'Std'"
        plan = self.PLAN.replace("[0]", f"[0]{more}")
        self.start(scenario, plan, "INSERT INTO experiments (name) VALUES ('Std')", zero)
        kept = 'keeps its own; on_match = "update" or on_rekey = "follow" gives it that of the source'
        outcome = kept if setting == "skip" else "takes that of the source"
        said = (
            "1 row of experiments that keep_ids names has another natural key in the target: "
            f"name Std -> Default (ID 0); the target {outcome}"
        )
        for dry_run in (True, False):
            result, notes = scenario.sync_with_notes(dry_run=dry_run, on_match=on_match)
            assert said in notes
            updated = 0 if setting == "skip" else 1
            counted = result.summary.loc["experiments", ["inserted", "matched", "updated", "failed", "rekeyed"]]
            assert list(counted) == [1, 1 - updated, updated, 0, 0]
        ((name,),) = scenario.read_target("SELECT name FROM experiments WHERE experiment_id = 0")
        assert name == ("Std" if setting == "skip" else "Default")
        options = SyncOptions(plan=scenario.plan, on_match=on_match)
        verified = dfsync.verify(scenario.source, scenario.target.url, out=scenario.folder / "out", options=options)
        assert (verified.ok, verified.strict_ok) == (True, setting != "skip")
        assert (said in scenario.sync_with_notes(on_match=on_match)[1]) == (setting == "skip")

    def test_renamed_in_the_source_needs_no_other_decision(self, scenario: Scenario) -> None:
        self.start(scenario, self.PLAN)
        scenario.sync_twice()
        run_sql(scenario.source, "UPDATE experiments SET name = 'Std' WHERE experiment_id = 0")
        result, notes = scenario.sync_with_notes()
        assert (result.counts[0].matched, result.counts[0].rekeyed, result.ok) == (2, 0, True)
        assert [note for note in notes if "rejected until" in note] == []
        assert "name Default -> Std (ID 0)" in notes[0]
        assert scenario.sync(on_match="update").counts[0].updated == 1
        assert scenario.read_target(self.ROWS)[0] == (0, "Std", 10)

    def test_is_a_reject_where_the_target_has_both_its_id_and_its_key(self, scenario: Scenario) -> None:
        zero = "UPDATE experiments SET experiment_id = 0 WHERE name = 'Std'"
        rows = "INSERT INTO experiments (name) VALUES ('Std'), ('Default')", zero
        self.start(scenario, self.PLAN, *rows)
        for on_match in ("skip", "update"):
            result = scenario.sync(on_match=on_match)
            assert list(result.summary["failed"]) == [1, 1]
            assert result.rejects["experiments"]["reason"].tolist() == [
                "keep_ids: the target has another natural key in its row of id 0, and its row 2 has this natural key; "
                "change one of them there, or take 0 out of keep_ids"
            ]

    def test_shares_its_target_row_with_a_row_of_its_own_key(self, scenario: Scenario) -> None:
        zero = "UPDATE experiments SET experiment_id = 0 WHERE name = 'DEFAULT'"
        self.start(scenario, self.PLAN, "INSERT INTO experiments (name) VALUES ('DEFAULT')", zero)
        run_sql(scenario.source, "UPDATE experiments SET name = 'default' WHERE experiment_id = 1")
        assert ids(scenario.sync_twice().mappings["experiments"]) == {0: 0, 1: 0}

    def test_a_dry_run_foretells_it(self, scenario: Scenario) -> None:
        self.start(scenario, self.PLAN)
        result = scenario.sync(dry_run=True)
        assert list(result.summary["inserted"]) == [2, 2]
        assert scenario.read_target("SELECT * FROM experiments") == []

    def test_of_rows_without_a_key(self, scenario: Scenario) -> None:
        """A row that is equal to the row 0 of the target is not taken for it."""
        scenario.create_source(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, x INT); INSERT INTO t VALUES (0, 5), (4, 5), (100, 6), (101, 5)",
            "[tables.t]\nkeep_ids = [0, 100]\nnatural_key = []",
        )
        scenario.create_target("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, x INT)")
        assert ids(scenario.sync_twice().mappings["t"]) == {0: 0, 4: 101, 100: 100, 101: 102}
        execute(scenario.target, "UPDATE t SET x = 7 WHERE id = 0")
        second = scenario.sync()
        assert list(second.summary["inserted"]) == [0]

    def test_of_rows_without_a_key_takes_the_sources_values(self, scenario: Scenario) -> None:
        scenario.create_source(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, x INT); INSERT INTO t VALUES (0, 5), (4, 5)",
            "[tables.t]\nkeep_ids = [0]\nnatural_key = []",
        )
        scenario.create_target("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, x INT)")
        scenario.sync_twice(on_match="update")
        run_sql(scenario.source, "UPDATE t SET x = 8 WHERE id = 0")
        assert list(scenario.sync(on_match="update").summary["updated"]) == [1]
        assert fetch(scenario.target, "SELECT id, x FROM t ORDER BY id") == [(0, 8), (1, 5)]

    def test_of_a_row_that_does_not_fit(self, scenario: Scenario) -> None:
        scenario.create_source(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, x INT); INSERT INTO t VALUES (0, 999), (1, 5)",
            "[tables.t]\nkeep_ids = [0]\nnatural_key = []",
        )
        scenario.create_target("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, x TINYINT)")
        result = scenario.sync()
        assert (list(result.summary["inserted"]), list(result.summary["failed"])) == ([1], [1])
        assert fetch(scenario.target, "SELECT id, x FROM t") == [(1, 5)]

    def test_not_in_a_circle(self, scenario: Scenario) -> None:
        tree = "CREATE TABLE t (id INTEGER PRIMARY KEY, up INT REFERENCES t); INSERT INTO t VALUES (0, NULL), (1, 0)"
        scenario.create_source(tree)
        assert undecided(scenario) == {"t.id": ["keep_ids = []", 'id = ""']}
        scenario.create_source("SELECT 1", "[tables.t]\nkeep_ids = [0]")
        with pytest.raises(DfsyncError, match=r"\[tables\.t\] has keep_ids and is in a circle of tables"):
            undecided(scenario)


def test_columns_that_are_empty_and_that_the_target_lacks_are_left_out(scenario: Scenario) -> None:
    scenario.create_source(
        """CREATE TABLE states (id INTEGER PRIMARY KEY, state TEXT, domain TEXT, created TEXT);
        INSERT INTO states (state) VALUES ('on'), ('off')"""
    )
    scenario.create_target("CREATE TABLE states (id INT AUTO_INCREMENT PRIMARY KEY, state VARCHAR(9))")
    said = "NULL in every row of the source, and the target lacks it: left out"
    found = dfsync.check(scenario.source, scenario.target.url).findings
    assert [(f.level, f.column) for f in found if f.message == said] == [("note", "created"), ("note", "domain")]
    plan = dfsync.resolve_plan(scenario.source, scenario.target.url)
    assert plan.notes == [f"states: created, domain: {said}"]
    result, noted = scenario.sync_with_notes()
    assert result.ok
    assert [note for note in noted if said in note] == [f"states.created: {said}", f"states.domain: {said}"]
    assert dfsync.verify(scenario.source, scenario.target.url, out=scenario.folder / "out").ok
    run_sql(scenario.source, "UPDATE states SET domain = 'light' WHERE id = 2")
    with pytest.raises(DfsyncError, match="lacks the source's column domain"):
        scenario.sync()


def test_columns_that_are_one_for_the_target_are_told(scenario: Scenario) -> None:
    # SQLite ignores the case of A to Z alone.
    scenario.create_source("CREATE TABLE t (id INTEGER PRIMARY KEY, 'Größe' INT, 'GRÖßE' INT)")
    scenario.create_target("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, größe INT)")
    with pytest.raises(DfsyncError, match="differ only in case, and so are one for the target: Größe, GRÖßE"):
        scenario.sync()
    scenario.create_source("INSERT INTO t VALUES (1, 5, 6)", '[tables.t]\nignore_columns = ["GRÖßE"]')
