"""Columns that no constraint declares and that hold ids: a sync stops until a plan decides, and then it is right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dfsync.__main__ import main
from dfsync.commands.check import check
from dfsync.commands.plan import resolve_plan
from dfsync.model.errors import DfsyncError
from dfsync.model.options import SyncOptions
from dfsync.model.schema import Schema
from dfsync.plan.discovery.draft import select_draft
from dfsync.plan.discovery.likely import candidates
from dfsync.plan.discovery.resolve import resolve
from dfsync.plan.file import write_plan
from dfsync.source.sqlite import SqliteSource
from tests.support.git_history import sample
from tests.support.scenario import Scenario

SHOP = """
    CREATE TABLE customers (id INTEGER PRIMARY KEY, mail TEXT NOT NULL UNIQUE);
    CREATE TABLE orders (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, customer_id INTEGER, year INTEGER,
        quantity INTEGER);
    INSERT INTO customers VALUES (10, 'a@x'), (20, 'b@x'), (30, 'c@x');
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600)
        INSERT INTO orders SELECT i, 'o' || i, 10 * (1 + i % 3), 2020 + i % 3, 10 FROM n;
"""
SHOP_TARGET = """
    CREATE TABLE customers (id INT AUTO_INCREMENT PRIMARY KEY, mail VARCHAR(20) NOT NULL UNIQUE);
    CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, code VARCHAR(20) NOT NULL UNIQUE, customer_id INT,
        year INT, quantity INT);
    INSERT INTO customers VALUES (10, 'z@x')
"""
HISTORY = """
    CREATE TABLE sessions (session INTEGER PRIMARY KEY AUTOINCREMENT, start TIMESTAMP, end TIMESTAMP,
        num_cmds INTEGER, remark TEXT);
    CREATE TABLE history (session INTEGER, line INTEGER, source TEXT, source_raw TEXT, PRIMARY KEY (session, line));
"""
HISTORY_TARGET = """
    CREATE TABLE sessions (session INT AUTO_INCREMENT PRIMARY KEY, start DATETIME, end DATETIME, num_cmds INT,
        remark TEXT);
    CREATE TABLE history (session INT, line INT, source TEXT, source_raw TEXT, PRIMARY KEY (session, line))
