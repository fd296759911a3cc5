"""What the stages of one table are given."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import sqlalchemy as sa

from dfsync.execution.timing import StageTimer
from dfsync.model.types import Mask, NewIds, OldIds
from dfsync.pipeline.journal.rows import RowJournal
from dfsync.pipeline.session.kept_maps import KeptMap, KeptMaps
from dfsync.pipeline.session.mapping_store import MappingStore
from dfsync.pipeline.table.spool import KeySpool
from dfsync.plan.binding import TableBinding
from dfsync.source.base import Source
from dfsync.stages.row_hash import RowHasher
from dfsync.target.write.with_ids import GivenIds

KEY_BATCH_ROWS = 200_000
"""Rows of a batch of which only the key is read."""


@dataclass(frozen=True)
class TableContext:
    """One planned table, both ends of it, and what its stages share.

    Attributes
    ----------
    binding
        The planned table, bound to the schemas of both ends.
    source
        The source's snapshot.
    connection
        The target, inside the table's transaction.
    mappings
        The id maps of all tables.
    hasher
        Hashes rows; the same for all tables of a session.
    batch_size
        Rows read, converted and sent at a time.
    timer
        Adds up the time of each stage.
    folder
        Where there is room for temporary files; None for the system's temporary folder.
    spools
        Closes the temporary files, also those of an attempt that failed.
    kept
        The map of the last run for this table; None where it is no evidence.
    kept_maps
        The maps of the last run of the tables whose ids are part of natural keys.
    journal
        Takes what is written to the target; None where the table is only matched, or nothing is written.
    given
        The ids of the new rows; None where the target assigns them.
    """

    binding: TableBinding
    source: Source
    connection: sa.Connection
    mappings: MappingStore
    hasher: RowHasher
    batch_size: int
    timer: StageTimer = field(default_factory=StageTimer)
    folder: Path | None = None
    spools: ExitStack = field(default_factory=ExitStack)
    kept: KeptMap | None = None
    kept_maps: KeptMaps = field(default_factory=KeptMaps)
    journal: RowJournal | None = None
    given: GivenIds | None = None

    @property
    def knows_ids(self) -> bool:
        """Whether a row without a natural key is the one that had its id in the last run."""
        return self.kept is not None and self.binding.plan.identity == "id"

    def count(self, ids: OldIds | None = None) -> int:
        """Count the source's rows, or those that `ids` name."""
        return self.source.count(self.binding.source) if ids is None else len(ids)

    def own_ids(self, ids: OldIds | pd.Index[int]) -> OldIds:
        """Give the ids that source rows have in their own files."""
        of_files = self.source.row_ids(self.binding.plan.name)
        old_ids = np.asarray(ids, dtype=np.int64)
        return old_ids if of_files is None else of_files.locate(old_ids)[1]

    def alike(self, ids: OldIds, own: pd.Series[int]) -> tuple[OldIds, OldIds]:
        """Choose the source rows that have one of these ids in their own files; also give their ids there."""
        chosen = ids[np.isin(self.own_ids(ids), own.to_numpy())]
        return chosen, self.own_ids(chosen)

    def is_kept(self, ids: NewIds | pd.Index[int]) -> Mask:
        """Tell which target rows have an id that means the same row in both databases (array of bool)."""
        return np.isin(np.asarray(ids), np.array(self.binding.plan.keep_ids or (), dtype=np.int64))

    def is_kept_row(self, ids: OldIds | pd.Index[int]) -> Mask:
        """Tell which source rows have such an id (array of bool)."""
        if not self.binding.plan.keep_ids:
            return np.zeros(len(ids), dtype=bool)
        return self.is_kept(self.own_ids(ids))

    def open_spool(self) -> KeySpool:
        """Open a temporary file for natural keys, which is closed with the others of the table."""
        spool = KeySpool(self.folder)
        self.spools.callback(spool.close)
        return spool
