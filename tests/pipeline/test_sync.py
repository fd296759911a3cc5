"""The nine tables from end to end: an empty target, one that lives, a second run, and more rows later."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.support.git_history import (
    TABLES,
    Row,
    all_rows,
    assert_copied,
    counts,
    create_tables,
    empty_source,
    execute,
    fetch,
    ids,
    insert,
    run,
    run_sql,
    sample,
    source_rows,
    target_rows,
)

_KEPT = ("id", "repository_id", "hash", "message")
HISTORY = ("repositories", "commits", "pull_requests", "pr_approvals")
WAYS = pytest.mark.parametrize("local_infile", [True, False], ids=["load data local", "plain inserts"])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample(tmp_path_factory.mktemp("source") / "history.db", 300)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def give_a_life(source: Path, target: Engine) -> None:
    """Rows of the target's own: other things under the source's ids, some of the source's things under other ids."""
    rows: dict[str, list[Row]] = {table: list(source_rows(source, table).values()) for table in TABLES.values()}
    commit, other = [row for row in rows["commits"] if row["repository_id"] == 12][:2]
    pull, second = [row for row in rows["pull_requests"] if row["repository_id"] == 12][:2]
    email = next(row["user_email"] for row in rows["pr_approvals"] if row["pull_request_id"] == pull["id"])
    slug = next(row["slug"] for row in rows["repositories"] if row["id"] == 12)
    theirs: list[Row] = [{"id": i, "slug": f"other-{i}", "name": "theirs"} for i in range(1, 30)]
    insert(target, "repositories", *theirs, {"id": 5000, "slug": slug, "name": "kept"})
    person = {"id": 900, "email": rows["authors"][0]["email"], "name": "kept"}
    insert(target, "authors", {"id": 107, "email": "someone@else", "name": "Else"}, person)
    # The same hash in another repository is another commit, and so on.
    same_hash = {"id": 1001, "repository_id": 12, "hash": commit["hash"], "message": "not this"}
    insert(target, "commits", same_hash, {"id": 7, "repository_id": 5000, "hash": other["hash"], "message": "kept"})
    same_number = {"id": 501, "repository_id": 12, "pr_id": second["pr_id"], "title": "not this"}
    insert(target, "pull_requests", same_number, {**same_number, "id": 44, "repository_id": 5000, **_pick(pull)})
    approval = {"id": 2001, "pull_request_id": 501, "user_email": email}
    insert(target, "pr_approvals", approval, {**approval, "id": 3, "pull_request_id": 44})
    staff: list[Row] = [{"id": 302, "bank_id_1": "theirs"}, {"id": 303, "bank_id_1": None}]
    insert(target, "staff_details", *staff, {"id": 6, "bank_id_1": rows["staff_details"][0]["bank_id_1"]})
    name = rows["author_staff_mapping"][0]["author_name"]
    insert(target, "author_staff_mapping", {"id": 9999, "author_name": name, "notes": "kept"})
    execute(
        target,
        "ALTER TABLE pull_requests AUTO_INCREMENT = 70000",
        "ALTER TABLE staff_metrics AUTO_INCREMENT = 31",
    )


def _pick(pull: Row) -> Row:
    return {"pr_id": pull["pr_id"], "title": "kept"}


class TestAnEmptyTarget:
    @WAYS
    def test_every_row_arrives_as_it_was(self, source: Path, target: Engine, out: Path, local_infile: bool) -> None:
        create_tables(target)
        result = run(source, target, out, local_infile=local_infile)
        assert result.ok
        assert counts(result) == {name: (len(source_rows(source, table)), 0, 0) for name, table in TABLES.items()}
        assert sum(c.total for c in result.counts) > 1000
        assert_copied(source, target, result.mappings)
        assert {table: len(rows) for table, rows in all_rows(target).items()} == {
            c.table: c.total for c in result.counts
        }

    def test_a_join_over_the_new_ids_says_what_one_over_the_old_ids_does(
        self, source: Path, target: Engine, out: Path
    ) -> None:
        create_tables(target)
        execute(
            target, "ALTER TABLE repositories AUTO_INCREMENT = 1000", "ALTER TABLE pull_requests AUTO_INCREMENT = 9"
        )
        run(source, target, out)
        joined = """SELECT slug, hash, message, lines_added FROM commits JOIN repositories r ON r.id = repository_id
            ORDER BY slug, hash"""
        approved = """SELECT slug, pr_id, user_email, status FROM pr_approvals JOIN pull_requests p
            ON p.id = pull_request_id JOIN repositories r ON r.id = repository_id ORDER BY slug, pr_id, user_email"""
        with closing(sqlite3.connect(source)) as connection:
            for query in (joined, approved):
                assert fetch(target, query) == connection.execute(query).fetchall() != []

    @WAYS
    def test_any_size_of_batch_gives_the_same_rows(
        self, source: Path, target: Engine, out: Path, local_infile: bool
    ) -> None:
        create_tables(target)
        result = run(source, target, out, batch_size=70, local_infile=local_infile, tables=("repositories", "commits"))
        assert result.ok
        assert_copied(source, target, result.mappings)
        new = list(ids(result.mappings["commits"]).values())
        assert new == sorted(new)


