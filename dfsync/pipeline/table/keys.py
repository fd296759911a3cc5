"""The natural keys of a table's rows, on both sides: read, spooled and hashed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from dfsync.execution.executor import open_executor
from dfsync.execution.prefetch import prefetch
from dfsync.model import frames
from dfsync.model.frames import empty_frame
from dfsync.model.types import Hashes, NewIds, OldIds, Positions
from dfsync.pipeline.table.context import KEY_BATCH_ROWS, TableContext
from dfsync.pipeline.table.extract import RejectLog, read_batches
from dfsync.pipeline.table.spool import KeySpool
from dfsync.plan.binding import TableBinding
from dfsync.stages.match import match
from dfsync.stages.row_hash import HASH_COLUMNS, RowHasher, empty_hashes
from dfsync.target.collation import KeyNormalizer, normalize_pair, observe_keys
from dfsync.target.read.keys import lookup_by_key, read_keys
from dfsync.target.read.rows import id_span

LOOKUP_RATIO = 5
"""A target with so many times the source's rows is asked for the keys at hand, and not for all of them."""


class KeyDigests:
    """Collects a digest of the natural key of each source row, as the key is before the target's collations fold it.

    Parameters
    ----------
    hasher
        Makes them.
    """

    def __init__(self, hasher: RowHasher) -> None:
        self.hasher = hasher
        self._ids: list[OldIds] = []
        self._digests: list[Hashes] = []

    def add(self, keys: pd.DataFrame, hashes: pd.DataFrame | None = None) -> None:
        """Take keys without NULL (index `old_id`), and their hashes where these are there already."""
        hashes = self.hasher.hashes(keys) if hashes is None else hashes
        self._ids.append(hashes.index.to_numpy(dtype=np.int64))
        self._digests.append(hashes[HASH_COLUMNS[0]].to_numpy())

    def joined(self) -> tuple[OldIds, Hashes]:
        """Return the `old_id` of all rows, ascending, and the digest of each."""
        if len(self._ids) != 1:
            self._ids = [np.concatenate([np.array([], np.int64), *self._ids])]
            self._digests = [np.concatenate([np.array([], np.uint64), *self._digests])]
        return self._ids[0], self._digests[0]


@dataclass
class SourceKeys:
    """The natural keys of source rows, as they were read.

    Attributes
    ----------
    spool
        All keys, in batches by ascending `old_id`.
    hashes
        uint64 columns `HASH_COLUMNS`, index `old_id`, of the keys without NULL; zero where the server must normalize.
    keyless
        int64: the `old_id` of the rows with a NULL in the key.
    log
        The rejects and notes of reading.
    digests
        Takes a digest of each key without NULL; None where nobody asks for them.
    hashed
        Whether there are `hashes`, and not `digests` alone.
    sizes
        The number of rows of each batch.
    """

    spool: KeySpool
    hashes: pd.DataFrame = field(default_factory=empty_hashes)
    keyless: OldIds = field(default_factory=lambda: np.array([], np.int64))
    log: RejectLog = field(default_factory=RejectLog)
    digests: KeyDigests | None = None
    hashed: bool = True
    sizes: list[int] = field(default_factory=list)


def key_normalizers(table: TableContext) -> dict[str, KeyNormalizer]:
    """Make a normalizer for each column of the natural key, by its name."""
    return {column.name: KeyNormalizer(table.connection, column) for column in table.binding.key}


def read_both_sides(
    table: TableContext, normalizers: Mapping[str, KeyNormalizer], digests: KeyDigests | None = None
) -> tuple[SourceKeys, pd.DataFrame]:
    """Read the natural keys of source and target at the same time.

    Parameters
    ----------
    table
        The table.
    normalizers
        Of the key's columns; they observe every value.
    digests
        As of `SourceKeys`.

    Returns
    -------
    tuple of SourceKeys and DataFrame
        The frame has the target's keys without NULL, index `new_id`, ascending.
    """
    source = SourceKeys(table.open_spool(), digests=digests)
    with open_executor("dfsync-source-keys") as worker:
        reading = worker.submit(lambda: read_source_keys(table, normalizers, source))
        look_up = is_lookup_cheaper(table, table.count())
        if look_up:
            reading.result()
        target_keys = read_target_keys(table, source, look_up=look_up)
        reading.result()
    observe_keys(normalizers, target_keys)
    return source, target_keys


