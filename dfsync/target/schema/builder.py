"""From planned tables that the target lacks to the statements that make them.

A table is drafted from what the source declares and holds, its keys are given lengths that an index can hold, and the
drafts become SQLAlchemy tables, which write their own SQL.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from dfsync.model.errors import DfsyncError
from dfsync.model.profile import Profiler
from dfsync.model.schema import Column, ForeignKeyConstraint, Schema, Table
from dfsync.plan.model import Plan, TablePlan
from dfsync.target.schema.defaults import default_of
from dfsync.target.schema.types import ColumnType, TypeChoice, choose_types

MAX_NAME_CHARACTERS = 64
MAX_KEY_BYTES = 3072
"""Of all columns of an index together. https://dev.mysql.com/doc/refman/9.7/en/innodb-limits.html"""
_MAX_ROW_BYTES = 65_535 - 1024
_MAX_PAGE_BYTES = 8_000
_IN_PAGE = 255
_POINTER = 40
_PREFIX = 255
# SQLite compares every character, and the spaces at the end too. The first that the server has.
_COLLATIONS = {
    "BINARY": ("utf8mb4_nopad_bin", "utf8mb4_0900_bin", "utf8mb4_bin"),
    "NOCASE": ("utf8mb4_uca1400_nopad_as_ci", "utf8mb4_0900_as_ci", "utf8mb4_unicode_520_ci"),
    "RTRIM": ("utf8mb4_bin",),
}


@dataclass
class TableDraft:
    """A table to be made. Columns by their names in the source."""

    plan: TablePlan
    source: Table
    columns: tuple[Column, ...]
    choices: dict[str, TypeChoice]
    primary_key: tuple[str, ...] = ()
    uniques: list[tuple[str, ...]] = field(default_factory=list)
    references: list[ForeignKeyConstraint] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def keys(self) -> list[tuple[str, ...]]:
        return [self.primary_key, *self.uniques] if self.primary_key else self.uniques

    def has(self, columns: Iterable[str]) -> bool:
        return set(columns) <= self.choices.keys()


def bare_dialect(connection: sa.Connection) -> Any:
    """The connection's dialect, but one that writes a percent sign as it is."""
    dialect: Any = type(connection.dialect)
    dialect = dialect(paramstyle="named")
    dialect.initialize(connection)
    return dialect


def quoted(name: str) -> Any:
    # Always, since each server has reserved words that SQLAlchemy has not heard of.
    return sa.sql.quoted_name(name, quote=True)


