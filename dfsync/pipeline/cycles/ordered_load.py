"""A table whose rows need other rows of the same table: all of it is matched at once, then inserted parents first.

All rows are matched before any is inserted (`identity`). The inserts are planned as if every one succeeded
(`dfsync.stages.insert_order`), and sent batch by batch, also where rows of a batch refer to each other
(`dfsync.target.write.linked_insert`). Where a row is refused, the rows that depended on it are planned again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa

from dfsync.execution.prefetch import prefetch
from dfsync.model import frames
from dfsync.model.batch import Batch
from dfsync.model.frames import empty_frame
from dfsync.model.types import Mask, OldIds, Positions, arrow_type
from dfsync.pipeline.cycles.dependencies import read_values, rejects_of_cycle
from dfsync.pipeline.cycles.identity import Identities, identify
from dfsync.pipeline.cycles.member import CycleMember
from dfsync.pipeline.table.context import TableContext
from dfsync.pipeline.table.extract import RejectLog, extract, read_batches
from dfsync.pipeline.table.ledger import RowLedger, RowMatches
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
    known = member.known.index.to_numpy(dtype=np.int64)
    sync.record_matches(MatchResult((matches,), identities.log.rejects(), identities.log.notes, known=known))
    identities = _settled(identities, sync.ledger)
    # Before the inserts, so that the mapping shows the keys of matched rows also where they fail.
    _keep_keys(member, identities)
    sync.fully_matched = True
    sync.publish()
    if sync.selected:
        sync.give_ids()
        _OrderedLoad(member, identities).run()
        _keep_keys(member, identities)


def _settled(identities: Identities, ledger: RowLedger) -> Identities:
    """The same after what the plan's `on_rekey` said of rows with another key than in the last run."""
    return replace(
        identities,
        new_id=ledger.new_id.copy(),
        matched=ledger.resolved.copy(),
        representative=ledger.positions(ledger.representative_id),
        fit=identities.fit & ~ledger.rejected(),
    )


