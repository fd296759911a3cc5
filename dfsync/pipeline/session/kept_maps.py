"""The maps of the last run: which target row each source row had then."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from dfsync.model import frames
from dfsync.model.rejects import display_values
from dfsync.model.source_file import SOURCE
from dfsync.model.types import Mask, NewIds, OldIds
from dfsync.output.evidence import MapOrigin, other_plan, read_origin
from dfsync.output.files import MAPPINGS, UNMAPPED
from dfsync.output.pieces import piece_files
from dfsync.pipeline.session.file_rows import RowsOfFiles
from dfsync.plan.binding import TableBinding
from dfsync.plan.model import Plan
from dfsync.source.base import Queryable, Source
from dfsync.target.read.rows import next_id
from dfsync.text.wording import with_count

_UNUSED = "the map of the last run is no evidence and is not used"


@dataclass(frozen=True)
class KeptMap:
    """The map of the last run for one table.

    It is read from its files each time, so that it takes no memory while a table is matched; and so before a run writes
    them anew. Where the source has several files, old ids are combined ids of this run; rows of other files are left
    out.

    Attributes
    ----------
    paths
        The files; where two of them have a row the first one counts.
    dtype
        That of new ids: `TableBinding.id_dtype`.
    rows_of
        For each of `paths`, whose its rows are in this run.
    """

    paths: tuple[Path, ...]
    dtype: type[np.int64 | np.uint64] = np.int64
    rows_of: tuple[RowsOfFiles, ...] = ()

    def read(self) -> tuple[OldIds, NewIds]:
        """Read the old ids (int64, ascending, unique), and the target row of each then."""
        columns = [self._ids(number) for number in range(len(self.paths))]
        if len(columns) == 1:
            return columns[0][0], columns[0][1].astype(self.dtype, copy=False)
        old_id, first = np.unique(np.concatenate([old for old, _ in columns]), return_index=True)
        return old_id, np.concatenate([new.astype(self.dtype) for _, new in columns])[first]

    def _ids(self, number: int) -> tuple[OldIds, NewIds]:
        """Old and new ids of one of the files, by ascending old id."""
        if not self.rows_of:
            table = pq.read_table(self.paths[number], columns=[frames.OLD_ID, frames.NEW_ID])
            old_id, new_id = (column.to_numpy() for column in table.columns)
            return old_id, new_id
        table = pq.read_table(self.paths[number], columns=[*self.rows_of[number].columns, frames.NEW_ID])
        ids, known = self.rows_of[number].combined(table)
        order = np.argsort(ids[known], kind="stable")
        return ids[known][order], table.column(frames.NEW_ID).to_numpy()[known][order]

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
        old_id, rows = self._rows(ids)
        ours = [
            name for name in (SOURCE, frames.OLD_ID, frames.NEW_ID, frames.ACTION) if name != SOURCE or self.rows_of
        ]
        return frames.from_arrow(rows.drop_columns(ours), old_id)

    def unmapped_ids(self) -> OldIds:
        """Read the `old_id` of the rows that had no target row after the last run: int64, in any order."""
        numbers = [number for number, path in enumerate(self.paths) if path.parent.name == UNMAPPED]
        return np.concatenate([np.array([], np.int64), *(self._ids(number)[0] for number in numbers)])

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
        return self._rows(ids)[1]

    def _rows(self, ids: OldIds) -> tuple[OldIds, pa.Table]:
        """The old ids of this run, ascending, and the rows."""
        rows: pa.Table | None = None
        found = np.array([], np.int64)
        for number, path in enumerate(self.paths):
            file = pq.ParquetFile(path)
            ids_of, batches = [found], []
            for batch in file.iter_batches():
                old_id, known = self._old_ids(number, batch)
                known &= np.isin(old_id, ids) & ~np.isin(old_id, found)
                ids_of.append(old_id[known])
                batches.append(batch.filter(pa.array(known)))
            table = pa.Table.from_batches(batches, file.schema_arrow)
            if self.rows_of:
                table = self.rows_of[number].as_of_this_run(table)
            rows = table if rows is None else pa.concat_tables(_alike(rows, table))
            found = np.concatenate(ids_of)
        if rows is None:
            return found, pa.table({})
        order = np.argsort(found, kind="stable")
        return found[order], rows.take(order)

    def _old_ids(self, number: int, batch: pa.RecordBatch) -> tuple[OldIds, Mask]:
        if self.rows_of:
            return self.rows_of[number].combined(batch)
        old_id = batch.column(frames.OLD_ID).to_numpy()
        return old_id, np.ones(len(old_id), dtype=bool)


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
        ids = source.row_ids(plan.name)
        now = MapOrigin.of(source.files, self.target, plan, several=ids is not None)
        whole = [self.out / folder / f"{plan.name}.parquet" for folder in (MAPPINGS, UNMAPPED)]
        files = [*piece_files(self.out, plan.name), *whole]
        origins = {path: read_origin(path) for path in files}
        differences = filter(None, (other_plan(then, now) for then in origins.values()))
        unlike = next((f"{difference}; its map is not used" for difference in differences), None)
        usable = {
            path: origin for path, origin in origins.items() if origin is not None and origin.is_continued_by(now)
        }
        rows_of = () if ids is None else tuple(RowsOfFiles(then, source.files, ids, now) for then in usable.values())
        kept = KeptMap(tuple(usable), binding.id_dtype, rows_of)
        if not kept.paths:
            return None, unlike
        try:
            old_id, new_id = kept.read()
        except (OSError, pa.ArrowException):
            return None, unlike
        told = unlike
        if rows_of:
            kept, older = _without_older_copies(kept, binding, source)
            told = unlike if older is None else f"{_UNUSED}: {older}"
            old_id, new_id = kept.read()
        if plan.name in self.parents:
            columns = pa.table({frames.OLD_ID: old_id, frames.NEW_ID: new_id})
            self._last_ids[plan.name] = frames.from_arrow(columns)
        stale = _stale_reason(old_id, new_id, binding, source, connection)
        return (kept, told) if stale is None else (None, f"{_UNUSED}: {stale}")

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


def _without_older_copies(kept: KeptMap, binding: TableBinding, source: Source) -> tuple[KeptMap, str | None]:
    """The map without the rows of files that are older copies than those that it is of, and what to say of them."""
    if not binding.source[binding.plan.id or ""].auto_increment:
        return kept, None
    places = {file.path: number for number, file in enumerate(source.files)}
    last = dict(source.each(lambda file: (places[file.path], _last_given(file, binding))))
    older: dict[int, str] = {}
    for path, rows_of in zip(kept.paths, kept.rows_of, strict=True):
        highest = rows_of.highest(pq.read_table(path, columns=rows_of.columns))
        for number in highest.keys() & last.keys():
            if highest[number] > last[number]:
                older[number] = _older_copy(source.files[number].name, last[number], highest[number])
    if not older:
        return kept, None
    rows = tuple(replace(rows_of, older=frozenset(older)) for rows_of in kept.rows_of)
    return replace(kept, rows_of=rows), f"of {with_count(len(older), 'sources')}, such as: {older[min(older)]}"


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
    if not column.auto_increment or source.row_ids(binding.plan.name) is not None:
        return None
    (last,) = source.each(lambda file: _last_given(file, binding))
    return _older_copy("the source", last, int(old_id[-1])) if int(old_id[-1]) > last else None


def _last_given(source: Queryable, binding: TableBinding) -> int:
    """The last id that a file has given to rows of a table that never gives one twice."""
    sequence: Any = sa.table("sqlite_sequence", sa.column("name"), sa.column("seq"))
    name = binding.source.stored_in or binding.source.name
    query = sa.select(sa.func.max(sequence.c.seq).label("seq")).where(sequence.c.name == name)
    return int(source.query(query).to_pylist()[0]["seq"] or 0)


def _older_copy(what: str, last: int, highest: int) -> str:
    given = f"{what} has given the ids up to {last}, and the map of the last run has {highest}"
    return f"{given}: the source is an older copy"
