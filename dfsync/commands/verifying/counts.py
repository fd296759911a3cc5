"""How many rows of a table are equal, and how the others differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dfsync.stages.diff import (
    CHANGED,
    DELETED,
    DOUBLED,
    KEPT,
    MISSING,
    OTHER_VALUES,
    REJECTED,
    REKEYED,
    SHARED,
    UNFIT,
)

DIFFERENT = ("changed", "doubled", "deleted", "missing")
"""Counts of rows that are not as the plan asks."""
AS_PLANNED = ("kept", "shared", "other_values", "rekeyed")
"""Counts of rows that are not as the source has them, since the plan does not ask for it."""
COUNTED = ("total", "equal", *DIFFERENT, *AS_PLANNED, "rejected")
REASON = "reason"
"""The column that says what another value in a row's target row means: one of the kinds of `_BY_REASON`."""
_BY_REASON = {
    "changed": CHANGED,
    "kept": KEPT,
    "shared": SHARED,
    "other_values": OTHER_VALUES,
    "rejected": REJECTED,
}
# A row of several of these counts as the first.
_BY_KIND = {"deleted": DELETED, "missing": MISSING, "doubled": DOUBLED, "rekeyed": REKEYED}


@dataclass
class VerifyCounts:
    """One table: total is the sum of all other counts but `unfit`, always."""

    name: str
    table: str
    total: int = 0
    equal: int = 0
    changed: int = 0
    """They differ from target rows that a sync inserted or updated."""
    kept: int = 0
    """They differ from target rows that existed before the last sync, which left them as they were."""
    shared: int = 0
    """They differ from target rows that they share with a source row of a lower id, whose values count."""
    other_values: int = 0
    """They differ from their target rows, and no map says whether a sync wrote these: the table has no id."""
    rekeyed: int = 0
    """The last sync gave them another target row for their new natural key, as `on_rekey = "insert"` asks, and the
    earlier one is still there."""
    doubled: int = 0
    """As `rekeyed`, where the plan does not ask for it: the target has them twice."""
    deleted: int = 0
    """Their target row is gone."""
    missing: int = 0
    """They were never synced."""
    rejected: int = 0
    """The sync reported them: they have no target row, or one that could not take their values."""
    unfit: int = 0
    """Of those that differ the ones with a value that the target's column cannot hold."""
    note: str | None = None
    """Why the table was not verified."""
    seconds: float = 0.0

    @property
    def differ(self) -> int:
        """How many rows are not as the plan asks."""
        return sum(getattr(self, name) for name in DIFFERENT)

    @property
    def as_planned(self) -> int:
        """How many rows differ as the plan asks: it leaves rows of the target as they are."""
        return sum(getattr(self, name) for name in AS_PLANNED)

    def as_dict(self) -> dict[str, Any]:
        """Give the counts, and the seconds rounded."""
        return {**self.__dict__, "seconds": round(self.seconds, 4)}

    def add(self, rows: int, differences: pd.DataFrame) -> None:
        """Count some rows.

        Parameters
        ----------
        rows
            How many were compared.
        differences
            Where they differ: index `old_id`; `kind` and `reason`, strings.
        """
        ids = differences.index.to_numpy()
        kind = differences["kind"].to_numpy(dtype=object)
        reason = differences[REASON].to_numpy(dtype=object)
        of_row = {name: kind == value for name, value in _BY_KIND.items()}
        of_cell = ~np.logical_or.reduce(list(of_row.values()))
        counts = {**of_row, **{name: of_cell & (reason == value) for name, value in _BY_REASON.items()}}
        counted = np.array([], dtype=np.int64)
        for name, chosen in counts.items():
            found = np.setdiff1d(ids[chosen], counted)
            counted = np.union1d(counted, found)
            setattr(self, name, getattr(self, name) + len(found))
        self.equal += rows - len(counted)
        self.unfit += len(np.unique(ids[kind == UNFIT]))