class TableBuilder:
    """Turns planned tables into statements. Owns the SQLAlchemy tables, and the notes made on the way."""

    def __init__(
        self, source: Schema, profiler: Profiler, there: Schema, plan: Plan, connection: sa.Connection
    ) -> None:
        self.notes: list[str] = []
        self._source = source
        self._profiler = profiler
        self._there = there
        self._plan = plan
        self._dialect = bare_dialect(connection)
        self._collations = _available(connection)
        self._drafts: dict[str, TableDraft] = {}
        self._types: dict[tuple[str, str], ColumnType] = {}
        self._links: dict[tuple[str, str], tuple[str, str]] = {}
        self._made: dict[str, sa.Table] = {}
        self._metadata = sa.MetaData()

    def build(self, tables: list[TablePlan]) -> list[tuple[str, str]]:
        """The statements, each with the table that it makes or changes."""
        for table in tables:
            self._draft(table)
        for draft in self._drafts.values():
            self._add_foreign_keys(draft)
        for draft in self._drafts.values():
            for key in draft.keys:
                self._size_key(draft, key)
        for draft in self._drafts.values():
            self._move_off_page(draft)
            self._made[draft.name] = self._table(draft)
        for draft in self._drafts.values():
            self._add_constraints(draft)
        return list(self._statements())

    def _draft(self, plan: TablePlan) -> None:
        have = self._source.find(plan.table)
        assert have is not None
        ignored = {name.lower() for name in plan.ignore_columns}
        columns = tuple(c for c in have.columns if c.name.lower() not in ignored)
        _check_names(have.name, columns)
        draft = TableDraft(plan, have, columns, choose_types(self._profiler, have, columns))
        own: tuple[str, ...] = (have[plan.id].name,) if plan.id else ()
        nulls = any(draft.choices[name].nulls for name in have.primary_key if name in draft.choices)
        draft.primary_key = own or (have.primary_key if draft.has(have.primary_key) and not nulls else ())
        natural = tuple(have[name].name for name in plan.key)
        for key in (natural, *have.uniques()):
            if key and draft.has(key) and not any(set(key) == set(other) for other in draft.keys):
                draft.uniques.append(key)
        self._note_types(draft)
        compared = self._profiler.collations(have, [c for c in columns if draft.choices[c.name].type.unit == 4])
        for name, choice in draft.choices.items():
            collation = self._collations[compared[name]] if name in compared else None
            self._types[draft.name, name] = replace(choice.type, collation=collation)
        if plan.id:
            self._types[draft.name, have[plan.id].name] = ColumnType("BIGINT")
        self._drafts[draft.name] = draft

    def _note_types(self, draft: TableDraft) -> None:
        for column in draft.columns:
            choice = draft.choices[column.name]
            if not choice.declared and column.name != draft.plan.id:
                made = choice.type.sql().compile(dialect=self._dialect)
                self.notes.append(
                    f"{draft.name}.{column.name}: its values do not fit {column.type}, so it becomes {made}."
                )

    def _add_foreign_keys(self, draft: TableDraft) -> None:
        """Its foreign keys; a column that refers to another one takes that one's type."""
        declared = [self._resolved(reference) for reference in draft.source.references]
        single = {reference.columns[0].lower() for reference in declared if reference and len(reference.columns) == 1}
        planned = [
            ForeignKeyConstraint((draft.source[column].name,), parent.table, (parent.id,))
            for column, name in draft.plan.parents.items()
            if (parent := self._plan[name]).id and column.lower() not in single
        ]
        for reference in [*filter(None, declared), *planned]:
            ordered = self._match_parent_key(draft, reference)
            if ordered is None:
                continue
            draft.references.append(ordered)
            for column, parent_column in zip(ordered.columns, ordered.parent_columns, strict=True):
                self._links.setdefault((draft.name, column), (ordered.parent, parent_column))

    def _resolved(self, reference: ForeignKeyConstraint) -> ForeignKeyConstraint | None:
        """With the parent's columns named; None where it points nowhere."""
        parent = self._source.find(reference.parent)
        columns = reference.parent_columns or (parent.primary_key if parent else ())
        return replace(reference, parent_columns=columns) if len(columns) == len(reference.columns) else None

    def _match_parent_key(self, draft: TableDraft, reference: ForeignKeyConstraint) -> ForeignKeyConstraint | None:
        """As the parent's key has its columns; None, and a note, where it cannot be a foreign key in the target."""
        parent = next((d for d in self._drafts.values() if d.name.lower() == reference.parent.lower()), None)
        there = self._there.find(reference.parent)
        keys = parent.keys if parent else there.uniques() if there else []
        name = parent.name if parent else there.name if there else reference.parent
        pairs = dict(zip((c.lower() for c in reference.parent_columns), reference.columns, strict=True))
        key = next((key for key in keys if {c.lower() for c in key} == pairs.keys()), ())
        why = "" if key else f"{name} has no unique key of that" if parent or there else "it is not in the plan"
        if not self._is_remapped(draft, reference):
            why = "the plan does not give it new ids"
        own = tuple(draft.source[pairs[c.lower()]].name for c in key)
        if key and not why and draft.has(own):
            return ForeignKeyConstraint(own, name, key)
        if why:
            columns = ", ".join(reference.columns)
            self.notes.append(f"{draft.name}: no foreign key from {columns} to {reference.parent}: {why}.")
        return None

    def _is_remapped(self, draft: TableDraft, reference: ForeignKeyConstraint) -> bool:
        """Whether columns that point to a surrogate id are remapped: without that they would point anywhere."""
        parents = {column.lower(): self._plan[name] for column, name in draft.plan.parents.items()}
        owner = next((t for t in self._plan.tables if t.table.lower() == reference.parent.lower()), None)
        ids = zip(reference.columns, reference.parent_columns, strict=True)
        return owner is None or all(
            column.lower() in parents for column, own in ids if owner.id and own.lower() == owner.id.lower()
        )

    def _type_origin(self, table: str, column: str) -> tuple[str, str]:
        """The column whose type it takes."""
        place, seen = (table, column), {(table, column)}
        while (following := self._links.get(place)) is not None and following not in seen:
            seen.add(following)
            place = following
        if place not in self._types:
            self._types[place] = self._existing_type(*place)
        return place

    def _existing_type(self, table: str, column: str) -> ColumnType:
        there = self._there[table][column]
        charset = f" CHARACTER SET {there.charset} COLLATE {there.collation}" if there.collation else ""
        return ColumnType(there.type, verbatim=there.type + charset)

    def _type(self, draft: TableDraft, column: str) -> ColumnType:
        return self._types[self._type_origin(draft.name, column)]

    def _size_key(self, draft: TableDraft, key: tuple[str, ...]) -> None:
        """Lengths with which an index holds the key, shared out by what is wished and what the values need."""
        roots = {name: self._type_origin(draft.name, name) for name in key}
        wished = {root: self._types[root].as_key() for root in roots.values()}
        sized = {root: type_ for root, type_ in wished.items() if type_.unit and not type_.verbatim}
        room = MAX_KEY_BYTES - 16 * (len(roots) - len(sized))
        least = sum(max(type_.longest, 1) * type_.unit for type_ in sized.values())
        asked = sum((type_.length or 1) * type_.unit for type_ in sized.values())
        if least > room:
            longest = max(sized.values(), key=lambda type_: type_.longest).longest
            raise DfsyncError(
                f"{draft.name} cannot have a unique key over {', '.join(key)}: an index holds "
                f"{MAX_KEY_BYTES // 4} characters, and the longest value has {longest}. Leave the key out of a copy "
                "of the source, or make the table yourself."
            )
        for root, type_ in sized.items():
            before = self._types[root].length
            spare = (type_.length or 1) - max(type_.longest, 1)
            if asked > room:
                spare = spare * (room - least) // (asked - least)
            length = max(type_.longest, 1) + spare
            self._types[root] = replace(type_, length=length)
            if before and length < before:
                self.notes.append(f"{root[0]}.{root[1]}: made no longer than {length}, for a key holds no more.")

    def _move_off_page(self, draft: TableDraft) -> None:
        """Takes the widest columns out of the row, until a row is no longer than the target allows."""
        bound = {name for key in (*draft.keys, *(r.columns for r in draft.references)) for name in key}
        types = {name: self._type(draft, name) for name in draft.choices}
        loose = [name for name, type_ in types.items() if name not in bound and type_.unit and type_.length]
        spilled = []
        for name in sorted(loose, key=lambda name: -types[name].bytes):
            row, page = _row_bytes(types.values())
            if row <= _MAX_ROW_BYTES and page <= _MAX_PAGE_BYTES:
                break
            if row > _MAX_ROW_BYTES or types[name].bytes <= _IN_PAGE:
                types[name] = self._types[draft.name, name] = types[name].off_page()
                spilled.append(name)
        if spilled:
            self.notes.append(f"{draft.name}: a row would be too long, so these become TEXT: {', '.join(spilled)}.")

    def _table(self, draft: TableDraft) -> sa.Table:
        dialect = self._dialect.name
        options = {"engine": "InnoDB", "charset": "utf8mb4", "collate": self._collations["BINARY"]}
        made = sa.Table(quoted(draft.name), self._metadata, *(self._column(draft, column) for column in draft.columns))
        made.dialect_kwargs.update({f"{dialect}_{name}": value for name, value in options.items()})
        if draft.primary_key:
            made.append_constraint(sa.PrimaryKeyConstraint(*(made.c[name] for name in draft.primary_key)))
        taken: set[str] = set()
        for key in draft.uniques:
            name = key_name(taken, "uq", key)
            made.append_constraint(sa.UniqueConstraint(*(made.c[column] for column in key), name=name))
        for index in draft.source.indexes:
            if not index.unique and draft.has(index.columns) and index.columns not in draft.keys:
                self._index(draft, made, index.columns, key_name(taken, "", (index.name,)))
        return made

    def _column(self, draft: TableDraft, column: Column) -> Any:
        is_id = (column.name,) == draft.primary_key and draft.plan.id is not None
        type_ = self._type(draft, column.name)
        return sa.Column(
            quoted(column.name),
            type_.sql(),
            nullable=column.nullable and column.name not in draft.primary_key,
            autoincrement=is_id,
            server_default=None if is_id or column.generated else default_of(column, type_),
        )

    def _index(self, draft: TableDraft, made: sa.Table, columns: tuple[str, ...], name: Any) -> None:
        types = {column: self._type(draft, column) for column in columns}
        if any(type_.name == "JSON" for type_ in types.values()):
            self.notes.append(f"{draft.name}: no index over {', '.join(columns)}: JSON cannot be indexed.")
            return
        sizes = {column: type_.length and type_.bytes for column, type_ in types.items() if type_.unit}
        index = sa.Index(name, *(made.c[column] for column in columns))
        index.dialect_kwargs[f"{self._dialect.name}_length"] = _prefixes(sizes, len(types))

    def _add_constraints(self, draft: TableDraft) -> None:
        taken: set[str] = set()
        for reference in draft.references:
            parent = self._made.get(reference.parent)
            if parent is None:
                columns = (sa.Column(quoted(column), sa.Integer) for column in reference.parent_columns)
                parent = sa.Table(quoted(reference.parent), self._metadata, *columns, extend_existing=True)
            own = self._made[draft.name]
            if any(self._types_differ(draft, reference, i) for i in range(len(reference.columns))):
                self.notes.append(
                    f"{draft.name}: no foreign key from {', '.join(reference.columns)} to {reference.parent}: another "
                    "one gives them a different type."
                )
                continue
            own.append_constraint(
                sa.ForeignKeyConstraint(
                    [own.c[column] for column in reference.columns],
                    [parent.c[column] for column in reference.parent_columns],
                    name=key_name(taken, "fk", (draft.name, *reference.columns)),
                )
            )

    def _types_differ(self, draft: TableDraft, reference: ForeignKeyConstraint, place: int) -> bool:
        own = self._type(draft, reference.columns[place])
        return own != self._types[self._type_origin(reference.parent, reference.parent_columns[place])]

    def _statements(self) -> Iterator[tuple[str, str]]:
        later: list[Any] = []
        in_order: Any = sa.schema.sort_tables_and_constraints
        for table, foreign_keys in in_order(list(self._made.values())):
            if table is None:
                later += foreign_keys
                continue
            yield table.name, self._sql(sa.schema.CreateTable(table, include_foreign_key_constraints=foreign_keys))
            for index in sorted(table.indexes, key=lambda index: str(index.name)):
                yield table.name, self._sql(sa.schema.CreateIndex(index))
        for constraint in later:
            yield constraint.table.name, self._sql(sa.schema.AddConstraint(constraint))

    def _sql(self, statement: Any) -> str:
        return str(statement.compile(dialect=self._dialect)).strip()


