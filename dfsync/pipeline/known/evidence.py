"""What a run keeps beside the new map: the rows that have another target row than before, and those that have none."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dfsync.model import frames
from dfsync.model.errors import DfsyncError
from dfsync.model.types import OldIds
from dfsync.output.files import mapping_path
from dfsync.output.last_run import PREVIOUS, REKEYED_SCHEMA, read_rekeyed
from dfsync.pipeline.known.rekey import key_texts
from dfsync.pipeline.session.file_rows import row_name, with_run_ids
from dfsync.pipeline.session.kept_maps import KeptMap
from dfsync.pipeline.table.context import TableContext
from dfsync.pipeline.table.ledger import RowLedger
from dfsync.pipeline.table.load import DRY_RUN_FIRST_ID
from dfsync.pipeline.table.match import exist

_EXAMPLES = 3


def moved_rows(
    kept: KeptMap | None, ledger: RowLedger, mapped_keys: Callable[[OldIds], pd.DataFrame] | None
) -> pd.DataFrame:
    """Find the rows that have another target row than in the last run.

    Parameters
    ----------
    kept
        The map of the last run; None where there is none.
    ledger
        What became of the rows.
    mapped_keys
        Gives the natural keys that the new map has for rows; None where the table has no natural key.

    Returns
    -------
    pandas.DataFrame
        The columns of `rekeyed/NAME.parquet`, by ascending `old_id`.
    """
    if kept is None:
        return frames.from_arrow(REKEYED_SCHEMA.empty_table())
    known, previous = kept.find(ledger.old_id)
    rows = known & ledger.resolved & (previous != ledger.new_id)
    ids = ledger.old_id[rows]
    before = after = pa.nulls(len(ids), pa.string())
    if len(ids) and mapped_keys is not None:
        before, after = key_texts(kept.keys(ids)), key_texts(mapped_keys(ids))
    columns = [pa.array(ids), pa.array(previous[rows]), pa.array(ledger.new_id[rows]), before, after]
    return frames.from_arrow(pa.table(columns, names=REKEYED_SCHEMA.names))


class MovedRows:
    """Owns which rows of a table have another target row than in the last run, or in those before.

    Parameters
    ----------
    table
        The table.
    ledger
        What becomes of the rows.
    mapping
        Gives the parts of the mapping frame as it is now.
    """

    def __init__(self, table: TableContext, ledger: RowLedger, mapping: Callable[[], Iterable[pd.DataFrame]]) -> None:
        self._table, self._ledger, self._mapping = table, ledger, mapping
        self._earlier = read_moved(table)
        self._now: pd.DataFrame | None = None

    def find(self, *, asked: bool) -> list[str]:
        """Find those of this run; tell of those that are there twice, as of `doubled_rows`."""
        self._now = self._moved_now()
        return doubled_notes(self._table, self._ledger, self._now, asked=asked)

    def forget(self) -> None:
        """Forget what was found: the transaction rolled back."""
        self._now = None

    def rows(self, rolled_back: OldIds) -> pa.Table:
        """Give the rows as of `with_moved_earlier`."""
        now = self._moved_now() if self._now is None else self._now
        return with_moved_earlier(now, self._earlier, self._ledger, rolled_back)

    def _moved_now(self) -> pd.DataFrame:
        keys = partial(mapped_keys, self._mapping) if self._table.binding.key else None
        return moved_rows(self._table.kept, self._ledger, keys)


def mapped_keys(mapping: Callable[[], Iterable[pd.DataFrame]], ids: OldIds) -> pd.DataFrame:
    """Choose the natural keys of these rows out of the parts of a mapping frame."""
    parts = [part[np.isin(part[frames.OLD_ID].to_numpy(dtype=np.int64), ids)] for part in mapping()]
    return pd.concat(parts).drop(columns=[frames.OLD_ID, frames.NEW_ID, frames.ACTION])


def read_moved(table: TableContext) -> pd.DataFrame:
    """Read which rows got another target row in earlier runs, while their former one is still in the target.

    Parameters
    ----------
    table
        The table.

    Returns
    -------
    pandas.DataFrame
        The columns of `rekeyed/NAME.parquet`; no rows where that is missing or damaged, since a run makes it anew.
    """
    out, none = table.kept_maps.out, frames.from_arrow(REKEYED_SCHEMA.empty_table())
    if out is None or table.binding.id is None:
        return none
    try:
        rows = with_run_ids(table.source, table.binding.plan, out, read_rekeyed(out, table.binding.plan.name))
    except DfsyncError:
        return none
    # The column may have become BIGINT UNSIGNED since.
    id_type = pd.ArrowDtype(pa.from_numpy_dtype(table.binding.id_dtype))
    rows = rows.astype({PREVIOUS: id_type, frames.NEW_ID: id_type})
    return rows if not len(rows) else rows[exist(table, rows[PREVIOUS].to_numpy(dtype=table.binding.id_dtype))]


def with_moved_earlier(moved: pd.DataFrame, earlier: pd.DataFrame, ledger: RowLedger, rolled_back: OldIds) -> pa.Table:
    """Add the rows that an earlier run moved and that have not got their former target row back.

    Parameters
    ----------
    moved
        The rows that this run moved, as of `moved_rows`.
    earlier
        As of `read_moved`.
    ledger
        What became of the rows.
    rolled_back
        As of `unmapped_rows`.

    Returns
    -------
    pyarrow.Table
        As `rekeyed/NAME.parquet` has them, by ascending `old_id`; a reject keeps what it had in the last run.
    """
    if not len(earlier):
        return _as_table(moved)
    now = moved.rename(columns={frames.NEW_ID: "now", PREVIOUS: frames.NEW_ID, "key_after": "key_now"})
    rows = earlier.merge(now.drop(columns="key_before"), on=[frames.OLD_ID, frames.NEW_ID], how="left")
    again = rows["now"].notna()
    rows[frames.NEW_ID] = rows[frames.NEW_ID].mask(again, rows["now"])
    rows["key_after"] = rows["key_after"].mask(again, rows["key_now"])
    ids, new_ids = rows[frames.OLD_ID].to_numpy(np.int64), rows[frames.NEW_ID].to_numpy(ledger.new_id.dtype)
    resolved = ledger.resolved & np.isin(ledger.old_id, ids)
    lost = np.setdiff1d(np.union1d(ledger.without_target_row(), rolled_back), ledger.old_id[resolved])
    has_it = np.isin(ids, lost)
    at_resolved = np.isin(ids, ledger.old_id[resolved])
    has_it[at_resolved] = ledger.new_id[ledger.positions(ids[at_resolved])] == new_ids[at_resolved]
    has_it &= (rows[PREVIOUS] != rows[frames.NEW_ID]).to_numpy(dtype=bool)
    still = rows.loc[has_it, REKEYED_SCHEMA.names]
    parts = [part for part in (moved, still) if len(part)]
    return (
        pa.concat_tables(map(_as_table, parts)).sort_by([(frames.OLD_ID, "ascending"), (PREVIOUS, "ascending")])
        if parts
        else _as_table(moved)
    )


def _as_table(rows: pd.DataFrame) -> pa.Table:
    # Most tables have no such rows, and making nothing of them takes as long as making a few.
    if not len(rows):
        return REKEYED_SCHEMA.empty_table()
    return pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata(None)


def doubled_rows(table: TableContext, ledger: RowLedger, moved: pd.DataFrame, *, asked: bool) -> pd.DataFrame:
    """Choose the moved rows that the target has twice now, though the plan does not ask for it.

    Parameters
    ----------
    table
        The table.
    ledger
        What became of the rows.
    moved
        The rows that this run moved, as of `moved_rows`.
    asked
        Whether the plan asks for a new row where the natural key is another one.

    Returns
    -------
    pandas.DataFrame
        Those whose former target row is still there and no other row's.
    """
    if len(moved) and asked:
        moved = moved[(moved["key_before"] == moved["key_after"]).fillna(False).to_numpy(dtype=bool)]
    former = moved[PREVIOUS].to_numpy(dtype=ledger.new_id.dtype)
    return moved[exist(table, former) & ~np.isin(former, ledger.new_id[ledger.resolved])] if len(moved) else moved


def doubled_notes(table: TableContext, ledger: RowLedger, moved: pd.DataFrame, *, asked: bool) -> list[str]:
    """Tell of rows that the target has twice, as of `doubled_rows`, in a sentence with the first ones as examples."""
    doubled = doubled_rows(table, ledger, moved, asked=asked)
    if not len(doubled):
        return []
    plan = table.binding.plan
    examples = [
        f"{former} -> {'a new one' if new >= DRY_RUN_FIRST_ID else new} (ID {row_name(table.source, plan, int(old))})"
        for old, former, new in doubled.iloc[:_EXAMPLES, :3].itertuples(index=False)
    ]
    count, more = len(doubled), ", ..." if len(doubled) > _EXAMPLES else ""
    have, former = ("row of {} has", "one is") if count == 1 else ("rows of {} have", "ones are")
    told = f"{count} {have.format(plan.name)} another target row than in the last run: {', '.join(examples)}{more}; "
    return [f"{told}the former {former} still in the target"]


def has_same_ids(out: Path, name: str, ledger: RowLedger) -> bool:
    """Tell whether the map that is there gives every row the target row that it has now, and has no other rows."""
    try:
        columns = pq.read_table(mapping_path(out, name), columns=[frames.OLD_ID, frames.NEW_ID]).columns
    except (OSError, pa.ArrowException):
        return False
    # Not copied where all have one: there may be millions.
    chosen = slice(None) if ledger.resolved.all() else ledger.resolved
    ids = (ledger.old_id[chosen], ledger.new_id[chosen])
    return all(np.array_equal(column.to_numpy(), array) for column, array in zip(columns, ids, strict=True))


def unmapped_rows(kept: KeptMap | None, ledger: RowLedger, rolled_back: OldIds) -> tuple[pa.Table, pa.Table]:
    """Find the rows of the last map that have no target row now.

    Parameters
    ----------
    kept
        The map of the last run; None where there is none.
    ledger
        What became of the rows.
    rolled_back
        int64: rows without a target row that the ledger no longer has, since the table rolled back.

    Returns
    -------
    tuple of pyarrow.Table
        Twice as `unmapped/NAME.parquet` has them. The first one has also the rows that had none after the last run:
        they are only in that file until the new map is written.
    """
    if kept is None:
        return pa.table({}), pa.table({})
    lost = np.union1d(ledger.old_id[~ledger.resolved], ledger.rejects().index.to_numpy(dtype=np.int64))
    if len(rolled_back):
        lost = np.setdiff1d(np.union1d(lost, rolled_back), ledger.old_id[ledger.resolved])
    held = lost[kept.find(lost)[0]] if len(lost) else lost
    # Not even to find nothing is a map of millions of rows read for nothing.
    rows = kept.rows(held) if len(held) else pa.table({})
    both = np.union1d(held, kept.unmapped_ids())
    return kept.rows(both) if len(both) > len(held) else rows, rows


def replaced_rows(kept: KeptMap, ledger: RowLedger, followers: OldIds) -> pa.Table:
    """Find what an undo of this run has to put back into the map.

    Parameters
    ----------
    kept
        The map of the last run.
    ledger
        What became of the rows.
    followers
        int64, ascending: the rows whose target row took another natural key.

    Returns
    -------
    pyarrow.Table
        Rows of the map of the last run, of source rows that have another target row now, and of followers.
    """
    known, previous = kept.find(ledger.old_id)
    ids = np.union1d(ledger.old_id[known & ledger.resolved & (previous != ledger.new_id)], followers)
    return kept.rows(ids) if len(ids) else pa.table({})
