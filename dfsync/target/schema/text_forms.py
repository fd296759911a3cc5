"""The form of a text in which equal to a column of the target means identical, asked of the server.

The server gives the weights of a collation (`WEIGHT_STRING`). In a few collations of MariaDB and MySQL the weights of
texts differ that `=` calls equal, or are the same of texts that it tells apart. There another form agrees with `=`.
Which one is decided by the server's own `=` over fixed texts, once for each collation, and not by a list of names.

References
----------
https://dev.mysql.com/doc/refman/9.7/en/string-functions.html#function_weight-string
https://mariadb.com/docs/server/reference/sql-functions/string-functions/weight_string
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from dfsync.model.errors import TableError
from dfsync.model.schema import Column

_VALUES_PER_STATEMENT = 1_000
_BYTES_PER_STATEMENT = 200_000
_MAX_WEIGHTS = 18
# Texts over which a form is held against `=`: letters of all scripts that some collation takes for others, then what
# stands in more than one weight or in none, at an end and in the middle.
_PROBES = (
    *("", " ", "-", "a", "A", "b", "e", "E", "i", "I", "l", "L", "n", "N", "o", "O", "s", "S", "u", "w", "v", "z", "1"),
    *("\xe9", "\xc9", "\xf1", "\xd1", "\xf6", "\xd6", "\xe5", "\xc5", "\xe6", "\xdf", "\u0142", "\u0131", "\u0130"),
    *("\u0161", "\u0160", "\u0219", "\u01a1", "\u1ea0", "\u1ea1", "\xb2", "\u2460", "\ufb01", "\u20ac", "\xa0", "\xd7"),
    *("K", "k", "\u212a", "\u017f", "\u212b", "\u2126", "\u03bc", "\xb5", "\u1e9e", "\xaa", "\xba", "\u2163", "IV"),
    *("\u03b1", "\u0391", "\u03ac", "\u03c3", "\u03c2", "\u03a9", "\u0430", "\u0410", "\u0431", "\u0411", "\u0435"),
    *("\u0451", "\u0401", "\u0456", "\u0531", "\u0561", "\u05d0", "\u05d1", "\u0627", "\u0628", "\u0643", "\u06a9"),
    *("\u0e01", "\u0e40", "\u0e48", "\u0905", "\u0915", "\u10d0", "\u10d1", "\u1100", "\uac00", "\uac28", "\uac4c"),
    *("\uad24", "\uad48", "\u3042", "\u3041", "\u30a2", "\u30a1", "\uff71", "\u304b", "\u304c", "\u30fc", "\u4e00"),
    *("\u4e01", "\u4e08", "\u4e48", "\u5140", "\u5384", "\u9000", "\u5005", "\uff21", "\uff41", "\u3000", "\u300c"),
    *("\u3008", "\u2500", "\u0301", "\u0300", "\u200b", "\xad", "\x00", "\x01", "\x1f", "\x7f", "\t", "\ufdfa"),
    *("\U0001f600", "\U0001f601", "\U00020000", "\U00010400", "\U00010428"),
    *("E ", "\xc9 ", "E\u0301", "e\u0301", "EB", "\xc9B", "E\xe9", "Ee", "E\u0301\u0301", "\u0301E", "\xc9\xc9", "EE"),
    *("a\x00", "a\x00b", "a\x00c", "a\x01", "a\x01b", "a\t", "ab", "aB", "AB", "a b", "a  ", "a\u3000", "a\xa0"),
    *("ss", "SS", "s\xdf", "ae", "AE", "oe", "aa", "AA", "ch", "cH", "CH", "ccs", "cscs", "ll", "IJ", "ij", "\u0133"),
    *("\u0410\u0411", "\u0430\u0431", "\u0430 ", "\u4e00\u4e01", "\uac00a", "\uac00A", "\u3042\u3099", "\u304b\u3099"),
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


def fold_ascii(values: pa.Array, collation: Collation) -> pa.Array:
    """Fold what the collation ignores in printable ASCII, and leave other characters as they are.

    Parameters
    ----------
    values
        Arrow strings.
    collation
        Says whether case and trailing spaces are ignored.

    Returns
    -------
    pyarrow.Array
        Strings.
    """
    values = pc.ascii_lower(values) if collation.case_insensitive else values
    return pc.ascii_rtrim(values, characters=" ") if collation.pad_space else values


def text_forms(
    connection: sa.Connection, column: Column, collation: Collation, values: pa.Array, longest: int
) -> pa.Array:
    """Give the form of texts in which equal to the column means identical.

    Parameters
    ----------
    connection
        The target.
    column
        The target's column.
    collation
        How it compares.
    values
        Arrow strings; each distinct one is sent once.
    longest
        The number of bytes of the longest value, of these and of all that they are compared with.

    Returns
    -------
    pyarrow.Array
        Strings; NULL stays NULL. A value with a character that the column's character set lacks equals itself alone.

    Raises
    ------
    TableError
        No form agrees with the server's `=` in this collation.
    """
    form = _form_of(connection, column, collation)
    distinct = values.unique().drop_null()
    forms = [text for chunk in _chunks(distinct) for text in form.apply(connection, column, collation, chunk, longest)]
    return pc.take(pa.array(forms, pa.string()), pc.index_in(values, value_set=distinct))


@dataclass(frozen=True)
class _Form:
    """One way to bring texts into a form, of the value `stored.v`, which has the column's collation."""

    expression: Callable[[Column, Collation, int], sa.ColumnElement[Any]]
    """From the column, its collation and the bytes of the longest value to an expression of bytes."""
    prepare: Callable[[pa.Array, Collation], pa.Array] = lambda values, _: values
    """What is done to the values before they are sent."""
    mariadb_only: bool = False

    def apply(
        self, connection: sa.Connection, column: Column, collation: Collation, values: pa.Array, longest: int
    ) -> list[str]:
        """The forms of these values, by one statement."""
        prepared = self.prepare(values, collation).to_pylist()
        stored = _stored(column, len(prepared))
        form = sa.func.sha2(self.expression(column, collation, longest), 256)
        # A character that the column cannot hold would have the weight of the question mark that replaces it.
        normalized = sa.func.coalesce(
            sa.case((_is_held(stored), form)), sa.func.concat("not ", sa.func.sha2(stored.c.given, 256))
        )
        select = sa.select(normalized).select_from(stored).order_by(stored.c.i)
        rows = connection.execute(select, {f"v{i}": value for i, value in enumerate(prepared)})
        return [str(row[0]) for row in rows]


