"""Night after night: whatever changes on both sides between runs, and whatever became of the map.

Rows are edited, deleted, given other keys and swapped, ids are used again, and the map of the last run is kept, lost or
replaced by an older one. The oracle of `tests.support.nights` says what each run must do.

It takes minutes, so it is run where `DFSYNC_TEST_NIGHTS` says how many worlds to live through.
"""

from __future__ import annotations

import functools
import os
import shutil
import sqlite3
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from sqlalchemy import Connection, Engine, text

from dfsync.commands.create_tables import create_tables
from dfsync.commands.sync import sync
from dfsync.model.options import SyncOptions
from dfsync.output.result import SyncResult
from tests.support.git_history import run_sql
from tests.support.nights import Change, Evidence, Expected, Rows, Table, World, expected, source_keys, worlds
from tests.support.random_schemas import database
from tests.support.scenario import failed_rows

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
FAMILIES = int(os.environ.get("DFSYNC_TEST_FAMILIES", "3"))
"""Families of tables in a world; each is a world of its own, and a run has the cost of one."""
PHASES = (Phase.explicit, Phase.generate) if THOROUGH else tuple(Phase)
"""Making a world of many families smaller takes longer than finding it."""
WORLDS = int(os.environ.get("DFSYNC_TEST_NIGHTS", "0"))


