"""Rows in 128 bits: by these they are compared, since millions of keys would not fit into memory as they are.

The digests are keyed with secrets of this process, so that no source can be made to hold two rows of one digest.
"""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dfsync.model import frames
from dfsync.stages.siphash import siphash

HASH_COLUMNS = ("digest_1", "digest_2")
_KEY = (np.uint64(secrets.randbits(64)), np.uint64(secrets.randbits(64)))
_NUMBERS = np.random.default_rng(secrets.randbits(128))


def _odd() -> np.uint64:
    return np.uint64(_NUMBERS.integers(2**64, dtype=np.uint64) | np.uint64(1))


_STEP, _FACTOR, _NEGATIVE, _NULL = ({name: _odd() for name in HASH_COLUMNS} for _ in range(4))


def row_hashes(frame: pd.DataFrame) -> pd.DataFrame:
    """128 bits over the values of each row, NULL among them: the columns `DIGESTS`, uint64, indexed as the frame.

    Equal values have equal digests where both are integers, or both of the same other Arrow type.
    """
    made = {name: np.zeros(len(frame), np.uint64) for name in HASH_COLUMNS}
    for place in range(frame.shape[1]):
        hashed = _column_hash(frames.as_arrow(frame.iloc[:, place]))
        for name in HASH_COLUMNS:
            made[name] *= _STEP[name]
            made[name] += _finalize(hashed[name])
    return pd.DataFrame(made, index=frame.index, copy=False)


def no_hashes() -> pd.DataFrame:
    """As `digests` of no row: uint64, index int64."""
    return pd.DataFrame({name: np.array([], np.uint64) for name in HASH_COLUMNS}, index=pd.Index([], dtype="int64"))


def with_occurrence(digested: pd.DataFrame) -> pd.DataFrame:
    """The digests of each row together with its place among its equals, in the frame's order: the k-th of equal rows
    has the digest of the k-th elsewhere, and of no other."""
    number = digested.groupby(list(HASH_COLUMNS), sort=False).cumcount().to_numpy().astype(np.uint64)
    return digested.assign(
        **{name: _finalize(digested[name].to_numpy() + number * _FACTOR[name]) for name in HASH_COLUMNS}
    )


def _column_hash(values: Any) -> dict[str, Any]:
    if pa.types.is_integer(values.type):
        numbers = pc.fill_null(values, 0).to_numpy()
        # An id may be signed at one end and unsigned at the other.
        unsigned, negative = numbers.astype(np.uint64), numbers < 0
        hashed = {name: unsigned * _FACTOR[name] + negative * _NEGATIVE[name] for name in HASH_COLUMNS}
    else:
        hashed = dict(zip(HASH_COLUMNS, siphash(pc.fill_null(_text(values), ""), _KEY), strict=True))
    if not values.null_count:
        return hashed
    null = values.is_null()
    return {name: np.where(null, _NULL[name], of_values) for name, of_values in hashed.items()}


def _text(values: Any) -> Any:
    if pa.types.is_binary(values.type):
        return frames.to_hex(values)
    return values.cast(pa.string())


def _finalize(hashed: Any) -> Any:
    """Each bit of it spread over all (the finalizer of MurmurHash3, a bijection)."""
    hashed = (hashed ^ (hashed >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    hashed = (hashed ^ (hashed >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return hashed ^ (hashed >> np.uint64(33))
