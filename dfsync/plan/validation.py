"""What of a plan does not fit the two schemas, as findings: one table of rules for `bind` and for `check`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from dfsync.model.errors import DfsyncError
from dfsync.model.options import BOOLEAN
from dfsync.model.schema import Table
from dfsync.plan.columns import copied_columns, planned_columns, unique_keys, value_columns
from dfsync.plan.model import TablePlan
from dfsync.text.wording import plan_section

ERROR, UNDECIDED, WARNING, NOTE = "error", "undecided", "warning", "note"
NO_TABLE = "the target has no such table; create-tables makes it"
BY_CONTENT = (
    "no natural key, so rows are compared by their whole content: one that is changed in the target or in the source "
    'is inserted once more. Better name a natural_key in a plan file, or identity = "id" where ids are never used again'
)
BY_CONTENT_WITHOUT_ID = (
    "no natural key, so rows are compared by their whole content: one that is changed in the target or in the source "
    "is inserted once more. Better name a natural_key in a plan file"
)
BY_ID = (
    "no natural key, so a row is the one that had its id in the last run, as far as the output folder has a map of it; "
    "others are compared by their whole content"
)
GENERATED = "the target computes it, so the source's values are not copied"
_HOLD_INSTANTS = frozenset({"date", "datetime", "timestamp", "text"})
_HOLD_BOOLEANS = frozenset({"integer", "bit", "decimal", "float", "double", "text", "enum"})
EMPTY = "NULL in every row of the source, and the target lacks it: left out"


@dataclass(frozen=True)
class Finding:
    """Something to know before a sync.

    An `error` keeps a table, or some of its rows, from being synced. What is `undecided` keeps the sync from starting.
    """

    level: str
    """`error`, `undecided`, `warning` or `note`."""
    table: str
    """Its name in the plan; empty where it concerns all."""
    column: str | None
    message: str
    count: int | None = None
    """Of how many rows it is true."""
    fix: str | None = None
    """The SQL statement that mends it in the target."""
    answers: tuple[str, ...] = ()
    """The lines of a plan file, one of which decides what is `undecided`, or mends what is found."""
    error: DfsyncError | None = field(default=None, compare=False, repr=False)
    """What the message is of, where that names parameters: the command line words it with its options."""


def validate(plan: TablePlan, source_table: Table | None, target_table: Table | None) -> list[Finding]:
    """Hold a planned table against both schemas.

    Parameters
    ----------
    plan
        The table's complete plan.
    source_table
        The table in the source; None where the source lacks it.
    target_table
        The table in the target; None where the target lacks it.

    Returns
    -------
    list of Finding
        All that does not fit, in the order of the rules. With an error among them, the table cannot be synced.
    """
    if source_table is None:
        return [Finding(NOTE, plan.name, None, "the source has no such table, so it is passed over")]
    if target_table is None:
        return [Finding(ERROR, plan.name, None, NO_TABLE)]
    return [
        Finding(rule.level, plan.name, column, rule.message, fix=rule.fix(plan, target_table) if rule.fix else None)
        for rule, columns in _violations(plan, source_table, target_table)
        for column in columns
    ]


def require_valid(plan: TablePlan, source_table: Table | None, target_table: Table | None) -> tuple[Table, Table]:
    """Refuse a planned table that the first rule of level `error` finds unfit.

    Parameters
    ----------
    plan
        The table's complete plan.
    source_table
        The table in the source; None where the source lacks it.
    target_table
        The table in the target; None where the target lacks it.

    Returns
    -------
    tuple of Table
        Both tables, neither of which is missing.

    Raises
    ------
    DfsyncError
        Names all columns that break the rule, and the remedy.
    """
    if source_table is None or target_table is None:
        raise DfsyncError(f"{plan.table} is missing. `dfsync create-tables` makes the target's missing tables.")
    for rule, columns in _violations(plan, source_table, target_table):
        if rule.level == ERROR:
            raise DfsyncError(
                rule.error.format(
                    name=plan.name,
                    section=plan_section(plan.name),
                    table=plan.table,
                    columns=", ".join(column for column in columns if column),
                    key=", ".join(plan.key),
                    fix=rule.fix(plan, target_table) if rule.fix else "",
                )
            )
    return source_table, target_table


def identity_note(plan: TablePlan) -> str | None:
    """Say by what the rows of a table without a natural key are known.

    Parameters
    ----------
    plan
        The table's complete plan.

    Returns
    -------
    str or None
        `BY_CONTENT`, `BY_CONTENT_WITHOUT_ID` or `BY_ID`; None where the table has a natural key, or a plan file says
        that it is to have none.
    """
    if not plan.lacks_key:
        return None
    if plan.identity == "id":
        return BY_ID
    return BY_CONTENT_WITHOUT_ID if plan.id is None else BY_CONTENT


def identity_warnings(tables: Iterable[TablePlan]) -> dict[str, list[str]]:
    """Group the tables whose rows are known by their content alone, unasked: their names by what to know of them."""
    found: dict[str, list[str]] = {}
    for table in tables:
        note = identity_note(table)
        if note is not None and note != BY_ID:
            found.setdefault(note, []).append(table.name)
    return found


def generated_columns(plan: TablePlan, source_table: Table, target_table: Table) -> list[str]:
    """Collect the columns whose values are not copied, because the target computes its own.

    Parameters
    ----------
    plan
        The table's plan.
    source_table
        The table in the source.
    target_table
        The table in the target.

    Returns
    -------
    list of str
        The source's names. Without columns that the source computes too, and without those of the natural key, where
        it is an error.
    """
    key = {name.lower() for name in plan.key}
    return [
        column.name
        for column in planned_columns(plan, source_table)
        if not column.generated and column.name.lower() not in key
        if column.name in target_table and target_table[column.name].generated
    ]


@dataclass(frozen=True)
class _Rule:
    level: str
    violated_by: Callable[[TablePlan, Table, Table], list[str] | list[None]]
    """The columns that break the rule; one None where the table breaks it as a whole."""
    message: str
    """Of a finding, beside the names of table and column."""
    error: str = ""
    """The same as the sentences of an error that stands alone."""
    fix: Callable[[TablePlan, Table], str] | None = None


def _violations(
    plan: TablePlan, source_table: Table, target_table: Table
) -> Iterator[tuple[_Rule, list[str] | list[None]]]:
    """Find the rules that are broken, each with the columns that break it."""
    for rule in _RULES:
        columns = rule.violated_by(plan, source_table, target_table)
        if columns:
            yield rule, columns


def _missing_columns(plan: TablePlan, source_table: Table, target_table: Table) -> list[str]:
    columns = value_columns(plan, source_table)
    return [column.name for column in columns if column.name not in target_table and not column.generated]


def _unfilled_columns(plan: TablePlan, source_table: Table, target_table: Table) -> list[str]:
    filled = _filled(plan, source_table, target_table)
    return [column.name for column in target_table.columns if column.required and column.name.lower() not in filled]


def _uncopied_key(plan: TablePlan, source_table: Table, target_table: Table) -> list[str]:
    missing = {name.lower() for name in _missing_columns(plan, source_table, target_table)}
    known = missing | _filled(plan, source_table, target_table)
    return [name for name in plan.key if name.lower() not in known]


def _one_for_the_target(plan: TablePlan, source_table: Table, _: Table) -> list[str]:
    # SQLite ignores the case of A to Z alone, MariaDB and MySQL that of every letter.
    names = [column.name.lower() for column in planned_columns(plan, source_table)]
    return [column.name for column in planned_columns(plan, source_table) if names.count(column.name.lower()) > 1]


def _empty_columns(plan: TablePlan, *_: Table) -> list[str]:
    return list(plan.empty_columns)


def _other_unique_keys(plan: TablePlan, source_table: Table, target_table: Table) -> list[str]:
    """Name the keys that the target holds unique besides the natural key: values there can refuse a row."""
    own = {name.lower() for name in plan.key}
    keys = unique_keys(plan, source_table, target_table)
    return [", ".join(key.columns) for key in keys if own and {name.lower() for name in key.columns} != own]


def _missing_id(plan: TablePlan, _: Table, target_table: Table) -> list[str]:
    return [plan.id] if plan.id is not None and plan.id not in target_table else []


def _unassigned_id(plan: TablePlan, _: Table, target_table: Table) -> list[str]:
    present = plan.id is not None and plan.id in target_table
    return [plan.id] if plan.id is not None and present and not target_table[plan.id].auto_increment else []


def _ambiguous_update(plan: TablePlan, source_table: Table, target_table: Table) -> list[None]:
    # Rows with an id are updated by it, and rows that are nothing but their key never differ.
    key = {name.lower() for name in plan.key}
    more = len(copied_columns(plan, source_table, target_table)) > len(key)
    ambiguous = key and more and not target_table.is_unique(key)
    return [None] if plan.on_match == "update" and plan.id is None and ambiguous else []


def _unknown_update_columns(plan: TablePlan, source_table: Table, target_table: Table) -> list[str]:
    key = {name.lower() for name in plan.key}
    copied = {column.name.lower() for column in copied_columns(plan, source_table, target_table)} - key
    return [name for name in plan.update_columns or () if name.lower() not in copied]


def _unfit_for_instants(plan: TablePlan, source_table: Table, target_table: Table) -> list[str]:
    columns = copied_columns(plan, source_table, target_table)
    return [c.name for c in columns if c.written_as and c.written_as[1] != BOOLEAN and c.kind not in _HOLD_INSTANTS]


def _unfit_for_booleans(plan: TablePlan, source_table: Table, target_table: Table) -> list[str]:
    columns = copied_columns(plan, source_table, target_table)
    return [c.name for c in columns if c.written_as == ("convert", BOOLEAN) and c.kind not in _HOLD_BOOLEANS]


def _by_content(plan: TablePlan, *_: Table) -> list[None]:
    return [None] if identity_note(plan) == BY_CONTENT else []


def _by_content_without_id(plan: TablePlan, *_: Table) -> list[None]:
    return [None] if identity_note(plan) == BY_CONTENT_WITHOUT_ID else []


def _by_id(plan: TablePlan, *_: Table) -> list[None]:
    return [None] if identity_note(plan) == BY_ID else []


def _filled(plan: TablePlan, source_table: Table, target_table: Table) -> set[str]:
    """Collect the columns of the target that every new row has a value for, in lower case."""
    copied = {column.name.lower() for column in copied_columns(plan, source_table, target_table)}
    return copied | {(plan.id or "").lower()}


def _make_auto_increment(plan: TablePlan, target_table: Table) -> str:
    column = target_table[plan.id or ""]
    name = _quoted(column.name)
    indexed = any(index[:1] == (column.name,) for index in target_table.all_indexes())
    key = "" if indexed else f", ADD {'UNIQUE' if target_table.primary_key else 'PRIMARY KEY'} ({name})"
    return f"ALTER TABLE {_quoted(target_table.name)} MODIFY {name} {column.type} NOT NULL AUTO_INCREMENT{key}"


def _quoted(name: str) -> str:
    # MariaDB and MySQL take backticks in every sql_mode.
    return f"`{name.replace('`', '``')}`"


_RULES = (
    _Rule(
        ERROR,
        _one_for_the_target,
        "its name and that of another column are one for the target; list one of them in ignore_columns",
        "The source's {table} has columns whose names differ only in case, and so are one for the target: {columns}. "
        "List all but one in ignore_columns of {section} in a plan file.",
    ),
    _Rule(
        ERROR,
        _missing_columns,
        "the target lacks this column; add it, or list it in ignore_columns",
        "The target's {table} lacks the source's column {columns}. Add it there, or list it in ignore_columns of "
        "{section} in a plan file.",
    ),
    _Rule(
        ERROR,
        _unfilled_columns,
        "the target needs a value here, and the source has none; give it a default, or allow NULL",
        "The target's {table} needs a value for {columns}, which is NOT NULL and has no default, and the source has "
        "none. Give it a default, or allow NULL.",
    ),
    _Rule(
        ERROR,
        _uncopied_key,
        "is in the natural key, but is not copied; give the table another natural_key",
        "The natural key of {name} names {columns}, which is not copied. Give {section} another natural_key in "
        "a plan file.",
    ),
    _Rule(
        ERROR,
        _missing_id,
        "the target lacks this column, the id",
        "The target's {table} has no column {columns}, the id of {section}.",
    ),
    _Rule(
        ERROR,
        _unassigned_id,
        "is not AUTO_INCREMENT in the target, so no row gets a new id",
        "{table}.{columns} of the target is not AUTO_INCREMENT, so the target cannot give new ids. Make it so, as in: "
        '{fix}. Or, if it is no mere number and must stay as it is, give {section} id = "" in a plan file.',
        fix=_make_auto_increment,
    ),
    _Rule(
        ERROR,
        _ambiguous_update,
        "its rows cannot be updated: it has no surrogate id, and its natural key is not unique in the target",
        "Rows of the target's {table} cannot be updated: it has no surrogate id, and its natural key ({key}) is not "
        'unique there. Make it unique, or give {section} on_match = "skip" in a plan file.',
    ),
    _Rule(
        ERROR,
        _unknown_update_columns,
        "is in update_columns, and is no column that an update can change: it is not copied, or in the natural key",
        "update_columns of {section} names {columns}, which an update cannot change: it is not copied, or it is "
        "in the natural key.",
    ),
    _Rule(
        ERROR,
        _unfit_for_instants,
        "the plan converts it to a date and time, and the target's column is for neither dates nor texts",
        "{section} converts {columns} to a date and time, and the target's column is for neither dates nor "
        "texts. Change its type in the target, or leave it out of convert and dates.",
    ),
    _Rule(
        ERROR,
        _unfit_for_booleans,
        'convert = "boolean" makes it 1 or 0, which the target\'s column is not for',
        '{section} has convert = "boolean" for {columns}, and the target\'s column is for no numbers. Change its '
        "type in the target, or leave it out of convert.",
    ),
    _Rule(NOTE, generated_columns, GENERATED),
    _Rule(NOTE, _empty_columns, EMPTY),
    _Rule(NOTE, _other_unique_keys, "also unique, but not the natural key, which alone says which rows are the same"),
    _Rule(WARNING, _by_content, BY_CONTENT),
    _Rule(WARNING, _by_content_without_id, BY_CONTENT_WITHOUT_ID),
    _Rule(NOTE, _by_id, BY_ID),
)