@pytest.fixture(autouse=True, scope="module")
def one_tls_context() -> Iterator[None]:
    """PyMySQL reads the system's certificates for each connection, which takes a tenth of the time of a world."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))
        # No test here lives through a power failure.
        patched.setattr(os, "fsync", lambda _: None)
        yield


@pytest.mark.skipif(not WORLDS, reason="DFSYNC_TEST_NIGHTS says how many worlds")
@given(world=worlds(FAMILIES, FAMILIES if THOROUGH else 1))
@settings(max_examples=max(WORLDS, 1), deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
def test_nights(server_url: str, world: World) -> None:
    with tempfile.TemporaryDirectory(prefix="dfsync-nights-") as folder, database(server_url) as engine:
        Nights(world, Path(folder), engine).live()


class Nights:
    """Owns the source, the target and the output folder of one world."""

    def __init__(self, world: World, folder: Path, engine: Engine) -> None:
        self.world = world
        self.folder = folder
        self.engine = engine
        self.source = folder / "source.db"
        self.out = folder / "out"
        self.plan = folder / "plan.toml"
        self.highest = {name: max(rows, default=0) for name, rows in world.source.items()}
        self.kept = Evidence()
        self.history: list[Evidence] = []

    def live(self) -> None:
        tables = self.world.tables.values()
        self.plan.write_text("\n".join(line for table in tables for line in table.settings()), encoding="utf-8")
        run_sql(self.source, ";\n".join(map(_create, tables)))
        create_tables(self.source, self.engine.url, options=SyncOptions(plan=self.plan))
        self._fill()
        self._run(foretell=True)
        for night in self.world.nights:
            self._fate(night.fate)
            for change in night.changes:
                self._apply(change)
            self._run(foretell=night.foretell)

    def _fill(self) -> None:
        with closing(sqlite3.connect(self.source)) as connection, connection:
            for name, rows in self.world.source.items():
                for old, row in rows.items():
                    _insert_source(connection, name, {"id": old, **row})
        with self.engine.begin() as server:
            for name, table in self.world.tables.items():
                for row in self.world.target[name]:
                    self._insert_target(server, table, row)

    def _fate(self, fate: str) -> None:
        if fate == "lost" or (fate == "stale" and len(self.history) < 2):
            shutil.rmtree(self.out, ignore_errors=True)
            self.kept = Evidence()
        elif fate == "stale":
            shutil.rmtree(self.out)
            number = len(self.history) - 2
            shutil.copytree(self.folder / f"out{number}", self.out)
            self.kept = self.history[number]

    def _apply(self, change: Change) -> None:
        table = self.world.tables[change.table]
        if change.side == "source":
            with closing(sqlite3.connect(self.source)) as connection, connection:
                self._change_source(connection, table, change)
        else:
            with self.engine.begin() as server:
                self._change_target(server, table, change)

    def _change_source(self, connection: sqlite3.Connection, table: Table, change: Change) -> None:
        ids = sorted(self._source_rows(connection, table))
        if change.kind == "insert" or not ids:
            free = (
                [old for old in range(1, 10) if old not in ids] if table.reuses_ids else [self.highest[table.name] + 1]
            )
            old = free[change.which % len(free)]
            self.highest[table.name] = max(self.highest[table.name], old)
            _insert_source(connection, table.name, {"id": old, **change.row})
            return
        old, other = ids[change.which % len(ids)], ids[change.other % len(ids)]
        if change.kind == "delete":
            connection.execute(f"DELETE FROM {table.name} WHERE id = ?", [old])  # noqa: S608
        elif change.kind == "set":
            column = table.columns[change.other % len(table.columns)]
            connection.execute(f"UPDATE {table.name} SET {column} = ? WHERE id = ?", [change.row[column], old])  # noqa: S608
        else:
            rows = self._source_rows(connection, table)
            for one, two in ((old, other), (other, old)):
                for column in table.columns:
                    connection.execute(f"UPDATE {table.name} SET {column} = ? WHERE id = ?", [rows[two][column], one])  # noqa: S608

    def _change_target(self, connection: Connection, table: Table, change: Change) -> None:
        rows = self._target_rows(connection, table)
        ids = sorted(rows)
        if change.kind in ("insert", "swap") or not ids:
            self._insert_target(connection, table, change.row)
            return
        new = ids[change.which % len(ids)]
        if change.kind == "delete":
            children = [t.name for t in self.world.tables.values() if table.name in t.parents.values()]
            used = any(
                connection.execute(text(f"SELECT 1 FROM {child} WHERE p_id = {new}")).first()  # noqa: S608
                for child in children
            )
            if not used:
                connection.execute(text(f"DELETE FROM {table.name} WHERE id = {new}"))  # noqa: S608
            return
        column = table.columns[change.other % len(table.columns)]
        row = {**rows[new], column: change.row[column]}
        if self._fits(connection, table, row, new):
            connection.execute(text(f"UPDATE {table.name} SET {column} = :v WHERE id = {new}"), {"v": row[column]})  # noqa: S608

    def _insert_target(self, connection: Connection, table: Table, row: dict[str, Any]) -> None:
        if self._fits(connection, table, row, None):
            names = ", ".join(table.columns)
            marks = ", ".join(f":{column}" for column in table.columns)
            connection.execute(text(f"INSERT INTO {table.name} ({names}) VALUES ({marks})"), row)  # noqa: S608

    def _fits(self, connection: Connection, table: Table, row: dict[str, Any], own: int | None) -> bool:
        """Whether unique key and foreign keys allow a row of others."""
        key = [row[column] for column in table.key]
        same = [
            new
            for new, there in self._target_rows(connection, table).items()
            if new != own and key and [there[column] for column in table.key] == key
        ]
        parents = [
            row[column] is None or row[column] in self._target_rows(connection, self.world.tables[parent])
            for column, parent in table.parents.items()
        ]
        return not same and all(parents)

    def _source_rows(self, connection: sqlite3.Connection, table: Table) -> Rows:
        found = connection.execute(f"SELECT id, {', '.join(table.columns)} FROM {table.name}").fetchall()  # noqa: S608
        return {row[0]: dict(zip(table.columns, row[1:], strict=True)) for row in found}

    def _target_rows(self, connection: Connection, table: Table) -> Rows:
        found = connection.execute(text(f"SELECT id, {', '.join(table.columns)} FROM {table.name}"))  # noqa: S608
        return {row[0]: dict(zip(table.columns, row[1:], strict=True)) for row in found}

    def _both(self) -> tuple[dict[str, Rows], dict[str, Rows]]:
        tables = self.world.tables
        with closing(sqlite3.connect(self.source)) as source, self.engine.connect() as target:
            return (
                {name: self._source_rows(source, table) for name, table in tables.items()},
                {name: self._target_rows(target, table) for name, table in tables.items()},
            )

    def _run(self, *, foretell: bool) -> None:
        """One night's run, held against what it must do, and against what a dry run says of it."""
        source, before = self._both()
        options = SyncOptions(plan=self.plan, batch_size=3)
        foretold = None
        if foretell:
            dry_run = SyncOptions(plan=self.plan, dry_run=True)
            foretold = _told(sync(self.source, self.engine.url, out=self.out, options=dry_run))
            assert self._both() == (source, before)
        result = sync(self.source, self.engine.url, out=self.out, options=options)
        assert not result.write_errors
        assert foretold in (None, _told(result))
        failed = failed_rows(result)
        _, after = self._both()
        maps: dict[str, dict[int, int]] = {}
        lost: dict[str, set[int]] = {}
        for name, table in self.world.tables.items():
            must = expected(table, source[name], before[name], maps, self.kept)
            mapping = result.mappings[name]
            maps[name] = dict(zip(mapping["old_id"].tolist(), mapping["new_id"].tolist(), strict=True))
            lost[name] = must.rejected
            note(f"run {len(self.history)}, {table}: {source} {before} {self.kept} {must}")
            assert set(failed[name]) == must.rejected, f"rejects of {name}"
            _hold(table, source[name], must, maps, before[name], after[name], result)
        keys = {name: source_keys(table, source[name]) for name, table in self.world.tables.items()}
        self.kept = self.kept.after(maps, keys, lost)
        self.history.append(self.kept)
        shutil.copytree(self.out, self.folder / f"out{len(self.history) - 1}")