def read_target_keys(table: TableContext, source: SourceKeys, *, look_up: bool) -> pd.DataFrame:
    """Read the target's keys without NULL, index `new_id`, ascending: all, or those that the source has (`look_up`)."""
    with table.timer("target keys"):
        return _look_up_target_keys(table, source) if look_up else _scan_target_keys(table)


def choose_keys(table: TableContext, source: SourceKeys, ids: OldIds) -> SourceKeys:
    """Copy the natural keys of some source rows into a spool of their own, without hashes.

    Parameters
    ----------
    table
        The table.
    source
        The keys of more rows.
    ids
        The rows: int64.

    Returns
    -------
    SourceKeys
    """
    chosen = SourceKeys(table.open_spool(), hashed=False)
    if len(ids):
        for _ in chosen.spool.write(frame[np.isin(frame.index, ids)] for frame in source.spool.read()):
            pass
    return chosen


def adopt_target_values(
    table: TableContext,
    normalizers: Mapping[str, KeyNormalizer],
    spool: KeySpool,
    target_keys: pd.DataFrame,
    position: Positions,
) -> KeySpool:
    """Put the target's values of a key in place of the source's where the target has the row.

    Parameters
    ----------
    table
        The table.
    normalizers
        Of the key's columns; where all are exact both sides hold the same values.
    spool
        The source's keys; closed where another one takes its place.
    target_keys
        The target's keys, in the order that `position` counts.
    position
        For each key without NULL, in the spool's order: the position of its target row, -1 where there is none.

    Returns
    -------
    KeySpool
        The keys that the mapping is to show.
    """
    if is_exact(normalizers) or table.binding.id is None or not (position >= 0).any():
        return spool
    adopted = table.open_spool()
    frames_with_positions = _zip_positions(spool, position)
    for _ in adopted.write(_coalesce(frame, target_keys, of_rows) for frame, of_rows in frames_with_positions):
        pass
    spool.close()
    return adopted


def hash_keys(table: TableContext, normalizers: Mapping[str, KeyNormalizer], keys: pd.DataFrame) -> pd.DataFrame:
    """Hash natural keys in the form in which equal to the target means identical: uint64 columns `HASH_COLUMNS`."""
    columns = {i: normalizer.normalize(keys[name]) for i, (name, normalizer) in enumerate(normalizers.items())}
    return table.hasher.hashes(pd.DataFrame(columns, index=keys.index))


def collect_hashes(parts: Iterable[pd.DataFrame], max_rows: int) -> pd.DataFrame:
    """Join the hashes of at most `max_rows` rows, without ever holding them twice."""
    index = np.empty(max_rows, np.int64)
    columns = {name: np.empty(max_rows, np.uint64) for name in HASH_COLUMNS}
    end = 0
    for part in parts:
        start, end = end, end + len(part)
        index[start:end] = part.index
        for name in HASH_COLUMNS:
            columns[name][start:end] = part[name]
    filled = {name: column[:end] for name, column in columns.items()}
    return pd.DataFrame(filled, index=pd.Index(index[:end], name=frames.OLD_ID, copy=False), copy=False)


def fetch_rows_by_key(
    connection: sa.Connection, binding: TableBinding, source: pd.DataFrame, names: Sequence[str]
) -> tuple[pd.DataFrame, NewIds]:
    """Fetch the target rows that have the natural keys of source rows.

    Parameters
    ----------
    connection
        The target.
    binding
        The table.
    source
        Source rows with their natural keys, conformed and remapped; index `old_id`.
    names
        The columns to fetch.

    Returns
    -------
    tuple of DataFrame and array
        The columns `names`, index `old_id`, without the rows that the target lacks; and their new ids.
    """
    key = binding.key_names
    columns = list(dict.fromkeys([*key, *names]))
    target_rows = lookup_by_key(connection, binding.target, binding.id, key, source[key], columns)
    sides = [
        normalize_pair(connection, column, source[column.name], target_rows[column.name]) for column in binding.key
    ]
    ours, theirs = (pd.DataFrame(dict(enumerate(side))) for side in zip(*sides, strict=True))
    found = match(ours, theirs.set_axis(range(len(theirs))))[frames.NEW_ID].dropna()
    rows = target_rows.iloc[found.to_numpy(dtype=np.int64)]
    return rows[list(names)].set_axis(found.index), rows.index.to_numpy()


