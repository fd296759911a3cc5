"""What is synced: the chosen tables, missing ones, other columns, and databases with a plan of their own."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dfsync.__main__ import main
from dfsync.commands.check import check
from dfsync.commands.plan import resolve_plan
from dfsync.commands.sync import sync
from dfsync.model.errors import DfsyncError
from dfsync.model.options import SyncOptions
from tests.support.git_history import (
    TABLES,
    counts,
    create_tables,
    empty_source,
    execute,
    fetch,
    ids,
    run,
    run_sql,
    sample,
    source_rows,
)

HISTORY = """
    INSERT INTO repositories (id, slug) VALUES (5, 'a'), (6, 'b');
    INSERT INTO commits (id, repository_id, hash) VALUES (1, 5, 'x'), (2, 6, 'y');
    INSERT INTO pull_requests (id, repository_id, pr_id) VALUES (9, 6, 1);
    INSERT INTO pr_approvals (id, pull_request_id, user_email) VALUES (4, 9, 'm');
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return run_sql(empty_source(tmp_path / "s.db"), HISTORY)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def refused(source: Path, target: Engine, out: Path, options: SyncOptions | None = None) -> str:
    with pytest.raises(DfsyncError) as caught:
        sync(source, target.url, out=out, options=options)
    assert not out.exists()
    return str(caught.value)


class TestAMissingTable:
    def test_of_the_source_is_passed_over_and_said_so(self, source: Path, target: Engine, out: Path) -> None:
        create_tables(target)
        run_sql(source, "DROP TABLE staff_metrics; DROP TABLE pr_approvals")
        result = run(source, target, out)
        assert result.ok
        assert {c.name: c.note for c in result.counts if c.note} == {
            "pr_approvals": "the source has no table pr_approvals",
            "staff_metrics": "the source has no table staff_metrics",
        }
        assert set(result.mappings) == set(TABLES) - {"pr_approvals", "staff_metrics"}

    def test_of_the_source_may_be_missing_in_the_target_too(self, source: Path, target: Engine, out: Path) -> None:
        create_tables(target)
        run_sql(source, "DROP TABLE staff_metrics")
        execute(target, "DROP TABLE staff_metrics")
        assert run(source, target, out).ok

    def test_that_was_synced_before_keeps_its_map(self, source: Path, target: Engine, out: Path) -> None:
        create_tables(target)
        run(source, target, out)
        before = json.loads((out / "id_mappings.json").read_text())
        run_sql(source, "DROP TABLE pr_approvals")
        run(source, target, out)
        assert json.loads((out / "id_mappings.json").read_text()) == before
        assert before["pr_approvals"] == {"4": 1}

    def test_of_the_target_is_an_error_that_names_the_command(self, source: Path, target: Engine, out: Path) -> None:
        create_tables(target)
        execute(target, "DROP TABLE pr_approvals, staff_metrics")
        assert refused(source, target, out) == (
            f"The target lacks pr_approvals, staff_metrics. `dfsync.create_tables({str(source)!r})`, with target= if "
            "you gave one, makes what is missing."
        )
        assert fetch(target, "SELECT COUNT(*) FROM repositories") == [(0,)]

    def test_of_the_target_is_no_error_where_it_is_not_asked_for(self, source: Path, target: Engine, out: Path) -> None:
        create_tables(target)
        execute(target, "DROP TABLE pr_approvals, staff_metrics")
        assert run(source, target, out, tables=("commits", "repositories")).ok


