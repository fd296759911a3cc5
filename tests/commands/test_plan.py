"""The plan of a source and a target, and as a file for `--plan`."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from dfsync.__main__ import main
from dfsync.commands.plan import resolve_plan
from dfsync.model.options import SyncOptions
from dfsync.plan.file import BUILT_IN, read_plan, to_toml, write_plan
from dfsync.plan.model import ForeignKey, Plan, TablePlan
from tests.support.git_history import empty_source, execute, run_sql
from tests.support.odd_tables import SOURCE, TARGET

# Surrogates are no text, so no database has such names.
WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='/\\:*?"<>|'), min_size=1, max_size=12
)


def _lower(key: ForeignKey) -> str:
    return key.column.lower()


def _ignoring(table: TablePlan) -> st.SearchStrategy[TablePlan]:
    """The table with some columns ignored that it has no other use for."""
    taken = {name.lower() for name in (*table.key, *table.parents)}
    free = WORDS.filter(lambda word: word.lower() not in taken)
    return st.lists(free, max_size=3, unique=True).map(lambda names: replace(table, ignore_columns=tuple(names)))


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Any plan that a file can say."""
    names = draw(st.lists(NAMES.filter(lambda name: not name.startswith(".")), min_size=1, max_size=4, unique=True))
    # No column twice in one setting, in any case, and none that is ignored beside.
    some = st.lists(WORDS, max_size=3, unique_by=str.lower).map(tuple)
    references = st.lists(st.builds(ForeignKey, WORDS, st.sampled_from(names)), max_size=3, unique_by=_lower).map(tuple)
    own = draw(st.lists(WORDS, min_size=len(names), max_size=len(names), unique_by=str.lower))
    tables = [
        TablePlan(
            name=name,
            table=table,
            id=draw(st.none() | st.just("") | WORDS),
            natural_key=draw(st.none() | some),
            foreign_keys=draw(st.none() | references),
            after=tuple(draw(st.sets(st.sampled_from(names), max_size=2)) - {name}),
            on_match=draw(st.sampled_from(["skip", "update"])),
            origin={"id": draw(WORDS), "natural_key": draw(WORDS), "foreign_keys": draw(WORDS)},
        )
        for name, table in zip(names, own, strict=True)
    ]
    return Plan(tuple(draw(_ignoring(table)) for table in tables), draw(WORDS))


