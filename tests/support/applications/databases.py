"""Make an application's database from its schema and fill it, as SQLite and as MariaDB or MySQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

import pandas as pd
import sqlalchemy as sa
from sqlalchemy import Engine

from tests.support.git_history import run_sql

SCHEMAS = Path(__file__).parent / "schemas"

Frames = Mapping[str, pd.DataFrame]
"""The rows by table."""


def make_source(path: Path, application: str, rows: Frames) -> Path:
    """A file as the application makes it where it uses SQLite."""
    run_sql(path, (SCHEMAS / f"{application}.sqlite.sql").read_text(encoding="utf-8"))
    engine = sa.create_engine(f"sqlite:///{path}")
    fill(engine, rows)
    engine.dispose()
    return path


def make_target(target: Engine, application: str, rows: Frames) -> None:
    """The tables as the application makes them where it uses MariaDB or MySQL."""
    script = (SCHEMAS / f"{application}.mysql.sql").read_text(encoding="utf-8")
    with target.begin() as connection:
        for statement in filter(str.strip, script.split(";\n")):
            connection.exec_driver_sql(statement.replace("%", "%%"))
    fill(target, rows)


def fill(engine: Engine, rows: Frames) -> None:
    """Insert the rows, NULL where a frame has none."""
    with engine.begin() as connection:
        if engine.dialect.name != "sqlite":
            connection.exec_driver_sql("SET FOREIGN_KEY_CHECKS = 0")
        for name, frame in rows.items():
            if not frame.empty:
                insert = sa.table(name, *map(sa.column, frame.columns)).insert()
                objects = frame.astype(object)
                connection.execute(insert, objects.where(objects.notna(), None).to_dict("records"))  # type: ignore[arg-type]
        if engine.dialect.name != "sqlite":
            connection.exec_driver_sql("SET FOREIGN_KEY_CHECKS = 1")


def answers(database: Path | Engine, query: str) -> Counter[tuple[object, ...]]:
    """What a query gives, in any order, moments as SQLite has them; names in back quotes are good for both."""
    engine = sa.create_engine(f"sqlite:///{database}") if isinstance(database, Path) else database
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(query.replace("%", "%%")).fetchall()
    engine.dispose()
    return Counter(tuple(map(_plain, row)) for row in rows)


def assert_same(source: Path, target: Engine, queries: Iterable[tuple[str, str]]) -> None:
    """Each query, given with its name, finds something in the source, and the same in the target."""
    for name, query in queries:
        here = answers(source, query)
        assert here, name
        assert answers(target, query) == here, name


def _plain(value: object) -> object:
    return f"{value:%Y-%m-%d %H:%M:%S.%f}" if isinstance(value, datetime) else value
