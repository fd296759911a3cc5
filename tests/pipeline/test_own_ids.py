"""New rows keep the ids of their source rows where these are free: `ids = "keep"` of a plan, and `keep_ids`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, event
from sqlalchemy.pool import Pool

import dfsync
from dfsync.model.errors import DfsyncError
from dfsync.model.options import SyncOptions
from dfsync.pipeline.known.state import unchanged
from tests.support.git_history import execute, ids
from tests.support.runs.undone import taken_back, undo
from tests.support.scenario import Scenario, statements

SOURCE = """CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, age INT);
CREATE TABLE posts (id INTEGER PRIMARY KEY, user_id INTEGER REFERENCES users, n INT UNIQUE);
INSERT INTO users VALUES (3, 'ann', 30), (7, 'bob', 40), (9, 'cid', 50);
INSERT INTO posts VALUES (5, 3, 1), (6, 7, 2), (11, 9, 3)"""
TARGET = """CREATE TABLE users (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) NOT NULL UNIQUE, age INT);
CREATE TABLE posts (id INT AUTO_INCREMENT PRIMARY KEY, user_id INT, n INT UNIQUE,
    FOREIGN KEY (user_id) REFERENCES users (id))"""
JOINED = "SELECT name, n FROM users JOIN posts ON posts.user_id = users.id ORDER BY n"
TAKEN = "INSERT INTO users VALUES (7, 'eve', 1), (20, 'cid', 50)"
TOLD = (
    "users: 2 rows have other ids in the target than in the source: 7 -> {} (another row has it), 9 -> 20 (the target "
    "has the row under this id)"
)
SAME = "; if that is the same row, keep_ids of a plan says so"


@pytest.fixture
def scenario(tmp_path: Path, target: Engine) -> Scenario:
    return Scenario(tmp_path, target)


def check(scenario: Scenario, keep_ids: str = "free") -> dfsync.CheckResult:
    options = SyncOptions(plan=scenario.plan, keep_ids=keep_ids)
    return dfsync.check(scenario.source, scenario.target.url, options=options, out=scenario.folder / "out")


def verify(scenario: Scenario, **options: Any) -> dfsync.VerifyResult:
    chosen = SyncOptions(plan=scenario.plan, **options)
    return dfsync.verify(scenario.source, scenario.target.url, options=chosen, out=scenario.folder / "out")


def kept(result: dfsync.SyncResult) -> dict[str, bool]:
    return {name: all(old == new for old, new in ids(frame).items()) for name, frame in result.mappings.items()}


class TestAnId:
    @pytest.mark.parametrize("local_infile", [True, False])
    def test_stays_where_it_is_free(self, scenario: Scenario, local_infile: bool) -> None:
        scenario.create_source(SOURCE)
        scenario.create_target(TARGET, "INSERT INTO users VALUES (8, 'eve', 1)")
        result = scenario.sync_twice(keep_ids="free", local_infile=local_infile)
        assert kept(result) == {"users": True, "posts": True}
        assert [c.other_ids["rows"] for c in result.counts if c.other_ids] == [0, 0]
        assert scenario.read_target(JOINED) == [("ann", 1), ("bob", 2), ("cid", 3)]

    def test_is_assigned_by_the_target_where_nobody_asks(self, scenario: Scenario) -> None:
        scenario.create_source(SOURCE)
        scenario.create_target(TARGET)
        result = scenario.sync_twice()
        assert list(ids(result.mappings["users"]).values()) == [1, 2, 3]
        assert [c.other_ids for c in result.counts] == [None, None]

    def test_is_another_one_where_another_row_has_it(self, scenario: Scenario) -> None:
        scenario.create_source(SOURCE)
        scenario.create_target(TARGET, TAKEN)
        (warning,) = (f for f in check(scenario).findings if "other ids" in f.message)
        assert f"{warning.table}: {warning.message}" == TOLD.format("a new one") + SAME
        result, notes = scenario.sync_with_notes(keep_ids="free", dry_run=True)
        assert TOLD.format("a new one") in notes
        result, notes = scenario.sync_with_notes(keep_ids="free")
        assert TOLD.format(21) in notes
        assert ids(result.mappings["users"]) == {3: 3, 7: 21, 9: 20}
        assert result.counts[0].other_ids is not None
        assert {k: v for k, v in result.counts[0].other_ids.items() if k != "examples"} == {
            "rows": 2, "taken": 1, "unfit": 0, "there": 1, "shared": 0
        }  # fmt: skip
        assert result.summary["other_ids"].tolist() == [2, 0]
        listed = pq.read_table(scenario.folder / "out" / "other_ids" / "users.parquet").to_pylist()
        assert listed == [
            {"old_id": 7, "new_id": 21, "reason": "taken"},
            {"old_id": 9, "new_id": 20, "reason": "there"},
        ]
        assert not (scenario.folder / "out" / "other_ids" / "posts.parquet").exists()
        assert scenario.read_target(JOINED) == [("ann", 1), ("bob", 2), ("cid", 3)]
        verified = verify(scenario)
        assert verified.ok
        assert verified.notes == (
            "2 rows of users have other ids than in the source: 7 -> 21, 9 -> 20; other_ids/users.parquet in the --out "
            "folder lists them",
        )

    def test_stays_of_the_tables_that_a_plan_names(self, scenario: Scenario) -> None:
        scenario.create_source(SOURCE, 'base = "discovered"\n[tables.users]\nids = "keep"')
        scenario.create_target(TARGET)
        result = scenario.sync_twice()
        assert kept(result) == {"users": True, "posts": False}
        assert [c.other_ids is None for c in result.counts] == [False, True]

    def test_of_a_row_that_the_target_has_as_its_own(self, scenario: Scenario) -> None:
        """The first start of an application has made its first user."""
        scenario.create_source(SOURCE)
        scenario.create_target(TARGET, "INSERT INTO users VALUES (3, 'ann', 1)")
        result = scenario.sync(keep_ids="free", on_match="update")
        assert kept(result) == {"users": True, "posts": True}
        assert scenario.read_target("SELECT id, age FROM users ORDER BY id") == [(3, 30), (7, 40), (9, 50)]

    def test_beside_ids_that_mean_the_same_row(self, scenario: Scenario) -> None:
        """Its name differs, and a person says that it is the same user."""
        plan = 'base = "discovered"\n[tables.users]\nids = "keep"\nkeep_ids = [7]\n[tables.posts]\nids = "keep"'
        scenario.create_source(SOURCE, plan)
        scenario.create_target(TARGET, "INSERT INTO users VALUES (7, 'admin', 1)")
        result = scenario.sync(on_match="update")
        assert kept(result) == {"users": True, "posts": True}
        assert scenario.read_target("SELECT name FROM users ORDER BY id") == [("ann",), ("bob",), ("cid",)]

    def test_0_stays_and_the_session_is_as_it_was(self, scenario: Scenario) -> None:
        scenario.create_source(SOURCE)
        scenario.create_source("INSERT INTO users VALUES (0, 'root', 99); INSERT INTO posts VALUES (1, 0, 9)")
        scenario.create_target(TARGET)
        with statements() as sent:
            result = scenario.sync_twice(keep_ids="strict")
        assert kept(result) == {"users": True, "posts": True}
        assert scenario.read_target("SELECT id, name FROM users WHERE name = 'root'") == [(0, "root")]
        assert len([s for s in sent if s.startswith("SET SESSION sql_mode")]) == 2
        execute(scenario.target, "INSERT INTO users (id, name) VALUES (0, 'next')")
        assert scenario.read_target("SELECT id FROM users WHERE name = 'next'") == [(10,)]

    @pytest.mark.parametrize("local_infile", [True, False])
    def test_that_is_negative_or_too_large_is_another_one(self, scenario: Scenario, local_infile: bool) -> None:
        scenario.create_source(SOURCE)
        scenario.create_source("INSERT INTO users VALUES (-5, 'neg', 1), (3000000000, 'big', 1)")
        scenario.create_target(TARGET)
        result = scenario.sync_twice(keep_ids="free", local_infile=local_infile)
        assert ids(result.mappings["users"]) == {-5: 10, 3: 3, 7: 7, 9: 9, 3_000_000_000: 11}
        assert result.counts[0].other_ids is not None
        assert result.counts[0].other_ids["unfit"] == 2

    def test_unsigned_and_large(self, scenario: Scenario) -> None:
        large = 2**63 - 9
        scenario.create_source(
            """CREATE TABLE t (id INTEGER PRIMARY KEY, x INT UNIQUE);
            INSERT INTO t VALUES (9223372036854775799, 1), (0, 2), (4, 3)"""
        )
        scenario.create_target(
            "CREATE TABLE t (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, x INT UNIQUE)",
            "INSERT INTO t VALUES (4, 99)",
        )
        result = scenario.sync_twice(keep_ids="free")
        assert ids(result.mappings["t"]) == {0: 0, 4: large + 1, large: large}

    def test_counts_on_above_all(self, scenario: Scenario) -> None:
        scenario.create_source(SOURCE)
        scenario.create_target(TARGET)
        scenario.sync(keep_ids="free")
        execute(scenario.target, "INSERT INTO users (name) VALUES ('next')")
        assert scenario.read_target("SELECT id FROM users WHERE name = 'next'") == [(10,)]

    def test_of_a_new_row_is_no_id_that_the_target_has_given_before(self, scenario: Scenario) -> None:
        scenario.create_source(SOURCE)
        gone = "INSERT INTO users VALUES (50, 'gone', 1)", "DELETE FROM users WHERE id = 50"
        scenario.create_target(TARGET, TAKEN, *gone)
        assert ids(scenario.sync_twice(keep_ids="free").mappings["users"])[7] == 51

    def test_steps_as_the_servers_counter_does(self, scenario: Scenario) -> None:
        """The nodes of a Galera cluster share out the ids."""
        scenario.create_source(SOURCE)
        scenario.create_source("INSERT INTO users VALUES (20, 'dan', 1)")
        scenario.create_target(TARGET, TAKEN)

        def set_steps(connection: Any, *_: object) -> None:
            connection.cursor().execute("SET SESSION auto_increment_increment = 5, auto_increment_offset = 3")

        event.listen(Pool, "connect", set_steps)
        try:
            result = scenario.sync(keep_ids="free")
        finally:
            event.remove(Pool, "connect", set_steps)
        assert ids(result.mappings["users"]) == {3: 3, 7: 23, 9: 20, 20: 28}


class TestStrictly:
    def test_nothing_is_written_where_an_id_is_not_free(self, scenario: Scenario) -> None:
        scenario.create_source(SOURCE)
        scenario.create_target(TARGET, "INSERT INTO posts VALUES (11, NULL, 99)")
        (error,) = (f for f in check(scenario, "strict").findings if f.level == "error")
        assert (error.table, error.message) == (
            "posts",
            "1 row has another id in the target than in the source: 11 -> a new one (another row has it)" + SAME,
        )
        before = scenario.all_rows()
        with pytest.raises(
            DfsyncError, match=r"so no row is written\. posts: 1 row has another id .*: 11 -> a new one"
        ):
            scenario.sync(keep_ids="strict")
        assert scenario.all_rows() == before
        assert not (scenario.folder / "out" / "mappings").exists()

    def test_all_is_written_where_all_are(self, scenario: Scenario) -> None:
        scenario.create_source(SOURCE)
        scenario.create_target(TARGET)
        assert check(scenario, "strict").ok
        assert kept(scenario.sync_twice(keep_ids="strict")) == {"users": True, "posts": True}

    def test_a_table_that_fails_stops_it_too(self, scenario: Scenario) -> None:
        scenario.create_source(SOURCE)
        scenario.create_target(TARGET)
        execute(scenario.target, "DROP TABLE posts", "CREATE TABLE posts (id INT, user_id INT, n INT) ENGINE=MyISAM")
        with pytest.raises(DfsyncError, match="posts"):
            scenario.sync(keep_ids="strict")
        assert scenario.read_target("SELECT * FROM users") == []

    def test_an_unknown_word_is_refused(self) -> None:
        with pytest.raises(DfsyncError, match="keep_ids must be 'free' or 'strict', not 'yes'"):
            SyncOptions(keep_ids="yes")


class TestAnotherClient:
    """It inserts a row between the look and the first insert."""

    @staticmethod
    def sync(scenario: Scenario, row: str, **options: Any) -> dfsync.SyncResult:
        done: list[str] = []

        def insert_first(statement: str) -> None:
            if statement.startswith(("LOAD DATA", "INSERT INTO `users`")) and "users" in statement and not done:
                done.append(statement)
                execute(scenario.target, f"INSERT INTO users VALUES {row}")  # noqa: S608 rows of the test

        with statements(insert_first):
            result = scenario.sync(**{"keep_ids": "free", **options})
        assert done
        return result

    @pytest.mark.parametrize("rows", [None, 1])
    def test_takes_an_id(self, scenario: Scenario, rows: int | None) -> None:
        scenario.create_source(SOURCE)
        scenario.create_target(TARGET)
        result = self.sync(scenario, "(9, 'eve', 1)", local_infile=False, commit_every=rows)
        assert result.ok
        assert ids(result.mappings["users"]) == {3: 3, 7: 7, 9: 10}
        assert scenario.read_target("SELECT id, name FROM users ORDER BY id") == [
            (3, "ann"), (7, "bob"), (9, "eve"), (10, "cid")
        ]  # fmt: skip
        assert scenario.read_target(JOINED) == [("ann", 1), ("bob", 2), ("cid", 3)]
        assert scenario.sync(keep_ids="free").summary["inserted"].tolist() == [0, 0]

    def test_inserts_the_same_row(self, scenario: Scenario) -> None:
        scenario.create_source(SOURCE)
        scenario.create_target(TARGET)
        result = self.sync(scenario, "(9, 'cid', 1)", local_infile=False)
        assert ids(result.mappings["users"]) == {3: 3, 7: 7, 9: 9}
        assert result.counts[0].matched == 1
        assert scenario.read_target(JOINED) == [("ann", 1), ("bob", 2), ("cid", 3)]

    def test_makes_a_strict_run_fail(self, scenario: Scenario) -> None:
        scenario.create_source(SOURCE)
        scenario.create_target(TARGET)
        result = self.sync(scenario, "(9, 'eve', 1)", local_infile=False, keep_ids="strict")
        assert result.counts[0].error == (
            "another client has inserted a row of the id 9 meanwhile, so that it cannot be kept"
        )
        assert scenario.read_target("SELECT id, name FROM users") == [(9, "eve")]

    def test_in_a_table_that_refers_to_itself(self, scenario: Scenario) -> None:
        scenario.create_source(
            """CREATE TABLE users (id INTEGER PRIMARY KEY, up INTEGER NOT NULL REFERENCES users,
            name TEXT NOT NULL UNIQUE);
            INSERT INTO users VALUES (3, 1, 'c'), (5, 3, 'd'), (6, 5, 'e')"""
        )
        scenario.create_target(
            """CREATE TABLE users (id INT AUTO_INCREMENT PRIMARY KEY, up INT NOT NULL,
            name VARCHAR(9) NOT NULL UNIQUE,
            FOREIGN KEY (up) REFERENCES users (id))""",
            "INSERT INTO users VALUES (1, 1, 'root')",
        )
        scenario.create_source("INSERT INTO users VALUES (1, 1, 'root')")
        result = self.sync(scenario, "(3, 1, 'eve')", local_infile=False)
        assert result.ok
        assert ids(result.mappings["users"]) == {1: 1, 3: 7, 5: 5, 6: 6}
        assert scenario.read_target("SELECT id, up FROM users ORDER BY id") == [(1, 1), (3, 1), (5, 7), (6, 5), (7, 1)]


class TestATableThatRefersToItself:
    PAGES = """CREATE TABLE pages (id INTEGER PRIMARY KEY, up INTEGER REFERENCES pages, title TEXT NOT NULL UNIQUE);
    INSERT INTO pages VALUES (2, NULL, 'root'), (5, 2, 'home'), (6, 5, 'blog'), (9, 6, 'post'), (10, 2, 'about')"""
    TARGET = """CREATE TABLE pages (id INT AUTO_INCREMENT PRIMARY KEY, up INT{null}, title VARCHAR(9) NOT NULL UNIQUE,
    FOREIGN KEY (up) REFERENCES pages (id))"""
    TREE = "SELECT a.title, b.title FROM pages a JOIN pages b ON a.up = b.id ORDER BY 1"
    EDGES = (("about", "root"), ("blog", "home"), ("home", "root"), ("post", "blog"))

    @pytest.mark.parametrize("batch_size", [2, 100])
    def test_needs_no_update(self, scenario: Scenario, batch_size: int) -> None:
        scenario.create_source(self.PAGES)
        scenario.create_target(self.TARGET.format(null=""), "INSERT INTO pages VALUES (7, NULL, 'theirs')")
        with statements() as sent:
            result = scenario.sync(keep_ids="free", batch_size=batch_size, local_infile=False)
        assert kept(result) == {"pages": True}
        assert [s for s in sent if s.startswith("UPDATE")] == []
        assert len([s for s in sent if s.startswith("INSERT INTO `pages`")]) == -(-5 // batch_size)
        assert scenario.read_target(self.TREE) == [*self.EDGES]
        scenario.sync_twice(keep_ids="free")

    def test_with_a_row_of_another_id(self, scenario: Scenario) -> None:
        scenario.create_source(self.PAGES)
        scenario.create_target(self.TARGET.format(null=""), "INSERT INTO pages VALUES (5, NULL, 'theirs')")
        result = scenario.sync_twice(keep_ids="free")
        assert ids(result.mappings["pages"]) == {2: 2, 5: 11, 6: 6, 9: 9, 10: 10}
        assert scenario.read_target(self.TREE) == [*self.EDGES]

    def test_to_a_later_row(self, scenario: Scenario) -> None:
        scenario.create_source(self.PAGES)
        scenario.create_source("UPDATE pages SET up = 9 WHERE id = 5; UPDATE pages SET up = 2 WHERE id = 6")
        scenario.create_target(self.TARGET.format(null=""))
        assert kept(scenario.sync_twice(keep_ids="free")) == {"pages": True}
        assert ("home", "post") in scenario.read_target(self.TREE)

    @pytest.mark.parametrize("batch_size", [1, 2, 100])
    def test_that_needs_its_parent(self, scenario: Scenario, batch_size: int) -> None:
        scenario.create_source(self.PAGES)
        scenario.create_source("UPDATE pages SET up = 2 WHERE id = 2")
        rows = "INSERT INTO pages VALUES (5, 5, 'theirs'), (40, 40, 'root')"
        scenario.create_target(self.TARGET.format(null=" NOT NULL"), rows)
        result = scenario.sync_twice(keep_ids="free", batch_size=batch_size)
        assert ids(result.mappings["pages"]) == {2: 40, 5: 41, 6: 6, 9: 9, 10: 10}
        assert set(scenario.read_target(self.TREE)) == {*self.EDGES, ("root", "root"), ("theirs", "theirs")}

    def test_and_a_refused_parent(self, scenario: Scenario) -> None:
        scenario.create_source(self.PAGES + "")
        scenario.create_target(self.TARGET.format(null="").replace("FOREIGN", "CHECK (title <> 'blog'), FOREIGN", 1))
        result = scenario.sync(keep_ids="free")
        assert ids(result.mappings["pages"]) == {2: 2, 5: 5, 10: 10}
        assert result.rejects["pages"]["old_id"].tolist() == [6, 9]

    def test_in_a_circle_with_another(self, scenario: Scenario) -> None:
        scenario.create_source(
            """CREATE TABLE a (id INTEGER PRIMARY KEY, b_id INTEGER REFERENCES b, x TEXT UNIQUE);
            CREATE TABLE b (id INTEGER PRIMARY KEY, a_id INTEGER NOT NULL REFERENCES a, y TEXT UNIQUE);
            INSERT INTO a VALUES (3, 8, 'a3'), (4, NULL, 'a4'), (0, 9, 'a0');
            INSERT INTO b VALUES (8, 3, 'b8'), (9, 0, 'b9')"""
        )
        scenario.create_target(
            """CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, b_id INT, x VARCHAR(9) UNIQUE);
