"""The ids of a table whose new rows keep those of their source rows: which are free, and which rows have others."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from dfsync.model import frames
from dfsync.model.errors import TableError
from dfsync.model.types import Mask, OldIds, integer_range
from dfsync.output.result import OtherIds
from dfsync.pipeline.session.file_rows import row_name, table_of_files
from dfsync.pipeline.table.context import TableContext
from dfsync.pipeline.table.ledger import RowLedger
from dfsync.target.read.rows import highest_id, next_id, which_exist
from dfsync.target.write.with_ids import GivenIds

_MAX_ID = 2**63 - 1
_EXAMPLES = 10
_TAKEN, _UNFIT, _THERE, _SHARED = "taken", "unfit", "there", "shared"


def with_given_ids(table: TableContext, ledger: RowLedger, *, strict: bool) -> TableContext:
    """Settle the ids of all rows without a target row before the first is inserted; see `give_ids`."""
    return replace(table, given=give_ids(table, ledger, strict=strict))


def give_ids(table: TableContext, ledger: RowLedger, *, strict: bool) -> GivenIds:
    """Give each row without a target row the id that it has in the source, or a new one where that is not free.

    Parameters
    ----------
    table
        The table.
    ledger
        Of all rows, after the match; only read.
    strict
        Whether a row whose id is not free makes the table fail.

    Returns
    -------
    GivenIds
        Of the rows without a target row. Of several files with one id the first keeps it.

    Raises
    ------
    TableError
        Where `strict` is given and a row cannot keep its id, or the target has no ids left.
    """
    new = ~ledger.resolved
    old, leads = ledger.old_id[new], ledger.is_representative[new]
    own = table.own_ids(old)
    free = _is_free(table, old, own, leads)
    ids = own.astype(table.binding.id_dtype)
    # A row that shares the target row of another one needs its id only where that one is rejected.
    others = np.flatnonzero(~free)
    step = 1
    if len(others):
        if strict and leads[others].any():
            raise TableError(_refusal(table, own[others][leads[others]]))
        others = others[np.argsort(~leads[others], kind="stable")]
        first, step = _next_free(table, own[free], len(others))
        ids[others] = first + np.arange(len(others)) * step
    return GivenIds(old, ids, step, strict=strict)


def _is_free(table: TableContext, old: OldIds, own: OldIds, leads: Mask) -> Mask:
    binding = table.binding
    assert binding.id is not None
    # AUTO_INCREMENT knows no negative ids: what it does about one is not defined.
    free: Mask = (own >= 0) & (own <= _highest_possible(table))
    order = np.lexsort((old, ~leads, own))
    again = own[order][1:] == own[order][:-1]
    free[order[1:][again]] = False
    highest = highest_id(table.connection, binding.target, binding.id)
    doubtful = np.sort(own[free & (own <= highest)])
    there = doubtful[which_exist(table.connection, binding.target, binding.id, doubtful)]
    return free & ~np.isin(own, there)


def _highest_possible(table: TableContext) -> int:
    binding = table.binding
    return min(integer_range(binding.target[binding.id or ""])[1], _MAX_ID)


def _next_free(table: TableContext, kept: OldIds, count: int) -> tuple[int, int]:
    """The first id above all that the target has, has given or is to keep, and the step from one to the next."""
    binding, connection = table.binding, table.connection
    variables = sa.text("SELECT @@SESSION.auto_increment_increment, @@SESSION.auto_increment_offset")
    step, offset = (int(value) for value in connection.execute(variables).one())
    above = max(
        highest_id(connection, binding.target, binding.id or "") + 1,
        next_id(connection, binding.target) or 1,
        int(kept.max(initial=0)) + 1,
    )
    first = above + (offset - above) % step
    if first + count * step > _highest_possible(table):
        raise TableError(
            f"the ids of the target are used up: {count} rows need new ones above {above - 1}; leave the ids of the "
            'table to the target (ids = "new"), or make the column larger'
        )
    return first, step


def _refusal(table: TableContext, ids: OldIds) -> str:
    shown = ", ".join(map(str, ids[:_EXAMPLES])) + (", ..." if len(ids) > _EXAMPLES else "")
    return f"the ids of {len(ids)} new rows are not free in the target, and are to be kept strictly: {shown}"


def find_other_ids(table: TableContext, ledger: RowLedger) -> pa.Table:
    """Find the rows that have another id in the target than in the source.

    Parameters
    ----------
    table
        The table.
    ledger
        What became of the rows.

    Returns
    -------
    pyarrow.Table
        By ascending `old_id`: `old_id` and `new_id` (int64, or uint64 where the target's id needs it), `reason`
        (string): `taken` where another row has its id, `unfit` where the column cannot have it as an id, `there` where
        the target has the row under another id, `shared` where it shares the target row of an earlier row.
    """
    own = table.own_ids(ledger.old_id)
    rows = np.flatnonzero(ledger.resolved & (own != ledger.new_id.astype(np.int64)))
    own = own[rows]
    unfit = (own < 0) | (own > _highest_possible(table))
    duplicate = ~ledger.is_representative[rows]
    reason = np.select([duplicate, ~ledger.created[rows], unfit], [_SHARED, _THERE, _UNFIT], _TAKEN)
    columns = [ledger.old_id[rows], ledger.new_id[rows], pa.array(reason.tolist(), pa.string())]
    return pa.table(columns, names=[frames.OLD_ID, frames.NEW_ID, "reason"])


def other_ids_of_files(table: TableContext, ledger: RowLedger) -> pa.Table:
    """Make the rows of `other_ids/NAME.parquet`; none where the ids are not to be kept."""
    plan = table.binding.plan
    return table_of_files(table.source, plan, find_other_ids(table, ledger) if plan.keeps_ids else pa.table({}))


def count_other_ids(table: TableContext, ledger: RowLedger, *, dry_run: bool) -> OtherIds:
    """Count the rows of `find_other_ids` by their reasons, with the first ones as examples."""
    found = find_other_ids(table, ledger)
    shown = found.slice(0, _EXAMPLES).to_pandas()
    examples = [
        {
            "row": row_name(table.source, table.binding.plan, int(old)),
            "new_id": None if dry_run and reason in (_TAKEN, _UNFIT) else int(new),
            "reason": reason,
        }
        for old, new, reason in shown.itertuples(index=False)
    ]
    counts = found.column("reason").to_pandas().value_counts()
    by_reason = {name: int(counts.get(name, 0)) for name in (_TAKEN, _UNFIT, _THERE, _SHARED)}
    return cast(OtherIds, {"rows": len(found), **by_reason, "examples": examples})
