"""Tables that a caller or a plan file excludes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine

import dfsync
from dfsync.__main__ import main
from dfsync.commands.plan import ResolvedPlan
from dfsync.model.errors import DfsyncError
from tests.support.git_history import empty_source, run_sql

SOURCE = """
    CREATE TABLE users (id INTEGER PRIMARY KEY, mail TEXT NOT NULL UNIQUE);
    CREATE TABLE orders (id INTEGER PRIMARY KEY, user INT REFERENCES users, no TEXT NOT NULL UNIQUE);
    CREATE TABLE Knex_a (id INTEGER PRIMARY KEY, no TEXT NOT NULL UNIQUE);
    CREATE TABLE knex_b (id INTEGER PRIMARY KEY, no TEXT NOT NULL UNIQUE);
    INSERT INTO users VALUES (1, 'a@b');
    INSERT INTO orders VALUES (1, 1, 'x');
    INSERT INTO knex_b VALUES (1, 'y')"""
NOTE = "excluded, as asked: Knex_a, knex_b"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return run_sql(tmp_path / "source.db", SOURCE)


def resolved(source: Path, target: Engine, *exclude: str, plan: str | None = None) -> ResolvedPlan:
    file = None
    if plan is not None:
        file = source.with_name("plan.toml")
        file.write_text(plan)
    return dfsync.resolve_plan(source, target.url, options=dfsync.SyncOptions(plan=file, exclude=exclude))


class TestACaller:
    def test_excludes_tables_of_a_discovered_plan(self, source: Path, target: Engine) -> None:
        plan = resolved(source, target, "knex_*")
        assert plan.plan.names == ["users", "orders"]
        assert plan.notes == [NOTE]
        assert plan.as_dict()["plan"]["excluded"] == ["Knex_a", "knex_b"]

    def test_excludes_tables_that_a_file_names(self, source: Path, target: Engine) -> None:
        plan = resolved(source, target, "KNEX_?", plan='[tables.users]\nafter = ["knex_b"]\n[tables.knex_b]')
        assert (plan.plan.names, plan.plan["users"].after) == (["users"], ())

    def test_excludes_more_than_an_overlay(self, source: Path, target: Engine) -> None:
        plan = resolved(source, target, "knex_b", plan='base = "discovered"\nexclude = ["knex_a"]\n[tables.knex_b]')
        assert (plan.plan.names, plan.notes) == (["users", "orders"], [NOTE])

    def test_of_what_git_history_lacks_gets_the_built_in_plan(self, tmp_path: Path, target: Engine) -> None:
        path = run_sql(empty_source(tmp_path / "history.db"), "CREATE TABLE other (id INTEGER PRIMARY KEY)")
        assert resolved(path, target).plan.source == "discovered plan"
        plan = resolved(path, target, "other", "staff_metrics").plan
        assert plan.source == "built-in plan"
        assert "commits" in plan.names
        assert "staff_metrics" not in plan.names

    @pytest.mark.parametrize(
        ("exclude", "file", "says"),
        [
            (["user"], None, r"exclude has 'user', which is no table of the source\. Did you mean 'users'"),
            (["*"], None, "exclude leaves no table"),
            (["users"], None, r"orders\.user refers to users, which is not in the plan"),
            (
                ["users"],
                '[tables.users]\n[tables.orders]\nforeign_keys = { user = "users" }',
                r"orders\.user refers to users, which is excluded\. Exclude orders too, or let users be in",
            ),
        ],
    )
    def test_with_a_mistake(
        self, source: Path, target: Engine, exclude: list[str], file: str | None, says: str
    ) -> None:
        with pytest.raises(DfsyncError, match=says):
            resolved(source, target, *exclude, plan=file)

    def test_may_give_one_pattern_as_text(self) -> None:
        assert dfsync.SyncOptions(exclude="knex_*").exclude == ("knex_*",)  # type: ignore[arg-type]


def test_every_command_leaves_them_out(
    source: Path, target: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ends = ["--source", str(source), "--target", target.url.render_as_string(hide_password=False)]
    excluded, out = ["--exclude", "Knex_a", "--exclude", "*_b"], ["--out", str(tmp_path / "out")]
    repeated = f"--source {source} --exclude Knex_a --exclude '*_b'`"
    assert main(["sync", *ends, *excluded, *out]) == 2
    assert f"create-tables {repeated}" in capsys.readouterr().err
    assert main(["check", *ends, *excluded, *out]) == 1
    assert f"create-tables {repeated[:-1]}\n" in capsys.readouterr().out
    assert main(["create-tables", *ends, *excluded, "--print"]) == 0
    assert "knex" not in capsys.readouterr().out.lower()
    assert main(["create-tables", *ends, *excluded]) == 0
    assert main(["plan", *ends, *excluded]) == 0
    assert NOTE in " ".join(capsys.readouterr().out.split())
    for command in ("check", "sync", "verify"):
        assert main([command, *ends, *excluded, *out, "--json"]) == 0
        assert "knex_b" not in json.dumps(json.loads(capsys.readouterr().out).get("tables"))
    assert not (tmp_path / "out" / "mappings" / "knex_b.parquet").exists()


def test_whoever_is_asked_may_copy_the_command(
    source: Path, target: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    run_sql(source, "CREATE TABLE notes (id INTEGER PRIMARY KEY, order_id INT NOT NULL)")
    run_sql(source, "INSERT INTO orders VALUES (2, 1, 'y'); INSERT INTO notes VALUES (1, 1), (2, 2)")
    ends = ["--source", str(source), "--target", target.url.render_as_string(hide_password=False)]
    said = f"plan --source {source} --exclude 'knex_*' --write my-plan.toml"
    assert main(["create-tables", *ends, "--exclude", "knex_*"]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.endswith("` writes the likely answers into a file, with --target if you gave one.\n")
    assert main(["check", *ends, "--exclude", "knex_*"]) == 1
    assert said in capsys.readouterr().out