@given(plan=plans())
def test_a_written_plan_is_read_back_as_it_was(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "plan.toml"
    write_plan(path, plan, force=True)
    assert read_plan(path).tables == plan.tables


def test_the_built_in_plan_is_written_as_it_is(tmp_path: Path) -> None:
    plan = read_plan(BUILT_IN)
    path = tmp_path / "plan.toml"
    write_plan(path, plan)
    assert tomllib.loads(path.read_text()) == tomllib.loads(BUILT_IN.read_text())


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text("mine")
    with pytest.raises(Exception, match=r"plan\.toml already exists\. Choose another name, or add force=True"):
        write_plan(path, read_plan(BUILT_IN))
    assert path.read_text() == "mine"
    with pytest.raises(Exception, match="cannot be written: No such file or directory"):
        write_plan(tmp_path / "no" / "plan.toml", read_plan(BUILT_IN))


def test_a_comment_is_one_line() -> None:
    table = TablePlan("t", "t", natural_key=(), origin={"natural_key": "a\nb = 1", "id": "none: c\nd = 2"})
    assert "  # a\\nb = 1\n" in to_toml(Plan((table,), "x\ny"))
    assert tomllib.loads(to_toml(Plan((table,), "x\ny"))) == {"tables": {"t": {"natural_key": []}}}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return run_sql(tmp_path / "my.db", SOURCE)


class TestSomeTables:
    def test_come_with_the_parents_they_need(self, source: Path, target: Engine) -> None:
        found = resolve_plan(source, target.url, options=SyncOptions(tables=("odd _name_ [x]_",)))
        assert found.plan.names == ["people", "odd _name_ [x]_"]

    def test_can_be_written_and_read(self, target: Engine, tmp_path: Path) -> None:
        source = empty_source(tmp_path / "history.db")
        found = resolve_plan(source, target.url, options=SyncOptions(tables=("staff_metrics", "pr_approvals")))
        assert found.plan.names == ["repositories", "pull_requests", "pr_approvals", "staff_metrics"]
        assert found.plan["staff_metrics"].after == ()
        write_plan(tmp_path / "plan.toml", found.plan)
        assert read_plan(tmp_path / "plan.toml").tables == found.plan.tables


def test_a_written_plan_is_completed_to_the_same_plan(source: Path, target: Engine, tmp_path: Path) -> None:
    execute(target, TARGET)
    found = resolve_plan(source, target.url, options=SyncOptions()).plan
    write_plan(tmp_path / "plan.toml", found)
    again = resolve_plan(source, target.url, options=SyncOptions(plan=tmp_path / "plan.toml")).plan
    assert replace(again, source=found.source) == found
    assert found["people"].deferred == ("boss_id",)


def test_a_written_plan_leaves_out_what_the_source_lacks(target: Engine, tmp_path: Path) -> None:
    source = run_sql(tmp_path / "source.db", "CREATE TABLE repositories (id INTEGER PRIMARY KEY, slug TEXT)")
    write_plan(tmp_path / "plan.toml", resolve_plan(source, target.url, options=SyncOptions()).to_write)
    again = resolve_plan(source, target.url, options=SyncOptions(plan=tmp_path / "plan.toml")).plan
    assert again.names == ["repositories"]


class TestCommandLine:
    @pytest.fixture
    def run(self, source: Path, target: Engine, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
        url = target.url.render_as_string(hide_password=False)

        def run(*more: str, at: str = url) -> tuple[int, str, str]:
            status = main(["plan", "--source", str(source), "--target", at, *more])
            said = capsys.readouterr()
            return status, said.out, said.err

        return run

    def test_prints(self, run: Callable[..., Any]) -> None:
        status, out, _ = run()
        assert status == 0
        assert out.startswith("Target: ")
        assert "\nPlan: discovered plan, 3 tables\n" in out
        assert "\nWarning: log: no natural key, so rows are compared by their whole content" in out
        assert max(map(len, out.splitlines()[1:])) <= 100

    def test_writes_once(self, run: Callable[..., Any], tmp_path: Path) -> None:
        path = tmp_path / "plan.toml"
        assert run("--write", str(path))[0] == 0
        status, out, error = run("--write", str(path))
        assert (status, out) == (2, "")
        assert error.startswith(f"dfsync: {path} already exists.")
        assert run("--write", str(path), "--force")[0] == 0
        assert run("--plan", str(path))[0] == 0

    def test_json(self, run: Callable[..., Any]) -> None:
        said = json.loads(run("--json")[1])
        assert said["plan"]["source"] == "discovered plan"
        assert said["target"].startswith("dfsync_test_")
        people = next(table for table in said["plan"]["tables"] if table["name"] == "people")
        assert people == {
            "order": 2,
            "name": "people",
            "table": "people",
            "id": "id",
            "natural_key": ["email"],
            "foreign_keys": {"boss_id": "people"},
            "after": [],
            "on_match": "skip",
            "ignore_columns": [],
            "plain_columns": [],
            "update_columns": None,
            "identity": None,
            "on_rekey": None,
            "on_missing_parent": "reject",
            "keep_ids": None,
            "deferred": ["boss_id"],
            "origin": {
                "id": "primary key of the source",
                "natural_key": "unique constraint of the source",
                "foreign_keys": "declared in the source",
            },
            "missing_in": ["target"],
        }
        assert len(said["warnings"]) == 2

    def test_a_target_out_of_reach_is_status_2(self, run: Callable[..., Any]) -> None:
        status, out, error = run(at="mysql://nobody@127.0.0.1:1/nothing")
        assert (status, out) == (2, "")
        assert "cannot be reached" in error
