"""What a source column holds, and how it is declared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Protocol

from dfsync.model.schema import Column, Table


@dataclass(frozen=True)
class ColumnProfile:
    """What was measured of a source column; None for what was not. Each answer to a yes-or-no question is 0 or 1."""

    classes: frozenset[str]
    """The storage classes of the values."""
    longest: int | None = None
    """The maximum of characters of a text, or of bytes of a blob."""
    octets: int | None = None
    """The maximum of bytes of a text."""
    low: int | None = None
    """The smallest integer."""
    high: int | None = None
    """The largest integer."""
    digits: int | None = None
    """The maximum of digits before the decimal point."""
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
    """Whether some text is not JSON."""


def widest(profiles: Sequence[ColumnProfile]) -> ColumnProfile:
    """Join the profiles of a column in several files, at least one: what they measured holds for all values."""
    measured = {
        measure.name: [value for profile in profiles if (value := getattr(profile, measure.name)) is not None]
        for measure in fields(ColumnProfile)
        if measure.name != "classes"
    }
    ends = {name: (min if name == "low" else max)(values, default=None) for name, values in measured.items()}
    return ColumnProfile(frozenset().union(*(profile.classes for profile in profiles)), **ends)


@dataclass(frozen=True)
class DeclaredType:
    """The type of a source column, read as the target's databases read it."""

    name: str | None
    """None where the values decide."""
    length: int | None
    scale: int | None


class Profiler(Protocol):
    """Measures the columns of a source's tables."""

    def profile(
        self, table: Table, requests: Mapping[str, tuple[DeclaredType, tuple[str, ...]]]
    ) -> dict[str, ColumnProfile]:
        """Measure columns of a table.

        Parameters
        ----------
        table
            A table of the source.
        requests
            By column, its declared type and the fields of `ColumnProfile` to measure.

        Returns
        -------
        dict
            By column, its profile.
        """

    def collations(self, table: Table, columns: Iterable[Column]) -> dict[str, str]:
        """Read the collations of text columns.

        Parameters
        ----------
        table
            A table of the source.
        columns
            Text columns of it.

        Returns
        -------
        dict
            By column, `NOCASE` or `RTRIM`; without the columns that have `BINARY`.
        """
