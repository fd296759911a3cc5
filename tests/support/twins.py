"""Two equal worlds, a source and a target each, that live through the same nights: for what must not make a difference.

Everything is made from the numbers of one seed. Nothing here knows how dfsync works.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from dfsync.commands.create_tables import create_tables
from dfsync.commands.sync import sync
from dfsync.model.errors import DfsyncError
from dfsync.model.options import SyncOptions
from dfsync.output.result import SyncResult
from dfsync.pipeline.observer import Observer
from dfsync.plan.model import TablePlan

COLUMNS = {
    "name": "VARCHAR(4)",
    "code": "VARCHAR(4)",
    "n": "INTEGER",
    "x": "DOUBLE",
    "seen": "DATETIME(3)",
    "note": "VARCHAR(4)",
}
VALUES: dict[str, list[Any]] = {
    "name": ["a", "A", "b", "b ", "ä", "aa", "", "c", "d", "e"],
    "code": ["x", "X", "y", "ÿ", "z", "zz"],
    "n": [1, 2, 3, -4],
    "x": [0.1, 1 / 3, -0.0, 0.0, 1e300, 5e-324, 2.0**53 + 2],
    "seen": ["2024-02-29 23:59:59.9996", "2024-03-01", "2024-03-01 00:00:00.001", "0999-01-01 12:00:00.0004"],
    "note": ["p", "q", None, "too long"],
}
KEYS: dict[str, list[tuple[str, ...]]] = {
    "p": [("name",), ("name",), ("name", "code"), ("x",), ("seen", "name"), ()],
    "c": [("n",), ("p_id", "n"), ("code",), ("p_id", "code"), ("code", "name"), ("p_id", "seen"), ("x", "seen"), ()],
}
COLLATIONS = ["utf8mb4_bin", "utf8mb4_general_ci", "utf8mb4_unicode_ci", "latin1_swedish_ci"]
STATE_FATES = ["kept"] * 6 + ["lost", "damaged", "stale", "of another"]
OUT_FATES = ["kept"] * 8 + ["stale", "lost"]
ROWS = 8


@dataclass
class Table:
    """A table of both worlds, and what the plan says of it."""

    name: str
    key: tuple[str, ...]
    parent: str | None
    nullable_key: bool
    settings: dict[str, str]
    collations: dict[str, str]
    index: str
    """What the target has over the natural key: `unique`, `plain` or `none`."""

    @property
    def columns(self) -> list[str]:
        return [*COLUMNS, *(["p_id"] if self.parent else [])]

    def create(self) -> str:
        parts = ["id INTEGER PRIMARY KEY" + (" AUTOINCREMENT" if self.settings.get("identity") == "id" else "")]
        for name in self.columns:
            type_ = COLUMNS.get(name, "INTEGER")
            required = " NOT NULL" if name in self.key and not self.nullable_key else ""
            parts.append(f"{name} {type_}{required}" + (f" REFERENCES {self.parent}" if name == "p_id" else ""))
        return f"CREATE TABLE {self.name} ({', '.join(parts)})"

    def plan(self) -> Iterator[str]:
        yield f"[tables.{self.name}]"
        yield f"natural_key = {list(self.key)!r}".replace("'", '"')
        yield from (f'{name} = "{value}"' for name, value in self.settings.items())


@dataclass
class Night:
    """What happens before a run, and how it is run."""

    source: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)
    target: list[str] = field(default_factory=list)
    state: str = "kept"
    out: str = "kept"
    options: dict[str, Any] = field(default_factory=dict)


class Notes(Observer):
    """Collects what a run says of its tables."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def note(self, table: TablePlan, text: str) -> None:
        self.said.append((table.name, text))


