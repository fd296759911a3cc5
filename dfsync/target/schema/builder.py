"""Write the statements that create the planned tables which the target lacks.

A table is drafted from what the source declares and holds, its keys get lengths that an index can hold, and the drafts
become SQLAlchemy tables, which SQLAlchemy compiles to SQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from dfsync.model.errors import DfsyncError
from dfsync.model.profile import Profiler
from dfsync.model.schema import Column, ForeignKeyConstraint, Schema
from dfsync.plan.model import Plan, TablePlan
from dfsync.target.schema.defaults import default_of
from dfsync.target.schema.draft import TableDraft
from dfsync.target.schema.indexes import MAX_KEY_BYTES, prefix_lengths
from dfsync.target.schema.names import bare_dialect, key_name, quoted, require_valid_names
from dfsync.target.schema.planned_types import with_planned_types
from dfsync.target.schema.types import ColumnType, choose_types, kept_column

_MAX_ROW_BYTES = 65_535 - 1024
_MAX_PAGE_BYTES = 8_000
_IN_PAGE = 255
_POINTER = 40
# The first that the server has. SQLite compares every character, and trailing spaces too.
_COLLATIONS = {
    "BINARY": ("utf8mb4_nopad_bin", "utf8mb4_0900_bin", "utf8mb4_bin"),
    "NOCASE": ("utf8mb4_uca1400_nopad_as_ci", "utf8mb4_0900_as_ci", "utf8mb4_unicode_520_ci"),
    "RTRIM": ("utf8mb4_bin",),
}


@dataclass(frozen=True)
class TableStatements:
    """What creates the planned tables.

    Parameters
    ----------
    statements
        The name of the table that it creates or changes, and the SQL, in the order of execution.
    notes
        In a sentence each, how a table differs from what the source declares.
    doubtful
        By table, the columns that keep the declared type though some values may not fit it.
    """

    statements: list[tuple[str, str]]
    notes: list[str]
    doubtful: dict[str, list[Column]]


class TableBuilder:
    """Turns planned tables into statements.

    Parameters
    ----------
    source
        The tables of the source.
    profiler
        Measures the values of the source's columns.
    target
        The tables of the target, for foreign keys to those that exist.
    plan
        The whole plan.
    connection
        The target. It is asked for its version and its collations, and not changed.
    """

    def __init__(
        self, source: Schema, profiler: Profiler, target: Schema, plan: Plan, connection: sa.Connection
    ) -> None:
        self._notes: list[str] = []
        self._source = source
        self._profiler = profiler
        self._target = target
        self._plan = plan
        self._dialect = bare_dialect(connection)
        self._collations = _available(connection)
        self._drafts: dict[str, TableDraft] = {}
        self._types: dict[tuple[str, str], ColumnType] = {}
        self._links: dict[tuple[str, str], tuple[str, str]] = {}
        self._tables: dict[str, sa.Table] = {}
        self._metadata = sa.MetaData()

    def build(self, tables: list[TablePlan]) -> TableStatements:
        """Draft the tables and write their statements; to be called once.

        Parameters
        ----------
        tables
            Planned tables that the target lacks and the source has.

        Returns
        -------
        TableStatements
            The statements and the notes.

        Raises
        ------
        DfsyncError
            A name or a key is longer than the target allows.
        """
        for table in tables:
            self._draft(table)
        for draft in self._drafts.values():
            self._add_foreign_keys(draft)
        for draft in self._drafts.values():
            for key in draft.keys:
                self._size_key(draft, key)
        for draft in self._drafts.values():
            self._move_off_page(draft)
            self._tables[draft.name] = self._table(draft)
        for draft in self._drafts.values():
            self._add_constraints(draft)
        return TableStatements(list(self._statements()), self._notes, self._doubtful())

    def _draft(self, plan: TablePlan) -> None:
        source_table = self._source.find(plan.table)
        assert source_table is not None
        ignored = {name.lower() for name in plan.ignore_columns}
        columns = tuple(c for c in source_table.columns if c.name.lower() not in ignored)
        require_valid_names(source_table.name, columns)
        choices = with_planned_types(plan, choose_types(self._profiler, source_table, columns), self._dialect)
        draft = TableDraft(plan, source_table, columns, choices)
        own: tuple[str, ...] = (source_table[plan.id].name,) if plan.id else ()
        nulls = any(draft.choices[name].nulls for name in source_table.primary_key if name in draft.choices)
        draft.primary_key = own or (
            source_table.primary_key if draft.has(source_table.primary_key) and not nulls else ()
        )
        natural = tuple(source_table[name].name for name in plan.key)
        for key in (natural, *source_table.uniques()):
            if key and draft.has(key) and not any(set(key) == set(other) for other in draft.keys):
                draft.uniques.append(key)
        self._note_types(draft)
        compared = self._profiler.collations(source_table, [c for c in columns if draft.choices[c.name].type.unit == 4])
        for name, choice in draft.choices.items():
            collation = self._collations[compared[name]] if name in compared else None
            self._types[draft.name, name] = replace(choice.type, collation=collation)
        if plan.id:
            self._types[draft.name, source_table[plan.id].name] = ColumnType("BIGINT")
        self._drafts[draft.name] = draft

    def _note_types(self, draft: TableDraft) -> None:
        for column in draft.columns:
            choice = draft.choices[column.name]
            if not choice.declared and column.name != draft.plan.id:
                chosen = choice.type.sql().compile(dialect=self._dialect)
                reason = choice.reason.format(declared=column.type)
                self._notes.append(f"{draft.name}.{column.name}: {reason}, so it becomes {chosen}.")

    def _doubtful(self) -> dict[str, list[Column]]:
        """By table, the columns of a declared type that some values may not fit; what refers to a parent is none."""
        return {
            draft.name: [
                kept_column(name, self._type(draft, name), self._dialect)
                for name, choice in draft.choices.items()
                if choice.doubtful and (draft.name, name) not in self._links and name != draft.plan.id
            ]
            for draft in self._drafts.values()
        }

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
        """With the parent's columns named; None where it refers to no columns."""
        parent = self._source.find(reference.parent)
        columns = reference.parent_columns or (parent.primary_key if parent else ())
        return replace(reference, parent_columns=columns) if len(columns) == len(reference.columns) else None

    def _match_parent_key(self, draft: TableDraft, reference: ForeignKeyConstraint) -> ForeignKeyConstraint | None:
        """In the order of the parent's key; None, mostly with a note, where it cannot be a key of the target."""
        name, keys = self._parent_keys(reference.parent)
        key = _key_over(keys, reference.parent_columns)
        if not self._is_remapped(draft, reference):
            self._note_omitted(draft, reference, "the plan does not give it new ids")
            return None
        if key is None:
            reason = f"{name} has no unique key of that" if name else "it is not in the plan"
            self._note_omitted(draft, reference, reason)
            return None
        own_by_parent = dict(zip((c.lower() for c in reference.parent_columns), reference.columns, strict=True))
        own = tuple(draft.source[own_by_parent[c.lower()]].name for c in key)
        return ForeignKeyConstraint(own, name or reference.parent, key) if draft.has(own) else None

    def _parent_keys(self, parent: str) -> tuple[str | None, list[tuple[str, ...]]]:
        """The name and the unique keys of a table that is drafted or exists; None and no keys for any other."""
        draft = next((d for d in self._drafts.values() if d.name.lower() == parent.lower()), None)
        if draft is not None:
            return draft.name, draft.keys
        target_table = self._target.find(parent)
        return (None, []) if target_table is None else (target_table.name, target_table.uniques())

    def _note_omitted(self, draft: TableDraft, reference: ForeignKeyConstraint, reason: str) -> None:
        columns = ", ".join(reference.columns)
        self._notes.append(f"{draft.name}: no foreign key from {columns} to {reference.parent}: {reason}.")

    def _is_remapped(self, draft: TableDraft, reference: ForeignKeyConstraint) -> bool:
        """Whether all columns that refer to a surrogate id are remapped; others would refer to unrelated rows."""
        parents = {column.lower(): self._plan[name] for column, name in draft.plan.parents.items()}
        owner = next((t for t in self._plan.tables if t.table.lower() == reference.parent.lower()), None)
        ids = zip(reference.columns, reference.parent_columns, strict=True)
        return owner is None or all(
            column.lower() in parents for column, own in ids if owner.id and own.lower() == owner.id.lower()
        )

    def _type_origin(self, table: str, column: str) -> tuple[str, str]:
        """The column whose type it takes."""
        origin, seen = (table, column), {(table, column)}
        while (referenced := self._links.get(origin)) is not None and referenced not in seen:
            seen.add(referenced)
            origin = referenced
        if origin not in self._types:
            self._types[origin] = self._existing_type(*origin)
        return origin

    def _existing_type(self, table: str, column: str) -> ColumnType:
        existing = self._target[table][column]
        charset = f" CHARACTER SET {existing.charset} COLLATE {existing.collation}" if existing.collation else ""
        return ColumnType(existing.type, verbatim=existing.type + charset)

    def _type(self, draft: TableDraft, column: str) -> ColumnType:
        return self._types[self._type_origin(draft.name, column)]

    def _size_key(self, draft: TableDraft, key: tuple[str, ...]) -> None:
        """Give the key's columns lengths that an index can hold: what the values need, and a share of the rest."""
        origins = {name: self._type_origin(draft.name, name) for name in key}
        declared = {origin: self._types[origin].as_key() for origin in origins.values()}
        sized = {origin: type_ for origin, type_ in declared.items() if type_.unit and not type_.verbatim}
        room = MAX_KEY_BYTES - 16 * (len(origins) - len(sized))
        needed = sum(max(type_.longest, 1) * type_.unit for type_ in sized.values())
        requested = sum((type_.length or 1) * type_.unit for type_ in sized.values())
        if needed > room:
            longest = max(sized.values(), key=lambda type_: type_.longest).longest
            raise DfsyncError(
                f"{draft.name} cannot have a unique key over {', '.join(key)}: an index holds "
                f"{MAX_KEY_BYTES // 4} characters, and the longest value has {longest}. Leave the key out of a copy "
                "of the source, or make the table yourself."
            )
        for origin, type_ in sized.items():
            before = self._types[origin].length
            spare = (type_.length or 1) - max(type_.longest, 1)
            if requested > room:
                spare = spare * (room - needed) // (requested - needed)
            length = max(type_.longest, 1) + spare
            self._types[origin] = replace(type_, length=length)
            if before and length < before:
                self._notes.append(f"{origin[0]}.{origin[1]}: made no longer than {length}, for a key holds no more.")

    def _move_off_page(self, draft: TableDraft) -> None:
        """Move the widest columns off the page, until a row is no longer than the target allows."""
        fixed = {name for key in (*draft.keys, *(r.columns for r in draft.references)) for name in key}
        types = {name: self._type(draft, name) for name in draft.choices}
        fixed |= {name for name, type_ in types.items() if type_.verbatim}
        movable = [name for name, type_ in types.items() if name not in fixed and type_.unit and type_.length]
        moved = []
        for name in sorted(movable, key=lambda name: -types[name].bytes):
            row, page = _row_bytes(types.values())
            if row <= _MAX_ROW_BYTES and page <= _MAX_PAGE_BYTES:
                break
            if row > _MAX_ROW_BYTES or types[name].bytes <= _IN_PAGE:
                types[name] = self._types[draft.name, name] = types[name].off_page()
                moved.append(name)
        if moved:
            self._notes.append(f"{draft.name}: a row would be too long, so these become TEXT: {', '.join(moved)}.")

    def _table(self, draft: TableDraft) -> sa.Table:
        dialect = self._dialect.name
        options = {"engine": "InnoDB", "charset": "utf8mb4", "collate": self._collations["BINARY"]}
        table = sa.Table(quoted(draft.name), self._metadata, *(self._column(draft, column) for column in draft.columns))
        table.dialect_kwargs.update({f"{dialect}_{name}": value for name, value in options.items()})
        if draft.primary_key:
            table.append_constraint(sa.PrimaryKeyConstraint(*(table.c[name] for name in draft.primary_key)))
        taken: set[str] = set()
        for key in draft.uniques:
            name = key_name(taken, "uq", key)
            table.append_constraint(sa.UniqueConstraint(*(table.c[column] for column in key), name=name))
        for index in draft.source.indexes:
            if not index.unique and draft.has(index.columns) and index.columns not in draft.keys:
                self._index(draft, table, index.columns, key_name(taken, "", (index.name,)))
        return table

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

    def _index(self, draft: TableDraft, table: sa.Table, columns: tuple[str, ...], name: Any) -> None:
        types = {column: self._type(draft, column) for column in columns}
        if any(type_.name == "JSON" for type_ in types.values()):
            self._notes.append(f"{draft.name}: no index over {', '.join(columns)}: JSON cannot be indexed.")
            return
        sizes = {column: type_.length and type_.bytes for column, type_ in types.items() if type_.unit}
        index = sa.Index(name, *(table.c[column] for column in columns))
        index.dialect_kwargs[f"{self._dialect.name}_length"] = prefix_lengths(sizes, len(types))

    def _add_constraints(self, draft: TableDraft) -> None:
        taken: set[str] = set()
        for reference in draft.references:
            parent = self._tables.get(reference.parent)
            if parent is None:
                columns = (sa.Column(quoted(column), sa.Integer) for column in reference.parent_columns)
                parent = sa.Table(quoted(reference.parent), self._metadata, *columns, extend_existing=True)
            own = self._tables[draft.name]
            if any(self._types_differ(draft, reference, i) for i in range(len(reference.columns))):
                self._notes.append(
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

    def _types_differ(self, draft: TableDraft, reference: ForeignKeyConstraint, position: int) -> bool:
        own = self._type(draft, reference.columns[position])
        return own != self._types[self._type_origin(reference.parent, reference.parent_columns[position])]

    def _statements(self) -> Iterator[tuple[str, str]]:
        later: list[Any] = []
        sort_tables: Any = sa.schema.sort_tables_and_constraints
        for table, foreign_keys in sort_tables(list(self._tables.values())):
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


def _key_over(keys: Iterable[tuple[str, ...]], columns: Iterable[str]) -> tuple[str, ...] | None:
    """The first of the keys that has these columns, in any order and case."""
    requested = {column.lower() for column in columns}
    return next((key for key in keys if key and {column.lower() for column in key} == requested), None)


def _row_bytes(types: Iterable[ColumnType]) -> tuple[int, int]:
    """The bytes of a row, and those of them that are stored in InnoDB's page."""
    sizes = [type_.bytes for type_ in types]
    return sum(sizes), sum(size if size <= _IN_PAGE else _POINTER for size in sizes)


def _available(connection: sa.Connection) -> dict[str, str]:
    """The server's collation for each of SQLite's."""
    names = {name for tried in _COLLATIONS.values() for name in tried}
    # MariaDB lists the full name of a collation of several character sets in this column alone.
    column = "FULL_COLLATION_NAME" if getattr(connection.dialect, "is_mariadb", False) else "COLLATION_NAME"
    listed = sa.table("COLLATION_CHARACTER_SET_APPLICABILITY", sa.column(column), schema="information_schema")
    try:
        available = set(connection.scalars(sa.select(listed.c[column]).where(listed.c[column].in_(names))))
    except sa.exc.SQLAlchemyError:
        available = {"utf8mb4_bin", "utf8mb4_unicode_520_ci"}
    return {word: next(name for name in tried if name in available) for word, tried in _COLLATIONS.items()}
