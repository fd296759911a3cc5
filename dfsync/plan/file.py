"""The plan as a TOML file: reading and writing."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfsync.model.errors import DfsyncError, Remedy
from dfsync.plan.builtin.ready_made import BUILT_IN as BUILT_IN
from dfsync.plan.builtin.ready_made import DISCOVERED, laid_over_base, plan_title, with_own_base
from dfsync.plan.model import EXPLICIT_ORIGINS, ForeignKey, Plan, TablePlan
from dfsync.plan.settings.reading import Entry
from dfsync.plan.settings.renaming import renaming_faults, with_target_names
from dfsync.plan.settings.values import value_faults
from dfsync.text.wording import did_you_mean, plan_section, printable

if TYPE_CHECKING:
    import tomlkit.items

_WITH_ORIGIN = {"id", "natural_key", "foreign_keys", "identity"}
_NEVER_IN_A_FILE = ("name", "source_table", "deferred", "empty_columns", "origin")
SETTINGS = ["target", *(field.name for field in fields(TablePlan) if field.name not in _NEVER_IN_A_FILE)]
"""What a file may say of a table."""
_MAX_NAME_BYTES = 200
"""Bytes; a file's name has at most 255, and ours has more than the table's."""
_MAX_COMMENT_CHARACTERS = 200
_MAX_EVIDENCE_CHARACTERS = 500
"""Of a likely answer: the other answers stand at its end."""
_HEAD = """\
A plan of dfsync, from the {source}. Edit it and give it back with --plan.

base            "discovered": tables that are not named here are discovered too; left out: only those named are synced;
                the name of a ready-made plan, such as "git-history": its tables and settings, and what differs here
exclude         patterns of tables that are left out then, such as "knex_*"
other_version   "accept": copy also where the target is of another version of the application
[tables.NAME]   the name in reports, in --tables and of the files in --out
table           what the table, or view, is called in the source; left out: NAME
target          what the table is called in the target; left out: as in the source
columns         columns with another name in the target, as in {{ full_name = "name" }}
convert         what the source writes in columns: "epoch_s", "epoch_ms", "epoch_us" or "boolean", as in
                {{ created = "epoch_ms" }}
dates           the form of dates in the source, as in {{ placed = "%d.%m.%Y" }}
types           types with which create-tables makes columns, as in {{ added = "DATETIME(6)" }}
query           a SELECT over the source, whose rows are those of the table
id              the integer id that the target assigns anew; left out: the integer primary key; "" is for none
natural_key     the columns that say that two rows are the same thing; [] compares rows by their whole content
foreign_keys    which columns hold ids of which NAME, and so get new values
after           names that must come first, beside those in foreign_keys
on_match        "skip" leaves rows that exist as they are, "update" gives them the source's values
update_columns  the columns that "update" gives the source's values; left out: all
ignore_columns  columns of the source that the target does without
plain_columns   columns that look like ids of other tables, and are copied unchanged
identity        "id": a row is the one that had its id in the last run; "content": its values say who it is
on_rekey        a row with another natural key than in the last run: "insert" it anew, or let its row "follow"
on_missing_parent  "null": a foreign key without a parent becomes NULL where it may be; "reject": its row is rejected
keep_ids        ids that mean the same row in both databases, such as 0
ids             "keep": new rows have their ids of the source where these are free; "new": the target assigns them

