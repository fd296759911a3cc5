"""The order of tables, and which of them belong together, by which refer to which."""

from __future__ import annotations

import pytest

from dfsync.model.errors import DfsyncError
from dfsync.plan.graph import ancestors, drop_cyclic_after, group_dependencies, topological_order, transaction_groups
from dfsync.plan.model import ForeignKey, Plan, TablePlan


def table(name: str, *parents: str, after: tuple[str, ...] = (), deferred: tuple[str, ...] = ()) -> TablePlan:
    keys = tuple(ForeignKey(f"{parent}_id", parent) for parent in parents)
    return TablePlan(name, name, foreign_keys=keys, after=after, deferred=deferred)


def order(*tables: TablePlan) -> str:
    return " ".join(placed.name for placed in topological_order(tables))


class TestTheOrder:
    def test_is_the_given_one_where_nothing_says_otherwise(self) -> None:
        assert order(table("c"), table("a"), table("b")) == "c a b"

    def test_has_parents_before_their_children(self) -> None:
        assert order(table("c", "b"), table("b", "a"), table("d"), table("a")) == "d a b c"

    def test_has_those_that_come_after(self) -> None:
        assert order(table("c", after=("a",)), table("b"), table("a", "b")) == "b a c"

    def test_minds_no_table_that_refers_to_itself(self) -> None:
        assert order(table("b", "b"), table("a", "a", "b")) == "b a"

    def test_minds_no_foreign_key_that_is_filled_in_later(self) -> None:
        assert order(table("a", "b", deferred=("b_id",)), table("b", "a")) == "a b"

    def test_of_a_circle_is_none(self) -> None:
        with pytest.raises(DfsyncError, match="No order for a, b: each needs another one's rows first"):
            order(table("a", "b"), table("b", "a"), table("c"))


def grouped(*tables: TablePlan) -> str:
    return " ".join(
        "".join(table.name for table in group) for group in transaction_groups(Plan(tables, "built-in plan"))
    )


class TestTheTransactions:
    def test_hold_a_table_each_where_no_circle_is(self) -> None:
        assert grouped(table("a"), table("b", "a"), table("c", "c")) == "a b c"

    def test_hold_a_circle_after_what_it_needs_from_outside(self) -> None:
        assert grouped(table("a", "b", deferred=("b_id",)), table("c"), table("b", "a", "d"), table("d")) == "c d ab"

    def test_begin_with_the_first_where_after_leads_out_of_a_circle_and_back(self) -> None:
        assert grouped(table("a", "b"), table("c", after=("a",)), table("b", "a", after=("c",))) == "ab c"

    def test_wait_for_earlier_ones_by_the_plan_and_by_the_constraints_of_the_target(self) -> None:
        groups = transaction_groups(Plan((table("a"), table("b"), table("c", "a"), table("d")), "built-in plan"))
        assert group_dependencies(groups, {"d": ["B", "elsewhere"], "a": ["D"]}) == [set(), set(), {0}, {1}]


def test_only_what_the_plan_file_says_comes_after_in_a_circle() -> None:
    found = [table("a", "b"), table("b", after=("a", "c")), table("c", after=("b",)), table("d", after=("a",))]
    assert [each.after for each in drop_cyclic_after(found, [table(name) for name in "abcd"])] == [(), (), (), ("a",)]
    drafts = [table("a"), table("b", after=("a",)), table("c"), table("d")]
    assert [each.after for each in drop_cyclic_after(found, drafts)] == [(), ("a",), (), ("a",)]


def test_ancestors_are_parents_at_any_distance() -> None:
    plan = Plan((table("repositories"), table("commits", "repositories"), table("files", "commits")), "built-in plan")
    assert ancestors(plan, ["files"]) == {"commits", "repositories"}
    assert ancestors(plan, ["files", "commits"]) == {"repositories"}
    assert ancestors(plan, ["repositories"]) == set()
