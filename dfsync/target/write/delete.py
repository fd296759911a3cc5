"""Deleting rows of the target by their ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from dfsync.plan.binding import TableBinding

IDS_PER_STATEMENT = 1_000


def null_self_references(connection: sa.Connection, shape: TableBinding, ids: Sequence[Any]) -> None:
    """Empties the nullable columns that refer to the same table by a value: a row may do so to itself."""
    values = [column.name for column in shape.target.pick(shape.self_references_by_value()) if column.nullable]
    if not values:
        return
    own_id: Any = sa.column(shape.id or "")
    there = sa.table(shape.target.name, own_id, *(sa.column(name) for name in values))
    for start in range(0, len(ids), IDS_PER_STATEMENT):
        chunk = list(ids[start : start + IDS_PER_STATEMENT])
        connection.execute(sa.update(there).values(dict.fromkeys(values)).where(own_id.in_(chunk)))
