"""Which rows are the same: twice in the source, equal to the target alone, NULL in the natural key."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from dfsync.__main__ import main
from dfsync.commands.check import check
from dfsync.model.rejects import KEEPS_OTHER_VALUES
from dfsync.output.result import SyncResult
from tests.support.git_history import counts, create_tables, empty_source, execute, fetch, ids, run, run_sql
from tests.support.scenario import failed_rows

WAYS = pytest.mark.parametrize("local_infile", [True, False], ids=["load data local", "plain inserts"])


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def things(path: Path, *rows: str) -> Path:
    """A source with one table; the target alone says what its natural key is."""
    script = "DROP TABLE IF EXISTS things; CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT, note TEXT);"
    return run_sql(path, script + "".join(f"INSERT INTO things VALUES ({row});" for row in rows))  # noqa: S608


def things_there(target: Engine, collation: str = "utf8mb4_unicode_ci", nullable: str = "") -> None:
    execute(
        target,
        "CREATE TABLE things (id INT AUTO_INCREMENT PRIMARY KEY,"
        f" name VARCHAR(20) CHARACTER SET utf8mb4 COLLATE {collation} {nullable or 'NOT NULL'} UNIQUE,"
        " note VARCHAR(5)) AUTO_INCREMENT = 100",
    )


def mapped(result: SyncResult, name: str = "things") -> dict[int, tuple[int, str, str]]:
    mapping = result.mappings[name]
    columns = (mapping[column] for column in mapping.columns)
    return {old: (new, action, key) for old, new, action, key in zip(*columns, strict=True)}


class TestTheSameKeyTwiceInTheSource:
    def test_the_row_of_the_lowest_id_goes_in_and_the_others_map_to_it(
        self, target: Engine, tmp_path: Path, out: Path
    ) -> None:
        source = things(tmp_path / "s.db", "7, 'a', 'third'", "3, 'a', 'first'", "5, 'b', 'b'", "4, 'a', 'next'")
        things_there(target)
        result = run(source, target, out)
        assert counts(result) == {"things": (2, 2, 0)}
        assert fetch(target, "SELECT * FROM things") == [(100, "a", "first"), (101, "b", "b")]
        assert mapped(result) == {
            3: (100, "inserted", "a"),
            4: (100, "matched", "a"),
            5: (101, "inserted", "b"),
            7: (100, "matched", "a"),
        }

    @WAYS
    def test_where_that_row_does_not_fit_the_next_one_goes_in_for_both(
        self, target: Engine, tmp_path: Path, out: Path, local_infile: bool
    ) -> None:
        source = things(
            tmp_path / "s.db", "1, 'a', 'far too long'", "2, 'A', 'also too long'", "3, 'a ', 'fits'", "4, 'á', 'too'"
        )
        things_there(target)
        result = run(source, target, out, local_infile=local_infile)
        assert counts(result) == {"things": (1, 3, 0)}
        assert [(row[1], row[2]) for row in fetch(target, "SELECT * FROM things")] == [("a ", "fits")]
        assert {old: (action, key) for old, (_, action, key) in mapped(result).items()} == {
            1: ("matched", "a "),
            2: ("matched", "a "),
            3: ("inserted", "a "),
            4: ("matched", "a "),
        }
        # They have a target row, which another row made, and are told all the same.
        assert result.rejects["things"]["old_id"].tolist() == [1, 2]
        assert result.rejects["things"]["reason"].str.endswith(KEEPS_OTHER_VALUES).all()
        assert result.counts[0].unfit == 2
        again = run(source, target, out)
        assert (counts(again), again.ok) == ({"things": (0, 4, 0)}, True)

    def test_where_the_next_one_comes_in_after_its_parent_and_the_table_has_no_id(
        self, target: Engine, tmp_path: Path, out: Path
    ) -> None:
        source = run_sql(
            tmp_path / "s.db",
            """CREATE TABLE t (code TEXT PRIMARY KEY, up TEXT REFERENCES t (code), note TEXT);
            INSERT INTO t VALUES ('b', NULL, 'x'), ('a', NULL, 'far too long'), ('A', 'b', 'fits')""",
        )
        execute(
            target,
            "CREATE TABLE t (code VARCHAR(9) COLLATE utf8mb4_general_ci PRIMARY KEY,"
            " up VARCHAR(9) COLLATE utf8mb4_general_ci REFERENCES t (code), note VARCHAR(5))",
        )
        assert counts(run(source, target, out)) == {"t": (2, 1, 0)}
        assert fetch(target, "SELECT * FROM t ORDER BY code") == [("A", "b", "fits"), ("b", None, "x")]
        assert counts(run(source, target, out)) == {"t": (0, 3, 0)}

    def test_where_the_server_refuses_that_row_the_next_one_goes_in(
        self, target: Engine, tmp_path: Path, out: Path
    ) -> None:
        things_there(target)
        execute(target, "ALTER TABLE things ADD CONSTRAINT short CHECK (note <> 'bad')")
        source = things(tmp_path / "s.db", "1, 'a', 'bad'", "2, 'a', 'good'", "3, 'b', 'bad'")
        result = run(source, target, out)
        assert counts(result) == {"things": (1, 1, 1)}
        assert [row[1:] for row in fetch(target, "SELECT * FROM things")] == [("a", "good")]
        assert ids(result.mappings["things"])[1] == ids(result.mappings["things"])[2]
        assert list(result.rejects["things"]["old_id"]) == [1, 3]
        assert failed_rows(result) == {"things": [3]}

    def test_where_none_fits_each_is_a_reject(self, target: Engine, tmp_path: Path, out: Path) -> None:
        source = things(tmp_path / "s.db", "1, 'a', 'far too long'", "2, 'a', 'also too long'", "3, 'b', 'fits'")
        things_there(target)
        result = run(source, target, out)
        assert counts(result) == {"things": (1, 0, 2)}
        assert list(result.rejects["things"]["value"]) == ["far too long", "also too long"]

    def test_a_row_that_is_there_needs_no_room(self, target: Engine, tmp_path: Path, out: Path) -> None:
        source = things(tmp_path / "s.db", "1, 'a', 'far too long'")
        things_there(target)
        execute(target, "INSERT INTO things (id, name, note) VALUES (9, 'a', 'short')")
        result = run(source, target, out)
        assert counts(result) == {"things": (0, 1, 0)}
        assert ids(result.mappings["things"]) == {1: 9}

    def test_children_of_either_go_to_the_one_that_went_in(self, target: Engine, tmp_path: Path, out: Path) -> None:
        create_tables(target)
        execute(target, "ALTER TABLE repositories MODIFY slug VARCHAR(255) COLLATE utf8mb4_unicode_ci NOT NULL")
        source = run_sql(
            empty_source(tmp_path / "s.db"),
            """INSERT INTO repositories (id, slug) VALUES (1, 'core'), (2, 'Core'), (3, 'CORE ');
            INSERT INTO commits (id, repository_id, hash) VALUES (10, 1, 'x'), (11, 2, 'x'), (12, 3, 'y');""",
        )
        result = run(source, target, out)
        assert counts(result) == {"repositories": (1, 2, 0), "commits": (2, 1, 0)}
        assert fetch(target, "SELECT repository_id, hash FROM commits ORDER BY hash") == [(1, "x"), (1, "y")]
        assert ids(result.mappings["commits"]) == {10: 1, 11: 1, 12: 2}


SPELLINGS = ("1, 'Café', 'a'", "2, 'CAFE', 'b'", "3, 'cafe  ', 'c'", "4, 'cafés', 'd'", "5, 'Straße', 'e'")


class TestWhatTheTargetCallsEqual:
    def test_case_accents_and_trailing_spaces(self, target: Engine, tmp_path: Path, out: Path) -> None:
        things_there(target)
        execute(target, "INSERT INTO things VALUES (50, 'cAFÉ', 'old'), (51, 'STRASSE', 'old')")
        result = run(things(tmp_path / "s.db", *SPELLINGS), target, out)
        assert counts(result) == {"things": (1, 4, 0)}
        assert mapped(result) == {
            1: (50, "matched", "cAFÉ"),
            2: (50, "matched", "cAFÉ"),
            3: (50, "matched", "cAFÉ"),
            4: (100, "inserted", "cafés"),
            5: (51, "matched", "STRASSE"),
        }
        assert fetch(target, "SELECT id, note FROM things ORDER BY id") == [(50, "old"), (51, "old"), (100, "d")]

    def test_trailing_spaces_alone(self, target: Engine, tmp_path: Path, out: Path) -> None:
        things_there(target, "utf8mb4_bin")
        execute(target, "INSERT INTO things VALUES (50, 'cafe', 'old')")
        result = run(things(tmp_path / "s.db", *SPELLINGS), target, out)
        assert counts(result) == {"things": (4, 1, 0)}
        assert ids(result.mappings["things"])[3] == 50
        assert {"Café", "CAFE", "cafés", "Straße"} < {name for (name,) in fetch(target, "SELECT name FROM things")}
        assert counts(run(things(tmp_path / "s.db", *SPELLINGS), target, out)) == {"things": (0, 5, 0)}

    def test_a_number_is_a_number_however_it_is_written(self, target: Engine, tmp_path: Path, out: Path) -> None:
        execute(
            target, "CREATE TABLE n (id INT AUTO_INCREMENT PRIMARY KEY, code INT NOT NULL UNIQUE, price DECIMAL(9,2))"
        )
        execute(target, "INSERT INTO n VALUES (8, 12, 0)")
        source = run_sql(
            tmp_path / "s.db",
            "CREATE TABLE n (id INTEGER PRIMARY KEY, code TEXT, price TEXT);"
            "INSERT INTO n VALUES (1, '12', '1.5'), (2, '13', '2'), (3, ' 13', '3.00');",
        )
        result = run(source, target, out)
        assert ids(result.mappings["n"])[1] == 8
        assert counts(result) == {"n": (1, 2, 0)}
        assert fetch(target, "SELECT code FROM n ORDER BY code") == [(12,), (13,)]


class TestNullInTheNaturalKey:
    ROWS = ("1, NULL, 'x'", "2, NULL, 'x'", "3, NULL, 'y'", "4, 'a', 'x'", "5, NULL, NULL")

    def test_such_rows_are_recognised_by_their_content_and_counted(
        self, target: Engine, tmp_path: Path, out: Path
    ) -> None:
        things_there(target, nullable="NULL")
        execute(target, "INSERT INTO things VALUES (20, NULL, 'x'), (21, NULL, 'z'), (22, 'n', NULL)")
        source = things(tmp_path / "s.db", *self.ROWS)
        result = run(source, target, out)
        assert counts(result) == {"things": (4, 1, 0)}
        assert ids(result.mappings["things"])[1] == 20
        there = fetch(target, "SELECT name, note FROM things WHERE id >= 100 ORDER BY id")
        assert there == [(None, "x"), (None, "y"), ("a", "x"), (None, None)]
        before = fetch(target, "SELECT * FROM things ORDER BY id")
        known = (out / "id_mappings.json").read_bytes()
        assert counts(run(source, target, out)) == {"things": (0, 5, 0)}
        assert fetch(target, "SELECT * FROM things ORDER BY id") == before
        assert (out / "id_mappings.json").read_bytes() == known

    def test_one_more_of_the_same_is_one_more(self, target: Engine, tmp_path: Path, out: Path) -> None:
        things_there(target, nullable="NULL")
        run(things(tmp_path / "s.db", *self.ROWS), target, out)
        result = run(things(tmp_path / "s.db", *self.ROWS, "6, NULL, 'x'"), target, out)
        assert counts(result) == {"things": (1, 5, 0)}
        assert fetch(target, "SELECT COUNT(*) FROM things WHERE name IS NULL AND note = 'x'") == [(3,)]

    def test_staff_without_a_bank_id(self, target: Engine, tmp_path: Path, out: Path) -> None:
        create_tables(target)
        source = run_sql(
            empty_source(tmp_path / "s.db"),
            """INSERT INTO staff_details (id, bank_id_1, staff_name, fte, staff_start_date, rank, date_created) VALUES
            (1, NULL, 'Ann', 0.8, '2020-02-29', 'VP', '2024-01-02 03:04:05.678901'),
            (2, 'B2', 'Ben', 1, NULL, NULL, NULL), (3, NULL, 'Änn', 1, NULL, NULL, NULL),
            (4, NULL, 'Ann', 0.8, '2020-02-29', 'VP', '2024-01-02 03:04:05.678901');""",
        )
        first = run(source, target, out)
        assert counts(first) == {"staff_details": (4, 0, 0)}
        second = run(source, target, out)
        assert counts(second) == {"staff_details": (0, 4, 0)}
        assert ids(second.mappings["staff_details"]) == ids(first.mappings["staff_details"]) == {1: 1, 2: 2, 3: 3, 4: 4}


class TestNoNaturalKeyAtAll:
    def test_rows_are_compared_by_their_content_and_counted(self, target: Engine, tmp_path: Path, out: Path) -> None:
        execute(target, "CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY, at DATETIME, said TEXT, n DOUBLE)")
        execute(target, "INSERT INTO log VALUES (40, '2024-05-06 07:08:09', 'hi', 0.1)")
        source = run_sql(
            tmp_path / "s.db",
            """CREATE TABLE log (id INTEGER PRIMARY KEY, at TEXT, said TEXT, n REAL);
            INSERT INTO log (at, said, n) VALUES ('2024-05-06 07:08:09', 'hi', 0.1), ('2024-05-06 07:08:09', 'hi', 0.1),
            ('2024-05-06 07:08:09', 'HI', 0.1), (NULL, '', NULL);""",
        )
        result = run(source, target, out)
        assert counts(result) == {"log": (3, 1, 0)}
        assert ids(result.mappings["log"]) == {1: 40, 2: 41, 3: 42, 4: 43}
        assert list(result.mappings["log"].columns) == ["old_id", "new_id", "action"]
        assert counts(run(source, target, out)) == {"log": (0, 4, 0)}


class TestSharedRows:
    def test_are_told_apart_from_rows_of_the_target(self, target: Engine, tmp_path: Path, out: Path) -> None:
        things_there(target)
        source = things(tmp_path / "s.db", "1, 'a', 'x'", "2, 'A', 'y'", "3, 'b', 'z'", "4, 'a', 'x'")
        foretold = check(source, target.url, out=out).tables[0]
        dry, wet = run(source, target, out, dry_run=True), run(source, target, out)
        assert (foretold.matched, foretold.shared) == (wet.counts[0].matched, wet.counts[0].shared)
        assert dry.counts[0].shared == wet.counts[0].shared > 0
        assert run(source, target, out).counts[0].shared == wet.counts[0].shared
        assert wet.summary["shared"].to_dict() == {"things": wet.counts[0].shared}

    def test_the_console_says_so(
        self, target: Engine, tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        things_there(target)
        source = things(tmp_path / "s.db", "1, 'new', 'x'", "2, 'new', 'y'", "3, 'other', 'z'", "4, 'new', 'x'")
        url = target.url.render_as_string(hide_password=False)
        assert main(["--source", str(source), "--target", url, "--out", str(out)]) == 0
        printed = capsys.readouterr().out
        assert "[SKIP] Thing 'new' shares the row of an earlier one (ID: 2 -> " in printed
        assert "Things: 2 synced, 2 skipped, 0 failed; 2 share the row of an earlier one\n" in printed
