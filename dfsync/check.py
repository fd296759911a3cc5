"""What is in the way of a sync, found before any row moves: all of it, not the first alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from dfsync import frames
from dfsync import target as server
from dfsync.conform import conform
from dfsync.create_tables import expected_schema
from dfsync.discover import choose_plan, complete
from dfsync.equality import comparable
from dfsync.errors import DfsyncError
from dfsync.graph import ancestors
from dfsync.options import Options
from dfsync.plan import Plan, TablePlan, only, with_on_match
from dfsync.readiness import denied, triggers_before
from dfsync.remap import MISSING_PARENT
from dfsync.result import COUNTED, Observer, SyncResult
from dfsync.schema import Column, Schema, Table
from dfsync.shape import COMPUTED, Shape, computed
from dfsync.show_check import finding_lines, joined, table_line
from dfsync.source import Source
from dfsync.table_builder import bare_dialect, index_statement, quoted
from dfsync.target_schema import reflect
from dfsync.words import command_line, counted, visible

ERROR, WARNING, NOTE = "error", "warning", "note"
_LONGEST = 2000
_NO_TABLE = "the target has no such table; create-tables makes it"
_KEY_ROWS = 1_000_000


@dataclass(frozen=True)
class Finding:
    """Something that one should know before a sync. An `error` keeps a table, or some of its rows, from going in."""

    level: str
    """`error`, `warning` or `note`."""
    table: str
    """Its name in the plan; empty where it concerns all."""
    column: str | None
    message: str
    count: int | None = None
    """Of how many rows it is true."""
    fix: str | None = None
    """The SQL statement that mends it in the target."""


@dataclass(frozen=True)
class TableCheck:
    """What would become of a table's rows; None where something is in the way of finding out."""

    name: str
    table: str
    total: int
    synced: int | None = None
    """Would be inserted."""
    skipped: int | None = None
    """Have a target row already, or share one."""
    updated: int | None = None
    failed: int | None = None
    shared: int = 0
    """Have the natural key of an earlier row of the source, so that they share its target row."""


@dataclass(frozen=True)
class CheckResult:
    source: str
    """The SQLite file."""
    target: str
    """Database and server, without user or password."""
    plan: Plan
    findings: tuple[Finding, ...]
    tables: tuple[TableCheck, ...]

    @property
    def ok(self) -> bool:
        """Whether every row would get a target row."""
        return not any(finding.level == ERROR for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "source": self.source,
            "target": self.target,
            "plan": self.plan.as_dict(),
            "findings": [asdict(finding) for finding in self.findings],
            "tables": [asdict(table) for table in self.tables],
        }

    def lines(self) -> list[str]:
        """For a terminal: a line per table, the findings, and what they come to."""
        lines = [f"Plan: {visible(self.plan.title, _LONGEST)}", "", *map(table_line, self.tables), ""]
        findings = joined(self.findings)
        for finding in sorted(findings, key=lambda finding: (ERROR, WARNING, NOTE).index(finding.level)):
            lines += finding_lines(finding)
        if any(finding.message == _NO_TABLE for finding in findings):
            make = command_line("create-tables", self.source, self.plan.file)
            lines += ["", "Make the missing tables first, with --target if you gave one:", f"  {make}", ""]
        levels = [finding.level for finding in findings]
        if self.findings and lines[-1]:
            lines.append("")
        if self.ok:
            return [*lines, "Nothing is in the way of a sync."]
        return [*lines, f"{counted(levels.count(ERROR), 'errors')}: some rows or tables would not go in."]


def check(
    source: str | Path, url: str | sa.URL, options: Options | None = None, observer: Observer | None = None
) -> CheckResult:
    """Looks at both ends, the plan, tables, columns, keys and values; the target does not change.

    Raises `DfsyncError` where it cannot look: an end is out of reach, or there is no such plan.
    """
    options = options or Options()
    engine = server.make_engine(url)
    try:
        opened, connection = _open_both(source, engine)
        with opened, connection:
            there = reflect(connection)
            draft = with_on_match(choose_plan(options.plan, opened), options.on_match)
            plan = complete(draft, opened.schema, expected_schema(opened.schema, there))
            names = only(plan, options.tables or plan.names)
            look = _Look(opened, connection, there, plan)
            # The parents too: without their maps no row of the children goes in.
            for name in (name for name in plan.names if name in {*names, *ancestors(plan, names)}):
                look.at(plan[name])
            for name in names:
                look.writing(plan[name])
            connection.rollback()
            ready = look.ready(names)
            rehearsed = _rehearse(look, source, url, replace(options, tables=tuple(ready), dry_run=True), observer)
            for name in names:
                if name not in look.totals or (rehearsed and name in ready):
                    continue
                look.values(plan[name])
            tables = [_table_check(plan[name], look, rehearsed) for name in names if name in look.totals]
            ends = str(opened.path), server.place(engine.url)
            return CheckResult(*ends, plan, tuple(look.findings), tuple(tables))
    finally:
        engine.dispose()


