"""Rows exactly as the server has them: each value as bytes from which it can be made again, and a digest of a row.

The digest is made by the server, of all columns, so that what defaults, triggers, rounding and generated columns did to
a row is in it. It is the first quarter of a SHA-256, which processors have instructions for: joining the columns takes
four times as long as that. MySQL 9 has neither MD5 nor SHA-1 any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from numpy.typing import NDArray

from dfsync.model import frames
from dfsync.model.schema import Column, Table
from dfsync.model.types import NewIds, arrow_type, data_type
from dfsync.target import packet
from dfsync.target.quoting import one_of
from dfsync.target.read.keys import is_requested

Digests = NDArray[np.uint64]
"""One digest per row."""

_ROWS_PER_STATEMENT = 20_000
_IDS_PER_STATEMENT = 10_000
_BYTES_PER_ROW = 96
_DIGITS = 16
_ROWS_PER_FETCH = 20_000
# Beyond so many bytes in a row, its widest columns go into the digest as hashes of their own: the server gives NULL for
# a text that is larger than max_allowed_packet.
_INLINE_BYTES = 1 << 18
_LOB_BYTES = 1 << 16
_TEXTS = {"text", "enum", "set"}
# The server's own form of such a value is no text.
_BINARY_TYPES = {"point", "linestring", "polygon", "geometry", "geometrycollection", "geomcollection", "vector"} | {
    f"multi{shape}" for shape in ("point", "linestring", "polygon")
}
DIGEST = "digest"
ENUM_ERROR = b"\0"
"""The bytes of the value that an ENUM has where the server was given none of its members: it reads as an empty text."""


def exact_bytes(column: Column) -> sa.ColumnElement[Any]:
    """Express a column's value as bytes from which `target.write.restore` makes it again.

    Parameters
    ----------
    column
        A column of the target.

    Returns
    -------
    sqlalchemy.ColumnElement
        Text in the column's own character set, numbers and times as digits, geometry in hexadecimal; NULL stays NULL.

    References
    ----------
    https://dev.mysql.com/doc/refman/9.7/en/enum.html
    """
    plain: sa.ColumnElement[Any] = sa.column(column.name)
    if column.kind == "enum":
        # By its number: a member may be an empty text, too.
        return sa.case(
            (plain + sa.literal_column("0") == 0, sa.literal_column("X'00'")), else_=sa.cast(plain, sa.BINARY)
        )
    if column.kind == "binary":
        return plain
    if is_binary_form(column):
        return sa.func.hex(plain)
    return sa.cast(plain if column.kind in _TEXTS else _as_text(column), sa.BINARY)


def is_binary_form(column: Column) -> bool:
    """Tell whether the server's own form of a value is bytes that are no text, such as geometry."""
    return column.kind == "other" and data_type(column) in _BINARY_TYPES


def _as_text(column: Column) -> sa.ColumnElement[Any]:
    plain: sa.ColumnElement[Any] = sa.column(column.name)
    if column.kind in ("bit", "float"):
        # A sum is the bits as a number, and has all digits of a FLOAT, which is otherwise rounded to six.
        return plain + sa.literal_column("0e0" if column.kind == "float" else "0")
    return sa.cast(plain, sa.CHAR) if column.kind in ("json", "other") else plain


def digest(table: Table) -> sa.ColumnElement[Any]:
    """Express the digest of a row.

    Parameters
    ----------
    table
        The target's table; all of its columns count, by their order.

    Returns
    -------
    sqlalchemy.ColumnElement
        16 hexadecimal digits, the same in every session of dfsync.
    """
    cells = [_cell(column, too_wide) for column, too_wide in zip(table.columns, _too_wide(table), strict=True)]
    # The others would be sent, too.
    return sa.func.left(sa.func.sha2(joined_bytes(table.columns, cells), 256), _DIGITS)


