"""Choose the target's type for each column of the source: the declared one, where the values fit it.

SQLite does not enforce a declared type, so the values are measured first, in one query per table. A type that the
values do not fit is made wide enough, or replaced by one that holds them.

References
----------
https://www.sqlite.org/datatype3.html
https://mariadb.com/docs/server/reference/data-types
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from dfsync.model.profile import ColumnProfile, DeclaredType, Profiler
from dfsync.model.schema import Column, Table
from dfsync.text.wording import with_count

MAX_VARCHAR_CHARACTERS = 16_383
"""Of a VARCHAR in utf8mb4: a row has 65,535 bytes."""
_MAX_CHAR = 255
_MAX_VARBINARY_BYTES = 65_535
_MAX_DIGITS, _MAX_DECIMALS = 65, 30
_MICROSECONDS = 6
_ROOM = 4
"""A TEXT type is chosen with room for values this many times longer."""
_WORDS = {
    **dict.fromkeys(["BOOL", "BOOLEAN"], "BOOL"),
    **dict.fromkeys(["TINYINT", "INT1"], "TINYINT"),
    **dict.fromkeys(["SMALLINT", "INT2"], "SMALLINT"),
    **dict.fromkeys(["MEDIUMINT", "INT3"], "MEDIUMINT"),
    **dict.fromkeys(["DECIMAL", "NUMERIC", "DEC", "NUMBER"], "DECIMAL"),
    **dict.fromkeys(["CHAR", "CHARACTER", "NCHAR", "NATIVE CHARACTER"], "CHAR"),
    **dict.fromkeys(["BINARY", "VARBINARY", "BINARY VARYING"], "VARBINARY"),
    **dict.fromkeys(["DATETIME", "TIMESTAMP", "TIMESTAMPTZ"], "DATETIME"),
    **dict.fromkeys(["TIMESTAMP WITH TIME ZONE", "TIMESTAMP WITHOUT TIME ZONE"], "DATETIME"),
    **{word: word for word in ("DATE", "TIME", "JSON")},
}
"""The target's type by the declared one; other declarations are decided by their affinity."""
_AFFINITIES = {"integer": "BIGINT", "text": "VARCHAR", "real": "DOUBLE", "blob": "LONGBLOB"}
_INTEGERS = {"BOOL": 8, "TINYINT": 8, "SMALLINT": 16, "MEDIUMINT": 24, "BIGINT": 64}
_TEXTS = {"TEXT": 2**16, "MEDIUMTEXT": 2**24, "LONGTEXT": 2**32}
_TEMPORAL = ("DATE", "DATETIME", "TIME")
_KINDS = {
    **dict.fromkeys(_INTEGERS, "integer"),
    **{word: word.lower() for word in ("DECIMAL", "DOUBLE", *_TEMPORAL)},
}
"""The kind of the target's column, by the types of which a value may not fit though they are declared."""
_INTEGER_DIGITS = 20
_NUMBERS = frozenset({"integer", "real"})
_ACCEPTED_CLASSES = {
    **dict.fromkeys(_INTEGERS, frozenset({"integer"})),
    **dict.fromkeys(["DECIMAL", "DOUBLE"], _NUMBERS),
    **dict.fromkeys(["CHAR", "VARCHAR", "JSON"], _NUMBERS | {"text"}),
    **dict.fromkeys(["DATE", "DATETIME", "TIME"], frozenset({"text"})),
    **dict.fromkeys(["VARBINARY", "LONGBLOB"], frozenset({"blob", "text"})),
}
"""The storage classes that a type accepts. A declared type that accepts none of the values' classes is not used."""


