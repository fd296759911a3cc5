"""Rows that are as they were in the last run, on both sides: they keep their target rows, and nobody reads these.

The state of the last run has a digest of each source row's natural key, and checksums of ids and keys of the target by
segments (`output.folder.state`). Where a segment is as it was, so is the natural key of every target row in it. A
source row whose key is as it was, and whose target row of then lies in such a segment, has that target row still:

- It has an equal key, since neither key changed, nor the collation.
- No target row of an equal key has a lower id. Where no unique key says so, every segment must be as it was: rows that
  are in none have higher ids.

All other rows are looked up by their keys, as is done for a target that is much larger than the source. Where that
would not be right, or not faster, both sides are read as without a state.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dfsync.execution.executor import open_executor
from dfsync.model import frames
from dfsync.model.frames import MATCHED, UPDATED
from dfsync.model.types import Mask, NewIds, OldIds, unique_ids
from dfsync.output.evidence import read_origin
from dfsync.output.files import mapping_path
from dfsync.output.folder.fingerprint import map_fingerprint
from dfsync.output.folder.state import (
    RowsState,
    Segments,
    TableState,
    read_state,
    remove_state,
    write_state,
)
from dfsync.pipeline.known.state.early_checksums import EarlyChecksums
from dfsync.pipeline.known.state.last_keys import LastKeys
from dfsync.pipeline.known.state.last_state import has_state, made_under, origin, standing
from dfsync.pipeline.known.state.segments import (
    MOST_SEGMENTS,
    cut,
    ends_of,
    is_short,
    join_segments,
    read_segments,
    read_table_checksums,
    segment_size,
)
from dfsync.pipeline.known.state.target_keys import can_look_up, read_changed_keys, read_keys_like
from dfsync.pipeline.table.context import TableContext
from dfsync.pipeline.table.keys import (
    KeyDigests,
    SourceKeys,
    adopt_target_values,
    choose_keys,
    is_exact,
    is_lookup_cheaper,
    key_normalizers,
    read_source_keys,
    read_target_keys,
)
from dfsync.pipeline.table.ledger import RowLedger, RowMatches
from dfsync.pipeline.table.match import MatchResult, match_both_sides, match_keys, match_table, with_keyless
from dfsync.pipeline.table.spool import KeyFrames
from dfsync.stages.row_hash import RowHasher
from dfsync.target.collation import observe_keys
from dfsync.target.read.checksums import Checksums
from dfsync.target.schema.preconditions import keeps_inserted_values

FEWEST_ROWS = 10_000
"""A table with fewer rows leaves no state: its keys are read as fast."""


class UnchangedRows:
    """Owns what one attempt at a table knows of the state of the last run, and what it leaves for the next one.

    `match` once, `look` before the COMMIT, `write` after the map is written.

    Parameters
    ----------
    table
        The table.
    full
        Whether the user wants both sides to be read, whatever the last run knew.
    leaves
        Whether this run writes files.
    """

    def __init__(self, table: TableContext, *, full: bool, leaves: bool) -> None:
        self._table, self._full, self._leaves = table, full, leaves
        self._made_under: dict[str, Any] = {}
        self._map_then = ""
        self._last: TableState | None = None
        self._digests: KeyDigests | None = None
        self._now: Checksums | None = None
        self._others: OldIds | None = None
        self._sizes: list[int] = []
        self._unsure: list[NewIds] = [np.array([], np.int64)]
        self._next: TableState | None = None
        self._early: EarlyChecksums | None = None

    def _open(self) -> None:
        table, out = self._table, self._table.kept_maps.out
        if out is None or not has_state(table):
            return
        self._leaves = self._leaves and table.count() >= FEWEST_ROWS
        if self._full and not self._leaves:
            return
        self._made_under, name = made_under(table), table.binding.plan.name
        if not self._full:
            self._map_then = map_fingerprint(out, name)
            self._last = read_state(out, name, self._made_under)
        if self._last is not None or self._leaves:
            self._digests = KeyDigests(table.hasher if self._last is None else RowHasher(self._last.seed))
        if self._leaves:
            self._early = EarlyChecksums(table, segment_size(table.count()))

    def match(self) -> MatchResult:
        """Match all rows; the result is that of `match_table`.

        Returns
        -------
        MatchResult
        """
        self._open()
        if self._last is None or self._digests is None:
            return match_table(self._table, digests=self._digests)
        table, last = self._table, self._last
        normalizers = key_normalizers(table)
        source = SourceKeys(table.open_spool(), digests=self._digests, hashed=False)
        with open_executor("dfsync-source-keys") as worker:
            reading = worker.submit(lambda: read_source_keys(table, normalizers, source))
            with table.timer("target keys"):
                self._now = read_table_checksums(table.connection, table, last.segments.last_id)
            reading.result()
        with table.timer("match"):
            ids, new_id, as_before = self._compare(last, self._now)
        others = ids[~as_before]
        exact = is_exact(normalizers)
        found = None
        if self._stands(last, self._now) and (exact or self._map_has(ids[as_before])):
            found = self._read_like(source, ~as_before, last, exact=exact)
        if found is None:
            target_keys = read_changed_keys(table, self._map_path, last.rows, last.segments, self._now)
            if target_keys is None:
                target_keys = read_target_keys(table, source, look_up=is_lookup_cheaper(table, table.count()))
            observe_keys(normalizers, target_keys)
            return match_both_sides(table, normalizers, source, target_keys)
        self._others, self._sizes = others, source.sizes
        matches, keys = _match_others(table, normalizers, *found)
        with table.timer("match"):
            joined = _joined(ids, new_id, as_before, matches)
        shown: KeyFrames = source.spool
        if not exact:
            shown = LastKeys(table, self._map_path, source.spool, others, keys)
        return with_keyless(table, source, joined, shown)

    @property
    def _map_path(self) -> Path:
        assert self._table.kept_maps.out is not None
        return mapping_path(self._table.kept_maps.out, self._table.binding.plan.name)

    def _map_has(self, ids: OldIds) -> bool:
        """Whether the last map has the keys of these rows."""
        return bool(np.isin(ids, pq.read_table(self._map_path, columns=[frames.OLD_ID]).column(0).to_numpy()).all())

    def _compare(self, last: TableState, now: Checksums) -> tuple[OldIds, NewIds, Mask]:
        """The rows with a natural key, the target row that each had, and whether both are as they were."""
        assert self._digests is not None
        ids, digests = self._digests.joined()
        rows = last.rows
        if np.array_equal(ids, rows.old_id):
            new_id, same = rows.new_id, digests == rows.digest
        else:
            place = np.minimum(np.searchsorted(rows.old_id, ids), max(len(rows) - 1, 0))
            known = rows.old_id[place] == ids if len(rows) else np.zeros(len(ids), dtype=bool)
            new_id = np.zeros(len(ids), np.int64)
            new_id[known] = rows.new_id[place[known]]
            same = known.copy()
            same[known] = rows.digest[place[known]] == digests[known]
        stand = standing(last.segments, now)
        if not stand.all():
            same &= np.append(stand, False)[last.segments.of(new_id)]
        return ids, new_id, same

    def _stands(self, last: TableState, now: Checksums) -> bool:
        """Whether no row that is as it was can need another target row."""
        binding = self._table.binding
        return binding.target.is_unique(binding.plan.key) or bool(standing(last.segments, now).all())

    def _read_like(
        self, source: SourceKeys, others: Mask, last: TableState, *, exact: bool
    ) -> tuple[SourceKeys, pd.DataFrame] | None:
        """The keys of the other rows, and the target's that may be equal; None where all have to be compared."""
        assert self._digests is not None
        assert self._now is not None
        table, now = self._table, self._now
        look_up = can_look_up(table, int(others.sum()), now)
        if not (look_up or exact):
            return None
        ids, digests = self._digests.joined()
        own = choose_keys(table, source, ids[others])
        if look_up:
            return own, read_target_keys(table, own, look_up=True)
        target_keys = read_keys_like(table, own, ids[others], digests[others], last, now)
        return None if target_keys is None else (own, target_keys)

    def note_inserts(self, new_ids: NewIds) -> None:
        """Take the ids of rows that were inserted, ascending."""
        if self._early is not None:
            self._early.note_inserts(new_ids)

    def doubt(self, new_ids: NewIds) -> None:
        """Take target rows that the snapshot of the transaction does not have: they are in no state."""
        self._unsure.append(new_ids)

    def look(self, ledger: RowLedger) -> None:
        """Read, in the transaction and when all is written, what the next run will compare.

        Parameters
        ----------
        ledger
            What became of the rows.
        """
        if not self._leaves or self._digests is None:
            return
        table, binding = self._table, self._table.binding
        # An updated row may show what others have done to it since the snapshot.
        unsure = [*self._unsure, ledger.new_id[ledger.with_action(UPDATED)]]
        with table.timer("total"):
            created = unique_ids(ledger.new_id[ledger.created])
            if len(created) and not keeps_inserted_values(table.connection, binding.target, binding.key):
                unsure.append(ledger.new_id[ledger.is_new()])
            doubted = unique_ids(np.concatenate(unsure))
            written = unique_ids(np.concatenate([doubted, created]))
            rows = self._rows(ledger, doubted)
            segments = self._segments(rows, written, created)
        last = self._last
        if last is None:
            self._next = TableState(rows, segments, table.hasher.seed)
        elif rows is not last.rows:
            self._next = TableState(rows, segments, last.seed)
        elif segments.equals(last.segments):
            self._next = last
        else:
            self._next = replace(last, segments=segments)

    def _rows(self, ledger: RowLedger, unsure: NewIds) -> RowsState:
        assert self._digests is not None
        ids, digests = self._digests.joined()
        place = ledger.positions(ids)
        new_id = ledger.new_id[place]
        sure = ledger.resolved[place]
        if len(unsure):
            sure &= ~np.isin(new_id, unsure)
        rows = RowsState(ids, digests, new_id) if sure.all() else RowsState(ids[sure], digests[sure], new_id[sure])
        return self._last.rows if self._last is not None and rows.equals(self._last.rows) else rows

    def _segments(self, rows: RowsState, written: NewIds, created: NewIds) -> Segments:
        """The segments of now; those that are known, and in which nothing was written, are not read again."""
        ids = unique_ids(rows.new_id)
        last, now, known = None, None, 0
        few = self._last is not None and len(self._last.segments) <= 2 * MOST_SEGMENTS
        if few and self._last is not None and self._now is not None:
            last, now = self._last.segments, self._now
            known = min([len(last), *last.of(written[:1]).tolist()])
            if known and is_short(now.rows[known - 1]) and len(ids) and ids[-1] > last.last_id[known - 1]:
                known -= 1
        above = int(last.last_id[known - 1]) if last is not None and known else None
        size = segment_size(len(ids))
        fresh = self._fresh_segments(ids if above is None else ids[ids > above], size, above, created)
        return fresh if last is None or now is None else cut(last.last_id, now, known).followed_by(fresh)

    def _fresh_segments(self, ids: NewIds, size: int, above: int | None, created: NewIds) -> Segments:
        """The segments of these ids, which ascend, and are all that are above this one."""
        with self._table.timer("target keys"):
            read = partial(read_segments, self._table.connection, self._table)
            early = None if self._early is None else self._early.segments(created)
            if early is None or self._early is None or (above is not None and self._early.start < above):
                return read(ends_of(ids, size), (above, None))
            start, end = self._early.start, int(early.last_id[-1])
            below = np.append(ends_of(ids[ids < start], size), start)
            after = ends_of(ids[ids > end], size)
            return join_segments([read(below, (above, start)), early, read(after, (end, None))])

    def forget(self) -> None:
        """Leave nothing: the transaction did not commit, or others may have written between its parts."""
        self._leaves, self._next, self._others, self._early = False, None, None, None

    def write(self, out: Path) -> None:
        """Write the state. Raises `OutputWriteError`.

        Parameters
        ----------
        out
            The output folder.
        """
        name = self._table.binding.plan.name
        if self._next is None:
            remove_state(out, name)
            return
        if self._next is self._last and self._map_then == map_fingerprint(out, name):
            return
        same_rows = self._last is not None and self._next.token == self._last.token
        write_state(out, name, self._next, self._made_under, same_rows=same_rows)

    def keeps_map(self, ledger: RowLedger) -> bool:
        """Tell whether the map of the last run is, byte by byte, what this run would write."""
        if self._others is None or len(self._others) or not ledger.resolved.all() or ledger.created.any():
            return False
        if self._digests is None or len(self._digests.joined()[0]) != len(ledger):
            return False
        if not ledger.with_action(MATCHED).all() or read_origin(self._map_path) != origin(self._table):
            return False
        file = pq.ParquetFile(self._map_path)
        groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
        # A map is written batch by batch, and what is behind the last one at the end.
        if groups != [*self._sizes, 0]:
            return False
        old_id, new_id, action = file.read([frames.OLD_ID, frames.NEW_ID, frames.ACTION]).columns
        pairs = ((old_id, ledger.old_id), (new_id, ledger.new_id))
        same = all(np.array_equal(column.to_numpy(), array) for column, array in pairs)
        return same and bool(pc.all(pc.equal(action, MATCHED), min_count=0).as_py())


