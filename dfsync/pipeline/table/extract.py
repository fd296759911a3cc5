"""Reading source rows: extracted, conformed and remapped, batch by batch."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import pandas as pd

from dfsync.model.batch import Batch, ValueNote
from dfsync.model.partition import Partition
from dfsync.model.rejects import no_rejects
from dfsync.model.schema import Column
from dfsync.model.types import OldIds, arrow_type
from dfsync.pipeline.table.context import TableContext
from dfsync.stages.conform.conform import conform
from dfsync.stages.remap import remap


@dataclass
class RejectLog:
    """Gathers what batches hold besides their rows."""

    notes: list[ValueNote] = field(default_factory=list)
    _rejects: list[pd.DataFrame] = field(default_factory=list)

    def take(self, batch: Batch) -> pd.DataFrame:
        """Keep a batch's rejects and notes, and return its frame."""
        if len(batch.rejects):
            self._rejects.append(batch.rejects)
        self.notes += batch.notes
        return batch.frame

    def rejects(self) -> pd.DataFrame:
        """Return the rejects in the order in which they were found."""
        return pd.concat([no_rejects(), *self._rejects])


def read_batches(
    table: TableContext,
    columns: Sequence[Column],
    size: int,
    ids: OldIds | None = None,
    *,
    deferred: Collection[str] | None = None,
) -> Iterator[Batch]:
    """Read rows as the target is to have them.

    Parameters
    ----------
    table
        The table.
    columns
        Target columns, under the source's names.
    size
        Rows of a batch.
    ids
        int64, ascending; only these source rows. None reads all.
    deferred
        Foreign keys that keep the source's ids; None for those that the plan defers.

    Yields
    ------
    Batch
        By ascending `old_id`. The frame has the columns in the dtypes of the target; rows that do not fit, or whose
        parent has no target row, are among the rejects.
    """
    binding, timer = table.binding, table.timer
    names = [column.name for column in columns]
    deferred = binding.plan.deferred if deferred is None else deferred
    foreign_keys = [fk for fk in binding.plan.foreign_keys or () if fk.column not in deferred and fk.column in names]
    absences = table.mappings.absences()
    optional = binding.optional_references
    mappings = table.mappings.select({fk.parent for fk in foreign_keys})
    # A parent's ids may be of another type than the columns that refer to them, unsigned or wider.
    stored = {fk.column: pd.ArrowDtype(arrow_type(binding.target[fk.column])) for fk in foreign_keys}
    for frame in timer.timed_iter("extract", extract(table, names, size, ids)):
        with timer("conform"):
            conformed = conform(frame, binding.source_columns(columns))
        with timer("remap"):
            remapped = remap(conformed.frame, foreign_keys, mappings, optional, absences)
        rejects = [part for part in (conformed.rejects, remapped.rejects) if len(part)]
        notes = (*conformed.notes, *remapped.notes)
        yield Batch(remapped.frame.astype(stored), pd.concat([no_rejects(), *rejects]), notes)


def extract(table: TableContext, names: Sequence[str], size: int, ids: OldIds | None = None) -> Iterator[pd.DataFrame]:
    """Read columns as the source has them.

    Parameters
    ----------
    table
        The table.
    names
        Columns of the source.
    size
        Rows of a batch.
    ids
        int64, ascending; only these rows. None reads all.

    Yields
    ------
    DataFrame
        Index `old_id`, ascending; the columns in Arrow dtypes.
    """
    binding = table.binding
    partition = Partition(table.source.path, binding.source.name, binding.plan.id, tuple(names))
    return table.source.batches(partition, size, ids)