CREATE TABLE b (id INT AUTO_INCREMENT PRIMARY KEY, a_id INT NOT NULL, y VARCHAR(9) UNIQUE,
    FOREIGN KEY (a_id) REFERENCES a (id));
ALTER TABLE a ADD FOREIGN KEY (b_id) REFERENCES b (id)""",
            "INSERT INTO a VALUES (4, NULL, 'theirs')",
        )
        result = scenario.sync_twice(keep_ids="free")
        assert scenario.id_maps(result) == {"a": {0: 0, 3: 3, 4: 5}, "b": {8: 8, 9: 9}}
        assert scenario.read_target("SELECT id, b_id FROM a ORDER BY id") == [(0, 9), (3, 8), (4, None), (5, None)]


class TestRowsWithoutAKey:
    SOURCE = "CREATE TABLE t (id INTEGER PRIMARY KEY, x INT); INSERT INTO t VALUES (2, 5), (4, 5), (6, 7), (9, 5)"
    TARGET = "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, x INT)"

    def test_keep_their_ids(self, scenario: Scenario) -> None:
        scenario.create_source(self.SOURCE)
        scenario.create_target(self.TARGET, "INSERT INTO t VALUES (6, 8), (9, 5)")
        result = scenario.sync_twice(keep_ids="free")
        # Of four equal rows the 9 is the one of the target, and 6 is another row there.
        assert ids(result.mappings["t"]) == {2: 2, 4: 4, 6: 10, 9: 9}

    def test_composite_keys_follow(self, scenario: Scenario) -> None:
        scenario.create_source(
            """CREATE TABLE a (id INTEGER PRIMARY KEY, x TEXT UNIQUE);
            CREATE TABLE b (id INTEGER PRIMARY KEY, x TEXT UNIQUE);
            CREATE TABLE ab (a_id INTEGER REFERENCES a, b_id INTEGER REFERENCES b, PRIMARY KEY (a_id, b_id));
            INSERT INTO a VALUES (5, 'p'), (6, 'q'); INSERT INTO b VALUES (7, 'r'), (8, 's');
            INSERT INTO ab VALUES (5, 8), (6, 7)"""
        )
        scenario.create_target(None, "INSERT INTO a VALUES (6, 'other')")
        result = scenario.sync_twice(keep_ids="free")
        assert scenario.id_maps(result) == {"a": {5: 5, 6: 7}, "b": {7: 7, 8: 8}}
        assert scenario.read_target("SELECT * FROM ab ORDER BY a_id") == [(5, 8), (7, 7)]


class TestDuplicates:
    def test_share_the_target_row_and_are_listed(self, scenario: Scenario) -> None:
        scenario.create_source(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT); INSERT INTO t VALUES (2, 'a'), (3, 'A'), (9, 'b')",
            '[tables.t]\nnatural_key = ["x"]\nids = "keep"',
        )
        scenario.create_target("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, x VARCHAR(9) UNIQUE)")
        result, notes = scenario.sync_with_notes()
        assert ids(result.mappings["t"]) == {2: 2, 3: 2, 9: 9}
        assert any(note.endswith("3 -> 2 (it is the same row as an earlier one)") for note in notes)

    def test_the_next_one_keeps_its_id_where_the_first_is_refused(self, scenario: Scenario) -> None:
        scenario.create_source(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT, y INT); INSERT INTO t VALUES (2, 'a', -1), (3, 'a', 1)",
            '[tables.t]\nnatural_key = ["x"]\nids = "keep"',
        )
        scenario.create_target(
            "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, x VARCHAR(9) UNIQUE, y INT CHECK (y > 0))"
        )
        result = scenario.sync()
        assert scenario.read_target("SELECT id, y FROM t") == [(3, 1)]
        assert ids(result.mappings["t"]) == {2: 3, 3: 3}


class TestAnUndo:
    def test_deletes_exactly_what_was_inserted(self, scenario: Scenario) -> None:
        scenario.create_source(SOURCE)
        scenario.create_source("INSERT INTO users VALUES (0, 'root', 9)")
        scenario.create_target(TARGET, TAKEN)
        before = scenario.all_rows()
        scenario.sync(keep_ids="free")
        undone = undo(scenario)
        assert taken_back(undone) == {"users": (3, 0, 0), "posts": (3, 0, 0)}
        assert scenario.all_rows() == before
        listed = pq.read_table(scenario.folder / "out" / "other_ids" / "users.parquet").to_pylist()
        assert listed == [{"old_id": 9, "new_id": 20, "reason": "there"}]
        assert ids(scenario.sync(keep_ids="free").mappings["posts"]) == {5: 5, 6: 6, 11: 11}


class TestInPieces:
    SOURCE = """CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, age INT);
    WITH RECURSIVE odd (i) AS (SELECT 1 UNION ALL SELECT i + 2 FROM odd WHERE i < 399)
    INSERT INTO users SELECT i, 'u' || i, i FROM odd"""
    TAKEN = "INSERT INTO users SELECT seq, CONCAT('t', seq), 1 FROM seq_1_to_40"

    @pytest.mark.parametrize("writers", [1, 3])
    def test_ids_stay(self, tmp_path: Path, interleaved_target: Engine, writers: int) -> None:
        scenario = Scenario(tmp_path, interleaved_target)
        scenario.create_source(self.SOURCE)
        scenario.create_target(TARGET.split(";\n")[0], self.TAKEN)
        result = scenario.sync_twice(keep_ids="free", commit_every=30, writers=writers)
        expected = {i: 400 + i // 2 if i <= 40 else i for i in range(1, 400, 2)}
        assert ids(result.mappings["users"]) == expected
        names: dict[str, int] = dict(scenario.read_target("SELECT name, id FROM users WHERE name LIKE 'u%'"))
        assert names == {f"u{old}": new for old, new in expected.items()}


def test_the_state_of_the_last_run_is_evidence(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unchanged, "FEWEST_ROWS", 1)
    scenario.create_source(SOURCE)
    scenario.create_target(TARGET, TAKEN)
    scenario.sync_twice(keep_ids="free")
    assert (scenario.folder / "out" / "state").exists()
    scenario.create_source("INSERT INTO users VALUES (4, 'dan', 1), (20, 'eli', 1); DELETE FROM posts WHERE id = 6")
    result = scenario.sync_twice(keep_ids="free")
    assert ids(result.mappings["users"]) == {3: 3, 4: 4, 7: 21, 9: 20, 20: 22}
