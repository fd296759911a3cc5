"""What `check` looks at, table by table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from dfsync.model import frames
from dfsync.model.options import SyncOptions
from dfsync.model.rejects import MISSING_PARENT, no_rejects
from dfsync.model.schema import Column, Schema, Table
from dfsync.plan.binding import TableBinding
from dfsync.plan.graph import ancestors
from dfsync.plan.model import Plan, TablePlan
from dfsync.plan.validation import (
    ERROR,
    GENERATED,
    NO_TABLE,
    NOTE,
    WARNING,
    Finding,
    copied_candidates,
    copied_columns,
    generated_columns,
)
from dfsync.source.sqlite import SqliteSource
from dfsync.stages.conform.conform import conform
from dfsync.target.collation import normalize_pair
from dfsync.target.schema.builder import bare_dialect, index_statement, quoted
from dfsync.target.schema.preconditions import before_triggers, missing_privileges
from dfsync.text.wording import printable

_KEY_BATCH_ROWS = 1_000_000


@dataclass
class Preflight:
    """The findings so far, and what they are made from."""

    source: SqliteSource
    connection: sa.Connection
    there: Schema
    plan: Plan
    findings: list[Finding] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=dict)
    """Rows in the source, of the tables that it has."""
    shared_rows: dict[str, int] = field(default_factory=dict)
    """Rows that share a target row with an earlier one."""
    broken: set[str] = field(default_factory=set)
    """Tables that cannot be synced at all."""

    def __post_init__(self) -> None:
        self._quote = bare_dialect(self.connection).identifier_preparer.quote_identifier
        self._triggers = before_triggers(self.connection)

    def inspect(self, plan: TablePlan) -> None:
        """All of one table but its values."""
        have, there = self.source.schema.find(plan.table), self.there.find(plan.table)
        if have is None:
            self._add(NOTE, plan, "the source has no such table, so it is passed over")
            return
        self.totals[plan.name] = self.source.count(have)
        if there is None:
            self._break(plan, None, NO_TABLE)
            return
        self._columns(plan, have, there)
        self._id(plan, there)
        shape = TableBinding(plan, have, there, plan.id, copied_columns(plan, have, there))
        if plan.lacks_key:
            self._add(WARNING, plan, "no natural key: rows are recognised by their whole content, which takes longer")
        elif plan.key and {name.lower() for name in plan.key} <= {name.lower() for name in shape.names}:
            self._index(plan, there)
            self._keys(shape)

    def inspect_writing(self, plan: TablePlan) -> None:
        """What keeps rows from being written, or may change them on the way."""
        have, there = self.source.schema.find(plan.table), self.there.find(plan.table)
        if have is None or there is None:
            return
        if there.engine:
            fix = f"ALTER TABLE {self._quote(there.name)} ENGINE=InnoDB"
            self._break(plan, None, f"its engine {there.engine} cannot roll back what a failed run has written", fix)
        updates = bool(plan.deferred) or plan.on_match == "update"
        names = [column.name for column in copied_columns(plan, have, there)]
        for right, said in missing_privileges(self.connection, there, names, updates=updates).items():
            # Without the name of the table all tables of which it is true share one line.
            of_all = re.sub(r" for table .*(?= \(\d+\)$)", "", said)
            self._add(ERROR, plan, f"the target does not let its user {right} here: {of_all}")
        for event in ("INSERT", "UPDATE") if updates else ("INSERT",):
            for trigger in self._triggers.get((there.name, event), []):
                message = f"the trigger {trigger} may change rows before {event}; `dfsync verify` tells where it did"
                self._add(NOTE, plan, message)

    def ready(self, names: Iterable[str]) -> list[str]:
        """The tables that can be rehearsed: they and all that they refer to are whole."""
        return [name for name in names if not {name, *ancestors(self.plan, [name])} & self.broken]

    def inspect_values(self, plan: TablePlan) -> None:
        """The values of a table that cannot be rehearsed, as far as its columns are there."""
        have, there = self.source.schema.find(plan.table), self.there.find(plan.table)
        assert have is not None
        for column, parent in plan.parents.items():
            self._orphans(plan, have, column, self.plan[parent])
        if there is None:
            return
        shape = TableBinding(plan, have, there, plan.id, copied_columns(plan, have, there))
        found = [no_rejects()]
        for frame in self.source.batches(have, plan.id, shape.names, SyncOptions.batch_size):
            found.append(conform(frame, shape.source_columns(shape.columns)).rejects)
        self.rejects(plan, pd.concat(found).reset_index())

    def rejects(self, plan: TablePlan, rejects: pd.DataFrame) -> None:
        """A finding for each column and reason."""
        for (column, reason), rows in rejects.fillna({"column": ""}).groupby(["column", "reason"], sort=False):
            first = rows.iloc[0]
            value = "NULL" if pd.isna(first["value"]) else f"'{printable(first['value'])}'"
            example = f"such as {value} in {_which(plan, first[frames.OLD_ID])}"
            self._add(ERROR, plan, f"{reason} ({example})", column=str(column) or None, count=len(rows))

    def _add(self, level: str, plan: TablePlan, message: str, **details: Any) -> None:
        self.findings.append(Finding(level, plan.name, **{"column": None, **details}, message=message))

    def _break(self, plan: TablePlan, column: str | None, message: str, fix: str | None = None) -> None:
        self.broken.add(plan.name)
        self._add(ERROR, plan, message, column=column, fix=fix)

    def _columns(self, plan: TablePlan, have: Table, there: Table) -> None:
        for column in copied_candidates(plan, have):
            if column.name not in there and not column.generated:
                self._break(plan, column.name, "the target lacks this column; add it, or list it in ignore_columns")
        filled = {c.name.lower() for c in copied_candidates(plan, have)} | {(plan.id or "").lower()}
        for column in there.columns:
            if column.required and column.name.lower() not in filled:
                self._break(plan, column.name, "the target needs a value here, and the source has no such column")
        ignored = {name.lower() for name in plan.ignore_columns}
        for name in plan.key:
            if name.lower() in ignored or (name in there and there[name].generated):
                self._break(plan, name, "is in the natural key, and does not travel")
        for name in generated_columns(plan, have, there):
            if name.lower() not in (column.lower() for column in plan.key):
                self._add(NOTE, plan, GENERATED, column=name)

    def _id(self, plan: TablePlan, there: Table) -> None:
        if plan.id is None:
            return
        if plan.id not in there:
            self._break(plan, plan.id, "the target lacks this column, the id")
        elif not there[plan.id].auto_increment:
            fix = _auto_increment(self._quote, there, there[plan.id])
            self._break(plan, plan.id, "is not AUTO_INCREMENT in the target, so no row gets a new id", fix)

    def _index(self, plan: TablePlan, there: Table) -> None:
        if there.is_indexed(plan.key):
            return
        columns = there.pick(plan.key)
        fix = None if any(c.kind == "json" for c in columns) else index_statement(self.connection, there, columns)
        self._add(WARNING, plan, f"the natural key {', '.join(plan.key)} has no index in the target", fix=fix)

    def _keys(self, shape: TableBinding) -> None:
        """Rows that share a natural key, by themselves or in the eyes of the target."""
        plan, columns = shape.plan, shape.key
        read = self.source.batches(shape.source, plan.id, [c.name for c in columns], _KEY_BATCH_ROWS)
        keys = pd.concat([conform(frame, shape.source_columns(columns)).frame for frame in read] or [pd.DataFrame()])
        if keys.empty:
            return
        whole = keys.dropna()
        if len(whole) < len(keys):
            message = "NULL in the natural key: such rows are recognised by their whole content"
            self._add(NOTE, plan, message, count=len(keys) - len(whole))
        same = whole.duplicated().to_numpy()
        share = "the target row is shared, and none is added"
        if same.any():
            message = f"the natural key of an earlier row: {share} ({_pair(plan, whole, same)})"
            self._add(NOTE, plan, message, count=int(same.sum()))
        compared = whole.copy()
        for column in columns:
            compared[column.name] = normalize_pair(self.connection, column, whole[column.name], whole[column.name][:0])[
                0
            ]
        alike = compared.duplicated().to_numpy() & ~same
        if alike.any():
            collations = ", ".join(sorted({c.collation for c in columns if c.collation}))
            message = f"a natural key that the target's collation {collations} takes for that of an earlier row: "
            pair = _pair(plan, compared, alike)
            self._add(WARNING, plan, f"{message}{share} ({pair})", count=int(alike.sum()))
        self.shared_rows[plan.name] = int((same | alike).sum())

    def _orphans(self, plan: TablePlan, have: Table, column: str, parent: TablePlan) -> None:
        child = sa.table(quoted(have.name), sa.column(column)).alias("child")
        pointing: Any = child.c[column].is_not(None)
        there = self.source.schema.find(parent.table)
        if there is not None and parent.id is not None:
            ids = sa.table(quoted(there.name), sa.column(parent.id)).alias("parent")
            pointing &= ~sa.exists().where(ids.c[parent.id] == child.c[column])
        count = sa.select(sa.func.count().label("n"), sa.func.min(child.c[column]).label("first")).where(pointing)
        (row,) = self.source.query(count).to_pylist()
        if row["n"]:
            message = f"{MISSING_PARENT}: the source has no such row of {parent.name} (such as {row['first']!r})"
            self._add(ERROR, plan, message, column=column, count=row["n"])


def _which(plan: TablePlan, old_id: Any) -> str:
    return f"{'ID' if plan.id else 'row'} {old_id}"


def _pair(plan: TablePlan, keys: pd.DataFrame, shared: Any) -> str:
    """The first of the `shared` rows, and the earlier row that has the same of these keys."""
    number = keys.groupby(list(keys.columns), sort=False).ngroup().to_numpy()
    place = int(np.argmax(shared))
    before = int(np.argmax(number == number[place]))
    return f"such as {_which(plan, keys.index[place])} with {_which(plan, keys.index[before])}"


def _auto_increment(quote: Callable[[str], str], table: Table, column: Column) -> str:
    name = quote(column.name)
    indexed = any(index[:1] == (column.name,) for index in table.all_indexes())
    key = "" if indexed else f", ADD {'UNIQUE' if table.primary_key else 'PRIMARY KEY'} ({name})"
    return f"ALTER TABLE {quote(table.name)} MODIFY {name} {column.type} NOT NULL AUTO_INCREMENT{key}"
