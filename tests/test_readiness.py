"""What of the target's tables is in the way of writing to them, or changes what is written."""

# ruff: noqa: E501 -- SQL reads better unbroken
from __future__ import annotations

import re
import uuid
from pathlib import Path

import pytest
from ends import Ends
from history import counts, execute, user
from sqlalchemy import Engine

from dfsync.check import CheckResult, check
from dfsync.errors import DfsyncError
from dfsync.options import Options

SOURCE = """
    CREATE TABLE `100%, a``b` (id INTEGER PRIMARY KEY, code TEXT UNIQUE, `n, m%` INTEGER);
    CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES `100%, a``b` (id), name VARCHAR(20) UNIQUE);
    INSERT INTO `100%, a``b` VALUES (1, 'a', 5), (2, 'b', 6);
    INSERT INTO child VALUES (1, 1, 'x')"""
PARENT = "`100%, a``b`"


@pytest.fixture
def ends(tmp_path: Path, target: Engine) -> Ends:
    made = Ends(tmp_path, target)
    made.here(SOURCE)
    made.there(None)
    return made


def looked(ends: Ends, url: object = None, **options: object) -> CheckResult:
    return check(ends.source, url or ends.target.url, Options(**options))  # type: ignore[arg-type]


def said(result: CheckResult, level: str) -> list[tuple[str, str]]:
    return [(finding.table, finding.message) for finding in result.findings if finding.level == level]


class TestAnEngineThatCannotRollBack:
    @pytest.mark.parametrize("engine", ["MyISAM", "Aria", "MEMORY"])
    def test_is_refused_with_the_statement_that_changes_it(self, ends: Ends, engine: str) -> None:
        if engine not in {name for name, *_ in ends.read_there("SHOW ENGINES")}:
            pytest.skip("this server has no such engine")
        ((_, script),) = ends.read_there("SHOW CREATE TABLE child")
        (name,) = re.findall("CONSTRAINT `(.*?)` FOREIGN KEY", script)
        execute(ends.target, f"ALTER TABLE child DROP FOREIGN KEY `{name}`", f"ALTER TABLE child ENGINE = {engine}")
        for dry_run in (False, True):
            with pytest.raises(
                DfsyncError, match=rf"child \({engine}\) cannot roll back .* ALTER TABLE child ENGINE=InnoDB\.$"
            ):
                ends.sync(dry_run=dry_run)
        assert not (ends.folder / "out").exists()
        assert ends.everything() == {"100%, a`b": [], "child": []}
        result = looked(ends)
        ((table, message),) = said(result, "error")
        assert (table, message) == ("child", f"its engine {engine} cannot roll back what a failed run has written")
        assert counts(ends.sync(tables=("100%, a`b",))) == {"100%, a`b": (2, 0, 0)}
        execute(ends.target, next(f.fix or "" for f in result.findings if f.level == "error"))
        assert counts(ends.sync()) == {"100%, a`b": (0, 2, 0), "child": (1, 0, 0)}


class TestARight:
    def seen(self, ends: Ends, *grants: str, **options: object) -> list[tuple[str, str]]:
        with user(ends.target, "a pass word", "SELECT ON *", *grants) as name:
            result = looked(ends, ends.target.url.set(username=name, password="a pass word"), **options)
            ends.target.dispose()
        return [(table, message.partition(" here: ")[0]) for table, message in said(result, "error")]

    def test_to_insert_is_missed(self, ends: Ends) -> None:
        no = "the target does not let its user INSERT"
        assert self.seen(ends) == [("100%, a`b", no), ("child", no)]
        assert self.seen(ends, "INSERT ON child") == [("100%, a`b", no)]
        assert self.seen(ends, "INSERT ON child", tables=("child",)) == [
            ("child", "missing parent: 100%, a`b has no row with this id in the target (such as '1' in ID 1)")
        ]
        assert self.seen(ends, "INSERT (parent) ON child", f"INSERT ON {PARENT}") == [("child", no)]

    @pytest.mark.parametrize(
        "grants",
        [
            ("INSERT ON *",),
            ("INSERT ON child", f"INSERT ON {PARENT}"),
            ("INSERT (name, parent) ON child", f"INSERT (`n, m%`, code) ON {PARENT}"),
        ],
    )
    def test_is_enough_at_any_level(self, ends: Ends, grants: tuple[str, ...]) -> None:
        assert self.seen(ends, *grants) == []

    def test_to_update_is_missed_where_rows_will_be_updated(self, ends: Ends) -> None:
        assert self.seen(ends, "INSERT ON *", on_match="skip") == []
        no = "the target does not let its user UPDATE"
        assert self.seen(ends, "INSERT ON *", on_match="update") == [("100%, a`b", no), ("child", no)]
        assert self.seen(ends, "INSERT ON *", "UPDATE ON *", on_match="update") == []

    def test_comes_from_a_role_too(self, ends: Ends) -> None:
        role = f"r{uuid.uuid4().hex[:12]}"
        execute(ends.target, f"CREATE ROLE {role}", f"GRANT INSERT ON {ends.target.url.database}.* TO {role}")
        try:
            with user(ends.target, "a pass word", "SELECT ON *") as name:
                execute(ends.target, f"GRANT {role} TO {name}")
                url = ends.target.url.set(username=name, password="a pass word")
                assert [t for t, _ in said(looked(ends, url), "error")] == ["100%, a`b", "child"]
                execute(
                    ends.target,
                    f"SET DEFAULT ROLE {role} {'FOR' if 'MariaDB' in ends.read_there('SELECT VERSION()')[0][0] else 'TO'} {name}",
                )
                assert said(looked(ends, url), "error") == []
        finally:
            execute(ends.target, f"DROP ROLE {role}")

    def test_is_missed_in_one_line_for_all_tables(self, ends: Ends) -> None:
        with user(ends.target, "a pass word", "SELECT ON *") as name:
            lines = looked(ends, ends.target.url.set(username=name, password="a pass word")).lines()
        assert [line for line in lines if line.startswith("ERROR")] == [
            "ERROR 100%, a`b, child: the target does not let its user INSERT here: INSERT"
        ]

    def test_is_asked_for_without_writing(self, ends: Ends) -> None:
        assert looked(ends, on_match="update").ok
        assert ends.everything() == {"100%, a`b": [], "child": []}


class TestATriggerBefore:
    def test_an_insert_or_an_update_is_noted(self, ends: Ends) -> None:
        execute(
            ends.target,
            "CREATE TRIGGER low BEFORE INSERT ON child FOR EACH ROW SET NEW.name = LOWER(NEW.name)",
            "CREATE TRIGGER up BEFORE UPDATE ON child FOR EACH ROW SET NEW.name = UPPER(NEW.name)",
            "CREATE TRIGGER late AFTER INSERT ON child FOR EACH ROW SET @x = 1",
        )
        low = ("child", "the trigger low may change rows before INSERT; `dfsync verify` tells where it did")
        up = ("child", "the trigger up may change rows before UPDATE; `dfsync verify` tells where it did")
        assert said(looked(ends), "note") == [low]
        assert said(looked(ends, on_match="update"), "note") == [low, up]
        assert looked(ends).ok
