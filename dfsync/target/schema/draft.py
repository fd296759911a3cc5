"""A table to create, while its types and keys are decided."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from dfsync.model.schema import Column, ForeignKeyConstraint, Table
from dfsync.plan.model import TablePlan
from dfsync.target.schema.types import TypeChoice


@dataclass
class TableDraft:
    """A table to create, its columns under their names in the source.

    Parameters
    ----------
    plan
        The planned table.
    source
        The source's table.
    columns
        Its columns that are created.
    choices
        The type of each column, by its name.
    primary_key
        The columns of the primary key; empty where there is none.
    uniques
        The columns of each unique key.
    references
        The foreign keys.
    """

    plan: TablePlan
    source: Table
    columns: tuple[Column, ...]
    choices: dict[str, TypeChoice]
    primary_key: tuple[str, ...] = ()
    uniques: list[tuple[str, ...]] = field(default_factory=list)
    references: list[ForeignKeyConstraint] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The name of the table, as the source spells it."""
        return self.source.name

    @property
    def keys(self) -> list[tuple[str, ...]]:
        """The columns of each unique key, the primary key first."""
        return [self.primary_key, *self.uniques] if self.primary_key else self.uniques

    def has(self, columns: Iterable[str]) -> bool:
        """Whether all of these columns are created."""
        return set(columns) <= self.choices.keys()
