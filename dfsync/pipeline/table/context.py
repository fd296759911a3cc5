"""One table's way through the stages: what they share, and the rows as they are read.

First the keys alone are read and matched (`table_match`), so that a row that is there already costs no more than its
key; then the rows that are new travel whole, batch by batch (`table_load`); then what was there already takes the
source's values where it should (`table_update`). What comes of each row is kept in the `Outcome`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from dfsync.execution.timing import StageTimer
from dfsync.model import frames
from dfsync.model.frames import empty_frame
from dfsync.model.rejects import no_rejects
from dfsync.model.schema import Column
from dfsync.model.types import arrow_type
from dfsync.pipeline.table.ledger import RowLedger
from dfsync.pipeline.table.spool import KeySpool
from dfsync.plan.binding import TableBinding
from dfsync.source.sqlite import SqliteSource
from dfsync.stages.conform.conform import conform
from dfsync.stages.remap import remap
from dfsync.stages.row_hash import no_hashes
from dfsync.stages.row_order import cycle_rejects
from dfsync.target.collation import value_owners

KEY_BATCH_ROWS = 200_000
"""Rows of which only the key is read, and that are read at once."""


@dataclass
class TableContext:
    """What one table needs on its way, and what has come of it so far."""

    binding: TableBinding
    source: SqliteSource
    connection: sa.Connection
    maps: Mapping[str, pd.DataFrame]
    """By parent: `old_id`, `new_id`, as `remap` takes them."""
    batch_size: int
    timer: StageTimer = field(default_factory=StageTimer)
    notes: dict[str, str] = field(default_factory=dict)
    rejects: list[pd.DataFrame] = field(default_factory=list)
    content_matches: pd.Series[Any] | None = None
    """Where it takes more than this table to tell: the `new_id` of each row that is recognised by its content."""
    folder: Path | None = None
    """Where there is room for the keys; None for the system's temporary folder."""
    keys: list[KeySpool] = field(default_factory=list)
    """The file of the rows' natural keys, with the target's values where it has the row."""
    level_keys: list[pd.DataFrame] = field(default_factory=list)
    """The same where rows are matched level by level, which may be thousands, and in no order."""
    level_digests: pd.DataFrame = field(default_factory=no_hashes)
    """Where rows are matched level by level: the digests of those that are recognised by their content, by `old_id`."""
    inserted_by_others: list[pd.DataFrame] = field(default_factory=list)
    """Natural keys, with the target's values, of rows that another client inserted meanwhile."""

    def read(
        self, columns: Sequence[Column], size: int, ids: Any = None, *, late: Collection[str] | None = None
    ) -> Iterator[pd.DataFrame]:
        """The rows by ascending id, extracted, conformed and remapped; those that do not fit go to the rejects.

        The foreign keys `late` stay as they are: those that are deferred, unless others are named.
        """
        plan = self.binding.plan
        names = [column.name for column in columns]
        late = plan.deferred if late is None else late
        foreign_keys = [fk for fk in plan.foreign_keys or () if fk.column not in late]
        for frame in self.timer.timed_iter("extract", self.extract(names, size, ids)):
            with self.timer("conform"):
                conformed = conform(frame, self.binding.source_columns(columns))
            with self.timer("remap"):
                remapped = remap(conformed.frame, foreign_keys, self.maps)
            self.notes |= conformed.notes
            self.rejects += [bad for bad in (conformed.rejects, remapped.rejects) if len(bad)]
            # The ids of a parent may be of another type than the columns that refer to them, unsigned or wider.
            stored = {
                fk.column: arrow_type(self.binding.target[fk.column]) for fk in foreign_keys if fk.column in names
            }
            yield remapped.frame.astype({column: pd.ArrowDtype(type_) for column, type_ in stored.items()})

    def extract(self, names: Sequence[str], size: int, ids: Any = None) -> Iterator[pd.DataFrame]:
        """The columns as the source has them, `size` rows at a time: see `Source.batches`."""
        return self.source.batches(self.binding.source, self.binding.plan.id, names, size, ids)

    def with_deferred_nulls(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows with the foreign keys empty that are deferred."""
        return rows.assign(**{column: frames.nulls_like(rows[column]) for column in self.binding.plan.deferred})

    def count(self, ids: Any = None) -> int:
        """How many rows the source has, or how many `ids` name."""
        return self.source.count(self.binding.source) if ids is None else len(ids)

    def reference_ids(self, columns: Sequence[str], ids: Any = None) -> pd.DataFrame:
        """The source's ids in foreign key columns, as they are, NULL for what is no id: index `old_id`, Arrow int64."""
        as_ids = self.binding.source_columns([column for column in self.binding.columns if column.name in columns])
        nullable = [replace(column, nullable=True) for column in as_ids]
        names = [column.name for column in nullable]
        extracted = self.extract(names, KEY_BATCH_ROWS, ids)
        read = (conform(frame, nullable).frame.reindex(frame.index) for frame in extracted)
        return pd.concat([empty_frame(nullable), *read])

    def self_reference_owners(self, column: str, referenced: str) -> pd.Series[Any]:
        """For each row the old id of the row of the same table whose `referenced` is equal to the value in `column`:
        see `equality.owners`."""
        both = [replace(c, nullable=True) for c in self.binding.columns if c.name in (column, referenced)]
        extracted = self.extract([c.name for c in both], KEY_BATCH_ROWS)
        rows = pd.concat([empty_frame(both), *(conform(frame, both).frame for frame in extracted)])
        return value_owners(
            self.connection, next(c for c in both if c.name == referenced), rows[column], rows[referenced]
        )

    @cached_property
    def row_dependencies(self) -> pd.DataFrame:
        """The old ids of the rows of the same table that each row needs to be there before it, as `levels` takes them;
        without columns where no row waits for another."""
        plan = self.binding.plan
        own = [c for c, parent in plan.parents.items() if parent == plan.name and c not in plan.deferred]
        values = self.binding.self_references_by_value()
        if not own and not values:
            return pd.DataFrame()
        references = self.reference_ids(own)
        for column, referenced in values.items():
            references[column] = self.self_reference_owners(column, referenced)
        return references

    def keyless_ids(self) -> Any:
        """The old ids (int64) of the rows with a NULL in the natural key."""
        names = [column.name for column in self.binding.key if self.binding.source[column.name].nullable]
        read = self.extract(names, KEY_BATCH_ROWS) if names else []
        return np.concatenate([np.array([], np.int64), *(keys.index[~frames.non_null_rows(keys)] for keys in read)])

    def circle_rejects(self, ids: Any, circle: Any) -> list[pd.DataFrame]:
        """The reject frames of these rows (old ids, ascending), which need some of the circle: `levels.circular`."""
        read = self.extract(list(self.row_dependencies.columns), self.batch_size, ids)
        return [cycle_rejects(rows, self.row_dependencies, circle) for rows in read]

    def note_unfit_updates(self, unfit: pd.DataFrame) -> None:
        """Notes that matched rows keep the target's values, because the source's do not fit."""
        if len(unfit):
            # The server does not always name a column.
            first = f"row {unfit.index[0]}: {' '.join(unfit[['column', 'reason']].iloc[0].dropna())}"
            self.notes["update"] = (
                f"{len(unfit)} matched rows keep the target's values, because theirs do not fit; {first}"
            )

    def all_level_keys(self) -> pd.DataFrame:
        """The natural keys that were kept level by level, the last of each row; index `old_id`, in no order."""
        whole = pd.concat([empty_frame(self.binding.key), *self.level_keys])
        self.level_keys[:] = [whole[~whole.index.duplicated(keep="last")]]
        return self.level_keys[0]

    def drop_rejects(self, ids: Any) -> None:
        """Takes back that these rows are rejects."""
        self.rejects[:] = [bad[~bad.index.isin(ids)] for bad in self.rejects]

    def rejected(self, outcome: RowLedger) -> pd.DataFrame:
        """The rejects that stand: who shares the natural key of a row that went in has its target row after all."""
        bad: pd.DataFrame = pd.concat([no_rejects(), *self.rejects])
        bad = bad.loc[~bad.index.duplicated()].sort_index()
        there = outcome.present(bad.index.to_numpy())
        return pd.DataFrame(bad.drop(index=there[outcome.resolved[outcome.positions(there)]]))
