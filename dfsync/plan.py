"""The plan: which tables, in which order, with which natural keys and foreign keys. Data, not code.

`read_plan` reads the TOML file that users write and that `plans/git_history.toml` is written in. What such a file
leaves out is filled in from the two databases by `dfsync.discover`.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from dfsync.errors import DfsyncError
from dfsync.masking import without_credentials
from dfsync.options import ON_MATCH

BUILT_IN = Path(__file__).parent / "plans" / "git_history.toml"
_LONGEST_NAME = 200
"""Bytes; a file's name has at most 255, and ours has more than the table's."""
WRITTEN = ("plan file", "built-in plan")
"""The origins of what nobody had to discover."""


@dataclass(frozen=True)
class ForeignKey:
    """`column` holds ids of the planned table `parent` and is remapped by its mapping."""

    column: str
    parent: str


@dataclass(frozen=True)
class TablePlan:
    """How one table travels. In a plan file's draft None means: left out, to be discovered."""

    name: str
    """In reports, JSON and file names."""
    table: str
    id: str | None = None
    """The surrogate id; None in a complete plan where the table has none, for which a draft says `""`."""
    natural_key: tuple[str, ...] | None = None
    """Empty in a complete plan where rows are compared by their whole content."""
    foreign_keys: tuple[ForeignKey, ...] | None = None
    after: tuple[str, ...] = ()
    on_match: str = "skip"
    ignore_columns: tuple[str, ...] = ()
    deferred: tuple[str, ...] = ()
    """Foreign keys in a circle of tables that may be empty at first; never in a file, set by `dfsync.discover`."""
    origin: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Where `id`, `natural_key` and `foreign_keys` came from, in words for `dfsync plan`."""

    @property
    def key(self) -> tuple[str, ...]:
        return self.natural_key or ()

    @property
    def lacks_key(self) -> bool:
        """Whether rows are compared by their whole content for want of a key, and not because a plan file says so."""
        return not self.key and self.origin.get("natural_key") not in WRITTEN

    @property
    def parents(self) -> dict[str, str]:
        """Parent by foreign key column."""
        return {fk.column: fk.parent for fk in self.foreign_keys or ()}

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the foreign keys as `parents`."""
        return {**vars(self), "foreign_keys": self.parents, "origin": dict(self.origin)}


@dataclass(frozen=True)
class Plan:
    """The tables in the order in which they are synced: parents before children."""

    tables: tuple[TablePlan, ...]
    source: str
    """What to call it: the file's name, `built-in plan` or `discovered plan`."""

    def __getitem__(self, name: str) -> TablePlan:
        return next(table for table in self.tables if table.name == name)

    @property
    def names(self) -> list[str]:
        return [table.name for table in self.tables]

    @property
    def file(self) -> str | None:
        """The path of the plan file; None where the plan is built in or discovered."""
        return self.source.removeprefix("plan ") if self.source.startswith("plan ") else None

    @property
    def title(self) -> str:
        """What stands after `Plan: `."""
        return self.file or self.source

    def as_dict(self) -> dict[str, Any]:
        """For `summary.json`."""
        return {"source": self.source, "tables": [table.as_dict() for table in self.tables]}

    def ancestors(self, names: Iterable[str]) -> set[str]:
        """The tables whose mappings the foreign keys of `names` need, at any distance, without `names` themselves."""
        asked = set(names)
        found: set[str] = set()
        todo = list(asked)
        while todo:
            new = set(self[todo.pop()].parents.values()) - found
            found |= new
            todo += new
        return found - asked


