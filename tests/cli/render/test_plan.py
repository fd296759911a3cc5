"""The plan as a table for people."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import rich.console
from rich.text import Text
from sqlalchemy import Engine

from dfsync.cli.render.plan import show_plan
from dfsync.commands.plan import resolve_plan
from dfsync.model.errors import DfsyncError, Remedy
from dfsync.model.options import SyncOptions
from dfsync.plan.questions import require_decided
from tests.support.git_history import empty_source, execute, run_sql
from tests.support.odd_tables import SOURCE, TARGET


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return run_sql(tmp_path / "my.db", SOURCE)


class TestTheTable:
    def test_as_a_pipe_gets_it(self, source: Path, target: Engine) -> None:
        execute(target, TARGET)
        assert shown(source, target) == [
            "Plan: discovered plan, 3 tables",
            "",
            "   name                      id      natural key        foreign keys",
            "1  log                       - [1]   whole content [2]  -",
            "   (not in the target)",
            "2  people                    id [3]  email [4]          boss_id -> people [5]",
            "3  odd _name_ [x]_           nr [3]  whole content [2]  person no -> people [6]",
            '   (table odd "name" [x]\\n)',
            "   (not in the target)",
            "",
            "[1] none: the table has no integer primary key of its own",
            "[2] none found: rows are compared by their whole content",
            "[3] primary key of the source",
            "[4] unique constraint of the target",
            "[5] in a circle of tables: inserted empty and filled in the same transaction",
            "[6] declared in the source",
        ]  # fmt: skip

    def test_warns_of_tables_without_a_natural_key(self, source: Path, target: Engine) -> None:
        found = resolve_plan(source, target.url, options=SyncOptions())
        assert [warning.split(":")[0] for warning in found.warnings] == ["log", "odd _name_ [x]_"]

    def test_names_no_table_missing_that_is_not(self, source: Path, target: Engine, tmp_path: Path) -> None:
        execute(target, TARGET)
        plan = tmp_path / "plan.toml"
        plan.write_text('[tables.people]\nignore_columns = ["boss_id"]\non_match = "update"')
        lines = shown(source, target, plan=plan)
        assert lines[0] == f"Plan: {plan}, 1 table"
        assert lines[4:6] == ["   (on_match update)", "   (ignores boss_id)"]
        assert not [line for line in lines if line.startswith("Warning")]

    def test_of_the_built_in_plan_names_what_the_source_lacks(self, target: Engine, tmp_path: Path) -> None:
        source = run_sql(empty_source(tmp_path / "source.db"), "DROP TABLE staff_metrics")
        lines = shown(source, target)
        assert lines[0] == "Plan: built-in plan, 9 tables"
        assert "   (not in the source)" in [line[:22] for line in lines]
        assert not [line for line in lines if line.startswith("Warning")]

    def test_of_the_built_in_plan_fits_a_page(self, target: Engine, tmp_path: Path) -> None:
        lines = shown(empty_source(tmp_path / "history.db"), target)
        assert lines[0] == "Plan: built-in plan, 9 tables"
        assert max(map(len, lines)) <= 100
        assert (
            "5  pr_approvals                 id [1]  pull_request_id,   pull_request_id -> pull_requests [2]" in lines
        )
        assert lines[-1] == "[2] built-in plan"

    def test_on_a_narrow_terminal_loses_nothing(self, source: Path, target: Engine) -> None:
        out = rich.console.Console(file=io.StringIO(), width=40, force_terminal=True, color_system=None)
        show_plan(resolve_plan(source, target.url, options=SyncOptions()), out)
        assert max(map(len, printed(out))) <= 40
        assert all(word in "".join(printed(out)).replace(" ", "") for word in ("boss_id", "natural", "whole"))

    def test_what_is_undecided_comes_as_lines_of_a_plan_file(self, target: Engine, tmp_path: Path) -> None:
        years = run_sql(tmp_path / "years.db", "CREATE TABLE y (year INTEGER PRIMARY KEY); INSERT INTO y VALUES (2020)")
        lines = shown(years, target)
        at = lines.index("  [tables.y]")
        assert lines[at - 1].startswith("UNDECIDED y.year ")
        assert lines[at + 1 : at + 3] == ['        id = ""', '    or  id = "year"']

    def test_what_is_undecided_of_a_table_with_blanks_in_its_name_can_be_copied(
        self, target: Engine, tmp_path: Path
    ) -> None:
        years = run_sql(tmp_path / "years.db", 'CREATE TABLE "the y" (year INTEGER PRIMARY KEY)')
        run_sql(years, 'INSERT INTO "the y" VALUES (2020)')
        assert '  [tables."the y"]' in shown(years, target)
        found = resolve_plan(years, target.url, options=SyncOptions())
        with pytest.raises(DfsyncError, match=r'    \[tables\."the y"\]\n'):
            require_decided(found.plan, found.questions, Remedy(""))


def shown(source: Path, target: Engine, **options: Any) -> list[str]:
    out = rich.console.Console(file=io.StringIO(), width=100)
    show_plan(resolve_plan(source, target.url, options=SyncOptions(**options)), out)
    text = "\n".join(printed(out))
    return text.split("\n\nWarning")[0].splitlines()


def printed(out: rich.console.Console) -> list[str]:
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue().splitlines()


def test_no_name_is_broken_on_a_narrow_terminal(target: Engine, tmp_path: Path) -> None:
    found = resolve_plan(empty_source(tmp_path / "source.db"), target.url, options=SyncOptions())
    out = rich.console.Console(file=io.StringIO(), width=80, force_terminal=True, no_color=True, _environ={})
    show_plan(found, out)
    lines = [Text.from_ansi(line).plain for line in printed(out)]
    assert max(map(len, lines)) <= 80
    names = {word.strip("()") for line in lines for word in line.split()}
    assert names >= {table.table for table in found.plan.tables}
    assert names >= {column for table in found.plan.tables for column in table.parents}
