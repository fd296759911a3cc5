"""A table that refers to itself, or is in a circle of tables."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from dfsync.pipeline.cycles.dependencies import row_dependencies
from dfsync.pipeline.table.context import TableContext
from dfsync.pipeline.table_sync import TableSync


@dataclass
class CycleMember:
    """One table of a cycle.

    Attributes
    ----------
    sync
        The table, open in the cycle's transaction.
    content_matches
        Where it takes more than this table to tell: the `new_id` of each row that is recognised by its content; index
        `old_id`.
    """

    sync: TableSync
    content_matches: pd.Series[int] | None = None

    @property
    def table(self) -> TableContext:
        """What the stages are given."""
        return self.sync.context

    @cached_property
    def dependencies(self) -> pd.DataFrame:
        """See `row_dependencies`."""
        return row_dependencies(self.table)
