"""Rows of a table that refers to itself are inserted with those of their deferred references that are known by then.

A reference is deferred where it may be NULL. Most rows refer to earlier ones, whose target row is there already or is
inserted by the same statement, so that its new id can be told (`dfsync.target.write.linked_insert`). Only the other
references, to later rows and to those that are not inserted at the first try, are NULL at first and written at the end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from dfsync.model import frames
from dfsync.model.types import Mask, NewIds, Positions, arrow_type
from dfsync.pipeline.cycles.member import CycleMember
from dfsync.pipeline.table.ledger import RowLedger
from dfsync.pipeline.table.load import with_deferred_nulls
from dfsync.stages.row_order import NULL_REF


def send_with_references(member: CycleMember, rows: pd.DataFrame) -> tuple[pd.Series[Any], pd.DataFrame]:
    """Insert rows; `CycleMember.early` then says which deferred references they were inserted with.

    Parameters
    ----------
    member
        A table of which all rows are matched.
    rows
        A batch, by ascending `old_id`; deferred foreign keys hold the source's ids.

    Returns
    -------
    tuple of Series and DataFrame
        As `Loader.insert` gives them.
    """
    binding, ledger, loader = member.table.binding, member.sync.ledger, member.sync.loader
    values, links = {}, {}
    for column in member.own_deferred:
        ids, known, links[column] = _known_parents(ledger, rows[column])
        new_ids = pa.array(ids, mask=~known).cast(arrow_type(binding.target[column]))
        values[column] = frames.series(new_ids).set_axis(rows.index)
    rows = frames.with_columns(with_deferred_nulls(member.table, rows), values)
    inserted, refused = loader.insert_linked(rows, links, {}, optional=True)
    left = ~(rows.index.isin(inserted.index) | rows.index.isin(refused.index))
    if left.any():
        # They depend on a refused row, or another client inserted meanwhile.
        others, others_refused = loader.insert(rows[left])
        ids = np.concatenate([inserted.to_numpy(), others.to_numpy()])
        inserted = pd.Series(ids, inserted.index.append(others.index))
        refused = pd.concat([refused, others_refused]).sort_index()
    is_refused = rows.index.isin(refused.index)
    for column, values_of_column in values.items():
        written = values_of_column.notna().to_numpy(dtype=bool) | ((links[column] != NULL_REF) & ~left)
        member.early[column][ledger.positions(rows.index)] = written & ~is_refused
    return inserted, refused


def _known_parents(ledger: RowLedger, references: pd.Series[int]) -> tuple[NewIds, Mask, Positions]:
    """For each row the new id of the row referred to, whether it has one, and the position of the row in the batch that
    will have one: `NULL_REF` where it is none, or comes later.
    """
    ids = np.asarray(references.fillna(0), dtype=np.int64)
    at = np.minimum(ledger.positions(ids), len(ledger) - 1)
    in_source = references.notna().to_numpy(dtype=bool) & (ledger.old_id[at] == ids)
    # A row without a target row of its own yet will share that of its representative.
    holder = np.where(ledger.resolved[at], at, ledger.positions(ledger.representative_id[at]))
    known = in_source & ledger.resolved[holder]
    in_batch = references.index.get_indexer(pd.Index(ledger.old_id[holder]))
    linked = in_source & ~known & (in_batch >= 0) & (in_batch < np.arange(len(references)))
    return ledger.new_id[holder], known, np.where(linked, in_batch, NULL_REF)