"""
OWNERS = "SELECT code, mail FROM orders JOIN customers ON customers.id = customer_id"


@pytest.fixture
def shop(tmp_path: Path, target: Engine) -> Scenario:
    scenario = Scenario(tmp_path, target)
    scenario.create_source(SHOP)
    scenario.create_target(SHOP_TARGET)
    return scenario


def decide(scenario: Scenario) -> Path:
    """The plan that `plan --write` writes, which the scenario follows from now on."""
    scenario.plan = scenario.folder / "my-plan.toml"
    result = resolve_plan(scenario.source, scenario.target.url)
    write_plan(scenario.plan, result.to_write, force=True)
    assert not resolve_plan(scenario.source, scenario.target.url, options=SyncOptions(plan=scenario.plan)).questions
    return scenario.plan


def asked(scenario: Scenario) -> dict[str, str]:
    """What is undecided: the evidence by table and column."""
    questions = resolve_plan(scenario.source, scenario.target.url).questions
    return {f"{question.table}.{question.column}": question.evidence for question in questions}


class TestALikelyForeignKey:
    def test_stops_a_sync_before_the_first_row(self, shop: Scenario) -> None:
        before = shop.all_rows()
        with pytest.raises(DfsyncError) as caught:
            shop.sync()
        said = str(caught.value)
        assert "orders.customer_id looks like an id of customers: 600 of 600 values" in said
        assert '[tables.orders]\n    foreign_keys = {customer_id = "customers"}\n    # or: plain_columns' in said
        assert "quantity" not in said
        assert "year" not in said
        assert shop.all_rows() == before
        assert not (shop.folder / "out").exists()

    def test_is_a_finding_of_check(self, shop: Scenario) -> None:
        result = check(shop.source, shop.target.url)
        assert not result.ok
        (finding,) = [finding for finding in result.findings if finding.level == "undecided"]
        assert (finding.table, finding.column) == ("orders", "customer_id")

    def test_is_in_the_plan_s_json(self, shop: Scenario, capsys: pytest.CaptureFixture[str]) -> None:
        url = shop.target.url.render_as_string(hide_password=False)
        assert main(["plan", "--source", str(shop.source), "--target", url, "--json"]) == 0
        (question,) = json.loads(capsys.readouterr().out)["undecided"]
        assert question["answers"] == ['foreign_keys = {customer_id = "customers"}', 'plain_columns = ["customer_id"]']

    def test_follows_once_it_is_written(self, shop: Scenario) -> None:
        text = decide(shop).read_text(encoding="utf-8")
        assert 'foreign_keys = {customer_id = "customers"}  # ' in text
        assert "customer_id looks like an id of customers: 600 of 600 values" in text
        shop.sync_twice()
        shop.assert_same(OWNERS)

    def test_stays_as_it_is_where_the_plan_says_so(self, shop: Scenario) -> None:
        shop.plan = shop.folder / "plain.toml"
        shop.plan.write_text('[tables.customers]\n[tables.orders]\nplain_columns = ["customer_id"]\n')
        shop.sync_twice()
        assert shop.read_target("SELECT DISTINCT customer_id FROM orders ORDER BY 1") == [(10,), (20,), (30,)]

    def test_is_not_asked_of_tables_that_are_not_synced(self, shop: Scenario) -> None:
        assert shop.sync(tables=["customers"]).summary.loc["customers", "inserted"] == 3


class TestItsEvidence:
    @pytest.mark.parametrize(
        ("change", "said"),
        [
            # Parents that are gone leave a name that fits well a likely foreign key.
            ("DELETE FROM customers WHERE id = 30", "400 of 600 values"),
            ("DELETE FROM customers WHERE id > 10", None),
            ("UPDATE orders SET customer_id = NULL WHERE id > 4", "4 of 4 values"),
            ("UPDATE orders SET customer_id = 0 WHERE id > 500", "500 of 600 values; 100 are 0, which is no id there"),
            ("UPDATE orders SET customer_id = customer_id + 7", None),
            ("UPDATE orders SET customer_id = NULL", None),
            ("DELETE FROM orders", None),
            ("DELETE FROM customers", None),
        ],
    )
    def test_is_counted(self, shop: Scenario, change: str, said: str | None) -> None:
        shop.create_source(change)
        evidence = asked(shop)
        assert evidence == ({"orders.customer_id": f"looks like an id of customers: {said}"} if said else {})

    def test_of_integers_in_a_text_column(self, shop: Scenario) -> None:
        shop.create_source(
            "CREATE TABLE notes (customer_id TEXT, user_id TEXT); CREATE TABLE users (id INTEGER PRIMARY KEY)"
        )
        shop.create_source("INSERT INTO notes VALUES ('10', 'u1'), ('20', '01'); INSERT INTO users VALUES (1)")
        assert asked(shop)["notes.customer_id"] == "looks like an id of customers: 2 of 2 values"
        assert "notes.user_id" not in asked(shop)

    def test_of_a_sample_of_a_large_table(self, shop: Scenario) -> None:
        shop.create_source(
            """CREATE TABLE hits (id INTEGER PRIMARY KEY, customer_id INTEGER, parent_id INTEGER);
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
                INSERT INTO hits SELECT 3 * i, 20, CASE WHEN i = 49999 THEN 3 END FROM n"""
        )
        evidence = asked(shop)
        assert evidence["hits.customer_id"] == "looks like an id of customers: 20000 of 20000 values looked at"
        # One value in 50,000 rows is found wherever it is.
        assert evidence["hits.parent_id"] == "looks like an id of hits: 1 of 1 value looked at"

    def test_names_each_table_that_fits(self, shop: Scenario) -> None:
        shop.create_source(
            """CREATE TABLE users (id INTEGER PRIMARY KEY); CREATE TABLE members (id INTEGER PRIMARY KEY);
            CREATE TABLE notes (owner_id INTEGER);
            INSERT INTO users VALUES (1), (2); INSERT INTO members VALUES (2), (3); INSERT INTO notes VALUES (2)"""
        )
        questions = resolve_plan(shop.source, shop.target.url).questions
        (question,) = [question for question in questions if question.table == "notes"]
        assert [answer.line for answer in question.answers] == [
            'foreign_keys = {owner_id = "users"}',
            'foreign_keys = {owner_id = "members"}',
            'plain_columns = ["owner_id"]',
        ]


class TestInANaturalKey:
    def test_the_lines_of_two_laptops_both_go_in(self, tmp_path: Path, target: Engine) -> None:
        start = {"ann": "2026-01-01 10:00:00", "bob": "2026-01-02 11:00:00"}
        for laptop, began in start.items():
            scenario = Scenario(tmp_path / laptop, target)
            scenario.folder.mkdir()
            scenario.create_source(HISTORY)
            scenario.create_source(f"INSERT INTO sessions VALUES (1, '{began}', NULL, 2, '')")  # noqa: S608
            scenario.create_source(f"INSERT INTO history VALUES (1, 1, '{laptop} 1', ''), (1, 2, '{laptop} 2', '')")  # noqa: S608
            if laptop == "ann":
                scenario.create_target(HISTORY_TARGET)
            evidence = asked(scenario)
            assert list(evidence) == ["history.session"]
            assert "in the natural key: unchanged, rows of a second source are taken" in evidence["history.session"]
            decide(scenario)
            scenario.sync_twice()
        lines = scenario.read_target("SELECT source, session FROM history ORDER BY source")
        assert lines == [("ann 1", 1), ("ann 2", 1), ("bob 1", 2), ("bob 2", 2)]

    def test_it_is_asked_first(self, shop: Scenario) -> None:
        shop.create_source(HISTORY)
        shop.create_source(
            "INSERT INTO sessions VALUES (1, NULL, NULL, 1, ''); INSERT INTO history VALUES (1, 1, 'a', 'a')"
        )
        assert list(asked(shop)) == ["history.session", "orders.customer_id"]


class TestAnIdThatIsAReferenceToo:
    def test_is_written_as_one(self, tmp_path: Path, target: Engine) -> None:
        scenario = Scenario(tmp_path, target)
        scenario.create_source(
            """CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
            CREATE TABLE profiles (user_id INTEGER PRIMARY KEY, motto TEXT);
            INSERT INTO users VALUES (5, 'eva'), (7, 'ben'); INSERT INTO profiles VALUES (7, 'carpe diem')"""
        )
        assert asked(scenario)["profiles.user_id"].startswith("looks like an id of users")
        text = decide(scenario).read_text(encoding="utf-8")
        assert 'id = ""' in text
        scenario.create_target(None, "INSERT INTO users (name) VALUES ('zoe')")
        scenario.sync_twice()
        scenario.assert_same("SELECT name, motto FROM users JOIN profiles ON user_id = users.id")


class TestAPair:
    def test_of_django_is_left_out_or_accepted(self, tmp_path: Path, target: Engine) -> None:
        scenario = Scenario(tmp_path, target)
        scenario.create_source(
            """CREATE TABLE django_content_type (id INTEGER PRIMARY KEY, model TEXT NOT NULL UNIQUE);
            CREATE TABLE django_admin_log (id INTEGER PRIMARY KEY, object_id TEXT, object_repr TEXT NOT NULL,
                action_flag SMALLINT NOT NULL, content_type_id INTEGER REFERENCES django_content_type (id));
            INSERT INTO django_content_type VALUES (7, 'user'), (9, 'group');
            INSERT INTO django_admin_log VALUES (1, '1', 'eva', 1, 7), (2, '4', 'staff', 2, 9)"""
        )
        (question,) = resolve_plan(scenario.source, target.url).questions
        assert question.evidence == "names rows of the table that content_type_id names: such ids cannot follow"
        assert [answer.line for answer in question.answers] == [
            'ignore_columns = ["object_id"]',
            'plain_columns = ["object_id"]',
        ]
        decide(scenario)
        scenario.create_target(None)
        scenario.sync_twice()
        assert scenario.read_target("SELECT object_repr FROM django_admin_log ORDER BY id") == [("eva",), ("staff",)]

    def test_of_rails_is_told_once(self, tmp_path: Path, target: Engine) -> None:
        scenario = Scenario(tmp_path, target)
        scenario.create_source(
            """CREATE TABLE posts (id INTEGER PRIMARY KEY, title TEXT); CREATE TABLE photos (id INTEGER PRIMARY KEY);
            CREATE TABLE comments (id INTEGER PRIMARY KEY, body TEXT, commentable_type TEXT NOT NULL,
                commentable_id INTEGER NOT NULL, source_type TEXT, source_id INTEGER);
            INSERT INTO posts VALUES (1, 'a'), (2, 'b'); INSERT INTO photos VALUES (1), (2);
            INSERT INTO comments VALUES (1, 'x', 'Post', 1, 'Photo', 1), (2, 'y', 'Photo', 2, 'Comment', 1)"""
        )
        assert asked(scenario) == {
            f"comments.{name}_id": f"names rows of the table that {name}_type names: such ids cannot follow"
            for name in ("commentable", "source")
        }
        first = [question.answers[0].line for question in resolve_plan(scenario.source, target.url).questions]
        # A column that may not be NULL cannot be left out.
        assert first == ['plain_columns = ["commentable_id"]', 'ignore_columns = ["source_id"]']

    def test_is_none_where_the_ids_are_no_numbers(self, tmp_path: Path, target: Engine) -> None:
        scenario = Scenario(tmp_path, target)
        scenario.create_source(
            """CREATE TABLE inputs (source_type TEXT, source_id TEXT, runs_type INTEGER, runs_id INTEGER);
            INSERT INTO inputs VALUES ('RUN', 'a0f3', 1, 1), ('RUN', '77bc', 2, 2)"""
        )
        assert asked(scenario) == {}


class TestGitHistory:
    def test_has_nothing_to_ask(self, tmp_path: Path) -> None:
        with SqliteSource(sample(tmp_path / "git.db")) as source:
            plan = resolve(select_draft(None, source.schema), source.schema, Schema())
            assert plan.source == "built-in plan"
            assert list(candidates(plan, source.schema, Schema())) == []


class TestUptimeKuma:
    def test_its_seven_references_are_found_and_follow(self, tmp_path: Path, target: Engine) -> None:
        scenario = Scenario(tmp_path, target)
        owned = ["notification", "proxy", "docker_host", "remote_browser"]
        scenario.create_source(
            """CREATE TABLE user (id INTEGER PRIMARY KEY, username TEXT NOT NULL UNIQUE);
            CREATE TABLE status_page (id INTEGER PRIMARY KEY, slug TEXT NOT NULL UNIQUE);
            CREATE TABLE monitor (id INTEGER PRIMARY KEY, name TEXT UNIQUE, user_id INT REFERENCES user (id), port INT,
                interval INT NOT NULL DEFAULT 20, weight INT DEFAULT 2000);
            CREATE TABLE "group" (id INTEGER PRIMARY KEY, name TEXT UNIQUE, weight INT, status_page_id INT);
            CREATE TABLE incident (id INTEGER PRIMARY KEY, title TEXT UNIQUE, status_page_id INT, active BOOLEAN);
            CREATE TABLE notification_sent_history (id INTEGER PRIMARY KEY, type TEXT, monitor_id INT, days INT,
                UNIQUE (type, monitor_id, days));
            INSERT INTO user VALUES (1, 'admin'); INSERT INTO status_page VALUES (3, 'site');
            INSERT INTO monitor VALUES (2, 'web', 1, 443, 20, 1), (4, 'db', 1, 1, 60, 2);
            INSERT INTO "group" VALUES (1, 'Services', 1, 3); INSERT INTO incident VALUES (1, 'down', 3, 1);
            INSERT INTO notification_sent_history VALUES (1, 'cert', 4, 4), (2, 'cert', 2, 2);"""
        )
        for name in owned:
            scenario.create_source(
                f"""CREATE TABLE {name} (id INTEGER PRIMARY KEY, name TEXT UNIQUE, user_id INT, active BOOLEAN);
                INSERT INTO {name} VALUES (1, 'a', 1, 1), (2, 'b', 1, 1), (3, 'c', 1, 0), (4, 'd', 1, 1)"""  # noqa: S608
            )
        assert set(asked(scenario)) == {
            *(f"{name}.user_id" for name in owned),
            "group.status_page_id",
            "incident.status_page_id",
            "notification_sent_history.monitor_id",
        }
        decide(scenario)
        scenario.create_target(None, "INSERT INTO user (username) VALUES ('otheradmin')")
        scenario.sync_twice()
        for name in owned:
            scenario.assert_same(f"SELECT name, username FROM {name} JOIN user ON user.id = user_id")  # noqa: S608
        scenario.assert_same(
            "SELECT type, name, days FROM notification_sent_history JOIN monitor ON monitor.id = monitor_id"
        )
