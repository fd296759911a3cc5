"""Which rows a unique key of the target would refuse, found without writing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from dfsync.model import frames
from dfsync.model.rejects import display_values, no_rejects, reject_frame
from dfsync.model.schema import Column, Table
from dfsync.model.types import Hashes, Mask
from dfsync.stages.row_hash import HASH_COLUMNS, RowHasher
from dfsync.target.collation import KeyNormalizer, observe_keys
from dfsync.target.read.keys import lookup_by_key

_REASON = "would be refused by the server: the unique key over {columns} has this value already, {where}"
_IN_TARGET, _IN_SOURCE = "in the target", "from another row of the source"


class UniqueKeys:
    """Foretells which of the rows that a run would insert the target's unique keys refuse.

    Keys over columns that are not copied are not looked at, nor are keys over expressions or prefixes.

    Parameters
    ----------
    connection
        The target, which decides what is equal.
    table
        The target's table.
    columns
        Its columns that get the source's values, under the source's names.
    natural_key
        The names of those in the natural key: what is equal in it is matched, and is not inserted.
    hasher
        Hashes keys.
    """

    def __init__(
        self,
        connection: sa.Connection,
        table: Table,
        columns: Sequence[Column],
        natural_key: Sequence[str],
        hasher: RowHasher,
    ) -> None:
        copied = {column.name.lower(): column for column in columns}
        uniques = [{name.lower(): None for name in unique} for unique in table.uniques()]
        matched = {name.lower() for name in natural_key}
        self._hashes: list[Hashes] = []
        self._keys = [
            _UniqueKey(connection, table, [copied[name] for name in unique], hasher)
            for unique in uniques
            if unique.keys() <= copied.keys() and unique.keys() != matched
        ]

    def refused(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Find the rows that would be refused. Those that go in are to be named by `add`.

        Parameters
        ----------
        rows
            The copied columns, conformed and remapped (Arrow dtypes); index `old_id`, in the order of the inserts.

        Returns
        -------
        pandas.DataFrame
            The reject frame (`model.rejects`).
        """
        if not self._keys or not len(rows):
            self._hashes = []
            return no_rejects()
        self._hashes = hashes = [key.hashes(rows) for key in self._keys]
        conflicts = [key.in_target(rows, hashed) for key, hashed in zip(self._keys, hashes, strict=True)]
        in_source = [key.seen(hashed) for key, hashed in zip(self._keys, hashes, strict=True)]
        refused = np.any([*conflicts, *in_source], axis=0)
        self._refuse_repeated(hashes, in_source, refused)
        rejects = [
            key.rejects(rows, mask, where)
            for key, *masks in zip(self._keys, conflicts, in_source, strict=True)
            for mask, where in zip(masks, (_IN_TARGET, _IN_SOURCE), strict=True)
        ]
        found = pd.concat([no_rejects(), *rejects])
        return pd.DataFrame(found[~found.index.duplicated()].sort_index())

    def add(self, inserted: Mask) -> None:
        """Note which of the rows that `refused` was given last are inserted."""
        for key, hashed in zip(self._keys, self._hashes, strict=False):
            key.add(hashed[inserted])

    def _refuse_repeated(self, hashes: list[Hashes], in_source: list[Mask], refused: Mask) -> None:
        """Refuse the rows whose key an earlier one of them has that is not refused itself."""
        repeated = np.any([_is_repeated(hashed) for hashed in hashes], axis=0)
        taken: list[set[bytes]] = [set() for _ in hashes]
        # Row by row, for the few that share a key: whether one is refused depends on the rows before it.
        for position in np.flatnonzero(repeated & ~refused):
            keys = [hashed[position].tobytes() if hashed[position].any() else b"" for hashed in hashes]
            for number, key in enumerate(keys):
                in_source[number][position] = key in taken[number]
            refused[position] = any(mask[position] for mask in in_source)
            if not refused[position]:
                for of_key, key in zip(taken, keys, strict=True):
                    of_key.update({key} - {b""})


