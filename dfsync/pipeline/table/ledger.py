"""What became of each source row of one table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from dfsync.model import frames
from dfsync.model.frames import INSERTED, MATCHED, UPDATED
from dfsync.model.rejects import no_rejects
from dfsync.model.types import Mask, NewIds, OldIds, Positions
from dfsync.plan.model import TablePlan
from dfsync.source.base import Source

S = TypeVar("S", bound=np.generic)

ACTIONS = (MATCHED, INSERTED, UPDATED)
_MATCHED, _INSERTED, _UPDATED = range(len(ACTIONS))


@dataclass(frozen=True)
class RowMatches:
    """Which target row each source row has, arrays of one length by ascending `old_id`.

    Attributes
    ----------
    old_id
        int64, unique.
    new_id
        int64, or uint64 where the target's id needs it; counts where `resolved`.
    resolved
        Whether the row has a target row.
    representative_id
        int64: the `old_id` of the source row whose target row it shares, or will share; its own where there is none.
    """

    old_id: OldIds
    new_id: NewIds
    resolved: Mask
    representative_id: OldIds


class RowLedger:
    """Owns what became of each source row of one table: its target row, the action, or the reject.

    Rows are entered with what the match found. From then on four verbs write what is done: `record_match`,
    `record_insert`, `record_update` and `record_reject`. Between attempts to insert, `share_target_rows` spreads a
    target row over the rows of its natural key; `take_over`, `unresolve` and `demote` settle the orphans of a cycle;
    `revert_writes` follows a rollback. `pipeline.table_sync` and `pipeline.cycles` alone call them. The arrays are
    filled in place, since a table may have more rows than there is memory for two copies.

    Attributes
    ----------
    old_id, new_id, resolved, representative_id
        As in `RowMatches`, of all rows entered so far.
    created
        bool: whether this run inserted a target row for the row, also where the row became a reject afterwards.
    committed
        bool: whether that target row stays where the transaction at hand rolls back.
    """

    def __init__(self) -> None:
        none = np.array([], np.int64)
        self._adopt(RowMatches(none, none, none.astype(bool), none), np.array([], np.uint8), none.astype(bool))
        self._rejects: list[pd.DataFrame] = []

    def _adopt(self, matches: RowMatches, action: NDArray[np.uint8], created: Mask) -> None:
        self.old_id, self.new_id = matches.old_id, matches.new_id
        self.resolved, self.representative_id = matches.resolved, matches.representative_id
        self._action, self.created = action, created
        self.committed = np.zeros(len(created), dtype=bool)

    def __len__(self) -> int:
        return len(self.old_id)

    @property
    def is_representative(self) -> Mask:
        """bool: the rows that share no other row's target row."""
        own: Mask = self.representative_id == self.old_id
        return own

    def positions(self, ids: OldIds | pd.Index[int]) -> Positions:
        """Return the positions of these `old_id`, all of which must be in the ledger."""
        return np.searchsorted(self.old_id, np.asarray(ids, dtype=np.int64))

    def with_action(self, action: str) -> Mask:
        """bool: the rows that have a target row by this action."""
        taken: Mask = self.resolved & (self._action == ACTIONS.index(action))
        return taken

    def is_new(self) -> Mask:
        """bool: the rows whose target row was inserted, for them or for another row of their natural key."""
        inserted = self.with_action(INSERTED)
        new: Mask = inserted | (self.resolved & inserted[self.positions(self.representative_id)])
        return new

    def lowest_of_group(self) -> Mask:
        """bool: of the rows that share a target row the one with the lowest id."""
        lowest = self.resolved & self.is_representative
        before = np.flatnonzero(self.resolved & (self.old_id < self.representative_id))
        representatives, first = np.unique(self.representative_id[before], return_index=True)
        lowest[self.positions(representatives)] = False
        lowest[before[first]] = True
        return lowest

    def enter(self, matches: RowMatches) -> None:
        """Add rows that are not in the ledger yet, with what the match found for them."""
        action, created = np.full(len(matches.old_id), _MATCHED, np.uint8), np.zeros(len(matches.old_id), dtype=bool)
        if not len(self):
            self._adopt(matches, action, created)
            return
        order = np.argsort(np.concatenate([self.old_id, matches.old_id]), kind="stable")

        def merged(before: NDArray[S], added: NDArray[S]) -> NDArray[S]:
            return np.concatenate([before, added])[order]

        both = RowMatches(
            merged(self.old_id, matches.old_id),
            merged(self.new_id, matches.new_id),
            merged(self.resolved, matches.resolved),
            merged(self.representative_id, matches.representative_id),
        )
        self._adopt(both, merged(self._action, action), merged(self.created, created))

    def record_match(self, ids: OldIds | pd.Index[int], new_ids: NewIds) -> None:
        """Give rows of the ledger a target row that is there already; a reject of theirs counts no more."""
        self._rejects = [rejects[~rejects.index.isin(ids)] for rejects in self._rejects]
        self._resolve(self.positions(ids), new_ids, _MATCHED)

    def record_insert(self, new_ids: pd.Series[int], *, committed: bool = False) -> None:
        """Give rows of the ledger the target rows that were inserted for them, and are `committed`; index `old_id`."""
        positions = self.positions(new_ids.index)
        self._resolve(positions, np.asarray(new_ids), _INSERTED)
        self.created[positions] = True
        self.committed[positions] = committed

    def record_commit(self) -> None:
        """Note that the target rows inserted so far are committed."""
        self.committed |= self.created

    def record_update(self, ids: OldIds | pd.Index[int]) -> None:
        """Note that the target rows of these rows have taken the source's values."""
        self._action[self.positions(ids)] = _UPDATED

    def record_reject(self, rejects: pd.DataFrame, *, first: bool = False) -> None:
        """Add a reject frame; of several rejects of a row the one recorded first counts."""
        if len(rejects):
            self._rejects.insert(0 if first else len(self._rejects), rejects)

    def record_unfollowed(self, refused: pd.DataFrame) -> None:
        """Make rows rejects whose target rows the server refused a new natural key, index `old_id`.

        So are those that share these target rows: they would be matched with target rows that have the old key.
        """
        of_target_row = refused.set_axis(self.new_id[self.positions(refused.index)])
        away = self.resolved & np.isin(self.new_id, of_target_row.index)
        shared = of_target_row.loc[self.new_id[away]]
        self.record_reject(shared.set_axis(pd.Index(self.old_id[away], name=frames.OLD_ID)))
        self.unresolve(away)

    def _resolve(self, positions: Positions | Mask, new_ids: NewIds, action: int) -> None:
        self.new_id[positions] = np.asarray(new_ids, dtype=self.new_id.dtype)
        self.resolved[positions] = True
        self._action[positions] = action

    def rejected(self) -> Mask:
        """bool: the rows that have a reject and no target row."""
        rejected = np.zeros(len(self), dtype=bool)
        for rejects in self._rejects:
            rejected |= np.isin(self.old_id, rejects.index)
        return rejected & ~self.resolved

    def without_target_row(self) -> OldIds:
        """The `old_id` of the source rows that have no target row, in any order."""
        return np.concatenate([self.old_id[~self.resolved], *(rejects.index for rejects in self._rejects)])

    def rejects(self) -> pd.DataFrame:
        """Return the rejects that stand, one a row, by ascending `old_id`.

        A row that shares the target row of another one is no reject, though its own values did not fit: it is `unfit`.
        """
        rejects = self._first_rejects()
        return pd.DataFrame(rejects[~rejects.index.isin(self.old_id[self.resolved])])

    def unfit(self) -> pd.DataFrame:
        """Return the rejects of the rows that have a target row, which keeps other values, by ascending `old_id`."""
        rejects = self._first_rejects()
        return pd.DataFrame(rejects[rejects.index.isin(self.old_id[self.resolved])])

    def _first_rejects(self) -> pd.DataFrame:
        rejects = pd.concat([no_rejects(), *self._rejects])
        return pd.DataFrame(rejects.loc[~rejects.index.duplicated()].sort_index())

    def next_candidates(self, attempted: Mask) -> Mask:
        """bool: of each natural key that the target lacks the first row that was not attempted.

        That is the representative; where it was attempted, and rejected, the duplicate with the lowest id.
        """
        waiting = ~self.resolved & ~attempted
        candidates = waiting & self.is_representative
        others = np.flatnonzero(waiting & ~self.is_representative)
        duplicates = others[~candidates[self.positions(self.representative_id[others])]]
        _, first = np.unique(self.representative_id[duplicates], return_index=True)
        candidates[duplicates[first]] = True
        return candidates

    def share_target_rows(self, attempted: Mask) -> None:
        """Give the other rows of a natural key the target row that an attempted row of it has got."""
        promoted = np.flatnonzero(attempted & self.resolved & ~self.is_representative)
        if len(promoted):
            self.promote(promoted)
        duplicates = np.flatnonzero(~self.resolved)
        representatives = self.positions(self.representative_id[duplicates])
        shared = attempted[representatives] & self.resolved[representatives]
        self._resolve(duplicates[shared], self.new_id[representatives[shared]], _MATCHED)

    def promote(self, positions: Positions) -> None:
        """Make rows the representatives of those with which they share a target row."""
        groups, ids = self.representative_id[positions], self.old_id[positions]
        order = np.argsort(groups)
        members = np.flatnonzero(np.isin(self.representative_id, groups))
        of_group = np.searchsorted(groups[order], self.representative_id[members])
        self.representative_id[members] = ids[order][of_group]

    def take_over(self, positions: Positions) -> None:
        """Make rows the representatives of target rows that were inserted for others of their natural key."""
        before = self.positions(self.representative_id[positions])
        self.promote(positions)
        self.created[before], self.created[positions] = False, True
        self._action[positions] = _INSERTED

    def unresolve(self, rows: Mask) -> None:
        """Take the target rows of these rows back."""
        self.resolved[rows] = False

    def demote(self, rows: Mask) -> None:
        """Call rows matched that share the target row of another one."""
        self._action[rows] = _MATCHED

    def revert_writes(self) -> None:
        """Forget what was inserted and updated: the transaction rolled back. What was matched or committed stays."""
        self.resolved &= ~self.is_new() | self.committed | self.committed[self.positions(self.representative_id)]
        self._action[self.with_action(UPDATED)] = _MATCHED
        self.created &= self.committed
        self._rejects = []

    def id_map(self) -> pd.DataFrame:
        """Return `old_id` and `new_id` (Arrow integers) of the rows that have a target row."""
        complete = bool(self.resolved.all())
        arrays = [array if complete else array[self.resolved] for array in (self.old_id, self.new_id)]
        return frames.from_arrow(pa.table(arrays, names=[frames.OLD_ID, frames.NEW_ID]))

    def inserted_rows(self) -> tuple[OldIds, NewIds]:
        """Return the `old_id` and the new id of the rows for which the transaction at hand has inserted a row."""
        rows = self.created & self.resolved & ~self.committed
        # Not copied where all are new: there may be millions.
        return (self.old_id, self.new_id) if rows.all() else (self.old_id[rows], self.new_id[rows])

    def mapping_slice(self, rows: slice) -> pd.DataFrame:
        """Return `new_id` (Arrow integer) and `action` (string) of rows that have a target row; index `old_id`."""
        resolved = self.resolved[rows]
        codes = pa.array(self._action[rows][resolved].astype(np.int8))
        actions = pa.DictionaryArray.from_arrays(codes, list(ACTIONS)).cast(pa.string())
        columns = {frames.NEW_ID: pa.array(self.new_id[rows][resolved]), frames.ACTION: actions}
        return frames.from_arrow(pa.table(columns), self.old_id[rows][resolved])


def count_by_file(source: Source, table: TablePlan, ledger: RowLedger) -> dict[str, dict[str, int]]:
    """Count what became of the rows of each file.

    Parameters
    ----------
    source
        The source.
    table
        The planned table.
    ledger
        What became of its rows.

    Returns
    -------
    dict
        By the file's name `total`, `inserted`, `matched`, `updated` and `failed`; empty where there is one file alone.
    """
    ids = source.row_ids(table.name)
    if ids is None:
        return {}
    numbers, _ = ids.locate(ledger.old_id)
    by_action = {
        action: np.bincount(numbers[ledger.with_action(action)], minlength=len(source.files)).tolist()
        for action in (INSERTED, MATCHED, UPDATED)
    }
    counts = {}
    for number, file in enumerate(source.files):
        total, done = ids.rows(number), {action: by_file[number] for action, by_file in by_action.items()}
        counts[file.name] = {"total": total, **done, "failed": total - sum(done.values())}
    return counts