def _keep_keys(member: CycleMember, identities: Identities) -> None:
    """Spool the natural keys that the mapping will show."""
    table = member.table
    if not table.binding.key:
        return
    keys = identities.target_keys(table.binding.required_self_references, member.sync.ledger.id_map())
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
        self._references = member.table.binding.required_self_references
        """Of these columns the foreign keys; the others refer to the table by a value."""
        self._parents = parent_positions(member.dependencies)
        self._group = identities.representative
        count = len(self._group)
        self._holder = np.full(count, -1)
        """By the position of a group's representative: the row whose target row is the group's, -1 for none."""
        self._holder[self._group[identities.matched]] = np.flatnonzero(identities.matched)
        self._inserted = np.zeros(count, dtype=bool)
        self._in_target = np.ones(self._parents.shape, dtype=bool)
        """By row and column: whether the target has the value that the row refers to, as far as it was looked up."""
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
                dependents = self._order.downstream(undecided)
                self._order.answer(dependents, self._look_up_values(dependents))
            else:
                break
        self._ledger.share_target_rows(self._inserted)
        self._sync.publish()
        self._reject()

    def _insert(self, rows: Positions) -> None:
        """Insert rows batch by batch, until some of a batch fail."""
        size = self._table.batch_size
        batches = [rows[start : start + size] for start in range(0, len(rows), size)]
        for positions, batch in zip(batches, prefetch(self._read(batches)), strict=True):
            self._sync.record(batch.rejects, batch.notes)
            failed = self._insert_batch(positions, batch.frame)
            if len(failed):
                self._order.fail(failed)
                return

    def _read(self, batches: list[Positions]) -> Iterator[Batch]:
        """The rows of each batch in its order, with the source's ids in references to the same table."""
        columns, deferred = self._table.binding.columns, {*self._references, *self._table.binding.plan.deferred}
        for positions in batches:
            ids, log = self._ledger.old_id[positions], RejectLog()
            read = [*map(log.take, read_batches(self._table, columns, len(ids), np.sort(ids), deferred=deferred))]
            frame = pd.concat(read) if read else empty_frame(columns)
            fit = ids[np.isin(ids, frame.index)]
            ordered = frame if np.array_equal(fit, frame.index) else frame.loc[fit]
            yield Batch(ordered, log.rejects(), tuple(log.notes))

    def _insert_batch(self, positions: Positions, frame: pd.DataFrame) -> Positions:
        """Insert the rows of a batch that depend on none that fails; returns those that fail."""
        table, ledger = self._table, self._ledger
        rows = ledger.positions(frame.index)
        unfit = np.setdiff1d(positions, rows)
        with table.timer("load"):
            if len(unfit):
                insertable = ~needing(self._links(rows), np.zeros(len(rows), dtype=bool))
                frame, rows = frame[insertable], rows[insertable]
            by_value = dict(zip(self._columns, self._links(rows).T, strict=True))
            parents = {name: by_value.pop(name) for name in self._references}
            remapped = with_deferred_nulls(table, self._remapped(frame, rows))
            new_ids, refused = self._sync.loader.insert_linked(remapped, parents, by_value)
        self._sync.record_inserts(new_ids)
        self._settle(ledger.positions(new_ids.index))
        if not len(refused):
            return unfit
        ledger.record_reject(refused)
        self._sync.publish()
        self._sync.match_refused(np.sort(refused.index.to_numpy()))
        refused_rows = ledger.positions(refused.index)
        # Another client may have inserted the same natural key.
        matched = ledger.resolved[refused_rows]
        self._settle(refused_rows[matched])
        return np.concatenate([unfit, refused_rows[~matched]])

    def _settle(self, rows: Positions) -> None:
        """Note that rows have their target row, which the other rows of their natural key share."""
        self._inserted[rows] = True
        self._holder[self._group[rows]] = rows
        self._order.resolve(rows)

    def _remapped(self, frame: pd.DataFrame, rows: Positions) -> pd.DataFrame:
        """The frame (its rows at these positions) with new ids in the foreign keys, NULL where there is none yet."""
        columns = {}
        for name in self._references:
            parents = self._parents[rows, self._columns.index(name)]
            holder = np.where(parents < 0, -1, self._holder[self._group[np.maximum(parents, 0)]])
            new_ids = pa.array(self._ledger.new_id[holder], mask=holder < 0)
            cast = new_ids.cast(arrow_type(self._table.binding.target[name]))
            columns[name] = frames.series(cast).set_axis(frame.index)
        return frames.with_columns(frame, columns)

    def _links(self, rows: Positions) -> Positions:
        """By row and column the position among these rows of the one referred to: `DANGLING` where it should be among
        them and is not, `NULL_REF` where it has its target row already, or never gets one.
        """
        parents = self._parents[rows]
        group = self._group[np.maximum(parents, 0)]
        chosen = np.where((parents < 0) | (self._holder[group] >= 0), -1, self._order.chosen(group))
        positions = pd.Index(rows).get_indexer(pd.Index(chosen.ravel())).reshape(chosen.shape)
        return np.where(chosen < 0, NULL_REF, np.where(positions < 0, DANGLING, positions))

    def _look_up_values(self, rows: Positions) -> Mask:
        """By row and column whether the target has the value by which the row refers to its table."""
        in_target = np.ones((len(rows), len(self._columns)), dtype=bool)
        ids = self._ledger.old_id[rows]
        for name, referenced in self._table.binding.self_references_by_value().items():
            values = read_values(self._table, name, ids)
            lacking = values.index[~_is_in_target(self._table, referenced, values)]
            in_target[np.searchsorted(ids, lacking), self._columns.index(name)] = False
        self._in_target[rows] = in_target
        return in_target

    def _reject(self) -> None:
        """Reject the rows that are neither resolved nor refused: they depend on themselves, or lack a parent."""
        table, ledger, ids = self._table, self._ledger, self._ledger.old_id
        blocked = ids[(self._order.states() == RowState.BLOCKED) & ~ledger.resolved]
        # This reason counts, whatever other reject such a row has.
        for rejects in reversed(rejects_of_cycle(table, self._member.dependencies, blocked, blocked)):
            ledger.record_reject(rejects, first=True)
        orphans = ids[~ledger.resolved & ~ledger.rejected()]
        self._sync.explain_absences()
        # `read_batches` rejects rows of which a foreign key refers to no row with a target row.
        for columns in (table.binding.key, table.binding.columns):
            if len(orphans) and columns:
                log = RejectLog()
                read = map(log.take, read_batches(table, columns, table.batch_size, orphans))
                orphans = np.concatenate([ids[:0], *(rows.index.to_numpy() for rows in read)])
                ledger.record_reject(log.rejects())
        self._reject_by_value(orphans)

    def _reject_by_value(self, orphans: OldIds) -> None:
        """Reject orphans for the values that the target lacks, or for all references by value where it lacks none."""
        table = self._table
        for name, referenced in table.binding.self_references_by_value().items():
            in_target = self._in_target[self._ledger.positions(orphans)]
            at_fault = orphans[~in_target[:, self._columns.index(name)] | in_target.all(axis=1)]
            for rows in extract(table, [name], table.batch_size, at_fault):
                self._ledger.record_reject(orphan_rejects_by_value(rows[name], table.binding.plan.name, referenced))


def _is_in_target(table: TableContext, referenced: str, values: pd.Series[int]) -> Mask:
    """Whether a row of the target has each of these values (without NULL) in the column `referenced`."""
    binding = table.binding
    column = next(column for column in binding.columns if column.name == referenced)
    rows = lookup_by_key(table.connection, binding.target, binding.id, [referenced], values.to_frame(referenced))
    source_values, target_values = normalize_pair(table.connection, column, values, rows[referenced])
    return source_values.isin(target_values).to_numpy(dtype=bool)
