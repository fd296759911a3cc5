"""Matching some rows of a table after others of it: rows with an equal key share a target row, equal rows are counted
together.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from dfsync.model.frames import empty_frame
from dfsync.model.types import OldIds
from dfsync.pipeline.cycles.member import CycleMember
from dfsync.pipeline.table.keys import adopt_target_values, drop_null_keys, key_normalizers, read_both_sides
from dfsync.pipeline.table.ledger import RowMatches
from dfsync.pipeline.table.match import (
    MatchResult,
    match_keys,
    read_content_hashes,
    read_target_content,
    row_matches,
)
from dfsync.pipeline.table.spool import KeySpool
from dfsync.stages.match import first_matches
from dfsync.stages.row_hash import empty_hashes


def match_cycle_table(member: CycleMember) -> MatchResult:
    """Match all rows of a table whose rows need no other rows of it."""
    return LevelMatcher(member).match(None)


class LevelMatcher:
    """Owns the keys and the content hashes of the rows matched so far."""

    def __init__(self, member: CycleMember) -> None:
        self._member = member
        self._keys: list[pd.DataFrame] = []
        self._hashes = empty_hashes()

    def match(self, ids: OldIds | None) -> MatchResult:
        """Match source rows, given what became of those before.

        Parameters
        ----------
        ids
            int64, ascending; only these rows. None matches all, and keeps no keys of them here.

        Returns
        -------
        MatchResult
            Without keys, unless all rows are matched.
        """
        table = self._member.table
        if not table.binding.key:
            return self._match_content(ids)
        normalizers = key_normalizers(table)
        source, target_keys = read_both_sides(table, normalizers, ids)
        with table.timer("match"):
            previous_ids = np.array([], np.int64)
            if len(self._member.sync.ledger):
                previous, previous_ids = self._previous_keys()
                of_ids = target_keys.index.astype(table.binding.id_dtype)
                target_keys = pd.concat([previous, target_keys.set_axis(of_ids)])
                for name, normalizer in normalizers.items():
                    normalizer.observe(target_keys[name])
            matches, position = match_keys(table, normalizers, source, target_keys)
            keys = adopt_target_values(table, normalizers, source.spool, target_keys, position)
        shared = (position >= 0) & (position < len(previous_ids))
        representative_id = matches.representative_id.copy()
        representative_id[shared] = previous_ids[position[shared]]
        part = RowMatches(matches.old_id, matches.new_id, matches.resolved, representative_id)
        if ids is not None:
            self._keys += keys.read()
            keys.close()
        result = MatchResult((part,), source.log.rejects(), source.log.notes, None if ids is not None else keys)
        if not len(source.keyless):
            return result
        content = self._match_content(source.keyless, counted=ids is not None)
        rejects = pd.concat([result.rejects, content.rejects])
        return MatchResult((part, *content.parts), rejects, {**result.notes, **content.notes}, result.keys)

    def spool_keys(self) -> KeySpool | None:
        """Spool the keys of all rows by ascending `old_id`; None without a natural key."""
        table = self._member.table
        if not table.binding.key:
            return None
        spool = table.open_spool()
        for _ in spool.write([self._all_keys().sort_index()]):
            pass
        return spool

    def _previous_keys(self) -> tuple[pd.DataFrame, OldIds]:
        """The keys of the rows before, one for each target row: index `new_id`; and their `old_id`.

        A dry run has no other trace of these rows, and those of a table without an id can be told by nothing else.
        """
        ledger, keys = self._member.sync.ledger, self._all_keys()
        known = ledger.old_id[ledger.resolved & ledger.is_representative]
        keys = drop_null_keys(keys[keys.index.isin(known)])
        old_ids = keys.index.to_numpy()
        return keys.set_axis(ledger.new_id[ledger.positions(old_ids)]), old_ids

    def _all_keys(self) -> pd.DataFrame:
        """The keys so far, the last of each row; index `old_id`."""
        keys = pd.concat([empty_frame(self._member.table.binding.key), *self._keys])
        self._keys = [keys[~keys.index.duplicated(keep="last")]]
        return self._keys[0]

    def _match_content(self, ids: OldIds | None, *, counted: bool = True) -> MatchResult:
        table, ledger = self._member.table, self._member.sync.ledger
        hashes, log = read_content_hashes(table, ids)
        old_id = hashes.index.to_numpy()
        content_matches = self._member.content_matches
        if content_matches is not None:
            position = content_matches.index.get_indexer(hashes.index)
            part = row_matches(table.binding, old_id, content_matches.to_numpy(), position)
            return MatchResult((part,), log.rejects(), log.notes)
        with table.timer("match"):
            target_hashes = read_target_content(table)
            # A row that has no target row by now is unresolved, and may come again.
            before = self._hashes[self._hashes.index.isin(ledger.old_id[ledger.resolved])]
            with_occurrence = table.hasher.with_occurrence
            both = with_occurrence(pd.concat([before, hashes])).iloc[len(before) :]
            position = first_matches(both, with_occurrence(target_hashes)).position
            if counted:
                self._hashes = pd.concat([before, hashes])
        part = row_matches(table.binding, old_id, target_hashes.index.to_numpy(), position)
        return MatchResult((part,), log.rejects(), log.notes)