def read_source_keys(table: TableContext, normalizers: Mapping[str, KeyNormalizer], source: SourceKeys) -> None:
    """Read the natural keys of all source rows: into the spool, with their hashes and digests as far as asked for."""
    batches = map(source.log.take, prefetch(read_batches(table, table.binding.key, KEY_BATCH_ROWS)))
    if source.hashed:
        source.hashes = collect_hashes(_hash_while_possible(table, normalizers, source, batches), table.count())
        return
    for keyed in _observed(normalizers, source, batches):
        if source.digests is not None:
            source.digests.add(keyed)


def _observed(
    normalizers: Mapping[str, KeyNormalizer], source: SourceKeys, keys: Iterable[pd.DataFrame]
) -> Iterator[pd.DataFrame]:
    """The keys without NULL, spooled and seen by the normalizers; the others are noted."""
    for frame in source.spool.write(keys):
        source.sizes.append(len(frame))
        keyed = drop_null_keys(frame)
        if len(keyed) < len(frame):
            source.keyless = np.append(source.keyless, frame.index.difference(keyed.index).to_numpy())
        observe_keys(normalizers, keyed)
        yield keyed


def _hash_while_possible(
    table: TableContext, normalizers: Mapping[str, KeyNormalizer], source: SourceKeys, keys: Iterable[pd.DataFrame]
) -> Iterator[pd.DataFrame]:
    """The hashes of the keys, zero as soon as one shows that the server must normalize them."""
    same_as_digests = is_exact(normalizers) and source.digests is not None and source.digests.hasher == table.hasher
    for keyed in _observed(normalizers, source, keys):
        if any(normalizer.needs_server for normalizer in normalizers.values()):
            hashes = pd.DataFrame(dict.fromkeys(HASH_COLUMNS, np.uint64(0)), keyed.index)
            same_as_digests = False
        else:
            hashes = hash_keys(table, normalizers, keyed)
        if source.digests is not None:
            source.digests.add(keyed, hashes if same_as_digests else None)
        yield hashes


def is_exact(normalizers: Mapping[str, KeyNormalizer]) -> bool:
    """Tell whether the target calls only identical keys equal."""
    return all(normalizer.exact for normalizer in normalizers.values())


def is_lookup_cheaper(table: TableContext, source_rows: int) -> bool:
    """Whether the target has, by its ids, many more rows than are asked for, and an index over the key."""
    binding = table.binding
    if binding.id is None or not binding.target.is_indexed(binding.plan.key):
        return False
    return id_span(table.connection, binding.target, binding.id) > LOOKUP_RATIO * source_rows


def _scan_target_keys(table: TableContext) -> pd.DataFrame:
    binding = table.binding
    names = binding.key_names
    return drop_null_keys(read_keys(table.connection, binding.target, binding.id, names)).sort_index()


def _look_up_target_keys(table: TableContext, source: SourceKeys) -> pd.DataFrame:
    binding = table.binding
    names = binding.key_names
    requested = [empty_frame(binding.key), *map(drop_null_keys, source.spool.read())]
    found = [lookup_by_key(table.connection, binding.target, binding.id, names, keys) for keys in requested]
    return drop_null_keys(pd.concat(found)).sort_index()


def _zip_positions(spool: KeySpool, position: Positions) -> Iterator[tuple[pd.DataFrame, Positions]]:
    """The frames of the spool with the position of each row's target row, -1 where it has none."""
    start = 0
    for frame in spool.read():
        keyed = frames.non_null_rows(frame)
        of_rows = np.full(len(frame), -1)
        of_rows[keyed] = position[start : start + keyed.sum()]
        start += keyed.sum()
        yield frame, of_rows


def _coalesce(keys: pd.DataFrame, target_keys: pd.DataFrame, position: Positions) -> pd.DataFrame:
    """The target's values at these positions, and the source's where there is none."""
    taken = pa.array(position, mask=position < 0)
    columns = {
        i: frames.series(
            pc.coalesce(frames.as_arrow(target_keys.iloc[:, i]).take(taken), frames.as_arrow(keys.iloc[:, i]))
        ).set_axis(keys.index)
        for i in range(keys.shape[1])
    }
    return pd.DataFrame(columns, index=keys.index).set_axis(keys.columns, axis=1)


def drop_null_keys(keys: pd.DataFrame) -> pd.DataFrame:
    """Drop the rows with a NULL in the key."""
    non_null = frames.non_null_rows(keys)
    return keys if non_null.all() else keys[non_null]
