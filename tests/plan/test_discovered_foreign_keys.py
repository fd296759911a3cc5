"""The foreign keys that reflection finds, and the order of the tables that follows from them."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from dfsync.model.errors import DfsyncError
from dfsync.plan.graph import strongly_connected
from tests.support.git_history import execute
from tests.support.runs.discovered_plan import discover


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


class TestForeignKeys:
    def test_several_to_one_parent(self, folder: Path) -> None:
        plan = discover(
            folder,
            """CREATE TABLE games (id INTEGER PRIMARY KEY, home INT REFERENCES teams, guest INT REFERENCES teams (nr));
            CREATE TABLE teams (nr INTEGER PRIMARY KEY, name NOT NULL UNIQUE)""",
        )
        assert plan.names == ["teams", "games"]
        assert plan["games"].parents == {"home": "teams", "guest": "teams"}
        assert plan["games"].origin["foreign_keys"] == "declared in the source"

    def test_that_only_the_target_declares(self, folder: Path, target: Engine) -> None:
        execute(
            target,
            "CREATE TABLE Teams (Id INT AUTO_INCREMENT PRIMARY KEY)",
            """CREATE TABLE Games (Id INT AUTO_INCREMENT PRIMARY KEY, Home INT NOT NULL UNIQUE,
            FOREIGN KEY (Home) REFERENCES Teams (Id))""",
        )
        plan = discover(
            folder,
            "CREATE TABLE Games (id INTEGER PRIMARY KEY, home INT); CREATE TABLE Teams (id INTEGER PRIMARY KEY)",
            target,
        )
        assert plan["Games"].parents == {"home": "Teams"}
        assert plan["Games"].key == ("home",)
        assert plan["Games"].origin["foreign_keys"] == "declared in the target"

    def test_names_in_another_case(self, folder: Path, target: Engine) -> None:
        execute(
            target,
            "CREATE TABLE teams (ID INT AUTO_INCREMENT PRIMARY KEY, NAME VARCHAR(9))",
            """CREATE TABLE games (ID INT AUTO_INCREMENT PRIMARY KEY, HOME INT,
                FOREIGN KEY (HOME) REFERENCES teams (ID))""",
        )
        source = """CREATE TABLE Teams (Id INTEGER PRIMARY KEY, Name TEXT);
            CREATE TABLE Games (Id INTEGER PRIMARY KEY, Home INT REFERENCES TEAMS (id))"""
        written = """[tables.Teams]\nid = "iD"\nnatural_key = ["nAME"]
            [tables.Games]\nid = "iD"\nforeign_keys = { hOME = "Teams" }"""
        for plan in (discover(folder, source, target), discover(folder, "", target, plan=written)):
            assert plan["Games"].parents == {"Home": "Teams"}
            assert plan["Games"].id == "Id"
            assert plan["Games"].deferred == ()
        assert plan["Teams"].key == ("Name",)

    def test_to_itself(self, folder: Path, target: Engine) -> None:
        execute(
            target,
            "CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, up INT, top INT NOT NULL, x INT NOT NULL UNIQUE)",
        )
        plan = discover(
            folder,
            "CREATE TABLE a (id INTEGER PRIMARY KEY, up INT REFERENCES a, top INT NOT NULL REFERENCES a, x UNIQUE)",
            target,
        )
        assert plan["a"].parents == {"up": "a", "top": "a"}
        assert plan["a"].deferred == ("up",)
        assert plan["a"].after == ()

    def test_in_a_circle(self, folder: Path, target: Engine) -> None:
        execute(
            target,
            "CREATE TABLE teams (id INT AUTO_INCREMENT PRIMARY KEY, captain INT)",
            "CREATE TABLE people (id INT AUTO_INCREMENT PRIMARY KEY, team INT NOT NULL)",
            "CREATE TABLE games (id INT AUTO_INCREMENT PRIMARY KEY, team INT)",
        )
        plan = discover(
            folder,
            """CREATE TABLE games (id INTEGER PRIMARY KEY, team INT REFERENCES teams);
            CREATE TABLE people (id INTEGER PRIMARY KEY, team INT NOT NULL REFERENCES teams);
            CREATE TABLE teams (id INTEGER PRIMARY KEY, captain INT REFERENCES people)""",
            target,
        )
        assert plan.names[0] == "teams"
        assert {table.name: table.deferred for table in plan.tables if table.deferred} == {"teams": ("captain",)}
        assert strongly_connected(plan.tables) == [{"teams", "people"}]

    def test_in_a_circle_that_nothing_breaks(self, folder: Path, target: Engine) -> None:
        execute(
            target,
            "CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, b INT NOT NULL)",
            "CREATE TABLE b (id INT AUTO_INCREMENT PRIMARY KEY, a INT NOT NULL)",
        )
        with pytest.raises(DfsyncError, match="No order for a, b: each needs another one's rows first"):
            discover(
                folder,
                """CREATE TABLE a (id INTEGER PRIMARY KEY, b INT NOT NULL REFERENCES b);
                CREATE TABLE b (id INTEGER PRIMARY KEY, a INT NOT NULL REFERENCES a)""",
                target,
            )

    def test_of_a_link_table(self, folder: Path) -> None:
        plan = discover(
            folder,
            """CREATE TABLE links (a INT REFERENCES a, b INT REFERENCES b, since TEXT, PRIMARY KEY (a, b));
            CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (id INTEGER PRIMARY KEY)""",
        )
        assert plan.names == ["a", "b", "links"]
        assert (plan["links"].id, plan["links"].key) == (None, ("a", "b"))
        assert plan["links"].parents == {"a": "a", "b": "b"}

    def test_to_a_column_that_is_no_id_orders_and_no_more(self, folder: Path) -> None:
        plan = discover(
            folder,
            """CREATE TABLE people (id INTEGER PRIMARY KEY, country TEXT REFERENCES countries,
                bank INT REFERENCES banks (blz));
            CREATE TABLE banks (id INTEGER PRIMARY KEY, blz INT NOT NULL UNIQUE);
            CREATE TABLE countries (code TEXT PRIMARY KEY)""",
        )
        assert plan["people"].parents == {}
        assert set(plan["people"].after) == {"banks", "countries"}
        assert plan.names[-1] == "people"

    def test_through_one_to_one_tables_to_the_one_that_has_the_id(self, folder: Path) -> None:
        plan = discover(
            folder,
            """CREATE TABLE visits (id INTEGER PRIMARY KEY, doctor INT REFERENCES doctors,
                boss INT REFERENCES heads (who));
            CREATE TABLE heads (who INTEGER PRIMARY KEY REFERENCES doctors);
            CREATE TABLE doctors (person_id INTEGER PRIMARY KEY REFERENCES people (id), field TEXT);
            CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)""",
        )
        assert plan.names == ["people", "doctors", "heads", "visits"]
        assert [plan[name].parents for name in plan.names] == [
            {}, {"person_id": "people"}, {"who": "people"}, {"doctor": "people", "boss": "people"},
        ]  # fmt: skip
        assert plan["doctors"].key == ("person_id",)
        assert [plan[name].id for name in plan.names] == ["id", None, None, "id"]

    def test_of_several_columns_are_remapped_column_by_column(self, folder: Path) -> None:
        plan = discover(
            folder,
            """CREATE TABLE repos (id INTEGER PRIMARY KEY, slug NOT NULL UNIQUE);
            CREATE TABLE commits (repo INT REFERENCES repos, hash TEXT, PRIMARY KEY (repo, hash));
            CREATE TABLE files (id INTEGER PRIMARY KEY, repo INT, hash TEXT, path TEXT,
                FOREIGN KEY (repo, hash) REFERENCES commits);
            CREATE TABLE tenants (id INTEGER PRIMARY KEY, code TEXT, UNIQUE (id, code));
            CREATE TABLE users (tenant INT, tenant_code TEXT,
                FOREIGN KEY (tenant, tenant_code) REFERENCES tenants (id, code))""",
        )
        assert plan["commits"].parents == {"repo": "repos"}
        assert plan["files"].parents == {"repo": "repos"}
        assert plan["files"].after == ("commits",)
        assert plan["users"].parents == {"tenant": "tenants"}

    def test_to_a_table_that_is_not_in_the_plan(self, folder: Path) -> None:
        with pytest.raises(DfsyncError, match=r"b\.a refers to a, which is not in the plan. Add \[tables\.a\]"):
            discover(
                folder,
                "CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (id INTEGER PRIMARY KEY, a INT REFERENCES a)",
                plan="[tables.b]",
            )

    def test_to_a_table_that_is_nowhere(self, folder: Path) -> None:
        plan = discover(folder, "CREATE TABLE b (id INTEGER PRIMARY KEY, a INT REFERENCES gone, c REFERENCES b (gone))")
        assert plan["b"].parents == {}

    def test_by_other_values_in_a_circle_need_no_order(self, folder: Path) -> None:
        plan = discover(
            folder,
            """CREATE TABLE a (code TEXT PRIMARY KEY, b TEXT REFERENCES b);
            CREATE TABLE b (code TEXT PRIMARY KEY, a TEXT REFERENCES a)""",
        )
        assert plan.names == ["a", "b"]