def joined_bytes(
    columns: Sequence[Column], cells: Sequence[sa.ColumnElement[Any]], *more: sa.ColumnElement[Any]
) -> sa.ColumnElement[Any]:
    """Express the cells of a row as bytes, one behind the other.

    Parameters
    ----------
    columns
        The columns.
    cells
        Of each column what is joined; NULL only where the column may be.
    more
        What comes behind them, never NULL.

    Returns
    -------
    sqlalchemy.ColumnElement
    """
    # The separator is bytes, and so all is: texts of one collation are joined as they are, which is faster. Those of
    # several the server does not join.
    if len({column.collation for column in columns if column.collation}) > 1:
        cells = [sa.cast(cell, sa.BINARY) for cell in cells]
    # NULL would be left out, and what follows take its place.
    null: sa.ColumnElement[Any] = sa.literal_column("X'004E'")
    cells = [sa.func.ifnull(cell, null) if c.nullable else cell for c, cell in zip(columns, cells, strict=True)]
    return sa.func.concat_ws(sa.literal_column("X'001F'"), *cells, *more)


def _cell(column: Column, too_wide: bool) -> sa.ColumnElement[Any]:
    cell = sa.func.hex(sa.column(column.name)) if is_binary_form(column) else _as_text(column)
    return sa.func.sha2(cell, 256) if too_wide else cell


def _too_wide(table: Table) -> list[bool]:
    """Which columns are too wide to be joined with the others."""
    width = [_octets(column) for column in table.columns]
    hashed = {i for i, octets in enumerate(width) if octets >= _LOB_BYTES}
    inline = sorted({*range(len(width))} - hashed, key=width.__getitem__)
    while sum(width[i] for i in inline) > _INLINE_BYTES:
        hashed.add(inline.pop())
    return [i in hashed for i in range(len(width))]


def _octets(column: Column) -> int:
    if column.kind in ("json", "other"):
        return _LOB_BYTES
    return column.octets or column.length or 100


@dataclass(frozen=True)
class DigestedRows:
    """Rows that a table has.

    Attributes
    ----------
    ids
        Their ids, ascending; int64 or uint64.
    digests
        Of each the digest.
    """

    ids: NewIds
    digests: Digests


