"""The rows of one table without a surrogate id, on their way back to what they were before a run.

Its rows are read as a whole and locked, since no id names them: by their primary key, else by their digest. Of equal
rows only so many are deleted that those which were there before the run remain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from dfsync.model.errors import DfsyncError
from dfsync.model.schema import Table
from dfsync.model.types import NewIds
from dfsync.output.journal.record import TableRecord, Undone
from dfsync.output.journal.rows import BEFORE, INSERTED, KEPT_SCHEMA, UNDOING, read_committed, read_rows
from dfsync.pipeline.undo.table import CHANGED, GONE, LOST_COLUMN, TRIGGERED
from dfsync.target.errors import SERVER_ERRORS, explain, is_row_error
from dfsync.target.read.exact import DIGEST, exact_bytes, read_exact
from dfsync.target.read.references import Reference
from dfsync.target.write.delete import delete_by_digest
from dfsync.target.write.restore import delete_by_key, restore

_Key = tuple[Any, ...]
_DOUBTFUL = "an undo was killed while it deleted this row, and whether it is still there or came anew cannot be told"


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
        self._begun = read_rows(run, UNDOING, record.name, [1])
        self._names = [field.name for part in self._inserted[:1] for field in _key_fields(part)]
        if self._names and [n.lower() for n in self._names] != [n.lower() for n in table.primary_key]:
            raise DfsyncError(f"{record.table} has another primary key than at the run, by which its rows were told.")
        self._going: dict[_Key, int] = {}
        self._counts: Counter[int] = Counter()
        self._now: Counter[int] = Counter()
        self._updates: list[tuple[_Key, dict[str, Any], int]] = []
        self._update_keys: list[str] = []
        self._reasons: list[str] = []
        self._children: dict[_Key, set[_Key]] = {}
        self._may_be_null: set[str] = set()
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
        begun = {key: digest for table in self._begun for key, digest in _digests_by_key(table)}
        if self._force or all(now.get(key) == digest for key, digest in begun.items()):
            # That COMMIT did not count.
            begun = {}
        for table in self._inserted:
            for key, digest in _digests_by_key(table):
                if key in now and key in begun:
                    self._reasons.append(_DOUBTFUL)
                elif key in now and (self._force or now[key] == digest):
                    self._going[key] = digest
                elif key in now:
                    self._reasons.append(CHANGED)

    def _count(self, table: pa.Table) -> None:
        begun = {row[DIGEST]: row["present"] for table in self._begun for row in table.to_pylist()}
        is_doubtful = not self._force and any(self._now[digest] != present for digest, present in begun.items())
        for row in table.to_pylist():
            if is_doubtful and row[DIGEST] in begun:
                left = min(row["count"], max(0, self._now[row[DIGEST]] - (begun[row[DIGEST]] - row["count"])))
                self._reasons += [_DOUBTFUL] * left
                continue
            others = row["present"] - row["count"]
            self._counts[row[DIGEST]] += max(0, min(row["count"], self._now[row[DIGEST]] - others))

    def _lock_updated(self, connection: sa.Connection, table: pa.Table) -> None:
        self._update_keys = [field.name for field in _key_fields(table)]
        missing = [name for name in table.schema.field("before").type.names if name not in self.table]
        if missing:
            self._reasons += [LOST_COLUMN.format(", ".join(missing))] * table.num_rows
            return
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

    def restore(self, connection: sa.Connection, references: Iterable[Reference]) -> None:
        """Give updated rows their values of before, as `TableUndo` does, none where a reference would be lost."""
        lost = [r.referrer for r in references if r.parent == self.table.name and r.sets_null_on_update]
        if lost and self._updates:
            self._reasons += [f"{lost[0]} may refer to it, and would lose the reference"] * len(self._updates)
            self._updates = []
        left = [update for update in self._updates if self._restore(connection, *update[:2])]
        # As `TableUndo` does.
        while left and len(rest := [u for u in reversed(left) if self._restore(connection, *u[:2])]) < len(left):
            left = rest
        refused = {key: self._restore(connection, key, before) for key, before, _ in left}
        self._reasons += [f"cannot get back its values: {reason}" for reason in refused.values()]
        done = [update for update in self._updates if update[0] not in refused]
        if done:
            rows, digests = read_exact(connection, self.table, self._update_keys)
            now = dict(zip(_keys(rows), digests.to_pylist(), strict=True))
            same = sum(now.get(key) == digest for key, _, digest in done)
            self._restored += same
            self._reasons += [TRIGGERED] * (len(done) - same)

    def _restore(self, connection: sa.Connection, key: _Key, before: dict[str, Any]) -> str | None:
        """Give a row its values of before; why the server refuses it, where it does."""
        by = pa.table({name: pa.array([cell], pa.binary()) for name, cell in zip(self._update_keys, key, strict=True)})
        values = pa.table({name: pa.array([cell], pa.binary()) for name, cell in before.items()})
        try:
            with connection.begin_nested():
                restore(connection, self.table, by, values)
        except SERVER_ERRORS as error:
            if not is_row_error(error):
                raise
            return explain(error)
        return None

    def keep_referenced(self, connection: sa.Connection, reference: Reference) -> None:
        """Let the rows stay to which others refer."""
        if not self._going:
            return
        if reference.is_self:
            self._note_own(connection, reference)
            return
        parent = sa.table(self.table.name, *(sa.column(column.name) for column in self.table.columns)).alias("p")
        child = sa.table(reference.child, *map(sa.column, reference.columns), schema=reference.schema).alias("c")
        pairs = zip(reference.columns, reference.parent_columns, strict=True)
        referred = sa.exists().where(*(child.c[own] == parent.c[other] for own, other in pairs))
        query = sa.select(*(exact_bytes(self.table[name]) for name in self._names)).select_from(parent).where(referred)
        for row in connection.execute(query):
            key = tuple(cell.encode() if isinstance(cell, str) else cell for cell in row)
            if self._going.pop(key, None) is not None:
                self._reasons.append(f"{reference.referrer} refers to it")

    def _note_own(self, connection: sa.Connection, reference: Reference) -> None:
        """Note which rows of the table refer to which."""
        sides = []
        for side, columns in (("p", reference.parent_columns), ("c", reference.columns)):
            keys = (exact_bytes(self.table[name]).label(f"k{i}") for i, name in enumerate(self._names))
            values: Iterable[Any] = (sa.column(name).label(f"v{i}") for i, name in enumerate(columns))
            sides.append(sa.select(*keys, *values).select_from(sa.table(self.table.name)).subquery(side))
        parent, child = sides
        same = (parent.c[f"v{i}"] == child.c[f"v{i}"] for i in range(len(reference.columns)))
        both = [side.c[f"k{i}"] for side in sides for i in range(len(self._names))]
        for row in connection.execute(sa.select(*both).select_from(parent.join(child, sa.and_(*same)))):
            key = tuple(cell.encode() if isinstance(cell, str) else cell for cell in row)
            self._children.setdefault(key[: len(self._names)], set()).add(key[len(self._names) :])
        key_names = {name.lower() for name in self._names}
        self._may_be_null |= {n for n in reference.columns if self.table[n].nullable and n.lower() not in key_names}

    def _keep_parents(self) -> None:
        """Let the rows stay to which rows of this table refer that stay, and those to which these refer."""
        while stays := [key for key in self._going if self._children.get(key, set()) - self._going.keys()]:
            for key in stays:
                del self._going[key]
                self._reasons.append(f"{self.table.name} refers to it")

    def delete(self, connection: sa.Connection) -> None:
        """Delete the rows that go, none before those that refer to it."""
        self._keep_parents()
        left = set(self._going)
        while left:
            free = {key for key in left if not self._children.get(key, set()) & left}
            if not free and self._may_be_null:
                nulls = pa.table({name: pa.nulls(len(left), pa.binary()) for name in sorted(self._may_be_null)})
                restore(connection, self.table, self._keyed(left), nulls)
            free = free or left
            delete_by_key(connection, self.table, self._keyed(free))
            left = left - free
        counts = {digest: count for digest, count in self._counts.items() if count}
        whole = [digest for digest, count in counts.items() if count == self._now[digest]]
        delete_by_digest(connection, self.table, {d: n for d, n in counts.items() if d not in set(whole)}, whole)

    def _keyed(self, keys: Iterable[_Key]) -> pa.Table:
        cells = [pa.array(list(column), pa.binary()) for column in zip(*keys, strict=True)]
        return pa.Table.from_arrays(cells, self._names)

    def begun(self) -> pa.Table:
        """Give what is deleted, as `undoing/NAME.parquet` has it."""
        if self._names:
            digests = pa.array(self._going.values(), pa.uint64())
            keys = self._keyed(self._going).to_struct_array() if self._going else pa.nulls(0)
            return pa.table({"key": keys, DIGEST: digests})
        counts = {digest: count for digest, count in self._counts.items() if count}
        present = [self._now[digest] for digest in counts]
        columns = (pa.array(counts.keys(), pa.uint64()), pa.array(counts.values(), pa.int64()), present)
        return pa.table(dict(zip((DIGEST, "count", "present"), columns, strict=True)))

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


def _key_fields(part: pa.Table) -> list[pa.Field]:
    return list(part.schema.field("key").type) if "key" in part.column_names else []


def _structs(column: pa.ChunkedArray) -> list[_Key]:
    return [tuple(row.values()) for row in column.to_pylist()]


def _digests_by_key(table: pa.Table) -> Iterable[tuple[_Key, int]]:
    return zip(_structs(table.column("key")), table.column(DIGEST).to_pylist(), strict=True)
