"""The part of a source table that one read covers: what to read, not how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Partition:
    """A range of the rows of one source table, by the value that identifies a row.

    It holds no connection, so another process can be given one. data-diff calls the same thing a `TableSegment`.

    Parameters
    ----------
    source
        The SQLite file.
    table
        The name of the table, as the source spells it.
    row_id
        The integer column that identifies a row. None takes SQLite's rowid, or, in a table without one, the position
        in the order of the primary key.
    columns
        The names of the columns to read, besides the row id.
    low
        The lowest row id, inclusive. None is no bound.
    high
        The row id that ends the range, exclusive. None is no bound.
    """

    source: Path
    table: str
    row_id: str | None
    columns: tuple[str, ...]
    low: int | None = None
    high: int | None = None
