"""One planned table, held against source and target: which columns travel, and as what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from dfsync.model.errors import DfsyncError
from dfsync.model.schema import Column, Schema, Table
from dfsync.model.types import arrow_type
from dfsync.plan.model import Plan, TablePlan


@dataclass(frozen=True)
class TableBinding:
    plan: TablePlan
    source: Table
    target: Table
    id: str | None
    """The target's name of the surrogate id; None where the table has none."""
    columns: tuple[Column, ...]
    """The target's columns that get the source's values, under the source's names."""

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def id_type(self) -> Any:
        """The Arrow type of new ids."""
        return pa.int64() if self.id is None else arrow_type(self.target[self.id])

    @property
    def id_dtype(self) -> Any:
        """The numpy dtype that holds any new id: uint64 where the target's id needs it, else int64."""
        return np.uint64 if pa.types.is_uint64(self.id_type) else np.int64

    @property
    def key(self) -> tuple[Column, ...]:
        wanted = [name.lower() for name in self.plan.key]
        by_name = {column.name.lower(): column for column in self.columns}
        return tuple(by_name[name] for name in wanted)

    def self_references_by_value(self) -> dict[str, str]:
        """Columns that the target lets refer to the same table by a value that is no id, and the column referred to."""
        own = {column.name.lower(): column.name for column in self.columns}
        found = {
            own.get(reference.columns[0].lower(), ""): own.get(reference.parent_columns[0].lower(), "")
            for reference in self.target.references
            if len(reference.columns) == 1 and reference.parent.lower() == self.target.name.lower()
        }
        return {c: p for c, p in found.items() if c and p and c not in self.plan.parents}

    def source_columns(self, columns: Sequence[Column]) -> list[Column]:
        """The columns for `conform`: a foreign key still holds the source's ids, whose size does not matter."""
        parents = {column.lower() for column in self.plan.parents}
        return [_as_id(column) if column.name.lower() in parents else column for column in columns]


def bind_all(plan: Plan, names: list[str], source: Schema, target: Schema) -> dict[str, TableBinding]:
    """The shape of each named table that the source has. Raises `DfsyncError` for what keeps rows from travelling."""
    return {name: bind(plan[name], source, target) for name in names if source.find(plan[name].table) is not None}


def bind(plan: TablePlan, source: Schema, target: Schema) -> TableBinding:
    have, there = source.find(plan.table), target.find(plan.table)
    if have is None or there is None:
        raise DfsyncError(f"{plan.table} is missing. `dfsync create-tables` makes the target's missing tables.")
    ignored = {column.lower() for column in plan.ignore_columns}
    travelling = [c for c in have.columns if c.name != plan.id and c.name.lower() not in ignored]
    # The target computes its own generated columns; one that only the source computes is a plain value there.
    travelling = [c for c in travelling if not (c.name in there and there[c.name].generated)]
    travelling = [c for c in travelling if not (c.generated and c.name not in there)]
    lacking = [c.name for c in travelling if c.name not in there]
    if lacking:
        raise DfsyncError(
            f"The target's {plan.table} lacks the source's column {', '.join(lacking)}. Add it there, or list it in "
            f"ignore_columns of [tables.{plan.name}] in a plan file."
        )
    columns = tuple(replace(there[c.name], name=c.name) for c in travelling)
    own_id = _own_id(plan, there)
    filled = {c.name.lower() for c in columns} | {(own_id or "").lower()}
    unfilled = [c.name for c in there.columns if c.required and c.name.lower() not in filled]
    if unfilled:
        raise DfsyncError(
            f"The target's {plan.table} needs a value for {', '.join(unfilled)}, which is NOT NULL and has no default, "
            "and the source has none. Give it a default, or allow NULL."
        )
    missing = [name for name in plan.key if name.lower() not in filled]
    if missing:
        raise DfsyncError(
            f"The natural key of {plan.name} names {', '.join(missing)}, which does not travel. "
            f"Give [tables.{plan.name}] another natural_key in a plan file."
        )
    made = TableBinding(plan, have, there, own_id, columns)
    _require_unique_update_key(made)
    return made


def _require_unique_update_key(shape: TableBinding) -> None:
    """An update must know which row is meant."""
    key = {column.name.lower() for column in shape.key}
    unique = any({column.lower() for column in columns} == key for columns in shape.target.uniques())
    if shape.plan.on_match == "update" and shape.id is None and key and len(shape.columns) > len(key) and not unique:
        raise DfsyncError(
            f"Rows of the target's {shape.target.name} cannot be updated: it has no surrogate id, and its natural key "
            f"({', '.join(shape.plan.key)}) is not unique there. Make it unique, or give [tables.{shape.plan.name}] "
            'on_match = "skip" in a plan file.'
        )


def _own_id(plan: TablePlan, there: Table) -> str | None:
    if plan.id is None:
        return None
    if plan.id not in there:
        raise DfsyncError(f"The target's {plan.table} has no column {plan.id}, the id of [tables.{plan.name}].")
    column = there[plan.id]
    if not column.auto_increment:
        raise DfsyncError(
            f"{plan.table}.{plan.id} of the target is not AUTO_INCREMENT, so the target cannot give new ids. "
            f"Make it so, as in: ALTER TABLE {plan.table} MODIFY {plan.id} {column.type} NOT NULL AUTO_INCREMENT. Or, "
            f'if it is no mere number and must stay as it is, give [tables.{plan.name}] id = "" in a plan file.'
        )
    return column.name


def _as_id(column: Column) -> Column:
    return replace(column, kind="integer", type="bigint", unsigned=False)
