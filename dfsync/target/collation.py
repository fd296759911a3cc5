"""Which values the target calls equal.

Keys are compared in a form in which equal to the target means the same to pandas. Printable ASCII is brought into that
form here, where the collation is of no one language. As soon as a key holds anything else, the server gives the form:
the collation's own weights (`WEIGHT_STRING`), padded where the collation pads.
See https://dev.mysql.com/doc/refman/9.7/en/string-functions.html#function_weight-string.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from dfsync.model import frames
from dfsync.model.schema import Column

_VALUES_PER_STATEMENT = 1_000
_BYTES_PER_STATEMENT = 200_000
_MAX_WEIGHTS = 18
# Languages sort some letters as others (I as J, V as W, CCS as CSCS): only these differ by nothing but case in ASCII.
_ASCII_ONLY_FOLDING = re.compile(
    r"\w+_bin|(ascii|latin1|utf8|utf8mb3|utf8mb4|ucs2|utf16|utf16le|utf32)"
    r"_(general|unicode|unicode_520|0900|uca1400)(_nopad)?(_ai|_as)?(_ci|_cs)|latin1_swedish(_nopad)?_ci"
)


@dataclass(frozen=True)
class Collation:
    """How a text column compares, as its server answered."""

    name: str
    charset: str
    pad_space: bool
    """Trailing spaces do not count."""
    case_insensitive: bool
    """Case does not count."""
    ascii_only_folding: bool
    """In printable ASCII nothing else is equal."""
    byte_exact: bool
    """In no character is anything else equal, and it holds them all."""


class _TrimTrailing(FunctionElement[Any]):
    """`TRIM(TRAILING a FROM b)`, which has no commas."""

    inherit_cache = True


@compiles(_TrimTrailing)
def _compile_trim(element: _TrimTrailing, compiler: Any, **options: Any) -> str:
    unit, whole = (compiler.process(clause, **options) for clause in element.clauses)
    return f"TRIM(TRAILING {unit} FROM {whole})"


def read_collation(connection: sa.Connection, column: Column) -> Collation | None:
    """The collation of a text column, from the server; None for other kinds."""
    if column.collation is None:
        return None

    def same(a: str, b: str) -> Any:
        return cast_as_column(column, sa.literal(a)) == cast_as_column(column, sa.literal(b))

    pads, folds = connection.execute(sa.select(same("a", "a "), same("a", "A"))).one()
    plain = _ASCII_ONLY_FOLDING.fullmatch(column.collation) is not None
    binary = column.charset == "utf8mb4" and column.collation.endswith("_bin")
    return Collation(column.collation, column.charset or "", bool(pads), bool(folds), plain, binary)


class KeyNormalizer:
    """Owns what it takes to bring the values of one key column into comparable form: once it has seen all of them, on
    both sides, what the target calls equal is identical in that form.
    """

    def __init__(self, connection: sa.Connection | None, column: Column) -> None:
        self._connection = connection
        self._column = column
        self._collation = None if connection is None else read_collation(connection, column)
        self._longest = 1
        self.needs_server = self._collation is not None and not self._collation.ascii_only_folding
        """Whether the server has to help."""

    def observe(self, values: pd.Series[Any]) -> None:
        if self._collation is not None:
            array = frames.as_arrow(values)
            # In bytes, which are at least as many as characters, and known without a look at any.
            self._longest = max(self._longest, pc.max(pc.binary_length(array)).as_py() or 1)
            self.needs_server = self.needs_server or (not self._collation.byte_exact and has_non_ascii(array))

    @property
    def exact(self) -> bool:
        """Whether what the target calls equal is the same to the last bit."""
        held = self._collation
        return held is None or (held.byte_exact and not held.pad_space and not held.case_insensitive)

    def normalize(self, values: pd.Series[Any]) -> pd.Series[Any]:
        """The values in that form; NULL stays NULL."""
        if self._connection is None or self._collation is None:
            return values
        array = frames.as_arrow(values)
        if self.needs_server:
            # Some servers count characters and others weights, of which a character may have many (U+FDFA).
            pad_to = self._longest * _MAX_WEIGHTS if self._collation.pad_space else None
            made = _weigh(self._connection, self._column, array, pad_to)
        else:
            made = _fold(array, self._collation)
        return frames.series(made).set_axis(values.index)


def normalize_pair(
    connection: sa.Connection | None, column: Column, source: pd.Series[Any], target: pd.Series[Any]
) -> tuple[pd.Series[Any], pd.Series[Any]]:
    """Both sides of a key column in a form in which what the target calls equal is identical. NULL stays NULL."""
    form = KeyNormalizer(connection, column)
    for side in (source, target):
        form.observe(side)
    return form.normalize(source), form.normalize(target)


def value_owners(
    connection: sa.Connection, column: Column, values: pd.Series[Any], referenced: pd.Series[Any]
) -> pd.Series[Any]:
    """For each row (of an integer index) the one whose `referenced`, values of `column`, is equal to its value: Arrow
    int64, the first of several; NULL where there is none, or where that is the row itself.
    """
    wanted, known = normalize_pair(connection, column, values, referenced)
    rows = pd.DataFrame({"value": known.array, "owner": known.index}).dropna().drop_duplicates("value")
    found = pd.DataFrame({"value": wanted.array}).merge(rows, on="value", how="left")["owner"]
    found = found.astype(frames.INT64).set_axis(values.index)
    return found.where((found != values.index).fillna(False))


def has_non_ascii(values: Any) -> bool:
    """Whether any of the texts holds more than printable ASCII."""
    # Arrow calls the empty text printable, and takes a sixth of the time that a pattern takes.
    return not pc.all(pc.ascii_is_printable(values), min_count=0).as_py()


def _fold(values: Any, collation: Collation) -> Any:
    values = pc.ascii_lower(values) if collation.case_insensitive else values
    return pc.ascii_rtrim(values, characters=" ") if collation.pad_space else values


def _weigh(connection: sa.Connection, column: Column, values: Any, pad_to: int | None) -> Any:
    """The server's weights of the values, asked for in bulk."""
    distinct = values.unique().drop_null()
    weights: list[str] = []
    for part in _chunks(distinct):
        weights += _weights(connection, column, part.to_pylist(), pad_to)
    return pc.take(pa.array(weights, pa.string()), pc.index_in(values, value_set=distinct))


