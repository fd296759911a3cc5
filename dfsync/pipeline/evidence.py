"""What a run keeps beside the new map: the rows that have another target row than before, and those that have none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa

from dfsync.model.types import OldIds
from dfsync.output.last_run import REKEYED_SCHEMA
from dfsync.pipeline.rekey import key_texts
from dfsync.pipeline.session.kept_maps import KeptMap
from dfsync.pipeline.table.ledger import RowLedger


def moved_rows(
    kept: KeptMap | None, ledger: RowLedger, mapped_keys: Callable[[OldIds], pd.DataFrame] | None
) -> pa.Table:
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
    pyarrow.Table
        As `rekeyed/NAME.parquet` has them.
    """
    if kept is None:
        return pa.table({})
    known, previous = kept.find(ledger.old_id)
    rows = known & ledger.resolved & (previous != ledger.new_id)
    ids = ledger.old_id[rows]
    before = after = pa.nulls(len(ids), pa.string())
    if len(ids) and mapped_keys is not None:
        before, after = key_texts(kept.keys(ids)), key_texts(mapped_keys(ids))
    columns = [pa.array(ids), pa.array(previous[rows]), pa.array(ledger.new_id[rows]), before, after]
    return pa.table(columns, names=REKEYED_SCHEMA.names)


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
