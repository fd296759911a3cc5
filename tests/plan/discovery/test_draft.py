"""Which tables a plan has: all of a source, those of an overlay, those of git history."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfsync.model.errors import DfsyncError
from dfsync.pipeline.session.planning import draft_plan
from dfsync.source.sqlite import SqliteSource
from tests.support.git_history import empty_source, run_sql
from tests.support.runs.discovered_plan import discover, keys

SOURCE = """
    CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, mail TEXT NOT NULL);
    CREATE TABLE orders (id INTEGER PRIMARY KEY, user INT, no TEXT NOT NULL UNIQUE);
    CREATE TABLE knex_extra (id INTEGER PRIMARY KEY, user INT REFERENCES users);
    CREATE TABLE knex_migrations (id INTEGER PRIMARY KEY, name TEXT, batch INT, migration_time DATETIME);
    CREATE VIEW named AS SELECT name FROM users"""


class TestAnOverlay:
    def test_differs_in_what_it_says(self, tmp_path: Path) -> None:
        plan = discover(tmp_path, SOURCE, plan='base = "discovered"\n[tables.users]\nnatural_key = ["mail"]')
        assert keys(plan) == {"users": ("mail",), "orders": ("no",), "knex_extra": ()}
        assert plan.left_out == ("knex_migrations",)
        assert plan["orders"].origin["natural_key"] == "unique constraint of the source"

    def test_may_say_nothing(self, tmp_path: Path) -> None:
        plan = discover(tmp_path, SOURCE, plan='base = "discovered"')
        assert {*plan.names} == {*discover(tmp_path, "SELECT 1").names}

    def test_leaves_out_what_it_excludes(self, tmp_path: Path) -> None:
        plan = discover(tmp_path, SOURCE, plan='base = "discovered"\nexclude = ["KNEX_*"]')
        assert plan.names == ["orders", "users"]

    def test_takes_what_it_names(self, tmp_path: Path) -> None:
        file = 'base = "discovered"\nexclude = ["knex_*", "orders"]\n[tables.books]\ntable = "knex_migrations"'
        plan = discover(tmp_path, SOURCE, plan=file)
        assert plan.names == ["books", "users"]

    def test_refers_to_tables_that_it_does_not_name(self, tmp_path: Path) -> None:
        file = 'base = "discovered"\n[tables.orders]\nforeign_keys = { user = "users" }'
        assert discover(tmp_path, SOURCE, plan=file)["orders"].parents == {"user": "users"}

    def test_keeps_names_apart(self, tmp_path: Path) -> None:
        file = 'base = "discovered"\n[tables.users]\ntable = "orders"'
        plan = discover(tmp_path, SOURCE, plan=file)
        assert {table.name: table.table for table in plan.tables} == {
            "users": "orders",
            "users_2": "users",
            "knex_extra": "knex_extra",
        }

    @pytest.mark.parametrize(
        ("file", "says"),
        [
            ('exclude = ["odrers"]', r"exclude has 'odrers', which is no table of the source\. Did you mean 'orders'"),
            ('exclude = ["*"]', "exclude leaves no table"),
            (
                'exclude = ["users"]',
                r"knex_extra\.user refers to users, which is not in .*\. Add \[tables\.users\]",
            ),
            (
                '[tables.orders]\nforeign_keys = { user = "people" }',
                "refers to 'people', which is not in it",
            ),
        ],
    )
    def test_with_a_mistake(self, tmp_path: Path, file: str, says: str) -> None:
        with pytest.raises(DfsyncError, match=says):
            discover(tmp_path, SOURCE, plan=f'base = "discovered"\n{file}')


def test_a_view_is_not_among_the_tables_that_nobody_names(tmp_path: Path) -> None:
    with pytest.raises(DfsyncError, match=r"names the table 'Nmed', which the source lacks\. Did you mean 'named'"):
        discover(tmp_path, SOURCE, plan="[tables.Nmed]")


class TestTheBuiltInPlan:
    def title(self, path: Path) -> str:
        with SqliteSource(path) as source:
            return draft_plan(None, source).source

    def test_is_for_repositories_and_commits(self, tmp_path: Path) -> None:
        path = empty_source(tmp_path / "history.db")
        assert self.title(path) == "built-in plan"
        run_sql(path, "CREATE TABLE alembic_version (version_num TEXT)")
        assert self.title(path) == "built-in plan"
        run_sql(path, "DROP TABLE commits")
        assert self.title(path) == "discovered plan"

    @pytest.mark.parametrize(
        "script",
        [
            "CREATE TABLE authors (id INTEGER PRIMARY KEY, name TEXT, email TEXT)",
            "CREATE TABLE repositories (id INTEGER PRIMARY KEY, slug TEXT)",
            "CREATE TABLE repositories (id INTEGER PRIMARY KEY, slug TEXT); CREATE TABLE commits (id INT, hash TEXT)",
        ],
    )
    def test_is_not_for_other_tables_of_these_names(self, tmp_path: Path, script: str) -> None:
        assert self.title(run_sql(tmp_path / "other.db", script)) == "discovered plan"
