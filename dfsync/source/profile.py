"""The values of source columns, measured in one query per table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from dfsync.model.profile import ColumnProfile, DeclaredType, widest
from dfsync.model.schema import Column, Table
from dfsync.source.base import ASKED_FILES, Queryable, Source

_MEASURES_PER_QUERY = 200
_NUMBER_BYTES = 8
_COLLATION_PROBES = {"NOCASE": ("a", "A"), "RTRIM": ("a", "a ")}


def _is(column: sa.ColumnElement[Any], storage_class: str) -> sa.ColumnElement[bool]:
    return sa.func.typeof(column) == storage_class


def _any(column: sa.ColumnElement[Any], storage_class: str, condition: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.func.max(sa.case((_is(column, storage_class), condition)))


def _glob(column: sa.ColumnElement[Any], pattern: str) -> sa.ColumnElement[Any]:
    return column.op("GLOB")(sa.literal(pattern))


def _finer(column: sa.ColumnElement[Any], scale: int) -> sa.ColumnElement[Any]:
    # The error of a float is no further decimal.
    off = sa.func.abs(column - sa.func.round(column, sa.literal(scale)))
    return _any(column, "real", off > 1e-9 * sa.func.max(sa.literal(1), sa.func.abs(column)))


_MEASURES: dict[str, Callable[[sa.ColumnElement[Any], DeclaredType], sa.ColumnElement[Any]]] = {
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


def collations(source: Queryable, table: Table, columns: Iterable[Column]) -> dict[str, str]:
    """Detect the collations of text columns, of which SQLite's pragmas say nothing.

    Parameters
    ----------
    source
        The source.
    table
        One of its tables.
    columns
        Columns of the table.

    Returns
    -------
    dict of str to str
        `NOCASE` or `RTRIM` by the column's name; columns of `BINARY` are left out.

    References
    ----------
    https://www.sqlite.org/datatype3.html#collating_sequences
    """
    detected: dict[str, str] = {}
    for column in columns:
        counts = {name: _distinct_count(table, column, *pair) for name, pair in _COLLATION_PROBES.items()}
        (row,) = source.query(sa.select(*(count.label(name) for name, count in counts.items()))).to_pylist()
        detected.update((column.name, name) for name, count in row.items() if count == 1)
    return detected


def _distinct_count(table: Table, column: Column, *values: str) -> sa.ColumnElement[Any]:
    """How many of the values the column calls distinct: a UNION compares as the column of its first part does."""
    none: Any = sa.select(sa.column(column.name)).select_from(sa.table(table.sql_name)).where(sa.false())
    rows = sa.union(none, *(sa.select(sa.literal(value)) for value in values)).subquery()
    return sa.select(sa.func.count()).select_from(rows).scalar_subquery()


def profile_columns(
    source: Queryable, table: Table, requests: Mapping[str, tuple[DeclaredType, tuple[str, ...]]]
) -> dict[str, ColumnProfile]:
    """Measure the values of columns, in one query per table where there are no more than 200 measures.

    Parameters
    ----------
    source
        The source.
    table
        One of its tables.
    requests
        By the column's name, its declared type and the measures: names of fields of `ColumnProfile`, `classes` always.

    Returns
    -------
    dict of str to ColumnProfile
        By the column's name; a measure that was not requested is None.
    """
    flat = [(name, measure, declared) for name, (declared, measures) in requests.items() for measure in measures]
    values: dict[str, dict[str, Any]] = {name: {} for name in requests}
    for start in range(0, len(flat), _MEASURES_PER_QUERY):
        part = flat[start : start + _MEASURES_PER_QUERY]
        measures = [
            _MEASURES[measure](sa.column(name), declared).label(str(i))
            for i, (name, measure, declared) in enumerate(part)
        ]
        (row,) = source.query(sa.select(*measures).select_from(sa.table(table.sql_name))).to_pylist()
        for (name, measure, _), value in zip(part, row.values(), strict=True):
            values[name][measure] = value
    return {
        name: ColumnProfile(**{**row, "classes": frozenset(filter(None, (row["classes"] or "").split(",")))})
        for name, row in values.items()
    }


def average_row_bytes(source: Source, table: Table, columns: Iterable[str]) -> float:
    """Measure how many bytes a row has on the average: those of texts and blobs, and eight for any other value.

    Parameters
    ----------
    source
        The source.
    table
        One of its tables.
    columns
        Names of its columns.

    Returns
    -------
    float
        0 where the table is empty; of several files the largest average of the first ones.
    """
    values: Iterator[sa.ColumnElement[Any]] = map(sa.column, columns)
    sizes = [
        sa.case((sa.func.typeof(value).in_(["text", "blob"]), sa.func.octet_length(value)), else_=_NUMBER_BYTES)
        for value in values
    ]
    average = sa.func.avg(sum(sizes, start=sa.literal(_NUMBER_BYTES))).label("bytes")
    select = sa.select(average).select_from(sa.table(table.sql_name))
    return max(source.each(lambda file: float(file.query(select).to_pylist()[0]["bytes"] or 0), ASKED_FILES))


class SourceProfiler:
    """Measures the columns of one source; see `dfsync.model.profile.Profiler`.

    Parameters
    ----------
    source
        The source, which stays open for as long as the profiler is used.
    """

    def __init__(self, source: Source) -> None:
        self._source = source

    def profile(
        self, table: Table, requests: Mapping[str, tuple[DeclaredType, tuple[str, ...]]]
    ) -> dict[str, ColumnProfile]:
        """See `profile_columns`; of several files the widest values count."""
        profiles = self._source.each(lambda file: profile_columns(file, table, requests))
        return {name: widest([profile[name] for profile in profiles]) for name in requests}

    def collations(self, table: Table, columns: Iterable[Column]) -> dict[str, str]:
        """See the function `collations`."""
        columns = list(columns)
        return self._source.each(lambda file: collations(file, table, columns), 1)[0]
