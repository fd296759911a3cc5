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

from dfsync import frames
from dfsync.schema import Column

_AT_ONCE = 1_000
_BYTES_AT_ONCE = 200_000
_MOST_WEIGHTS = 18
_BEYOND_ASCII = r"[^\x20-\x7e]"
# Languages sort some letters as others (I as J, V as W, CCS as CSCS): only these differ by nothing but case in ASCII.
_NO_LANGUAGE = re.compile(
    r"\w+_bin|(ascii|latin1|utf8|utf8mb3|utf8mb4|ucs2|utf16|utf16le|utf32)"
    r"_(general|unicode|unicode_520|0900|uca1400)(_nopad)?(_ai|_as)?(_ci|_cs)|latin1_swedish(_nopad)?_ci"
)


@dataclass(frozen=True)
class Collation:
    """How a text column compares, as its server answered."""

    name: str
    charset: str
    pads: bool
    """Trailing spaces do not count."""
    folds: bool
    """Case does not count."""
    plain: bool
    """In printable ASCII nothing else is equal."""


class _TrimTrailing(FunctionElement[Any]):
    """`TRIM(TRAILING a FROM b)`, which has no commas."""

    inherit_cache = True


@compiles(_TrimTrailing)
def _compile_trim(element: _TrimTrailing, compiler: Any, **options: Any) -> str:
    unit, whole = (compiler.process(clause, **options) for clause in element.clauses)
    return f"TRIM(TRAILING {unit} FROM {whole})"


def ask(connection: sa.Connection, column: Column) -> Collation | None:
    """The collation of a text column, from the server; None for other kinds."""
    if column.collation is None:
        return None

    def same(a: str, b: str) -> Any:
        return _as(column, sa.literal(a)) == _as(column, sa.literal(b))

    pads, folds = connection.execute(sa.select(same("a", "a "), same("a", "A"))).one()
    plain = _NO_LANGUAGE.fullmatch(column.collation) is not None
    return Collation(column.collation, column.charset or "", bool(pads), bool(folds), plain)


def comparable(
    connection: sa.Connection | None, column: Column, source: pd.Series[Any], target: pd.Series[Any]
) -> tuple[pd.Series[Any], pd.Series[Any]]:
    """Both sides of a key column in a form in which what the target calls equal is identical. NULL stays NULL."""
    if connection is None or column.collation is None:
        return source, target
    collation = ask(connection, column)
    assert collation is not None
    sides = [frames.arrow(side) for side in (source, target)]
    if collation.plain and not any(_beyond_ascii(side) for side in sides):
        folded = [_fold(side, collation) for side in sides]
    else:
        folded = _weigh(connection, column, collation, sides)
    left, right = (frames.series(side) for side in folded)
    return left.set_axis(source.index), right.set_axis(target.index)


def _beyond_ascii(values: Any) -> bool:
    return bool(pc.any(pc.match_substring_regex(values, _BEYOND_ASCII)).as_py())


def _fold(values: Any, collation: Collation) -> Any:
    values = pc.ascii_lower(values) if collation.folds else values
    return pc.ascii_rtrim(values, characters=" ") if collation.pads else values


def _weigh(connection: sa.Connection, column: Column, collation: Collation, sides: list[Any]) -> list[Any]:
    """The server's weights of the distinct values, asked for in bulk."""
    distinct = pa.chunked_array(sides).unique().drop_null()
    # Some servers count characters and others weights, of which a character may have many (U+FDFA).
    longest = (pc.max(pc.utf8_length(distinct)).as_py() or 1) * _MOST_WEIGHTS
    weights: list[str] = []
    for part in _parts(distinct):
        weights += _weights(connection, column, part.to_pylist(), longest if collation.pads else None)
    table = pa.array(weights, pa.string())
    return [pc.take(table, pc.index_in(side, value_set=distinct)) for side in sides]


def _parts(values: Any) -> Iterator[Any]:
    """The values in pieces that make a statement of bearable length."""
    size = max(1, min(_AT_ONCE, _BYTES_AT_ONCE // (pc.max(pc.binary_length(values)).as_py() or 1)))
    for start in range(0, len(values), size):
        yield values.slice(start, size)


def _weights(connection: sa.Connection, column: Column, values: list[str], pad_to: int | None) -> list[str]:
    listed = _listed(len(values))
    stored = sa.select(listed.c.i, _as(column, listed.c.v).label("v"), listed.c.v.label("given")).subquery("stored")
    weight: Any = sa.func.weight_string(stored.c.v)
    if pad_to:
        # Some servers weigh padding too, but as often as the value was short of characters that count.
        padded: Any = sa.literal_column(f"WEIGHT_STRING(stored.v AS CHAR({int(pad_to)}))")
        weight = _TrimTrailing(sa.func.weight_string(_as(column, sa.literal(" "))), padded)
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


def _as(column: Column, value: Any) -> Any:
    """The value as the column would hold it: in its character set, under its collation."""
    # Both names come from information_schema and are plain words; there is no way to bind them.
    literal = sa.func.convert(value.op("USING")(sa.literal_column(column.charset or "utf8mb4")))
    return sa.collate(literal, column.collation or "utf8mb4_bin")
