"""Hash rows to 128 bits each, by which they are compared: millions of keys do not fit into memory as they are."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dfsync.model import frames
from dfsync.model.types import Hashes
from dfsync.stages.siphash import Key, siphash

HASH_COLUMNS = ("hash_1", "hash_2")
"""The columns of a frame of hashes, uint64: both halves of each row's 128 bits."""
_SEED_BITS = 256
_WORDS = 10


@dataclass(frozen=True)
class RowHasher:
    """Hashes rows with a secret seed, so that nobody can make a source that has two rows of one hash.

    Two hashers of one seed give the same hashes, in other processes and on other machines too.

    Parameters
    ----------
    seed
        From 0 to 2**256 - 1. Hashes of different seeds cannot be compared.
    """

    seed: int = field(repr=False)
    _key: Key = field(init=False, repr=False, compare=False)
    _factors: tuple[dict[str, np.uint64], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Derive the key of SipHash, and the odd factors of each half of a hash, from the seed."""
        derived = hashlib.shake_256(self.seed.to_bytes(_SEED_BITS // 8, "little")).digest(8 * _WORDS)
        words = np.frombuffer(derived, "<u8").astype(np.uint64)
        odd = iter(words[2:] | np.uint64(1))
        object.__setattr__(self, "_key", (words[0], words[1]))
        object.__setattr__(self, "_factors", tuple({name: next(odd) for name in HASH_COLUMNS} for _ in range(4)))

    @classmethod
    def random(cls) -> RowHasher:
        """Return a hasher with a seed of the operating system's random numbers."""
        return cls(secrets.randbits(_SEED_BITS))

    def hashes(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Hash the values of each row.

        Parameters
        ----------
        frame
            Columns of Arrow dtypes, in an order that counts; their names and the index do not count.

        Returns
        -------
        pandas.DataFrame
            The columns `HASH_COLUMNS` (uint64), with the index of the frame. Equal values have equal hashes where both
            are integers, or both of the same other Arrow type. NULL equals NULL alone.
        """
        step = self._factors[0]
        hashes = {name: np.zeros(len(frame), np.uint64) for name in HASH_COLUMNS}
        for position in range(frame.shape[1]):
            column_hash = self._column_hash(frames.as_arrow(frame.iloc[:, position]))
            for name in HASH_COLUMNS:
                hashes[name] *= step[name]
                hashes[name] += mix64(column_hash[name])
        return pd.DataFrame(hashes, index=frame.index, copy=False)

    def with_occurrence(self, hashes: pd.DataFrame) -> pd.DataFrame:
        """Hash each row together with its occurrence number among the equal rows, in the frame's order.

        Parameters
        ----------
        hashes
            As `RowHasher.hashes` returns them.

        Returns
        -------
        pandas.DataFrame
            As `hashes`, without equal rows: the k-th of equal rows has the hash of the k-th of them in any other frame.
        """
        factor = self._factors[1]
        number = hashes.groupby(list(HASH_COLUMNS), sort=False).cumcount().to_numpy().astype(np.uint64)
        return hashes.assign(**{name: mix64(hashes[name].to_numpy() + number * factor[name]) for name in HASH_COLUMNS})

    def _column_hash(self, values: pa.Array) -> dict[str, Hashes]:
        _, factor, negative_factor, null = self._factors
        if pa.types.is_integer(values.type):
            numbers = pc.fill_null(values, 0).to_numpy()
            # An id may be signed on one side and unsigned on the other.
            unsigned, negative = numbers.astype(np.uint64), numbers < 0
            hashes = {name: unsigned * factor[name] + negative * negative_factor[name] for name in HASH_COLUMNS}
        else:
            hashes = dict(zip(HASH_COLUMNS, siphash(pc.fill_null(_as_text(values), ""), self._key), strict=True))
        if not values.null_count:
            return hashes
        is_null = values.is_null()
        return {name: np.where(is_null, null[name], half) for name, half in hashes.items()}


def empty_hashes() -> pd.DataFrame:
    """Return the hashes of no rows.

    Returns
    -------
    pandas.DataFrame
        The columns `HASH_COLUMNS` (uint64), index int64.
    """
    return pd.DataFrame({name: np.array([], np.uint64) for name in HASH_COLUMNS}, index=pd.Index([], dtype="int64"))


def mix64(words: Hashes) -> Hashes:
    """Spread each bit of a word over all bits of it.

    Parameters
    ----------
    words
        Any numbers of 64 bits.

    Returns
    -------
    numpy.ndarray of uint64
        The finalizer of MurmurHash3, a bijection.

    References
    ----------
    https://github.com/aappleby/smhasher/blob/master/src/MurmurHash3.cpp, `fmix64`
    """
    words = (words ^ (words >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    words = (words ^ (words >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return words ^ (words >> np.uint64(33))


def _as_text(values: pa.Array) -> pa.Array:
    return frames.to_hex(values) if pa.types.is_binary(values.type) else values.cast(pa.string())
