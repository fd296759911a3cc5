"""`python -m benchmarks.likely_keys`: how often likely foreign keys are found, and others asked about.

The schemas of `benchmarks/schemas` get rows, their declared keys are hidden, and the questions that a sync would ask
are held against the keys. A file has a line for each table, `TABLE: COLUMN TYPE, …`, with

    id            the integer primary key
    -> TABLE      a declared foreign key
    => TABLE      a column that holds ids of TABLE, as the application's code says, and is not declared
    pair COLUMN   ids of the table that COLUMN names
    int text real date bool   anything else; names like `port` and `year` get such values

and `?` after a type where values may be NULL. The first lines, which begin with `#`, are for people.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zlib import crc32

from dfsync.model.schema import Schema
from dfsync.pipeline.session.reference_evidence import reference_questions
from dfsync.plan.discovery.resolve import resolve
from dfsync.plan.model import Plan, TablePlan
from dfsync.plan.questions import Question
from dfsync.source.sqlite import SqliteSource

SCHEMAS = Path(__file__).parent / "schemas"
GROUPS = {
    "tuned on": ("chinook", "family", "home_assistant", "ipython", "kuma", "northwind", "wagtail"),
    "measured, then looked at": ("firefox", "git_history", "gitea", "mlflow", "redmine", "sakila", "wordpress"),
    "not looked at": ("f1", "grafana", "mediawiki", "moodle"),
}
"""What the rules knew of the schemas when they were made: docs/likely-keys.md."""
SQL_TYPES = {"id": "INTEGER PRIMARY KEY", "text": "TEXT", "real": "REAL", "date": "DATETIME", "bool": "BOOLEAN"}
ROWS = 300
Key = tuple[str, str]


@dataclass(frozen=True)
class Column:
    """A column of a description; `parent` is whose ids it holds, `pair` the column that names their tables."""

    name: str
    type: str
    nullable: bool
    parent: str | None = None
    pair: str | None = None


@dataclass
class Result:
    """What was asked about one schema; keys are (table, column)."""

    name: str
    keys: dict[Key, str] = field(default_factory=dict)
    found: set[Key] = field(default_factory=set)
    elsewhere: set[Key] = field(default_factory=set)
    """Asked about, with another table as the likely answer."""
    wrong: set[Key] = field(default_factory=set)
    """Asked about, and no key."""
    pairs: int = 0
    pairs_found: int = 0

    @property
    def missed(self) -> list[Key]:
        return sorted(self.keys.keys() - self.found - self.elsewhere)


def read(path: Path) -> dict[str, list[Column]]:
    """The tables of a description."""
    tables = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, columns = line.split(":", 1)
            tables[name.strip()] = [_column(each.strip()) for each in columns.split(",")]
    return tables


def _column(text: str) -> Column:
    nullable = text.endswith("?")
    name, *said = text.rstrip("?").split()
    match said:
        case ["->" | "=>", parent]:
            return Column(name, "int", nullable, parent=parent)
        case ["pair", pair]:
            return Column(name, "int", nullable, pair=pair)
        case [type_]:
            return Column(name, type_, nullable)
    raise ValueError(text)


def make(tables: dict[str, list[Column]], path: Path) -> None:
    """Make a SQLite file of these tables, with rows and without foreign keys."""
    rng = random.Random(crc32(path.name.encode()))
    ids = {name: _ids(rng, columns) for name, columns in tables.items()}
    with closing(sqlite3.connect(path)) as connection:
        for name, columns in tables.items():
            parts = [f'"{c.name}" {SQL_TYPES.get(c.type, "INTEGER")}' for c in columns]
            links = [f'"{c.name}"' for c in columns if c.parent and not c.nullable]
            if len(links) > 1 and not any(c.type == "id" for c in columns):
                parts.append(f"PRIMARY KEY ({', '.join(links)})")
            connection.execute(f'CREATE TABLE "{name}" ({", ".join(parts)})')
            values = [_values(rng, name, column, ids, len(ids[name])) for column in columns]
            marks = ", ".join("?" * len(columns))
            connection.executemany(f'INSERT OR IGNORE INTO "{name}" VALUES ({marks})', zip(*values, strict=True))  # noqa: S608
        connection.commit()


def _ids(rng: random.Random, columns: Sequence[Column]) -> list[int]:
    """Ids as an application leaves them: some without a gap, some with many, small tables and large ones."""
    count = rng.choice([4, 12, 40, ROWS, ROWS])
    return list(range(1, count + 1)) if rng.random() < 0.5 else sorted(rng.sample(range(1, 3 * count), count))


def _values(rng: random.Random, table: str, column: Column, ids: dict[str, list[int]], count: int) -> list[Any]:
    if column.type == "id":
        return ids[table]
    if column.parent:
        # A row refers to an earlier one of its own table.
        parents = ids[column.parent]
        own = column.parent == table
        values: list[Any] = [rng.choice(parents[: place or 1] if own else parents) for place in range(count)]
    elif column.pair:
        values = [rng.choice(ids[rng.choice(list(ids))]) for _ in range(count)]
    else:
        make_value = _maker(rng, column)
        values = [make_value(place) for place in range(count)]
    return [None if column.nullable and rng.random() < 0.3 else value for value in values]


def _maker(rng: random.Random, column: Column) -> Any:
    """What a column of no ids holds: by its type and name, else counters, small numbers or large ones."""
    name = column.name.lower()
    if column.type == "text":
        kinds = ["user", "group", "project"] if name.endswith("type") else None
        digits = crc32(name.encode()) % 10 == 0
        return lambda place: rng.choice(kinds) if kinds else str(place % 50 + 1) if digits else f"text {place}"
    if column.type == "real":
        return lambda _: round(rng.random() * 100, 2)
    if column.type == "date":
        return lambda place: f"2026-01-{place % 28 + 1:02} 10:00:00"
    if column.type == "bool" or name.startswith(("is_", "has_")):
        return lambda _: rng.randrange(2)
    for word, choices in (
        ("year", range(1990, 2026)),
        ("port", (22, 80, 443, 8080)),
        ("time", range(10**9, 2 * 10**9)),
    ):
        if word in name:
            return lambda _, choices=choices: rng.choice(choices)
    # Counters and small numbers are what ids are most easily taken for.
    return (
        lambda place: place + 1,
        lambda _: rng.randrange(1, 6),
        lambda _: rng.randrange(1, 40),
        lambda _: rng.randrange(100_000),
    )[crc32(name.encode()) % 4]


def measure(name: str, tables: dict[str, list[Column]], path: Path) -> Result:
    """Ask about a source whose declared keys are hidden, and compare with what they are."""
    with SqliteSource(path) as source:
        source.schema = Schema({key: replace(table, references=()) for key, table in source.schema.items()})
        draft = Plan(tuple(TablePlan(table, table) for table in source.schema), "discovered plan")
        plan = resolve(draft, source.schema, Schema())
        asked = list(reference_questions(plan, source, Schema(), plan.names))
    pairs = {(table, c.name) for table, columns in tables.items() for c in columns if c.pair}
    result = Result(name, pairs=len(pairs))
    result.keys = {(t, c.name): c.parent for t, columns in tables.items() for c in columns if c.parent}
    for question in asked:
        key = (question.table, question.column)
        likely = _likely(question)
        if key in pairs or key not in result.keys:
            result.pairs_found += key in pairs and likely is None
            if not (key in pairs and likely is None):
                result.wrong.add(key)
        else:
            (result.found if likely == result.keys[key] else result.elsewhere).add(key)
    return result


def _likely(question: Question) -> str | None:
    """The table that the likely answer names; None where it names none."""
    value = question.answers[0].value
    return next(iter(value.values())) if isinstance(value, dict) else None


def results(names: Sequence[str]) -> Iterator[Result]:
    """Measure the schemas of these names."""
    with TemporaryDirectory() as folder:
        for name in names:
            tables = read(SCHEMAS / f"{name}.txt")
            path = Path(folder) / f"{name}.db"
            make(tables, path)
            yield measure(name, tables, path)


def row(result: Result) -> str:
    """A line of the table in Markdown."""
    return f"| {result.name} | {' | '.join(map(str, counts(result)))} | {result.pairs_found} of {result.pairs} |"


def counts(result: Result) -> list[int]:
    """How many keys there are, found, found with another table first, missed, and how many others were asked about."""
    return [len(each) for each in (result.keys, result.found, result.elsewhere, result.missed, result.wrong)]


def total(name: str, parts: Sequence[Result]) -> str:
    """A line of sums, with precision and recall."""
    sums = [sum(each) for each in zip(*map(counts, parts), strict=True)]
    keys, found, elsewhere, _, wrong = sums
    pairs = f"{sum(r.pairs_found for r in parts)} of {sum(r.pairs for r in parts)}"
    asked = found + elsewhere
    said = f"**{name}**: recall {asked / keys:.1%}, precision {asked / (asked + wrong):.1%}"
    return f"| {said} | {' | '.join(map(str, sums))} | {pairs} |"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.likely_keys", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="schemas; default: all")
    parser.add_argument("-v", action="store_true", help="name the columns that are not as they should be")
    asked = parser.parse_args()
    names = asked.names or [name for group in GROUPS.values() for name in group]
    print("| schema | keys | found | other table | missed | asked wrongly | pairs told |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    measured = list(results(names))
    for title, group in GROUPS.items():
        parts = [result for result in measured if result.name in group]
        for result in parts:
            print(row(result))
        if parts:
            print(total(title, parts))
    for result in measured if asked.v else ():
        for fault in ("missed", "elsewhere", "wrong"):
            for table, column in sorted(getattr(result, fault)):
                print(f"{result.name}: {fault}: {table}.{column} {result.keys.get((table, column), '')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
