"""What a table looks like, the same words for source and target: read by reflection, never written by hand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Column:
    """One column. `kind` is the family of values it holds (see `dfsync.types`), `type` what its database calls it."""

    name: str
    kind: str
    type: str
    nullable: bool = True
    default: str | None = None
    generated: bool = False
    auto_increment: bool = False
    on_update_timestamp: bool = False
    """Set to the present time by an UPDATE that does not name it."""
    unsigned: bool = False
    length: int | None = None
    """Most characters of a text column, or bytes of a binary one; None where there is no limit."""
    octets: int | None = None
    """Most bytes of a text column, which for the TEXT types is the tighter limit."""
    precision: int | None = None
    """Digits of a decimal, bits of a BIT, digits of the fraction of a second."""
    scale: int | None = None
    charset: str | None = None
    collation: str | None = None
    max_value: dt.datetime | None = None
    """The last instant of a TIMESTAMP."""
    values: tuple[str, ...] = ()
    """The members of an ENUM or SET."""

    @property
    def required(self) -> bool:
        """Whether an insert must name it: NOT NULL, and nothing fills it in."""
        return not (self.nullable or self.default is not None or self.generated or self.auto_increment)


@dataclass(frozen=True)
class ForeignKeyConstraint:
    """A declared foreign key: `columns` of this table point to `parent_columns` of `parent`, in the same order."""

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]


@dataclass(frozen=True)
class Index:
    name: str
    columns: tuple[str, ...]
    unique: bool


@dataclass(frozen=True)
class Table:
    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    indexes: tuple[Index, ...] = ()
    references: tuple[ForeignKeyConstraint, ...] = ()
    rowid: str | None = None
    """The expression that names a row of a SQLite table that has no integer primary key; None in the target."""
    engine: str | None = None
    """The target's storage engine where it cannot roll back."""
    _by_name: Mapping[str, Column] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {column.name.lower(): column for column in self.columns})

    def __contains__(self, column: str) -> bool:
        return column.lower() in self._by_name

    def __getitem__(self, column: str) -> Column:
        """The column of that name; names of columns ignore case in SQLite, MariaDB and MySQL alike."""
        return self._by_name[column.lower()]

    def pick(self, names: Iterable[str]) -> list[Column]:
        return [self[name] for name in names]

    def all_indexes(self) -> list[tuple[str, ...]]:
        return [self.primary_key, *(index.columns for index in self.indexes)]

    def is_indexed(self, columns: Iterable[str]) -> bool:
        """Whether an index begins with these columns, in any order."""
        wanted = {column.lower() for column in columns}
        return any({column.lower() for column in index[: len(wanted)]} == wanted for index in self.all_indexes())

    def uniques(self) -> list[tuple[str, ...]]:
        """The column sets that no two rows share, the primary key first."""
        keys = [self.primary_key] if self.primary_key else []
        return keys + [index.columns for index in self.indexes if index.unique and index.columns not in keys]


class Schema(dict[str, Table]):
    """The tables of a database by their names; a name is also found in other case where that is unambiguous."""

    def find(self, name: str) -> Table | None:
        if name in self:
            return self[name]
        same = [table for key, table in self.items() if key.lower() == name.lower()]
        return same[0] if len(same) == 1 else None