class World:
    """Owns one source, one target and one output folder."""

    def __init__(self, folder: Path, engine: Engine, tables: list[Table]) -> None:
        folder.mkdir()
        self.folder, self.engine, self.tables = folder, engine, tables
        self.source, self.out, self.plan = folder / "source.db", folder / "out", folder / "plan.toml"
        self.runs = 0
        self.away: list[tuple[str, dict[str, Any]]] = []
        """Source rows that were deleted, and may come back."""
        self.plan.write_text("\n".join(line for table in tables for line in table.plan()), encoding="utf-8")

    def create(self) -> None:
        with closing(sqlite3.connect(self.source)) as connection:
            connection.executescript(";\n".join(table.create() for table in self.tables))
        create_tables(self.source, self.engine.url, options=SyncOptions(plan=self.plan))

    def change_source(self, statements: list[tuple[str, tuple[Any, ...]]]) -> list[str]:
        """Run statements; return the errors of those that are refused."""
        errors = []
        with closing(sqlite3.connect(self.source)) as connection, connection:
            for statement, values in statements:
                try:
                    connection.execute(statement, values)
                except sqlite3.Error as error:
                    errors.append(str(error))
        return errors

    def change_target(self, statements: list[str]) -> list[int]:
        """Run statements; return the error numbers of those that are refused."""
        errors = []
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for statement in statements:
                try:
                    connection.exec_driver_sql(statement.replace("%", "%%"))
                except DBAPIError as error:
                    errors.append(int(error.orig.args[0]) if error.orig is not None else 0)
        return errors

    def rows(self, table: Table) -> dict[int, dict[str, Any]]:
        columns = ["id", *table.columns]
        with self.engine.connect() as connection:
            found = connection.execute(text(f"SELECT {', '.join(columns)} FROM {table.name}"))  # noqa: S608
            return {row[0]: dict(zip(columns[1:], row[1:], strict=True)) for row in found}

    def source_row(self, table: Table, old: int) -> dict[str, Any]:
        columns = ["id", *table.columns]
        with closing(sqlite3.connect(self.source)) as connection:
            query = f"SELECT {', '.join(columns)} FROM {table.name} WHERE id = ?"  # noqa: S608
            return dict(zip(columns, connection.execute(query, [old]).fetchone(), strict=True))

    def source_ids(self, table: Table) -> list[int]:
        with closing(sqlite3.connect(self.source)) as connection:
            return [row[0] for row in connection.execute(f"SELECT id FROM {table.name} ORDER BY id")]  # noqa: S608

    def damage(self, night: Night, numbers: random.Random) -> None:
        """Let files of the last runs be lost, damaged or replaced by older ones."""
        if night.out == "lost":
            shutil.rmtree(self.out)
        elif night.out == "stale" and self.runs > 1:
            shutil.rmtree(self.out)
            shutil.copytree(self.folder / f"out{numbers.randrange(self.runs - 1)}", self.out)
        state = self.out / "state"
        files = sorted(state.glob("*.parquet")) if state.is_dir() else []
        if night.state == "lost" and files:
            numbers.choice(files).unlink()
        elif night.state == "damaged" and files:
            _flip(numbers.choice(files), numbers)
        elif night.state == "of another" and len(files) > 2:
            one, other = numbers.sample(files, 2)
            shutil.copy2(one, other)
        elif night.state == "stale" and self.runs > 1 and state.is_dir():
            shutil.rmtree(state)
            before = self.folder / f"out{numbers.randrange(self.runs - 1)}" / "state"
            if before.is_dir():
                shutil.copytree(before, state)

    def run(self, **options: Any) -> dict[str, Any]:
        """Sync, and tell all that a user can see of it."""
        notes = Notes()
        chosen = SyncOptions(plan=self.plan, jobs=1, batch_size=3, **options)
        try:
            result = sync(self.source, self.engine.url, out=self.out, options=chosen, observer=notes)
        except DfsyncError as error:
            return {"refused": str(error).replace(str(self.folder), "")}
        if not chosen.dry_run:
            shutil.copytree(self.out, self.folder / f"out{self.runs}", dirs_exist_ok=True)
            self.runs += 1
        return {**_told(result), "notes": notes.said, "files": {} if chosen.dry_run else _files(self.out)}

    def state(self) -> dict[str, dict[int, dict[str, Any]]]:
        return {table.name: self.rows(table) for table in self.tables}


def _told(result: SyncResult) -> dict[str, Any]:
    counts = [{k: v for k, v in c.as_dict().items() if k != "seconds"} for c in result.counts]
    frames = {
        f"{kind} {name}": frame.to_dict("list")
        for kind, by_name in (("map", result.mappings), ("rejects", result.rejects))
        for name, frame in by_name.items()
    }
    return {"counts": counts, **frames}


def _files(out: Path) -> dict[str, Any]:
    """The files that must be the same, Parquet without what it says of source and target."""
    found: dict[str, Any] = {"id_mappings.json": (out / "id_mappings.json").read_bytes()}
    for kind in ("mappings", "rekeyed", "unmapped", "rejects"):
        for path in sorted((out / kind).glob("*.parquet")):
            file = pq.ParquetFile(path)
            groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
            table = file.read()
            found[f"{kind}/{path.name}"] = (groups, str(table.schema.remove_metadata()), table.to_pydict())
    return found