def _match_others(
    table: TableContext, normalizers: dict[str, Any], own: SourceKeys, target_keys: pd.DataFrame
) -> tuple[RowMatches, KeyFrames]:
    """Match rows with the target rows that may have their keys; also give the keys that the map shows."""
    observe_keys(normalizers, target_keys)
    with table.timer("match"):
        matches, position = match_keys(table, normalizers, own, target_keys)
        return matches, adopt_target_values(table, normalizers, own.spool, target_keys, position)


def _joined(ids: OldIds, new_id: NewIds, as_before: Mask, others: RowMatches) -> RowMatches:
    """The rows that are as they were, and the others, as `match_keys` gives them."""
    if not len(others.old_id):
        return RowMatches(ids, new_id.copy(), np.ones(len(ids), dtype=bool), _first_of_each(ids, new_id))
    new_id = new_id.copy()
    new_id[~as_before] = others.new_id
    resolved = as_before.copy()
    resolved[~as_before] = others.resolved
    representative = ids.copy()
    # A row without a target row has the key of no row with one.
    representative[~as_before] = others.representative_id
    representative[resolved] = _first_of_each(ids[resolved], new_id[resolved])
    return RowMatches(ids, new_id, resolved, representative)


def _first_of_each(ids: OldIds, new_id: NewIds) -> OldIds:
    """Of each row the first one that has its target row."""
    if (np.diff(new_id) > 0).all():
        return ids
    _, first, inverse = np.unique(new_id, return_index=True, return_inverse=True)
    return ids[first[inverse]]
