"""Rows without a natural key, recognised by their whole content, and counted.

Two equal rows in the source want two in the target, the k-th goes with the k-th: so the key of such a row is a digest
of its values and its number among its equals.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dfsync import frames

_SEEDS = ("dfsync content 1", "dfsync content 2")
KEY = ("digest_1", "digest_2", "number")


def digests(frame: pd.DataFrame) -> pd.DataFrame:
    """128 bits over the values of each row: `digest_1` and `digest_2`, uint64, indexed as the frame.

    The frame's columns must be conformed (source) or read as such (target), so that equal values have equal types.
    """
    plain = pd.DataFrame({i: _plain(frame[name]) for i, name in enumerate(frame.columns)}, index=frame.index)
    if plain.shape[1] == 0:
        return pd.DataFrame({name: np.zeros(len(frame), np.uint64) for name in KEY[:2]}, index=frame.index)
    made = {
        name: pd.util.hash_pandas_object(plain, index=False, hash_key=seed[:16], categorize=False)
        for name, seed in zip(KEY[:2], _SEEDS, strict=True)
    }
    return pd.DataFrame(made, index=frame.index)


def numbered(digested: pd.DataFrame) -> pd.DataFrame:
    """The digests and the row's place among its equals, in the frame's order: the columns of `KEY` as Arrow dtypes."""
    number = digested.groupby(list(KEY[:2]), sort=False).cumcount()
    table = pa.table([*(pa.array(digested[name]) for name in KEY[:2]), pa.array(number.to_numpy())], names=list(KEY))
    return frames.to_frame(table).set_axis(digested.index)


def _plain(column: pd.Series[Any]) -> pd.Series[Any]:
    # As text with a mark in front, so that NULL, '' and 'NULL' differ.
    array = frames.arrow(column)
    if pa.types.is_binary(array.type):
        # Value by value: Arrow has no function for it.
        text = pa.array([None if value is None else value.hex() for value in array.to_pylist()], pa.string())
    else:
        text = array.cast(pa.string())
    marked = pc.fill_null(pc.binary_join_element_wise("=", text, ""), "NULL")
    return pd.Series(marked.to_pandas().to_numpy(dtype=object), index=column.index)