class TestAMissingColumn:
    def test_of_the_target_is_an_error_that_names_it(self, source: Path, target: Engine, out: Path) -> None:
        create_tables(target)
        execute(target, "ALTER TABLE commits DROP branch, DROP file_types")
        run_sql(source, "UPDATE commits SET branch = 'main', file_types = 'py' WHERE id = 1")
        assert refused(source, target, out) == (
            "The target's commits lacks the source's column branch, file_types. Add it there, or list it in "
            "ignore_columns of [tables.commits] in a plan file."
        )

    def test_may_be_ignored(self, source: Path, target: Engine, out: Path) -> None:
        create_tables(target)
        execute(target, "ALTER TABLE commits DROP branch, DROP file_types")
        plan = out.with_name("plan.toml")
        plan.write_text('[tables.repositories]\n[tables.commits]\nignore_columns = ["branch", "file_types"]\n')
        assert counts(run(source, target, out, plan=plan)) == {"repositories": (2, 0, 0), "commits": (2, 0, 0)}

    def test_of_the_source_gets_its_default(self, source: Path, target: Engine, out: Path) -> None:
        create_tables(target)
        execute(target, "ALTER TABLE repositories ADD team VARCHAR(9) NOT NULL DEFAULT 'none', ADD since DATE FIRST")
        assert run(source, target, out).ok
        assert fetch(target, "SELECT slug, team, since FROM repositories") == [("a", "none", None), ("b", "none", None)]

    def test_of_the_source_that_the_target_must_have_is_an_error(self, source: Path, target: Engine, out: Path) -> None:
        create_tables(target)
        execute(target, "ALTER TABLE repositories ADD team VARCHAR(9) NOT NULL")
        assert "needs a value for team, which is NOT NULL and has no default" in refused(source, target, out)

    def test_that_the_target_computes_is_left_to_it(self, source: Path, target: Engine, out: Path) -> None:
        create_tables(target)
        execute(
            target,
            "ALTER TABLE repositories DROP name, ADD name VARCHAR(255) GENERATED ALWAYS AS (UPPER(slug)) VIRTUAL",
        )
        assert run(source, target, out).ok
        assert fetch(target, "SELECT slug, name FROM repositories") == [("a", "A"), ("b", "B")]

    def test_auto_increment_is_needed(self, source: Path, target: Engine, out: Path) -> None:
        create_tables(target)
        execute(target, "ALTER TABLE authors MODIFY id INT NOT NULL")
        said = refused(source, target, out)
        assert "authors.id is called like an id, and the target does not number it (no AUTO_INCREMENT)" in said
        assert '[tables.authors]\n    id = ""\n    # or: id = "id"' in said


class TestTheChosenTables:
    def test_are_synced_and_their_parents_only_matched(self, source: Path, target: Engine, out: Path) -> None:
        create_tables(target)
        execute(target, "INSERT INTO repositories (id, slug) VALUES (50, 'b')")
        result = run(source, target, out, tables=("commits", "pr_approvals"))
        assert counts(result) == {"commits": (1, 0, 1), "pr_approvals": (0, 0, 1)}
        assert fetch(target, "SELECT repository_id, hash FROM commits") == [(50, "y")]
        assert fetch(target, "SELECT COUNT(*) FROM repositories") == [(1,)]
        assert fetch(target, "SELECT COUNT(*) FROM pull_requests") == [(0,)]
        assert set(json.loads((out / "id_mappings.json").read_text())) == {"commits", "pr_approvals"}
        assert list(result.rejects["commits"]["old_id"]) == [1]

    def test_one_after_the_other_are_the_same_as_all_at_once(self, source: Path, target: Engine, out: Path) -> None:
        create_tables(target)
        for name in ("repositories", "commits", "pull_requests", "pr_approvals"):
            assert run(source, target, out, tables=(name,)).ok
        step_by_step = json.loads((out / "id_mappings.json").read_text())
        run(source, target, out)
        assert {name: known for name, known in json.loads((out / "id_mappings.json").read_text()).items() if known} == (
            step_by_step
        )

    def test_of_an_unknown_name_are_an_error_with_a_suggestion(self, source: Path, target: Engine, out: Path) -> None:
        create_tables(target)
        said = refused(source, target, out, SyncOptions(tables=("comits",)))
        assert said == "No table 'comits' in the built-in plan. Did you mean 'commits'?"


FAMILY_PLAN = """
[tables.repos]
table = "repositories"
natural_key = ["slug_name"]

[tables.commits]
natural_key = ["commit_hash", "repository_id"]
foreign_keys = { repository_id = "repos" }

[tables.prs]
table = "pull_requests"
natural_key = ["pr_number", "repository_id"]
foreign_keys = { repository_id = "repos" }

[tables.approvals]
table = "pr_approvals"
natural_key = ["pull_request_id", "approver_email"]
foreign_keys = { pull_request_id = "prs" }
"""
RENAMED = {
    "repositories": {"slug": "slug_name"},
    "commits": {"hash": "commit_hash"},
    "pull_requests": {"pr_id": "pr_number"},
    "pr_approvals": {"user_email": "approver_email"},
}
FAMILY = {"repos": "repositories", "commits": "commits", "prs": "pull_requests", "approvals": "pr_approvals"}