def _stored(column: Column, count: int) -> sa.Subquery:
    """So many bound values, as the column would hold them: `i`, `v`, and `given` as they were sent."""
    listed = _listed(count)
    given = listed.c.v.label("given")
    return sa.select(listed.c.i, cast_as_column(column, listed.c.v).label("v"), given).subquery("stored")


def _is_held(stored: sa.Subquery) -> sa.ColumnElement[bool]:
    held: sa.ColumnElement[Any] = sa.func.convert(stored.c.v.op("USING")(sa.literal_column("utf8mb4")))
    return sa.cast(held, sa.LargeBinary) == sa.cast(stored.c.given, sa.LargeBinary)


def _weight(value: str, suffix: str = "") -> sa.ColumnElement[Any]:
    return sa.literal_column(f"WEIGHT_STRING({value}{suffix})")


def _trimmed(column: Column, weight: sa.ColumnElement[Any], suffix: str = "") -> sa.ColumnElement[Any]:
    """The weight without the weights of spaces at its end."""
    space = f"CONVERT(' ' USING {column.charset}) COLLATE {column.collation}"
    return _TrimTrailing(_weight(space, suffix), weight)


def _weights(column: Column, collation: Collation, longest: int, value: str = "stored.v") -> sa.ColumnElement[Any]:
    if not collation.pad_space:
        return _weight(value)
    # Some servers pad to a number of characters, others of weights, and a character may have many (U+FDFA). Some append
    # one pad weight per missing character; trim them.
    return _trimmed(column, _weight(value, f" AS CHAR({longest * _MAX_WEIGHTS})"))


def _levels(column: Column, collation: Collation, _longest: int) -> sa.ColumnElement[Any]:
    """Level by level: MariaDB pads the second and the third one also where the collation does not pad (NO PAD)."""
    levels = [_weight("stored.v", f" LEVEL {level}") for level in (1, 2, 3)]
    padded = [_trimmed(column, weight, f" LEVEL {level}") for level, weight in enumerate(levels, start=1)]
    parts = padded if collation.pad_space else [levels[0], *padded[1:]]
    return sa.func.concat(*(sa.func.sha2(part, 256) for part in parts))


def _weights_of_trimmed(_column: Column, collation: Collation, _longest: int) -> sa.ColumnElement[Any]:
    """The weights without any padding, for which the spaces at the end are cut off before."""
    return _weight("TRIM(TRAILING ' ' FROM stored.v)" if collation.pad_space else "stored.v")


def _weights_around_nul(column: Column, collation: Collation, longest: int) -> sa.ColumnElement[Any]:
    """Twice the weights, with two other characters for U+0000, at which some weights of MySQL end."""
    replaced = [f"REPLACE(stored.v, CHAR(0), CHAR({other}))" for other in (1, 2)]
    return sa.func.concat(*(sa.func.sha2(_weights(column, collation, longest, value), 256) for value in replaced))


def _weights_before_nul(column: Column, collation: Collation, longest: int) -> sa.ColumnElement[Any]:
    """The weights of what comes before U+0000, at which some comparisons of MariaDB end."""
    return _weights(column, collation, longest, "SUBSTRING_INDEX(stored.v, CHAR(0), 1)")


