"""The ready-made plan for Django, on the tables that `migrate` makes."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

import dfsync
from tests.support.git_history import execute, run_sql
from tests.support.scenario import Scenario

FOLDER = Path(__file__).parent
MODELS = ["auth group", "auth permission", "auth user", "contenttypes contenttype", "shop order", "shop product"]
RELATIONS = [
    """SELECT u.username, g.name FROM auth_user_groups m JOIN auth_user u ON u.id = m.user_id
        JOIN auth_group g ON g.id = m.group_id""",
    """SELECT g.name, c.app_label, c.model, p.codename FROM auth_group_permissions m
        JOIN auth_group g ON g.id = m.group_id JOIN auth_permission p ON p.id = m.permission_id
        JOIN django_content_type c ON c.id = p.content_type_id""",
    """SELECT u.username, c.model, p.codename FROM auth_user_user_permissions m JOIN auth_user u ON u.id = m.user_id
        JOIN auth_permission p ON p.id = m.permission_id JOIN django_content_type c ON c.id = p.content_type_id""",
    "SELECT o.number, u.username FROM shop_order o JOIN auth_user u ON u.id = o.customer_id",
]


SITE = "INSERT INTO django_site (id, domain, name) VALUES (1, 'example.com', 'example.com')"
MODEL = """INSERT INTO django_content_type (id, app_label, model) VALUES ({kind}, '{app}', '{model}');
INSERT INTO auth_permission (id, content_type_id, codename, name) VALUES ({right}, {kind}, 'add_{model}', '')"""
GROUPS = """INSERT INTO auth_group (id, name) VALUES (1, '{name}'), (2, 'everybody');
INSERT INTO auth_group_permissions (group_id, permission_id) SELECT 2, id FROM auth_permission"""
PERSON = """INSERT INTO auth_user (id, password, is_superuser, username, first_name, last_name, email, is_staff,
    is_active, date_joined) VALUES ({id}, '{name}', 0, '{username}', '', '', '', 0, 1, '2026-01-01 00:00:00');
INSERT INTO auth_user_groups (user_id, group_id) VALUES ({id}, 2);
INSERT INTO auth_user_user_permissions (user_id, permission_id) SELECT {id}, min(id) + 10 FROM auth_permission;
INSERT INTO shop_order (number, customer_id, placed, total)
    VALUES ('{name} {username}', {id}, '2026-01-01 00:00:00', 1);
INSERT INTO django_admin_log (object_id, object_repr, action_flag, change_message, content_type_id, user_id,
    action_time)
    SELECT '{id}', '', 1, '', id, {id}, '2026-01-01 00:00:00' FROM django_content_type WHERE model = 'user'"""


def seeds(first: int) -> list[str]:
    """What `migrate` inserts by itself: a site, and content types and permissions with ids from a number on."""
    models = [model.split() for model in MODELS]
    script = (
        MODEL.format(kind=first + number, right=first + 10 * number, app=app, model=model)
        for number, (app, model) in enumerate(models)
    )
    return [SITE, *";\n".join(script).split(";\n")]


def instance(name: str, usernames: list[str]) -> list[str]:
    """Users from id 1 on, each in the group of everybody, with a right and an order; one more group of the instance."""
    people = (PERSON.format(id=id_, name=name, username=username) for id_, username in enumerate(usernames, 1))
    return ";\n".join([GROUPS.format(name=name), *people]).split(";\n")


@pytest.fixture
def scenario(tmp_path: Path, target: Engine) -> Scenario:
    """Another instance lives in the target; admin is in both, and all ids collide."""
    scenario = Scenario(tmp_path, target)
    rows = [*seeds(5), *instance("old", ["admin", "ada", "bob"])]
    run_sql(scenario.source, (FOLDER / "sqlite.sql").read_text(encoding="utf-8") + ";\n".join(rows))
    scenario.create_target((FOLDER / "mariadb.sql").read_text(encoding="utf-8"), *seeds(1))
    return scenario


def with_other_instance(scenario: Scenario) -> None:
    execute(scenario.target, *instance("new", ["eve", "admin"]))


def test_chooses_itself(scenario: Scenario) -> None:
    resolved = dfsync.resolve_plan(scenario.source, scenario.target.url)
    assert resolved.plan.title == "built-in plan django"
    assert resolved.plan.excluded == ("django_admin_log",)
    assert resolved.plan.left_out == ("django_migrations", "django_session")
    assert resolved.plan["shop_order"].key == ("number",)
    assert resolved.questions == ()
    assert "the source has the tables of Django, so the ready-made plan django is used" in resolved.notes[0]
    assert resolved.notes[1] == "excluded by the ready-made plan, which says why: django_admin_log"
    discovered = dfsync.SyncOptions(plan="discovered")
    assert dfsync.resolve_plan(scenario.source, scenario.target.url, options=discovered).questions


def test_joins_by_names_are_equal_on_both_sides(scenario: Scenario) -> None:
    with_other_instance(scenario)
    own = [{*scenario.read_target(query)} for query in RELATIONS]
    result = scenario.sync_twice()
    counts = {c.name: (c.inserted, c.matched) for c in result.counts}
    assert (counts["auth_user"], counts["auth_group"]) == ((2, 1), (1, 1))
    assert counts["django_content_type"] == counts["auth_permission"] == (0, len(MODELS))
    for query, before in zip(RELATIONS, own, strict=True):
        here = {*scenario.read_source(query)}
        assert len(here) >= 3
        assert {*scenario.read_target(query)} == here | before
    assert scenario.read_target("SELECT password FROM auth_user WHERE username = 'admin'") == [("new",)]
    assert len(scenario.read_target("SELECT * FROM django_admin_log")) == 2


def test_who_was_renamed_is_the_same_person(scenario: Scenario) -> None:
    scenario.sync()
    run_sql(scenario.source, "UPDATE auth_user SET username = 'ada2' WHERE username = 'ada'")
    assert scenario.sync().ok
    assert [*scenario.read_target("SELECT username FROM auth_user ORDER BY 1")] == [("ada2",), ("admin",), ("bob",)]


def test_into_a_schema_of_its_own(scenario: Scenario) -> None:
    run_sql(scenario.source, "UPDATE django_site SET domain = 'old.example.org'")
    scenario.plan = scenario.folder / "plan.toml"
    page = (FOLDER.parents[3] / "docs" / "plans" / "django.md").read_text(encoding="utf-8")
    scenario.plan.write_text(page.split("```toml\n")[1].split("```")[0], encoding="utf-8")
    result = scenario.sync(keep_ids="free", on_match="update")
    assert result.ok
    for query in ("SELECT id, username, password FROM auth_user", "SELECT id, domain FROM django_site"):
        assert sorted(scenario.read_target(query)) == sorted(scenario.read_source(query))
    log = """SELECT u.username, c.model, l.object_id FROM django_admin_log l JOIN auth_user u ON u.id = l.user_id
        JOIN django_content_type c ON c.id = l.content_type_id"""
    scenario.assert_same(log)