def index_statement(connection: sa.Connection, table: Table, columns: Iterable[Column]) -> str:
    """The statement that makes an index over columns of a table that the target has."""
    dialect, columns = bare_dialect(connection), list(columns)
    made = sa.Table(quoted(table.name), sa.MetaData(), *(sa.Column(quoted(c.name), sa.Integer) for c in columns))
    index = sa.Index(key_name(set(), "ix", tuple(c.name for c in columns)), *made.columns)
    # TEXT and BLOB have octets too, far more than an index holds.
    sizes = {c.name: c.octets for c in columns if c.kind in ("text", "binary")}
    index.dialect_kwargs[f"{dialect.name}_length"] = _prefixes(sizes, len(columns))
    return str(sa.schema.CreateIndex(index).compile(dialect=dialect))


def _prefixes(sizes: dict[str, int | None], columns: int) -> dict[str, int]:
    """How much of each column of text or bytes an index takes, where it cannot take all.

    An index over the beginnings of values serves as well, and leaves them as long as they like.
    """
    room = (MAX_KEY_BYTES - 16 * (columns - len(sizes))) // max(len(sizes), 1)
    return {name: min(room // 4, _PREFIX) for name, size in sizes.items() if not size or size > room}


def _row_bytes(types: Iterable[ColumnType]) -> tuple[int, int]:
    """Of all its columns, and of what of them stays in InnoDB's page."""
    sizes = [type_.bytes for type_ in types]
    return sum(sizes), sum(size if size <= _IN_PAGE else _POINTER for size in sizes)


def _available(connection: sa.Connection) -> dict[str, str]:
    """The server's collation for each of SQLite's."""
    names = {name for tried in _COLLATIONS.values() for name in tried}
    # A collation for several character sets has its full name in this table alone, and only where there are such.
    column = "FULL_COLLATION_NAME" if getattr(connection.dialect, "is_mariadb", False) else "COLLATION_NAME"
    listed = sa.table("COLLATION_CHARACTER_SET_APPLICABILITY", sa.column(column), schema="information_schema")
    try:
        have = set(connection.scalars(sa.select(listed.c[column]).where(listed.c[column].in_(names))))
    except sa.exc.SQLAlchemyError:
        have = {"utf8mb4_bin", "utf8mb4_unicode_520_ci"}
    return {word: next(name for name in tried if name in have) for word, tried in _COLLATIONS.items()}


def _check_names(table: str, columns: Iterable[Column]) -> None:
    for what, name in (("table", table), *((f"column of {table}", column.name) for column in columns)):
        why = ""
        if len(name) > MAX_NAME_CHARACTERS:
            why = f"has {len(name)} characters, and a name in the target has at most {MAX_NAME_CHARACTERS}"
        elif not name or name.endswith(" ") or any(c == "\0" or ord(c) > 0xFFFF for c in name):
            why = "cannot be a name in the target, for a space at its end or a character beyond Unicode's first 65,536"
        if why:
            raise DfsyncError(
                f"The {what} {name!r} {why}. Rename it in a copy of the source, or leave it out by a plan file."
            )


def key_name(taken: set[str], prefix: str, parts: tuple[str, ...]) -> Any:
    """The name of a key, as short as a name may be and not taken."""
    name = "_".join(filter(None, (prefix, *parts)))
    if len(name) > MAX_NAME_CHARACTERS or name.lower() in taken or name.lower() == "primary":
        mark = hashlib.sha256(repr((prefix, parts)).encode()).hexdigest()[:8]
        name = f"{name[: MAX_NAME_CHARACTERS - 9]}_{mark}"
    taken.add(name.lower())
    return quoted(name)
