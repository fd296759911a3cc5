"""Which values the target calls equal.

Keys are normalised, so that what the target calls equal is identical to pandas. Printable ASCII is normalised here,
unless the collation is that of one language. As soon as a key holds anything else, the server normalises it: it gives
the weights of the collation (`WEIGHT_STRING`), padded where the collation pads.

References
----------
https://dev.mysql.com/doc/refman/9.7/en/string-functions.html#function_weight-string
https://mariadb.com/docs/server/reference/data-types/string-data-types/character-sets/supported-character-sets-and-collations
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
# In the collation of a language some letters are equal (I and J, V and W, CCS and CSCS). In these only case may be.
_ASCII_ONLY_FOLDING = re.compile(
    r"\w+_bin|(ascii|latin1|utf8|utf8mb3|utf8mb4|ucs2|utf16|utf16le|utf32)"
    r"_(general|unicode|unicode_520|0900|uca1400)(_nopad)?(_ai|_as)?(_ci|_cs)|latin1_swedish(_nopad)?_ci"
)


@dataclass(frozen=True)
class Collation:
    """How a text column compares, as reported by its server."""

    name: str
    charset: str
    pad_space: bool
    """Trailing spaces are ignored."""
    case_insensitive: bool
    """Case is ignored."""
    ascii_only_folding: bool
    """In printable ASCII, no other characters are equal."""
    byte_exact: bool
    """No other characters are equal, and the character set holds all of them."""


class _TrimTrailing(FunctionElement[Any]):
    """`TRIM(TRAILING a FROM b)`, which SQLAlchemy's functions cannot write."""

    inherit_cache = True


@compiles(_TrimTrailing)
def _compile_trim(element: _TrimTrailing, compiler: Any, **options: Any) -> str:
    trimmed, value = (compiler.process(clause, **options) for clause in element.clauses)
    return f"TRIM(TRAILING {trimmed} FROM {value})"


def read_collation(connection: sa.Connection, column: Column) -> Collation | None:
    """Ask the server how a column compares.

    Parameters
    ----------
    connection
        The target.
    column
        A column of the target.

    Returns
    -------
    Collation or None
        None for a column that is no text.
    """
    if column.collation is None:
        return None

    def same(a: str, b: str) -> sa.ColumnElement[bool]:
        return cast_as_column(column, sa.literal(a)) == cast_as_column(column, sa.literal(b))

    pad_space, case_insensitive = connection.execute(sa.select(same("a", "a "), same("a", "A"))).one()
    ascii_only_folding = _ASCII_ONLY_FOLDING.fullmatch(column.collation) is not None
    byte_exact = column.charset == "utf8mb4" and column.collation.endswith("_bin")
    return Collation(
        name=column.collation,
        charset=column.charset or "",
        pad_space=bool(pad_space),
        case_insensitive=bool(case_insensitive),
        ascii_only_folding=ascii_only_folding,
        byte_exact=byte_exact,
    )


class KeyNormalizer:
    """Normalises the values of one key column.

    After it has observed all values, of both sides, what the target calls equal is identical once normalised.

    Parameters
    ----------
    connection
        The target; None compares the values as they are.
    column
        The target's column.
    """

    def __init__(self, connection: sa.Connection | None, column: Column) -> None:
        self._connection = connection
        self._column = column
        self._collation = None if connection is None else read_collation(connection, column)
        self._longest = 1
        self.needs_server = self._collation is not None and not self._collation.ascii_only_folding
        """Whether the server must normalise the values."""

    def observe(self, values: pd.Series[Any]) -> None:
        """Note how long values are, and whether any holds more than ASCII.

        Parameters
        ----------
        values
            Values of either side, conformed (Arrow dtype).
        """
        if self._collation is not None:
            array = frames.as_arrow(values)
            # Bytes are at least as many as characters, and Arrow knows their number without reading them.
            self._longest = max(self._longest, pc.max(pc.binary_length(array)).as_py() or 1)
            self.needs_server = self.needs_server or (not self._collation.byte_exact and has_non_ascii(array))

    @property
    def exact(self) -> bool:
        """Whether the target calls only identical values equal."""
        collation = self._collation
        if collation is None:
            return True
        return collation.byte_exact and not (collation.pad_space or collation.case_insensitive)

    def normalize(self, values: pd.Series[Any]) -> pd.Series[Any]:
        """Normalise values.

        Parameters
        ----------
        values
            Values of either side, conformed (Arrow dtype), all of them observed before.

        Returns
        -------
        pandas.Series
            The values, or texts in their place, in an Arrow dtype, of the same index. NULL stays NULL.
        """
        if self._connection is None or self._collation is None:
            return values
        array = frames.as_arrow(values)
        if self.needs_server:
            # Some servers pad to a number of characters, others of weights, and a character may have many (U+FDFA).
            pad_to = self._longest * _MAX_WEIGHTS if self._collation.pad_space else None
            normalized = _weigh(self._connection, self._column, array, pad_to)
        else:
            normalized = _fold(array, self._collation)
        return frames.series(normalized).set_axis(values.index)


