"""The values of source columns, measured in one query per table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from dfsync.model.profile import ColumnProfile, DeclaredType
from dfsync.model.schema import Column, Table
from dfsync.source.base import Source

_MEASURES_PER_QUERY = 200
_COLLATION_PROBES = {"NOCASE": ("a", "A"), "RTRIM": ("a", "a ")}


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


_MEASURES: dict[str, Callable[[Any, DeclaredType], Any]] = {
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


def collations(source: Source, table: Table, columns: Iterable[Column]) -> dict[str, str]:
    """`NOCASE` or `RTRIM` by text column, as far as they are not `BINARY`."""
    found: dict[str, str] = {}
    for column in columns:
        counts = {word: _compared(table, column, *pair) for word, pair in _COLLATION_PROBES.items()}
        (row,) = source.query(sa.select(*(count.label(word) for word, count in counts.items()))).to_pylist()
        found.update((column.name, word) for word, count in row.items() if count == 1)
    return found


def _compared(table: Table, column: Column, *values: str) -> Any:
    """How many of the values differ for the column: a compound SELECT compares as the column of its first part does."""
    none: Any = sa.select(sa.column(column.name)).select_from(sa.table(table.name)).where(sa.false())
    rows = sa.union(none, *(sa.select(sa.literal(value)) for value in values)).subquery()
    return sa.select(sa.func.count()).select_from(rows).scalar_subquery()


def profile_columns(
    source: Source, table: Table, wanted: Mapping[str, tuple[DeclaredType, tuple[str, ...]]]
) -> dict[str, ColumnProfile]:
    asked = [(name, measure, declared) for name, (declared, measures) in wanted.items() for measure in measures]
    found: dict[str, dict[str, Any]] = {name: {} for name in wanted}
    for start in range(0, len(asked), _MEASURES_PER_QUERY):
        part = asked[start : start + _MEASURES_PER_QUERY]
        measures = [
            _MEASURES[measure](sa.column(name), declared).label(str(i))
            for i, (name, measure, declared) in enumerate(part)
        ]
        (row,) = source.query(sa.select(*measures).select_from(sa.table(table.name))).to_pylist()
        for (name, measure, _), value in zip(part, row.values(), strict=True):
            found[name][measure] = value
    return {
        name: ColumnProfile(**{**row, "classes": frozenset(filter(None, (row["classes"] or "").split(",")))})
        for name, row in found.items()
    }


class SourceProfiler:
    """Measures the columns of one source; see `dfsync.model.profile.Profiler`."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def profile(
        self, table: Table, requests: Mapping[str, tuple[DeclaredType, tuple[str, ...]]]
    ) -> dict[str, ColumnProfile]:
        return profile_columns(self._source, table, requests)

    def collations(self, table: Table, columns: Iterable[Column]) -> dict[str, str]:
        return collations(self._source, table, columns)
