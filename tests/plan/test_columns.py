"""Which columns of a planned table are copied."""

from __future__ import annotations

from dfsync.model.schema import Column, Table
from dfsync.plan.columns import copied_columns, planned_columns, value_columns
from dfsync.plan.model import TablePlan

PLAN = TablePlan("t", "t", id="id", ignore_columns=("OLD",))


def column(name: str, kind: str = "text", *, generated: bool = False) -> Column:
    return Column(name, kind, kind, generated=generated)


SOURCE = Table("t", (column("id", "integer"), column("Name"), column("old"), column("sum", generated=True)))


def test_none_that_the_plan_ignores_and_no_id() -> None:
    assert [c.name for c in planned_columns(PLAN, SOURCE)] == ["id", "Name", "sum"]
    assert [c.name for c in value_columns(PLAN, SOURCE)] == ["Name", "sum"]


def test_as_the_target_has_them_under_the_names_of_the_source() -> None:
    target = Table("t", (column("SUM", "integer"), column("old"), column("NAME", "binary")))
    assert [(c.name, c.kind) for c in copied_columns(PLAN, SOURCE, target)] == [("Name", "binary"), ("sum", "integer")]


def test_none_that_the_target_lacks_or_computes() -> None:
    target = Table("t", (column("id", "integer"), column("name", generated=True)))
    assert copied_columns(PLAN, SOURCE, target) == ()


def test_all_where_the_target_is_yet_to_get_the_table() -> None:
    assert copied_columns(PLAN, SOURCE, None) == value_columns(PLAN, SOURCE)
