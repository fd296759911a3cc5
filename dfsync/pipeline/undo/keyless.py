"""The rows of one table without a surrogate id, on their way back to what they were before a run.

Its rows are read as a whole and locked, since no id names them: by their primary key, else by their digest. Of equal
rows only so many are deleted that those which were there before the run remain.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from dfsync.model.schema import Table
from dfsync.model.types import NewIds
from dfsync.output.journal.record import TableRecord, Undone
from dfsync.output.journal.rows import BEFORE, INSERTED, KEPT_SCHEMA, read_committed
from dfsync.pipeline.undo.table import CHANGED, GONE, TRIGGERED
from dfsync.target.errors import SERVER_ERRORS, explain, is_row_error
from dfsync.target.read.exact import DIGEST, exact_bytes, read_exact
from dfsync.target.read.references import Reference
from dfsync.target.write.delete import delete_by_digest
from dfsync.target.write.restore import delete_by_key, restore

_Key = tuple[Any, ...]


class KeylessUndo:
    """Owns the rows of one table in one attempt, as `TableUndo` does; row by row, since such tables are rare.

    Parameters
    ----------
    record, table, run, force
        As of `TableUndo`.
    """

    id: str | None = None

    def __init__(self, record: TableRecord, table: Table, run: Path, *, force: bool) -> None:
        self.record, self.table, self._force = record, table, force
        self._inserted = read_committed(run, INSERTED, record)
        self._before = read_committed(run, BEFORE, record)
        self._names = list(table.primary_key)
        self._going: dict[_Key, int] = {}
        self._counts: Counter[int] = Counter()
        self._now: Counter[int] = Counter()
        self._updates: list[tuple[_Key, dict[str, Any], int]] = []
        self._update_keys: list[str] = []
        self._reasons: list[str] = []
        self._total = self._restored = 0

    def lock(self, connection: sa.Connection) -> None:
        """Lock the table's rows until the transaction ends, and see which are as the run left them."""
        if self._inserted:
            self._total = sum(sum(table.column("count").to_pylist()) for table in self._inserted)
            rows, digests = read_exact(connection, self.table, self._names, lock=True)
            if self._names:
                self._lock_keyed(_keys(rows), digests.to_pylist())
            elif self.record.undone is None:
                # Of equal rows only so many are counted once: what came after an undo is of others.
                self._now = Counter(digests.to_pylist())
                for table in self._inserted:
                    self._count(table)
        for table in self._before:
            self._lock_updated(connection, table)

    def _lock_keyed(self, keys: list[_Key], digests: list[int]) -> None:
        now = dict(zip(keys, digests, strict=True))
        for table in self._inserted:
            for key, digest in zip(_structs(table.column("key")), table.column(DIGEST).to_pylist(), strict=True):
                if key in now and (self._force or now[key] == digest):
                    self._going[key] = digest
                elif key in now:
                    self._reasons.append(CHANGED)

    def _count(self, table: pa.Table) -> None:
        for row in table.to_pylist():
            others = row["present"] - row["count"]
            self._counts[row[DIGEST]] += max(0, min(row["count"], self._now[row[DIGEST]] - others))

    def _lock_updated(self, connection: sa.Connection, table: pa.Table) -> None:
        self._update_keys = [field.name for field in table.schema.field("key").type]
        rows, digests = read_exact(connection, self.table, self._update_keys, lock=True)
        now = dict(zip(_keys(rows), digests.to_pylist(), strict=True))
        for key, row in zip(_structs(table.column("key")), table.to_pylist(), strict=True):
            if now.get(key) == row["digest_before"]:
                self._restored += 1
            elif key not in now:
                self._reasons.append(GONE)
            elif self._force or now[key] == row[DIGEST]:
                self._updates.append((key, row["before"], row["digest_before"]))
            else:
                self._reasons.append(CHANGED)

    def restore(self, connection: sa.Connection) -> None:
        """Give updated rows their values of before."""
        for key, before, digest in self._updates:
            by = pa.table(
                {name: pa.array([cell], pa.binary()) for name, cell in zip(self._update_keys, key, strict=True)}
            )
            values = pa.table({name: pa.array([cell], pa.binary()) for name, cell in before.items()})
            try:
                with connection.begin_nested():
                    restore(connection, self.table, by, values)
            except SERVER_ERRORS as error:
                if not is_row_error(error):
                    raise
                self._reasons.append(f"cannot get back its values: {explain(error)}")
                continue
            rows, digests = read_exact(connection, self.table, self._update_keys)
            is_same = dict(zip(_keys(rows), digests.to_pylist(), strict=True)).get(key) == digest
            self._restored += is_same
            self._reasons += [] if is_same else [TRIGGERED]

    def keep_referenced(self, connection: sa.Connection, reference: Reference) -> None:
        """Let the rows stay to which others refer."""
        if not self._going:
            return
        parent = sa.table(self.table.name, *(sa.column(column.name) for column in self.table.columns)).alias("p")
        child = sa.table(reference.child, *map(sa.column, reference.columns), schema=reference.schema).alias("c")
        pairs = zip(reference.columns, reference.parent_columns, strict=True)
        referred = sa.exists().where(*(child.c[own] == parent.c[other] for own, other in pairs))
        query = sa.select(*(exact_bytes(self.table[name]) for name in self._names)).select_from(parent).where(referred)
        for row in connection.execute(query):
            key = tuple(cell.encode() if isinstance(cell, str) else cell for cell in row)
            if self._going.pop(key, None) is not None:
                self._reasons.append(f"{reference.child} refers to it")

    def delete(self, connection: sa.Connection) -> None:
        """Delete the rows that go."""
        if self._going:
            columns = zip(*self._going, strict=True)
            cells = [pa.array(list(column), pa.binary()) for column in columns]
            delete_by_key(connection, self.table, pa.Table.from_arrays(cells, self._names))
        counts = {digest: count for digest, count in self._counts.items() if count}
        whole = [digest for digest, count in counts.items() if count == self._now[digest]]
        delete_by_digest(connection, self.table, {d: n for d, n in counts.items() if d not in set(whole)}, whole)

    def kept(self) -> pa.Table:
        """Give the rows that stay, as `kept/NAME.parquet` has them."""
        nulls = [pa.nulls(len(self._reasons), KEPT_SCHEMA.field(name).type) for name in ("new_id", "old_id")]
        return pa.Table.from_arrays([*nulls, pa.array(self._reasons, pa.string())], schema=KEPT_SCHEMA)

    def gone_ids(self) -> NewIds:
        """None: the table has no ids."""
        return np.array([], np.int64)

    def restored_ids(self) -> NewIds:
        """None: the table has no ids."""
        return np.array([], np.int64)

    def undone(self) -> Undone:
        """Count what became of the rows."""
        updates = sum(table.num_rows for table in self._before)
        of_updates = updates - self._restored
        return Undone(self._total - (len(self._reasons) - of_updates), self._restored, len(self._reasons))


def _keys(rows: pa.Table) -> list[_Key]:
    return list(zip(*(column.to_pylist() for column in rows.columns), strict=True))


def _structs(column: pa.ChunkedArray) -> list[_Key]:
    return [tuple(row.values()) for row in column.to_pylist()]
