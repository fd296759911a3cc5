"""One planned table, held against source and target: which columns are copied, and as what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from dfsync.model.schema import Column, Schema, Table
from dfsync.model.types import arrow_type
from dfsync.plan.columns import copied_columns
from dfsync.plan.model import Plan, TablePlan
from dfsync.plan.validation import require_valid


@dataclass(frozen=True)
class TableBinding:
    """A table's plan with the table in the source and the table in the target."""

    plan: TablePlan
    source: Table
    target: Table
    id: str | None
    """The target's name of the surrogate id; None where the table has none."""
    columns: tuple[Column, ...]
    """The target's columns that get the source's values, under the source's names."""

    @property
    def names(self) -> list[str]:
        """The names of `columns`."""
        return [column.name for column in self.columns]

    @property
    def id_type(self) -> pa.DataType:
        """The Arrow type of new ids."""
        return pa.int64() if self.id is None else arrow_type(self.target[self.id])

    @property
    def id_dtype(self) -> type[np.int64 | np.uint64]:
        """The numpy dtype that holds any new id: uint64 where the target's id needs it, else int64."""
        return np.uint64 if pa.types.is_uint64(self.id_type) else np.int64

    @property
    def key(self) -> tuple[Column, ...]:
        """The columns of the natural key, in its order."""
        by_name = {column.name.lower(): column for column in self.columns}
        return tuple(by_name[name.lower()] for name in self.plan.key)

    @property
    def key_names(self) -> list[str]:
        """The names of the natural key's columns, as the source spells them."""
        return [column.name for column in self.key]

    @property
    def required_self_references(self) -> list[str]:
        """The foreign keys to the same table that a row must have when it is inserted: those not deferred."""
        plan = self.plan
        return [
            column for column, parent in plan.parents.items() if parent == plan.name and column not in plan.deferred
        ]

    @property
    def optional_references(self) -> list[str]:
        """The foreign keys that become NULL where the parent has no target row: `TablePlan.on_missing_parent`.

        Those that may be NULL in the target, and are not in the natural key, which says who the row is.
        """
        if self.plan.on_missing_parent != "null":
            return []
        parents, key = ({*map(str.lower, names)} for names in (self.plan.parents, self.plan.key))
        return [c.name for c in self.columns if c.nullable and c.name.lower() in parents - key]

    def self_references_by_value(self) -> dict[str, str]:
        """Find the columns that refer to the same table by a value that is no surrogate id.

        Returns
        -------
        dict of str to str
            By column, the column that a foreign key constraint of the target lets it refer to. Columns that are
            foreign keys of the plan are not among them.
        """
        copied = {column.name.lower(): column.name for column in self.columns}
        referred = {
            copied.get(reference.columns[0].lower(), ""): copied.get(reference.parent_columns[0].lower(), "")
            for reference in self.target.references
            if len(reference.columns) == 1 and reference.parent.lower() == self.target.name.lower()
        }
        return {
            column: parent
            for column, parent in referred.items()
            if column and parent and column not in self.plan.parents
        }

    def source_columns(self, columns: Sequence[Column]) -> list[Column]:
        """Describe columns as `conform` is to check them.

        Parameters
        ----------
        columns
            Some of `columns`.

        Returns
        -------
        list of Column
            The same, but foreign keys as BIGINT: they still hold the source's ids, whose size does not matter.
        """
        parents = {column.lower() for column in self.plan.parents}
        return [_as_id(column) if column.name.lower() in parents else column for column in columns]


def bind_all(plan: Plan, names: Iterable[str], source: Schema, target: Schema) -> dict[str, TableBinding]:
    """Bind the named tables that the source has.

    Parameters
    ----------
    plan
        The complete plan.
    names
        Names of its tables.
    source
        All tables of the source.
    target
        All tables of the target.

    Returns
    -------
    dict of str to TableBinding
        By name in the plan.

    Raises
    ------
    DfsyncError
        Where a table cannot be synced as planned.
    """
    return {name: bind(plan[name], source, target) for name in names if source.find(plan[name].table) is not None}


def bind(plan: TablePlan, source: Schema, target: Schema) -> TableBinding:
    """Bind one planned table to both schemas.

    Parameters
    ----------
    plan
        The table's complete plan.
    source
        All tables of the source.
    target
        All tables of the target.

    Returns
    -------
    TableBinding

    Raises
    ------
    DfsyncError
        Where the table cannot be synced as planned: the first error that `validation` finds.
    """
    return bind_unchecked(plan, *require_valid(plan, source.find(plan.table), target.find(plan.table)))


def bind_unchecked(plan: TablePlan, source_table: Table, target_table: Table) -> TableBinding:
    """Bind one planned table as far as it can be, for a look at a table that may not be synced.

    Parameters
    ----------
    plan
        The table's complete plan.
    source_table
        The table in the source.
    target_table
        The table in the target.

    Returns
    -------
    TableBinding
        Without the columns that the target lacks. Its `key` fails where one of them is in the natural key.
    """
    own_id = target_table[plan.id].name if plan.id and plan.id in target_table else plan.id
    return TableBinding(plan, source_table, target_table, own_id, copied_columns(plan, source_table, target_table))


def _as_id(column: Column) -> Column:
    return replace(column, kind="integer", type="bigint", unsigned=False)