def _hold(
    table: Table,
    source: Rows,
    must: Expected,
    maps: dict[str, dict[int, int]],
    before: Rows,
    after: Rows,
    result: SyncResult,
) -> None:
    new_ids = maps[table.name]
    assert {old: new for old, new in new_ids.items() if new in before} == must.matched, f"matched rows of {table.name}"
    inserted = {old: new for old, new in new_ids.items() if new not in before}
    assert inserted.keys() == must.leads.keys(), f"inserted rows of {table.name}"
    assert all(inserted[old] == inserted[lead] for old, lead in must.leads.items())
    leaders = {old for old, lead in must.leads.items() if old == lead}
    assert len({inserted[old] for old in leaders}) == len(leaders)
    assert {new: after.get(new) for new in before} == must.target, f"rows that {table.name} had"
    assert {new for new in after if new not in before} == {inserted[old] for old in leaders}
    for old in leaders:
        row = dict(source[old])
        for column, parent in table.parents.items():
            row[column] = None if row[column] is None else maps[parent][row[column]]
        assert after[inserted[old]] == row
    (counts,) = (counts for counts in result.counts if counts.name == table.name)
    assert counts.error is None
    assert counts.total == counts.inserted + counts.matched + counts.updated + counts.failed
    assert (counts.inserted, counts.failed) == (len(leaders), len(must.rejected))
    assert counts.shared == len(new_ids) - len(set(new_ids.values()))
    assert counts.rekeyed == len(must.rekeyed)


def _told(result: SyncResult) -> dict[str, Any]:
    return {c.name: (c.inserted, c.matched, c.updated, c.failed, c.shared, c.rekeyed) for c in result.counts}


def _create(table: Table) -> str:
    types = {"name": "VARCHAR(4) NOT NULL", "note": "VARCHAR(4)", "n": "INTEGER NOT NULL", "p_id": "INTEGER"}
    columns = ["id INTEGER PRIMARY KEY" + (" AUTOINCREMENT" if table.autoincrement else "")]
    for column in table.columns:
        required = " NOT NULL" if column in table.key and "NOT NULL" not in types[column] else ""
        reference = f" REFERENCES {table.parents[column]}" if column in table.parents else ""
        columns.append(f"{column} {types[column]}{required}{reference}")
    return f"CREATE TABLE {table.name} ({', '.join(columns)})"


def _insert_source(connection: sqlite3.Connection, table: str, row: dict[str, Any]) -> None:
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values()))  # noqa: S608
