"""Tables and columns with other names in the target, and rows of views and queries."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

import dfsync
from dfsync.model.errors import DfsyncError
from dfsync.model.options import SyncOptions
from dfsync.plan.file import write_plan
from dfsync.source.sqlite import SqliteSource
from tests.support.git_history import run_sql
from tests.support.scenario import Scenario, fail_if_failed

SOURCE = """
CREATE TABLE users (user_no INTEGER PRIMARY KEY AUTOINCREMENT, full_name VARCHAR(40) NOT NULL UNIQUE, chief INTEGER
    REFERENCES users (user_no), active INTEGER NOT NULL DEFAULT 1);
CREATE TABLE posts (id INTEGER PRIMARY KEY, author INTEGER NOT NULL REFERENCES users, title TEXT NOT NULL);
CREATE TABLE tags (post INTEGER NOT NULL REFERENCES posts (id), word TEXT NOT NULL, PRIMARY KEY (post, word))
    WITHOUT ROWID;
CREATE VIEW loud (id, author, title) AS SELECT id, author, upper(title) FROM posts;
INSERT INTO users VALUES (1, 'Ann', NULL, 1), (2, 'Bob', 1, 0), (5, 'Cy', 2, 1);
INSERT INTO posts VALUES (3, 1, 'one'), (4, 5, 'two'), (9, 5, 'three');
INSERT INTO tags VALUES (3, 'x'), (4, 'x'), (9, 'y');
"""
TARGET = """
CREATE TABLE people (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(40) NOT NULL UNIQUE, boss INT,
    active INT NOT NULL, FOREIGN KEY (boss) REFERENCES people (id));
CREATE TABLE articles (id INT AUTO_INCREMENT PRIMARY KEY, author INT NOT NULL, title VARCHAR(40) NOT NULL UNIQUE,
    FOREIGN KEY (author) REFERENCES people (id));
CREATE TABLE labels (article INT NOT NULL, word VARCHAR(20) NOT NULL, PRIMARY KEY (article, word),
    FOREIGN KEY (article) REFERENCES articles (id));
INSERT INTO people (name, active) VALUES ('Zoe', 1), ('Bob', 0)
"""
RENAMED = """
[tables.users]
target = "people"
columns = { user_no = "id", full_name = "name", chief = "boss" }
natural_key = ["full_name"]

[tables.posts]
target = "articles"

[tables.tags]
target = "labels"
columns = { post = "article" }
"""
QUERY = """
[tables.people]
id = "id"
natural_key = ["name"]
foreign_keys = { boss = "people" }
query = '''SELECT user_no AS id, full_name AS name, chief AS boss, 7 AS active FROM users -- all of them
'''

[tables.articles]
query = "SELECT id, author, title FROM posts WHERE author <> 1;"
id = "id"
natural_key = ["title"]
foreign_keys = { author = "people" }
"""
UNSTEADY = """
[tables.n]
query = "SELECT id, title || random() AS title FROM posts"
id = "id"
natural_key = ["title"]