def read_digests(
    connection: sa.Connection, table: Table, id_column: str, ids: NewIds, *, lock: bool = False
) -> Iterator[DigestedRows]:
    """Read the digests of rows by their ids.

    Parameters
    ----------
    connection
        The target.
    table
        The target's table.
    id_column
        Its surrogate id.
    ids
        The ids, ascending and unique. One that the table lacks is left out.
    lock
        Lock the rows for this transaction (FOR UPDATE), and see them as they are now and not in the snapshot.

    Yields
    ------
    DigestedRows
        By ascending id.
    """
    if not len(ids):
        return
    most = max(1, min(_ROWS_PER_STATEMENT, packet.max_allowed_packet(connection) // _BYTES_PER_ROW))
    own_id: sa.ColumnElement[Any] = sa.column(id_column)
    packed = sa.func.group_concat(digest(table), own_id)
    select = sa.select(sa.func.count(), packed).select_from(sa.table(table.name))
    type_ = np.uint64 if pa.types.is_uint64(arrow_type(table[id_column])) else np.int64
    for condition in id_ranges(own_id, ids, most):
        query = select.where(condition)
        count, content = connection.execute(query.with_for_update() if lock else query).one()
        found = _parse(content, type_)
        if len(found.ids) != count:
            raise RuntimeError(f"{len(found.ids)} of {count} digests of {table.name} were read")
        yield found


def _parse(content: str | bytes | None, type_: type[np.int64 | np.uint64]) -> DigestedRows:
    text = content.decode() if isinstance(content, bytes) else content or ""
    rows = pa.array(text.split(",") if text else [], pa.string())
    ids = pc.utf8_slice_codeunits(rows, _DIGITS).cast(pa.from_numpy_dtype(type_)).to_numpy()
    digits = "".join(pc.utf8_slice_codeunits(rows, 0, _DIGITS).to_pylist())
    digests = np.frombuffer(bytes.fromhex(digits), ">u8").astype(np.uint64)
    order = np.argsort(ids, kind="stable")
    return DigestedRows(ids[order], digests[order])


def id_ranges(own_id: sa.ColumnElement[Any], ids: NewIds, most: int) -> Iterator[sa.ColumnElement[bool]]:
    """Make conditions that together name ids: ranges where all ids of one are wanted, else lists.

    Parameters
    ----------
    own_id
        The id's column.
    ids
        The ids, ascending and unique.
    most
        How many ids one condition may name.

    Yields
    ------
    sqlalchemy.ColumnElement
    """
    for part in id_parts(ids, most):
        first, last = int(part[0]), int(part[-1])
        consecutive = last - first + 1 == len(part)
        yield own_id.between(first, last) if consecutive else one_of(own_id, part.tolist())


def id_parts(ids: NewIds, most: int) -> Iterator[NewIds]:
    """Split ids into runs of consecutive ones, where these are long, and lists of others.

    Parameters
    ----------
    ids
        Ascending and unique.
    most
        The length of the longest part.

    Yields
    ------
    NewIds
        In their order.
    """
    if not len(ids):
        return
    ends = np.flatnonzero(np.diff(ids) != 1) + 1
    listed: list[NewIds] = []
    for run in np.split(ids, ends) if len(ends) < len(ids) // 4 else [ids]:
        if len(run) < _IDS_PER_STATEMENT // 10 or len(ends) >= len(ids) // 4 > 0:
            listed.append(run)
            continue
        yield from _lists(listed, most)
        listed = []
        yield from (run[start : start + most] for start in range(0, len(run), most))
    yield from _lists(listed, most)


def _lists(runs: list[NewIds], most: int) -> Iterator[NewIds]:
    if runs:
        ids = np.concatenate(runs)
        size = min(most, _IDS_PER_STATEMENT)
        yield from (ids[start : start + size] for start in range(0, len(ids), size))


def read_exact(
    connection: sa.Connection,
    table: Table,
    names: Sequence[str],
    where: sa.ColumnElement[bool] | None = None,
    *,
    lock: bool = False,
) -> tuple[pa.Table, pa.Array]:
    """Read rows as bytes, with their digests.

    Parameters
    ----------
    connection
        The target.
    table
        The target's table.
    names
        The columns to read.
    where
        Which rows; None reads all.
    lock
        As for `read_digests`.

    Returns
    -------
    tuple of pyarrow.Table and pyarrow.Array
        The columns by their names (binary, as `exact_bytes`), and the digests (uint64).
    """
    select = sa.select(*(exact_bytes(table[name]).label(f"c{i}") for i, name in enumerate(names)), digest(table))
    select = select.select_from(sa.table(table.name))
    if where is not None:
        select = select.where(where)
    result = connection.execute(select.with_for_update() if lock else select)
    schema = pa.schema([*((name, pa.binary()) for name in names)])
    parts, digests = [], []
    while True:
        rows = result.fetchmany(_ROWS_PER_FETCH)
        *cells, texts = zip(*rows, strict=True) if rows else [()] * (len(names) + 1)
        parts.append(pa.Table.from_arrays([*map(_binary, cells)], schema=schema))
        digests.append(pa.array([int(text, 16) for text in texts], pa.uint64()))
        if not rows:
            return pa.concat_tables(parts).combine_chunks(), pa.concat_arrays(digests)


def _binary(values: Sequence[Any]) -> pa.Array:
    return pa.array([value.encode() if isinstance(value, str) else value for value in values], pa.binary())


def with_ids(id_column: str, ids: NewIds) -> Iterator[sa.ColumnElement[bool]]:
    """Make conditions that together name rows by their ids, ascending and unique, a few thousand each."""
    return id_ranges(sa.column(id_column), ids, 2_000)


def with_keys(connection: sa.Connection, table: Table, keys: pd.DataFrame) -> Iterator[sa.ColumnElement[bool]]:
    """Make conditions that together name rows by the values of their columns (Arrow dtypes, no NULL)."""
    for chunk in packet.chunks(keys, packet.max_allowed_packet(connection) // 3, 500):
        yield is_requested(table.pick(chunk.columns), frames.to_arrow(chunk))