@pytest.fixture
def family(tmp_path: Path) -> Path:
    """A database of the same kind under other names, with no authors and nothing declared."""
    made = tmp_path / "family.db"
    with closing(sqlite3.connect(sample(tmp_path / "history.db", 120))) as connection:
        connection.execute("ATTACH ? AS family", (str(made),))
        for table, renamed in RENAMED.items():
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[1] != "id"]
            columns = ", ".join(f"{name} AS {renamed.get(name, name)}" for name in names)
            declared = ", ".join(renamed.get(name, name) for name in names)
            connection.execute(f"CREATE TABLE family.{table} (id INTEGER PRIMARY KEY, {declared})")
            connection.execute(f"INSERT INTO family.{table} SELECT id, {columns} FROM main.{table}")  # noqa: S608
        connection.commit()
    return made


def family_there(target: Engine) -> None:
    create_tables(target)
    execute(
        target,
        "DROP TABLE authors",
        *(f"ALTER TABLE {t} RENAME COLUMN {old} TO {new}" for t, c in RENAMED.items() for old, new in c.items()),
    )


class TestAPlanOfOnesOwn:
    def test_brings_a_database_of_the_same_family(self, family: Path, target: Engine, out: Path) -> None:
        family_there(target)
        plan = out.with_name("family.toml")
        plan.write_text(FAMILY_PLAN)
        execute(
            target,
            "INSERT INTO repositories (id, slug_name) VALUES (12, 'theirs'), (90, 'SLUG')".replace(
                "SLUG", source_rows(family, "repositories")[12]["slug_name"]
            ),
        )
        result = run(family, target, out, plan=plan)
        rows = {name: source_rows(family, table) for name, table in FAMILY.items()}
        expected = {name: (len(found), 0, 0) for name, found in rows.items()}
        assert counts(result) == {**expected, "repos": (len(rows["repos"]) - 1, 1, 0)}
        assert ids(result.mappings["repos"])[12] == 90
        approvals = """SELECT slug_name, pr_number, approver_email, status FROM pr_approvals
            JOIN pull_requests p ON p.id = pull_request_id JOIN repositories r ON r.id = repository_id
            ORDER BY 1, 2, 3"""
        commits = """SELECT slug_name, commit_hash, message FROM commits JOIN repositories r ON r.id = repository_id
            ORDER BY 1, 2"""
        with closing(sqlite3.connect(family)) as connection:
            for query in (approvals, commits):
                assert fetch(target, query) == connection.execute(query).fetchall() != []
        assert set(json.loads((out / "id_mappings.json").read_text())) == set(FAMILY)
        assert counts(run(family, target, out, plan=plan)) == {name: (0, len(found), 0) for name, found in rows.items()}

    def test_may_write_names_in_other_case(self, source: Path, target: Engine, out: Path) -> None:
        create_tables(target)
        execute(target, "INSERT INTO repositories (id, slug) VALUES (50, 'zzz')")
        plan = out.with_name("plan.toml")
        plan.write_text(
            '[tables.repos]\ntable = "Repositories"\nid = "ID"\nnatural_key = ["Slug"]\n'
            '[tables.commits]\ntable = "COMMITS"\nid = "Id"\nnatural_key = ["HASH", "Repository_ID"]\n'
            'foreign_keys = { REPOSITORY_id = "repos" }\nignore_columns = ["MESSAGE"]\n'
        )
        result = run(source, target, out, plan=plan)
        assert counts(result) == {"repos": (2, 0, 0), "commits": (2, 0, 0)}
        assert fetch(target, "SELECT slug, hash FROM commits JOIN repositories r ON r.id = repository_id") == [
            ("a", "x"),
            ("b", "y"),
        ]

    def test_that_names_a_column_which_is_not_there_is_an_error(self, source: Path, target: Engine, out: Path) -> None:
        create_tables(target)
        plan = out.with_name("plan.toml")
        for setting in ('natural_key = ["slugg"]', 'id = "slugg"', 'foreign_keys = { slugg = "repositories" }'):
            plan.write_text(f"[tables.repositories]\n{setting}\n")
            said = refused(source, target, out, SyncOptions(plan=plan))
            assert "[tables.repositories] names the column 'slugg', but repositories in the source has id, slug" in said

    @pytest.mark.parametrize(
        ("setting", "said"),
        [
            ('natural_key = ["id"]', "has id as its id, which is another one in the target, and in natural_key. Leave"),
            (
                'id = "ID"\nnatural_key = ["Id"]',
                "has id as its id, which is another one in the target, and in natu",
            ),
            (
                'foreign_keys = { ID = "repositories" }',
                "has id as its id, which is another one in the target, and in for",
            ),
            (
                'id = "slug"',
                "has slug as its id, and 2 rows of repositories have a value there that is no integer. Name",
            ),
            (
                'id = "num"',
                "has num as its id, and 1 row of repositories have a value there that another row",
            ),
            ('ignore_columns = ["slgu"]', "names the column 'slgu', but repositories in the source has id, slug"),
            ('ignore_columns = ["slgu"]', "Did you mean 'slug'?"),
        ],
    )
    def test_that_cannot_be_done_is_an_error(
        self, source: Path, target: Engine, out: Path, setting: str, said: str
    ) -> None:
        create_tables(target)
        run_sql(source, "ALTER TABLE repositories ADD num INTEGER; UPDATE repositories SET num = 7")
        plan = out.with_name("plan.toml")
        plan.write_text(f"[tables.repositories]\n{setting}\n")
        assert said in refused(source, target, out, SyncOptions(plan=plan))
        for command in (check, resolve_plan):
            with pytest.raises(DfsyncError, match=re.escape(said)):
                command(source, target.url, options=SyncOptions(plan=plan))

    def test_may_ignore_a_foreign_key(self, target: Engine, tmp_path: Path, out: Path) -> None:
        source = run_sql(
            tmp_path / "tree.db",
            """CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, up INTEGER REFERENCES t (id));
            INSERT INTO t VALUES (1, 'a', 2), (2, 'b', NULL)""",
        )
        execute(target, "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) UNIQUE, up INT)")
        plan = out.with_name("plan.toml")
        plan.write_text('[tables.t]\nignore_columns = ["UP"]\n')
        assert check(source, target.url, options=SyncOptions(plan=plan)).ok
        assert counts(run(source, target, out, plan=plan)) == {"t": (2, 0, 0)}
        assert fetch(target, "SELECT name, up FROM t ORDER BY id") == [("a", None), ("b", None)]

    def test_with_a_natural_key_that_the_target_computes_is_told_so(self, target: Engine, tmp_path: Path) -> None:
        source = run_sql(tmp_path / "t.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, code TEXT)")
        execute(
            target, "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name TEXT, code CHAR(9) AS (LEFT(name, 9)))"
        )
        plan = tmp_path / "plan.toml"
        plan.write_text('[tables.t]\nnatural_key = ["code"]\n')
        (found,) = check(source, target.url, options=SyncOptions(plan=plan)).findings
        assert (found.column, found.message) == (
            "code",
            "is in the natural key, but is not copied; give the table another natural_key",
        )

    @pytest.mark.parametrize("rows", [0, -1, 10**12])
    def test_takes_no_absurd_batch(self, source: Path, target: Engine, rows: int) -> None:
        with pytest.raises(DfsyncError, match=f"^A batch cannot have {rows} rows: give a number from 1 to 10000000"):
            SyncOptions(batch_size=rows)
        assert main(["--source", str(source), "--target", str(target.url), "--batch-size", str(rows)]) == 2

    def test_is_discovered_where_the_source_is_of_another_kind(self, target: Engine, tmp_path: Path, out: Path) -> None:
        execute(
            target,
            "CREATE TABLE `the owners` (`the id` INT AUTO_INCREMENT PRIMARY KEY, `full name` VARCHAR(20) UNIQUE)",
            "CREATE TABLE `order` (id INT AUTO_INCREMENT PRIMARY KEY, `key` VARCHAR(9) UNIQUE, `owner's` INT,"
            " `100%` INT)",
        )
        source = run_sql(
            tmp_path / "other.db",
            """CREATE TABLE "order" (id INTEGER PRIMARY KEY, "key" TEXT, "owner's" INTEGER REFERENCES "the owners",
            "100%" INTEGER);
            CREATE TABLE "the owners" ("the id" INTEGER PRIMARY KEY, "full name" TEXT);
            INSERT INTO "the owners" VALUES (7, 'Ann'), (8, 'Ben');
            INSERT INTO "order" VALUES (1, 'k1', 8, 100), (2, 'k2', 7, NULL), (3, 'k3', 8, 0);""",
        )
        for local_infile in (True, False):
            result = run(source, target, out, local_infile=local_infile)
            assert result.ok
            assert fetch(
                target,
                "SELECT `full name`, `key`, `100%` FROM `order` JOIN `the owners` ON `the id` = `owner's`"
                " ORDER BY `key`",
            ) == [("Ben", "k1", 100), ("Ann", "k2", None), ("Ben", "k3", 0)]
            assert [c.name for c in result.counts] == ["the owners", "order"]
            execute(target, "DELETE FROM `order`")
