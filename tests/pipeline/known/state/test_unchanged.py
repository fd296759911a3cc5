"""Rows that are as they were in the last run are not read in the target again, and everything is as if they were."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine

from dfsync import SyncOptions, sync
from dfsync.output.evidence import read_origin
from dfsync.output.result import SyncResult
from dfsync.pipeline.known.state import segments, target_keys, unchanged
from dfsync.target.read.keys import read_keys
from tests.support.git_history import counts, execute, run_sql
from tests.support.scenario import Scenario, statements

SOURCE = """CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL, note TEXT);
    CREATE TABLE visits (id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL REFERENCES people, n INTEGER NOT NULL);
    INSERT INTO people VALUES (1, 'ann', 'x'), (2, 'bob', 'y'), (3, 'cid', 'z'), (4, 'dan', NULL);
    INSERT INTO visits VALUES (1, 1, 1), (2, 1, 2), (3, 2, 1), (4, 4, 1);"""
PLAN = """[tables.people]
natural_key = ["name"]
on_rekey = "insert"
[tables.visits]
natural_key = ["person_id", "n"]
on_rekey = "insert"
"""
TARGET = """CREATE TABLE people (id BIGINT AUTO_INCREMENT PRIMARY KEY,
    name VARCHAR(20) COLLATE utf8mb4_general_ci NOT NULL, note VARCHAR(20), {index})
    AUTO_INCREMENT = 101 CHARACTER SET utf8mb4;
CREATE TABLE visits (id BIGINT AUTO_INCREMENT PRIMARY KEY, person_id BIGINT NOT NULL, n BIGINT NOT NULL,
    UNIQUE KEY (person_id, n), FOREIGN KEY (person_id) REFERENCES people (id)) AUTO_INCREMENT = 201"""


@pytest.fixture(autouse=True)
def small_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four rows have segments of two, and any number of them may be looked up."""
    monkeypatch.setattr(unchanged, "FEWEST_ROWS", 0)
    monkeypatch.setattr(segments, "SEGMENT_ROWS", 2)
    monkeypatch.setattr(target_keys, "LOOKUP_RATIO", 0)


def scenario_of(tmp_path: Path, target: Engine, index: str = "UNIQUE KEY (name)") -> Scenario:
    scenario = Scenario(tmp_path, target)
    scenario.create_source(SOURCE, PLAN)
    scenario.create_target(TARGET.format(index=index))
    return scenario


@pytest.fixture
def synced(tmp_path: Path, target: Engine) -> Scenario:
    """People and their visits, in the target since a run, and matched by another one."""
    scenario = scenario_of(tmp_path, target)
    assert counts(scenario.sync()) == {"people": (4, 0, 0), "visits": (4, 0, 0)}
    assert counts(scenario.sync()) == {"people": (0, 4, 0), "visits": (0, 4, 0)}
    return scenario


def files(scenario: Scenario) -> dict[str, int]:
    out = scenario.folder / "out"
    return {
        str(path.relative_to(out)): path.stat().st_mtime_ns
        for path in out.rglob("*")
        if path.is_file() and path.name != "summary.json" and "runs" not in path.parts
    }


def asked(sent: list[str], table: str) -> list[str]:
    """What a run has asked the target about the rows of a table: a checksum, keys at hand, or all keys."""
    kinds = {"crc32": "checksums", "group_concat": "all keys", " IN (": "keys"}
    of_table = [s for s in sent if f"FROM `{table}`" in s and "sha2" not in s and s.startswith("SELECT")]
    return [kind for statement in of_table for sign, kind in kinds.items() if sign in statement]


def ids(result: SyncResult, table: str) -> dict[int, int]:
    mapping = result.mappings[table]
    return dict(zip(mapping["old_id"].tolist(), mapping["new_id"].tolist(), strict=True))


