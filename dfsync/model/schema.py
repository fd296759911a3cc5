"""Tables, columns and keys of a database, of source and target alike, as reflection reads them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Column:
    """A column: `kind` is the family of its values (see `dfsync.model.types`), `type` what its database calls it."""

    name: str
    kind: str
    type: str
    nullable: bool = True
    default: str | None = None
    generated: bool = False
    auto_increment: bool = False
    on_update_timestamp: bool = False
    """Whether an UPDATE that does not name the column sets it to the present time."""
    unsigned: bool = False
    length: int | None = None
    """The maximum of characters of a text column, or of bytes of a binary one; None where there is no limit."""
    octets: int | None = None
    """The maximum of bytes of a text column, which for the TEXT types is the tighter limit."""
    precision: int | None = None
    """Digits of a decimal, bits of a BIT, digits of the fraction of a second."""
    scale: int | None = None
    charset: str | None = None
    collation: str | None = None
    cuts_fractions: bool = False
    """Whether its server cuts the digits of a second's fraction that the column does not keep; else it rounds."""
    max_value: dt.datetime | None = None
    """The last instant of a TIMESTAMP."""
    values: tuple[str, ...] = ()
    """The members of an ENUM or SET."""
    written_as: tuple[str, str] | None = None
    """How the source writes its values, where a plan says it: the setting, `convert` or `dates`, and what it says."""

    @property
    def required(self) -> bool:
        """Whether an INSERT must name the column: it is NOT NULL, and the database does not fill it in."""
        return not (self.nullable or self.default is not None or self.generated or self.auto_increment)


@dataclass(frozen=True)
class ForeignKeyConstraint:
    """A declared foreign key: `columns` of this table refer to `parent_columns` of `parent`, in the same order."""

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]


@dataclass(frozen=True)
class Index:
    """An index of a table, over `columns` in this order."""

    name: str
    columns: tuple[str, ...]
    unique: bool


@dataclass(frozen=True)
class Table:
    """A table of the source or the target; names of columns ignore case."""

    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    indexes: tuple[Index, ...] = ()
    references: tuple[ForeignKeyConstraint, ...] = ()
    rowid: str | None = None
    """The expression that names a row of a SQLite table that has no integer primary key; None in the target."""
    engine: str | None = None
    """The target's storage engine where it cannot roll back."""
    relation: str | None = None
    """By what its rows are read in the source where that is not `name`, since a plan names it, or its columns."""
    stored_in: str | None = None
    """The name of the source's table that stores the rows where that is not `name`."""
    spooled: bool = False
    """Whether its rows are those of a view or query, which were written to a temporary table of the snapshot."""
    _by_name: Mapping[str, Column] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {column.name.lower(): column for column in self.columns})

    @property
    def sql_name(self) -> str:
        """The name for queries of its rows."""
        return self.relation or self.name

    def __contains__(self, column: str) -> bool:
        return column.lower() in self._by_name

    def __getitem__(self, column: str) -> Column:
        """Return the column of that name; SQLite, MariaDB and MySQL ignore the case of columns' names."""
        return self._by_name[column.lower()]

    def pick(self, names: Iterable[str]) -> list[Column]:
        """Return the columns of these names, in the order of the names.

        Parameters
        ----------
        names
            Names of columns of this table, in any case.

        Returns
        -------
        list of Column
            One for each name.

        Raises
        ------
        KeyError
            Where the table has no such column.
        """
        return [self[name] for name in names]

    def all_indexes(self) -> list[tuple[str, ...]]:
        """Return the columns of each index, the primary key first.

        Returns
        -------
        list of tuple
            Names of columns in the order of the index; the first tuple is empty where there is no primary key.
        """
        return [self.primary_key, *(index.columns for index in self.indexes)]

    def is_indexed(self, columns: Iterable[str]) -> bool:
        """Tell whether an index begins with these columns, in any order.

        Parameters
        ----------
        columns
            Names of columns, in any case.

        Returns
        -------
        bool
            Whether the database can look up values of these columns through an index.
        """
        requested = {column.lower() for column in columns}
        prefixes = (index[: len(requested)] for index in self.all_indexes())
        return any({column.lower() for column in prefix} == requested for prefix in prefixes)

    def uniques(self) -> list[tuple[str, ...]]:
        """Return the sets of columns whose values no two rows share.

        Returns
        -------
        list of tuple
            Names of columns, those of the primary key first, then those of each unique index.
        """
        keys = [self.primary_key] if self.primary_key else []
        return keys + [index.columns for index in self.indexes if index.unique and index.columns not in keys]

    def is_unique(self, columns: Iterable[str]) -> bool:
        """Tell whether no two rows share the values of these columns.

        Parameters
        ----------
        columns
            Names of columns, in any case.

        Returns
        -------
        bool
            Whether a unique key is over some of these columns, or all, and over no other one.
        """
        given = {column.lower() for column in columns}
        return any({column.lower() for column in unique} <= given for unique in self.uniques())


class Schema(dict[str, Table]):
    """The tables of a database by their names."""

    views: tuple[str, ...] = ()
    """The names of its views, which are read where a plan names them."""

    def find(self, name: str) -> Table | None:
        """Return a table, also where its name is in another case and no other table has this name.

        Parameters
        ----------
        name
            The name of the table.

        Returns
        -------
        Table or None
            None where there is no such table, or several in other cases.
        """
        if name in self:
            return self[name]
        matches = [table for key, table in self.items() if key.lower() == name.lower()]
        return matches[0] if len(matches) == 1 else None
