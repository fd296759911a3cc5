"""Rejects: source rows that could not get a target row, with the column, the value and the reason."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from dfsync.model.frames import OLD_ID, STRING

_SHOWN_CHARACTERS = 200
NOT_NULL = "is NULL, which the column does not allow"


def display_values(values: Any) -> list[str | None]:
    """Values as text for a reject, row by row since rejects are few; long ones end in an ellipsis."""
    return [None if value is None else _display(value) for value in values.to_pylist()]


def _display(value: Any) -> str:
    if isinstance(value, dict):
        return next((_display(part) for part in value.values() if part is not None), "")
    text = f"x'{value[:_SHOWN_CHARACTERS].hex()}'" if isinstance(value, bytes) else str(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"


REJECT_COLUMNS = ("column", "value", "reason")


def reject_frame(ids: Any, column: str | None, values: Any, reason: Any) -> pd.DataFrame:
    """A reject frame: index `old_id`, `column`, `value` and `reason` as Arrow strings, a row per id.

    `column` is None where the row is refused as a whole.
    """
    frame = pd.DataFrame(index=pd.Index(np.asarray(ids), dtype="int64", name=OLD_ID))
    for name, content in zip(REJECT_COLUMNS, (column, values, reason), strict=True):
        frame[name] = content if content is None or isinstance(content, str) else pd.array(content, dtype=STRING)
    return frame.astype(STRING)


@cache
def no_rejects() -> pd.DataFrame:
    return reject_frame([], "", [], "")


MISSING_PARENT = "missing parent"
