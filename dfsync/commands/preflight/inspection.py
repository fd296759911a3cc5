"""What `check` looks at, table by table. Each look returns findings."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import sqlalchemy as sa

from dfsync.model import frames
from dfsync.model.options import SyncOptions
from dfsync.model.partition import Partition
from dfsync.model.rejects import MISSING_PARENT, no_rejects
from dfsync.model.schema import Schema, Table
from dfsync.model.source_file import SOURCE
from dfsync.model.types import Mask
from dfsync.output.result import ChangedValues, Differing, OtherIds
from dfsync.pipeline.session.file_rows import of_files, row_name
from dfsync.plan.binding import TableBinding, bind_unchecked
from dfsync.plan.graph import ancestors
from dfsync.plan.model import Plan, TablePlan
from dfsync.plan.validation import ERROR, NOTE, WARNING, Finding, validate
from dfsync.source.base import Source
from dfsync.stages.conform.conform import conform
from dfsync.stages.remap import EMPTIED
from dfsync.target.collation import normalize_pair
from dfsync.target.quoting import quote_literal_identifier
from dfsync.target.schema.indexes import index_statement
from dfsync.target.schema.preconditions import (
    TransactionLimit,
    before_triggers,
    missing_privileges,
    transaction_limits,
)
from dfsync.text.wording import is_mostly_other, other_ids, other_values, printable

_KEY_BATCH_ROWS = 1_000_000
_SHARED = "the target row is shared, and none is added"


@dataclass(frozen=True)
class Preflight:
    """What the looks at all tables have in common: both ends and the plan."""

    source: Source
    connection: sa.Connection
    target: Schema
    plan: Plan
    triggers: Mapping[tuple[str, str], list[str]]
    """The names of the triggers that may change a row before it is written, by table and event."""
    limits: Sequence[TransactionLimit]
    """What the target takes in one transaction."""

    def tables(self, plan: TablePlan) -> tuple[Table | None, Table | None]:
        """Find a planned table in the source and in the target; None where it is missing."""
        return self.source.schema.find(plan.table), self.target.find(plan.table)


@dataclass(frozen=True)
class TableInspection:
    """What a look at one table found."""

    findings: tuple[Finding, ...]
    total: int | None = None
    """Rows in the source; None where it lacks the table."""
    shared: int = 0
    """Rows that share a target row with an earlier one."""
    blocked: bool = False
    """Whether the table cannot be synced at all."""


def open_preflight(source: Source, connection: sa.Connection, target: Schema, plan: Plan) -> Preflight:
    """Gather what all looks need.

    Parameters
    ----------
    source
        The open source.
    connection
        A connection to the target, which is only read.
    target
        All tables of the target.
    plan
        The complete plan.

    Returns
    -------
    Preflight
    """
    return Preflight(source, connection, target, plan, before_triggers(connection), transaction_limits(connection))


def inspect_table(preflight: Preflight, plan: TablePlan, *, written: bool) -> TableInspection:
    """Look at all of one table but its values.

    Parameters
    ----------
    preflight
        Both ends and the plan.
    plan
        The table's plan.
    written
        Whether the sync is to write to the table, and not only to read the mapping that its children need.

    Returns
    -------
    TableInspection
    """
    source_table, target_table = preflight.tables(plan)
    findings = validate(plan, source_table, target_table)
    if source_table is None:
        return TableInspection(tuple(findings))
    total = preflight.source.count(source_table)
    if target_table is None:
        return TableInspection(tuple(findings), total, blocked=True)
    binding = bind_unchecked(plan, source_table, target_table)
    if written:
        findings += _engine_findings(preflight.connection, binding)
    blocked = any(finding.level == ERROR for finding in findings)
    shared = 0
    if plan.key and {name.lower() for name in plan.key} <= {name.lower() for name in binding.names}:
        findings += _index_findings(preflight.connection, binding)
        key_findings, shared = _key_findings(preflight, binding)
        findings += key_findings
    if written:
        findings += [*_privilege_findings(preflight.connection, binding), *_trigger_findings(preflight, binding)]
    return TableInspection(tuple(findings), total, shared, blocked)


def ready_tables(plan: Plan, names: Iterable[str], blocked: Collection[str]) -> list[str]:
    """Select the tables that a dry run can sync.

    Parameters
    ----------
    plan
        The complete plan.
    names
        Names of its tables.
    blocked
        The names of those that cannot be synced.

    Returns
    -------
    list of str
        In the order of `names`: the tables of which neither they nor a table that they refer to, at any distance, is
        blocked.
    """
    return [name for name in names if not {name, *ancestors(plan, [name])} & {*blocked}]


def value_findings(preflight: Preflight, plan: TablePlan) -> list[Finding]:
    """Look at the values of a table that no dry run can sync, as far as the target has its columns.

    Parameters
    ----------
    preflight
        Both ends and the plan.
    plan
        The plan of a table that the source has.

    Returns
    -------
    list of Finding
        One for each foreign key with orphans, and for each column and reason of rejects.
    """
    source_table, target_table = preflight.tables(plan)
    if source_table is None:
        return []
    binding = None if target_table is None else bind_unchecked(plan, source_table, target_table)
    optional = binding.optional_references if binding else []
    findings = []
    for column, parent in plan.parents.items():
        orphans = _orphan_findings(preflight.source, plan, source_table, column, preflight.plan[parent])
        findings += [replace(f, level=NOTE, message=EMPTIED) if column in optional else f for f in orphans]
    if binding is None:
        return findings
    columns = binding.source_columns(binding.columns)
    partition = Partition(preflight.source.path, source_table.name, plan.id, tuple(binding.names))
    batches = preflight.source.batches(partition, SyncOptions.batch_size)
    changed: dict[tuple[str, str], int] = {}
    rejected = [no_rejects()]
    for batch in (conform(frame, columns) for frame in batches):
        rejected.append(batch.rejects)
        for note in batch.notes:
            changed[note.column, note.text] = changed.get((note.column, note.text), 0) + len(note.ids)
    findings += reject_findings(plan, of_files(preflight.source, plan, pd.concat(rejected).reset_index()))
    values = (ChangedValues(column=column, note=note, rows=rows) for (column, note), rows in changed.items())
    return findings + changed_value_findings(plan.name, values)


def changed_value_findings(name: str, changed: Iterable[ChangedValues]) -> list[Finding]:
    """Tell of the values that the target's columns would change.

    Parameters
    ----------
    name
        The planned table.
    changed
        As in `TableCounts.changed_values`.

    Returns
    -------
    list of Finding
        A note for each column and what it does to its values.
    """
    return [Finding(NOTE, name, values["column"], values["note"], count=values["rows"]) for values in changed]


def reject_findings(plan: TablePlan, rejects: pd.DataFrame) -> list[Finding]:
    """Sum up the rejects of one table.

    Parameters
    ----------
    plan
        The table's plan.
    rejects
        `old_id` (int64), `column`, `value` and `reason` (strings), a row for each reject.

    Returns
    -------
    list of Finding
        An error for each column and reason, with the first such row as an example.
    """
    findings = []
    for (column, reason), rows in rejects.fillna({"column": ""}).groupby(["column", "reason"], sort=False):
        first = rows.iloc[0]
        value = "NULL" if pd.isna(first["value"]) else f"'{printable(first['value'])}'"
        # What is wrong with several columns at once has no one value.
        of_column = f"{value} in " if column else ""
        of_source = f" of {first[SOURCE]}" if SOURCE in rows.columns else ""
        message = f"{reason} (such as {of_column}{_row_name(plan, first[frames.OLD_ID])}{of_source})"
        findings.append(Finding(ERROR, plan.name, str(column) or None, message, count=len(rows)))
    return findings


def differing_findings(name: str, differing: Differing | None) -> list[Finding]:
    """Tell of the rows that the target has already, with other values.

    Parameters
    ----------
    name
        The planned table.
    differing
        As in `TableCounts.differing`.

    Returns
    -------
    list of Finding
        A warning where it is most of the rows, a note where it is fewer, none where there are none.
    """
    if differing is None or not differing["rows"]:
        return []
    return [Finding(WARNING if is_mostly_other(differing) else NOTE, name, None, other_values(differing))]


def other_id_findings(name: str, found: OtherIds | None, *, strict: bool) -> list[Finding]:
    """Tell of the rows that cannot keep their ids.

    Parameters
    ----------
    name
        The planned table.
    found
        As in `TableCounts.other_ids`.
    strict
        Whether a sync stops at such a row.

    Returns
    -------
    list of Finding
        An error where it stops, else a warning; none where all ids are kept.
    """
    if found is None or not found["rows"]:
        return []
    remedy = "; if that is the same row, keep_ids of a plan says so" if found["taken"] else ""
    return [Finding(ERROR if strict else WARNING, name, None, other_ids(found) + remedy)]


def _engine_findings(connection: sa.Connection, binding: TableBinding) -> list[Finding]:
    table = binding.target
    if not table.engine:
        return []
    message = f"its engine {table.engine} cannot roll back what a failed run has written"
    fix = f"ALTER TABLE {quote_literal_identifier(connection.dialect, table.name)} ENGINE=InnoDB"
    return [Finding(ERROR, binding.plan.name, None, message, fix=fix)]


def _privilege_findings(connection: sa.Connection, binding: TableBinding) -> Iterator[Finding]:
    missing = missing_privileges(connection, binding.target, binding.names, updates=_updates(binding.plan))
    for privilege, reason in missing.items():
        # Without the table's name, all tables of which it is true share one line.
        reason = re.sub(r" for table .*(?= \(\d+\)$)", "", reason)
        message = f"the target does not let its user {privilege} here: {reason}"
        yield Finding(ERROR, binding.plan.name, None, message)


def _trigger_findings(preflight: Preflight, binding: TableBinding) -> Iterator[Finding]:
    for event in ("INSERT", "UPDATE") if _updates(binding.plan) else ("INSERT",):
        for trigger in preflight.triggers.get((binding.target.name, event), []):
            message = f"the trigger {trigger} may change rows before {event}; `dfsync verify` tells where it did"
            yield Finding(NOTE, binding.plan.name, None, message)


def _updates(plan: TablePlan) -> bool:
    """Whether a sync may update rows of the table."""
    return bool(plan.deferred) or plan.on_match == "update" or plan.on_rekey == "follow"


def _index_findings(connection: sa.Connection, binding: TableBinding) -> list[Finding]:
    plan, table = binding.plan, binding.target
    # A unique key over a part of it finds the row as well.
    if table.is_indexed(plan.key) or table.is_unique(plan.key):
        return []
    columns = table.pick(plan.key)
    # No index holds JSON.
    fix = None if any(c.kind == "json" for c in columns) else index_statement(connection, table, columns)
    message = f"the natural key {', '.join(plan.key)} has no index in the target"
    return [Finding(WARNING, plan.name, None, message, fix=fix)]


def _key_findings(preflight: Preflight, binding: TableBinding) -> tuple[list[Finding], int]:
    """Look for keys that are NULL or shared by rows; also count the rows that share one with an earlier row."""
    plan, columns = binding.plan, binding.key
    keys = _source_keys(preflight.source, binding)
    if keys.empty:
        return [], 0
    findings = []
    non_null = keys.dropna()
    if len(non_null) < len(keys):
        message = "NULL in the natural key: such rows are recognised by their whole content"
        findings.append(Finding(NOTE, plan.name, None, message, count=len(keys) - len(non_null)))
    same = non_null.duplicated().to_numpy()
    if same.any():
        message = (
            f"the natural key of an earlier row: {_SHARED} ({_example_pair(preflight.source, plan, non_null, same)})"
        )
        findings.append(Finding(NOTE, plan.name, None, message, count=int(same.sum())))
    normalized = non_null.copy()
    # Foreign keys still hold the source's ids, which are equal where they are identical.
    foreign_keys = {name.lower() for name in plan.parents}
    for column in (column for column in columns if column.name.lower() not in foreign_keys):
        values = non_null[column.name]
        normalized[column.name], _ = normalize_pair(preflight.connection, column, values, values[:0])
    alike = normalized.duplicated().to_numpy() & ~same
    if alike.any():
        collations = ", ".join(sorted({c.collation for c in columns if c.collation}))
        message = f"a natural key that the target's collation {collations} takes for that of an earlier row: "
        message += f"{_SHARED} ({_example_pair(preflight.source, plan, normalized, alike)})"
        findings.append(Finding(WARNING, plan.name, None, message, count=int(alike.sum())))
    return findings, int((same | alike).sum())


def _source_keys(source: Source, binding: TableBinding) -> pd.DataFrame:
    """Read the natural keys of all rows of the source that fit their columns, by old id."""
    columns = binding.key
    names = tuple(column.name for column in columns)
    batches = source.batches(Partition(source.path, binding.source.name, binding.plan.id, names), _KEY_BATCH_ROWS)
    read = [conform(frame, binding.source_columns(columns)).frame for frame in batches]
    return pd.concat(read) if read else pd.DataFrame()


def _orphan_findings(
    source: Source, plan: TablePlan, source_table: Table, column: str, parent: TablePlan
) -> list[Finding]:
    child = sa.table(source_table.sql_name, sa.column(column)).alias("child")
    orphaned: sa.ColumnElement[bool] = child.c[column].is_not(None)
    parent_table = source.schema.find(parent.table)
    if parent_table is not None and parent.id is not None:
        parents = sa.table(parent_table.sql_name, sa.column(parent.id)).alias("parent")
        orphaned &= ~sa.exists().where(parents.c[parent.id] == child.c[column])
    counted = sa.select(sa.func.count().label("n"), sa.func.min(child.c[column]).label("first")).where(orphaned)
    rows = [row for row in source.each(lambda file: file.query(counted).to_pylist()[0]) if row["n"]]
    if not rows:
        return []
    message = f"{MISSING_PARENT}: the source has no such row of {parent.name} (such as {rows[0]['first']!r})"
    return [Finding(ERROR, plan.name, column, message, count=sum(row["n"] for row in rows))]


def _example_pair(source: Source, plan: TablePlan, keys: pd.DataFrame, shared: Mask) -> str:
    """Name the first of the `shared` rows, and the earlier row that has the same of these keys."""
    # By numbers, since a column may be called like the index.
    numbered = keys.set_axis(range(keys.shape[1]), axis=1)
    number = numbered.groupby(list(numbered.columns), sort=False).ngroup().to_numpy()
    position = int(np.argmax(shared))
    earlier = int(np.argmax(number == number[position]))
    names = (_row_name(plan, row_name(source, plan, int(keys.index[at]))) for at in (position, earlier))
    return f"such as {' with '.join(names)}"


def _row_name(plan: TablePlan, old_id: object) -> str:
    return f"{'ID' if plan.id else 'row'} {old_id}"
