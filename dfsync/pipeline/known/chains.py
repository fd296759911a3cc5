"""Natural keys that moved on from row to row: the target row that has the new key of one gets another key itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dfsync.model.types import Mask, NewIds, OldIds
from dfsync.pipeline.table.ledger import RowMatches


def with_moved_keys(parts: Sequence[RowMatches], old_id: OldIds, last: NewIds, others: OldIds) -> list[RowMatches]:
    """Let no row be matched with a target row whose natural key moves on in this run.

    Parameters
    ----------
    parts
        The matches of all rows.
    old_id
        int64, ascending: the rows with another natural key than in the last run.
    last
        Their target rows in the last run.
    others
        The other rows that were matched with these, but not in the last run.

    Returns
    -------
    list of RowMatches
        In which rows with the key that such a target row has until now wait for a target row, as rows of a new key do.
        Where keys went round in a circle, none is free.
    """
    resolved, matched, key_of = _matches(parts, old_id, last.dtype)
    moves = _alone(parts, old_id, last, others)
    # Of several rows with one new key the target row of the first one takes it.
    leading = np.flatnonzero(moves)
    leading = leading[np.unique(key_of[leading], return_index=True)[1]]
    moves = np.isin(np.arange(len(moves)), leading)
    order = np.argsort(last, kind="stable")
    at = order[np.minimum(np.searchsorted(last[order], matched), len(last) - 1)]
    waits = moves & resolved & (last[at] == matched) & (at != np.arange(len(at)))
    moves &= ~resolved
    while (more := waits & ~moves & moves[at]).any():
        moves |= more
    freed = matched[moves & resolved]
    return [replace(part, resolved=part.resolved & ~np.isin(part.new_id, freed)) for part in parts]


def _matches(parts: Sequence[RowMatches], ids: OldIds, dtype: Any) -> tuple[Mask, NewIds, OldIds]:
    """Whether each row is matched, with which target row, and the first row of its natural key."""
    resolved, new_id, representative = np.zeros(len(ids), dtype=bool), np.zeros(len(ids), dtype), ids.copy()
    for part in parts:
        mine = np.isin(ids, part.old_id)
        at = np.searchsorted(part.old_id, ids[mine])
        resolved[mine], new_id[mine] = part.resolved[at], part.new_id[at].astype(dtype)
        representative[mine] = part.representative_id[at]
    return resolved, new_id, representative


def _alone(parts: Sequence[RowMatches], old_id: OldIds, last: NewIds, others: OldIds) -> Mask:
    """The rows whose target row of the last run may take another key: no row still has it, and none comes before."""
    away = np.union1d(old_id, others)
    claimed = [part.new_id[part.resolved & ~np.isin(part.old_id, away)] for part in parts]
    _, first = np.unique(last, return_index=True)
    alone = np.zeros(len(last), dtype=bool)
    alone[first] = True
    return alone & ~np.isin(last, np.concatenate(claimed))
