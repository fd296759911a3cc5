"""What of the target's tables is in the way of writing to them, or changes what is written."""

# ruff: noqa: E501 -- SQL reads better unbroken
from __future__ import annotations

import re
import uuid
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dfsync.cli.render.check import check_lines
from dfsync.commands.check import CheckResult, check
from dfsync.model.errors import DfsyncError
from dfsync.model.options import SyncOptions
from tests.support.git_history import counts, execute, user
from tests.support.scenario import Scenario

SOURCE = """
    CREATE TABLE `100%, a``b` (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, `n, m%` INTEGER);
    CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES `100%, a``b` (id), name VARCHAR(20) NOT NULL UNIQUE);
    INSERT INTO `100%, a``b` VALUES (1, 'a', 5), (2, 'b', 6);
    INSERT INTO child VALUES (1, 1, 'x')"""
PARENT = "`100%, a``b`"


@pytest.fixture
def scenario(tmp_path: Path, target: Engine) -> Scenario:
    made = Scenario(tmp_path, target)
    made.create_source(SOURCE)
    made.create_target(None)
    return made


def looked(scenario: Scenario, url: object = None, **options: object) -> CheckResult:
    return check(scenario.source, url or scenario.target.url, options=SyncOptions(**options))  # type: ignore[arg-type]


def said(result: CheckResult, level: str) -> list[tuple[str, str]]:
    return [(finding.table, finding.message) for finding in result.findings if finding.level == level]


class TestAnEngineThatCannotRollBack:
    @pytest.mark.parametrize("engine", ["MyISAM", "Aria", "MEMORY"])
    def test_is_refused_with_the_statement_that_changes_it(self, scenario: Scenario, engine: str) -> None:
        if engine not in {name for name, *_ in scenario.read_target("SHOW ENGINES")}:
            pytest.skip("this server has no such engine")
        ((_, script),) = scenario.read_target("SHOW CREATE TABLE child")
        (name,) = re.findall("CONSTRAINT `(.*?)` FOREIGN KEY", script)
        execute(scenario.target, f"ALTER TABLE child DROP FOREIGN KEY `{name}`", f"ALTER TABLE child ENGINE = {engine}")
        for dry_run in (False, True):
            with pytest.raises(
                DfsyncError, match=rf"child \({engine}\) cannot roll back .* ALTER TABLE child ENGINE=InnoDB\.$"
            ):
                scenario.sync(dry_run=dry_run)
        assert not (scenario.folder / "out").exists()
        assert scenario.all_rows() == {"100%, a`b": [], "child": []}
        result = looked(scenario)
        ((table, message),) = said(result, "error")
        assert (table, message) == ("child", f"its engine {engine} cannot roll back what a failed run has written")
        assert counts(scenario.sync(tables=("100%, a`b",))) == {"100%, a`b": (2, 0, 0)}
        execute(scenario.target, next(f.fix or "" for f in result.findings if f.level == "error"))
        assert counts(scenario.sync()) == {"100%, a`b": (0, 2, 0), "child": (1, 0, 0)}


class TestARight:
    def seen(self, scenario: Scenario, *grants: str, **options: object) -> list[tuple[str, str]]:
        with user(scenario.target, "a pass word", "SELECT ON *", *grants) as name:
            result = looked(scenario, scenario.target.url.set(username=name, password="a pass word"), **options)
            scenario.target.dispose()
        return [(table, message.partition(" here: ")[0]) for table, message in said(result, "error")]

    def test_to_insert_is_missed(self, scenario: Scenario) -> None:
        no = "the target does not let its user INSERT"
        assert self.seen(scenario) == [("100%, a`b", no), ("child", no)]
        assert self.seen(scenario, "INSERT ON child") == [("100%, a`b", no)]
        not_there = (
            "missing parent: 100%, a`b has no row with this id in the target, and is not among the tables of this"
        )
        assert self.seen(scenario, "INSERT ON child", tables=("child",)) == [
            ("child", f"{not_there} run (such as '1' in ID 1)")
        ]
        assert self.seen(scenario, "INSERT (parent) ON child", f"INSERT ON {PARENT}") == [("child", no)]

    @pytest.mark.parametrize(
        "grants",
        [
            ("INSERT ON *",),
            ("INSERT ON child", f"INSERT ON {PARENT}"),
            ("INSERT (name, parent) ON child", f"INSERT (`n, m%`, code) ON {PARENT}"),
        ],
    )
    def test_is_enough_at_any_level(self, scenario: Scenario, grants: tuple[str, ...]) -> None:
        assert self.seen(scenario, *grants) == []

    def test_to_update_is_missed_where_rows_will_be_updated(self, scenario: Scenario) -> None:
        assert self.seen(scenario, "INSERT ON *", on_match="skip") == []
        no = "the target does not let its user UPDATE"
        assert self.seen(scenario, "INSERT ON *", on_match="update") == [("100%, a`b", no), ("child", no)]
        assert self.seen(scenario, "INSERT ON *", "UPDATE ON *", on_match="update") == []

    def test_comes_from_a_role_too(self, scenario: Scenario) -> None:
        role = f"r{uuid.uuid4().hex[:12]}"
        execute(scenario.target, f"CREATE ROLE {role}", f"GRANT INSERT ON {scenario.target.url.database}.* TO {role}")
        try:
            with user(scenario.target, "a pass word", "SELECT ON *") as name:
                execute(scenario.target, f"GRANT {role} TO {name}")
                url = scenario.target.url.set(username=name, password="a pass word")
                assert [t for t, _ in said(looked(scenario, url), "error")] == ["100%, a`b", "child"]
                execute(
                    scenario.target,
                    f"SET DEFAULT ROLE {role} {'FOR' if 'MariaDB' in scenario.read_target('SELECT VERSION()')[0][0] else 'TO'} {name}",
                )
                assert said(looked(scenario, url), "error") == []
        finally:
            execute(scenario.target, f"DROP ROLE {role}")

    def test_is_missed_in_one_line_for_all_tables(self, scenario: Scenario) -> None:
        with user(scenario.target, "a pass word", "SELECT ON *") as name:
            lines = check_lines(looked(scenario, scenario.target.url.set(username=name, password="a pass word")))
        assert [line for line in lines if line.startswith("ERROR")] == [
            "ERROR 100%, a`b, child: the target does not let its user INSERT here: INSERT"
        ]

    def test_is_asked_for_without_writing(self, scenario: Scenario) -> None:
        assert looked(scenario, on_match="update").ok
        assert scenario.all_rows() == {"100%, a`b": [], "child": []}


class TestATriggerBefore:
    def test_an_insert_or_an_update_is_noted(self, scenario: Scenario) -> None:
        execute(
            scenario.target,
            "CREATE TRIGGER low BEFORE INSERT ON child FOR EACH ROW SET NEW.name = LOWER(NEW.name)",
            "CREATE TRIGGER up BEFORE UPDATE ON child FOR EACH ROW SET NEW.name = UPPER(NEW.name)",
            "CREATE TRIGGER late AFTER INSERT ON child FOR EACH ROW SET @x = 1",
        )
        low = ("child", "the trigger low may change rows before INSERT; `dfsync verify` tells where it did")
        up = ("child", "the trigger up may change rows before UPDATE; `dfsync verify` tells where it did")
        assert said(looked(scenario), "note") == [low]
        assert said(looked(scenario, on_match="update"), "note") == [low, up]
        assert looked(scenario).ok
