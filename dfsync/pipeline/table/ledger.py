"""What has become of the rows of one table so far."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from dfsync.model import frames
from dfsync.model.frames import INSERTED, MATCHED, UPDATED

ACTIONS = (MATCHED, INSERTED, UPDATED)
_ARRAYS = ("old_id", "new_id", "resolved", "representative_id", "action")


@dataclass
class RowLedger:
    """Owns five arrays of the same length, by ascending `old_id`. Not a frame, since they are filled in place, and a
    table may have more rows than there is room for two copies."""

    old_id: Any
    """int64."""
    new_id: Any
    """int64, or uint64 where the target's id needs it; 0 where the row has no target row, see `known`."""
    resolved: Any
    """bool: whether the row has a target row."""
    representative_id: Any
    """int64: the `old_id` of the row whose target row it shares, or waits for; its own where there is none. Until they
    are `joined`, that row may be in another part."""
    action: Any
    """uint8: the place in `ACTIONS`. Of a row that is not known it tells only whether one was inserted for it, see
    `made`."""

    def __len__(self) -> int:
        return len(self.old_id)

    @property
    def is_representative(self) -> Any:
        """bool: the rows that share no other row's target row."""
        return self.representative_id == self.old_id

    def positions(self, ids: Any) -> Any:
        """The places of those `old_id`, all of which must be there."""
        return np.searchsorted(self.old_id, np.asarray(ids, dtype=np.int64))

    def present(self, ids: Any) -> Any:
        """Those of the ids (int64) that have a row in it."""
        ids = np.asarray(ids, dtype=np.int64)
        return ids[np.isin(ids, self.old_id)]

    def subset(self, rows: Any) -> RowLedger:
        """That of some of the rows (bool); who waits for one that is not among them is its own `first_id` then."""
        taken = RowLedger(*(getattr(self, name)[rows] for name in _ARRAYS))
        there = taken.resolved | np.isin(taken.representative_id, taken.old_id)
        taken.representative_id = np.where(there, taken.representative_id, taken.old_id)
        return taken

    def with_action(self, action: str) -> Any:
        """bool: the rows of which that is true."""
        return self.resolved & (self.action == ACTIONS.index(action))

    def created(self) -> Any:
        """bool: the rows that made a target row, also those that are rejects by now, since theirs goes at the end."""
        return self.is_representative & (self.action == ACTIONS.index(INSERTED))

    def count(self, action: str) -> int:
        return int(np.count_nonzero(self.with_action(action)))

    def assign(self, places: Any, new_ids: Any, action: str) -> None:
        """Gives the rows their target rows; `new_ids` is a series of integers, or an array of them."""
        self.new_id[places] = np.asarray(new_ids, dtype=self.new_id.dtype)
        self.resolved[places] = True
        self.set_action(places, action)

    def set_action(self, places: Any, action: str) -> None:
        """Says what was done with rows that have their target row; bool does for places, too."""
        self.action[places] = ACTIONS.index(action)

    def is_new(self) -> Any:
        """bool: the rows whose target row was inserted, for them or for another row of their natural key."""
        inserted = self.with_action(INSERTED)
        return inserted | (self.resolved & inserted[self.positions(self.representative_id)])

    def revert_writes(self) -> None:
        """What was inserted is no longer there, and what was updated is as it was."""
        self.resolved &= ~self.is_new()
        self.set_action(self.with_action(UPDATED), MATCHED)

    def promote(self, heirs: Any) -> None:
        """Puts these rows (places) at the head of those with which they share a target row."""
        groups, ids = self.representative_id[heirs], self.old_id[heirs]
        order = np.argsort(groups)
        members = np.flatnonzero(np.isin(self.representative_id, groups))
        self.representative_id[members] = ids[order][np.searchsorted(groups[order], self.representative_id[members])]

    def lowest_of_group(self) -> Any:
        """bool: of the rows that have one target row the one of the lowest id."""
        lowest = self.resolved & self.is_representative
        before = np.flatnonzero(self.resolved & (self.old_id < self.representative_id))
        leaders, first = np.unique(self.representative_id[before], return_index=True)
        lowest[self.positions(leaders)] = False
        lowest[before[first]] = True
        return lowest

    def id_map(self) -> pd.DataFrame:
        """`old_id` and `new_id` of the rows that have a target row, for the children (Arrow integers)."""
        whole = bool(self.resolved.all())
        arrays = [array if whole else array[self.resolved] for array in (self.old_id, self.new_id)]
        return frames.from_arrow(pa.table(arrays, names=[frames.OLD_ID, frames.NEW_ID]))

    def mapping_slice(self, part: slice) -> pd.DataFrame:
        """Of the rows there that have a target row: index `old_id`, `new_id` (Arrow integer), `action` (string)."""
        known = self.resolved[part]
        names = pa.DictionaryArray.from_arrays(pa.array(self.action[part][known].astype(np.int8)), list(ACTIONS))
        columns = {frames.NEW_ID: pa.array(self.new_id[part][known]), frames.ACTION: names.cast(pa.string())}
        return frames.from_arrow(pa.table(columns), self.old_id[part][known])


def from_match(old_id: Any, new_id: Any, known: Any, first_id: Any) -> RowLedger:
    """The outcome of a match; `new_id` counts where `known`."""
    return RowLedger(old_id, new_id, known, first_id, np.zeros(len(old_id), np.uint8))


def empty_ledger() -> RowLedger:
    """The outcome of no row."""
    none = np.array([], np.int64)
    return from_match(none, none, none.astype(bool), none)


def concat_ledgers(outcomes: Iterable[RowLedger]) -> RowLedger:
    """Those of several parts of a table."""
    parts = [one for one in outcomes if len(one)] or [empty_ledger()]
    if len(parts) == 1:
        return parts[0]
    order = np.argsort(np.concatenate([part.old_id for part in parts]), kind="stable")
    return RowLedger(*(np.concatenate([getattr(part, name) for part in parts])[order] for name in _ARRAYS))
