"""The plan of a source and a target, and as a file for `--plan`."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from dfsync.__main__ import main
from dfsync.commands.check import check
from dfsync.commands.plan import resolve_plan
from dfsync.model.options import CONVERT, SyncOptions
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


def _first(pair: tuple[str, str]) -> str:
    return pair[0].lower()


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
            on_rekey=draw(st.sampled_from([None, "insert", "follow"])),
            on_missing_parent=draw(st.sampled_from(["reject", "null"])),
            ids=draw(st.sampled_from(["new", "keep"])),
            convert=draw(st.lists(st.tuples(WORDS, st.sampled_from(CONVERT)), max_size=2, unique_by=_first).map(tuple)),
            keep_ids=draw(st.none() | st.lists(st.integers(-5, 5), max_size=2).map(tuple)),
            # An empty natural key that is not meant is not written as a setting.
            origin={"id": draw(WORDS), "natural_key": "plan file", "foreign_keys": draw(WORDS)},
        )
        for name, table in zip(names, own, strict=True)
    ]
    return Plan(tuple(draw(_ignoring(table)) for table in tables), draw(WORDS))


@given(plan=plans())
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_written_plan_is_read_back_as_it_was(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "plan.toml"
    write_plan(path, plan, force=True)
    assert read_plan(path).tables == plan.tables


def test_the_built_in_plan_is_written_as_it_is(tmp_path: Path) -> None:
    plan = read_plan(BUILT_IN)
    path = tmp_path / "plan.toml"
    write_plan(path, plan)
    built_in = tomllib.loads(BUILT_IN.read_text())
    del built_in["application"]
    assert tomllib.loads(path.read_text()) == built_in


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
    assert "# natural_key = []  # a\\nb = 1\n" in to_toml(Plan((table,), "x\ny"))
    assert tomllib.loads(to_toml(Plan((table,), "x\ny"))) == {"tables": {"t": {}}}


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
        # By what rows are known is found anew, since the source may be made anew with AUTOINCREMENT.
        discovered = [replace(table, identity=None) for table in found.plan.tables]
        assert list(read_plan(tmp_path / "plan.toml").tables) == discovered


def test_a_written_plan_is_completed_to_the_same_plan(source: Path, target: Engine, tmp_path: Path) -> None:
    execute(target, TARGET)
    found = resolve_plan(source, target.url, options=SyncOptions()).plan
    write_plan(tmp_path / "plan.toml", found)
    again = resolve_plan(source, target.url, options=SyncOptions(plan=tmp_path / "plan.toml")).plan
    assert replace(again, source=found.source) == found
    assert found["people"].deferred == ("boss_id",)


def test_a_written_plan_changes_nothing(source: Path, target: Engine, tmp_path: Path) -> None:
    run_sql(
        source,
        """CREATE TABLE pg (id INTEGER PRIMARY KEY, url TEXT NOT NULL UNIQUE, path TEXT NOT NULL UNIQUE, gone TEXT);
        CREATE TABLE bare (id INTEGER, x INT); INSERT INTO bare VALUES (1, 5), (2, 6);
        CREATE TABLE keyless (id INTEGER PRIMARY KEY, mail TEXT UNIQUE);
        INSERT INTO people VALUES (0, 'a@x', NULL); CREATE TABLE revenue (year INTEGER PRIMARY KEY, eur INT)""",
    )
    execute(
        target,
        TARGET,
        "CREATE TABLE pg (id INT AUTO_INCREMENT PRIMARY KEY, url VARCHAR(9) NOT NULL, path VARCHAR(9) NOT NULL)",
        "CREATE TABLE bare (id INT AUTO_INCREMENT PRIMARY KEY, x INT)",
        "CREATE TABLE keyless (id INT AUTO_INCREMENT PRIMARY KEY, mail VARCHAR(9))",
    )
    undecided = resolve_plan(source, target.url)
    assert [question.column for question in undecided.questions] == ["id", "year"]
    write_plan(tmp_path / "decided.toml", undecided.to_write)
    options = [SyncOptions(plan=tmp_path / name) for name in ("decided.toml", "again.toml")]
    before = resolve_plan(source, target.url, options=options[0])
    write_plan(tmp_path / "again.toml", before.to_write)
    after = resolve_plan(source, target.url, options=options[1])
    assert before.questions == after.questions == ()
    assert undecided.warnings == before.warnings == after.warnings
    assert undecided.notes == before.notes == after.notes
    assert before.plan.tables == after.plan.tables
    checks = [check(source, target.url, options=chosen) for chosen in options]
    assert checks[0].findings == checks[1].findings
    assert [f for f in check(source, target.url).findings if f.level != "undecided"] == [*checks[0].findings]


def test_tables_without_an_order_are_shown_and_written(
    target: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = run_sql(
        tmp_path / "source.db",
        """CREATE TABLE flow (id INTEGER PRIMARY KEY, name TEXT NOT NULL, task_id INTEGER NOT NULL REFERENCES task(id));
        CREATE TABLE task (id INTEGER PRIMARY KEY, flow_id INTEGER NOT NULL UNIQUE REFERENCES flow(id))""",
    )
    says = (
        "No order for flow, task: each needs another one's rows first, by flow.task_id -> task (NOT NULL); "
        "task.flow_id -> flow (in its natural key). One of these is enough: let flow.task_id be NULL in the target; or "
        "take flow_id out of the natural_key of [tables.task]."
    )
    found = resolve_plan(source, target.url)
    assert (found.plan.names, found.no_order) == (["flow", "task"], says)
    assert resolve_plan(source, target.url, options=SyncOptions(tables=("task",))).no_order == says
    file = tmp_path / "plan.toml"
    url = target.url.render_as_string(hide_password=False)
    assert main(["plan", "--source", str(source), "--target", url, "--write", str(file)]) == 2
    said = capsys.readouterr()
    assert "2  task" in said.out
    assert said.err == f"dfsync: {says} Mend it in {file}.\n"
    file.write_text(file.read_text().replace('natural_key = ["flow_id"]', "natural_key = []"))
    execute(target, "CREATE TABLE task (id INT AUTO_INCREMENT PRIMARY KEY, flow_id INT)")
    assert resolve_plan(source, target.url, options=SyncOptions(plan=file)).no_order is None


def test_a_circle_through_a_column_that_may_be_null_has_an_order(target: Engine, tmp_path: Path) -> None:
    """As in every Wagtail site, where the column is unique besides."""
    source = run_sql(
        tmp_path / "source.db",
        """CREATE TABLE flow (id INTEGER PRIMARY KEY, name TEXT NOT NULL,
            current_task_id INTEGER UNIQUE REFERENCES task(id));
        CREATE TABLE task (id INTEGER PRIMARY KEY, flow_id INTEGER NOT NULL REFERENCES flow(id))""",
    )
    found = resolve_plan(source, target.url)
    assert (found.no_order, found.plan["flow"].deferred) == (None, ("current_task_id",))


def test_a_written_plan_leaves_out_what_the_source_lacks(target: Engine, tmp_path: Path) -> None:
    source = run_sql(
        tmp_path / "source.db",
        """CREATE TABLE repositories (id INTEGER PRIMARY KEY, slug TEXT);
        CREATE TABLE commits (id INTEGER PRIMARY KEY, hash TEXT, repository_id INT)""",
    )
    write_plan(tmp_path / "plan.toml", resolve_plan(source, target.url, options=SyncOptions()).to_write)
    again = resolve_plan(source, target.url, options=SyncOptions(plan=tmp_path / "plan.toml")).plan
    assert again.names == ["repositories", "commits"]


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
        warning = " ".join(out.split()).partition("Warning: ")[2]
        assert "log" in warning
        assert "[x]" in warning
        assert "no natural key, so rows are compared by their whole content" in warning
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
            "identity": "content",
            "on_rekey": None,
            "on_missing_parent": "reject",
            "keep_ids": None,
            "ids": "new",
            "source_table": None,
            "columns": {},
            "convert": {},
            "dates": {},
            "types": {},
            "query": None,
            "empty_columns": [],
            "deferred": ["boss_id"],
            "origin": {
                "id": "primary key of the source",
                "natural_key": "unique constraint of the source",
                "foreign_keys": "declared in the source",
                "identity": "the source may give an id twice: it is not AUTOINCREMENT",
            },
            "missing_in": ["target"],
        }
        assert len(said["warnings"]) == 2
        assert (said["notes"], said["no_order"], said["plan"]["left_out"]) == ([], None, [])

    def test_a_target_out_of_reach_is_status_2(self, run: Callable[..., Any]) -> None:
        status, out, error = run(at="mysql://nobody@127.0.0.1:1/nothing")
        assert (status, out) == (2, "")
        assert "cannot be reached" in error
