"""The chosen tables of a plan."""

from __future__ import annotations

import pytest

from dfsync.model.errors import DfsyncError
from dfsync.plan.model import ForeignKey, Plan, TablePlan, select, with_on_match


def table(name: str, *parents: str, after: tuple[str, ...] = (), deferred: tuple[str, ...] = ()) -> TablePlan:
    keys = tuple(ForeignKey(f"{parent}_id", parent) for parent in parents)
    return TablePlan(name, name, foreign_keys=keys, after=after, deferred=deferred)


class TestTheChosenTables:
    PLAN = Plan((table("repositories"), table("commits", "repositories"), table("files", "commits")), "built-in plan")

    def test_come_in_the_order_of_the_plan(self) -> None:
        assert select(self.PLAN, ["files", "repositories"]) == ["repositories", "files"]

    def test_may_not_be_others_than_the_plan_has(self) -> None:
        with pytest.raises(DfsyncError, match=r"^No table 'comits' in the built-in plan\. Did you mean 'commits'\?$"):
            select(self.PLAN, ["comits"])
        with pytest.raises(DfsyncError, match=r"It has repositories, commits, files\.$"):
            select(self.PLAN, ["zzz"])
        with pytest.raises(DfsyncError, match=r"^No table 'mysql://\*\*\*@host/db' in"):
            select(self.PLAN, ["mysql://app:hunter2@host/db"])

    def test_all_do_the_same_on_a_match_where_that_is_asked(self) -> None:
        assert with_on_match(self.PLAN, None) is self.PLAN
        assert {t.on_match for t in with_on_match(self.PLAN, "update").tables} == {"update"}