def _open_both(source: str | Path, engine: sa.Engine) -> tuple[Source, sa.Connection]:
    """Both ends. Raises one `DfsyncError` for both where neither can be reached."""
    opened: Source | None = None
    connection: sa.Connection | None = None
    faults = []
    try:
        opened = Source(source)
    except DfsyncError as error:
        faults.append(str(error))
    try:
        connection = server.connect(engine)
    except DfsyncError as error:
        faults.append(str(error))
    if opened is not None and connection is not None:
        return opened, connection
    if opened is not None:
        opened.close()
    if connection is not None:
        connection.close()
    raise DfsyncError(" ".join(faults))


@dataclass
class _Look:
    """The findings so far, and what they are made from."""

    source: Source
    connection: sa.Connection
    there: Schema
    plan: Plan
    findings: list[Finding] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=dict)
    """Rows in the source, of the tables that it has."""
    shared: dict[str, int] = field(default_factory=dict)
    """Rows that share a target row with an earlier one."""
    broken: set[str] = field(default_factory=set)
    """Tables that cannot be synced at all."""

    def __post_init__(self) -> None:
        self._quote = bare_dialect(self.connection).identifier_preparer.quote_identifier
        self._triggers = triggers_before(self.connection)

    def at(self, plan: TablePlan) -> None:
        """All of one table but its values."""
        have, there = self.source.schema.find(plan.table), self.there.find(plan.table)
        if have is None:
            self._add(NOTE, plan, "the source has no such table, so it is passed over")
            return
        self.totals[plan.name] = self.source.count(have)
        if there is None:
            self._break(plan, None, _NO_TABLE)
            return
        self._columns(plan, have, there)
        self._id(plan, there)
        shape = Shape(plan, have, there, plan.id, _travelling(plan, have, there))
        if plan.lacks_key:
            self._add(WARNING, plan, "no natural key: rows are recognised by their whole content, which takes longer")
        elif plan.key and {name.lower() for name in plan.key} <= {name.lower() for name in shape.names}:
            self._index(plan, there)
            self._keys(shape)

    def writing(self, plan: TablePlan) -> None:
        """What keeps rows from being written, or may change them on the way."""
        have, there = self.source.schema.find(plan.table), self.there.find(plan.table)
        if have is None or there is None:
            return
        if there.engine:
            fix = f"ALTER TABLE {self._quote(there.name)} ENGINE=InnoDB"
            self._break(plan, None, f"its engine {there.engine} cannot roll back what a failed run has written", fix)
        updates = bool(plan.deferred) or plan.on_match == "update"
        names = [column.name for column in _travelling(plan, have, there)]
        for right, said in denied(self.connection, there, names, updates=updates).items():
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

    def values(self, plan: TablePlan) -> None:
        """The values of a table that cannot be rehearsed, as far as its columns are there."""
        have, there = self.source.schema.find(plan.table), self.there.find(plan.table)
        assert have is not None
        for column, parent in plan.parents.items():
            self._orphans(plan, have, column, self.plan[parent])
        if there is None:
            return
        shape = Shape(plan, have, there, plan.id, _travelling(plan, have, there))
        found = [frames.no_rejects()]
        for frame in self.source.batches(have, plan.id, shape.names, Options.batch_size):
            found.append(conform(frame, shape.as_read(shape.columns)).rejects)
        self.rejects(plan, pd.concat(found).reset_index())

    def rejects(self, plan: TablePlan, rejects: pd.DataFrame) -> None:
        """A finding for each column and reason."""
        for (column, reason), rows in rejects.fillna({"column": ""}).groupby(["column", "reason"], sort=False):
            first = rows.iloc[0]
            value = "NULL" if pd.isna(first["value"]) else f"'{visible(first['value'])}'"
            example = f"such as {value} in {_which(plan, first[frames.OLD_ID])}"
            self._add(ERROR, plan, f"{reason} ({example})", column=str(column) or None, count=len(rows))

    def _add(self, level: str, plan: TablePlan, message: str, **details: Any) -> None:
        self.findings.append(Finding(level, plan.name, **{"column": None, **details}, message=message))

    def _break(self, plan: TablePlan, column: str | None, message: str, fix: str | None = None) -> None:
        self.broken.add(plan.name)
        self._add(ERROR, plan, message, column=column, fix=fix)

    def _columns(self, plan: TablePlan, have: Table, there: Table) -> None:
        for column in _wanted(plan, have):
            if column.name not in there and not column.generated:
                self._break(plan, column.name, "the target lacks this column; add it, or list it in ignore_columns")
        filled = {c.name.lower() for c in _wanted(plan, have)} | {(plan.id or "").lower()}
        for column in there.columns:
            if column.required and column.name.lower() not in filled:
                self._break(plan, column.name, "the target needs a value here, and the source has no such column")
        ignored = {name.lower() for name in plan.ignore_columns}
        for name in plan.key:
            if name.lower() in ignored or (name in there and there[name].generated):
                self._break(plan, name, "is in the natural key, and does not travel")
        for name in computed(plan, have, there):
            if name.lower() not in (column.lower() for column in plan.key):
                self._add(NOTE, plan, COMPUTED, column=name)

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

    def _keys(self, shape: Shape) -> None:
        """Rows that share a natural key, by themselves or in the eyes of the target."""
        plan, columns = shape.plan, shape.key
        read = self.source.batches(shape.source, plan.id, [c.name for c in columns], _KEY_ROWS)
        keys = pd.concat([conform(frame, shape.as_read(columns)).frame for frame in read] or [pd.DataFrame()])
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
            compared[column.name] = comparable(self.connection, column, whole[column.name], whole[column.name][:0])[0]
        alike = compared.duplicated().to_numpy() & ~same
        if alike.any():
            collations = ", ".join(sorted({c.collation for c in columns if c.collation}))
            message = f"a natural key that the target's collation {collations} takes for that of an earlier row: "
            pair = _pair(plan, compared, alike)
            self._add(WARNING, plan, f"{message}{share} ({pair})", count=int(alike.sum()))
        self.shared[plan.name] = int((same | alike).sum())

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