class TestATargetThatLives:
    @WAYS
    def test_its_rows_stay_and_the_others_get_ids_of_their_own(
        self, source: Path, target: Engine, out: Path, local_infile: bool
    ) -> None:
        create_tables(target)
        give_a_life(source, target)
        before = all_rows(target)
        result = run(source, target, out, local_infile=local_infile)
        assert result.ok
        assert_copied(source, target, result.mappings)
        after = all_rows(target)
        for table, rows in before.items():
            assert {id_: after[table][id_] for id_ in rows} == rows
        assert {name: skipped for name, (_, skipped, _) in counts(result).items() if skipped} == {
            "repositories": 1,
            "authors": 1,
            "commits": 1,
            "pull_requests": 1,
            "pr_approvals": 1,
            "staff_details": 1,
            "author_mappings": 1,
        }
        for c in result.counts:
            assert len(after[c.table]) == len(before[c.table]) + c.inserted

    def test_rows_that_are_there_are_in_the_map(self, source: Path, target: Engine, out: Path) -> None:
        create_tables(target)
        give_a_life(source, target)
        mappings = run(source, target, out).mappings
        matched = {name: mappings[name][mappings[name]["action"] == "matched"] for name in TABLES}
        assert {name: list(found["new_id"]) for name, found in matched.items() if len(found)} == {
            "repositories": [5000],
            "authors": [900],
            "commits": [7],
            "pull_requests": [44],
            "pr_approvals": [3],
            "staff_details": [6],
            "author_mappings": [9999],
        }
        kept = target_rows(target, "commits")[7]
        row = source_rows(source, "commits")[int(matched["commits"]["old_id"].iloc[0])]
        assert (kept["hash"], kept["message"]) == (row["hash"], "kept")

    def test_new_ids_go_on_where_auto_increment_stands(self, source: Path, target: Engine, out: Path) -> None:
        create_tables(target)
        give_a_life(source, target)
        mappings = run(source, target, out).mappings

        def lowest(name: str) -> int:
            return int(mappings[name].loc[mappings[name]["action"] == "inserted", "new_id"].min())

        assert {name: lowest(name) for name in ("repositories", "commits", "pull_requests", "staff_metrics")} == {
            "repositories": 5001,
            "commits": 1002,
            "pull_requests": 70000,
            "staff_metrics": 31,
        }

    def test_ids_above_32_bits(self, source: Path, target: Engine, out: Path) -> None:
        execute(
            target,
            "CREATE TABLE repositories (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, slug VARCHAR(255) UNIQUE,"
            " name TEXT, project_key TEXT, project_name TEXT, clone_url TEXT, created_at DATETIME)",
            "CREATE TABLE commits (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, repository_id BIGINT UNSIGNED"
            " NOT NULL, hash VARCHAR(40), message TEXT, FOREIGN KEY (repository_id) REFERENCES repositories (id))",
            "ALTER TABLE repositories AUTO_INCREMENT = 9223372036854775900",
            "ALTER TABLE commits AUTO_INCREMENT = 18446744073709551000",
        )
        plan = out.with_name("plan.toml")
        left = [c for c in next(iter(source_rows(source, "commits").values())) if c not in _KEPT]
        plan.write_text(
            '[tables.repositories]\nnatural_key = ["slug"]\n'
            f'[tables.commits]\nnatural_key = ["hash", "repository_id"]\nignore_columns = {json.dumps(left)}\n'
        )
        result = run(source, target, out, plan=plan, tables=("repositories", "commits"))
        assert counts(result) == {"repositories": (3, 0, 0), "commits": (300, 0, 0)}
        assert list(ids(result.mappings["repositories"]).values()) == [9223372036854775900 + i for i in range(3)]
        known = json.loads((out / "id_mappings.json").read_text())
        assert known["commits"]["1001"] == 18446744073709551000
        old = source_rows(source, "commits")[1001]["repository_id"]
        parent = target_rows(target, "commits")[18446744073709551000]["repository_id"]
        assert parent == known["repositories"][str(old)]
        assert counts(run(source, target, out, plan=plan))["commits"] == (0, 300, 0)


