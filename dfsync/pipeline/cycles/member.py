"""The tables of a cycle: before their rows are inserted, and afterwards, while orphans are looked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa

from dfsync.model import frames
from dfsync.model.frames import INSERTED
from dfsync.model.types import Mask, NewIds, OldIds
from dfsync.pipeline.cycles.dependencies import reference_ids, row_dependencies
from dfsync.pipeline.table.context import TableContext
from dfsync.pipeline.table.ledger import RowLedger
from dfsync.pipeline.table.match import KnownRows, find_known_rows
from dfsync.pipeline.table_sync.sync import TableSync
from dfsync.plan.binding import TableBinding


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
    keyless_ids, matchable_ids
        The `old_id` of the rows that were recognised by their content, and of all rows that could be recognised.
    early
        By deferred foreign key to this table, one bool for each row of the ledger: whether the row was inserted with
        the new id that it refers to. A column is missing where no row was.
    """

    sync: TableSync
    content_matches: pd.Series[int] | None = None
    keyless_ids: OldIds = field(default_factory=lambda: np.array([], np.int64))
    matchable_ids: OldIds = field(default_factory=lambda: np.array([], np.int64))
    early: dict[str, Mask] = field(default_factory=dict)
    _known: KnownRows | None = None

    @property
    def table(self) -> TableContext:
        """What the stages are given."""
        return self.sync.context

    @cached_property
    def dependencies(self) -> pd.DataFrame:
        """See `row_dependencies`."""
        return row_dependencies(self.table)

    @property
    def own_deferred(self) -> list[str]:
        """The deferred foreign keys to this table."""
        plan = self.sync.plan
        return [column for column, parent in plan.parents.items() if parent == plan.name and column in plan.deferred]

    @property
    def known(self) -> pd.Series[int]:
        """The `new_id` of the rows without a natural key that are known by their ids; index `old_id`, ascending."""
        if self._known is None:
            nothing: NewIds = np.array([], self.table.binding.id_dtype)
            return pd.Series(nothing, np.array([], np.int64))
        return pd.Series(self._known.new_id, self._known.old_id)

    def find_known(self, ids: OldIds | None, taken: NewIds) -> OldIds | None:
        """Find the rows that are known by their ids, once for all.

        Parameters
        ----------
        ids
            int64, ascending: the rows without a natural key. None takes all rows.
        taken
            Target rows that other source rows may have.

        Returns
        -------
        OldIds or None
            The other rows; None for all.
        """
        if not self.table.knows_ids:
            return ids
        if self._known is None:
            self._known = find_known_rows(self.table, ids, taken)
        return self._known.rest

    def read_references(self, foreign_keys: Sequence[str], ids: OldIds) -> pd.DataFrame:
        """Read the references of rows to rows that this run may have inserted.

        Parameters
        ----------
        foreign_keys
            Columns that refer to tables of the cycle.
        ids
            Ascending.

        Returns
        -------
        DataFrame
            Index `old_id`. In the foreign keys the old ids (Arrow int64) that the rows refer to. In each column that
            refers to the same table by a value the old id of the row that has it, NULL unless this run inserted a
            target row for it: target rows that existed before are never removed.
        """
        references = reference_ids(self.table, foreign_keys, ids)
        inserted = self.sync.ledger.old_id[self.sync.ledger.created]
        owners = {name: self.dependencies.loc[ids, name] for name in self.table.binding.self_references_by_value()}
        return frames.with_columns(
            references, {name: owner.where(owner.isin(inserted)) for name, owner in owners.items()}
        )


@dataclass
class OrphanMember:
    """One table of a cycle after its rows were inserted.

    Attributes
    ----------
    cycle_member
        The table before.
    references
        What `CycleMember.read_references` gives for each row of the source that this run inserted a target row for.
    attempted
        One bool for each row of the ledger: whether it was an orphan, or was tried as the replacement of one.
    unclaimed
        Ascending: the orphans whose inserted target row may still be handed to a duplicate.
    """

    cycle_member: CycleMember
    references: pd.DataFrame
    attempted: Mask
    unclaimed: OldIds = field(default_factory=lambda: np.array([], np.int64))

    @classmethod
    def after_inserts(cls, cycle_member: CycleMember, names: Sequence[str]) -> OrphanMember:
        """Read the references of the rows that were inserted.

        Parameters
        ----------
        cycle_member
            A table whose rows were inserted.
        names
            The tables of the cycle.

        Returns
        -------
        OrphanMember
            Nothing is attempted or unclaimed.
        """
        ledger = cycle_member.sync.ledger
        foreign_keys = [column for column, parent in cycle_member.sync.plan.parents.items() if parent in names]
        references = cycle_member.read_references(foreign_keys, ledger.old_id[ledger.with_action(INSERTED)])
        return cls(cycle_member, references, np.zeros(len(ledger), dtype=bool))

    @property
    def table(self) -> TableContext:
        """What the stages are given."""
        return self.cycle_member.table

    @property
    def binding(self) -> TableBinding:
        """The table's place in both schemas."""
        return self.table.binding

    @property
    def ledger(self) -> RowLedger:
        """What became of each row."""
        return self.cycle_member.sync.ledger

    @property
    def dependencies(self) -> pd.DataFrame:
        """See `row_dependencies`."""
        return self.cycle_member.dependencies

    def parents(self) -> dict[str, str]:
        """Return the table that each column of `references` refers to.

        Returns
        -------
        dict
            By column. A column that is no foreign key to ids refers to its own table by a value.
        """
        plan = self.binding.plan
        return {column: plan.parents.get(column, plan.name) for column in self.references.columns}

    def read_references(self, ids: OldIds) -> pd.DataFrame:
        """Read the references of more rows; see `CycleMember.read_references`.

        Parameters
        ----------
        ids
            Ascending.

        Returns
        -------
        DataFrame
            Index `old_id`; the columns of `references`.
        """
        foreign_keys = [column for column in self.references.columns if column in self.binding.plan.parents]
        return self.cycle_member.read_references(foreign_keys, ids)

    def target_ids(self, ids: pd.Index[int]) -> pd.DataFrame:
        """Return the ids of the target rows of source rows.

        Parameters
        ----------
        ids
            Old ids of rows in the ledger.

        Returns
        -------
        DataFrame
            Index `old_id`; the target's id column (Arrow integer).
        """
        new_ids = pa.array(self.ledger.new_id[self.ledger.positions(ids)])
        return pd.DataFrame({self.binding.id: frames.series(new_ids)}).set_axis(ids)
