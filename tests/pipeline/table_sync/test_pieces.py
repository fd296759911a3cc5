"""New rows that are committed in pieces: what is in the target in the middle, and what is told where a piece fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pymysql.err import OperationalError
from sqlalchemy import Connection, Engine, event

from dfsync.model.errors import DfsyncError
from dfsync.model.options import SyncOptions
from dfsync.output.journal.record import COMMITTED, ROLLED_BACK, read_records, run_folder
from dfsync.output.journal.rows import INSERTED, read_rows
from dfsync.pipeline.table import load
from dfsync.pipeline.table_sync import pieces
from tests.support.git_history import counts, execute, run_sql
from tests.support.scenario import Scenario
from tests.support.tables.visits import JOINED, ROWS, SOURCE, TARGET

# The table is full: no row's fault.
FULL = """CREATE TRIGGER full BEFORE INSERT ON {} FOR EACH ROW IF NEW.{} = '{}' THEN
    SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1114, MESSAGE_TEXT = 'the table is full'; END IF"""


@pytest.fixture
def scenario(tmp_path: Path, target: Engine) -> Scenario:
    """Places with a natural key and visits without one, and rows of the target's own."""
    scenario = Scenario(tmp_path, target)
    scenario.create_source(SOURCE)
    scenario.create_target(TARGET, "INSERT INTO places (name) VALUES ('elsewhere'), ('Place 4')")
    return scenario


@contextmanager
def before_commit(act: Callable[[int], None]) -> Iterator[None]:
    """Before each COMMIT of a piece `act` is told how many there were."""
    done = 0

    def count(_connection: Connection) -> None:
        nonlocal done
        act(done)
        done += 1

    event.listen(Engine, "commit", count)
    yield
    event.remove(Engine, "commit", count)


class TestPieces:
    def test_end_as_one_transaction_does(self, scenario: Scenario) -> None:
        result = scenario.sync_twice(commit_every=3)
        assert counts(result) == {"places": (ROWS - 1, 1, 0), "visits": (ROWS, 0, 0)}
        scenario.assert_same(JOINED)
        assert not (scenario.folder / "out" / "pieces").exists()

    def test_others_see_a_piece_before_the_next_is_committed(self, scenario: Scenario) -> None:
        seen: list[int] = []

        def look(_: int) -> None:
            seen.append(int(scenario.read_target("SELECT COUNT(*) FROM places")[0][0]))

        with before_commit(look):
            scenario.sync(commit_every=5, tables=("places",))
        assert [number for number in (2, 7, 12, 17, 21) if number not in seen] == []

    def test_a_table_of_one_piece_is_one_transaction(self, scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pieces.PieceLoader, "load", None)
        assert scenario.sync(commit_every=ROWS).ok

    def test_a_dry_run_has_none(self, scenario: Scenario) -> None:
        before = scenario.all_rows()
        result = scenario.sync(commit_every=3, dry_run=True)
        assert counts(result) == {"places": (ROWS - 1, 1, 0), "visits": (ROWS, 0, 0)}
        assert scenario.all_rows() == before

    def test_rejects_and_shared_keys_are_those_of_one_transaction(self, scenario: Scenario) -> None:
        run_sql(
            scenario.source,
            """DROP TABLE visits; DROP TABLE places; CREATE TABLE places (id INTEGER PRIMARY KEY, name TEXT);
            INSERT INTO places VALUES (1, 'a'), (2, NULL), (3, 'b'), (4, 'A'), (5, 'c'), (6, 'B'), (7, 'd'),
            (8, 'a')""",
        )
        execute(scenario.target, "ALTER TABLE places ADD CHECK (name <> 'd')")
        result = scenario.sync_twice(commit_every=2, tables=("places",))
        assert counts(result) == {"places": (3, 3, 2)}
        mapped = scenario.id_maps(result)["places"]
        assert mapped[1] == mapped[4] == mapped[8]
        assert mapped[3] == mapped[6]
        assert list(result.rejects["places"]["old_id"]) == [2, 7]

    def test_updates_come_after_the_pieces(self, scenario: Scenario) -> None:
        run_sql(scenario.source, "ALTER TABLE places ADD COLUMN size INTEGER; UPDATE places SET size = id")
        execute(scenario.target, "ALTER TABLE places ADD COLUMN size INT")
        result = scenario.sync(commit_every=3, on_match="update", tables=("places",))
        assert [(c.inserted, c.updated) for c in result.counts] == [(ROWS - 1, 1)]
        scenario.assert_same("SELECT size FROM places", (None,))


