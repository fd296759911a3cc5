"""One table of a verify: source rows compared with their target rows."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from dfsync.commands.verifying.counts import VerifyCounts
from dfsync.commands.verifying.reasons import Reasons
from dfsync.model import frames
from dfsync.model.partition import Partition
from dfsync.model.schema import Column
from dfsync.model.source_file import SOURCE
from dfsync.model.types import Mask, OldIds
from dfsync.output import files
from dfsync.output.evidence import read_origin
from dfsync.output.last_run import PREVIOUS, read_last_run, read_rekeyed
from dfsync.pipeline.observer import Observer
from dfsync.pipeline.session.file_rows import table_of_files, with_original_references, with_run_ids
from dfsync.pipeline.session.mapping_store import MappingStore
from dfsync.pipeline.session.session import Session
from dfsync.pipeline.table.context import TableContext
from dfsync.pipeline.table.extract import RejectLog, read_batches
from dfsync.pipeline.table.keys import fetch_rows_by_key
from dfsync.pipeline.table.match import match_content
from dfsync.plan.binding import TableBinding
from dfsync.stages.conform.conform import conform
from dfsync.stages.diff import (
    CHANGED,
    DELETED,
    DIFFERENCE_SCHEMA,
    MISSING,
    ORPHAN,
    UNFIT,
    cell_differences,
    differences_table,
    no_cell_differences,
    row_differences,
)
from dfsync.stages.remap import new_ids
from dfsync.target.collation import normalize_pair
from dfsync.target.read.rows import lookup_by_id

log = logging.getLogger(__name__)
_LONG_TEXT_BYTES = 1_000_000


def compare_rows(
    connection: sa.Connection,
    binding: TableBinding,
    source: pd.DataFrame,
    target: pd.DataFrame,
    mappings: MappingStore,
) -> pd.DataFrame:
    """Compare rows cell by cell.

    Parameters
    ----------
    connection
        To the target, whose collations decide which texts are equal.
    binding
        The table.
    source
        The rows as extracted, index `old_id`, the columns of the table.
    target
        Their target rows, with the same index and columns.
    mappings
        Mappings with `old_id` and `new_id` by name of the parent.

    Returns
    -------
    pandas.DataFrame
        The cells that differ, index `old_id`: `kind`, `column`, `source_value`, `target_value`, all string.
    """
    parents = {column.lower(): parent for column, parent in binding.plan.parents.items()}
    found, optional = [no_cell_differences()], binding.optional_references
    for column, as_read in zip(binding.columns, binding.source_columns(binding.columns), strict=True):
        conformed = conform(source[[column.name]], [as_read])
        values = conformed.frame[column.name]
        if len(conformed.rejects):
            refused = conformed.rejects["value"]
            found.append(cell_differences(UNFIT, column.name, refused, target.loc[refused.index, column.name]))
        parent = parents.get(column.name.lower())
        if parent is not None:
            old, values = values, new_ids(values, mappings.get(parent))
            # In an optional reference NULL is what the plan asks for then.
            lost = (old.notna() & values.isna()).to_numpy(dtype=bool) & (column.name not in optional)
            found.append(cell_differences(ORPHAN, column.name, old[lost], target.loc[old.index[lost], column.name]))
            values = values[~lost]
        found.append(changed_values(connection, column, values, target.loc[values.index, column.name]))
    return pd.concat(found).sort_index(kind="stable")


def changed_values(
    connection: sa.Connection, column: Column, source: pd.Series[Any], target: pd.Series[Any]
) -> pd.DataFrame:
    """Find the differing values of one column; those of the source are conformed and remapped.

    Returns
    -------
    pandas.DataFrame
        As of `compare_rows`.
    """
    other = differs(connection, column, source, target)
    return cell_differences(CHANGED, column.name, source[other], target[other])


def differs(connection: sa.Connection, column: Column, source: pd.Series[Any], target: pd.Series[Any]) -> Mask:
    """Find where the values differ; NULL is equal to NULL here.

    Parameters
    ----------
    connection
        To the target, whose collation of the column decides which texts are equal.
    column
        The column of the target.
    source
        Its values in the source, conformed and remapped.
    target
        Its values in the target, by the same index.

    Returns
    -------
    numpy.ndarray
        True where they differ, bool.
    """
    left, right = frames.as_arrow(source), frames.as_arrow(target)
    if left.type != right.type:
        left = left.cast(right.type)
    other: Mask = frames.differs(left, right)
    if column.collation is None or not other.any():
        return other
    # What is the same to the byte is the same in every collation. Of very long texts a server gives no weights.
    short = pc.and_(*(pc.less(pc.fill_null(pc.binary_length(side), 0), _LONG_TEXT_BYTES) for side in (left, right)))
    doubtful = other & short.to_numpy(zero_copy_only=False)
    one, two = normalize_pair(connection, column, source[doubtful], target[doubtful])
    same = pc.fill_null(pc.equal(frames.as_arrow(one), frames.as_arrow(two)), False)
    other[doubtful] = ~same.to_numpy(zero_copy_only=False)
    return other


_SAMPLE_ROWS = 100
# More at once are too many for MySQL to look up one by one, and it reads the table through instead.
_ROWS_PER_LOOKUP = 10_000


class TableVerifier:
    """Verifies one table, and counts what it finds."""

    def __init__(self, run: Session, name: str, out: Path) -> None:
        self.counts = VerifyCounts(name, run.plan[name].table)
        self._session = run
        self._out = out
        self._plan = run.plan[name]
        self._binding = run.bindings.get(name)
        if self._binding is None:
            self.counts.note = f"the source has no table {self._plan.table}"
            return
        self._reasons = Reasons.of(run.plan, name, self._binding.names, read_last_run(out))
        for needed in {*self._plan.parents.values(), *([name] if self._plan.id else [])} & run.bindings.keys():
            files.mapping_file(out, needed)

    def any_present(self, connection: sa.Connection) -> bool | None:
        """Tell whether some of the mapped rows are in the target; None where no row is mapped."""
        if self._binding is None or self._binding.id is None:
            return None
        ids = self._read_map(self._plan.name)[frames.NEW_ID]
        sample = ids.iloc[np.unique(np.linspace(0, max(len(ids) - 1, 0), _SAMPLE_ROWS, dtype=int))] if len(ids) else ids
        target_rows = lookup_by_id(connection, self._binding.target, self._binding.id, [], sample.tolist())
        return bool(len(target_rows)) if len(ids) else None

    def run(self, connection: sa.Connection, observer: Observer) -> None:
        """Compare the rows, and write the differences into the output folder.

        Parameters
        ----------
        connection
            To the target, with one snapshot for all tables.
        observer
            Hears of the progress.
        """
        if self._binding is None:
            observer.table_missing(self._plan, self.counts.note or "")
            return
        start = time.perf_counter()
        self.counts.total = self._session.source.count(self._binding.source)
        observer.table_started(self._plan, self.counts.total)
        for parent in {*self._plan.parents.values()} & self._session.bindings.keys():
            if parent not in self._session.mappings:
                self._session.mappings.put(parent, self._read_map(parent))
        rejected = with_run_ids(
            self._session.source, self._plan, self._out, files.read_rejected(self._out, self._plan.name)
        )
        self._rejected = rejected[frames.OLD_ID].to_numpy(dtype=np.int64)
        found = (
            self._by_mapping(connection, self._binding)
            if self._binding.id
            else self._by_natural_key(connection, self._binding)
        )
        schema = table_of_files(self._session.source, self._plan, DIFFERENCE_SCHEMA.empty_table()).schema
        files.write_differences(self._out, self._plan.name, schema, self._reported(found, observer))
        self.counts.seconds = time.perf_counter() - start
        log.debug("%s: %s", self._plan.name, {key: value for key, value in self.counts.as_dict().items() if value})

    def _reported(self, found: Iterator[tuple[int, pd.DataFrame]], observer: Observer) -> Iterator[pa.Table]:
        done = 0
        for rows, differences in found:
            done += rows
            differences = self._reasons.with_kinds(differences)
            self.counts.add(rows, differences)
            observer.progress(self._plan, done)
            if len(differences):
                shown = with_original_references(self._session.source, self._plan, differences)
                yield table_of_files(self._session.source, self._plan, differences_table(shown))

    def _read_map(self, name: str, *more: str) -> pd.DataFrame:
        """The mapping of a table, by the ids that rows have in this run."""
        source, plan = self._session.source, self._session.plan[name]
        if not source.several:
            return files.read_map(self._out, name, *more)
        origin = read_origin(files.mapping_file(self._out, name))
        of_several = [SOURCE] if origin is not None and origin.several else []
        return with_run_ids(source, plan, self._out, files.read_map(self._out, name, *of_several, *more))

    def _count_missing(self, ids: OldIds) -> pd.DataFrame:
        """Of rows without a target row, those that no sync rejected; counts the others as rejects."""
        reported = np.isin(ids, self._rejected)
        self.counts.rejected += int(reported.sum())
        self.counts.equal -= int(reported.sum())
        return row_differences(MISSING, ids[~reported])

    def _by_mapping(self, connection: sa.Connection, binding: TableBinding) -> Iterator[tuple[int, pd.DataFrame]]:
        """How many rows were compared, and what differs, batch by batch, through the mapping."""
        mapping = self._read_map(self._plan.name, frames.ACTION)
        old_ids = mapping[frames.OLD_ID].to_numpy()
        shared = pd.Series(mapping[frames.NEW_ID].to_numpy()).duplicated().to_numpy()
        twice = self._rows_twice(connection, binding, mapping)
        source = self._session.source
        partition = Partition(source.path, binding.source.name, self._plan.id, tuple(binding.names))
        for frame in source.batches(partition, self._session.options.batch_size):
            ids = frame.index.to_numpy()
            position = np.searchsorted(old_ids, ids)
            known = np.zeros(len(ids), dtype=bool)
            inside = position < len(old_ids)
            known[inside] = old_ids[position[inside]] == ids[inside]
            at_known = position[known]
            reported = np.isin(ids[known], self._rejected)
            reasoned = self._reasons.of_mapped(mapping.iloc[at_known], shared[at_known], reported)
            mapped = reasoned.set_index(frames.OLD_ID)
            new_ids = mapped[frames.NEW_ID].to_numpy()
            target_rows = self._rows(connection, binding, np.unique(new_ids))
            at = target_rows.index.get_indexer(pd.Index(new_ids))
            present = mapped.index[at >= 0]
            aligned = target_rows.iloc[at[at >= 0]].set_axis(present)
            differences = [
                compare_rows(connection, binding, frame.loc[present], aligned, self._session.mappings),
                row_differences(DELETED, mapped.index[at < 0].to_numpy()),
                self._count_missing(ids[~known]),
                twice[twice.index.isin(ids)],
            ]
            yield len(frame), pd.concat(differences).sort_index(kind="stable").join(mapped)

    def _rows_twice(self, connection: sa.Connection, binding: TableBinding, mapping: pd.DataFrame) -> pd.DataFrame:
        """Rows that have another target row than before the last sync, where that is still there and nobody else's."""
        rekeyed = with_run_ids(self._session.source, self._plan, self._out, read_rekeyed(self._out, self._plan.name))
        rekeyed = rekeyed.merge(mapping[[frames.OLD_ID, frames.NEW_ID]], on=[frames.OLD_ID, frames.NEW_ID])
        rekeyed = rekeyed[~rekeyed[PREVIOUS].isin(mapping[frames.NEW_ID])].set_index(frames.OLD_ID)
        ids = np.unique(rekeyed[PREVIOUS].to_numpy())
        rekeyed = rekeyed[rekeyed[PREVIOUS].isin(self._rows(connection, binding, ids, columns=()).index)]
        kind = self._reasons.of_rekeyed(rekeyed)
        found = [
            cell_differences(name, binding.id, rows[frames.NEW_ID], rows[PREVIOUS])
            for name, rows in rekeyed.groupby(kind)
        ]
        return pd.concat([no_cell_differences(), *found])

    def _rows(
        self, connection: sa.Connection, binding: TableBinding, ids: OldIds, columns: Sequence[Column] | None = None
    ) -> pd.DataFrame:
        """The target rows of these ids (ascending), indexed by them; all columns where none are named."""
        assert binding.id is not None
        columns = binding.columns if columns is None else columns
        parts = np.array_split(ids, range(_ROWS_PER_LOOKUP, len(ids), _ROWS_PER_LOOKUP))
        rows = [lookup_by_id(connection, binding.target, binding.id, columns, part.tolist()) for part in parts]
        return pd.concat(rows)

    def _by_natural_key(self, connection: sa.Connection, binding: TableBinding) -> Iterator[tuple[int, pd.DataFrame]]:
        """As `_by_mapping`, of a table without a surrogate id: through its key, or else its whole content."""
        session = self._session
        table = TableContext(
            binding, session.source, connection, session.mappings, session.hasher, session.options.batch_size
        )
        key = binding.key_names
        log, keyless = RejectLog(), [np.array([], dtype=np.int64)]
        for batch in read_batches(table, binding.columns, table.batch_size, deferred=()) if key else ():
            rows = log.take(batch)
            keyed = rows[frames.non_null_rows(rows[key])]
            keyless.append(rows.index.difference(keyed.index).to_numpy())
            yield len(keyed), self._by_key(connection, binding, keyed)
        unfit = log.rejects()
        if not key or len(np.concatenate(keyless)):
            result = match_content(table, np.concatenate(keyless) if key else None)
            unfit = unfit if key else result.rejects
            for part in result.parts:
                yield len(part.old_id), self._reasons.of_unmapped(self._count_missing(part.old_id[~part.resolved]))
        unfit_ids = unfit.index.unique().sort_values().to_numpy()
        yield len(unfit_ids), self._reasons.of_unmapped(self._count_missing(unfit_ids))

    def _by_key(self, connection: sa.Connection, binding: TableBinding, source: pd.DataFrame) -> pd.DataFrame:
        key = binding.key_names
        names = [name for name in binding.names if name not in key]
        target_rows, _ = fetch_rows_by_key(connection, binding, source, names)
        cells = [
            changed_values(connection, column, source.loc[target_rows.index, column.name], target_rows[column.name])
            for column in binding.columns
            if column.name in names
        ]
        absent = self._count_missing(source.index.difference(target_rows.index).to_numpy())
        return self._reasons.of_unmapped(pd.concat([no_cell_differences(), *cells, absent]).sort_index(kind="stable"))