def normalize_pair(
    connection: sa.Connection | None, column: Column, source: pd.Series[Any], target: pd.Series[Any]
) -> tuple[pd.Series[Any], pd.Series[Any]]:
    """Normalise both sides of a key column, so that what the target calls equal is identical.

    Parameters
    ----------
    connection
        The target; None compares the values as they are.
    column
        The target's column.
    source, target
        The values of each side, conformed (Arrow dtype).

    Returns
    -------
    tuple of pandas.Series
        Source and target, in an Arrow dtype, of the same index each. NULL stays NULL.
    """
    normalizer = KeyNormalizer(connection, column)
    for values in (source, target):
        normalizer.observe(values)
    return normalizer.normalize(source), normalizer.normalize(target)


def value_owners(
    connection: sa.Connection, column: Column, values: pd.Series[Any], referenced: pd.Series[Any]
) -> pd.Series[Any]:
    """Resolve references within a table that go by a value instead of an id.

    Parameters
    ----------
    connection
        The target, which decides what is equal.
    column
        The target's column that is referred to.
    values
        By row (index int64), the value that refers to another row; Arrow dtype.
    referenced
        By row (index int64), the value of `column`; Arrow dtype.

    Returns
    -------
    pandas.Series
        Arrow int64, of the index of `values`: the index of the first row whose `referenced` is equal. NULL where there
        is none, or where it is the row itself.
    """
    references, keys = normalize_pair(connection, column, values, referenced)
    rows = pd.DataFrame({"value": keys.array, "owner": keys.index}).dropna().drop_duplicates("value")
    owners = pd.DataFrame({"value": references.array}).merge(rows, on="value", how="left")["owner"]
    owners = owners.astype(frames.INT64).set_axis(values.index)
    return owners.where((owners != values.index).fillna(False))


def has_non_ascii(values: pa.Array) -> bool:
    """Whether any text holds more than printable ASCII.

    Parameters
    ----------
    values
        Arrow strings.

    Returns
    -------
    bool
        False where all are NULL or empty.
    """
    # Arrow calls an empty text printable, and needs a sixth of the time of a regular expression.
    return not pc.all(pc.ascii_is_printable(values), min_count=0).as_py()


def _fold(values: pa.Array, collation: Collation) -> pa.Array:
    values = pc.ascii_lower(values) if collation.case_insensitive else values
    return pc.ascii_rtrim(values, characters=" ") if collation.pad_space else values


def _weigh(connection: sa.Connection, column: Column, values: pa.Array, pad_to: int | None) -> pa.Array:
    """The server's weights of the values, as texts; each distinct value is sent once."""
    distinct = values.unique().drop_null()
    weights: list[str] = []
    for chunk in _chunks(distinct):
        weights += _weights(connection, column, chunk.to_pylist(), pad_to)
    return pc.take(pa.array(weights, pa.string()), pc.index_in(values, value_set=distinct))


def _chunks(values: pa.Array) -> Iterator[pa.Array]:
    """The values in chunks of one statement each."""
    size = max(1, min(_VALUES_PER_STATEMENT, _BYTES_PER_STATEMENT // (pc.max(pc.binary_length(values)).as_py() or 1)))
    for start in range(0, len(values), size):
        yield values.slice(start, size)


def _weights(connection: sa.Connection, column: Column, values: list[str], pad_to: int | None) -> list[str]:
    listed = _listed(len(values))
    stored = sa.select(listed.c.i, cast_as_column(column, listed.c.v).label("v"), listed.c.v.label("given")).subquery(
        "stored"
    )
    weight: sa.ColumnElement[Any] = sa.func.weight_string(stored.c.v)
    if pad_to:
        # Some servers append one pad weight per missing character; trim them.
        padded: sa.ColumnElement[Any] = sa.literal_column(f"WEIGHT_STRING(stored.v AS CHAR({int(pad_to)}))")
        weight = _TrimTrailing(sa.func.weight_string(cast_as_column(column, sa.literal(" "))), padded)
    # A character that the column cannot hold would have the weight of the question mark that replaces it.
    held: sa.ColumnElement[Any] = sa.func.convert(stored.c.v.op("USING")(sa.literal_column("utf8mb4")))
    same = sa.cast(held, sa.LargeBinary) == sa.cast(stored.c.given, sa.LargeBinary)
    normalized = sa.func.coalesce(
        sa.case((same, sa.func.sha2(weight, 256))), sa.func.concat("not ", sa.func.sha2(stored.c.given, 256))
    )
    select = sa.select(normalized).select_from(stored).order_by(stored.c.i)
    rows = connection.execute(select, {f"v{i}": value for i, value in enumerate(values)})
    return [str(row[0]) for row in rows]


@cache
def _listed(count: int) -> sa.Subquery:
    """So many bound values as rows of a query, `i` and `v`; only the newest servers have a shorter form."""
    # As text, since thousands of expression objects take longer than the server does.
    rows = " UNION ALL ".join(f"SELECT {i} AS i, :v{i} AS v" for i in range(count))
    return sa.text(rows).columns(sa.column("i"), sa.column("v")).subquery("listed")


def cast_as_column(column: Column, value: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Convert an expression to the character set and the collation of a column.

    Parameters
    ----------
    column
        A column of the target.
    value
        The expression.

    Returns
    -------
    sqlalchemy.ColumnElement
        The expression itself where the column is no text.
    """
    if column.collation is None:
        return value
    # Both names come from information_schema and are plain words; they cannot be bound.
    literal = sa.func.convert(value.op("USING")(sa.literal_column(column.charset or "utf8mb4")))
    return sa.collate(literal, column.collation)
