"""Ready-made plans: how one is chosen by itself or by its name, and what becomes of tables that the source lacks."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from dfsync.model.errors import DfsyncError
from dfsync.model.options import SyncOptions
from dfsync.pipeline.session.planning import draft_plan
from dfsync.plan.builtin import ready_made
from dfsync.plan.builtin.ready_made import applications, plan_path, told_by
from dfsync.plan.file import read_plan, require_known_references
from dfsync.plan.model import Plan
from dfsync.plan.settings.reading import CHOICES
from dfsync.source.sqlite import SqliteSource
from tests.support.git_history import run_sql

ROOT = Path(__file__).parents[3]
SHOP = """
base = "discovered"
exclude = ["cache_*"]
[application]
name = "Shop"
about = "a shop"
telling_tables = ["Item", "Orders", "shop_migrations"]
page = "docs/plans/index.md"
[tables.item]
natural_key = ["sku"]
[tables.orders]
natural_key = ["number"]
foreign_keys = { item_id = "item", coupon_id = "coupon", gone_id = "item" }
plain_columns = ["external_id", "older_id"]
after = ["coupon"]
[tables.coupon]
natural_key = ["code"]
"""
TABLES = """
CREATE TABLE item (id INTEGER PRIMARY KEY, sku TEXT);
CREATE TABLE orders (id INTEGER PRIMARY KEY, number TEXT, item_id INT, coupon_id INT, external_id INT);
CREATE TABLE shop_migrations (name TEXT);
CREATE TABLE own (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Beside the plan of the shop there is one of which the source has fewer telling tables."""
    (tmp_path / "shop.toml").write_text(SHOP)
    items = 'base = "discovered"\n[application]\nname = "Items"\nabout = ""\ntelling_tables = ["item"]\npage = ""'
    (tmp_path / "items.toml").write_text(items)
    plans = {"items": tmp_path / "items.toml", "shop": tmp_path / "shop.toml"}
    monkeypatch.setattr(ready_made, "ready_made", lambda: plans)
    monkeypatch.setattr("dfsync.plan.discovery.draft.ready_made", lambda: plans)
    monkeypatch.setitem(CHOICES, "base", ("discovered", *plans))
    return tmp_path / "source.db"


def draft(source: Path, plan: Path | str | None = None) -> Plan:
    with SqliteSource(source) as opened:
        return draft_plan(plan_path(plan), opened)


class TestByItself:
    def test_the_one_with_more_telling_tables(self, shop: Path) -> None:
        plan = draft(run_sql(shop, TABLES))
        assert (plan.source, plan.base) == ("built-in plan shop", "shop")
        assert {*plan.names} == {"item", "orders", "shop_migrations", "own"}
        assert plan["orders"].origin["foreign_keys"] == "built-in plan"
        assert plan.choice == (
            "the source has the tables of Shop, so the ready-made plan shop is used (docs/plans/index.md); "
            "--plan discovered does without it"
        )

    def test_not_where_a_telling_table_is_not_there(self, shop: Path) -> None:
        assert draft(run_sql(shop, f"{TABLES} DROP TABLE shop_migrations")).source == "built-in plan items"
        assert draft(run_sql(shop, "ALTER TABLE item RENAME TO thing")).source == "discovered plan"

    def test_not_where_a_column_of_a_key_is_not_there(self, shop: Path) -> None:
        assert draft(run_sql(shop, f"{TABLES} ALTER TABLE item DROP COLUMN sku")).source == "built-in plan items"

    def test_leaves_out_what_the_source_lacks(self, shop: Path) -> None:
        orders = draft(run_sql(shop, TABLES))["orders"]
        assert (orders.parents, orders.after, orders.plain_columns) == ({"item_id": "item"}, (), ("external_id",))

    def test_excludes(self, shop: Path) -> None:
        plan = draft(run_sql(shop, f"{TABLES} CREATE TABLE cache_1 (x INT)"))
        assert "cache_1" not in plan.names
        assert plan.excluded == ("cache_1",)


class TestByName:
    def test_also_where_it_would_not_be_chosen(self, shop: Path) -> None:
        plan = draft(run_sql(shop, f"{TABLES} DROP TABLE shop_migrations"), "shop")
        assert (plan.source, plan.choice) == ("built-in plan shop", None)

    def test_discovered_takes_none(self, shop: Path) -> None:
        plan = draft(run_sql(shop, TABLES), "discovered")
        assert (plan.source, plan["item"].natural_key) == ("discovered plan", None)
        assert "orders" in plan.names

    def test_unknown(self) -> None:
        known = ", ".join([*ready_made.ready_made(), "discovered"])
        says = f"There is no ready-made plan 'git-histroy'. Did you mean 'git-history'? Known: {known}. A plan file is "
        with pytest.raises(DfsyncError) as error:
            plan_path("git-histroy")
        assert str(error.value) == f"{says}written with .toml or as ./NAME."

    def test_of_a_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "mine").touch()
        with pytest.raises(
            DfsyncError, match=r"^There is no ready-made plan 'mine'\. For the file .*, write \./mine\.$"
        ):
            plan_path("mine")


class TestAPlanFileOverIt:
    def test_is_strict_in_what_it_says_itself(self, shop: Path) -> None:
        file = shop.with_name("my.toml")
        file.write_text('base = "shop"\nexclude = ["own"]\n[tables.orders]\non_match = "update"')
        plan = draft(run_sql(shop, TABLES), file)
        assert (plan["orders"].on_match, plan["orders"].parents) == ("update", {"item_id": "item"})
        assert plan.excluded == ("own",)
        file.write_text('base = "shop"\nexclude = ["no_*"]')
        with pytest.raises(DfsyncError, match=r"exclude has 'no_\*', which is no table of the source"):
            draft(shop, file)
        file.write_text('base = "shop"\n[tables.orders]\nforeign_keys = { item_id = "item", gone_id = "coupon" }')
        with pytest.raises(DfsyncError, match="refers to 'coupon', which is not in it"):
            draft(shop, file)


@pytest.mark.parametrize(
    ("text", "is_name"),
    [("django", True), ("home-assistant", True), ("./django", False), ("plans/django", False), ("my.TOML", False)],
)
def test_text_is_a_name_or_a_file(text: str, is_name: bool) -> None:
    assert SyncOptions(plan=text).plan == (text if is_name else Path(text))


@pytest.mark.parametrize("application", applications(), ids=lambda application: application.plan)
class TestEachPlan:
    def test_is_known_by_its_telling_tables(self, application: ready_made.Application) -> None:
        assert application in told_by([*map(str.upper, application.telling_tables), "another"])
        assert application not in told_by(application.telling_tables[1:])

    def test_has_a_page_in_the_navigation_and_the_index(self, application: ready_made.Application) -> None:
        page = ROOT / application.page
        assert page.is_file()
        navigation = (ROOT / ".ci" / "mkdocs" / "mkdocs.yml").read_text(encoding="utf-8")
        assert application.page.removeprefix("docs/") in navigation
        assert f"({page.name})" in (ROOT / "docs" / "plans" / "index.md").read_text(encoding="utf-8")

    def test_says_nothing_that_only_a_plan_file_can(self, application: ready_made.Application) -> None:
        # The source is opened before the plan is chosen, so names and queries would come too late.
        path = ready_made.ready_made()[application.plan]
        drafts = read_plan(path).tables
        assert not [draft.name for draft in drafts if draft.query or draft.columns or draft.source_table]
        require_known_references(path, drafts)
        heads = {*tomllib.loads(path.read_text(encoding="utf-8"))}
        assert heads <= {"application", "base", "exclude", "other_version", "tables"}
