"""The rows of one table with a surrogate id, on their way back to what they were before a run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from dfsync.model.schema import Table
from dfsync.model.types import Mask, NewIds, OldIds, Positions
from dfsync.output.journal.record import TableRecord, Undone
from dfsync.output.journal.rows import BEFORE, INSERTED, read_committed
from dfsync.target.errors import SERVER_ERRORS, explain, is_row_error
from dfsync.target.read.exact import DIGEST, Digests, read_digests
from dfsync.target.read.references import Reference, referring_rows
from dfsync.target.write.restore import restore

CHANGED = "changed since the run"
GONE = "no longer there, so it cannot get back its values"
LOST_COLUMN = "cannot get back its values: the table has no column {} any more"
TRIGGERED = "has its values back but for what a trigger of the target changed then"


@dataclass
class Rows:
    """Rows of a journal by ascending id, and what becomes of them.

    Attributes
    ----------
    ids, old_ids, digests
        As the journal has them.
    going
        Whether the row is to be taken back.
    reasons
        By position: why it stays.
    """

    ids: NewIds
    old_ids: OldIds
    digests: Digests
    going: Mask = field(init=False)
    reasons: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.going = np.zeros(len(self.ids), dtype=bool)

    @classmethod
    def of(cls, tables: list[pa.Table]) -> tuple[Rows, pa.Table | None]:
        """Take the parts of a file of the journal; also gives them as one table in the same order."""
        if not tables:
            none = np.array([], np.int64)
            return cls(none, none, none.astype(np.uint64)), None
        table = pa.concat_tables(tables)
        ids = table.column("new_id").to_numpy()
        order = np.argsort(ids, kind="stable")
        old_ids, digests = (table.column(name).to_numpy()[order] for name in ("old_id", DIGEST))
        return cls(ids[order], old_ids, digests), table

    def positions(self, ids: NewIds) -> tuple[Positions, Mask]:
        """Find ids: their positions, and whether the rows have each of them."""
        if not len(self.ids):
            return np.zeros(len(ids), np.intp), np.zeros(len(ids), dtype=bool)
        position = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        return position, np.asarray(self.ids[position] == ids)

    def keep(self, positions: Iterable[int], reason: str) -> None:
        """Let rows stay, for the first reason that each is given. Row by row: they are few."""
        for position in positions:
            self.going[position] = False
            self.reasons.setdefault(int(position), reason)

    def kept(self) -> pa.Table:
        """Give the rows that stay, as `kept/NAME.parquet` has them."""
        at = np.array(sorted(self.reasons), np.intp)
        reasons = pa.array([self.reasons[int(position)] for position in at], pa.string())
        return pa.table({"new_id": self.ids[at], "old_id": self.old_ids[at], "reason": reasons})


class TableUndo:
    """Owns the rows of one table in one attempt: `lock` and `restore` come first, then `undo.referenced` deletes them.

    Parameters
    ----------
    record
        The table in the record of the run.
    table
        The target's table.
    run
        The folder of the run.
    force
        Whether rows that were changed since go, too.

    Attributes
    ----------
    id
        The target's surrogate id.
    inserted
        The rows that the run inserted.
    """

    def __init__(self, record: TableRecord, table: Table, run: Path, *, force: bool) -> None:
        assert record.id is not None
        self.record, self.table, self.id = record, table, record.id
        self.inserted, _ = Rows.of(read_committed(run, INSERTED, record))
        tables = read_committed(run, BEFORE, record)
        # Of a row that several parts updated the first one has the values of before; no part has the digest of another.
        self._updated, before = Rows.of(tables)
        self._before = None if before is None else before.sort_by("new_id")
        self._force = force
        self._restored: Mask = np.zeros(len(self._updated.ids), dtype=bool)

    def lock(self, connection: sa.Connection) -> None:
        """Lock the rows until the transaction ends, and see which are as the run left them."""
        self._look(connection, self.inserted, None)
        if self._before is not None:
            self._look(connection, self._updated, self._before.column("digest_before").to_numpy())

    def _look(self, connection: sa.Connection, rows: Rows, before: Digests | None) -> None:
        there = np.zeros(len(rows.ids), dtype=bool)
        done = changed = there
        if len(rows.ids):
            done, changed = there.copy(), there.copy()
            for found in read_digests(connection, self.table, self.id, rows.ids, lock=True):
                at = np.searchsorted(rows.ids, found.ids)
                there[at] = True
                changed[at] = rows.digests[at] != found.digests
                if before is not None:
                    done[at] = before[at] == found.digests
        rows.going = there & ~done
        if not self._force:
            rows.keep(np.flatnonzero(rows.going & changed), CHANGED)
        if before is not None:
            self._restored |= done
            rows.keep(np.flatnonzero(~there), GONE)

    def restore(self, connection: sa.Connection, references: Iterable[Reference]) -> None:
        """Give updated rows their values of before, but for those that the server takes out of rows of others then."""
        if self._before is None:
            return
        for reference in references:
            ids = self._updated.ids[self._updated.going]
            if len(ids) and reference.parent == self.table.name and reference.sets_null_on_update:
                referred, _ = referring_rows(connection, reference, self.table, self.id, ids, None)
                at, _ = self._updated.positions(referred)
                self._updated.keep(at, f"{reference.referrer} refers to it, and would lose the reference")
        missing = [name for name in self._before.schema.field("before").type.names if name not in self.table]
        if missing:
            self._updated.keep(np.flatnonzero(self._updated.going), LOST_COLUMN.format(", ".join(missing)))
        at = np.flatnonzero(self._updated.going)
        before = pa.Table.from_struct_array(self._before.column("before").combine_chunks())
        refused = self._restore(connection, before, at)
        # A value of a unique key is free when the row that has it now has its own value back.
        while refused and len(left := self._restore_each(connection, before, refused)) < len(refused):
            refused = left
        for row, reason in refused.items():
            self._updated.keep([row], f"cannot get back its values: {reason}")
        at = np.flatnonzero(self._updated.going)
        self._restored[at] = True
        digests = self._before.column("digest_before").to_numpy()
        for found in read_digests(connection, self.table, self.id, self._updated.ids[at]):
            position = np.searchsorted(self._updated.ids, found.ids)
            self._updated.keep(position[digests[position] != found.digests], TRIGGERED)

    def _restore_each(self, connection: sa.Connection, before: pa.Table, refused: dict[int, str]) -> dict[int, str]:
        """Try refused rows again in the order that is reverse to the last one, in which a chain of them is loosed."""
        left: dict[int, str] = {}
        for position in reversed(list(refused)):
            left |= self._restore(connection, before, np.array([position], np.intp))
        return left

    def _restore(self, connection: sa.Connection, before: pa.Table, at: Positions) -> dict[int, str]:
        """Halve what the server refuses until the row at fault is alone; gives these with the reason."""
        if not len(at):
            return {}
        rows = before.take(pa.array(at))
        try:
            with connection.begin_nested():
                restore(connection, self.table, rows.select([self._id_name(before)]), rows)
        except SERVER_ERRORS as error:
            if not is_row_error(error):
                raise
            if len(at) == 1:
                return {int(at[0]): explain(error)}
            first, second = np.array_split(at, 2)
            return self._restore(connection, before, first) | self._restore(connection, before, second)
        return {}

    def _id_name(self, before: pa.Table) -> str:
        return next(str(name) for name in before.column_names if name.lower() == self.id.lower())

    def begun(self) -> pa.Table:
        """Nothing: an id that is gone is given to no other row."""
        return pa.table({})

    def kept(self) -> pa.Table:
        """Give the rows that stay, as `kept/NAME.parquet` has them."""
        tables = [rows.kept() for rows in (self.inserted, self._updated)]
        return pa.concat_tables([table.cast(tables[0].schema) for table in tables if table.num_rows] or tables[:1])

    def gone_ids(self) -> NewIds:
        """The ids of the inserted rows that are in the target no more."""
        stay = np.fromiter(self.inserted.reasons, np.intp, len(self.inserted.reasons))
        return np.delete(self.inserted.ids, stay)

    def restored_ids(self) -> NewIds:
        """The ids of the rows that have their values of before."""
        return np.asarray(self._updated.ids[self._restored])

    def undone(self) -> Undone:
        """Count what became of the rows."""
        kept = len(self.inserted.reasons) + len(self._updated.reasons)
        return Undone(len(self.gone_ids()), len(self._updated.ids) - len(self._updated.reasons), kept)