class TestNothingNew:
    def test_the_target_is_asked_for_checksums_alone(self, synced: Scenario) -> None:
        with statements() as sent:
            assert counts(synced.sync()) == {"people": (0, 4, 0), "visits": (0, 4, 0)}
        assert asked(sent, "people") == asked(sent, "visits") == ["checksums"]

    def test_no_file_is_written_anew(self, synced: Scenario) -> None:
        before = files(synced)
        assert {"id_mappings.json", "mappings/people.parquet", "state/people.parquet"} <= before.keys()
        synced.sync()
        assert files(synced) == before

    def test_the_second_run_needs_no_keys_where_nothing_changes_what_is_inserted(
        self, tmp_path: Path, target: Engine
    ) -> None:
        scenario = scenario_of(tmp_path, target)
        scenario.sync()
        json = files(scenario)["id_mappings.json"]
        with statements() as sent:
            second = scenario.sync()
        assert asked(sent, "people") == ["checksums"]
        assert set(second.mappings["people"]["action"]) == {"matched"}
        assert files(scenario)["id_mappings.json"] == json

    def test_full_reads_both_sides(self, synced: Scenario) -> None:
        before = files(synced)
        with statements() as sent:
            synced.sync(full=True)
        assert "all keys" in asked(sent, "people")
        assert files(synced)["mappings/people.parquet"] == before["mappings/people.parquet"]

    def test_a_dry_run_takes_the_fast_way_and_leaves_nothing(self, synced: Scenario) -> None:
        before = files(synced)
        with statements() as sent:
            assert counts(synced.sync(dry_run=True)) == {"people": (0, 4, 0), "visits": (0, 4, 0)}
        assert asked(sent, "people") == ["checksums"]
        assert files(synced) == before


class TestWhatChangedInTheSource:
    def test_a_new_row_is_looked_up_alone(self, synced: Scenario) -> None:
        run_sql(synced.source, "INSERT INTO people VALUES (9, 'eve', NULL); INSERT INTO visits VALUES (9, 9, 1)")
        with statements() as sent:
            result = synced.sync()
        assert counts(result) == {"people": (1, 4, 0), "visits": (1, 4, 0)}
        # The second checksum is that of the rows which the next run will find.
        assert asked(sent, "people") == ["checksums", "keys", "checksums"]
        with statements() as sent:
            assert counts(synced.sync()) == {"people": (0, 5, 0), "visits": (0, 5, 0)}
        assert asked(sent, "people") == asked(sent, "visits") == ["checksums"]

    def test_rows_that_swap_their_keys_get_each_others_target_rows(self, synced: Scenario) -> None:
        before = ids(synced.sync(), "people")
        run_sql(synced.source, "UPDATE people SET name = CASE id WHEN 1 THEN 'bob' ELSE 'ann' END WHERE id < 3")
        after = ids(synced.sync(), "people")
        assert after == {**before, 1: before[2], 2: before[1]}

    def test_a_key_that_is_the_same_to_the_target_shows_the_targets_value(self, synced: Scenario) -> None:
        run_sql(synced.source, "UPDATE people SET name = 'ANN' WHERE id = 1; INSERT INTO people VALUES (5, 'Bob', '')")
        result = synced.sync()
        assert counts(result)["people"] == (0, 5, 0)
        assert result.counts[0].shared == 1
        assert result.mappings["people"]["name"].tolist() == ["ann", "bob", "cid", "dan", "bob"]

    def test_a_child_of_a_parent_that_has_another_target_row_is_not_as_it_was(self, synced: Scenario) -> None:
        run_sql(synced.source, "UPDATE people SET name = 'other' WHERE id = 4")
        assert counts(synced.sync()) == {"people": (1, 3, 0), "visits": (1, 3, 0)}

    def test_a_row_that_was_away_for_a_night_comes_back(self, synced: Scenario) -> None:
        before = ids(synced.sync(), "people")
        run_sql(synced.source, "DELETE FROM visits WHERE person_id = 2; DELETE FROM people WHERE id = 2")
        assert counts(synced.sync())["people"] == (0, 3, 0)
        run_sql(synced.source, "INSERT INTO people VALUES (2, 'BOB', 'y'), (6, 'bob', 'y')")
        result = synced.sync()
        assert ids(result, "people") == {**before, 6: before[2]}
        run_sql(synced.source, "DELETE FROM people WHERE id = 2")
        synced.sync()
        run_sql(synced.source, "INSERT INTO people VALUES (2, 'BOB', 'y')")
        result = synced.sync()
        assert result.mappings["people"]["name"].tolist() == ["ann", "bob", "cid", "dan", "bob"]

    def test_a_deleted_row_leaves_the_map(self, synced: Scenario) -> None:
        run_sql(synced.source, "DELETE FROM visits WHERE id = 2")
        with statements() as sent:
            assert counts(synced.sync())["visits"] == (0, 3, 0)
        assert asked(sent, "visits") == ["checksums"]
        assert ids(synced.sync(), "visits").keys() == {1, 3, 4}


