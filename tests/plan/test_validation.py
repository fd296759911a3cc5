"""The rules that a planned table must keep: all violations as findings, the first one as an error."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dfsync.model.errors import DfsyncError
from dfsync.model.schema import Column, Index, Schema, Table
from dfsync.plan.binding import bind
from dfsync.plan.model import TablePlan
from dfsync.plan.validation import ERROR, GENERATED, NO_TABLE, NOTE, WARNING, Finding, validate

PLAN = TablePlan("things", "t", id="id", natural_key=("code",), origin={"natural_key": "plan file"})


def column(name: str, **details: Any) -> Column:
    return Column(name, "text", "varchar(9)", **details)


ID = Column("id", "integer", "int", nullable=False, auto_increment=True)
SOURCE = Table("t", (Column("id", "integer", "INTEGER"), column("code"), column("n")), ("id",))
TARGET = Table("t", (ID, column("code"), column("n")), ("id",))


def with_columns(*columns: Column) -> Table:
    return replace(TARGET, columns=columns)


def errors(plan: TablePlan, target: Table) -> list[str | None]:
    """The columns of the errors, of which there are some, after a look that `bind` refuses with the first of them."""
    findings = [finding for finding in validate(plan, SOURCE, target) if finding.level == ERROR]
    with pytest.raises(DfsyncError):
        bind(plan, Schema(t=SOURCE), Schema(t=target))
    return [finding.column for finding in findings]


def refusal(plan: TablePlan, target: Table) -> str:
    with pytest.raises(DfsyncError) as raised:
        bind(plan, Schema(t=SOURCE), Schema(t=target))
    return str(raised.value)


def test_nothing_is_said_of_a_table_that_fits() -> None:
    assert validate(PLAN, SOURCE, TARGET) == []
    assert bind(PLAN, Schema(t=SOURCE), Schema(t=TARGET)).names == ["code", "n"]


def test_a_missing_table() -> None:
    (finding,) = validate(PLAN, None, TARGET)
    assert (finding.level, finding.table) == (NOTE, "things")
    assert validate(PLAN, SOURCE, None) == [Finding(ERROR, "things", None, NO_TABLE)]
    with pytest.raises(DfsyncError, match=r"^t is missing\. `dfsync create-tables` makes"):
        bind(PLAN, Schema(t=SOURCE), Schema())


def test_columns_that_the_target_lacks_are_a_finding_each_and_one_error() -> None:
    target = with_columns(ID)
    assert errors(PLAN, target) == ["code", "n"]
    assert refusal(PLAN, target).startswith("The target's t lacks the source's column code, n. Add it there, or list")
    assert "of [tables.things] in a plan file" in refusal(PLAN, target)


def test_a_column_that_needs_a_value() -> None:
    target = with_columns(*TARGET.columns, column("must", nullable=False), column("may", nullable=False, default="1"))
    assert errors(PLAN, target) == ["must"]
    assert "needs a value for must, which is NOT NULL and has no default" in refusal(PLAN, target)


def test_a_natural_key_that_is_not_copied() -> None:
    for plan, target in (
        (PLAN, with_columns(ID, column("code", generated=True), column("n"))),
        (replace(PLAN, ignore_columns=("CODE",)), TARGET),
    ):
        assert errors(plan, target) == ["code"]
        assert refusal(plan, target).startswith("The natural key of things names code, which is not copied.")
        assert [finding.level for finding in validate(plan, SOURCE, target)] == [ERROR]


def test_a_column_that_the_target_computes_is_noted() -> None:
    target = with_columns(ID, column("code"), column("N", generated=True))
    assert validate(PLAN, SOURCE, target) == [Finding(NOTE, "things", "n", GENERATED)]


def test_an_id_that_the_target_lacks() -> None:
    target = with_columns(*TARGET.columns[1:])
    assert errors(PLAN, target) == ["id"]
    assert refusal(PLAN, target) == "The target's t has no column id, the id of [tables.things]."


@pytest.mark.parametrize(
    ("primary_key", "indexes", "key"),
    [
        (("id",), (), ""),
        (("code",), (Index("i", ("id", "n"), False),), ""),
        (("code",), (Index("i", ("n", "id"), False),), ", ADD UNIQUE (`i``d`)"),
        ((), (), ", ADD PRIMARY KEY (`i``d`)"),
    ],
)
def test_an_id_that_the_target_does_not_assign(primary_key: tuple[str, ...], indexes: Any, key: str) -> None:
    renamed = {"id": "i`d"}
    columns = (Column("i`d", "integer", "int(11)"), *TARGET.columns[1:])
    target = Table(
        "t`s",
        columns,
        tuple(renamed.get(name, name) for name in primary_key),
        tuple(replace(index, columns=tuple(renamed.get(name, name) for name in index.columns)) for index in indexes),
    )
    source = replace(SOURCE, name="t`s", columns=(Column("i`d", "integer", "INTEGER"), *SOURCE.columns[1:]))
    plan = replace(PLAN, table="t`s", id="i`d")
    (finding,) = validate(plan, source, target)
    assert (finding.level, finding.column) == (ERROR, "i`d")
    assert finding.fix == f"ALTER TABLE `t``s` MODIFY `i``d` int(11) NOT NULL AUTO_INCREMENT{key}"
    with pytest.raises(DfsyncError) as raised:
        bind(plan, Schema({"t`s": source}), Schema({"t`s": target}))
    assert "t`s.i`d of the target is not AUTO_INCREMENT, so the target cannot give new ids." in str(raised.value)
    assert f"as in: {finding.fix}. Or, if it is no mere number" in str(raised.value)


def test_an_update_of_rows_that_nothing_tells_apart() -> None:
    plan = replace(PLAN, id=None, on_match="update", ignore_columns=("id",))
    target = Table("t", TARGET.columns[1:])
    assert errors(plan, target) == [None]
    assert "cannot be updated: it has no surrogate id, and its natural key (code) is not unique" in refusal(
        plan, target
    )
    unique = replace(target, indexes=(Index("i", ("CODE",), True),))
    for fitting, table in (
        (plan, unique),
        (replace(plan, on_match="skip"), target),
        (replace(plan, ignore_columns=("id", "n")), target),
    ):
        assert validate(fitting, SOURCE, table) == []


def test_a_table_without_a_natural_key_is_a_warning_unless_a_plan_file_says_so() -> None:
    discovered = replace(PLAN, natural_key=(), origin={})
    assert [(f.level, f.column) for f in validate(discovered, SOURCE, TARGET)] == [(WARNING, None)]
    assert validate(replace(discovered, origin={"natural_key": "plan file"}), SOURCE, TARGET) == []


def test_all_that_is_wrong_is_found_and_the_first_of_it_raised() -> None:
    target = Table("t", (Column("id", "integer", "int"), column("code"), column("must", nullable=False)), ("id",))
    assert errors(PLAN, target) == ["n", "must", "id"]
    assert "lacks the source's column n" in refusal(PLAN, target)
