"""What became of the rows of one table, in counts and sentences. Reads the ledger only."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dfsync.model.errors import TableError
from dfsync.model.frames import INSERTED, MATCHED, UPDATED
from dfsync.output.result import TableCounts
from dfsync.pipeline.session.file_rows import row_name
from dfsync.pipeline.table.context import TableContext
from dfsync.pipeline.table.ledger import RowLedger, count_by_file
from dfsync.plan.binding import TableBinding
from dfsync.plan.model import TablePlan
from dfsync.source.base import Source
from dfsync.text.wording import with_count


def require_accounted(ledger: RowLedger, total: int) -> None:
    """Raise `TableError` where one of `total` source rows is neither mapped nor rejected (promise 1)."""
    mapped, rejected = int(np.count_nonzero(ledger.resolved)), len(ledger.rejects())
    if mapped + rejected != total:
        raise TableError(
            f"of {total} source rows {mapped} have a target row and {rejected} are rejects: the others "
            "are unaccounted for, which is a fault of dfsync; please report it"
        )


def count_rows(source: Source, plan: TablePlan, ledger: RowLedger, total: int, error: str | None) -> TableCounts:
    """Count what became of `total` source rows; `error` says why the table failed as a whole."""
    inserted, matched, updated = (
        int(np.count_nonzero(ledger.with_action(action))) for action in (INSERTED, MATCHED, UPDATED)
    )
    return TableCounts(
        name=plan.name,
        table=plan.table,
        total=total,
        inserted=inserted,
        matched=matched,
        updated=updated,
        failed=total - inserted - matched - updated,
        shared=int(np.count_nonzero(ledger.resolved & ~ledger.lowest_of_group())),
        error=error,
        sources=count_by_file(source, plan, ledger),
    )


def one_transaction_note(binding: TableBinding, ledger: RowLedger, piece_rows: int | None) -> list[str]:
    """Say why the new rows of a table are not committed in pieces of so many rows; nothing where they need none."""
    plan, inserted = binding.plan, int(np.count_nonzero(ledger.created))
    if piece_rows is None or inserted <= piece_rows:
        return []
    own = plan.name in plan.parents.values() or binding.self_references_by_value()
    why = "they refer to rows of their own table" if own else "the table is one of a circle"
    return [f"{plan.table}: its {with_count(inserted, 'new rows')} are committed in one transaction, since {why}"]


def unfit_note(table: TableContext, unfit: pd.DataFrame) -> dict[str, str]:
    """Tell of matched rows whose values do not fit (a reject frame), as `TableSync.notes` has it."""
    if not len(unfit):
        return {}
    # The server does not always name a column.
    row = row_name(table.source, table.binding.plan, int(unfit.index[0]))
    first = f"row {row}: {' '.join(unfit[['column', 'reason']].iloc[0].dropna())}"
    return {"update": f"{len(unfit)} matched rows keep the target's values, because theirs do not fit; {first}"}
