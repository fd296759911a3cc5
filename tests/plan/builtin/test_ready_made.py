"""Plan files that say how they differ from a ready-made plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfsync.model.errors import DfsyncError
from dfsync.pipeline.session.planning import draft_plan
from dfsync.plan.builtin import ready_made
from dfsync.plan.file import BUILT_IN, read_plan, to_toml
from dfsync.plan.model import Plan
from dfsync.source.sqlite import SqliteSource
from tests.support.git_history import empty_source, run_sql


def read(folder: Path, text: str) -> Plan:
    file = folder / "my.toml"
    file.write_text(f'base = "git-history"\n{text}')
    return read_plan(file)


def draft(folder: Path, text: str, script: str = "SELECT 1") -> Plan:
    read(folder, text)
    with SqliteSource(run_sql(empty_source(folder / "history.db"), script)) as source:
        return draft_plan(folder / "my.toml", source)


def test_their_names() -> None:
    assert ready_made.ready_made()["git-history"] == BUILT_IN


class TestAPlanFile:
    def test_that_says_nothing_is_its_base(self, tmp_path: Path) -> None:
        assert read(tmp_path, "").tables == read_plan(BUILT_IN).tables

    def test_overrides_only_the_settings_that_it_gives(self, tmp_path: Path) -> None:
        plan = read(tmp_path, '[tables.commits]\non_match = "update"\nforeign_keys = {}')
        assert plan.names == read_plan(BUILT_IN).names
        commits = plan["commits"]
        assert (commits.on_match, commits.key, commits.parents) == ("update", ("hash", "repository_id"), {})
        assert commits.origin == {"natural_key": "built-in plan", "foreign_keys": "plan file"}

    def test_adds_tables(self, tmp_path: Path) -> None:
        plan = draft(
            tmp_path,
            '[tables.tags]\nforeign_keys = { commit_id = "commits" }',
            "CREATE TABLE tags (id INTEGER PRIMARY KEY, commit_id INT)",
        )
        assert plan.names == [*read_plan(BUILT_IN).names, "tags"]

    def test_may_do_without_tables_that_only_its_base_names(self, tmp_path: Path) -> None:
        plan = draft(tmp_path, "[tables.commits]", "DROP TABLE staff_metrics")
        assert "staff_metrics" in plan.names
        other = tmp_path / "other"
        other.mkdir()
        with pytest.raises(DfsyncError, match=r"\[tables.staff_metrics\] names the table 'staff_metrics', which the"):
            draft(other, "[tables.staff_metrics]", "DROP TABLE staff_metrics")

    def test_excludes_tables_of_its_base(self, tmp_path: Path) -> None:
        plan = draft(tmp_path, 'exclude = ["*staff*"]\n[tables.staff_details]')
        left = {"author_mappings", "staff_metrics", "current_year_metrics"}
        assert {*plan.names} == {*read_plan(BUILT_IN).names} - left
        assert plan.excluded == ("author_staff_mapping", "current_year_staff_metrics", "staff_metrics")

    def test_excludes_no_table_that_another_refers_to(self, tmp_path: Path) -> None:
        with pytest.raises(DfsyncError, match=r"The plan .*my\.toml: commits\.repository_id refers to repositories, "):
            draft(tmp_path, 'exclude = ["repositories"]')

    def test_is_written_whole(self, tmp_path: Path) -> None:
        plan = read(tmp_path, 'other_version = "accept"\n[tables.commits]\non_match = "update"')
        written = tmp_path / "written.toml"
        written.write_text(to_toml(plan))
        assert read_plan(written).tables == plan.tables
        assert read_plan(written).other_version == "accept"

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("tables = 1", "names no tables"),
            ("[tables]\ncommits = 1", r"\[tables\.commits\] must be a table of settings"),
            ("exclude = 1", "exclude must be a list of names"),
            ("[tables.commits]\nkey = 1", "unknown setting 'key'"),
            ("[tables.author_staff_mapping]", "are both for the table author_staff_mapping"),
        ],
    )
    def test_with_a_mistake(self, tmp_path: Path, text: str, says: str) -> None:
        with pytest.raises(DfsyncError, match=says):
            read(tmp_path, text)


def test_a_base_may_have_a_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.toml").write_text('base = "discovered"\nexclude = ["a"]\n[tables.b]\nid = "nr"')
    monkeypatch.setattr(ready_made, "ready_made", lambda: {"own": tmp_path / "own.toml"})
    content, inherited = ready_made.laid_over_base({"base": "own", "exclude": ["c"], "tables": {"b": {"after": []}}})
    assert content == {
        "base": "discovered",
        "exclude": ["a", "c"],
        "tables": {"b": {"id": "nr", "after": []}},
    }
    assert inherited == {"b": {"id"}}
