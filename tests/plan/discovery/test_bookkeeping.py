"""Tables in which frameworks keep their books: known by name and columns, left out, and compared."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

import dfsync
from dfsync.__main__ import main
from dfsync.plan.discovery.bookkeeping import bookkeeping_tables
from dfsync.source.sqlite import SqliteSource
from tests.support.git_history import execute, fetch, run_sql
from tests.support.runs.discovered_plan import discover

SOURCE = """
    CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
    CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    INSERT INTO alembic_version VALUES ('451aebb31d03'); INSERT INTO people VALUES (7, 'ann')"""
TARGET = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)",
    "CREATE TABLE people (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) NOT NULL UNIQUE)",
    "INSERT INTO alembic_version VALUES ('dc11669786a5')",
)
SAME_VERSION = "UPDATE alembic_version SET version_num = '451aebb31d03'"
DJANGO = "CREATE TABLE django_migrations (id INTEGER PRIMARY KEY, app VARCHAR(9), name VARCHAR(9), applied TEXT)"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return run_sql(tmp_path / "source.db", SOURCE)


def accepting(folder: Path) -> Path:
    file = folder / "accepting.toml"
    file.write_text('base = "discovered"\nother_version = "accept"\n')
    return file


def found(folder: Path, script: str) -> set[str]:
    with SqliteSource(run_sql(folder / "tables.db", script)) as source:
        return {*bookkeeping_tables(source.schema)}


class TestKnownTables:
    def test_by_name_and_columns(self, tmp_path: Path) -> None:
        script = """CREATE TABLE django_migrations (id INTEGER PRIMARY KEY, app TEXT, name TEXT, applied TEXT);
            CREATE TABLE SequelizeMeta (name TEXT PRIMARY KEY);
            CREATE TABLE __EFMigrationsHistory (MigrationId TEXT PRIMARY KEY, ProductVersion TEXT);
            CREATE TABLE schema_changes (change_id INTEGER PRIMARY KEY, schema_version INT, changed DATETIME);
            CREATE TABLE migration_changes (migration_id VARCHAR(255) PRIMARY KEY, version SMALLINT);
            CREATE TABLE sessions (id TEXT, user_id INT, ip_address TEXT, user_agent TEXT, payload TEXT,
                last_activity INT)"""
        names = {"django_migrations", "SequelizeMeta", "__EFMigrationsHistory", "schema_changes", "sessions"}
        names.add("migration_changes")
        assert found(tmp_path, script) == names

    def test_not_by_the_name_alone(self, tmp_path: Path) -> None:
        # IPython's sessions, the flights of birds, and somebody's own list.
        script = """CREATE TABLE sessions (session INTEGER PRIMARY KEY, start TEXT, num_cmds INT, remark TEXT);
            CREATE TABLE migrations (id INTEGER PRIMARY KEY, bird TEXT, "from" TEXT, "to" TEXT);
            CREATE TABLE schema_changes (id INTEGER PRIMARY KEY, what TEXT)"""
        assert found(tmp_path, script) == set()

    def test_not_where_the_data_refer_to_it(self, tmp_path: Path) -> None:
        script = """CREATE TABLE sessions (id INTEGER PRIMARY KEY, session_id TEXT, data TEXT, updated_at TEXT);
            CREATE TABLE carts (id INTEGER PRIMARY KEY, session INT REFERENCES sessions)"""
        assert found(tmp_path, script) == set()


class TestADiscoveredPlan:
    def test_leaves_them_out(self, source: Path, target: Engine, tmp_path: Path) -> None:
        execute(target, *TARGET)
        plan = dfsync.resolve_plan(source, target.url)
        assert (plan.plan.names, plan.plan.left_out) == (["people"], ("alembic_version",))
        assert plan.notes == [
            "left out, because a framework keeps its books there: alembic_version; a plan file that names one takes it"
        ]
        options = dfsync.SyncOptions(plan=accepting(tmp_path))
        assert dfsync.sync(source, target.url, out=tmp_path / "out", options=options).ok
        assert fetch(target, "SELECT * FROM alembic_version") == [("dc11669786a5",)]

    def test_takes_them_where_there_is_nothing_else(self, tmp_path: Path) -> None:
        plan = discover(tmp_path, "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
        assert (plan.names, plan.left_out) == (["alembic_version"], ())

    def test_of_a_file_takes_those_that_it_names(self, source: Path, target: Engine, tmp_path: Path) -> None:
        execute(target, *TARGET)
        file = tmp_path / "plan.toml"
        file.write_text("[tables.alembic_version]\n[tables.people]")
        options = dfsync.SyncOptions(plan=file)
        assert dfsync.sync(source, target.url, out=tmp_path / "out", options=options).ok
        assert len(fetch(target, "SELECT * FROM alembic_version")) == 2

    def test_is_told(self, source: Path, target: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        execute(target, *TARGET, SAME_VERSION)
        url = target.url.render_as_string(hide_password=False)
        for command, out in (("plan", []), ("check", []), ("sync", ["--out", str(tmp_path / "out")])):
            assert main([command, "--source", str(source), "--target", url, *out]) == 0
            assert "alembic_version; a plan file that names" in " ".join(capsys.readouterr().out.split())


class TestTheirVersions:
    def said(self, source: Path, target: Engine, level: str = "error", plan: Path | None = None) -> list[str]:
        found = dfsync.check(source, target.url, options=dfsync.SyncOptions(plan=plan)).findings
        return [finding.message for finding in found if finding.level == level]

    def of_django(self, folder: Path, target: Engine, here: str, there: str) -> Path:
        execute(target, DJANGO, "CREATE TABLE a (x INTEGER)", there)
        script = "; ".join([DJANGO, "CREATE TABLE a (x INTEGER)", here])
        return run_sql(folder / "source.db", script)

    def test_that_differ_are_an_error(self, source: Path, target: Engine) -> None:
        execute(target, *TARGET)
        assert self.said(source, target) == [
            "the source is at 451aebb31d03, the target is at dc11669786a5: bring both to one version first; where it "
            'does no harm, say other_version = "accept" in a plan file, below base = "discovered"'
        ]

    def test_that_differ_keep_a_sync_from_its_first_row(self, source: Path, target: Engine, tmp_path: Path) -> None:
        execute(target, *TARGET)
        with pytest.raises(dfsync.DfsyncError, match="By the table alembic_version, the source is at 451aebb31d03"):
            dfsync.sync(source, target.url, out=tmp_path / "out")
        assert fetch(target, "SELECT COUNT(*) FROM people") == [(0,)]

    def test_that_differ_are_accepted_by_a_plan(self, source: Path, target: Engine, tmp_path: Path) -> None:
        execute(target, *TARGET)
        plan = accepting(tmp_path)
        assert self.said(source, target, plan=plan) == []
        assert any(message.endswith("; the plan accepts it") for message in self.said(source, target, "note", plan))
        options = dfsync.SyncOptions(plan=plan)
        assert dfsync.sync(source, target.url, out=tmp_path / "out", options=options).ok

    def test_that_are_equal_are_not_told(self, source: Path, target: Engine, tmp_path: Path) -> None:
        execute(target, *TARGET, SAME_VERSION)
        assert self.said(source, target) == []
        assert dfsync.sync(source, target.url, out=tmp_path / "out").ok

    def test_of_one_side_alone_are_a_note(self, source: Path, target: Engine) -> None:
        execute(target, TARGET[1])
        assert "only the source has it: versions are not compared" in self.said(source, target, "note")
        assert self.said(source, target) == []

    def test_of_migrations_for_one_kind_of_database_are_a_warning(self, tmp_path: Path, target: Engine) -> None:
        table = "CREATE TABLE _prisma_migrations (migration_name VARCHAR(9), checksum TEXT, finished_at DATETIME)"
        people = "CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(9) UNIQUE)"
        entry = "INSERT INTO _prisma_migrations VALUES ('{}', '', NULL)"
        source = run_sql(tmp_path / "source.db", "; ".join([table, people, entry.format("a")]))
        execute(target, table, people.replace("KEY", "KEY AUTO_INCREMENT"), entry.format("b"))
        differing = "the source is at a, the target is at b: bring both to one version first"
        assert differing in self.said(source, target, "warning")
        assert self.said(source, target) == []

    def test_of_which_each_part_has_its_own(self, tmp_path: Path, target: Engine) -> None:
        here = """INSERT INTO django_migrations
            VALUES (1, 'auth', '0001', ''), (2, 'auth', '0002', ''), (3, 'shop', '0004', ''), (4, 'blog', '0001', '')"""
        there = """INSERT INTO django_migrations
            VALUES (5, 'auth', '0002', ''), (6, 'shop', '0003', ''), (7, 'blog', '0002', '')"""
        source = self.of_django(tmp_path, target, here, there)
        assert self.said(source, target)[0].startswith(
            "the source is at blog.0001, the target is at blog.0002, and so on for 1 other part: bring both to one "
        )

    def test_of_parts_that_one_side_lacks_are_a_note(self, tmp_path: Path, target: Engine) -> None:
        here = "INSERT INTO django_migrations VALUES (1, 'auth', '0001', ''), (2, 'shop', '0002', '')"
        there = "INSERT INTO django_migrations VALUES (5, 'auth', '0001', '')"
        source = self.of_django(tmp_path, target, here, there)
        assert self.said(source, target) == []
        assert "only the source has entries of shop" in self.said(source, target, "note")

    def test_of_several_entries(self, tmp_path: Path, target: Engine) -> None:
        table = "CREATE TABLE knex_migrations (id INTEGER PRIMARY KEY, name VARCHAR(9), batch INT, migration_time TEXT)"
        entries = "INSERT INTO knex_migrations VALUES (1, 'a.js', 1, ''), (2, 'b.js', 1, '')"
        source = run_sql(tmp_path / "source.db", "; ".join([table, "CREATE TABLE a (x INTEGER)", entries]))
        execute(target, table, "CREATE TABLE a (x INTEGER)", "INSERT INTO knex_migrations VALUES (5, 'a.js', 1, '')")
        assert self.said(source, target)[0].startswith(
            "the target lacks 1 of its entries, such as b.js: bring both to one version first"
        )

    def test_of_which_the_last_counts(self, tmp_path: Path, target: Engine) -> None:
        table = "CREATE TABLE schema_changes (change_id INTEGER PRIMARY KEY, schema_version INT, changed DATETIME)"
        entries = "INSERT INTO schema_changes VALUES (1, 40, NULL), (2, 41, NULL)"
        source = run_sql(tmp_path / "source.db", "; ".join([table, "CREATE TABLE a (x INTEGER)", entries]))
        execute(target, table, "CREATE TABLE a (x INTEGER)", "INSERT INTO schema_changes VALUES (9, 42, NULL)")
        assert self.said(source, target)[0].startswith("the source is at 41, the target is at 42: ")