def _chunks(values: Any) -> Iterator[Any]:
    """The values in pieces that make a statement of bearable length."""
    size = max(1, min(_VALUES_PER_STATEMENT, _BYTES_PER_STATEMENT // (pc.max(pc.binary_length(values)).as_py() or 1)))
    for start in range(0, len(values), size):
        yield values.slice(start, size)


def _weights(connection: sa.Connection, column: Column, values: list[str], pad_to: int | None) -> list[str]:
    listed = _listed(len(values))
    stored = sa.select(listed.c.i, cast_as_column(column, listed.c.v).label("v"), listed.c.v.label("given")).subquery(
        "stored"
    )
    weight: Any = sa.func.weight_string(stored.c.v)
    if pad_to:
        # Some servers weigh padding too, but as often as the value was short of characters that count.
        padded: Any = sa.literal_column(f"WEIGHT_STRING(stored.v AS CHAR({int(pad_to)}))")
        weight = _TrimTrailing(sa.func.weight_string(cast_as_column(column, sa.literal(" "))), padded)
    # A character that the column cannot hold would weigh as the question mark that takes its place.
    held: Any = sa.func.convert(stored.c.v.op("USING")(sa.literal_column("utf8mb4")))
    same = sa.cast(held, sa.LargeBinary) == sa.cast(stored.c.given, sa.LargeBinary)
    form = sa.func.coalesce(
        sa.case((same, sa.func.sha2(weight, 256))), sa.func.concat("not ", sa.func.sha2(stored.c.given, 256))
    )
    select = sa.select(form).select_from(stored).order_by(stored.c.i)
    rows = connection.execute(select, {f"v{i}": value for i, value in enumerate(values)})
    return [str(row[0]) for row in rows]


@cache
def _listed(count: int) -> Any:
    """So many bound values as rows of a query, `i` and `v`; no server but the newest has a shorter way."""
    # As text, since thousands of expression objects would take longer than the server does.
    rows = " UNION ALL ".join(f"SELECT {i} AS i, :v{i} AS v" for i in range(count))
    return sa.text(rows).columns(sa.column("i"), sa.column("v")).subquery("listed")


def cast_as_column(column: Column, value: Any) -> Any:
    """The value as the column would hold it: in its character set, under its collation."""
    if column.collation is None:
        return value
    # Both names come from information_schema and are plain words; there is no way to bind them.
    literal = sa.func.convert(value.op("USING")(sa.literal_column(column.charset or "utf8mb4")))
    return sa.collate(literal, column.collation)
