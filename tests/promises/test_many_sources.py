"""Whatever the schema and the rows: several sources are as one that has the rows of all of them."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from dfsync.commands.create_tables import create_tables
from dfsync.commands.sync import sync
from dfsync.model.options import SyncOptions
from dfsync.output.result import SyncResult
from tests.promises.test_properties import Oracle, Reported
from tests.support.git_history import run_sql
from tests.support.random_schemas import (
    MISSING,
    Row,
    Rows,
    SchemaWithRows,
    Table,
    database,
    fill_source,
    fill_target,
    read_target,
    schemas_with_rows,
    source_script,
)

EXAMPLES = 1_000 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 25
APART = 1_000
"""The ids of the source of number n have so many times n added, where the oracle looks at the rows of all."""


@st.composite
def several_sources(draw: Any) -> list[SchemaWithRows]:
    """Cases of the same tables, plan and target, with other rows in the source."""
    case = draw(schemas_with_rows())
    rows = [case.source]
    for _ in range(draw(st.integers(1, 3))):
        moved = {}
        for name in case.tables:
            # Some references lead to other rows then, and some to none. No row gets the id 0, which is asked about.
            shift = draw(st.sampled_from([0, 0, 3, -13]))
            moved[name] = {id_ + shift: row for id_, row in case.source[name].items() if draw(st.booleans())}
        rows.append(moved)
    return [replace(case, source=each) for each in rows]


@given(cases=several_sources())
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_are_as_one(server_url: str, cases: list[SchemaWithRows]) -> None:
    with tempfile.TemporaryDirectory(prefix="dfsync-case-") as folder, database(server_url) as engine:
        _check(cases, Path(folder), engine)


def _check(cases: list[SchemaWithRows], folder: Path, engine: Engine) -> None:
    case, out = cases[0], folder / "out"
    plan = folder / "plan.toml" if case.plan else None
    if plan and case.plan:
        plan.write_text(case.plan, encoding="utf-8")
    paths = [folder / f"s{number}.db" for number in range(len(cases))]
    for path, each in zip(paths, cases, strict=True):
        run_sql(path, source_script(each.tables))
    create_tables(paths, engine.url, options=SyncOptions(plan=plan))
    for path, each in zip(paths, cases, strict=True):
        fill_source(path, each)
    fill_target(engine, case)
    before = read_target(engine, case.tables)
    first = sync(paths, engine.url, out=out, options=SyncOptions(plan=plan, batch_size=3))
    after = read_target(engine, case.tables)
    reported = Reported.by(_as_of_one(first))
    Oracle(replace(case, source=_of_all(cases)), before, after, reported).hold()
    known = [path.read_bytes() for path in sorted(out.glob("sources/*/id_mappings.json"))]
    again = sync(paths, engine.url, out=out, options=SyncOptions(plan=plan, local_infile=False))
    assert {c.name: c.inserted for c in again.counts if c.inserted or c.updated} == {}
    assert read_target(engine, case.tables) == after
    assert [path.read_bytes() for path in sorted(out.glob("sources/*/id_mappings.json"))] == known
    assert Reported.by(_as_of_one(again)).rejected == reported.rejected


def _of_all(cases: list[SchemaWithRows]) -> Rows:
    rows: Rows = {}
    for name, table in cases[0].tables.items():
        rows[name] = {}
        for number, case in enumerate(cases):
            for id_, row in case.source[name].items():
                rows[name][id_ + number * APART] = _moved(case, table, row, number)
    return rows


def _moved(case: SchemaWithRows, table: Table, row: Row, number: int) -> Row:
    """A row with the ids of its source; a reference that leads nowhere there leads nowhere."""
    moved = dict(row)
    for column, parent in table.parents.items():
        value = row[column]
        if isinstance(value, int):
            moved[column] = value + number * APART if value in case.source[parent] else MISSING + 100 * APART
    return moved


class _Frames(dict[str, pd.DataFrame]):
    pass


def _as_of_one(result: SyncResult) -> SyncResult:
    """The result with the ids that the oracle has."""

    def of_one(frame: pd.DataFrame) -> pd.DataFrame:
        if "source" not in frame.columns:
            return frame
        numbers = frame["source"].astype(str).str[1:].astype(int)
        return frame.drop(columns="source").assign(old_id=frame["old_id"].astype(int) + numbers * APART)

    mappings = _Frames({name: of_one(frame) for name, frame in result.mappings.items()})
    rejects = _Frames({name: of_one(frame) for name, frame in result.rejects.items()})
    by_source = {source.name: source for source in result.sources}
    assert sum(source.total for source in by_source.values()) == sum(c.total for c in result.counts)
    for source in by_source.values():
        assert source.total == source.inserted + source.matched + source.updated + source.failed
    return replace(result, mappings=mappings, rejects=rejects)


@given(cases=several_sources())
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_are_as_one_after_another(server_url: str, cases: list[SchemaWithRows]) -> None:
    """Where every row has a natural key, and all rows are valid, a sync of each gives the same rows."""
    tables = cases[0].tables
    assume(all(table.key for table in tables.values()))
    cases = [replace(case, source=_valid(case)) for case in cases]
    assume(any(case.source[name] for case in cases for name in tables))
    contents = []
    for one_run in (True, False):
        with tempfile.TemporaryDirectory(prefix="dfsync-case-") as name, database(server_url) as engine:
            folder = Path(name)
            plan = folder / "plan.toml" if cases[0].plan else None
            if plan and cases[0].plan:
                plan.write_text(cases[0].plan, encoding="utf-8")
            paths = [folder / f"s{number}.db" for number in range(len(cases))]
            for path, case in zip(paths, cases, strict=True):
                run_sql(path, source_script(case.tables))
            create_tables(paths[0], engine.url, options=SyncOptions(plan=plan))
            for path, case in zip(paths, cases, strict=True):
                fill_source(path, case)
            fill_target(engine, cases[0])
            given: list[Any] = [paths] if one_run else list(paths)
            runs = [
                sync(each, engine.url, out=folder / f"out{i}", options=SyncOptions(plan=plan))
                for i, each in enumerate(given)
            ]
            assume(all(run.ok for run in runs))
            contents.append(_content(read_target(engine, tables), tables))
    assert contents[0] == contents[1]


def _valid(case: SchemaWithRows) -> Rows:
    """The rows that fit, have a natural key, and refer to such rows."""
    rows = {
        name: {
            id_: row
            for id_, row in case.source[name].items()
            if table.is_valid(row) and all(row[column] is not None for column in table.key)
        }
        for name, table in case.tables.items()
    }
    while True:
        kept = {
            name: {
                id_: row
                for id_, row in rows[name].items()
                if all(row[column] is None or row[column] in rows[parent] for column, parent in table.parents.items())
            }
            for name, table in case.tables.items()
        }
        if kept == rows:
            return rows
        rows = kept


def _content(rows: Rows, tables: dict[str, Table]) -> dict[str, Counter[str]]:
    """The rows of each table without ids; a reference has the plain values of its parent."""
    return {
        name: Counter(
            repr([_without_id(rows, tables, table, column, value) for column, value in row.items()])
            for row in rows[name].values()
        )
        for name, table in tables.items()
    }


def _without_id(rows: Rows, tables: dict[str, Table], table: Table, column: str, value: Any) -> Any:
    parent = table.parents.get(column)
    if parent is None or value is None:
        return value
    return {name: plain for name, plain in rows[parent][value].items() if name not in tables[parent].parents}