class TestWhatChangedInTheTarget:
    def test_only_rows_of_that_segment_are_looked_up(self, synced: Scenario) -> None:
        execute(synced.target, "UPDATE visits SET n = 7 WHERE id = 203")
        with statements() as sent:
            result = synced.sync()
        assert counts(result)["visits"] == (1, 3, 0)
        assert asked(sent, "visits") == ["checksums", "keys", "checksums"]

    def test_a_deleted_row_comes_again(self, synced: Scenario) -> None:
        execute(synced.target, "DELETE FROM visits WHERE id = 202")
        assert counts(synced.sync())["visits"] == (1, 3, 0)

    def test_rows_of_others_do_not_matter(self, synced: Scenario) -> None:
        execute(synced.target, "INSERT INTO people (name) VALUES ('theirs'), ('theirs too')")
        for _ in range(2):
            with statements() as sent:
                assert counts(synced.sync())["people"] == (0, 4, 0)
            assert asked(sent, "people") == ["checksums"]

    def test_swapped_keys_are_found(self, synced: Scenario) -> None:
        before = ids(synced.sync(), "people")
        execute(
            synced.target,
            "UPDATE people SET name = '~' WHERE id = 101",
            "UPDATE people SET name = 'ann' WHERE id = 102",
            "UPDATE people SET name = 'bob' WHERE id = 101",
        )
        assert ids(synced.sync(), "people") == {**before, 1: before[2], 2: before[1]}

    def test_another_collation_costs_time_and_nothing_else(self, synced: Scenario) -> None:
        run_sql(synced.source, "INSERT INTO people VALUES (5, 'ANN', NULL)")
        execute(synced.target, "ALTER TABLE people MODIFY name VARCHAR(20) COLLATE utf8mb4_bin NOT NULL")
        with statements() as sent:
            assert counts(synced.sync())["people"] == (1, 4, 0)
        assert "checksums" not in asked(sent, "people")[:1]

    def test_a_table_that_was_refilled_is_read_anew(self, synced: Scenario) -> None:
        execute(
            synced.target,
            "SET foreign_key_checks = 0",
            "UPDATE people SET id = id + 1000 ORDER BY id DESC",
            "UPDATE visits SET person_id = person_id + 1000",
            "SET foreign_key_checks = 1",
        )
        result = synced.sync()
        assert counts(result) == {"people": (0, 4, 0), "visits": (0, 4, 0)}
        assert ids(result, "people") == {1: 1101, 2: 1102, 3: 1103, 4: 1104}

    @pytest.mark.parametrize("index", ["KEY (name)", "KEY (note)"])
    def test_a_lower_id_of_the_same_key_is_found_where_no_unique_key_forbids_it(
        self, tmp_path: Path, target: Engine, index: str
    ) -> None:
        scenario = scenario_of(tmp_path, target, index)
        scenario.sync()
        scenario.sync()
        # In the segment of the first two, while cid is in that of the last two.
        execute(target, "INSERT INTO people (id, name) VALUES (7, 'cid')")
        assert ids(scenario.sync(), "people")[3] == 7


