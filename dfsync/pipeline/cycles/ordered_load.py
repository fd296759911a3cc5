"""A table whose rows need other rows of the same table: all of it matched at once, then inserted parents first.

Who each row is, is known before any is inserted (`identity`). What is new is planned as if every insert succeeded
(`dfsync.stages.insert_order`), and sent a batch at a time, whatever its rows need from each other
(`dfsync.target.write.linked_insert`). Where a row is refused, what needed it is planned again.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa

from dfsync.execution.prefetch import prefetch
from dfsync.model import frames
from dfsync.model.batch import Batch
from dfsync.model.frames import empty_frame
from dfsync.model.types import Mask, OldIds, Positions, arrow_type
from dfsync.pipeline.cycles.dependencies import read_values, rejects_of_cycle
from dfsync.pipeline.cycles.identity import Identities, identify, own_references
from dfsync.pipeline.cycles.member import CycleMember
from dfsync.pipeline.table.context import TableContext
from dfsync.pipeline.table.extract import RejectLog, extract, read_batches
from dfsync.pipeline.table.ledger import RowMatches
from dfsync.pipeline.table.load import with_deferred_nulls
from dfsync.pipeline.table.match import MatchResult
from dfsync.stages.insert_order import InsertOrder, RowState
from dfsync.stages.remap import orphan_rejects_by_value
from dfsync.stages.row_order import DANGLING, NULL_REF, needing, parent_positions
from dfsync.target.collation import normalize_pair
from dfsync.target.read.keys import lookup_by_key


def sync_in_order(member: CycleMember) -> None:
    """Match every row of a table and, unless it is only matched, insert what is new in the order of the references.

    Parameters
    ----------
    member
        A table of which some row needs another one; see `CycleMember.dependencies`.
    """
    sync = member.sync
    identities = identify(member)
    old_id = identities.old_id
    matches = RowMatches(old_id, identities.new_id, identities.matched, old_id[identities.representative])
    sync.record_matches(MatchResult((matches,), identities.log.rejects(), identities.log.notes))
    # Also for a table whose inserts fail.
    _keep_keys(member, identities)
    sync.fully_matched = True
    sync.publish()
    if sync.selected:
        _OrderedLoad(member, identities).run()
        _keep_keys(member, identities)


def _keep_keys(member: CycleMember, identities: Identities) -> None:
    """Spool the natural keys that the mapping will show."""
    table = member.table
    if not table.binding.key:
        return
    keys = identities.target_keys(own_references(table), member.sync.ledger.id_map())
    spool = table.open_spool()
    for _ in spool.write([keys]):
        pass
    member.sync.keep_keys(spool)


class _OrderedLoad:
    """Owns the inserts of one table. All positions are those of the ledger's rows, which are all rows of the source."""

    def __init__(self, member: CycleMember, identities: Identities) -> None:
        self._member, self._table = member, member.table
        self._sync, self._ledger = member.sync, member.sync.ledger
        self._columns = list(member.dependencies.columns)
        self._references = own_references(member.table)
        """Of these columns the foreign keys; the others refer to the table by a value."""
        self._parents = parent_positions(member.dependencies)
        self._group = identities.representative
        count = len(self._group)
        self._holder = np.full(count, -1)
        """By the position of a group's representative: the row whose target row is the group's, -1 for none."""
        self._holder[self._group[identities.matched]] = np.flatnonzero(identities.matched)
        self._inserted = np.zeros(count, dtype=bool)
        self._there = np.ones(self._parents.shape, dtype=bool)
        """By row and column: whether the target has the value that the row refers to, as far as that was asked."""
        self._order = InsertOrder(
            self._parents,
            [name not in self._references for name in self._columns],
            self._group,
            resolved=identities.matched,
            rejected=~identities.fit,
        )

    def run(self) -> None:
        """Insert all that can be inserted; every other row is a reject then."""
        while True:
            rows = self._order.upcoming()
            undecided = self._order.undecided()
            if len(rows):
                self._insert(rows)
            elif len(undecided):
                asked = self._order.downstream(undecided)
                self._order.answer(asked, self._look_up_values(asked))
            else:
                break
        self._ledger.share_target_rows(self._inserted)
        self._sync.publish()
        self._reject()

    def _insert(self, rows: Positions) -> None:
        """Insert rows batch by batch, until some of a batch fail."""
        size = self._table.batch_size
        chunks = [rows[start : start + size] for start in range(0, len(rows), size)]
        for chunk, batch in zip(chunks, prefetch(self._read(chunks)), strict=True):
            self._sync.ledger.record_reject(batch.rejects)
            self._sync.notes.update(batch.notes)
            failed = self._insert_chunk(chunk, batch.frame)
            if len(failed):
                self._order.fail(failed)
                return

    def _read(self, chunks: list[Positions]) -> Iterator[Batch]:
        """The rows of each chunk in its order, with the source's ids in references to the same table."""
        columns, deferred = self._table.binding.columns, {*self._references, *self._table.binding.plan.deferred}
        for chunk in chunks:
            ids, log = self._ledger.old_id[chunk], RejectLog()
            read = [*map(log.take, read_batches(self._table, columns, len(ids), np.sort(ids), deferred=deferred))]
            frame = pd.concat(read) if read else empty_frame(columns)
            fit = ids[np.isin(ids, frame.index)]
            ordered = frame if np.array_equal(fit, frame.index) else frame.loc[fit]
            yield Batch(ordered, log.rejects(), log.notes)

    def _insert_chunk(self, chunk: Positions, frame: pd.DataFrame) -> Positions:
        """Insert the rows of a chunk that need none that fails; returns those that fail."""
        table, ledger = self._table, self._ledger
        rows = ledger.positions(frame.index)
        unfit = np.setdiff1d(chunk, rows)
        with table.timer("load"):
            if len(unfit):
                able = ~needing(self._links(rows), np.zeros(len(rows), dtype=bool))
                frame, rows = frame[able], rows[able]
            by_value = dict(zip(self._columns, self._links(rows).T, strict=True))
            parents = {name: by_value.pop(name) for name in self._references}
            sent = with_deferred_nulls(table, self._filled(frame, rows))
            new_ids, refused = self._sync.loader.insert_linked(sent, parents, by_value)
        self._sync.record_inserts(new_ids)
        self._settle(ledger.positions(new_ids.index))
        if not len(refused):
            return unfit
        ledger.record_reject(refused)
        self._sync.publish()
        self._sync.match_refused(np.sort(refused.index.to_numpy()))
        lost = ledger.positions(refused.index)
        self._settle(lost[ledger.resolved[lost]])
        return np.concatenate([unfit, lost[~ledger.resolved[lost]]])

    def _settle(self, rows: Positions) -> None:
        """These rows have their target row, by which others of their natural key have it, too."""
        self._inserted[rows] = True
        self._holder[self._group[rows]] = rows
        self._order.resolve(rows)

    def _filled(self, frame: pd.DataFrame, rows: Positions) -> pd.DataFrame:
        """The frame (its rows at these positions) with the new ids of the rows referred to that have theirs, else
        NULL.
        """
        made = {}
        for name in self._references:
            parents = self._parents[rows, self._columns.index(name)]
            holder = np.where(parents < 0, -1, self._holder[self._group[np.maximum(parents, 0)]])
            new_ids = pa.array(self._ledger.new_id[holder], mask=holder < 0)
            made[name] = frames.series(new_ids.cast(arrow_type(self._table.binding.target[name]))).set_axis(frame.index)
        return frame.assign(**made)

    def _links(self, rows: Positions) -> Positions:
        """By row and column the place among these rows of the one referred to: `DANGLING` where it ought to be there,
        `NULL_REF` where it has its target row already, or never gets one.
        """
        parents = self._parents[rows]
        group = self._group[np.maximum(parents, 0)]
        chosen = np.where((parents < 0) | (self._holder[group] >= 0), -1, self._order.chosen(group))
        at = pd.Index(rows).get_indexer(pd.Index(chosen.ravel())).reshape(chosen.shape)
        return np.where(chosen < 0, NULL_REF, np.where(at < 0, DANGLING, at))

    def _look_up_values(self, rows: Positions) -> Mask:
        """By row and column whether the target has the value by which the row refers to its table."""
        there = np.ones((len(rows), len(self._columns)), dtype=bool)
        ids = self._ledger.old_id[rows]
        for name, referenced in self._table.binding.self_references_by_value().items():
            values = read_values(self._table, name, ids)
            lacking = values.index[~_target_has(self._table, referenced, values)]
            there[np.searchsorted(ids, lacking), self._columns.index(name)] = False
        self._there[rows] = there
        return there

    def _reject(self) -> None:
        """Say why the rows that are neither mapped nor refused are rejects: they need themselves, or a parent."""
        table, ledger, ids = self._table, self._ledger, self._ledger.old_id
        blocked = ids[(self._order.states() == RowState.BLOCKED) & ~ledger.resolved]
        # Before anything else that was found of them.
        for rejects in reversed(rejects_of_cycle(table, self._member.dependencies, blocked, blocked)):
            ledger.record_reject(rejects, first=True)
        orphans = ids[~ledger.resolved & ~ledger.rejected()]
        # What refers to no row with a target row is a reject of `remap`.
        for columns in (table.binding.key, table.binding.columns):
            if len(orphans) and columns:
                log = RejectLog()
                read = map(log.take, read_batches(table, columns, table.batch_size, orphans))
                orphans = np.concatenate([ids[:0], *(rows.index.to_numpy() for rows in read)])
                ledger.record_reject(log.rejects())
        self._reject_by_value(orphans)

    def _reject_by_value(self, orphans: OldIds) -> None:
        table = self._table
        for name, referenced in table.binding.self_references_by_value().items():
            there = self._there[self._ledger.positions(orphans)]
            lost = orphans[~there[:, self._columns.index(name)] | there.all(axis=1)]
            for rows in extract(table, [name], table.batch_size, lost):
                self._ledger.record_reject(orphan_rejects_by_value(rows[name], table.binding.plan.name, referenced))


def _target_has(table: TableContext, referenced: str, values: pd.Series[int]) -> Mask:
    """Whether a row of the target has each of these values (without NULL) in the column `referenced`."""
    binding = table.binding
    column = next(column for column in binding.columns if column.name == referenced)
    found = lookup_by_key(table.connection, binding.target, binding.id, [referenced], values.to_frame(referenced))
    ours, theirs = normalize_pair(table.connection, column, values, found[referenced])
    return ours.isin(theirs).to_numpy(dtype=bool)
