"""Rejects and differences by reason, for the report: the same reason in one column of a table is one entry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from dfsync.model.errors import DfsyncError
from dfsync.model.frames import OLD_ID
from dfsync.model.source_file import SOURCE

MAX_EXAMPLES = 5
MAX_REASONS = 20
MAX_OCCURRENCES = 10
"""Of one reason, so many tables and columns."""
_MAX_GROUPS = 50


@dataclass(frozen=True)
class Occurrence:
    """Where a reason occurs."""

    table: str
    column: str | None
    """None where it is the row as a whole."""
    rows: int
    examples: tuple[Mapping[str, Any], ...]
    """The first few, with all columns of the file."""


@dataclass(frozen=True)
class Reason:
    """A reason, with the tables and columns in which it is most frequent first."""

    text: str
    rows: int
    places: tuple[Occurrence, ...]
    more: int
    """Occurrences left out."""


@dataclass(frozen=True)
class ReasonSummary:
    """The most frequent first."""

    shown: tuple[Reason, ...] = ()
    more: int = 0
    """Reasons left out."""


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn whatever is wrong with the file into a `DfsyncError` that names it."""
    try:
        yield
    except (OSError, pa.ArrowException, LookupError, TypeError, ValueError, AttributeError) as error:
        raise DfsyncError(
            f"{path} is not as dfsync writes it ({type(error).__name__}: {error}). Run the command that made it again."
        ) from error


def summarize_reasons(paths: list[Path], by: list[str]) -> ReasonSummary:
    """Group the rows of several files by reason.

    Parameters
    ----------
    paths
        Parquet files of rejects or of differences, one per table.
    by
        The columns in which the rows of a group are equal; the first is the reason.

    Returns
    -------
    ReasonSummary
        The most frequent reasons, with examples.
    """
    if not paths:
        return ReasonSummary()
    groups, firsts, counts = zip(*(_groups(path, by) for path in paths), strict=True)
    every: pd.DataFrame = pd.concat(groups, keys=range(len(paths)), names=["file", "group"]).reset_index()
    rows = pd.concat(counts).groupby(level=0).sum().sort_values(ascending=False, kind="stable")
    top = rows[rows.index.isin(every[by[0]])].head(MAX_REASONS)
    ranked = every[every[by[0]].isin(top.index)].sort_values("rows", ascending=False, kind="stable")
    chosen = ranked[ranked.groupby(by[0]).cumcount() < MAX_OCCURRENCES]
    places: dict[str, list[Occurrence]] = {str(text): [] for text in top.index}
    examples = {file: _examples(paths[file], firsts[file], of["group"]) for file, of in chosen.groupby("file")}
    for place in chosen.to_dict("records"):
        found = examples[place["file"]][place["group"]]
        name = paths[place["file"]].stem
        places[str(place[by[0]])].append(Occurrence(name, found[0]["column"], int(place["rows"]), tuple(found)))
    all_places = ranked.groupby(by[0]).size()
    shown = (
        Reason(str(text), int(top[text]), tuple(places[str(text)]), int(all_places[text]) - len(places[str(text)]))
        for text in top.index
    )
    return ReasonSummary(tuple(shown), len(rows) - len(top))


def _groups(path: Path, by: list[str]) -> tuple[pd.DataFrame, pd.Series[Any], pd.Series[int]]:
    """The largest groups with their `rows`, the groups by the positions of their first rows, and the rows by reason."""
    with readable(path):
        row = [*([SOURCE] if SOURCE in pq.read_schema(path).names else []), OLD_ID]
        keys = pq.read_table(path, columns=[*by, *row], read_dictionary=by).unify_dictionaries().to_pandas()
    like = keys.groupby(by, observed=True, dropna=False, sort=False)
    number, place = like.ngroup(), like.cumcount()
    groups = keys[place == 0].astype(object).set_axis(number[place == 0])
    groups["rows"] = number.value_counts()
    largest = groups.sort_values("rows", ascending=False, kind="stable").head(_MAX_GROUPS)
    again = keys.duplicated([by[0], *row]) & keys[OLD_ID].notna()
    return largest, number[place < MAX_EXAMPLES], keys.loc[~again, by[0]].astype(object).value_counts(sort=False)


def _examples(path: Path, firsts: pd.Series[Any], groups: pd.Series[Any]) -> dict[int, list[dict[str, Any]]]:
    """By group. The values may be long and the rows many, so only those that are shown are read."""
    few = firsts[firsts.isin(groups)]
    with readable(path):
        rows = ds.dataset(path).take(few.index.to_numpy()).to_pylist()
    found: dict[int, list[dict[str, Any]]] = {}
    for group, row in zip(few, rows, strict=True):
        found.setdefault(group, []).append(row)
    return found