class TestWhatIsNoEvidence:
    def test_rows_that_a_trigger_may_have_changed(self, tmp_path: Path, target: Engine) -> None:
        scenario = scenario_of(tmp_path, target)
        execute(
            target,
            "CREATE TRIGGER t BEFORE INSERT ON people FOR EACH ROW "
            "SET NEW.name = IF(NEW.name = 'ann', 'zoe', NEW.name)",
        )
        scenario.sync()
        # The target has no ann: she comes again, and the trigger makes her a second zoe, whom the unique key refuses.
        result = scenario.sync()
        assert counts(result)["people"] == (0, 3, 1)

    def test_rows_that_were_updated(self, synced: Scenario) -> None:
        run_sql(synced.source, "UPDATE people SET note = 'new' WHERE id = 2")
        assert counts(synced.sync(on_match="update"))["people"] == (0, 3, 0)
        with statements() as sent:
            synced.sync()
        assert asked(sent, "people") == ["checksums", "keys"]

    def test_pieces(self, synced: Scenario) -> None:
        run_sql(synced.source, "INSERT INTO people VALUES (8, 'eve', ''), (9, 'fay', '')")
        synced.sync(commit_every=1)
        assert not list((synced.folder / "out" / "state").glob("people*"))
        assert list((synced.folder / "out" / "state").glob("visits*"))

    def test_a_table_that_rolled_back(self, synced: Scenario) -> None:
        run_sql(synced.source, "INSERT INTO people VALUES (9, 'eve', NULL)")
        execute(
            synced.target,
            "CREATE TRIGGER t BEFORE INSERT ON people FOR EACH ROW SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213",
        )
        assert synced.sync().counts[0].error is not None
        execute(synced.target, "DROP TRIGGER t")
        assert counts(synced.sync())["people"] == (1, 4, 0)

    def test_a_state_beside_another_map(self, synced: Scenario) -> None:
        path = synced.folder / "out" / "mappings" / "people.parquet"
        os.utime(path, ns=(1, 1))
        with statements() as sent:
            synced.sync()
        assert "all keys" in asked(sent, "people")


