"""The target's type for each column of the source: what it is declared as, as far as its values bear that out.

SQLite takes a declared type as a wish (https://www.sqlite.org/datatype3.html), so the values are measured first, in one
query per table. A type that the values break is made wide enough, or gives way to one that holds them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from dfsync.schema import Column, Table
from dfsync.source import Source

MOST_CHARACTERS = 16_383
"""Of a VARCHAR in utf8mb4: a row has 65,535 bytes."""
_MOST_CHAR = 255
_MOST_BYTES = 65_535
_MOST_DIGITS, _MOST_DECIMALS = 65, 30
_MICROSECONDS = 6
_AT_ONCE = 200
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
class Type:
    """A type of MariaDB and MySQL."""

    word: str
    length: int | None = None
    """Characters, bytes, digits, or digits of a second's fraction."""
    scale: int | None = None
    collation: str | None = None
    """Where it is not the table's."""
    longest: int = 0
    """The longest value in the source: characters of text, bytes of blobs."""
    spec: str | None = None
    """How the target itself writes it: the type of a column that it already has."""

    def sql(self) -> Any:
        """As SQLAlchemy has it."""
        return _Spec(self.spec) if self.spec else _SQL[self.word](self)

    @property
    def unit(self) -> int:
        """Bytes that a character or byte of it takes at most; 0 where it has no length."""
        return _UNITS.get(self.word, 0)

    @property
    def bytes(self) -> int:
        """Of its row, at most: a value without a length lies outside of it, behind a pointer."""
        return self.length * self.unit if self.unit and self.length else 40 if self.unit else 16

    def keyed(self) -> Type:
        """As part of a key, where text and bytes need a length: that which is declared, else a usual one."""
        if not self.unit or self.length:
            return self
        length = max(255, self.longest + self.longest // 4)
        return replace(self, word="VARBINARY" if self.unit == 1 else "VARCHAR", length=length)

    def outside(self) -> Type:
        """For a column that would not fit into its row: the type that is kept outside of it."""
        return replace(self, word="BLOB" if self.unit == 1 else "TEXT", length=None)


@dataclass(frozen=True)
class Values:
    """What a source column holds. What was not asked for is None."""

    classes: frozenset[str]
    longest: int | None = None
    octets: int | None = None
    low: int | None = None
    high: int | None = None
    digits: int | None = None
    """Before the decimal point."""
    parts: int | None = None
    """Whether some real is no whole number."""
    finer: int | None = None
    """Whether some number has more decimals than declared."""
    fractions: int | None = None
    """Whether some time has a fraction of a second."""
    timed: int | None = None
    """Whether some date has a time of day."""
    padded: int | None = None
    """Whether some text ends in a space."""
    broken: int | None = None
    """Whether some text is no JSON."""


class _Spec(sa.types.UserDefinedType[Any]):
    def __init__(self, spec: str) -> None:
        self.spec = spec

    def get_col_spec(self, **_: Any) -> str:
        return self.spec


_SQL: dict[str, Callable[[Type], Any]] = {
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
_TELLING = {"NOCASE": ("a", "A"), "RTRIM": ("a", "a ")}
_UNITS = {**dict.fromkeys(["CHAR", "VARCHAR", *_TEXTS], 4), **dict.fromkeys(["VARBINARY", "BLOB", "LONGBLOB"], 1)}


@dataclass(frozen=True)
class _Declared:
    word: str | None
    """None where the values decide."""
    length: int | None
    scale: int | None


def _declared(column: Column) -> _Declared:
    match = re.match(r"\s*([^(]*?)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\).*)?$", column.type)
    words, length, scale = match.groups() if match else (column.type, None, None)
    word = _WORDS.get(" ".join(words.upper().split())) or _AFFINITIES.get(column.kind)
    if not words or (word == "DECIMAL" and length is None):
        word = None
    return _Declared(word, int(length or 0) or None, None if scale is None else int(scale))


def _is(column: Any, storage_class: str) -> Any:
    return sa.func.typeof(column) == storage_class


def _any(column: Any, storage_class: str, condition: Any) -> Any:
    return sa.func.max(sa.case((_is(column, storage_class), condition)))


def _glob(column: Any, pattern: str) -> Any:
    return column.op("GLOB")(sa.literal(pattern))


def _finer(column: Any, scale: int) -> Any:
    # What a float is off by is no decimal of its own.
    off = sa.func.abs(column - sa.func.round(column, sa.literal(scale)))
    return _any(column, "real", off > 1e-9 * sa.func.max(sa.literal(1), sa.func.abs(column)))


_MEASURES: dict[str, Callable[[Any, _Declared], Any]] = {
    "classes": lambda c, d: sa.func.group_concat(sa.func.typeof(c).distinct()),
    "longest": lambda c, d: sa.func.max(sa.func.length(c)),
    "octets": lambda c, d: sa.func.max(sa.func.octet_length(c)),
    "low": lambda c, d: sa.func.min(sa.case((_is(c, "integer"), c))),
    "high": lambda c, d: sa.func.max(sa.case((_is(c, "integer"), c))),
    "digits": lambda c, d: sa.func.max(sa.func.length(sa.func.ltrim(sa.cast(c, sa.Integer), "-"))),
    "parts": lambda c, d: _any(c, "real", c != sa.cast(c, sa.Integer)),
    "finer": lambda c, d: _finer(c, d.scale or 0),
    "fractions": lambda c, d: _any(c, "text", _glob(c, "*.*[1-9]*")),
    "timed": lambda c, d: _any(c, "text", _glob(sa.func.substr(c, 12, 8), "*[1-9]*")),
    "padded": lambda c, d: _any(c, "text", _glob(c, "* ")),
    "broken": lambda c, d: _any(c, "text", sa.not_(sa.func.json_valid(c))),
}
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
class Choice:
    """The type of a column, and why."""

    type: Type
    declared: bool
    """Whether it is what the declaration asks for; if not, the values would not fit that."""
    nulls: bool
    """Whether the source has NULL in it."""


def choose_types(source: Source, table: Table, columns: Iterable[Column]) -> dict[str, Choice]:
    """The type of each column, by its name."""
    wishes = {column.name: _declared(column) for column in columns}
    values = _measure(source, table, {name: (w, _MEASURED.get(w.word or "", _LENGTHS)) for name, w in wishes.items()})
    astray = {name: wish for name, wish in wishes.items() if not _holds(wish.word, values[name])}
    again = _measure(source, table, {name: (wish, _LENGTHS) for name, wish in astray.items()})
    chosen: dict[str, Choice] = {}
    for name, wish in wishes.items():
        made = _by_values(again[name]) if name in astray else _fitted(wish, values[name])
        kept = wish.word is None or (name not in astray and _alike(made, _fitted(wish, _NOTHING)))
        chosen[name] = Choice(made, kept, "null" in values[name].classes)
    return chosen


def collations(source: Source, table: Table, columns: Iterable[Column]) -> dict[str, str]:
    """`NOCASE` or `RTRIM` by text column, as far as they are not `BINARY`."""
    found: dict[str, str] = {}
    for column in columns:
        counts = {word: _compared(table, column, *pair) for word, pair in _TELLING.items()}
        (row,) = source.query(sa.select(*(count.label(word) for word, count in counts.items()))).to_pylist()
        found.update((column.name, word) for word, count in row.items() if count == 1)
    return found


def _compared(table: Table, column: Column, *values: str) -> Any:
    """How many of the values differ for the column: a compound SELECT compares as the column of its first part does."""
    none: Any = sa.select(sa.column(column.name)).select_from(sa.table(table.name)).where(sa.false())
    rows = sa.union(none, *(sa.select(sa.literal(value)) for value in values)).subquery()
    return sa.select(sa.func.count()).select_from(rows).scalar_subquery()


def _measure(
    source: Source, table: Table, wanted: Mapping[str, tuple[_Declared, tuple[str, ...]]]
) -> dict[str, Values]:
    asked = [(name, measure, declared) for name, (declared, measures) in wanted.items() for measure in measures]
    found: dict[str, dict[str, Any]] = {name: {} for name in wanted}
    for start in range(0, len(asked), _AT_ONCE):
        part = asked[start : start + _AT_ONCE]
        measures = [
            _MEASURES[measure](sa.column(name), declared).label(str(i))
            for i, (name, measure, declared) in enumerate(part)
        ]
        (row,) = source.query(sa.select(*measures).select_from(sa.table(table.name))).to_pylist()
        for (name, measure, _), value in zip(part, row.values(), strict=True):
            found[name][measure] = value
    return {
        name: Values(**{**row, "classes": frozenset(filter(None, (row["classes"] or "").split(",")))})
        for name, row in found.items()
    }


def _holds(word: str | None, values: Values) -> bool:
    there = values.classes - {"null"}
    if word is None or not there:
        return word is not None
    if values.broken or (values.parts and "text" not in there):
        return False
    return bool(there & _HOLDS[word])


def _by_values(values: Values) -> Type:
    """The narrowest type for all storage classes that are there."""
    if "blob" in values.classes:
        return Type("LONGBLOB", longest=values.octets or 0)
    if "text" in values.classes or not values.classes & _NUMBERS:
        return _text(values)
    return Type("DOUBLE" if "real" in values.classes else "BIGINT")


def _text(values: Values) -> Type:
    word = next(word for word, most in _TEXTS.items() if (values.octets or 0) * _ROOM < most or word == "LONGTEXT")
    return Type(word, longest=values.longest or 0)


def _integer(declared: _Declared, values: Values) -> Type:
    word = declared.word or "BIGINT"
    half = 2 ** (_INTEGERS[word] - 1)
    fits = -half <= (values.low or 0) and (values.high or 0) < half
    return Type(word if fits else "BIGINT")


def _decimal(declared: _Declared, values: Values) -> Type:
    scale = declared.scale or 0
    digits = max(declared.length or 0, scale + (values.digits or 0))
    if digits > _MOST_DIGITS or scale > _MOST_DECIMALS or values.finer:
        return Type("DOUBLE")
    return Type("DECIMAL", digits, scale)


def _string(declared: _Declared, values: Values) -> Type:
    longest = values.longest or 0
    length = max(declared.length or 0, longest)
    if declared.length is None or length > MOST_CHARACTERS:
        return _text(values)
    fixed = declared.word == "CHAR" and length <= _MOST_CHAR and not values.padded
    return Type("CHAR" if fixed else "VARCHAR", length, longest=longest)


def _bytes(declared: _Declared, values: Values) -> Type:
    octets = values.octets or 0
    length = max(declared.length or 0, octets)
    if declared.word != "VARBINARY" or declared.length is None or length > _MOST_BYTES:
        return Type("LONGBLOB", longest=octets)
    return Type("VARBINARY", length, longest=octets)


def _moment(declared: _Declared, values: Values) -> Type:
    word = "DATETIME" if declared.word == "DATE" and values.timed else declared.word or ""
    digits = _MICROSECONDS if values.fractions else min(declared.length or 0, _MICROSECONDS) or None
    return Type(word, None if word == "DATE" else digits)


def _fitted(declared: _Declared, values: Values) -> Type:
    return _FITTED.get(declared.word or "", _plain)(declared, values)


def _alike(made: Type, wish: Type) -> bool:
    """Whether they differ by no more than the size of a TEXT and the digits of a fraction."""
    if made.word in _TEXTS and wish.word in _TEXTS:
        return True
    sized = made.unit or made.word == "DECIMAL"
    return made.word == wish.word and (not sized or (made.length, made.scale) == (wish.length, wish.scale))


def _plain(declared: _Declared, values: Values) -> Type:
    return Type(declared.word or "", longest=values.longest or 0)


_NOTHING = Values(frozenset())
_FITTED: dict[str, Callable[[_Declared, Values], Type]] = {
    **dict.fromkeys(_INTEGERS, _integer),
    "DECIMAL": _decimal,
    **dict.fromkeys(["CHAR", "VARCHAR"], _string),
    **dict.fromkeys(["VARBINARY", "LONGBLOB"], _bytes),
    **dict.fromkeys(["DATE", "DATETIME", "TIME"], _moment),
}
