"""Whatever the schema, the rows and what others do meanwhile: an undo leaves theirs, and takes all of its own.

The oracle knows the rows of before, those of others, and that a row stays as long as a row that stays refers to it.
"""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

import dfsync
from dfsync.commands.create_tables import create_tables
from dfsync.commands.sync import sync
from dfsync.model.options import SyncOptions, UndoOptions
from tests.support.git_history import run_sql
from tests.support.random_schemas import (
    VALUES,
    Rows,
    SchemaWithRows,
    database,
    fill_source,
    fill_target,
    read_target,
    schemas_with_rows,
    source_script,
)

EXAMPLES = 1_000 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 15


@given(case=schemas_with_rows(), on_match=st.sampled_from(["skip", "update"]), seed=st.integers(0, 2**20))
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_rows_of_any_schema(server_url: str, case: SchemaWithRows, on_match: str, seed: int) -> None:
    with tempfile.TemporaryDirectory(prefix="dfsync-case-") as folder, database(server_url) as engine:
        check(case, Path(folder), engine, on_match, random.Random(seed))


def check(case: SchemaWithRows, folder: Path, engine: Engine, on_match: str, chance: random.Random) -> None:
    source, out = folder / "source.db", folder / "out"
    plan = folder / "plan.toml" if case.plan else None
    if plan and case.plan:
        plan.write_text(case.plan, encoding="utf-8")
    run_sql(source, source_script(case.tables))
    create_tables(source, engine.url, options=SyncOptions(plan=plan))
    fill_source(source, case)
    fill_target(engine, case)
    before = read_target(engine, case.tables)
    options = SyncOptions(plan=plan, batch_size=3, on_match=on_match)
    first = sync(source, engine.url, out=out, options=options)
    wrote = any(c.inserted or c.updated for c in first.counts)
    if wrote:
        dfsync.undo(out, target=engine.url)
        assert read_target(engine, case.tables) == before
        again = sync(source, engine.url, out=out, options=options)
        assert [(c.name, c.inserted, c.matched, c.updated, c.failed) for c in again.counts] == [
            (c.name, c.inserted, c.matched, c.updated, c.failed) for c in first.counts
        ]
        ran = read_target(engine, case.tables)
        others = meddle(case, engine, before, ran, chance)
        now = read_target(engine, case.tables)
        dfsync.undo(out, target=engine.url, options=UndoOptions())
        left = read_target(engine, case.tables)
        assert {name: set(rows) for name, rows in left.items()} == expected(case, before, now, others)
        for name, rows in left.items():
            for id_, row in rows.items():
                if id_ in before[name] and (name, id_) not in others:
                    assert row == before[name][id_], (name, id_)
                else:
                    assert row == now[name][id_], (name, id_)


def meddle(
    case: SchemaWithRows, engine: Engine, before: Rows, ran: Rows, chance: random.Random
) -> set[tuple[str, int]]:
    """Others change a row, and add one; the rows that are theirs since."""
    theirs: set[tuple[str, int]] = set()
    for _ in range(chance.randint(0, 3)):
        name = chance.choice(list(case.tables))
        table = case.tables[name]
        if not ran[name]:
            continue
        id_ = chance.choice(list(ran[name]))
        column = chance.choice(table.columns)
        value = chance.choice(VALUES[column.type])
        quoted, of = (f"`{word.replace('`', '``')}`".replace("%", "%%") for word in (name, column.name))
        if chance.random() < 0.5:
            own_id = "`id of it`"
            statement = f"UPDATE {quoted} SET {of} = %s WHERE {own_id} = %s"  # noqa: S608
            try:
                with engine.begin() as connection:
                    changed = connection.exec_driver_sql(statement, (value, id_)).rowcount
            except DBAPIError:
                continue
            if changed and read_target(engine, case.tables)[name][id_] != ran[name][id_]:
                theirs.add((name, id_))
        else:
            row = {**{c.name: chance.choice(VALUES[c.type]) for c in table.columns}}
            row |= {
                r.name: chance.choice([*ran[r.parent], None] if r.nullable else [*ran[r.parent], 0])
                for r in table.references
            }
            listed = ", ".join(f"`{word.replace('`', '``')}`" for word in row).replace("%", "%%")
            marks = ", ".join(["%s"] * len(row))
            try:
                with engine.begin() as connection:
                    made = connection.exec_driver_sql(
                        f"INSERT INTO {quoted} ({listed}) VALUES ({marks})",  # noqa: S608
                        tuple(row.values()),
                    )
                    theirs.add((name, int(made.lastrowid)))
            except DBAPIError:
                continue
    return theirs


def expected(case: SchemaWithRows, before: Rows, now: Rows, others: set[tuple[str, int]]) -> dict[str, set[int]]:
    stay = {name: set(rows) & set(now[name]) for name, rows in before.items()}
    for name, id_ in others:
        stay[name].add(id_)
    frontier = [(name, id_) for name, ids in stay.items() for id_ in ids]
    while frontier:
        name, id_ = frontier.pop()
        # A row of before that is nobody's has its references of before again.
        row = before[name][id_] if id_ in before[name] and (name, id_) not in others else now[name][id_]
        for reference in case.tables[name].references:
            parent = row[reference.name]
            if parent is not None and parent not in stay[reference.parent]:
                stay[reference.parent].add(parent)
                frontier.append((reference.parent, parent))
    return stay