class TestTooManyNewRowsToLookUp:
    """The target's keys are those of the last map where its rows are as they were, and are read elsewhere."""

    @pytest.fixture
    def read(self, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        """The ranges of people's ids that were read: after the first, up to the second."""
        monkeypatch.setattr(target_keys, "LOOKUP_RATIO", 20)
        monkeypatch.setattr(target_keys, "LEAST_SHARE", 0.2)
        ranges: list[Any] = []

        def read_range(*given: Any) -> pd.DataFrame:
            if given[1].name == "people":
                ranges.append(given[4:])
            return read_keys(*given)

        monkeypatch.setattr(target_keys, "read_keys", read_range)
        return ranges

    def test_what_is_above_the_last_run_is_read(self, synced: Scenario, read: list[Any]) -> None:
        run_sql(synced.source, "INSERT INTO people VALUES (5, 'Ann', ''), (6, 'eve', ''), (7, 'Fay', '')")
        execute(synced.target, "INSERT INTO people (id, name) VALUES (900, 'fay')")
        result = synced.sync()
        assert counts(result)["people"] == (1, 6, 0)
        assert result.counts[0].shared == 1
        assert read == [(104, None)]
        assert ids(result, "people") == {1: 101, 2: 102, 3: 103, 4: 104, 5: 101, 6: 901, 7: 900}
        assert result.mappings["people"]["name"].tolist() == ["ann", "bob", "cid", "dan", "ann", "eve", "fay"]

    def test_so_is_a_segment_that_is_not_as_it_was(self, synced: Scenario, read: list[Any]) -> None:
        run_sql(synced.source, "INSERT INTO people VALUES (6, 'EVE', ''), (7, 'fay', '')")
        execute(synced.target, "UPDATE people SET name = 'eve' WHERE id = 102")
        result = synced.sync()
        assert read == [(None, 102), (104, None)]
        assert counts(result)["people"] == (2, 4, 0)
        assert {**ids(result, "people"), 2: 0, 7: 0} == {1: 101, 2: 0, 3: 103, 4: 104, 6: 102, 7: 0}

    def test_and_one_that_has_rows_of_others(self, synced: Scenario, read: list[Any]) -> None:
        execute(synced.target, "INSERT INTO people (id, name) VALUES (7, 'eve')")
        synced.sync()
        read.clear()
        run_sql(synced.source, "INSERT INTO people VALUES (6, 'EVE', ''), (7, 'fay', '')")
        result = synced.sync()
        assert read == [(None, 102), (104, None)]
        assert ids(result, "people")[6] == 7

    def test_a_row_is_looked_up_where_a_digest_says_that_its_key_is_there(
        self, synced: Scenario, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The keys of visits are numbers, of which only identical ones are equal."""
        monkeypatch.setattr(target_keys, "LOOKUP_RATIO", 2)
        run_sql(synced.source, "INSERT INTO visits VALUES (5, 1, 9), (6, 1, 1), (7, 4, 7)")
        execute(synced.target, "INSERT INTO visits VALUES (900, 101, 9)")
        with statements() as sent:
            result = synced.sync()
        # The range is that above the last run, and one key is looked up.
        assert asked(sent, "visits")[:3] == ["checksums", "all keys", "keys"]
        assert counts(result)["visits"] == (1, 6, 0)
        assert ids(result, "visits") == {1: 201, 2: 202, 3: 203, 4: 204, 5: 900, 6: 201, 7: 901}

    @pytest.mark.parametrize(("limit", "value"), [("LEAST_SHARE", 1.0), ("MOST_RANGES", 0)])
    def test_all_are_read_where_little_is_known(
        self, synced: Scenario, read: list[Any], monkeypatch: pytest.MonkeyPatch, limit: str, value: float
    ) -> None:
        monkeypatch.setattr(target_keys, limit, value)
        run_sql(synced.source, "INSERT INTO people VALUES (6, 'eve', '')")
        execute(synced.target, "INSERT INTO people (name) VALUES ('theirs')")
        with statements() as sent:
            assert counts(synced.sync())["people"] == (1, 4, 0)
        assert read == []
        assert asked(sent, "people") == ["checksums", "all keys", "checksums"]

    def test_the_source_may_have_moved(self, synced: Scenario, read: list[Any]) -> None:
        assert synced.plan is not None
        out, options = synced.folder / "out", SyncOptions(plan=synced.plan)
        sync(f"laptop:{synced.source}", synced.target.url, out=out, options=options)
        moved = synced.source.rename(synced.folder / "today.db")
        run_sql(moved, "INSERT INTO people VALUES (6, 'eve', '')")
        read.clear()
        result = sync(f"laptop:{moved}", synced.target.url, out=out, options=options)
        assert counts(result)["people"] == (1, 4, 0)
        assert read == [(104, None)]
        # Nothing is new, but the map says of which file it is.
        again = moved.rename(synced.folder / "tomorrow.db")
        assert counts(sync(f"laptop:{again}", synced.target.url, out=out, options=options))["people"] == (0, 5, 0)
        origin = read_origin(out / "mappings" / "people.parquet")
        assert origin is not None
        assert origin.source == str(again)


def test_a_table_of_few_rows_leaves_no_state(tmp_path: Path, target: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unchanged, "FEWEST_ROWS", 5)
    scenario = scenario_of(tmp_path, target)
    scenario.sync()
    assert not list((tmp_path / "out" / "state").glob("*.parquet"))
    before = files(scenario)
    scenario.sync()
    scenario.sync()
    now = files(scenario)
    scenario.sync()
    assert files(scenario) == now
    assert now["id_mappings.json"] == before["id_mappings.json"]
