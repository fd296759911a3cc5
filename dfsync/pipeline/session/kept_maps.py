"""The maps of the last run: which target row each source row had then."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import sqlalchemy as sa

from dfsync.model import frames
from dfsync.model.rejects import display_values
from dfsync.model.types import Mask, NewIds, OldIds
from dfsync.output.evidence import MapOrigin, other_plan, read_origin
from dfsync.output.files import MAPPINGS, UNMAPPED
from dfsync.output.pieces import piece_files
from dfsync.plan.binding import TableBinding
from dfsync.plan.model import Plan
from dfsync.source.base import Source
from dfsync.target.read.rows import next_id


@dataclass(frozen=True)
class KeptMap:
    """The map of the last run for one table.

    It is read from its files each time, so that it takes no memory while a table is matched; and so before a run writes
    them anew.

    Attributes
    ----------
    paths
        The files; where two of them have a row the first one counts.
    dtype
        That of new ids: `TableBinding.id_dtype`.
    """

    paths: tuple[Path, ...]
    dtype: type[np.int64 | np.uint64] = np.int64

    def read(self) -> tuple[OldIds, NewIds]:
        """Read the old ids (int64, ascending, unique), and the target row of each then."""
        tables = [pq.read_table(path, columns=[frames.OLD_ID, frames.NEW_ID]) for path in self.paths]
        columns = [[table.column(name).to_numpy() for name in (frames.OLD_ID, frames.NEW_ID)] for table in tables]
        if len(columns) == 1:
            return columns[0][0], columns[0][1].astype(self.dtype, copy=False)
        old_id, first = np.unique(np.concatenate([old for old, _ in columns]), return_index=True)
        return old_id, np.concatenate([new.astype(self.dtype) for _, new in columns])[first]

    def find(self, ids: OldIds) -> tuple[Mask, NewIds]:
        """Look up source rows.

        Parameters
        ----------
        ids
            Old ids, in any order.

        Returns
        -------
        tuple of Mask and NewIds
            Whether the map has each row, and its target row then; 0 where it has none.
        """
        old_id, new_id = self.read()
        if np.array_equal(ids, old_id):
            # The common case, of a source in which nothing is new.
            return np.ones(len(ids), dtype=bool), new_id
        if not len(old_id):
            return np.zeros(len(ids), dtype=bool), np.zeros(len(ids), self.dtype)
        position = np.minimum(np.searchsorted(old_id, ids), len(old_id) - 1)
        known = old_id[position] == ids
        return known, np.where(known, new_id[position], self.dtype(0))

    def keys(self, ids: OldIds) -> pd.DataFrame:
        """Read the natural keys that rows had in the target then.

        Parameters
        ----------
        ids
            Old ids that the map has.

        Returns
        -------
        DataFrame
            Index `old_id`, ascending; the columns of the natural key in its order (Arrow dtypes).
        """
        rows = self.rows(ids)
        ours = [frames.OLD_ID, frames.NEW_ID, frames.ACTION]
        return frames.from_arrow(rows.drop_columns(ours), rows.column(frames.OLD_ID))

    def unmapped_ids(self) -> OldIds:
        """Read the `old_id` of the rows that had no target row after the last run: int64, in any order."""
        paths = [path for path in self.paths if path.parent.name == UNMAPPED]
        tables = [pq.read_table(path, columns=[frames.OLD_ID]) for path in paths]
        return np.concatenate([np.array([], np.int64), *(table.column(0).to_numpy() for table in tables)])

    def rows(self, ids: OldIds) -> pa.Table:
        """Read rows of the map as they are in its files.

        Parameters
        ----------
        ids
            Old ids.

        Returns
        -------
        pyarrow.Table
            The columns of `mappings/NAME.parquet` with its metadata, by ascending `old_id`; without the rows that the
            map does not have.
        """
        rows: pa.Table | None = None
        for path in self.paths:
            file, wanted = pq.ParquetFile(path), pa.array(ids)
            batches = (batch.filter(pc.is_in(batch.column(frames.OLD_ID), wanted)) for batch in file.iter_batches())
            table = pa.Table.from_batches(batches, file.schema_arrow)
            if rows is not None:
                table = table.filter(pc.invert(pc.is_in(table.column(frames.OLD_ID), rows.column(frames.OLD_ID))))
                table = pa.concat_tables(_alike(rows, table))
            rows = table
        return pa.table({}) if rows is None else rows.sort_by(frames.OLD_ID)


def _alike(first: pa.Table, second: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Two files of a map with columns of the same types: as text where a key column has become of another type."""
    try:
        return first, second.cast(first.schema)
    except pa.ArrowInvalid:
        pass
    for number, field_ in enumerate(first.schema):
        if field_.type != second.schema.field(number).type and field_.name not in (frames.OLD_ID, frames.NEW_ID):
            first, second = (_as_text(table, number) for table in (first, second))
    return first, second.cast(first.schema)