class _UniqueKey:
    """One unique key: its columns, and the hashes of the rows that are to be inserted so far."""

    def __init__(self, connection: sa.Connection, table: Table, columns: list[Column], hasher: RowHasher) -> None:
        self._connection, self._table, self._hasher = connection, table, hasher
        self._columns = columns
        self._names = [column.name for column in columns]
        self._normalizers = {column.name: KeyNormalizer(connection, column) for column in columns}
        for column in columns:
            # The form of a value must not depend on the batch that it comes in.
            if column.collation is not None and not (column.charset == "utf8mb4" and column.collation.endswith("_bin")):
                self._normalizers[column.name].needs_server = True
        self._any_rows = connection.scalar(sa.select(sa.literal(1)).select_from(sa.table(table.name)).limit(1))
        self._seen = np.empty((0, 2), np.uint64)
        """Ascending by the first of the two columns."""

    def hashes(self, rows: pd.DataFrame) -> Hashes:
        """Two columns of uint64; zero where the key holds a NULL, which is equal to nothing."""
        hashed = np.zeros((len(rows), 2), np.uint64)
        known = frames.non_null_rows(rows[self._names])
        hashed[known] = self._hash(rows.loc[known, self._names])
        return hashed

    def _hash(self, keys: pd.DataFrame) -> Hashes:
        observe_keys(self._normalizers, keys)
        forms = {i: normalizer.normalize(keys[name]) for i, (name, normalizer) in enumerate(self._normalizers.items())}
        hashes: Hashes = self._hasher.hashes(pd.DataFrame(forms, index=keys.index))[list(HASH_COLUMNS)].to_numpy()
        return hashes

    def in_target(self, rows: pd.DataFrame, hashed: Hashes) -> Mask:
        """Whether the target has the key of each row."""
        known = hashed.any(axis=1)
        if not self._any_rows or not known.any():
            return np.zeros(len(rows), dtype=bool)
        keys = pd.DataFrame(rows[self._names][known]).drop_duplicates()
        found = lookup_by_key(self._connection, self._table, None, self._names, keys)
        return known & _is_in(hashed, _sorted(self._hash(found))) if len(found) else np.zeros(len(rows), dtype=bool)

    def seen(self, hashed: Hashes) -> Mask:
        """Whether an earlier row has the key of each row."""
        return hashed.any(axis=1) & _is_in(hashed, self._seen)

    def add(self, hashed: Hashes) -> None:
        """Note the keys of rows that would be inserted."""
        self._seen = _sorted(np.concatenate([self._seen, hashed[hashed.any(axis=1)]]))

    def rejects(self, rows: pd.DataFrame, mask: Mask, where: str) -> pd.DataFrame:
        """The rejects of these rows."""
        reason = _REASON.format(columns=", ".join(self._names), where=where)
        if len(self._names) > 1:
            return reject_frame(rows.index[mask], None, [None] * int(mask.sum()), reason)
        return reject_frame(
            rows.index[mask], self._names[0], display_values(frames.as_arrow(rows.loc[mask, self._names[0]])), reason
        )


def _sorted(hashes: Hashes) -> Hashes:
    return hashes[np.argsort(hashes[:, 0], kind="stable")]


def _is_in(hashes: Hashes, among: Hashes) -> Mask:
    """Which of the pairs are among others, which are ascending by their first halves."""
    if not len(among):
        return np.zeros(len(hashes), dtype=bool)
    at = np.minimum(np.searchsorted(among[:, 0], hashes[:, 0]), len(among) - 1)
    same: Mask = (among[at] == hashes).all(axis=1)
    return same


def _is_repeated(hashes: Hashes) -> Mask:
    pairs: Any = pd.DataFrame(hashes)
    repeated: Mask = pairs.duplicated(keep=False).to_numpy() & hashes.any(axis=1)
    return repeated
