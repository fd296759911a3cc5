"""What another value in a target row means: a change after the sync, or what the plan asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dfsync.commands.verifying.counts import REASON
from dfsync.model import frames
from dfsync.model.frames import MATCHED, UPDATED
from dfsync.model.types import Mask
from dfsync.output.last_run import LastRun
from dfsync.pipeline.known.rekey import asks_for_new_rows
from dfsync.plan.model import Plan, TablePlan
from dfsync.stages.diff import CHANGED, DOUBLED, KEPT, OTHER_VALUES, REJECTED, REKEYED, SHARED

_UPDATE = "update"


@dataclass(frozen=True)
class Reasons:
    """The kinds that other values of one table have.

    Attributes
    ----------
    matched
        Of rows that the target had before the last sync.
    without_id
        Of rows of a table without an id, of which there is no map.
    untouched
        The columns to which `on_match = "update"` gives no values, in lower case.
    rekeyed
        Of rows that have a new target row for a new natural key.
    """

    matched: str
    without_id: str
    untouched: frozenset[str]
    rekeyed: str

    @classmethod
    def of(cls, plan: Plan, name: str, columns: list[str], last: LastRun) -> Reasons:
        """Read them off the plan and the last run.

        Parameters
        ----------
        plan
            The complete plan.
        name
            One of its tables.
        columns
            The columns that are copied.
        last
            The last sync.

        Returns
        -------
        Reasons
        """
        table = plan[name]
        updates = last.on_match(name, table.on_match) == _UPDATE
        written = {column.lower() for column in table.update_columns or columns}
        return cls(
            matched=KEPT if not updates and _is_known_by_key_or_id(table) else CHANGED,
            without_id=_without_id(name, last, updates=updates),
            untouched=frozenset(column.lower() for column in columns) - written if updates else frozenset(),
            rekeyed=REKEYED if asks_for_new_rows(plan, name) else DOUBLED,
        )

    def of_mapped(self, mapping: pd.DataFrame, shared: Mask, rejected: Mask) -> pd.DataFrame:
        """Say what another value means in rows of a mapping.

        Parameters
        ----------
        mapping
            With the column `action`.
        shared
            True for rows whose target row is that of an earlier one.
        rejected
            True for rows that the sync reported.

        Returns
        -------
        pandas.DataFrame
            The mapping with the column `reason`.
        """
        matched = (mapping[frames.ACTION] == MATCHED).to_numpy(dtype=bool)
        reasons = np.select([rejected, shared, matched], [REJECTED, SHARED, self.matched], CHANGED)
        return mapping.assign(**{REASON: reasons})

    def of_unmapped(self, differences: pd.DataFrame) -> pd.DataFrame:
        """Say it of differences of a table without an id, whose `new_id` and `action` are NULL."""
        none = frames.nulls_like(differences["column"])
        empty = {frames.NEW_ID: none.astype(frames.INT64), frames.ACTION: none}
        return differences.assign(**empty, **{REASON: self.without_id})

    def with_kinds(self, differences: pd.DataFrame) -> pd.DataFrame:
        """Give each difference in a value the kind that its row's reason says.

        Parameters
        ----------
        differences
            `kind`, `column`, `action` and `reason`, which is NULL for rows that are in no map.

        Returns
        -------
        pandas.DataFrame
            The same rows, with `kind` and `reason` as they are to be counted and told.
        """
        reason = differences[REASON].astype(frames.STRING).fillna(CHANGED)
        if self.untouched:
            found = differences[frames.ACTION].isin([MATCHED, UPDATED]) | differences[frames.ACTION].isna()
            untouched = differences["column"].str.lower().isin(self.untouched) & found & (reason == CHANGED)
            reason = reason.mask(untouched.to_numpy(dtype=bool), KEPT)
        other = (differences["kind"] == CHANGED).to_numpy(dtype=bool)
        return differences.assign(kind=differences["kind"].mask(other, reason), **{REASON: reason})

    def of_rekeyed(self, rekeyed: pd.DataFrame) -> pd.Series[Any]:
        """Say what it means that the earlier target row of rekeyed rows is still there.

        Parameters
        ----------
        rekeyed
            `key_before` and `key_after`, strings.

        Returns
        -------
        pandas.Series
            `rekeyed` or `doubled`; where the key is the same as before, nobody asked for a second row.
        """
        same = (rekeyed["key_before"] == rekeyed["key_after"]).fillna(False).to_numpy(dtype=bool)
        return pd.Series(np.where(same, DOUBLED, self.rekeyed), index=rekeyed.index)


def _is_known_by_key_or_id(table: TablePlan) -> bool:
    """Whether rows are recognised whatever their other values are; by its whole content a row is equal when matched."""
    return bool(table.key) or table.identity == "id"


def _without_id(name: str, last: LastRun, *, updates: bool) -> str:
    if updates or last.inserted_all(name):
        return CHANGED
    return KEPT if last.found_all(name) else OTHER_VALUES