def _as_text(table: pa.Table, number: int) -> pa.Table:
    column = table.column(number)
    if not pa.types.is_string(column.type):
        column = pa.array(display_values(column.combine_chunks()), pa.string())
    return table.set_column(number, table.schema.field(number).with_type(pa.string()), column)


@dataclass
class KeptMaps:
    """Reads the maps that the last run left, as far as they are of the same source, target and plan.

    Attributes
    ----------
    out
        The output folder of the run, also where a dry run writes elsewhere; None where there is none.
    target
        Database and server.
    parents
        The tables whose ids are part of natural keys: their maps stay in memory, since their files are written anew
        before those of their children.
    """

    out: Path | None = None
    target: str = ""
    parents: Collection[str] = ()
    _last_ids: dict[str, pd.DataFrame] = field(default_factory=dict)

    @classmethod
    def of(cls, out: Path, target: str, plan: Plan) -> KeptMaps:
        """Look into an output folder.

        Parameters
        ----------
        out
            The folder; it need not exist.
        target
            Database and server.
        plan
            The complete plan.

        Returns
        -------
        KeptMaps
        """
        in_keys = {key.parent for t in plan.tables for key in t.foreign_keys or () if key.column in t.key}
        return cls(out, target, in_keys)

    def load(
        self, binding: TableBinding, source: Source, connection: sa.Connection
    ) -> tuple[KeptMap | None, str | None]:
        """Read the map of a table.

        Parameters
        ----------
        binding
            The table.
        source
            The source.
        connection
            The target.

        Returns
        -------
        tuple of KeptMap and str
            The map; None where there is none, or it is of another source, target or plan, damaged, or no evidence of
            who the rows are now. And why a map of this table does not count; None where there is nothing to tell.
        """
        plan = binding.plan
        if self.out is None or plan.id is None:
            return None, None
        now = MapOrigin.of(source.path, self.target, plan)
        whole = [self.out / folder / f"{plan.name}.parquet" for folder in (MAPPINGS, UNMAPPED)]
        files = [*piece_files(self.out, plan.name), *whole]
        origins = {path: read_origin(path) for path in files}
        unlike = next(filter(None, (other_plan(then, now) for then in origins.values())), None)
        kept = KeptMap(tuple(path for path in files if origins[path] == now), binding.id_dtype)
        if not kept.paths:
            return None, unlike
        try:
            old_id, new_id = kept.read()
        except (OSError, pa.ArrowException):
            return None, unlike
        if plan.name in self.parents:
            columns = pa.table({frames.OLD_ID: old_id, frames.NEW_ID: new_id})
            self._last_ids[plan.name] = frames.from_arrow(columns)
        stale = _stale_reason(old_id, new_id, binding, source, connection)
        return (kept, unlike) if stale is None else (None, stale)

    def last_ids(self, name: str) -> pd.DataFrame:
        """Give the map of a table whose ids are part of natural keys, as it was before this run.

        Parameters
        ----------
        name
            The table's name in the plan.

        Returns
        -------
        DataFrame
            `old_id` and `new_id`, as `dfsync.stages.remap` takes them; empty where there is none.
        """
        return self._last_ids.get(name, frames.empty_mapping())


def _stale_reason(
    old_id: OldIds, new_id: NewIds, binding: TableBinding, source: Source, connection: sa.Connection
) -> str | None:
    """Why a map of the same ends and plan is no evidence of who the rows are; None where nothing speaks against it."""
    if not len(old_id) or binding.id is None:
        return None
    highest = int(new_id.max())
    following = next_id(connection, binding.target)
    if following is not None and highest >= following:
        return (
            f"the target's next {binding.id} is {following}, and the map of the last run has {highest}: "
            "the table was emptied or made anew"
        )
    column = binding.source[binding.plan.id or ""]
    if not column.auto_increment:
        return None
    sequence: Any = sa.table("sqlite_sequence", sa.column("name"), sa.column("seq"))
    query = sa.select(sa.func.max(sequence.c.seq).label("seq")).where(sequence.c.name == binding.source.name)
    last = source.query(query).to_pylist()[0]["seq"] or 0
    if int(old_id[-1]) > int(last):
        return (
            f"the source has given the ids up to {last}, and the map of the last run has {old_id[-1]}: "
            "the source is an older copy"
        )
    return None