[tables.users]
"""
JOINED = """SELECT {a}.title, u.{n}, b.{n} FROM {a} JOIN {u} u ON {a}.author = u.{i} LEFT JOIN {u} b ON u.{b} = b.{i}"""
HERE = JOINED.format(a="posts", u="users", n="full_name", i="user_no", b="chief")
THERE = JOINED.format(a="articles", u="people", n="name", i="id", b="boss")


@pytest.fixture
def scenario(tmp_path: Path, target: Engine) -> Scenario:
    return Scenario(tmp_path, target)


def options(scenario: Scenario) -> SyncOptions:
    return SyncOptions(plan=scenario.plan)


def verified(scenario: Scenario) -> dfsync.VerifyResult:
    return dfsync.verify(scenario.source, scenario.target.url, out=scenario.folder / "out", options=options(scenario))


class TestOtherNames:
    @pytest.fixture(autouse=True)
    def tables(self, scenario: Scenario) -> None:
        scenario.create_source(SOURCE, RENAMED)

    def test_are_those_of_an_existing_target(self, scenario: Scenario) -> None:
        scenario.create_target(TARGET)
        first = scenario.sync_twice()
        assert {c.name: (c.table, c.inserted, c.matched) for c in first.counts} == {
            "users": ("people", 2, 1),
            "posts": ("articles", 3, 0),
            "tags": ("labels", 3, 0),
        }
        assert sorted(scenario.read_target(THERE)) == [
            (title, name, "Bob" if name == "Cy" else None) for title, name, _ in sorted(scenario.read_source(HERE))
        ]
        assert verified(scenario).ok

    def test_are_those_of_tables_that_are_made(self, scenario: Scenario) -> None:
        scenario.create_target(None)
        first = scenario.sync_twice()
        fail_if_failed(first)
        assert sorted(map(str, scenario.read_target(THERE))) == sorted(map(str, scenario.read_source(HERE)))
        assert scenario.read_target("SELECT COUNT(*) FROM labels JOIN articles ON article = articles.id") == [(3,)]
        assert verified(scenario).ok

    def test_stay_in_a_plan_that_is_written(self, scenario: Scenario) -> None:
        scenario.create_target(TARGET)
        found = dfsync.resolve_plan(scenario.source, scenario.target.url, options=options(scenario))
        written = scenario.folder / "written.toml"
        write_plan(written, found.to_write)
        text = written.read_text()
        assert 'target = "people"' in text
        assert 'full_name = "name"' in text
        scenario.plan = written
        again = dfsync.resolve_plan(scenario.source, scenario.target.url, options=options(scenario))
        assert again.plan.tables == found.plan.tables
        assert again.plan["users"].key == ("name",)
        assert again.plan["posts"].parents == {"author": "users"}

    def test_are_in_the_journal_so_that_undo_finds_the_rows(self, scenario: Scenario) -> None:
        scenario.create_target(TARGET)
        before = scenario.all_rows()
        fail_if_failed(scenario.sync())
        dfsync.undo(scenario.folder / "out", target=scenario.target.url)
        assert scenario.all_rows() == before

    def test_are_checked_and_foretold(self, scenario: Scenario) -> None:
        scenario.create_target(TARGET)
        found = dfsync.check(scenario.source, scenario.target.url, options=options(scenario))
        assert not [f for f in found.findings if f.level == "error"]
        before = scenario.all_rows()
        assert {c.name: c.inserted for c in scenario.sync(dry_run=True).counts} == {"users": 2, "posts": 3, "tags": 3}
        assert scenario.all_rows() == before

    def test_bring_changes_with_the_next_run(self, scenario: Scenario) -> None:
        scenario.create_target(TARGET)
        scenario.sync()
        run_sql(
            scenario.source, "UPDATE users SET active = 4 WHERE user_no = 5; INSERT INTO posts VALUES (11, 2, 'new')"
        )
        counts = {c.name: (c.inserted, c.updated) for c in scenario.sync(on_match="update").counts}
        assert counts == {"users": (0, 2), "posts": (1, 0), "tags": (0, 0)}
        assert scenario.read_target("SELECT active FROM people WHERE name = 'Cy'") == [(4,)]

    def test_of_tables_that_swap_theirs(self, scenario: Scenario) -> None:
        scenario.create_source(
            "CREATE TABLE a (id INTEGER PRIMARY KEY, k TEXT UNIQUE); CREATE TABLE b (id INTEGER PRIMARY KEY, k TEXT "
            "UNIQUE, a INTEGER REFERENCES a); INSERT INTO a VALUES (7, 'of a'); INSERT INTO b VALUES (7, 'of b', 7)",
            '[tables.a]\ntarget = "b"\n[tables.b]\ntarget = "a"\n',
        )
        scenario.create_target(None)
        scenario.sync_twice()
        assert scenario.read_target("SELECT a.k, b.k FROM a JOIN b ON a.a = b.id") == [("of b", "of a")]

    def test_in_a_plan_of_all_tables(self, scenario: Scenario) -> None:
        scenario.create_source(
            "DROP VIEW loud",
            'base = "discovered"\n[tables.users]\ntarget = "people"\ncolumns = { user_no = "id" }\nid = "user_no"\n',
        )
        scenario.create_target(None)
        scenario.sync_twice()
        assert scenario.read_target("SELECT title FROM posts JOIN people ON author = people.id WHERE full_name = 'Ann'")


class TestAQuery:
    def test_gives_a_table_its_rows(self, scenario: Scenario) -> None:
        scenario.create_source(SOURCE, QUERY)
        scenario.create_target(TARGET)
        first = scenario.sync_twice()
        assert {c.name: (c.inserted, c.matched) for c in first.counts} == {"people": (2, 1), "articles": (2, 0)}
        assert scenario.id_maps(first)["people"].keys() == {1, 2, 5}
        assert sorted(scenario.read_target(THERE)) == [("three", "Cy", "Bob"), ("two", "Cy", "Bob")]
        assert scenario.read_target("SELECT active FROM people ORDER BY name") == [(7,), (0,), (7,), (1,)]
        assert verified(scenario).ok
        before = scenario.all_rows()
        assert scenario.plan is not None
        scenario.plan.write_text(QUERY.replace("author <> 1", "1"))
        counts = {c.name: (c.inserted, c.matched) for c in scenario.sync().counts}
        assert counts == {"people": (0, 3), "articles": (1, 2)}
        dfsync.undo(scenario.folder / "out", target=scenario.target.url)
        assert scenario.all_rows() == before

    def test_is_a_table_that_is_made(self, scenario: Scenario) -> None:
        scenario.create_source(SOURCE, QUERY)
        scenario.create_target(None)
        scenario.sync_twice()
        assert sorted(scenario.read_target(THERE)) == [("three", "Cy", "Bob"), ("two", "Cy", "Bob")]
        assert verified(scenario).ok

    def test_of_many_rows_is_read_in_order_and_once(self, scenario: Scenario) -> None:
        scenario.create_source(
            "CREATE TABLE n (id INTEGER PRIMARY KEY, v INTEGER); WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT "
            "i + 1 FROM c WHERE i < 5000) INSERT INTO n SELECT i * 3, i FROM c",
            "[tables.n]\nid = 'id'\nnatural_key = ['v']\nquery = 'SELECT id, v, 2.0 AS half FROM n ORDER BY v % 7, v'",
        )
        scenario.create_target(None)
        first = scenario.sync_twice(batch_size=37)
        assert first.counts[0].inserted == 5000
        assert scenario.read_target("SELECT COUNT(*), SUM(v), MAX(half) FROM n") == [(5000, 12502500, 2)]

    def test_may_stand_for_the_parent_of_a_declared_foreign_key(self, scenario: Scenario) -> None:
        plan = (
            '[tables.active]\nid = "user_no"\nnatural_key = ["full_name"]\ntarget = "people"\n'
            'query = "SELECT user_no, full_name FROM users WHERE active"\n[tables.posts]\n'
            'foreign_keys = { author = "active" }\n'
        )
        scenario.create_source(SOURCE, plan)
        run_sql(scenario.source, "INSERT INTO posts VALUES (12, 2, 'of an inactive one')")
        scenario.create_target(None)
        first = scenario.sync_twice()
        assert {c.name: (c.table, c.inserted, c.failed) for c in first.counts} == {
            "active": ("people", 2, 0),
            "posts": ("posts", 3, 1),
        }
        query = "SELECT full_name, title FROM posts JOIN people ON author = user_no ORDER BY title"
        assert scenario.read_target(query) == [("Ann", "one"), ("Cy", "three"), ("Cy", "two")]

    def test_stays_in_a_plan_that_is_written(self, scenario: Scenario) -> None:
        scenario.create_source(SOURCE, QUERY)
        scenario.create_target(TARGET)
        found = dfsync.resolve_plan(scenario.source, scenario.target.url, options=options(scenario))
        scenario.plan = scenario.folder / "written.toml"
        write_plan(scenario.plan, found.to_write)
        again = dfsync.resolve_plan(scenario.source, scenario.target.url, options=options(scenario))
        assert again.plan.tables == found.plan.tables
        assert "-- all of them" in str(again.plan["people"].query)

    def test_of_a_view_without_ids(self, scenario: Scenario) -> None:
        scenario.create_source(SOURCE, "[tables.loud]\nid = ''\nplain_columns = ['author']\nnatural_key = ['id']\n")
        scenario.create_target(None)
        scenario.sync_twice()
        assert scenario.read_target("SELECT title FROM loud ORDER BY title") == [("ONE",), ("THREE",), ("TWO",)]

    def test_of_a_view_under_another_name(self, scenario: Scenario) -> None:
        plan = (
            '[tables.users]\n[tables.loud]\ntarget = "articles"\nid = "id"\ncolumns = { title = "word" }\n'
            'natural_key = ["title"]\nforeign_keys = { author = "users" }\n'
        )
        scenario.create_source(SOURCE, plan)
        scenario.create_target(None)
        scenario.sync_twice()
        query = "SELECT full_name, word FROM articles JOIN users ON author = user_no ORDER BY word"
        assert scenario.read_target(query) == [("Ann", "ONE"), ("Cy", "THREE"), ("Cy", "TWO")]

    def test_that_changes_its_rows_fails_its_table_alone(self, scenario: Scenario) -> None:
        scenario.create_source(SOURCE, UNSTEADY)
        scenario.create_target(None)
        counts = {c.name: c for c in scenario.sync().counts}
        assert "gives other rows when it is run again" in str(counts["n"].error)
        assert counts["users"].inserted == 3
        assert scenario.read_target("SELECT COUNT(*) FROM n") == [(0,)]

    def test_that_changes_its_rows_is_an_error_of_its_table_in_a_check(self, scenario: Scenario) -> None:
        scenario.create_source(SOURCE, UNSTEADY)
        scenario.create_target(None)
        checked = dfsync.check(scenario.source, scenario.target.url, options=options(scenario))
        errors = {finding.table: finding.message for finding in checked.findings if finding.level == "error"}
        assert [*errors] == ["n"]
        assert "gives other rows when it is run again" in errors["n"]
        assert [(table.name, table.inserted) for table in checked.tables] == [("n", None), ("users", 3)]

    def test_that_changes_its_rows_stops_verify(self, scenario: Scenario) -> None:
        scenario.create_source(SOURCE, UNSTEADY.replace(" || random()", ""))
        scenario.create_target(None)
        fail_if_failed(scenario.sync())
        assert scenario.plan is not None
        scenario.plan.write_text(UNSTEADY)
        with pytest.raises(DfsyncError, match=r"The query of \[tables\.n\] gives other rows when it is run again"):
            verified(scenario)

    def test_that_changes_its_rows_fails_no_other_table_of_several_sources(self, scenario: Scenario) -> None:
        scenario.create_source(SOURCE, UNSTEADY)
        scenario.create_target(None)
        other = run_sql(scenario.folder / "other.db", SOURCE.replace("'Ann'", "'Eve'"))
        ends, out = ([scenario.source, other], scenario.target.url), scenario.folder / "out"
        checked = dfsync.check(*ends, options=options(scenario))
        assert [finding.table for finding in checked.findings if finding.level == "error"] == ["n"]
        result = dfsync.sync(*ends, out=out, options=options(scenario))
        assert {c.name: c.inserted for c in result.counts} == {"n": 0, "users": 4}
        assert [source.error for source in result.sources] == [None, None]
        assert scenario.plan is not None
        scenario.plan.write_text(UNSTEADY.replace(" || random()", ""))
        assert dfsync.sync(*ends, out=out, options=options(scenario)).ok

    @pytest.mark.parametrize(
        ("left_out", "ids"),
        [
            (SyncOptions(exclude=("slow",)), "id = 'id'"),
            (SyncOptions(exclude=("SL*",)), ""),
            (SyncOptions(tables=("users",)), ""),
        ],
    )
    def test_does_not_run_where_its_table_is_left_out(
        self, scenario: Scenario, left_out: SyncOptions, ids: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slow = "[tables.slow]\nquery = 'SELECT id, title FROM posts'\nnatural_key = ['title']\n"
        scenario.create_source(SOURCE, f"{slow}{ids}\n[tables.users]\n")
        scenario.create_target(None)
        run, ran = SqliteSource.run, list[str]()

        def note(source: SqliteSource, statement: str, *rest: Any, **more: Any) -> Any:
            ran.append(statement)
            return run(source, statement, *rest, **more)

        monkeypatch.setattr(SqliteSource, "run", note)
        given, ends = replace(left_out, plan=scenario.plan), (scenario.source, scenario.target.url)
        assert dfsync.check(*ends, options=given).ok
        result = dfsync.sync(*ends, out=scenario.folder / "out", options=given)
        assert [(c.name, c.inserted) for c in result.counts] == [("users", 3)]
        assert not [statement for statement in ran if statement.startswith("INSERT")]
        ran.clear()
        assert {c.name: c.inserted for c in scenario.sync().counts} == {"slow": 3, "users": 0}
        assert [statement for statement in ran if statement.startswith("INSERT")]

    def test_may_be_wrong_where_its_table_is_excluded(self, scenario: Scenario) -> None:
        scenario.create_source(SOURCE, "[tables.a]\nquery = 'SELECT no FROM posts'\n[tables.users]\n")
        given = replace(options(scenario), exclude=("a",))
        found = dfsync.resolve_plan(scenario.source, scenario.target.url, options=given)
        assert (found.plan.names, found.plan.excluded) == (["users"], ("a",))

    @pytest.mark.parametrize("files", [1, 2])
    def test_keeps_its_ids(self, scenario: Scenario, files: int) -> None:
        scenario.create_source(SOURCE, QUERY.replace("SELECT id,", "SELECT id * 10 AS id,"))
        scenario.create_target(TARGET)
        other = run_sql(scenario.folder / "other.db", SOURCE.replace("(5, 'Cy'", "(6, 'Dan'").replace(" 5,", " 6,"))
        sources, out = [scenario.source, other][:files], scenario.folder / "out"
        kept = SyncOptions(plan=scenario.plan, keep_ids="free")
        result = dfsync.sync(sources, scenario.target.url, out=out, options=kept)
        assert result.ok
        # The target's Zoe has the 1 of Ann, and its Bob has the 2 that is his in the source, too.
        dan, ann = {1: ({}, 6), 2: ({6: "Dan"}, 7)}[files]
        people = {1: "Zoe", 2: "Bob", 5: "Cy", **dan, ann: "Ann"}
        assert dict(scenario.read_target("SELECT id, name FROM people")) == people
        articles = "SELECT a.id, name FROM articles a JOIN people p ON p.id = author ORDER BY a.id"
        assert scenario.read_target(articles) == [(40, "Cy"), (90, "Cy")]
        verify = dfsync.verify(sources, scenario.target.url, out=out, options=kept)
        assert verify.ok
        assert f"in the source: 1 -> {ann}" in verify.notes[0]

    def test_over_several_sources(self, scenario: Scenario) -> None:
        scenario.create_source(SOURCE, QUERY)
        other = run_sql(
            scenario.folder / "other.db",
            SOURCE.replace("'Ann'", "'Eve'").replace("'one'", "'1'").replace("'two'", "'2'").replace("'three'", "'3'"),
        )
        scenario.create_target(TARGET)
        for expected in ({"people": 3, "articles": 4}, {"people": 0, "articles": 0}):
            result = dfsync.sync(
                [scenario.source, other], scenario.target.url, out=scenario.folder / "out", options=options(scenario)
            )
            assert result.ok
            assert {c.name: c.inserted for c in result.counts} == expected
        assert len(scenario.read_target(THERE)) == 4

    @pytest.mark.parametrize(
        ("query", "says"),
        [
            ("DELETE FROM users", "must be one SELECT, which only reads: near"),
            ("SELECT 1 AS id; DELETE FROM users", "must be one SELECT, which only reads: You can only execute one"),
            ("PRAGMA user_version", "must be one SELECT"),
            ("ATTACH 'x.db' AS x", "must be one SELECT"),
            ("SELECT ? AS id", "must be one SELECT, which only reads: parameters are not allowed"),
            (
                "SELECT nowhere FROM users",
                "The query of .tables.q. cannot be run on .*source.db: no such column: nowhere",
            ),
            ("SELECT load_extension('x') AS id", "The query of .tables.q. cannot be run"),
        ],
    )
    def test_that_is_none(self, scenario: Scenario, query: str, says: str) -> None:
        scenario.create_source(SOURCE, f'[tables.q]\nquery = "{query}"\n')
        before = scenario.source.read_bytes()
        with pytest.raises(DfsyncError, match=says):
            scenario.sync()
        assert scenario.source.read_bytes() == before