def _flip(path: Path, numbers: random.Random) -> None:
    content = bytearray(path.read_bytes())
    if numbers.random() < 0.3:
        del content[len(content) // 2 :]
    else:
        content[numbers.randrange(len(content))] ^= 1 << numbers.randrange(8)
    path.write_bytes(content)


def tables(numbers: random.Random, families: int) -> list[Table]:
    """Families of a parent and a child."""
    made = []
    for number in range(families):
        for kind in "pc":
            key = numbers.choice(KEYS[kind])
            settings = {"on_match": numbers.choice(["skip", "skip", "update"])}
            if numbers.random() < 0.6:
                settings["on_rekey"] = numbers.choice(["insert", "follow"])
            if numbers.random() < 0.3:
                settings["identity"] = numbers.choice(["id", "content"])
            made.append(
                Table(
                    f"{kind}{number}",
                    key,
                    f"p{number}" if kind == "c" else None,
                    nullable_key=numbers.random() < 0.3,
                    settings=settings,
                    collations={name: numbers.choice(COLLATIONS) for name in ("name", "code") if name in key},
                    index=numbers.choice(["unique", "unique", "plain", "none"]) if key else "none",
                )
            )
    return made


def value(numbers: random.Random, table: Table, column: str) -> Any:
    if column == "p_id":
        return numbers.choice([*range(1, 7), *([None] if "p_id" not in table.key or table.nullable_key else [])])
    if column in table.key and table.nullable_key and numbers.random() < 0.15:
        return None
    values = VALUES[column]
    return numbers.choice([v for v in values if v is not None and v != "too long"] if column in table.key else values)


def row(numbers: random.Random, table: Table) -> dict[str, Any]:
    return {column: value(numbers, table, column) for column in table.columns}


def literal(of: Any) -> str:
    return "NULL" if of is None else repr(of) if isinstance(of, int | float) else f"'{of}'"


def prepared(table: Table) -> list[str]:
    """The statements that give a table of the target its collations and its index."""
    return [*(collate(table, name, collation) for name, collation in table.collations.items()), *reindex(table)]


def collate(table: Table, column: str, collation: str) -> str:
    charset = collation.split("_", maxsplit=1)[0]
    null = "NULL" if table.nullable_key or column not in table.key else "NOT NULL"
    return f"ALTER TABLE {table.name} MODIFY {column} VARCHAR(4) CHARACTER SET {charset} COLLATE {collation} {null}"


def reindex(table: Table) -> list[str]:
    if not table.key:
        return []
    drop = f"ALTER TABLE {table.name} DROP INDEX uq_{'_'.join(table.key)}"
    names = ", ".join(table.key)
    # A foreign key may need the index that is dropped.
    made = {
        "unique": [],
        "plain": [f"ALTER TABLE {table.name} ADD INDEX own_key ({names})", "@drop"],
        "none": ["@drop"],
    }[table.index]
    return [drop if statement == "@drop" else statement for statement in made]


def night(numbers: random.Random, world: World) -> Night:
    """Choose what happens, by the rows that a world has; the other world has the same."""
    made = Night(state=numbers.choice(STATE_FATES), out=numbers.choice(OUT_FATES))
    for table in world.tables:
        for _ in range(numbers.choice([0, 0, 0, 1, 1, 2, 4])):
            if numbers.random() < 0.55:
                made.source += source_change(numbers, world, table)
            else:
                made.target += target_change(numbers, world, table)
    if numbers.random() < 0.1:
        made.options["commit_every"] = numbers.choice([1, 3])
    if numbers.random() < 0.1:
        made.options["tables"] = tuple(t.name for t in world.tables if numbers.random() < 0.7) or None
    return made


def source_change(numbers: random.Random, world: World, table: Table) -> list[tuple[str, tuple[Any, ...]]]:
    ids = world.source_ids(table)
    kind = numbers.choice(["insert", "insert", "delete", "set", "set", "set", "swap", "refill", "return", "return"])
    gone = [of for name, of in world.away if name == table.name]
    if kind == "return" and gone:
        return [insert_into(table, numbers.choice(gone))]
    if kind == "insert" or not ids:
        return [insert_source(numbers, table, numbers.choice([None, numbers.randint(1, 30)]))]
    old, other = numbers.choice(ids), numbers.choice(ids)
    if kind in ("delete", "return"):
        world.away.append((table.name, world.source_row(table, old)))
        return [(f"DELETE FROM {table.name} WHERE id = ?", (old,))]  # noqa: S608
    if kind == "refill":
        made = [insert_source(numbers, table, number) for number in range(1, numbers.randint(2, ROWS))]
        return [(f"DELETE FROM {table.name}", ()), *made]  # noqa: S608
    columns = table.key if table.key and numbers.random() < 0.7 else table.columns
    column = numbers.choice(columns)
    if kind == "swap":
        one, two = f"(SELECT {column} FROM {table.name} WHERE id = ?)", "CASE id WHEN ? THEN {} ELSE {} END"  # noqa: S608
        statement = f"UPDATE {table.name} SET {column} = {two.format(one, one)} WHERE id IN (?, ?)"  # noqa: S608
        return [(statement, (old, other, old, old, other))]
    return [
        (f"UPDATE {table.name} SET {column} = ? WHERE id = ?", (value(numbers, table, column), old))  # noqa: S608
    ]


def insert_source(numbers: random.Random, table: Table, old: int | None) -> tuple[str, tuple[Any, ...]]:
    return insert_into(table, {"id": old, **row(numbers, table)})


def insert_into(table: Table, made: dict[str, Any]) -> tuple[str, tuple[Any, ...]]:
    marks = ", ".join("?" * len(made))
    return f"INSERT INTO {table.name} ({', '.join(made)}) VALUES ({marks})", tuple(made.values())  # noqa: S608


def target_change(numbers: random.Random, world: World, table: Table) -> list[str]:
    rows = world.rows(table)
    name = table.name
    kind = numbers.choice(["insert", "insert", "delete", "set", "set", "swap", "move", "refill", "collate", "purge"])
    if kind == "insert" or not rows:
        made = row(numbers, table)
        made = {k: None if v == "too long" else v for k, v in made.items()}
        if numbers.random() < 0.4:
            made["id"] = numbers.randint(1, 40)
        return [insert_target(name, made)]
    new, other = numbers.choice(sorted(rows)), numbers.choice(sorted(rows))
    off, on = "SET foreign_key_checks = 0", "SET foreign_key_checks = 1"
    if kind == "delete":
        return [f"DELETE FROM {name} WHERE id = {new}"]  # noqa: S608
    if kind == "purge":
        return [off, f"DELETE FROM {name}" if numbers.random() < 0.5 else f"TRUNCATE TABLE {name}", on]  # noqa: S608
    if kind == "move":
        return [off, f"UPDATE {name} SET id = {numbers.randint(1, 60)} WHERE id = {new}", on]  # noqa: S608
    if kind == "collate" and table.collations:
        column = numbers.choice(sorted(table.collations))
        return [collate(table, column, numbers.choice(COLLATIONS))]
    if kind == "refill":
        back = [{"id": old, **of} for old, of in rows.items() if numbers.random() < 0.9]
        if numbers.random() < 0.3:
            back = [{**of, "id": back[-1 - place]["id"]} for place, of in enumerate(back)]
        return [off, f"TRUNCATE TABLE {name}", *(insert_target(name, of) for of in back), on]
    column = numbers.choice(table.key if table.key and numbers.random() < 0.7 else table.columns)
    if kind == "swap" and not isinstance(rows[new][column], int):
        sets = [(new, "'~'"), (other, literal(rows[new][column])), (new, literal(rows[other][column]))]
        return [f"UPDATE {name} SET {column} = {to} WHERE id = {at}" for at, to in sets]  # noqa: S608
    to = value(numbers, table, column)
    return [f"UPDATE {name} SET {column} = {literal(None if to == 'too long' else to)} WHERE id = {new}"]  # noqa: S608


def insert_target(name: str, of: dict[str, Any]) -> str:
    return f"INSERT INTO {name} ({', '.join(of)}) VALUES ({', '.join(map(literal, of.values()))})"  # noqa: S608


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Where two results differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        absent = [f"{path}/{key}: only one has it" for key in one.keys() ^ other.keys()]
        return absent + [
            d for key in one.keys() & other.keys() for d in differences(one[key], other[key], f"{path}/{key}")
        ]
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)) and len(one) == len(other):
        return [d for i, pair in enumerate(zip(one, other, strict=True)) for d in differences(*pair, f"{path}[{i}]")]
    # By their texts, since a missing number is equal to nothing.
    return [] if repr(one) == repr(other) else [f"{path}: {one!r} != {other!r}"]
