"""The ready-made plan for Django, on databases that Django's own migrations and models made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

import dfsync
from tests.applications.support import needs, run
from tests.support.scenario import Scenario

pytestmark = needs("django")
SITE = Path(__file__).parent / "django_site"
USERS, ORDERS = 20_000, 200_000
RELATIONS = {
    "members": """SELECT u.username, g.name FROM auth_user_groups m JOIN auth_user u ON u.id = m.user_id
        JOIN auth_group g ON g.id = m.group_id""",
    "rights of groups": """SELECT g.name, c.app_label, c.model, p.codename FROM auth_group_permissions m
        JOIN auth_group g ON g.id = m.group_id JOIN auth_permission p ON p.id = m.permission_id
        JOIN django_content_type c ON c.id = p.content_type_id""",
    "rights of users": """SELECT u.username, c.app_label, c.model, p.codename FROM auth_user_user_permissions m
        JOIN auth_user u ON u.id = m.user_id JOIN auth_permission p ON p.id = m.permission_id
        JOIN django_content_type c ON c.id = p.content_type_id""",
    "permissions": """SELECT c.app_label, c.model, p.codename FROM auth_permission p
        JOIN django_content_type c ON c.id = p.content_type_id""",
    "customers": "SELECT o.number, u.username FROM shop_order o JOIN auth_user u ON u.id = o.customer_id",
    "owners": "SELECT p.sku, u.username FROM shop_product p JOIN auth_user u ON u.id = p.owner_id",
    "parents": "SELECT c.slug, p.slug FROM shop_category c LEFT JOIN shop_category p ON p.id = c.parent_id",
    "categories": """SELECT p.sku, c.slug FROM shop_product_categories m JOIN shop_product p ON p.id = m.product_id
        JOIN shop_category c ON c.id = m.category_id""",
}
"""Who belongs to what, by names and without ids."""
GENERIC = {
    "notes": """SELECT c.model, p.sku, n.text FROM shop_note n JOIN django_content_type c ON c.id = n.content_type_id
        JOIN shop_product p ON p.id = n.object_id""",
    "log": """SELECT c.model, u.username, l.object_repr FROM django_admin_log l
        JOIN django_content_type c ON c.id = l.content_type_id JOIN auth_user u ON u.id = l.object_id""",
}
"""References whose table another column names."""
OVERLAY = 'base = "django"\n'


def manage(target: Engine | Path, *arguments: str) -> str:
    if isinstance(target, Path):
        database: dict[str, Any] = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(target)}
    else:
        url = target.url
        host = url.query.get("unix_socket", url.host)
        database = {"ENGINE": "django.db.backends.mysql", "NAME": url.database, "USER": url.username, "HOST": host}
        database |= {"PASSWORD": url.password or "", "PORT": str(url.port or "")}
    return run("django", SITE / "manage.py", *arguments, folder=SITE, DATABASE=json.dumps(database))


@pytest.fixture(scope="module")
def old_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("django") / "source.db"
    manage(path, "migrate", "-v0")
    manage(path, "fill", "old", str(USERS), str(ORDERS))
    return path


@pytest.fixture
def moved(old_site: Path, target: Engine) -> Callable[[str], Scenario]:
    """A scenario whose source is the old site, with a plan file; the target is made by `migrate`."""
    manage(target, "migrate", "-v0")

    def with_plan(text: str) -> Scenario:
        plan = old_site.parent / "plan.toml"
        plan.write_text(text, encoding="utf-8")
        return Scenario(old_site.parent, target, plan)

    return with_plan


def relations(read: Callable[[str], list[tuple[Any, ...]]], queries: dict[str, str]) -> dict[str, set[tuple[Any, ...]]]:
    return {name: {*read(query)} for name, query in queries.items()}


def test_into_the_database_of_another_instance(
    moved: Callable[[str], Scenario], target: Engine, tmp_path: Path
) -> None:
    manage(target, "fill", "new", "500", "2000")
    # An id of a note's object is for whoever knows what it is of; without it the plan chooses itself.
    scenario = moved(OVERLAY + 'exclude = ["shop_note"]')
    own = relations(scenario.read_target, RELATIONS | GENERIC)
    root = scenario.read_target("SELECT id, email FROM auth_user WHERE username = 'root'")
    options = dfsync.SyncOptions(plan=scenario.plan)
    assert dfsync.check(scenario.source, target.url, options=options, out=tmp_path).ok
    first = scenario.sync_twice()
    counts = {c.name: (c.inserted, c.matched, c.failed) for c in first.counts}
    assert counts["auth_user"] == (USERS, 1, 0)
    assert counts["shop_order"] == (ORDERS, 0, 0)
    assert counts["django_content_type"][0] == counts["auth_permission"][0] == 0
    assert counts["auth_group"] == (1, 1, 0)
    assert {"django_session", "django_migrations", "django_admin_log"} & {*counts} == set()
    there = relations(scenario.read_source, RELATIONS)
    assert relations(scenario.read_target, RELATIONS) == {name: there[name] | own[name] for name in RELATIONS}
    assert relations(scenario.read_target, GENERIC) == {name: own[name] for name in GENERIC}
    assert scenario.read_target("SELECT id, email FROM auth_user WHERE username = 'root'") == root
    assert dfsync.verify(scenario.source, target.url, options=options, out=scenario.folder / "out").ok
    assert manage(target, "makemigrations", "--check", "--dry-run").startswith("No changes")


def test_into_a_schema_of_its_own(moved: Callable[[str], Scenario], target: Engine) -> None:
    scenario = moved(
        OVERLAY + "[tables.django_site]\nkeep_ids = [1]\n"
        '[tables.django_admin_log]\nplain_columns = ["object_id"]\n[tables.shop_note]\nplain_columns = ["object_id"]'
    )
    first = scenario.sync(keep_ids="free", on_match="update")
    assert first.ok
    assert {c.name: c.inserted for c in first.counts if c.name in ("auth_user", "django_site")} == {
        "auth_user": USERS + 1,
        "django_site": 0,
    }
    second = scenario.sync(keep_ids="free", on_match="update")
    assert {(c.inserted, c.updated, c.failed) for c in second.counts} == {(0, 0, 0)}
    everything = RELATIONS | GENERIC | {"site": "SELECT id, domain FROM django_site"}
    assert relations(scenario.read_target, everything) == relations(scenario.read_source, everything)
    same = "SELECT id, username FROM auth_user UNION ALL SELECT id, number FROM shop_order"
    assert {*scenario.read_target(same)} == {*scenario.read_source(same)}
    options = dfsync.SyncOptions(plan=scenario.plan, keep_ids="free", on_match="update")
    assert dfsync.verify(scenario.source, target.url, options=options, out=scenario.folder / "out").ok
