"""Which values the target calls equal.

Keys are normalised, so that what the target calls equal is identical to pandas. Printable ASCII is normalised here,
unless the collation is that of one language. As soon as a key holds anything else, the server normalises it
(`target.schema.text_forms`).

References
----------
https://mariadb.com/docs/server/reference/data-types/string-data-types/character-sets/supported-character-sets-and-collations
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from dfsync.model import frames
from dfsync.model.schema import Column
from dfsync.target.schema.text_forms import Collation, cast_as_column, fold_ascii, text_forms

# In the collation of a language some letters are equal (I and J, V and W, CCS and CSCS). In these only case may be.
_ASCII_ONLY_FOLDING = re.compile(
    r"\w+_bin|(ascii|latin1|utf8|utf8mb3|utf8mb4|ucs2|utf16|utf16le|utf32)"
    r"_(general|unicode|unicode_520|0900|uca1400)(_nopad)?(_ai|_as)?(_ci|_cs)|latin1_swedish(_nopad)?_ci"
)

_KEPT = "dfsync collations"


def read_collation(connection: sa.Connection, column: Column) -> Collation | None:
    """Ask the server how a column compares.

    Parameters
    ----------
    connection
        The target.
    column
        A column of the target.

    Returns
    -------
    Collation or None
        None for a column that is no text.
    """
    if column.collation is None:
        return None

    def same(a: str, b: str) -> sa.ColumnElement[bool]:
        return cast_as_column(column, sa.literal(a)) == cast_as_column(column, sa.literal(b))

    known = connection.info.setdefault(_KEPT, {})
    if column.collation not in known:
        known[column.collation] = connection.execute(sa.select(same("a", "a "), same("a", "A"))).one()
    pad_space, case_insensitive = known[column.collation]
    ascii_only_folding = _ASCII_ONLY_FOLDING.fullmatch(column.collation) is not None
    byte_exact = column.charset == "utf8mb4" and column.collation.endswith("_bin")
    return Collation(
        name=column.collation,
        charset=column.charset or "",
        pad_space=bool(pad_space),
        case_insensitive=bool(case_insensitive),
        ascii_only_folding=ascii_only_folding,
        byte_exact=byte_exact,
    )


class KeyNormalizer:
    """Normalises the values of one key column.

    After it has observed all values, of both sides, what the target calls equal is identical once normalised.

    Parameters
    ----------
    connection
        The target; None compares the values as they are.
    column
        The target's column.
    """

    def __init__(self, connection: sa.Connection | None, column: Column) -> None:
        self._connection = connection
        self._column = column
        self._collation = None if connection is None else read_collation(connection, column)
        self._longest = 1
        self.needs_server = self._collation is not None and not self._collation.ascii_only_folding
        """Whether the server must normalise the values."""

    def observe(self, values: pd.Series[Any]) -> None:
        """Note how long values are, and whether any holds more than ASCII.

        Parameters
        ----------
        values
            Values of either side, conformed (Arrow dtype).
        """
        if self._collation is not None:
            array = frames.as_arrow(values)
            # Bytes are at least as many as characters, and Arrow knows their number without reading them.
            self._longest = max(self._longest, pc.max(pc.binary_length(array)).as_py() or 1)
            self.needs_server = self.needs_server or (not self._collation.byte_exact and has_non_ascii(array))

    @property
    def exact(self) -> bool:
        """Whether the target calls only identical values equal."""
        collation = self._collation
        if collation is None:
            return True
        return collation.byte_exact and not (collation.pad_space or collation.case_insensitive)

    def normalize(self, values: pd.Series[Any]) -> pd.Series[Any]:
        """Normalise values.

        Parameters
        ----------
        values
            Values of either side, conformed (Arrow dtype), all of them observed before.

        Returns
        -------
        pandas.Series
            The values, or texts in their place, in an Arrow dtype, of the same index. NULL stays NULL.
        """
        if self._connection is None or self._collation is None:
            return values
        array = frames.as_arrow(values)
        if self.needs_server:
            normalized = text_forms(self._connection, self._column, self._collation, array, self._longest)
        else:
            normalized = fold_ascii(array, self._collation)
        return frames.series(normalized).set_axis(values.index)


def observe_keys(normalizers: Mapping[str, KeyNormalizer], keys: pd.DataFrame) -> None:
    """Let each normalizer observe its column of keys.

    Parameters
    ----------
    normalizers
        By the name of the column.
    keys
        Keys of either side, conformed (Arrow dtypes).
    """
    for name, normalizer in normalizers.items():
        normalizer.observe(keys[name])


def normalize_pair(
    connection: sa.Connection | None, column: Column, source: pd.Series[Any], target: pd.Series[Any]
) -> tuple[pd.Series[Any], pd.Series[Any]]:
    """Normalise both sides of a key column, so that what the target calls equal is identical.

    Parameters
    ----------
    connection
        The target; None compares the values as they are.
    column
        The target's column.
    source, target
        The values of each side, conformed (Arrow dtype).

    Returns
    -------
    tuple of pandas.Series
        Source and target, in an Arrow dtype, of the same index each. NULL stays NULL.
    """
    normalizer = KeyNormalizer(connection, column)
    for values in (source, target):
        normalizer.observe(values)
    return normalizer.normalize(source), normalizer.normalize(target)


def value_owners(
    connection: sa.Connection, column: Column, values: pd.Series[Any], referenced: pd.Series[Any]
) -> pd.Series[Any]:
    """Resolve references within a table that go by a value instead of an id.

    Parameters
    ----------
    connection
        The target, which decides what is equal.
    column
        The target's column that is referred to.
    values
        By row (index int64), the value that refers to another row; Arrow dtype.
    referenced
        By row (index int64), the value of `column`; Arrow dtype.

    Returns
    -------
    pandas.Series
        Arrow int64, of the index of `values`: the index of the first row whose `referenced` is equal. NULL where there
        is none, or where it is the row itself.
    """
    references, keys = normalize_pair(connection, column, values, referenced)
    rows = pd.DataFrame({"value": keys.array, "owner": keys.index}).dropna().drop_duplicates("value")
    owners = pd.DataFrame({"value": references.array}).merge(rows, on="value", how="left")["owner"]
    owners = owners.astype(frames.INT64).set_axis(values.index)
    return owners.where((owners != values.index).fillna(False))


def has_non_ascii(values: pa.Array) -> bool:
    """Whether any text holds more than printable ASCII.

    Parameters
    ----------
    values
        Arrow strings.

    Returns
    -------
    bool
        False where all are NULL or empty.
    """
    # Arrow calls an empty text printable, and needs a sixth of the time of a regular expression.
    return not pc.all(pc.ascii_is_printable(values), min_count=0).as_py()