@dataclass(frozen=True)
class ColumnType:
    """A type of MariaDB and MySQL."""

    name: str
    length: int | None = None
    """Characters, bytes, digits, or digits of a second's fraction."""
    scale: int | None = None
    collation: str | None = None
    """Where it is not the table's."""
    longest: int = 0
    """The longest value in the source: characters of text, bytes of blobs."""
    verbatim: str | None = None
    """How the target itself writes it: the type of a column that it already has."""

    def sql(self) -> Any:
        """Make the type of SQLAlchemy."""
        return _VerbatimType(self.verbatim) if self.verbatim else _SQL[self.name](self)

    @property
    def unit(self) -> int:
        """Bytes that a character or byte of it takes at most; 0 where it has no length."""
        return _UNITS.get(self.name, 0)

    @property
    def bytes(self) -> int:
        """The most bytes of a row that it takes; a type without a length is stored off the page, behind a pointer."""
        return self.length * self.unit if self.unit and self.length else 40 if self.unit else 16

    def as_key(self) -> ColumnType:
        """As part of a key, in which text and bytes need a length: the declared one, else at least 255."""
        if not self.unit or self.length:
            return self
        length = max(255, self.longest + self.longest // 4)
        return replace(self, name="VARBINARY" if self.unit == 1 else "VARCHAR", length=length)

    def off_page(self) -> ColumnType:
        """For a column that would not fit into its row: the type that is stored outside of it."""
        return replace(self, name="BLOB" if self.unit == 1 else "TEXT", length=None)


class _VerbatimType(sa.types.UserDefinedType[Any]):
    def __init__(self, spec: str) -> None:
        self.spec = spec

    def get_col_spec(self, **_: Any) -> str:
        return self.spec


_SQL: dict[str, Callable[[ColumnType], Any]] = {
    "BOOL": lambda t: mysql.TINYINT(1),
    "TINYINT": lambda t: mysql.TINYINT(),
    "SMALLINT": lambda t: mysql.SMALLINT(),
    "MEDIUMINT": lambda t: mysql.MEDIUMINT(),
    "BIGINT": lambda t: mysql.BIGINT(),
    "DECIMAL": lambda t: mysql.DECIMAL(t.length, t.scale),
    "DOUBLE": lambda t: mysql.DOUBLE(),
    "CHAR": lambda t: mysql.CHAR(t.length, collation=t.collation),
    "VARCHAR": lambda t: mysql.VARCHAR(t.length, collation=t.collation),
    "TEXT": lambda t: mysql.TEXT(collation=t.collation),
    "MEDIUMTEXT": lambda t: mysql.MEDIUMTEXT(collation=t.collation),
    "LONGTEXT": lambda t: mysql.LONGTEXT(collation=t.collation),
    "VARBINARY": lambda t: mysql.VARBINARY(t.length),
    "BLOB": lambda t: mysql.BLOB(),
    "LONGBLOB": lambda t: mysql.LONGBLOB(),
    "JSON": lambda t: mysql.JSON(),
    "DATE": lambda t: mysql.DATE(),
    "DATETIME": lambda t: mysql.DATETIME(fsp=t.length),
    "TIME": lambda t: mysql.TIME(fsp=t.length),
}
_UNITS = {**dict.fromkeys(["CHAR", "VARCHAR", *_TEXTS], 4), **dict.fromkeys(["VARBINARY", "BLOB", "LONGBLOB"], 1)}


def _declared(column: Column) -> DeclaredType:
    match = re.match(r"\s*([^(]*?)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\).*)?$", column.type)
    words, length, scale = match.groups() if match else (column.type, None, None)
    word = _WORDS.get(" ".join(words.upper().split())) or _AFFINITIES.get(column.kind)
    if not words or (word == "DECIMAL" and length is None):
        word = None
    return DeclaredType(word, int(length or 0) or None, None if scale is None else int(scale))


_LENGTHS = ("classes", "longest", "octets")
_MEASURED = {
    **dict.fromkeys(_INTEGERS, ("classes", "low", "high", "parts")),
    "DECIMAL": ("classes", "digits", "finer"),
    "DOUBLE": ("classes",),
    **dict.fromkeys(["CHAR", "VARCHAR"], (*_LENGTHS, "padded")),
    "JSON": (*_LENGTHS, "broken"),
    **dict.fromkeys(["VARBINARY", "LONGBLOB"], _LENGTHS),
    **dict.fromkeys(["DATE", "DATETIME", "TIME"], ("classes", "fractions", "timed")),
}


@dataclass(frozen=True)
class TypeChoice:
    """The type of a column, and why."""

    type: ColumnType
    declared: bool
    """Whether it is what the declaration asks for; if not, the values would not fit that."""
    nulls: bool
    """Whether the source has NULL in it."""
    reason: str = "its values do not fit {declared}"
    """Why the type is not the `{declared}` one."""
    doubtful: bool = False
    """Whether the declared type is kept, though some values may not fit it."""


def choose_types(profiler: Profiler, table: Table, columns: Iterable[Column]) -> dict[str, TypeChoice]:
    """Choose the type of each column.

    Parameters
    ----------
    profiler
        Measures the source's values.
    table
        The source's table.
    columns
        Columns of the table.

    Returns
    -------
    dict of str to TypeChoice
        By the column's name.
    """
    declared_types = {column.name: _declared(column) for column in columns}
    values = profiler.profile(
        table, {name: (d, _MEASURED.get(d.name or "", _LENGTHS)) for name, d in declared_types.items()}
    )
    mismatched = {
        name: declared for name, declared in declared_types.items() if not _accepts(declared.name, values[name])
    }
    again = profiler.profile(table, {name: (declared, _LENGTHS) for name, declared in mismatched.items()})
    chosen: dict[str, TypeChoice] = {}
    for name, declared in declared_types.items():
        type_ = _by_values(again[name]) if name in mismatched else _fitted(declared, values[name])
        as_declared = declared.name is None or (name not in mismatched and _alike(type_, _fitted(declared, _NO_VALUES)))
        doubtful = name not in mismatched and _is_doubtful(type_.name, values[name])
        chosen[name] = TypeChoice(
            type_, as_declared, "null" in values[name].classes, _reason(declared, type_, values[name]), doubtful
        )
    return chosen


def _is_doubtful(word: str, values: ColumnProfile) -> bool:
    """Whether values are of storage classes that the type does not accept, or texts that may be no dates."""
    classes = values.classes - {"null"}
    return word in _KINDS and bool(classes - _ACCEPTED_CLASSES[word] or (word in _TEMPORAL and classes))


def _reason(declared: DeclaredType, type_: ColumnType, values: ColumnProfile) -> str:
    if declared.name != "DECIMAL" or type_.name != "DOUBLE":
        return TypeChoice.reason
    if values.finer:
        return f"some of its values have more than the {with_count(declared.scale or 0, 'decimals')} of {{declared}}"
    return f"{{declared}} needs more than the {_MAX_DIGITS} digits and {_MAX_DECIMALS} decimals that the target has"


def kept_column(name: str, type_: ColumnType, dialect: sa.Dialect) -> Column:
    """Describe a column that keeps its declared type, as it will be reflected.

    Parameters
    ----------
    name
        The column's name.
    type_
        A type of which a value may not fit: of a number or a time.
    dialect
        The target's.

    Returns
    -------
    Column
    """
    digits = (_INTEGER_DIGITS if type_.name in _INTEGERS else type_.length) or 0
    written = type_.sql().compile(dialect=dialect).lower()
    return Column(name, _KINDS[type_.name], written, precision=digits, scale=type_.scale)


def _accepts(word: str | None, values: ColumnProfile) -> bool:
    """Whether a declared type can hold the values, at least once it is wide enough."""
    if word is None:
        return False
    classes = values.classes - {"null"}
    if not classes:
        return True
    if values.broken or (values.parts and "text" not in classes):
        return False
    return bool(classes & _ACCEPTED_CLASSES[word])


def _by_values(values: ColumnProfile) -> ColumnType:
    """The narrowest type for all storage classes of the values."""
    if "blob" in values.classes:
        return ColumnType("LONGBLOB", longest=values.octets or 0)
    if "text" in values.classes or not values.classes & _NUMBERS:
        return _text(values)
    return ColumnType("DOUBLE" if "real" in values.classes else "BIGINT")


def _text(values: ColumnProfile) -> ColumnType:
    word = next(
        word for word, max_bytes in _TEXTS.items() if (values.octets or 0) * _ROOM < max_bytes or word == "LONGTEXT"
    )
    return ColumnType(word, longest=values.longest or 0)


def _integer(declared: DeclaredType, values: ColumnProfile) -> ColumnType:
    word = declared.name or "BIGINT"
    half = 2 ** (_INTEGERS[word] - 1)
    fits = -half <= (values.low or 0) and (values.high or 0) < half
    return ColumnType(word if fits else "BIGINT")


def _decimal(declared: DeclaredType, values: ColumnProfile) -> ColumnType:
    scale = declared.scale or 0
    digits = max(declared.length or 0, scale + (values.digits or 0))
    if digits > _MAX_DIGITS or scale > _MAX_DECIMALS or values.finer:
        return ColumnType("DOUBLE")
    return ColumnType("DECIMAL", digits, scale)


def _string(declared: DeclaredType, values: ColumnProfile) -> ColumnType:
    longest = values.longest or 0
    length = max(declared.length or 0, longest)
    if declared.length is None or length > MAX_VARCHAR_CHARACTERS:
        return _text(values)
    fixed = declared.name == "CHAR" and length <= _MAX_CHAR and not values.padded
    return ColumnType("CHAR" if fixed else "VARCHAR", length, longest=longest)


def _bytes(declared: DeclaredType, values: ColumnProfile) -> ColumnType:
    octets = values.octets or 0
    length = max(declared.length or 0, octets)
    if declared.name != "VARBINARY" or declared.length is None or length > _MAX_VARBINARY_BYTES:
        return ColumnType("LONGBLOB", longest=octets)
    return ColumnType("VARBINARY", length, longest=octets)


def _temporal(declared: DeclaredType, values: ColumnProfile) -> ColumnType:
    word = "DATETIME" if declared.name == "DATE" and values.timed else declared.name or ""
    digits = _MICROSECONDS if values.fractions else min(declared.length or 0, _MICROSECONDS) or None
    return ColumnType(word, None if word == "DATE" else digits)


def _fitted(declared: DeclaredType, values: ColumnProfile) -> ColumnType:
    return _FITTED.get(declared.name or "", _plain)(declared, values)


def _alike(chosen: ColumnType, declared: ColumnType) -> bool:
    """Whether they differ by no more than the size of a TEXT and the digits of a fraction."""
    if chosen.name in _TEXTS and declared.name in _TEXTS:
        return True
    if chosen.name != declared.name:
        return False
    sized = chosen.unit or chosen.name == "DECIMAL"
    return not sized or (chosen.length, chosen.scale) == (declared.length, declared.scale)


def _plain(declared: DeclaredType, values: ColumnProfile) -> ColumnType:
    return ColumnType(declared.name or "", longest=values.longest or 0)


_NO_VALUES = ColumnProfile(frozenset())
_FITTED: dict[str, Callable[[DeclaredType, ColumnProfile], ColumnType]] = {
    **dict.fromkeys(_INTEGERS, _integer),
    "DECIMAL": _decimal,
    **dict.fromkeys(["CHAR", "VARCHAR"], _string),
    **dict.fromkeys(["VARBINARY", "LONGBLOB"], _bytes),
    **dict.fromkeys(["DATE", "DATETIME", "TIME"], _temporal),
}