def read_plan(path: Path) -> Plan:
    """The draft of a plan from a TOML file, in the file's order. Raises `DfsyncError` that names what is wrong."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DfsyncError(f"The plan {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DfsyncError(f"The plan {path} is not valid TOML: {error}.") from error
    _known(path, "the file", content, ["tables"])
    tables = content.get("tables")
    if not isinstance(tables, dict) or not tables:
        raise DfsyncError(f"The plan {path} names no tables: it needs at least one [tables.NAME].")
    drafts = tuple(_table(path, name, entry) for name, entry in tables.items())
    _each_table_once(path, drafts)
    for draft in drafts:
        _consistent(path, draft)
        for other in (*draft.parents.values(), *draft.after):
            if other not in tables:
                hint = suggest(other, tables)
                raise DfsyncError(
                    f"The plan {path}: [tables.{draft.name}] refers to {other!r}, which is not in it.{hint}"
                )
    source = "built-in plan" if path == BUILT_IN else f"plan {path}"
    return Plan(drafts, source)


def _each_table_once(path: Path, drafts: Iterable[TablePlan]) -> None:
    names: dict[str, str] = {}
    for draft in drafts:
        other = names.setdefault(draft.table.lower(), draft.name)
        if other != draft.name:
            raise DfsyncError(
                f"The plan {path}: [tables.{other}] and [tables.{draft.name}] are both for the table {draft.table}."
            )


def _consistent(path: Path, draft: TablePlan) -> None:
    """Raises `DfsyncError` where the settings of a table, which alone are right, do not go together."""
    key, ignored = ([name.lower() for name in names] for names in (draft.key, draft.ignore_columns))
    parents = [column.lower() for column in draft.parents]
    faults = {
        "natural_key names a column twice": len(set(key)) < len(key),
        "foreign_keys names a column twice": len(set(parents)) < len(parents),
        "natural_key names a column of ignore_columns": bool({*key} & {*ignored}),
        "foreign_keys names a column of ignore_columns": bool({*parents} & {*ignored}),
        "after names the table itself": draft.name in draft.after,
    }
    for fault, found in faults.items():
        if found:
            raise DfsyncError(f"The plan {path}: [tables.{draft.name}] {fault}.")


def in_order(tables: Iterable[TablePlan]) -> tuple[TablePlan, ...]:
    """Parents before children and `after` before both, else as given; deferred foreign keys do not count.

    Raises `DfsyncError` for a circle that none of its foreign keys breaks.
    """
    waiting = list(tables)
    placed: list[TablePlan] = []
    while waiting:
        left = {table.name for table in waiting}
        ready = [table for table in waiting if not _first(table) & left]
        if not ready:
            names = ", ".join(table.name for table in waiting)
            raise DfsyncError(
                f"No order for {names}: each needs another one's rows first, in columns that are NOT NULL."
            )
        chosen = ready[0]
        placed.append(chosen)
        waiting.remove(chosen)
    return tuple(placed)


def _first(table: TablePlan) -> set[str]:
    """The tables that must be in before it."""
    parents = {parent for column, parent in table.parents.items() if column not in table.deferred}
    return (parents | set(table.after)) - {table.name}


def only(plan: Plan, names: Iterable[str]) -> list[str]:
    """The asked names in the plan's order. Raises `DfsyncError` for a name that is not in the plan."""
    asked = list(names)
    for name in asked:
        if name not in plan.names:
            hint = suggest(name, plan.names) or f" It has {', '.join(plan.names)}."
            # Whoever mistakes this for the target may give a password here.
            raise DfsyncError(f"No table {without_credentials(repr(name))} in the {plan.source}.{hint}")
    return [name for name in plan.names if name in asked]


def with_on_match(plan: Plan, on_match: str | None) -> Plan:
    """The plan with `on_match` for every table, or as it is where that is None."""
    if on_match is None:
        return plan
    return replace(plan, tables=tuple(replace(table, on_match=on_match) for table in plan.tables))


def suggest(word: str, known: Iterable[str]) -> str:
    """` Did you mean 'commits'?` where something near is known, else nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""


def _table(path: Path, name: str, entry: Any) -> TablePlan:
    where = f"[tables.{name}]"
    if not isinstance(entry, dict):
        raise DfsyncError(f"The plan {path}: {where} must be a table of settings.")
    _known(path, where, entry, [f.name for f in fields(TablePlan) if f.name not in ("name", "deferred", "origin")])
    _file_name(path, name)
    on_match = entry.get("on_match", "skip")
    if on_match not in ON_MATCH:
        raise DfsyncError(f"The plan {path}: {where} on_match must be 'skip' or 'update', not {on_match!r}.")
    foreign_keys = entry.get("foreign_keys")
    if foreign_keys is not None and not (
        isinstance(foreign_keys, dict) and all(isinstance(parent, str) for parent in foreign_keys.values())
    ):
        raise DfsyncError(f'The plan {path}: {where} foreign_keys must be like {{ repository_id = "repositories" }}.')
    return TablePlan(
        name=name,
        table=_text(path, where, "table", entry, name) or name,
        id="" if entry.get("id") == "" else _text(path, where, "id", entry, None),
        natural_key=_texts(path, where, "natural_key", entry),
        foreign_keys=None if foreign_keys is None else tuple(ForeignKey(*item) for item in foreign_keys.items()),
        after=_texts(path, where, "after", entry) or (),
        on_match=on_match,
        ignore_columns=_texts(path, where, "ignore_columns", entry) or (),
        origin=dict.fromkeys(
            entry.keys() & {"id", "natural_key", "foreign_keys"}, "built-in plan" if path == BUILT_IN else "plan file"
        ),
    )


def _known(path: Path, where: str, entry: Mapping[str, Any], keys: Iterable[str]) -> None:
    known = list(keys)
    for key in entry:
        if key not in known:
            hint = suggest(key, known) or f" Known: {', '.join(known)}."
            raise DfsyncError(f"The plan {path}: unknown setting {key!r} in {where}.{hint}")


def _file_name(path: Path, name: str) -> None:
    # The name becomes a file's name in --out, so it must not leave the folder.
    if len(name.encode()) > _LONGEST_NAME:
        raise DfsyncError(f"The plan {path}: {name[:20]}… is too long a name, because files are named after it.")
    if not name or name.startswith(".") or any(c in '/\\:*?"<>|' or ord(c) < 32 for c in name):
        raise DfsyncError(f"The plan {path}: {name!r} cannot be a name, because files are named after it.")


def _text(path: Path, where: str, key: str, entry: Mapping[str, Any], default: str | None) -> str | None:
    value = entry.get(key, default)
    if value is not None and not (isinstance(value, str) and value):
        raise DfsyncError(f"The plan {path}: {where} {key} must be a name in quotes, not {value!r}.")
    return value


def _texts(path: Path, where: str, key: str, entry: Mapping[str, Any]) -> tuple[str, ...] | None:
    value = entry.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise DfsyncError(f"The plan {path}: {where} {key} must be a list of names, not {value!r}.")
    return tuple(value)
