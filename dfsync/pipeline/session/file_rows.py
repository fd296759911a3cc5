"""Rows of a source of several files: of which file each is, and its id there.

Within a run a row is known by its combined id (`dfsync.source.base.RowIds`). What is written and shown has the file's
name and the file's own id. Of a source of one file everything stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dfsync.model import frames
from dfsync.model.rejects import MISSING_PARENT
from dfsync.model.source_file import SOURCE, SourceFile
from dfsync.model.types import Mask, OldIds
from dfsync.output.evidence import MapOrigin, matching, read_origin
from dfsync.output.files import mapping_path
from dfsync.plan.model import TablePlan
from dfsync.source.base import FileNumbers, RowIds, Source
from dfsync.stages.diff import ORPHAN

DICTIONARY = pa.dictionary(pa.int32(), pa.string())


def names_of(numbers: FileNumbers, files: Sequence[SourceFile], missing: Mask | None = None) -> pa.DictionaryArray:
    """Name the file of each row; NULL where it is `missing`."""
    names = pa.array([file.name for file in files], pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(numbers, pa.int32(), mask=missing), names)


def of_files(source: Source, table: TablePlan, rows: pd.DataFrame) -> pd.DataFrame:
    """Give rows the ids that they have in their files.

    Parameters
    ----------
    source
        The source.
    table
        The planned table.
    rows
        Rows of a mapping or of rejects: `old_id` and other columns.

    Returns
    -------
    pandas.DataFrame
        Of one file the same; of several with the column `source` (dictionary of string) before the others.
    """
    ids = source.row_ids(table.name)
    if ids is None:
        return rows
    numbers, own = ids.locate(rows[frames.OLD_ID].to_numpy(dtype=np.int64))
    located = rows.copy(deep=False)
    located[frames.OLD_ID] = frames.series(pa.array(own)).set_axis(rows.index).astype(rows[frames.OLD_ID].dtype)
    located.insert(0, SOURCE, frames.series(names_of(numbers, source.files)).set_axis(rows.index))
    return located


def table_of_files(source: Source, table: TablePlan, rows: pa.Table) -> pa.Table:
    """As `of_files`, of an Arrow table; of one without columns the same."""
    ids = source.row_ids(table.name)
    if ids is None or frames.OLD_ID not in rows.column_names:
        return rows
    old_id = rows.column(frames.OLD_ID)
    numbers, own = ids.locate(old_id.fill_null(0).to_numpy())
    missing = old_id.is_null().to_numpy()
    located = rows.set_column(rows.column_names.index(frames.OLD_ID), frames.OLD_ID, pa.array(own, mask=missing))
    return located.add_column(0, pa.field(SOURCE, DICTIONARY), names_of(numbers, source.files, missing))


def rejects_of_files(source: Source, table: TablePlan, rejects: pd.DataFrame) -> pd.DataFrame:
    """Make the rows of `rejects/NAME.parquet` from a reject frame."""
    return of_files(source, table, with_original_values(source, table, rejects).reset_index())


def with_original_values(source: Source, table: TablePlan, rejects: pd.DataFrame) -> pd.DataFrame:
    """Show the references of rejects as their files have them; row by row, since rejects are few.

    Parameters
    ----------
    source
        The source.
    table
        The planned table.
    rejects
        As of `dfsync.model.rejects.reject_frame`.

    Returns
    -------
    pandas.DataFrame
        The same, with other values where a foreign key leads to no target row.
    """
    if source.row_ids(table.name) is None or rejects.empty:
        return rejects
    parents = table.parents
    values = [
        _original(source, parents.get(column), value) if str(reason).startswith(MISSING_PARENT) else value
        for column, value, reason in zip(rejects["column"], rejects["value"], rejects["reason"], strict=True)
    ]
    shown = frames.series(pa.array([None if pd.isna(value) else value for value in values], pa.string()))
    return rejects.assign(value=shown.set_axis(rejects.index))


def with_original_references(source: Source, table: TablePlan, differences: pd.DataFrame) -> pd.DataFrame:
    """Show references without a target row as their files have them; row by row, since these are few.

    Parameters
    ----------
    source
        The source.
    table
        The planned table.
    differences
        `kind`, `column` and `source_value`, as `dfsync.stages.diff` makes them.

    Returns
    -------
    pandas.DataFrame
        The same, with other values where the kind is `ORPHAN`.
    """
    if source.row_ids(table.name) is None or not (differences["kind"] == ORPHAN).any():
        return differences
    parents = table.parents
    columns = (differences[name] for name in ("kind", "column", "source_value"))
    values = [
        _original(source, parents.get(column), value) if kind == ORPHAN else None if pd.isna(value) else value
        for kind, column, value in zip(*columns, strict=True)
    ]
    return differences.assign(source_value=frames.series(pa.array(values, pa.string())).set_axis(differences.index))


def _original(source: Source, parent: str | None, value: Any) -> Any:
    ids = None if parent is None else source.row_ids(parent)
    return ids.original(int(value)) if ids is not None and str(value).lstrip("-").isdigit() else value


def row_name(source: Source, table: TablePlan, old_id: int) -> str:
    """Name a row in a sentence: its id, and of several files its file."""
    ids = source.row_ids(table.name)
    if ids is None:
        return str(old_id)
    numbers, own = ids.locate(np.array([old_id], np.int64))
    return f"{own[0]} of {source.files[int(numbers[0])].name}"


@dataclass(frozen=True)
class RowsOfFiles:
    """The rows of a kept map that are of files of this run.

    Attributes
    ----------
    then
        Whose rows the map has.
    now
        The files of this run.
    ids
        What ids mean in this run.
    origin
        What is written about the map from now on.
    older
        The numbers of files that are older copies than those that the map is of: their rows do not count.
    """

    then: MapOrigin
    now: Sequence[SourceFile]
    ids: RowIds
    origin: MapOrigin
    older: frozenset[int] = field(default=frozenset())

    @property
    def columns(self) -> list[str]:
        """The columns that say who a row is."""
        return [SOURCE, frames.OLD_ID] if self.then.several else [frames.OLD_ID]

    @cached_property
    def _number_by_name(self) -> dict[str, int]:
        numbers = {file.name: number for number, file in enumerate(self.now)}
        return {before.name: numbers[now.name] for before, now in matching(self.then.source_files, self.now)}

    def numbers(self, rows: pa.Table | pa.RecordBatch) -> FileNumbers:
        """Give the file of each row; -1 where it is not in this run."""
        if not self.then.several:
            return np.full(rows.num_rows, self._number_by_name.get(self.then.source_files[0].name, -1))
        column = rows.column(SOURCE)
        column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        column = column if pa.types.is_dictionary(column.type) else pc.dictionary_encode(column)
        number = np.array([self._number_by_name.get(name, -1) for name in column.dictionary.to_pylist()] or [-1])
        numbers: FileNumbers = number[column.indices.to_numpy()]
        return numbers

    def combined(self, rows: pa.Table | pa.RecordBatch) -> tuple[OldIds, Mask]:
        """Give the combined ids of rows, and which of them are of a file of this run, and within its ids."""
        numbers = self.numbers(rows)
        own = rows.column(frames.OLD_ID).to_numpy()
        ids, known = np.zeros(len(own), np.int64), np.zeros(len(own), dtype=bool)
        # Rows of a file stand together.
        for start, end in _runs(numbers):
            number = int(numbers[start])
            if number >= 0 and number not in self.older:
                ids[start:end], known[start:end] = self.ids.combine(number, own[start:end])
        return ids, known

    def highest(self, rows: pa.Table) -> dict[int, int]:
        """Give the highest id of each file of this run."""
        numbers, own = self.numbers(rows), rows.column(frames.OLD_ID).to_numpy()
        of_file: dict[int, int] = {}
        for start, end in _runs(numbers):
            number = int(numbers[start])
            of_file[number] = max(of_file.get(number, int(own[start])), int(own[start:end].max()))
        return of_file

    def as_of_this_run(self, rows: pa.Table) -> pa.Table:
        """Give rows of files of this run the names that these have now, and the metadata of its maps."""
        numbers = self.numbers(rows)
        others = [name for name in rows.column_names if name != SOURCE or not self.then.several]
        return (
            rows.select(others)
            .add_column(0, pa.field(SOURCE, DICTIONARY), names_of(numbers, self.now))
            .replace_schema_metadata(self.origin.metadata())
        )


def with_run_ids(source: Source, table: TablePlan, out: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """Give rows of a file of the last sync the ids that they have in this run.

    Parameters
    ----------
    source
        The source.
    table
        The planned table.
    out
        The output folder.
    rows
        With `old_id`, and `source` where the folder is of several.

    Returns
    -------
    pandas.DataFrame
        Of one file the same; of several without `source` and the rows of other files, by ascending `old_id`.
    """
    ids = source.row_ids(table.name)
    if ids is None:
        return rows
    now = MapOrigin.of(source.files, "", table, several=True)
    then = read_origin(mapping_path(out, table.name)) or now
    then = replace(then, source="" if SOURCE in rows.columns else then.source or str(source.files[0].path.resolve()))
    arrow = pa.Table.from_pandas(rows, preserve_index=False)
    combined, known = RowsOfFiles(then, source.files, ids, now).combined(arrow)
    rows = rows.drop(columns=[SOURCE] if then.several else []).assign(**{frames.OLD_ID: combined})
    return rows[known].sort_values(frames.OLD_ID).astype({frames.OLD_ID: frames.INT64}).reset_index(drop=True)


def _runs(numbers: FileNumbers) -> list[tuple[int, int]]:
    """Where rows of one file begin and end."""
    if not len(numbers):
        return []
    ends = np.flatnonzero(np.diff(numbers)) + 1
    return list(zip([0, *ends.tolist()], [*ends.tolist(), len(numbers)], strict=True))
