"""Rejects: source rows that could not get a target row, with the column, the value and the reason."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import ArrayLike

from dfsync.model.frames import OLD_ID, STRING
from dfsync.text.redaction import MASK, is_secret_column

REJECT_COLUMNS = ("column", "value", "reason")
NOT_NULL = "is NULL, which the column does not allow"
MISSING_PARENT = "missing parent"
KEEPS_OTHER_VALUES = "; its target row keeps other values"
"""The end of the reason of a row that has a target row, which could not take its values."""
_MAX_VALUE_CHARACTERS = 200


def reject_frame(
    ids: ArrayLike | pd.Index[Any], column: str | None, values: Iterable[Any], reason: str | Iterable[Any]
) -> pd.DataFrame:
    """Return the rejects of one column.

    Parameters
    ----------
    ids
        The `old_id` of each rejected row (int64).
    column
        The name of the column at fault; None where the row is rejected as a whole.
    values
        The value of each row as text, or one text for all.
    reason
        The reason of each row, or one for all.

    Returns
    -------
    pandas.DataFrame
        Index `old_id`; `REJECT_COLUMNS` as Arrow strings. A value of a column of secrets is masked.
    """
    if is_secret_column(column):
        values = MASK if isinstance(values, str) else [None if value is None else MASK for value in values]
    frame = pd.DataFrame(index=pd.Index(np.asarray(ids), dtype="int64", name=OLD_ID))
    contents: tuple[Any, ...] = (column, values, reason)
    for name, content in zip(REJECT_COLUMNS, contents, strict=True):
        frame[name] = content if content is None or isinstance(content, str) else pd.array(content, dtype=STRING)
    return frame.astype(STRING)


@cache
def no_rejects() -> pd.DataFrame:
    """Return the rejects of no rows.

    Returns
    -------
    pandas.DataFrame
        Index `old_id`; `REJECT_COLUMNS` as Arrow strings. The same object for every caller.
    """
    return reject_frame([], "", [], "")


def display_values(values: pa.Array) -> list[str | None]:
    """Return values as text for rejects.

    Parameters
    ----------
    values
        Of any Arrow type, `dfsync.model.types.MIXED_STORAGE` among them.

    Returns
    -------
    list
        One text per value, a blob as `x'00ff'`; a long one ends in an ellipsis. NULL is None.

    Notes
    -----
    The work is done row by row, since rejects are few.
    """
    return [None if value is None else _display(value) for value in values.to_pylist()]


def _display(value: Any) -> str:
    if isinstance(value, dict):
        return next((_display(part) for part in value.values() if part is not None), "")
    text = f"x'{value[:_MAX_VALUE_CHARACTERS].hex()}'" if isinstance(value, bytes) else str(value)
    return text if len(text) <= _MAX_VALUE_CHARACTERS else text[:_MAX_VALUE_CHARACTERS] + "…"
