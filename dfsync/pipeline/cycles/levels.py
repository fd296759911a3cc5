"""Rows that need others of their table: parents before their children, level by level."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dfsync.model.types import OldIds
from dfsync.pipeline.cycles.dependencies import keyless_ids, rejects_of_cycle
from dfsync.pipeline.cycles.level_match import LevelMatcher
from dfsync.pipeline.cycles.member import CycleMember
from dfsync.stages.row_order import cyclic_or_downstream, keyless_phases, topological_levels


class LevelSync:
    """Owns the order in which the rows of one table are matched and inserted.

    A row has its turn when the rows that it needs have had theirs; see `keyless_phases` for those without a key.
    """

    def __init__(self, member: CycleMember) -> None:
        self._member = member
        self._sync = member.sync
        self._matcher = LevelMatcher(member)
        self._phase_of = pd.Series(dtype="int64", index=pd.Index([], dtype="int64"))
        """By `old_id`: the phase of the rows that had their turn."""

    def run(self) -> None:
        """Match every row and, unless the table is only matched, insert what the target lacks."""
        dependencies = self._member.dependencies
        waiting = np.array([], np.int64)
        for number, phase in enumerate(keyless_phases(dependencies, keyless_ids(self._member.table))):
            self._phase_of = pd.concat([self._phase_of, pd.Series(number, phase)])
            rows = dependencies.loc[np.union1d(waiting, phase)]
            for ids in topological_levels(rows):
                self._run_rows(ids)
            waiting = self._retry_unresolved(cyclic_or_downstream(rows))
        # Before anything else that was found of these rows.
        for rejects in reversed(rejects_of_cycle(self._member.table, dependencies, waiting, waiting)):
            self._sync.ledger.record_reject(rejects, first=True)
        keys = self._matcher.spool_keys()
        if keys is not None:
            self._sync.keep_keys(keys)

    def _run_rows(self, ids: OldIds) -> None:
        self._sync.record_matches(self._matcher.match(ids))
        if self._sync.selected:
            self._sync.load(ids)
        self._sync.publish()

    def _retry_unresolved(self, waiting: OldIds) -> OldIds:
        """Match rows that came too early, or wait in no level, with rows that are in by now; then what refers to them.

        Returns the rows that still wait.
        """
        dependencies = self._member.dependencies
        resolved, ready = self._match_unresolved(), waiting[:0]
        while True:
            unresolved = self._unresolved()
            waiting = np.intersect1d(waiting, unresolved)
            references = dependencies.loc[unresolved]
            # Rows outside every level whose parents are now resolved or rejected.
            first = pd.Series(np.isin(unresolved, waiting), references.index) & ~references.isin(waiting).any(axis=1)
            put_off = pd.Series(np.isin(unresolved, ready), references.index)
            again = (put_off | references.isin(resolved).any(axis=1)) & ~references.isin(unresolved).any(axis=1)
            ready = unresolved[(first | again).to_numpy(dtype=bool)]
            if not len(ready) and not len(resolved):
                return waiting
            # Process phase by phase so that a second run sees the same order.
            phases = self._phase_of.loc[pd.Index(ready)].to_numpy()
            turn = ready[phases == phases.min()] if len(ready) else ready
            if len(turn):
                waiting = np.setdiff1d(waiting, turn)
                self._sync.ledger.drop_rejects(turn)
                self._sync.ledger.remove(turn)
                self._run_rows(turn)
            resolved = np.append(np.setdiff1d(turn, self._unresolved()), self._match_unresolved())
            ready = np.setdiff1d(ready, turn)

    def _match_unresolved(self) -> OldIds:
        """Match the unresolved rows by their natural keys once more; the ids of those that were found."""
        unresolved = self._unresolved()
        if not len(unresolved) or not self._member.table.binding.key:
            return unresolved[:0]
        result = self._matcher.match(unresolved)
        self._sync.ledger.record_reject(result.rejects)
        self._sync.notes.update(result.notes)
        found = [part.subset(part.resolved) for part in result.parts]
        for part in found:
            self._sync.ledger.enter(part)
        self._sync.publish()
        return np.sort(np.concatenate([unresolved[:0], *(part.old_id for part in found)]))

    def _unresolved(self) -> OldIds:
        """The ids (ascending) of the rows that had their turn, and have no target row so far."""
        ledger = self._sync.ledger
        return np.setdiff1d(self._phase_of.index, ledger.old_id[ledger.resolved])