def _wanted(plan: TablePlan, have: Table) -> Iterator[Column]:
    """The source's columns that are to travel."""
    left = {name.lower() for name in (*plan.ignore_columns, plan.id or "")}
    return (column for column in have.columns if column.name.lower() not in left)


def _travelling(plan: TablePlan, have: Table, there: Table) -> tuple[Column, ...]:
    """Those of them that can, as the target has them."""
    both = [c for c in _wanted(plan, have) if c.name in there and not there[c.name].generated]
    return tuple(replace(there[c.name], name=c.name) for c in both)


def _auto_increment(quote: Callable[[str], str], table: Table, column: Column) -> str:
    name = quote(column.name)
    indexed = any(index[:1] == (column.name,) for index in table.all_indexes())
    key = "" if indexed else f", ADD {'UNIQUE' if table.primary_key else 'PRIMARY KEY'} ({name})"
    return f"ALTER TABLE {quote(table.name)} MODIFY {name} {column.type} NOT NULL AUTO_INCREMENT{key}"


def _rehearse(
    look: _Look, source: str | Path, url: str | sa.URL, options: Options, observer: Observer | None
) -> SyncResult | None:
    """The dry run of the tables that are ready, and its findings; None where there is none."""
    if not options.tables:
        return None
    from dfsync.sync import sync

    try:
        result = sync(source, url, options=options, observer=observer)
    except DfsyncError as error:
        look.findings.append(Finding(ERROR, "", None, str(error)))
        return None
    for counts in result.counts:
        plan = look.plan[counts.name]
        if counts.error is not None:
            look.findings.append(Finding(ERROR, plan.name, None, counts.error))
        if counts.failed and counts.error is None:
            look.rejects(plan, result.rejects[plan.name])
    return result


def _table_check(plan: TablePlan, look: _Look, rehearsed: SyncResult | None) -> TableCheck:
    counts = next((c for c in rehearsed.counts if c.name == plan.name), None) if rehearsed else None
    known = TableCheck(plan.name, plan.table, look.totals[plan.name], shared=look.shared.get(plan.name, 0))
    if counts is None or counts.note is not None:
        return known
    return replace(known, **{key: getattr(counts, key) for key in COUNTED})
