"""Which columns of a planned table are copied, and which of them are unique. Nothing else decides it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dfsync.model.schema import Column, Table
from dfsync.plan.model import EXPLICIT_ORIGINS, TablePlan


def planned_columns(plan: TablePlan, source_table: Table) -> tuple[Column, ...]:
    """Collect the columns of the source that the plan neither ignores nor finds empty.

    Parameters
    ----------
    plan
        The table's plan.
    source_table
        The table in the source.

    Returns
    -------
    tuple of Column
        As the source has them, in its order, the surrogate id among them.
    """
    ignored = {name.lower() for name in (*plan.ignore_columns, *plan.empty_columns)}
    return tuple(column for column in source_table.columns if column.name.lower() not in ignored)


def value_columns(plan: TablePlan, source_table: Table) -> tuple[Column, ...]:
    """Collect the planned columns without the surrogate id, whose values the target assigns.

    Parameters
    ----------
    plan
        The table's plan.
    source_table
        The table in the source.

    Returns
    -------
    tuple of Column
        As the source has them, in its order, also those that the target lacks.
    """
    own_id = (plan.id or "").lower()
    return tuple(column for column in planned_columns(plan, source_table) if column.name.lower() != own_id)


def copied_columns(plan: TablePlan, source_table: Table, target_table: Table | None) -> tuple[Column, ...]:
    """Collect the columns whose values are copied from the source to the target.

    Parameters
    ----------
    plan
        The table's plan.
    source_table
        The table in the source.
    target_table
        The table in the target; None where it is yet to be made after that of the source.

    Returns
    -------
    tuple of Column
        As the target has them, under the source's names and in its order. The target computes its own generated
        columns, so these are not among them; a column that only the source computes is a plain value. `written_as`
        is what the plan says.
    """
    if target_table is None:
        return value_columns(plan, source_table)
    written_as = plan.written_as
    return tuple(
        replace(target_table[column.name], name=column.name, written_as=written_as.get(column.name.lower()))
        for column in value_columns(plan, source_table)
        if column.name in target_table and not target_table[column.name].generated
    )


@dataclass(frozen=True)
class UniqueKey:
    """Copied columns that a database declares unique."""

    columns: tuple[str, ...]
    """As the source spells them."""
    origin: str
    """Such as `unique constraint of the target`."""
    nullable: bool
    """Whether one of them may be NULL in both databases, so that a row need not have the key."""

    @property
    def optional(self) -> bool:
        """Whether it is a single column that may be NULL: something that a row may have, and not what it is."""
        return self.nullable and len(self.columns) == 1


def unique_keys(plan: TablePlan, source_table: Table | None, target_table: Table | None) -> list[UniqueKey]:
    """Collect the keys by which rows of a planned table can be recognised.

    Parameters
    ----------
    plan
        The table's plan, with its id.
    source_table
        The table in the source; None where the source lacks it.
    target_table
        The table in the target; None where the target lacks it.

    Returns
    -------
    list of UniqueKey
        Those of the target first, each side's in its own order, each set of columns once. Without keys of columns that
        are not copied, and without the numbers that the target's AUTO_INCREMENT gives, unless the plan says that they
        stay as they are.
    """
    known = source_table or target_table
    copied = {column.name.lower(): column.name for column in copied_columns(plan, known, target_table)} if known else {}
    stays = plan.id is None and plan.origin.get("id") in EXPLICIT_ORIGINS
    assigned = {column.name.lower() for column in target_table.columns if column.auto_increment} if target_table else ()
    usable = {name: spelled for name, spelled in copied.items() if stays or name not in assigned}
    keys: dict[frozenset[str], UniqueKey] = {}
    for table, side in ((target_table, "target"), (source_table, "source")):
        for columns in table.uniques() if table else []:
            names = [column.lower() for column in columns]
            if table is None or not usable.keys() >= {*names}:
                continue
            primary = columns == table.primary_key
            key = UniqueKey(
                tuple(usable[name] for name in names),
                f"{'primary key' if primary else 'unique constraint'} of the {side}",
                not primary and any(_may_be_null(name, source_table, target_table) for name in names),
            )
            keys.setdefault(frozenset(names), key)
    return list(keys.values())


def _may_be_null(column: str, *tables: Table | None) -> bool:
    return all(table[column].nullable for table in tables if table is not None and column in table)
