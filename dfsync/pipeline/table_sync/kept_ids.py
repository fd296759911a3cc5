"""The rows whose ids the plan names get the target rows of these ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from dfsync.model.types import OldIds
from dfsync.pipeline.known.keep_ids import KeptRows, find_kept
from dfsync.pipeline.table.context import TableContext
from dfsync.pipeline.table.ledger import RowLedger


def settle_kept_rows(
    table: TableContext, ledger: RowLedger, insert: Callable[[OldIds], pd.Series[Any]] | None
) -> KeptRows:
    """Give source rows of kept ids, and those that share their target rows, the target rows of these ids.

    Parameters
    ----------
    table
        The table.
    ledger
        Of all rows, after the match.
    insert
        Inserts rows (int64, ascending) under their own ids, enters them into the ledger, and gives these ids by
        `old_id`; None where the table is only matched.

    Returns
    -------
    KeptRows
        What was found.
    """
    kept = find_kept(table, ledger)
    ledger.unresolve(np.isin(ledger.old_id, kept.rejects.index))
    ledger.record_reject(kept.rejects)
    ledger.record_match(kept.present, table.own_ids(kept.present))
    if insert is not None and len(kept.lacking):
        ledger.record_match(*table.alike(kept.same, insert(kept.lacking)))
    ledger.share_target_rows(ledger.resolved & table.is_kept_row(ledger.old_id))
    return kept
