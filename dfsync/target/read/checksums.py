"""Checksums over ranges of ids of a table: whether ids and keys in a range are what they were.

The server makes them, and reads an index that holds the key where there is one. Of each row it takes two numbers of 32
bits: the CRC32 of the key's bytes, and that of the same bytes in reverse, which is another one. Each is multiplied by a
number that the id gives, and the products of a range are joined by XOR. CRC32 alone would not do: it is linear, and two
rows that swap keys of one length would leave the XOR of their CRC32 as it was.

References
----------
https://mariadb.com/docs/server/reference/sql-functions/numeric-functions/crc32
https://dev.mysql.com/doc/refman/9.7/en/aggregate-functions.html#function_bit-xor
https://dev.mysql.com/doc/refman/9.7/en/comparison-operators.html#function_interval
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.dialects import mysql

from dfsync.model.schema import Column, Table
from dfsync.model.types import Hashes, NewIds
from dfsync.target.read.exact import joined_bytes

_CHECKED_KINDS = {"integer", "text", "double", "decimal", "date", "datetime", "timestamp"}
"""Kinds of columns of which no two values have the same bytes where the server joins them."""
_MOST_BYTES = 1 << 18
"""Of a key. The server gives NULL for a text that is larger than max_allowed_packet, and XOR passes NULL over."""
_MOST_FACTORS = 4_294_967_290


@dataclass(frozen=True)
class Checksums:
    """What a table has in ranges of ids; arrays of one length."""

    rows: NDArray[np.int64]
    checksum_1: Hashes
    checksum_2: Hashes


def can_be_checked(key: Sequence[Column]) -> bool:
    """Tell whether checksums of a natural key see each change of it."""
    kinds = {column.kind for column in key}
    return kinds <= _CHECKED_KINDS and sum(column.octets or 0 for column in key) <= _MOST_BYTES


def read_checksums(
    connection: sa.Connection,
    table: Table,
    id_column: str,
    key: Sequence[Column],
    last_ids: NewIds,
    within: tuple[int | None, int | None] = (None, None),
) -> Checksums:
    """Read the checksums of ids and keys.

    Parameters
    ----------
    connection
        The target.
    table
        The target's table.
    id_column
        Its surrogate id.
    key
        The columns of the natural key, which `can_be_checked`.
    last_ids
        int64, ascending: the highest id of each range.
    within
        Look only at ids above the first of these and up to the second; None is no limit.

    Returns
    -------
    Checksums
        One for each of `last_ids`, and one for the rows above the last.
    """
    own_id: sa.ColumnElement[Any] = sa.column(id_column)
    # As unsigned, since the product with a negative number would be out of range.
    factor = sa.cast(own_id, mysql.BIGINT(unsigned=True)) % _MOST_FACTORS + 1
    content = _content(key)
    sums = [
        sa.func.bit_xor(sa.func.crc32(form, type_=sa.BigInteger) * factor)
        for form in (content, sa.func.reverse(content))
    ]
    select = sa.select(_range(own_id, last_ids), sa.func.count(), *sums).select_from(sa.table(table.name))
    above, until = within
    if above is not None:
        select = select.where(own_id > above)
    if until is not None:
        select = select.where(own_id <= until)
    # By its place, since any name may be that of a column.
    found = connection.execute(select.group_by(sa.text("1"))).all()
    rows = np.zeros(len(last_ids) + 1, np.int64)
    checksums = np.zeros((2, len(last_ids) + 1), np.uint64)
    # Range by range, of which there are some hundred.
    for number, count, *numbers in found:
        rows[int(number)] = count
        checksums[:, int(number)] = numbers
    return Checksums(rows, checksums[0], checksums[1])


def _range(own_id: sa.ColumnElement[Any], last_ids: NewIds) -> sa.ColumnElement[Any]:
    """The number of the range of an id, found by bisection."""
    if not len(last_ids):
        return sa.literal(0)
    return sa.func.interval(own_id, *(last + 1 for last in last_ids.tolist()))


def _content(key: Sequence[Column]) -> sa.ColumnElement[Any]:
    """The key as bytes, no two keys alike."""
    texts = [column for column in key if column.collation is not None]
    lengths: list[sa.ColumnElement[Any]] = []
    # A text may hold the separator, or be what stands for NULL.
    if len(texts) > 1 or any(column.nullable for column in texts):
        lengths = [sa.func.ifnull(sa.func.length(sa.column(column.name)), -1) for column in texts]
    return joined_bytes(key, [sa.column(column.name) for column in key], *lengths)
