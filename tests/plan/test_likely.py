"""Which columns may hold ids, by their names: schemas of a few columns, without rows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dfsync.model.schema import Column, ForeignKeyConstraint, Schema, Table
from dfsync.plan.discovery.likely import STRONG, WEAK, Candidate, candidates
from dfsync.plan.discovery.resolve import resolve
from dfsync.plan.model import ForeignKey, Plan, TablePlan


def table(name: str, *columns: str, id: str | None = "id") -> Table:
    """A table with an id, and columns like `owner_id` or `note text`."""
    described = [(id, "integer")] if id else []
    described += [(name, kind or "integer") for name, _, kind in (column.partition(" ") for column in columns)]
    return Table(name, tuple(Column(n, kind, kind.upper()) for n, kind in described), (id,) if id else ())


def found(*tables: Table, **settings: object) -> dict[str, Candidate]:
    """The candidates among the columns of the first table, by column."""
    source = Schema({each.name: each for each in tables})
    draft = [TablePlan(each.name, each.name) for each in tables]
    draft[0] = replace(draft[0], **settings)  # type: ignore[arg-type]
    plan = resolve(Plan(tuple(draft), "discovered plan"), source, Schema())
    return {c.column: c for c in candidates(plan, source, Schema()) if c.table == tables[0].name}


def parents(column: str, *tables: Table, name: str = "things") -> list[tuple[str, str]]:
    """The tables that a column of `things` may refer to, and how well its name fits."""
    candidate = found(table(name, column), *tables).get(column.split(" ")[0])
    return [(parent.name, parent.fit) for parent in candidate.parents] if candidate else []


COUNTERS = """year month port status amount price priority rank quantity position sort_order num_users max_user
    user_count users order level version lock_version page_number user_number zip weight ping down_count"""
USERS, TEAMS = table("users"), table("teams")


class TestANameThatFits:
    @pytest.mark.parametrize(
        "column", ["user_id", "userId", "UserID", "userid", "id_user", "user_no", "fk_user", "user_fk", "user", "uid"]
    )
    def test_the_table(self, column: str) -> None:
        assert [name for name, _ in parents(column, USERS, TEAMS)] == ["users"]

    def test_an_application_s_prefix(self) -> None:
        assert parents("user_id", table("auth_user"), TEAMS, name="auth_log") == [("auth_user", STRONG)]
        assert parents("user_id", table("auth_user"), TEAMS) == [("auth_user", WEAK)]

    def test_the_table_itself_before_one_with_a_prefix(self) -> None:
        tables = table("monitor_group"), table("group")
        assert parents("group_id", *tables, name="monitor") == [("group", STRONG), ("monitor_group", STRONG)]

    def test_the_parent_s_id(self) -> None:
        people = table("people", id="person_no")
        assert parents("person_no", people) == [("people", STRONG)]
        assert parents("attributes_id", table("state_attributes", id="attributes_id")) == [("state_attributes", STRONG)]

    def test_a_role_before_the_table(self) -> None:
        assert parents("home_team_id", USERS, TEAMS) == [("teams", WEAK)]
        assert parents("home_team", USERS, TEAMS) == [("teams", WEAK)]

    @pytest.mark.parametrize("column", ["owner_id", "created_by", "assigned_to_id", "post_author", "resolved_by_id"])
    def test_a_person_s_role(self, column: str) -> None:
        assert parents(column, USERS, TEAMS) == [("users", WEAK)]

    @pytest.mark.parametrize("column", ["parent_id", "parent", "reply_to_id", "comment_parent", "alias_of_id"])
    def test_a_role_of_the_same_table(self, column: str) -> None:
        assert parents(column, USERS) == [("things", WEAK)]

    def test_a_manager_is_an_employee(self) -> None:
        assert parents("ReportsTo", table("Customers"), name="Employees") == [("Employees", WEAK)]

    def test_the_unusual_end_of_ids(self) -> None:
        persons = table("persons", "father_no", "vater_no", "house_no", id="person_no")
        assert [p.name for p in found(persons)["father_no"].parents] == ["persons"]
        assert [p.name for p in found(persons)["vater_no"].parents] == ["persons"]
        assert "house_no" not in found(persons)

    def test_a_short_name(self) -> None:
        assert parents("repo_id", table("repository")) == [("repository", STRONG)]
        assert parents("visit_id", table("historyvisits")) == [("historyvisits", WEAK)]

    def test_a_text_column_that_says_that_it_is_an_id(self) -> None:
        assert parents("user_id text", USERS) == [("users", STRONG)]


class TestANameThatDoesNot:
    @pytest.mark.parametrize(
        "column",
        COUNTERS.split(),
    )
    def test_counts_and_measures(self, column: str) -> None:
        tables = map(table, ["users", "orders", "levels", "versions", "pages", "order_status", "ranks", "years"])
        assert parents(column, *tables) == []

    @pytest.mark.parametrize("column", ["user text", "is_user boolean", "user_id datetime"])
    def test_other_types(self, column: str) -> None:
        assert parents(column, USERS) == []

    def test_a_column_that_is_called_after_its_own_table(self) -> None:
        assert parents("thing_no", USERS) == []

    def test_a_table_without_an_id_of_its_own(self) -> None:
        assert parents("user_id", table("users", "user_id", id=None)) == []


class TestADecidedColumn:
    def test_is_no_candidate(self) -> None:
        log = table("log", "user_id", "team_id", "reader_id", "boss_id")
        log = replace(log, references=(ForeignKeyConstraint(("boss_id",), "users", ("id",)),))
        left = found(
            log,
            USERS,
            TEAMS,
            foreign_keys=(ForeignKey("USER_ID", "users"),),
            plain_columns=("Team_Id",),
            ignore_columns=("reader_id",),
        )
        assert left == {}

    def test_nor_is_the_column_of_a_constraint_on_another_key(self) -> None:
        log = replace(table("log", "user_id"), references=(ForeignKeyConstraint(("user_id",), "users", ("name",)),))
        assert found(log, table("users", "name text")) == {}


class TestAnIdThatIsAReferenceToo:
    def test_is_called_after_the_other_table(self) -> None:
        assert found(table("profiles", id="user_id"), USERS)["user_id"].is_id

    def test_and_not_after_its_own_or_by_custom(self) -> None:
        assert found(table("customers", id="customer_id"), table("customer_notes", id="customer_id")) == {}
        assert found(table("postmeta", id="meta_id"), table("commentmeta", id="meta_id")) == {}

    def test_where_the_plan_does_not_name_it(self) -> None:
        profiles = table("profiles", id="user_id")
        assert found(profiles, USERS, id="user_id", origin={"id": "plan file"}) == {}


class TestAPair:
    @pytest.mark.parametrize(
        ("column", "type_column"),
        [
            ("object_id text", "content_type_id"),
            ("to_object_id text", "to_content_type_id"),
            ("commentable_id", "commentable_type text"),
            ("destination_id text", "destination_type text"),
        ],
    )
    def test_has_the_type_s_name(self, column: str, type_column: str) -> None:
        candidate = found(table("log", column, type_column), table("content_type"))[column.split(" ")[0]]
        assert candidate.type_column == type_column.split(" ")[0]

    def test_of_types_by_id(self) -> None:
        assert found(table("log", "object_id", "content_type_id"), table("django_content_type"))[
            "object_id"
        ].typed_by_id

    def test_is_not_any_id_beside_any_type(self) -> None:
        assert found(table("log", "thread_id", "event_type text")) == {}

    def test_is_not_a_number_of_its_own_rows(self) -> None:
        assert found(table("staff_details", "staff_id", "staff_type text")) == {}


def test_columns_of_the_natural_key_come_first() -> None:
    history = table("history", "user_id", "session", "line", id=None)
    history = replace(history, primary_key=("session", "line"))
    left = found(history, USERS, table("sessions", id="session"))
    assert [(c.column, c.in_key) for c in left.values()] == [("session", True), ("user_id", False)]