def _bytes(_column: Column, _collation: Collation, _longest: int) -> sa.ColumnElement[Any]:
    return sa.literal_column("CAST(stored.v AS BINARY)")


def _folded_bytes(_column: Column, collation: Collation, _longest: int) -> sa.ColumnElement[Any]:
    """The bytes, also those inside of a character, with the case of ASCII folded."""
    folded: sa.ColumnElement[Any] = sa.literal_column(
        "CAST(LOWER(CONVERT(CAST(stored.v AS BINARY) USING ascii)) AS BINARY)"
    )
    return _trim_spaces(folded, collation)


def _weights_and_ascii(column: Column, collation: Collation, longest: int) -> sa.ColumnElement[Any]:
    """The weights, and which characters are of ASCII: such a one equals no other, whatever its weight is."""
    letters: sa.ColumnElement[Any] = sa.literal_column("CAST(LOWER(CONVERT(stored.v USING ascii)) AS BINARY)")
    parts = (_weights(column, collation, longest), _trim_spaces(letters, collation))
    return sa.func.concat(*(sa.func.sha2(part, 256) for part in parts))


def _trim_spaces(value: sa.ColumnElement[Any], collation: Collation) -> sa.ColumnElement[Any]:
    return _TrimTrailing(sa.literal_column("' '"), value) if collation.pad_space else value


_FORMS = (
    _Form(_weights),
    _Form(_weights_of_trimmed),
    _Form(_levels, mariadb_only=True),
    _Form(_weights_around_nul),
    _Form(_weights_before_nul),
    _Form(_bytes, prepare=fold_ascii),
    _Form(_folded_bytes),
    _Form(_weights_and_ascii),
)
_known: WeakKeyDictionary[sa.Engine, dict[str, _Form]] = WeakKeyDictionary()


def _form_of(connection: sa.Connection, column: Column, collation: Collation) -> _Form:
    """The first form that agrees with the server's `=` in this collation; each server is asked once."""
    known = _known.setdefault(connection.engine, {})
    if collation.name not in known:
        known[collation.name] = _find_form(connection, column, collation)
    return known[collation.name]


def _find_form(connection: sa.Connection, column: Column, collation: Collation) -> _Form:
    dialect: Any = connection.dialect
    stored = _stored(column, len(_PROBES))
    bound = {f"v{i}": probe for i, probe in enumerate(_PROBES)}
    held = list(connection.scalars(sa.select(stored.c.i).where(_is_held(stored)).order_by(stored.c.i), bound))
    texts = pa.array([_PROBES[i] for i in held], pa.string())
    longest = pc.max(pc.binary_length(texts)).as_py()
    equal = _equal_pairs(connection, column, texts.to_pylist())
    for form in _FORMS:
        if form.mariadb_only and not dialect.is_mariadb:
            continue
        forms = form.apply(connection, column, collation, texts, longest)
        if equal == {(i, j) for j, b in enumerate(forms) for i, a in enumerate(forms[:j]) if a == b}:
            return form
    raise TableError(
        f"The collation {collation.name} of {column.name} compares texts in a way that dfsync cannot follow, so it "
        "could take different rows for the same. Give the column another collation."
    )


def _equal_pairs(connection: sa.Connection, column: Column, texts: list[str]) -> set[tuple[int, int]]:
    """The places of texts that the server calls equal to a later one."""
    # With a limit they are converted once, and not again for each pair.
    stored = _stored(column, len(texts))
    one, other = (sa.select(stored.c.i, stored.c.v).limit(len(texts)).subquery(name) for name in ("one", "other"))
    # Not joined by the texts, since a hash join of MySQL finds less than its own `=`.
    same = sa.case((one.c.v == other.c.v, 1), else_=0)
    select = sa.select(one.c.i, other.c.i).where(one.c.i < other.c.i, same == 1)
    return {(int(i), int(j)) for i, j in connection.execute(select, {f"v{i}": text for i, text in enumerate(texts)})}


def _chunks(values: pa.Array) -> Iterator[pa.Array]:
    """The values in chunks of one statement each."""
    size = max(1, min(_VALUES_PER_STATEMENT, _BYTES_PER_STATEMENT // (pc.max(pc.binary_length(values)).as_py() or 1)))
    for start in range(0, len(values), size):
        yield values.slice(start, size)


@cache
def _listed(count: int) -> sa.Subquery:
    """So many bound values as rows of a query, `i` and `v`; only the newest servers have a shorter form."""
    # As text, since thousands of expression objects take longer than the server does.
    rows = " UNION ALL ".join(f"SELECT {i} AS i, :v{i} AS v" for i in range(count))
    return sa.text(rows).columns(sa.column("i"), sa.column("v")).subquery("listed")