class TestAPieceThatFails:
    def test_leaves_the_pieces_before_it_and_true_counts(self, scenario: Scenario) -> None:
        execute(scenario.target, FULL.format("places", "name", "place 13"))
        result = scenario.sync(commit_every=5)
        places, visits = result.counts
        assert places.error is not None
        assert "the table is full" in places.error
        # Place 4 was there, so that the pieces are 1 to 6 without it, 7 to 11, and 12 to 16.
        assert (places.inserted, places.matched, places.failed) == (10, 1, ROWS - 11)
        assert len(result.mappings["places"]) == 11
        assert (visits.inserted, visits.failed) == (11, ROWS - 11)
        assert scenario.read_target("SELECT COUNT(*) FROM places") == [(12,)]
        reasons = set(result.rejects["visits"]["reason"])
        assert len(reasons) == 1
        assert "since the table failed" in reasons.pop()
        execute(scenario.target, "DROP TRIGGER full")
        again = scenario.sync(commit_every=5)
        assert counts(again) == {"places": (9, 11, 0), "visits": (ROWS - 11, 11, 0)}
        scenario.assert_same(JOINED)

    def test_shares_the_rows_that_are_committed(self, scenario: Scenario) -> None:
        run_sql(
            scenario.source,
            """DROP TABLE visits; DROP TABLE places; CREATE TABLE places (id INTEGER PRIMARY KEY, name TEXT);
            INSERT INTO places VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd'), (5, 'A')""",
        )
        execute(scenario.target, FULL.format("places", "name", "c"))
        result = scenario.sync(commit_every=2, tables=("places",))
        assert [(c.inserted, c.matched, c.failed) for c in result.counts] == [(2, 1, 2)]
        mapped = scenario.id_maps(result)["places"]
        assert sorted(mapped) == [1, 2, 5]
        assert mapped[1] == mapped[5]

    def test_is_tried_again_where_that_may_help(self, scenario: Scenario) -> None:
        """A deadlock is what the server says of the first two attempts of a piece."""
        failed: list[int] = []
        load_rows = load.load_rows

        def deadlocked(table: Any, ids: Any, send: Any) -> Any:
            if 30 in ids and len(failed) < 2:
                failed.append(1)
                table.connection.exec_driver_sql(
                    "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'Deadlock found'"
                )
            return load_rows(table, ids, send)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pieces, "load_rows", deadlocked)
            result = scenario.sync(commit_every=4, tables=("places",))
        assert len(failed) == 2
        assert counts(result) == {"places": (ROWS - 1, 1, 0)}
        assert scenario.read_target("SELECT COUNT(*), COUNT(DISTINCT name) FROM places") == [(ROWS + 1, ROWS + 1)]

    def test_is_no_retry_of_the_table(self, scenario: Scenario) -> None:
        def deadlocked(table: Any, ids: Any, send: Any) -> Any:
            table.connection.exec_driver_sql("SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pieces, "load_rows", deadlocked)
            result = scenario.sync(commit_every=4, tables=("places",))
        assert [(c.inserted, c.matched, c.failed) for c in result.counts] == [(0, 1, ROWS - 1)]


class TestTheJournal:
    def test_has_a_part_for_each_piece(self, scenario: Scenario) -> None:
        result = scenario.sync(commit_every=4)
        (run,) = read_records(scenario.folder / "out")
        assert [(t.name, t.states, len(t.parts), t.count("inserted")) for t in run.tables] == [
            ("places", {COMMITTED}, 5, ROWS - 1),
            ("visits", {COMMITTED}, 5, ROWS),
        ]
        folder = run_folder(scenario.folder / "out", run.id)
        rows = pa.concat_tables(read_rows(folder, INSERTED, "visits", range(1, 6)))
        assert (
            dict(zip(*(rows.column(n).to_pylist() for n in ("old_id", "new_id")), strict=True))
            == (scenario.id_maps(result)["visits"])
        )
        assert rows.column("digest").null_count == 0

    def test_has_the_updates_in_a_part_of_their_own(self, scenario: Scenario) -> None:
        run_sql(scenario.source, "ALTER TABLE places ADD COLUMN size INTEGER; UPDATE places SET size = id")
        execute(scenario.target, "ALTER TABLE places ADD COLUMN size INT")
        scenario.sync(commit_every=10, on_match="update", tables=("places",))
        (run,) = read_records(scenario.folder / "out")
        assert [(part.inserted, part.updated) for part in run.table("places").parts] == [(10, 0), (9, 0), (0, 1)]

    def test_says_which_pieces_of_a_table_that_failed_are_committed(self, scenario: Scenario) -> None:
        execute(scenario.target, FULL.format("places", "name", "place 13"))
        assert not scenario.sync(commit_every=5, tables=("places",)).ok
        (run,) = read_records(scenario.folder / "out")
        assert [(part.state, part.inserted) for part in run.table("places").parts] == [(COMMITTED, 5)] * 2

    def test_settles_a_commit_without_an_answer(self, scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
        """The second COMMIT counts, and the third one does not; of neither there is an answer."""
        commit = pieces.commit_piece
        calls: list[int] = []

        def lose(session: Any, table: Any, commit_: Callable[[], None], *rows: Any) -> None:
            calls.append(len(calls))

            def without_answer() -> None:
                if calls[-1] == 1:
                    commit_()
                elif calls[-1] == 2:
                    table.connection.exec_driver_sql("ROLLBACK")
                else:
                    commit_()
                    return
                raise OperationalError(2013, "Lost connection to the server during the query")

            commit(session, table, without_answer, *rows)

        monkeypatch.setattr(pieces, "commit_piece", lose)
        result = scenario.sync(commit_every=5, tables=("places",))
        (places,) = result.counts
        assert (places.inserted, places.matched, places.failed) == (10, 1, ROWS - 11)
        assert "Lost connection" in str(places.error)
        (run,) = read_records(scenario.folder / "out")
        assert [part.state for part in run.table("places").parts] == [COMMITTED, COMMITTED, ROLLED_BACK]
        assert scenario.read_target("SELECT COUNT(*) FROM places") == [(12,)]
        assert counts(scenario.sync(commit_every=5))["places"] == (9, 11, 0)


class TestWhatMustBeOneTransaction:
    def test_a_table_that_refers_to_itself_says_so(self, tmp_path: Path, target: Engine) -> None:
        scenario = Scenario(tmp_path, target)
        scenario.create_source(
            """CREATE TABLE staff (id INTEGER PRIMARY KEY, name TEXT UNIQUE, boss_id INTEGER REFERENCES staff);
            INSERT INTO staff VALUES (1, 'a', 3), (2, 'b', 1), (3, 'c', NULL), (4, 'd', 3)"""
        )
        scenario.create_target(
            """CREATE TABLE staff (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) UNIQUE, boss_id INT,
            FOREIGN KEY (boss_id) REFERENCES staff (id))"""
        )
        result, notes = scenario.sync_with_notes(commit_every=2)
        assert counts(result) == {"staff": (4, 0, 0)}
        why = "since they refer to rows of their own table"
        assert f"staff: its 4 new rows are committed in one transaction, {why}" in notes
        scenario.assert_same("SELECT s.name, b.name FROM staff AS s JOIN staff AS b ON s.boss_id = b.id")

    def test_and_so_do_the_tables_of_a_circle(self, tmp_path: Path, target: Engine) -> None:
        scenario = Scenario(tmp_path, target)
        scenario.create_source(
            """CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT UNIQUE, b_id INTEGER REFERENCES b);
            CREATE TABLE b (id INTEGER PRIMARY KEY, name TEXT UNIQUE, a_id INTEGER REFERENCES a);
            INSERT INTO a VALUES (1, 'a', 1), (2, 'b', 2); INSERT INTO b VALUES (1, 'a', 2), (2, 'b', NULL)"""
        )
        scenario.create_target(None)
        result, notes = scenario.sync_with_notes(commit_every=1)
        assert counts(result) == {"a": (2, 0, 0), "b": (2, 0, 0)}
        told = [
            note for note in notes if "are committed in one transaction, since the table is one of a circle" in note
        ]
        assert len(told) == 2


class TestOptions:
    @pytest.mark.parametrize("options", [{"commit_every": 0}, {"writers": 0}, {"writers": 65}])
    def test_what_is_no_number_of_pieces_or_writers_is_refused(self, options: dict[str, int]) -> None:
        with pytest.raises(DfsyncError, match="give"):
            SyncOptions(**options)  # type: ignore[arg-type]

    def test_several_writers_need_pieces(self) -> None:
        assert SyncOptions().piece_rows is None
        assert SyncOptions(writers=2).piece_rows == 100_000
        assert SyncOptions(writers=2, commit_every=7).piece_rows == 7
        assert SyncOptions(writers=2, dry_run=True).piece_rows is None