Whatever is left out is discovered anew at each run."""


def read_plan(path: Path) -> Plan:
    """Read a plan file.

    Parameters
    ----------
    path
        A TOML file with a table of settings for each planned table.

    Returns
    -------
    Plan
        A draft, in the file's order: what the file leaves out is None.

    Raises
    ------
    DfsyncError
        Where the file cannot be read or says what no plan can; names the file, the table and the setting.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DfsyncError(f"The plan {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DfsyncError(f"The plan {path} is not valid TOML: {error}.") from error
    Entry(path, "the file", content).require_known(["application", "base", "exclude", "other_version", "tables"])
    content = with_own_base(path, content)
    said, own_exclude = content.get("tables", {}), content.get("exclude", ())
    has_base = Entry(path, "the file", content).choice("base") is not None
    content, inherited = laid_over_base(content)
    head = Entry(path, "the file", content)
    overlay = content.get("base") == DISCOVERED
    exclude = head.names("exclude") or ()
    if exclude and not has_base:
        raise DfsyncError(
            f'The plan {path}: exclude is for a plan of all tables: put base = "{DISCOVERED}" above it, or leave it '
            "out, since a table that is not named is not synced."
        )
    tables = content.get("tables", {} if overlay else None)
    if not isinstance(tables, dict) or not (tables or overlay):
        raise DfsyncError(
            f"The plan {path} names no tables: it needs at least one [tables.NAME], "
            f'or base = "{DISCOVERED}" for all tables of the source.'
        )
    drafts = tuple(_draft(path, name, entry, inherited.get(name, frozenset())) for name, entry in tables.items())
    _require_distinct_tables(path, drafts)
    for draft in drafts:
        _require_consistent(path, draft)
    if not overlay:
        require_known_references(path, drafts)
    other_version = head.choice("other_version") or "refuse"
    base = exclude[: len(exclude) - len(own_exclude)]
    plan = Plan(drafts, plan_title(path), overlay, exclude[len(base) :], other_version, base_exclude=base)
    return replace(plan, inherited=tuple(inherited.keys() - said.keys()), of_base=inherited)


def require_known_references(path: Path, drafts: Sequence[TablePlan]) -> None:
    """Refuse drafts of tables that name a table which is not among them.

    Parameters
    ----------
    path
        The plan file.
    drafts
        All tables of the plan.

    Raises
    ------
    DfsyncError
        Names the first such table, and what to add.
    """
    names = [draft.name for draft in drafts]
    for draft in drafts:
        for other in (*draft.parents.values(), *draft.after):
            if other not in names:
                hint = did_you_mean(other, [name for name in names if name != draft.name])
                raise DfsyncError(
                    f"The plan {path}: {plan_section(draft.name)} refers to {other!r}, which is not in it."
                    f"{f'{hint} Else add' if hint else ' Add'} {plan_section(other)}, or put "
                    f'base = "{DISCOVERED}" at the top, which takes every table of the source.'
                )


def write_plan(path: Path, plan: Plan, *, force: bool = False) -> None:
    """Write a plan as a file for `--plan`.

    Parameters
    ----------
    path
        The file to create.
    plan
        The complete plan.
    force
        Whether a file that exists is replaced.

    Raises
    ------
    DfsyncError
        Where the file exists and `force` is not given, or where it cannot be written.
    """
    try:
        with path.open("w" if force else "x", encoding="utf-8", newline="\n") as file:
            file.write(to_toml(plan))
    except FileExistsError as error:
        remedy = Remedy("Choose another name, or add {force} to replace it.")
        raise DfsyncError(f"{path} already exists.", remedy) from error
    except OSError as error:
        raise DfsyncError(f"{path} cannot be written: {error.strerror}.") from error


def to_toml(plan: Plan) -> str:
    """Convert a plan to the text of a commented plan file.

    Parameters
    ----------
    plan
        The complete plan.

    Returns
    -------
    str
        TOML that `read_plan` reads back to the same tables. What was discovered has a comment with its origin.
    """
    # Only this function needs the library, which takes 40 ms to import.
    import tomlkit

    document = tomlkit.document()
    for line in _HEAD.format(source=printable(plan.source, _MAX_COMMENT_CHARACTERS)).splitlines():
        document.add(tomlkit.comment(line))
    if plan.other_version != "refuse":
        document.add("other_version", tomlkit.item(plan.other_version))
    tables = tomlkit.table(is_super_table=True)
    for table in plan.tables:
        tables.add(table.name, _to_toml_table(table))
    document.add("tables", tables)
    return tomlkit.dumps(document)


def _to_toml_table(table: TablePlan) -> tomlkit.items.Table:
    import tomlkit

    settings = tomlkit.table()
    for setting, value in _settings(table).items():
        origin = table.origin.get(setting)
        if value is None:
            if setting == "id" and origin:
                settings.add(
                    tomlkit.comment(f"no id: {printable(origin.removeprefix('none: '), _MAX_COMMENT_CHARACTERS)}")
                )
            continue
        if setting == "natural_key" and table.lacks_key:
            # Written as a setting it would say that this is meant, and silence the warning.
            found = printable(origin or "none found", _MAX_COMMENT_CHARACTERS)
            settings.add(tomlkit.comment(f"natural_key = []  # {found}"))
            continue
        item = tomlkit.item(value)
        if isinstance(value, dict):
            item = tomlkit.inline_table()
            item.update(value)
        if origin and origin not in EXPLICIT_ORIGINS:
            item.comment(printable(origin, _MAX_EVIDENCE_CHARACTERS))
            item.trivia.comment_ws = "  "
        settings.add(setting, item)
    return settings


def _settings(table: TablePlan) -> dict[str, Any]:
    """List what a plan file says of the table, in the file's order; None for what it leaves out."""
    no_id = "" if table.origin.get("id") in EXPLICIT_ORIGINS else None
    in_source = table.in_source or table.name
    return {
        "table": in_source if in_source != table.name else None,
        "target": table.table if table.table != in_source else None,
        "columns": dict(table.columns) or None,
        "convert": dict(table.convert) or None,
        "dates": dict(table.dates) or None,
        "types": dict(table.types) or None,
        "query": table.query,
        "id": no_id if table.id is None else table.id,
        "natural_key": table.natural_key,
        "foreign_keys": None if table.foreign_keys is None else table.parents,
        "after": table.after or None,
        "on_match": table.on_match if table.on_match != "skip" else None,
        "update_columns": table.update_columns,
        "ignore_columns": table.ignore_columns or None,
        "plain_columns": table.plain_columns or None,
        "identity": table.identity if table.origin.get("identity") in EXPLICIT_ORIGINS else None,
        "on_rekey": table.on_rekey,
        "on_missing_parent": table.on_missing_parent if table.on_missing_parent != "reject" else None,
        "keep_ids": table.keep_ids,
        "ids": table.ids if table.ids != "new" else None,
    }


def _require_distinct_tables(path: Path, drafts: Iterable[TablePlan]) -> None:
    for side in ("table", "in_source"):
        names: dict[str, str] = {}
        for draft in drafts:
            table = getattr(draft, side)
            other = draft.name if table is None else names.setdefault(table.lower(), draft.name)
            if other != draft.name:
                raise DfsyncError(
                    f"The plan {path}: {plan_section(other)} and {plan_section(draft.name)} are both for the "
                    f"table {table}."
                )


def _require_consistent(path: Path, draft: TablePlan) -> None:
    """Refuse a draft where settings of a table contradict each other."""
    key, ignored = ([name.lower() for name in names] for names in (draft.key, draft.ignore_columns))
    parents = [column.lower() for column in draft.parents]
    faults = {
        "natural_key names a column twice": len(set(key)) < len(key),
        "foreign_keys names a column twice": len(set(parents)) < len(parents),
        "natural_key names a column of ignore_columns": bool({*key} & {*ignored}),
        "foreign_keys names a column of ignore_columns": bool({*parents} & {*ignored}),
        "after names the table itself": draft.name in draft.after,
    }
    for fault, present in faults.items():
        if present:
            raise DfsyncError(f"The plan {path}: {plan_section(draft.name)} {fault}.")


def _draft(path: Path, name: str, content: object, inherited: frozenset[str]) -> TablePlan:
    where = plan_section(name)
    if not isinstance(content, dict):
        raise DfsyncError(f"The plan {path}: {where} must be a table of settings.")
    entry = Entry(path, where, content)
    entry.require_known(SETTINGS)
    _require_file_name(path, name)
    foreign_keys = entry.pairs("foreign_keys", '{ repository_id = "repositories" }')
    in_source = entry.name("table", name) or name
    table = entry.name("target", in_source) or in_source
    query = entry.name("query")
    draft = TablePlan(
        name=name,
        table=table,
        source_table=in_source if table != in_source and query is None else None,
        columns=entry.said_of_columns("columns", '{ full_name = "name" }'),
        convert=entry.said_of_columns("convert", '{ created = "epoch_ms" }'),
        dates=entry.said_of_columns("dates", '{ placed = "%d.%m.%Y" }'),
        types=entry.said_of_columns("types", '{ added = "DATETIME(6)" }'),
        query=query,
        id="" if content.get("id") == "" else entry.name("id"),
        natural_key=entry.names("natural_key"),
        foreign_keys=None if foreign_keys is None else tuple(ForeignKey(*item) for item in foreign_keys.items()),
        after=entry.names("after") or (),
        on_match=entry.choice("on_match") or "skip",
        ignore_columns=entry.names("ignore_columns") or (),
        plain_columns=entry.names("plain_columns") or (),
        update_columns=entry.names("update_columns"),
        identity=entry.choice("identity"),
        on_rekey=entry.choice("on_rekey"),
        on_missing_parent=entry.choice("on_missing_parent") or "reject",
        keep_ids=entry.ids("keep_ids"),
        ids=entry.choice("ids") or "new",
        origin={
            setting: "built-in plan" if setting in inherited else "plan file"
            for setting in content.keys() & _WITH_ORIGIN
        },
    )
    for fault, present in (renaming_faults(draft) | value_faults(draft)).items():
        if present:
            raise DfsyncError(f"The plan {path}: {where} {fault}.")
    return with_target_names(draft)


def in_file_name(character: str) -> bool:
    """Tell whether a file's name can hold a character on every system.

    Parameters
    ----------
    character
        A single one.

    Returns
    -------
    bool
    """
    return character not in '/\\:*?"<>|' and ord(character) >= 32


def _require_file_name(path: Path, name: str) -> None:
    # The name becomes a file's name in --out, so it must not leave the folder.
    if len(name.encode()) > _MAX_NAME_BYTES:
        raise DfsyncError(f"The plan {path}: {name[:20]}… is too long a name, because files are named after it.")
    if not name or name.startswith(".") or not all(map(in_file_name, name)):
        raise DfsyncError(f"The plan {path}: {name!r} cannot be a name, because files are named after it.")
