"""What a source column holds and how it is declared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from dfsync.model.schema import Column, Table


@dataclass(frozen=True)
class ColumnProfile:
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


@dataclass(frozen=True)
class DeclaredType:
    name: str | None
    """None where the values decide."""
    length: int | None
    scale: int | None


class Profiler(Protocol):
    """Measures the columns of a source's tables."""

    def profile(
        self, table: Table, requests: Mapping[str, tuple[DeclaredType, tuple[str, ...]]]
    ) -> dict[str, ColumnProfile]:
        """What each named column holds, as far as these measures tell."""

    def collations(self, table: Table, columns: Iterable[Column]) -> dict[str, str]:
        """`NOCASE` or `RTRIM` by text column, as far as they are not `BINARY`."""
