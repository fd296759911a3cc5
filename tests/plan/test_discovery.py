"""What a plan leaves out is found by reflection, whatever shape the tables have."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from dfsync.commands.sync import sync
from dfsync.model.errors import DfsyncError
from dfsync.model.options import SyncOptions
from dfsync.pipeline.session.planning import draft_plan, resolve_draft
from dfsync.plan.binding import bind_all
from dfsync.plan.discovery.identity import NOT_ASSIGNED, WHOLE_CONTENT
from dfsync.source.sqlite import SqliteSource
from tests.support.git_history import empty_source, execute, fetch, run_sql
from tests.support.runs.discovered_plan import discover, keys, reflected


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


class TestIds:
    def test_under_any_name(self, folder: Path) -> None:
        plan = discover(
            folder,
            """CREATE TABLE a (nr INTEGER PRIMARY KEY, x);
            CREATE TABLE b (x, "Kunden-Nr." INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT);
            CREATE TABLE c (x, key BIGINT, PRIMARY KEY (key));
            CREATE TABLE d (id INTEGER PRIMARY KEY, x) WITHOUT ROWID;
            CREATE TABLE e (x, rowid INTEGER PRIMARY KEY)""",
        )
        assert {t.name: t.id for t in plan.tables} == {
            "a": "nr",
            "b": "Kunden-Nr.",
            "c": "key",
            "d": "id",
            "e": "rowid",
        }
        assert {t.origin["id"] for t in plan.tables} == {"primary key of the source"}

    def test_none_where_the_key_is_no_integer(self, folder: Path) -> None:
        plan = discover(
            folder,
            """CREATE TABLE a (id TEXT PRIMARY KEY, x);
            CREATE TABLE b (id INTEGER, x);
            CREATE TABLE c (id INTEGER, lang TEXT, PRIMARY KEY (id, lang));
            CREATE TABLE d (id UUID PRIMARY KEY)""",
        )
        assert [t.id for t in plan.tables] == [None] * 4
        assert keys(plan) == {"a": ("id",), "b": (), "c": ("id", "lang"), "d": ("id",)}

    def test_none_where_the_target_has_no_integer_for_it(self, folder: Path, target: Engine) -> None:
        execute(target, "CREATE TABLE a (id CHAR(36) PRIMARY KEY, x TEXT)")
        plan = discover(folder, "CREATE TABLE a (id INTEGER PRIMARY KEY, x TEXT)", target)
        assert plan["a"].id is None
        assert plan["a"].origin["id"] == "none: it is no integer in the target"

    def test_that_the_target_does_not_assign_is_an_error_with_the_remedy_where_a_file_names_it(
        self, folder: Path, target: Engine
    ) -> None:
        execute(target, "CREATE TABLE a (nr INT PRIMARY KEY, x TEXT)")
        source = "CREATE TABLE a (nr INTEGER PRIMARY KEY, x TEXT)"
        with pytest.raises(DfsyncError, match=r"a\.nr of the target is not AUTO_INCREMENT.*ALTER TABLE"):
            discover(folder, source, target, plan='[tables.a]\nid = "nr"')

    def test_none_where_the_target_does_not_assign_it(self, folder: Path, target: Engine) -> None:
        execute(target, "CREATE TABLE zip (plz INT PRIMARY KEY, town TEXT)")
        plan = discover(folder, "CREATE TABLE zip (plz INTEGER PRIMARY KEY, town TEXT)", target)
        assert (plan["zip"].id, plan["zip"].key) == (None, ("plz",))
        assert plan["zip"].origin["id"] == NOT_ASSIGNED

    def test_none_where_the_plan_says_so_and_the_numbers_stay(self, folder: Path, target: Engine) -> None:
        execute(
            target,
            "CREATE TABLE years (year INT PRIMARY KEY, motto VARCHAR(9))",
            """CREATE TABLE days (id INT AUTO_INCREMENT PRIMARY KEY, year INT,
                FOREIGN KEY (year) REFERENCES years (year))""",
            "INSERT INTO years VALUES (2024, 'old')",
        )
        source = """CREATE TABLE years (year INTEGER PRIMARY KEY, motto TEXT);
            CREATE TABLE days (id INTEGER PRIMARY KEY, year INT REFERENCES years);
            INSERT INTO years VALUES (2024, 'old'), (2025, 'new'); INSERT INTO days VALUES (7, 2024), (8, 2025)"""
        plan = discover(folder, source, target, plan='[tables.days]\n[tables.years]\nid = ""')
        assert (plan["years"].id, plan["years"].key, plan["years"].origin["id"]) == (None, ("year",), "plan file")
        assert (plan["days"].parents, plan["days"].after) == ({}, ("years",))
        options = SyncOptions(plan=folder / "plan.toml")
        assert sync(folder / "source.db", target.url, out=folder / "out", options=options).ok
        assert fetch(target, "SELECT * FROM days JOIN years USING (year) ORDER BY id") == [
            (2024, 1, "old"),
            (2025, 2, "new"),
        ]


class TestNaturalKeys:
    def test_a_unique_constraint_of_the_target_comes_before_one_of_the_source(
        self, folder: Path, target: Engine
    ) -> None:
        execute(target, "CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, x INT, y INT NOT NULL, UNIQUE (y))")
        plan = discover(folder, "CREATE TABLE a (id INTEGER PRIMARY KEY, x INT NOT NULL UNIQUE, y INT)", target)
        assert keys(plan) == {"a": ("y",)}
        assert plan["a"].origin["natural_key"] == "unique constraint of the target; also unique: x"

    def test_a_unique_index_is_as_good(self, folder: Path) -> None:
        plan = discover(folder, "CREATE TABLE a (id INTEGER PRIMARY KEY, x, y); CREATE UNIQUE INDEX i ON a (y, x)")
        assert keys(plan) == {"a": ("y", "x")}

    def test_one_that_says_nothing_about_whole_columns_is_none(self, folder: Path, target: Engine) -> None:
        execute(target, "CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, x TEXT, UNIQUE (x(10)))")
        plan = discover(
            folder,
            """CREATE TABLE a (id INTEGER PRIMARY KEY, x TEXT);
            CREATE UNIQUE INDEX some ON a (x) WHERE x > 'a'; CREATE UNIQUE INDEX low ON a (lower(x))""",
            target,
        )
        assert keys(plan) == {"a": ()}

    def test_one_without_null_is_better(self, folder: Path) -> None:
        plan = discover(folder, "CREATE TABLE a (id INTEGER PRIMARY KEY, x UNIQUE, y NOT NULL UNIQUE, z UNIQUE)")
        assert keys(plan) == {"a": ("y",)}
        said = "unique constraint of the source; unique, but may be NULL: x; unique, but may be NULL: z"
        assert plan["a"].origin["natural_key"] == said

    def test_a_column_that_may_be_null_is_none(self, folder: Path, target: Engine) -> None:
        execute(target, "CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, x INT UNIQUE, y INT)")
        source = "CREATE TABLE a (id INTEGER PRIMARY KEY, x INT UNIQUE, y INT UNIQUE)"
        for plan in (discover(folder, source), discover(folder, "SELECT 1", target)):
            assert keys(plan) == {"a": ()}
            assert plan["a"].origin["natural_key"].startswith(f"{WHOLE_CONTENT}; unique, but may be NULL: x; ")

    def test_a_column_that_one_side_requires_is_one(self, folder: Path, target: Engine) -> None:
        execute(target, "CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, x INT NOT NULL)")
        assert keys(discover(folder, "CREATE TABLE a (id INTEGER PRIMARY KEY, x INT UNIQUE)", target)) == {"a": ("x",)}

    def test_of_several_columns_some_may_be_null_where_there_is_no_better_one(self, folder: Path) -> None:
        source = "CREATE TABLE a (id INTEGER PRIMARY KEY, x, y, z NOT NULL, UNIQUE (x, y))"
        assert keys(discover(folder, source)) == {"a": ("x", "y")}
        assert keys(discover(folder, "CREATE UNIQUE INDEX better ON a (z)")) == {"a": ("z",)}

    def test_of_two_the_one_not_taken_is_told(self, folder: Path, target: Engine) -> None:
        execute(target, "CREATE TABLE pg (id INT AUTO_INCREMENT PRIMARY KEY, url INT NOT NULL UNIQUE, path INT)")
        source = "CREATE TABLE pg (id INTEGER PRIMARY KEY, url NOT NULL, path NOT NULL UNIQUE)"
        plan = discover(folder, source, target)
        assert keys(plan) == {"pg": ("url",)}
        assert plan["pg"].origin["natural_key"] == "unique constraint of the target; also unique: path"

    def test_none_at_all(self, folder: Path) -> None:
        plan = discover(folder, "CREATE TABLE a (id INTEGER PRIMARY KEY, x); CREATE TABLE b (x, y)")
        assert keys(plan) == {"a": (), "b": ()}
        assert {table.origin["natural_key"] for table in plan.tables} == {WHOLE_CONTENT}

    def test_of_text_and_of_several_columns(self, folder: Path) -> None:
        plan = discover(
            folder,
            """CREATE TABLE countries (code TEXT PRIMARY KEY, name TEXT);
            CREATE TABLE readings (sensor TEXT, at DATETIME, value REAL, PRIMARY KEY (at, sensor)) WITHOUT ROWID;
            CREATE TABLE settings (value TEXT, key TEXT NOT NULL UNIQUE)""",
        )
        assert keys(plan) == {"countries": ("code",), "readings": ("at", "sensor"), "settings": ("key",)}

    def test_never_of_columns_that_are_not_copied(self, folder: Path, target: Engine) -> None:
        execute(
            target,
            """CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, x INT, y INT, low INT AS (x + 1) STORED UNIQUE,
            other INT UNIQUE, dropped INT UNIQUE)""",
        )
        plan = discover(
            folder,
            """CREATE TABLE a (id INTEGER PRIMARY KEY, x INT, y INT, low INT AS (x + 1), dropped INT NOT NULL UNIQUE);
            CREATE UNIQUE INDEX i ON a (low)""",
            target,
            plan='[tables.a]\nignore_columns = ["dropped"]',
        )
        assert keys(plan) == {"a": ()}

    def test_a_column_that_only_the_source_computes_is_as_good_as_any(self, folder: Path, target: Engine) -> None:
        execute(target, "CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, x INT, low INT NOT NULL)")
        source = "CREATE TABLE a (id INTEGER PRIMARY KEY, x INT, low INT AS (x + 1)); CREATE UNIQUE INDEX i ON a (low)"
        assert keys(discover(folder, source, target)) == {"a": ("low",)}

    def test_a_computed_column_that_the_target_lacks_is_none(self, folder: Path, target: Engine) -> None:
        execute(target, "CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, x INT)")
        source = "CREATE TABLE a (id INTEGER PRIMARY KEY, x INT, low INT AS (x + 1)); CREATE UNIQUE INDEX i ON a (low)"
        assert keys(discover(folder, source, target)) == {"a": ()}


class TestNames:
    def test_of_all_kinds(self, folder: Path) -> None:
        plan = discover(
            folder,
            """CREATE TABLE "order" ("group" INTEGER PRIMARY KEY, "a ""b"" c" TEXT NOT NULL UNIQUE);
            CREATE TABLE "Bücher & Co." ("Straße" INTEGER PRIMARY KEY, "select" INT REFERENCES "order");
            CREATE TABLE "таблица" ("имя" TEXT PRIMARY KEY, `from` INT REFERENCES "bücher & CO." ("straße"));
            CREATE TABLE [MixedCase] ([Id] INTEGER PRIMARY KEY, [it's] INT REFERENCES "ORDER" ("GROUP"))""",
        )
        assert keys(plan) == {
            "Bücher & Co.": (), "MixedCase": (), "order": ('a "b" c',), "таблица": ("имя",),
        }  # fmt: skip
        assert plan["Bücher & Co."].parents == {"select": "order"}
        assert plan["MixedCase"].parents == {"it's": "order"}

    def test_of_files_stay_in_their_folder_and_apart(self, folder: Path) -> None:
        plan = discover(folder, 'CREATE TABLE "../a" (x); CREATE TABLE "_./a" (x); CREATE TABLE "___a" (x)')
        assert {table.table for table in plan.tables} == {"../a", "_./a", "___a"}
        assert len(set(plan.names)) == 3
        assert not any("/" in name or name.startswith(".") for name in plan.names)
        assert "___a" in plan.names


class TestWhatIsLeftOut:
    def test_views_and_tables_of_sqlite_itself(self, folder: Path) -> None:
        plan = discover(
            folder,
            """CREATE TABLE a (id INTEGER PRIMARY KEY AUTOINCREMENT, x); CREATE INDEX i ON a (x);
            INSERT INTO a (x) VALUES (1); ANALYZE;
            CREATE VIEW v AS SELECT * FROM a; CREATE VIRTUAL TABLE f USING fts5 (x)""",
        )
        assert plan.names == ["a"]

    def test_generated_columns_of_the_target(self, folder: Path, target: Engine) -> None:
        execute(target, "CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, x INT NOT NULL UNIQUE, y INT AS (x + 1))")
        path = run_sql(folder / "source.db", "CREATE TABLE a (id INTEGER PRIMARY KEY, x INT, y INT AS (x + 1))")
        with SqliteSource(path) as source:
            target_schema = reflected(target)
            plan = resolve_draft(None, source, target_schema)
            assert bind_all(plan, ["a"], source.schema, target_schema)["a"].names == ["x"]


class TestAPlanFile:
    SOURCE = """CREATE TABLE people (nr INTEGER PRIMARY KEY, mail TEXT NOT NULL UNIQUE, name TEXT);
        CREATE TABLE notes (nr INTEGER PRIMARY KEY, person INT, text TEXT)"""

    def test_overrides_what_it_says_and_leaves_the_rest(self, folder: Path) -> None:
        plan = discover(
            folder,
            self.SOURCE,
            plan="""[tables.writings]\ntable = "notes"\nforeign_keys = { person = "authors" }
            [tables.authors]\ntable = "people"\nnatural_key = ["name"]\non_match = "update" """,
        )
        assert plan.names == ["authors", "writings"]
        assert plan["writings"].parents == {"person": "authors"}
        assert (plan["authors"].id, plan["authors"].key, plan["authors"].on_match) == ("nr", ("name",), "update")
        assert plan["authors"].origin == {
            "id": "primary key of the source",
            "natural_key": "plan file",
            "foreign_keys": "none declared",
            "identity": "the source may give an id twice: it is not AUTOINCREMENT",
        }

    def test_may_ask_for_the_whole_content(self, folder: Path) -> None:
        plan = discover(folder, self.SOURCE, plan="[tables.people]\nnatural_key = []")
        assert plan["people"].key == ()

    @pytest.mark.parametrize(
        "setting",
        ['natural_key = ["male"]', 'foreign_keys = { male = "people" }', 'id = "male"'],
    )
    def test_with_a_column_that_is_not_there(self, folder: Path, setting: str) -> None:
        with pytest.raises(
            DfsyncError, match=r"\[tables\.people\] names the column 'male', but people in the source has"
        ):
            discover(folder, self.SOURCE, plan=f"[tables.people]\n{setting}")

    @pytest.mark.parametrize(
        ("plan", "says"),
        [
            ("[tables.pepole]", r"\[tables\.pepole\] names the table 'pepole', .* lacks\. Did you mean 'people'\?$"),
            (
                '[tables.people]\n[tables.x]\ntable = "zzz"',
                r"'zzz', .*\. Mend the name, or take the table out",
            ),
        ],
    )
    def test_with_a_table_that_the_source_lacks(self, folder: Path, plan: str, says: str) -> None:
        with pytest.raises(DfsyncError, match=says):
            discover(folder, self.SOURCE, plan=plan)

    def test_is_the_built_in_one_where_the_tables_are_its_tables(self, folder: Path) -> None:
        with SqliteSource(empty_source(folder / "history.db")) as source:
            assert draft_plan(None, source).source == "built-in plan"
        path = run_sql(folder / "other.db", "CREATE TABLE commits (id INTEGER PRIMARY KEY, hash TEXT)")
        with SqliteSource(path) as source:
            assert draft_plan(None, source).source == "discovered plan"

    def test_needs_tables_to_discover(self, folder: Path) -> None:
        with pytest.raises(DfsyncError, match="has no tables"):
            discover(folder, "PRAGMA user_version = 1")
