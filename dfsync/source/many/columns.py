"""The rows of several files as one table, although a column may hold texts in one and numbers in another."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from dfsync.model.types import MIXED_STORAGE
from dfsync.source.storage_classes import mixed_column


def concat(parts: Sequence[pa.Table]) -> pa.Table:
    """Join the rows of several reads.

    Parameters
    ----------
    parts
        At least one, with the same columns, of the types in which SQLite's values are read.

    Returns
    -------
    pyarrow.Table
        A column keeps its type where all parts have it, apart from those with NULLs alone; else it becomes
        `MIXED_STORAGE`, so that no value changes.
    """
    if len(parts) == 1:
        return parts[0]
    if all(part.schema == parts[0].schema for part in parts):
        return pa.concat_tables(parts)
    columns = [_joined([part.column(i) for part in parts]) for i in range(parts[0].num_columns)]
    return pa.table(columns, names=parts[0].column_names)


def _joined(columns: list[pa.ChunkedArray]) -> pa.ChunkedArray:
    types = {column.type for column in columns if column.null_count < len(column)}
    if len(types) > 1:
        return pa.chunked_array([as_mixed(_whole(column)) for column in columns], MIXED_STORAGE)
    (kind,) = types or {columns[0].type}
    chunks = [
        chunk
        for column in columns
        for chunk in (column.chunks if column.type == kind else [pa.nulls(len(column), kind)])
    ]
    return pa.chunked_array(chunks, kind)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def as_mixed(values: pa.Array) -> pa.StructArray:
    """Give values of one storage class the type of a column of several.

    Parameters
    ----------
    values
        Of any type in which SQLite's values are read.

    Returns
    -------
    pyarrow.StructArray
        Of type `MIXED_STORAGE`.
    """
    if values.type == MIXED_STORAGE:
        return values
    names = {"int64": "integer", "double": "real", "string": "text", "binary": "blob"}
    return mixed_column({names[str(values.type)]: pa.chunked_array([values])})
