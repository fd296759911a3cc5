"""The target's type for each column of the source: what it is declared as, as far as its values bear that out.

SQLite takes a declared type as a wish (https://www.sqlite.org/datatype3.html), so the values are measured first, in one
query per table. A type that the values break is made wide enough, or gives way to one that holds them.
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

MAX_VARCHAR_CHARACTERS = 16_383
"""Of a VARCHAR in utf8mb4: a row has 65,535 bytes."""
_MAX_CHAR = 255
_MAX_VARBINARY_BYTES = 65_535
_MAX_DIGITS, _MAX_DECIMALS = 65, 30
_MICROSECONDS = 6
_ROOM = 4
"""A TEXT type is chosen so that values may become so many times longer."""
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
"""The target's word for a declared one; the others go by their affinity."""
_AFFINITIES = {"integer": "BIGINT", "text": "VARCHAR", "real": "DOUBLE", "blob": "LONGBLOB"}
_INTEGERS = {"BOOL": 8, "TINYINT": 8, "SMALLINT": 16, "MEDIUMINT": 24, "BIGINT": 64}
_TEXTS = {"TEXT": 2**16, "MEDIUMTEXT": 2**24, "LONGTEXT": 2**32}
_NUMBERS = frozenset({"integer", "real"})
_HOLDS = {
    **dict.fromkeys(_INTEGERS, frozenset({"integer"})),
    **dict.fromkeys(["DECIMAL", "DOUBLE"], _NUMBERS),
    **dict.fromkeys(["CHAR", "VARCHAR", "JSON"], _NUMBERS | {"text"}),
    **dict.fromkeys(["DATE", "DATETIME", "TIME"], frozenset({"text"})),
    **dict.fromkeys(["VARBINARY", "LONGBLOB"], frozenset({"blob", "text"})),
}
"""The storage classes that a type takes; one that takes none of those that are there is not taken at its word."""


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
        """As SQLAlchemy has it."""
        return _Spec(self.verbatim) if self.verbatim else _SQL[self.name](self)

    @property
    def unit(self) -> int:
        """Bytes that a character or byte of it takes at most; 0 where it has no length."""
        return _UNITS.get(self.name, 0)

    @property
    def bytes(self) -> int:
        """Of its row, at most: a value without a length lies outside of it, behind a pointer."""
        return self.length * self.unit if self.unit and self.length else 40 if self.unit else 16

    def as_key(self) -> ColumnType:
        """As part of a key, where text and bytes need a length: that which is declared, else a usual one."""
        if not self.unit or self.length:
            return self
        length = max(255, self.longest + self.longest // 4)
        return replace(self, name="VARBINARY" if self.unit == 1 else "VARCHAR", length=length)

    def off_page(self) -> ColumnType:
        """For a column that would not fit into its row: the type that is kept outside of it."""
        return replace(self, name="BLOB" if self.unit == 1 else "TEXT", length=None)


class _Spec(sa.types.UserDefinedType[Any]):
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


def choose_types(profiler: Profiler, table: Table, columns: Iterable[Column]) -> dict[str, TypeChoice]:
    """The type of each column, by its name."""
    wishes = {column.name: _declared(column) for column in columns}
    values = profiler.profile(table, {name: (w, _MEASURED.get(w.name or "", _LENGTHS)) for name, w in wishes.items()})
    astray = {name: wish for name, wish in wishes.items() if not _accepts(wish.name, values[name])}
    again = profiler.profile(table, {name: (wish, _LENGTHS) for name, wish in astray.items()})
    chosen: dict[str, TypeChoice] = {}
    for name, wish in wishes.items():
        made = _by_values(again[name]) if name in astray else _fitted(wish, values[name])
        kept = wish.name is None or (name not in astray and _alike(made, _fitted(wish, _NO_VALUES)))
        chosen[name] = TypeChoice(made, kept, "null" in values[name].classes)
    return chosen


def _accepts(word: str | None, values: ColumnProfile) -> bool:
    there = values.classes - {"null"}
    if word is None or not there:
        return word is not None
    if values.broken or (values.parts and "text" not in there):
        return False
    return bool(there & _HOLDS[word])


def _by_values(values: ColumnProfile) -> ColumnType:
    """The narrowest type for all storage classes that are there."""
    if "blob" in values.classes:
        return ColumnType("LONGBLOB", longest=values.octets or 0)
    if "text" in values.classes or not values.classes & _NUMBERS:
        return _text(values)
    return ColumnType("DOUBLE" if "real" in values.classes else "BIGINT")


def _text(values: ColumnProfile) -> ColumnType:
    word = next(word for word, most in _TEXTS.items() if (values.octets or 0) * _ROOM < most or word == "LONGTEXT")
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


def _alike(made: ColumnType, wish: ColumnType) -> bool:
    """Whether they differ by no more than the size of a TEXT and the digits of a fraction."""
    if made.name in _TEXTS and wish.name in _TEXTS:
        return True
    sized = made.unit or made.name == "DECIMAL"
    return made.name == wish.name and (not sized or (made.length, made.scale) == (wish.length, wish.scale))


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
