"""Random schemas with rows in source and target, for the property tests; nothing here knows how dfsync works."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine, make_url, text

Row = dict[str, Any]
Rows = dict[str, dict[int, Row]]
"""By table and id; the id is not in the row."""

NAMES = ["a", "order", "b b", "tä`x", 'q"%s']
VALUES: dict[str, list[Any]] = {
    "VARCHAR(4)": ["a", "b", "A", "ä", "😀", ""],
    "SMALLINT": [0, 1, -5, 300],
    "REAL": [0.5, -2.25, 1e300],
}
INVALID: dict[str, list[Any]] = {"VARCHAR(4)": ["too long"], "SMALLINT": ["x", 40_000], "REAL": ["x"]}
MISSING = 99


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    nullable: bool


@dataclass(frozen=True)
class Reference:
    name: str
    parent: str
    nullable: bool


@dataclass(frozen=True)
class Table:
    name: str
    columns: tuple[Column, ...]
    references: tuple[Reference, ...]
    key: tuple[str, ...] = ()
    declared: bool = False
    """The natural key is a unique constraint of the source; else it is in the plan file."""

    @property
    def discovered(self) -> bool:
        """Whether the natural key is found by itself: a single column that may be NULL is none."""
        nullable = {column.name for column in self.columns if column.nullable}
        nullable |= {reference.name for reference in self.references if reference.nullable}
        return self.declared and not (len(self.key) == 1 and {*self.key} <= nullable)

    @property
    def names(self) -> list[str]:
        return [*(column.name for column in self.columns), *(reference.name for reference in self.references)]

    @property
    def parents(self) -> dict[str, str]:
        return {reference.name: reference.parent for reference in self.references}

    @property
    def required_self_references(self) -> list[str]:
        """The references to the table itself that must be right when a row goes in."""
        return [r.name for r in self.references if r.parent == self.name and (not r.nullable or r.name in self.key)]

    def is_valid(self, row: Row) -> bool:
        return not any(row[column.name] in INVALID[column.type] for column in self.columns)


@dataclass(frozen=True)
class SchemaWithRows:
    tables: dict[str, Table]
    source: Rows
    target: Rows
    plan: str | None = field(default=None)


A_PARENT_THAT_NEEDS_ITSELF = SchemaWithRows(
    tables={
        "a": Table(
            name="a",
            columns=(Column("c0", "VARCHAR(4)", nullable=False),),
            references=(Reference("r0", "a", nullable=True), Reference("r1", "a", nullable=True)),
            key=("r1", "c0"),
        )
    },
    source={"a": {1: {"c0": "b", "r0": 2, "r1": None}, 2: {"c0": "a", "r0": None, "r1": 2}}},
    target={"a": {1: {"c0": "b", "r0": 2, "r1": None}, 2: {"c0": "a", "r0": None, "r1": 2}}},
    plan='[tables.t0]\ntable = "a"\nnatural_key = ["r1", "c0"]\n',
)
"""It is a reject although the target has the same circle, and so is the row that refers to it."""


@st.composite
def schemas(draw: Any) -> dict[str, Table]:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=5, unique=True))
    made = {}
    for place, name in enumerate(names):
        types = draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=3))
        columns = tuple(Column(f"c{i}", type_, draw(st.booleans())) for i, type_ in enumerate(types))
        parents = draw(st.lists(st.sampled_from(names), max_size=2))
        # A circle of tables must have a place where it may be empty: a reference to a later one.
        references = tuple(
            Reference(f"r{i}", parent, draw(st.booleans()) or names.index(parent) > place)
            for i, parent in enumerate(parents)
        )
        choices = [column.name for column in columns]
        choices += [r.name for r in references if names.index(r.parent) <= place]
        key = tuple(draw(st.lists(st.sampled_from(choices), max_size=2, unique=True)))
        made[name] = Table(name, columns, references, key, bool(key) and draw(st.booleans()))
    return made


@st.composite
def schemas_with_rows(draw: Any) -> SchemaWithRows:
    tables = draw(schemas())
    source = {name: draw(_rows(table, tables, st.integers(1, 12), with_invalid=True)) for name, table in tables.items()}
    target = {
        name: draw(_rows(table, tables, st.integers(1, 12), with_invalid=False)) for name, table in tables.items()
    }
    source = {name: _unique(table, source[name]) if table.declared else source[name] for name, table in tables.items()}
    plan = None
    if draw(st.booleans()) or any(table.key and not table.discovered for table in tables.values()):
        plan = "".join(
            f"[tables.t{i}]\ntable = {json.dumps(name)}\n"
            + ("" if table.discovered else f"natural_key = {json.dumps(list(table.key))}\n")
            for i, (name, table) in enumerate(tables.items())
        )
    return SchemaWithRows(tables, source, _with_valid_keys(tables, target), plan)


def _rows(table: Table, tables: dict[str, Table], ids: Any, *, with_invalid: bool) -> Any:
    columns = {
        column.name: st.sampled_from(
            VALUES[column.type]
            + (INVALID[column.type][:] if with_invalid else [])
            + ([None] if column.nullable else [])
        )
        for column in table.columns
    }
    # Low ids, so that most references find something, and some that never do.
    wanted = st.one_of(st.integers(1, 4), st.sampled_from([MISSING, "x"])) if with_invalid else st.integers(1, 4)
    references = {r.name: st.one_of(st.none(), wanted) if r.nullable else wanted for r in table.references}
    row = st.fixed_dictionaries({**columns, **references})
    few = st.one_of(st.integers(1, 4), ids)
    return st.dictionaries(few, row, max_size=6)


def _unique(table: Table, rows: dict[int, Row]) -> dict[int, Row]:
    """Without the rows whose natural key a row before them has."""
    seen = set()
    kept = {}
    for id_, row in sorted(rows.items()):
        key = tuple(row[name] for name in table.key)
        if not table.key or None in key or key not in seen:
            seen.add(key)
            kept[id_] = row
    return kept


def _with_valid_keys(tables: dict[str, Table], rows: Rows) -> Rows:
    """Without the rows that break a unique key or a foreign key; a foreign key that may be empty is."""
    while True:
        kept: Rows = {}
        for name, table in tables.items():
            kept[name] = {}
            for id_, row in _unique(table, rows[name]).items():
                lost = {r.name: r.nullable for r in table.references if row[r.name] not in (*rows[r.parent], None)}
                if all(lost.values()):
                    kept[name][id_] = {**row, **dict.fromkeys(lost)}
        if kept == rows:
            return rows
        rows = kept


def source_script(tables: dict[str, Table]) -> str:
    return ";\n".join(_create(table) for table in tables.values())


def _create(table: Table) -> str:
    parts = ['"id of it" INTEGER PRIMARY KEY']
    parts += [f"{_quoted(c.name)} {c.type}{'' if c.nullable else ' NOT NULL'}" for c in table.columns]
    parts += [
        f"{_quoted(r.name)} INTEGER{'' if r.nullable else ' NOT NULL'} REFERENCES {_quoted(r.parent)}"
        for r in table.references
    ]
    if table.declared:
        parts.append(f"UNIQUE ({', '.join(map(_quoted, table.key))})")
    return f"CREATE TABLE {_quoted(table.name)} ({', '.join(parts)})"


def fill_source(path: Path, case: SchemaWithRows) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for name, rows in case.source.items():
            for id_, row in rows.items():
                marks = ", ".join("?" * (len(row) + 1))
                names = ", ".join(map(_quoted, ["id of it", *row]))
                statement = f"INSERT INTO {_quoted(name)} ({names}) VALUES ({marks})"  # noqa: S608
                connection.execute(statement, [id_, *row.values()])


def fill_target(engine: Engine, case: SchemaWithRows) -> None:
    with engine.begin() as connection:
        connection.execute(text("SET foreign_key_checks = 0"))
        for name, rows in case.target.items():
            for id_, row in rows.items():
                names = ", ".join(map(_backticked, ["id of it", *row])).replace("%", "%%")
                table = _backticked(name).replace("%", "%%")
                statement = f"INSERT INTO {table} ({names}) VALUES ({', '.join(['%s'] * (len(row) + 1))})"  # noqa: S608
                connection.exec_driver_sql(statement, (id_, *row.values()))
        connection.execute(text("SET foreign_key_checks = 1"))


def read_target(engine: Engine, tables: dict[str, Table]) -> Rows:
    found: Rows = {}
    with engine.connect() as connection:
        for name in tables:
            rows = connection.exec_driver_sql(f"SELECT * FROM {_backticked(name)}".replace("%", "%%")).mappings()  # noqa: S608
            found[name] = {row["id of it"]: {k: v for k, v in row.items() if k != "id of it"} for row in rows}
    return found


@contextmanager
def database(server_url: str) -> Iterator[Engine]:
    """An engine on a database that lives as long as one example."""
    name = f"dfsync_test_{uuid.uuid4().hex}"
    server = create_engine(server_url, isolation_level="AUTOCOMMIT")
    engine = create_engine(make_url(server_url).set(database=name))
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} CHARACTER SET utf8mb4"))
        try:
            yield engine
        finally:
            engine.dispose()
            connection.execute(text(f"DROP DATABASE {name}"))
            server.dispose()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _backticked(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