class TestASecondRun:
    @pytest.mark.parametrize("lives", [False, True], ids=["empty target", "target that lives"])
    def test_finds_everything_and_makes_the_same_map(
        self, source: Path, target: Engine, out: Path, lives: bool
    ) -> None:
        create_tables(target)
        if lives:
            give_a_life(source, target)
        first = run(source, target, out)
        before, known = all_rows(target), (out / "id_mappings.json").read_bytes()
        second = run(source, target, out)
        assert second.ok
        assert counts(second) == {c.name: (0, c.total, 0) for c in first.counts}
        assert (out / "id_mappings.json").read_bytes() == known
        assert all_rows(target) == before
        assert set(second.mappings["commits"]["action"]) == {"matched"}

    def test_makes_a_lost_map_anew(self, source: Path, target: Engine, out: Path) -> None:
        create_tables(target)
        run(source, target, out, tables=HISTORY)
        known = (out / "id_mappings.json").read_bytes()
        (out / "id_mappings.json").unlink()
        (out / "mappings" / "commits.parquet").unlink()
        run(source, target, out, tables=HISTORY)
        assert (out / "id_mappings.json").read_bytes() == known
        elsewhere = out.with_name("elsewhere")
        run(source, target, elsewhere, tables=("pr_approvals",))
        assert json.loads((elsewhere / "id_mappings.json").read_text()) == {
            "pr_approvals": json.loads(known)["pr_approvals"]
        }

    @WAYS
    def test_with_a_tenth_more_rows_brings_the_new_ones_alone(
        self, source: Path, target: Engine, out: Path, local_infile: bool
    ) -> None:
        create_tables(target)
        first = run(Path(shutil.copy(source, out.with_name("history.db"))), target, out, local_infile=local_infile)
        known = {name: ids(first.mappings[name]) for name in TABLES}
        longer = sample(out.with_name("history.db"), 330)
        second = run(longer, target, out, local_infile=local_infile)
        assert counts(second)["commits"] == (30, 300, 0)
        assert counts(second)["pull_requests"] == (3, 30, 0)
        assert second.ok
        for c in second.counts:
            assert c.matched == len(known[c.name])
            assert known[c.name].items() <= ids(second.mappings[c.name]).items()
            assert len(target_rows(target, c.table)) == c.total
        fresh = {name: set(ids(second.mappings[name])) - set(known[name]) for name in TABLES}
        assert set(second.mappings["commits"].set_index("old_id").loc[list(fresh["commits"]), "action"]) == {"inserted"}
        _assert_the_new_commits_arrived(longer, target, ids(second.mappings["commits"]), fresh["commits"])


def _assert_the_new_commits_arrived(source: Path, target: Engine, known: dict[int, int], fresh: set[int]) -> None:
    have, there = source_rows(source, "commits"), target_rows(target, "commits")
    slugs = [{id_: row["slug"] for id_, row in rows.items()} for rows in _repositories(source, target)]
    for old in fresh:
        row, arrived = have[old], there[known[old]]
        assert slugs[0][row.pop("repository_id")] == slugs[1][arrived.pop("repository_id")]
        assert {**row, "id": known[old]} == arrived


def _repositories(source: Path, target: Engine) -> tuple[dict[int, Any], dict[int, Any]]:
    return source_rows(source, "repositories"), target_rows(target, "repositories")


class TestNothing:
    def test_empty_tables_are_no_trouble(self, target: Engine, tmp_path: Path, out: Path) -> None:
        create_tables(target)
        result = run(empty_source(tmp_path / "empty.db"), target, out)
        assert result.ok
        assert [c.total for c in result.counts] == [0] * 9
        assert list(result.mappings["commits"].columns) == ["old_id", "new_id", "action", "hash", "repository_id"]
        assert json.loads((out / "id_mappings.json").read_text()) == {name: {} for name in TABLES}

    def test_one_row_alone_arrives(self, target: Engine, tmp_path: Path, out: Path) -> None:
        create_tables(target)
        source = run_sql(empty_source(tmp_path / "one.db"), "INSERT INTO authors VALUES (0, NULL, 'a@b')")
        result = run(source, target, out)
        assert counts(result) == {"authors": (1, 0, 0)}
        assert fetch(target, "SELECT id, name, email FROM authors") == [(1, None, "a@b")]
        assert ids(result.mappings["authors"]) == {0: 1}
