"""Whatever the schema and the rows: the promises hold after one run and after two.

The oracle is plain Python over rows as dicts; it knows what a sync promises and nothing of how dfsync does it.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from sqlalchemy import Engine

from dfsync.create_tables import create_tables
from dfsync.options import Options
from dfsync.result import SyncResult
from dfsync.sync import sync
from tests.support.git_history import run_sql
from tests.support.random_schemas import (
    A_PARENT_THAT_NEEDS_ITSELF,
    Row,
    Rows,
    Tab,
    World,
    database,
    fill_source,
    fill_target,
    read_target,
    source_script,
    worlds,
)

EXAMPLES = 1_000 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 25


@pytest.fixture(scope="module")
def url(server_url: str) -> str:
    return server_url


@given(world=worlds())
@example(world=A_PARENT_THAT_NEEDS_ITSELF)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_rows_of_any_schema(url: str, world: World) -> None:
    with tempfile.TemporaryDirectory(prefix="dfsync-world-") as folder, database(url) as engine:
        check(world, Path(folder), engine)


def check(world: World, folder: Path, engine: Engine) -> None:
    """Two runs of the world, held against the promises."""
    source, out = folder / "source.db", folder / "out"
    plan = folder / "plan.toml" if world.plan else None
    if plan and world.plan:
        plan.write_text(world.plan, encoding="utf-8")
    run_sql(source, source_script(world.tables))
    # Made before the rows are, so that some rows do not fit.
    create_tables(source, engine.url, Options(plan=plan))
    fill_source(source, world)
    fill_target(engine, world)
    before = read_target(engine, world.tables)
    rehearsed = sync(source, engine.url, out=out, options=Options(plan=plan, batch_size=3, dry_run=True))
    assert read_target(engine, world.tables) == before
    foretold = _told(rehearsed)
    first = sync(source, engine.url, out=out, options=Options(plan=plan, batch_size=3))
    after = read_target(engine, world.tables)
    said = Said.by(first)
    if not any("refused by the server" in reason for reasons in said.rejected.values() for reason in reasons.values()):
        assert foretold == _told(first)
    Oracle(world, before, after, said).hold()
    known = (out / "id_mappings.json").read_bytes()
    again = sync(source, engine.url, out=out, options=Options(plan=plan, local_infile=False))
    assert {c.name: c.synced for c in again.counts if c.synced or c.updated} == {}
    assert read_target(engine, world.tables) == after
    assert (out / "id_mappings.json").read_bytes() == known
    second = Said.by(again)
    assert {name: set(action.values()) <= {"matched"} for name, action in second.actions.items()} == dict.fromkeys(
        second.actions, True
    )
    assert second.rejected == said.rejected


def _told(result: SyncResult) -> dict[str, Any]:
    """What a dry run must tell as the run does."""
    counts = {c.name: (c.synced, c.skipped, c.updated, c.failed) for c in result.counts}
    return {name: (counts[name], rejects.to_numpy().tolist()) for name, rejects in result.rejects.items()}


@dataclass(frozen=True)
class Said:
    """What a run said of each table's rows, by the table's name in the databases."""

    maps: dict[str, dict[int, int]]
    actions: dict[str, dict[int, str]]
    rejected: dict[str, dict[int, str]]

    @classmethod
    def by(cls, result: SyncResult) -> Said:
        assert result.plan is not None
        assert [c.error for c in result.counts if c.error] == []
        table = {t.name: t.table for t in result.plan.tables}
        said = cls({}, {}, {})
        for name, mapping in result.mappings.items():
            rows = list(zip(mapping["old_id"], mapping["new_id"], mapping["action"], strict=True))
            said.maps[table[name]] = {old: new for old, new, _ in rows}
            said.actions[table[name]] = {old: action for old, _, action in rows}
            rejects = result.rejects[name]
            said.rejected[table[name]] = dict(zip(rejects["old_id"], rejects["reason"], strict=True))
            assert len(said.maps[table[name]]) == len(rows)
            assert len(said.rejected[table[name]]) == len(rejects)
        for c in result.counts:
            count = Counter(said.actions[c.table].values())
            assert c.total == c.synced + c.skipped + c.updated + c.failed
            assert (c.synced, c.skipped, c.updated) == (count["inserted"], count["matched"], count["updated"])
            assert c.failed == len(said.rejected[c.table])
        return said


class Oracle:
    """Knows a world, its target before and after one run, and what the run said."""

    def __init__(self, world: World, before: Rows, after: Rows, said: Said) -> None:
        self.tables = world.tables
        self.source = world.source
        self.before = before
        self.after = after
        self.said = said

    def hold(self) -> None:
        for name, tab in self.tables.items():
            self._every_row_is_accounted_for(name)
            self._the_target_keeps_its_rows(name)
            self._inserted_rows_are_the_sources(tab)
            self._matched_rows_are_the_same_thing(tab)
            self._equal_keys_share_a_row(tab)
            self._equal_content_is_counted(tab)
        self._rejects_have_a_reason()

    def _every_row_is_accounted_for(self, name: str) -> None:
        mapped, rejected = self.said.maps[name].keys(), self.said.rejected[name].keys()
        assert mapped | rejected == self.source[name].keys()
        assert not mapped & rejected

    def _the_target_keeps_its_rows(self, name: str) -> None:
        assert {id_: self.after[name].get(id_) for id_ in self.before[name]} == self.before[name]
        inserted = [self.said.maps[name][old] for old in self._inserted(name)]
        assert len(set(inserted)) == len(inserted)
        assert self.after[name].keys() - self.before[name].keys() == set(inserted)
        assert not self.before[name].keys() & set(inserted)

    def _inserted_rows_are_the_sources(self, tab: Tab) -> None:
        for old in self._inserted(tab.name):
            assert self.after[tab.name][self.said.maps[tab.name][old]] == self._translated(
                tab, self.source[tab.name][old]
            )

    def _matched_rows_are_the_same_thing(self, tab: Tab) -> None:
        alone = []
        for old, new in self.said.maps[tab.name].items():
            row, there = self.source[tab.name][old], self.after[tab.name][new]
            key = self._key(tab, row)
            if key is None:
                assert self._translated(tab, row) == there
                alone.append(new)
            else:
                assert key == tuple(there[column] for column in tab.key)
        assert len(set(alone)) == len(alone)

    def _equal_keys_share_a_row(self, tab: Tab) -> None:
        keys = {key: id_ for id_, row in self.after[tab.name].items() if (key := _own(tab, row)) is not None}
        for old, row in self.source[tab.name].items():
            key = self._key(tab, row)
            if key is None:
                continue
            if old in self.said.maps[tab.name]:
                assert self.said.maps[tab.name][old] == keys[key]
            else:
                # Who shares the key of a row that is there has its target row after all.
                assert key not in keys
        for old in self._inserted(tab.name):
            key = self._key(tab, self.source[tab.name][old])
            same = [o for o, row in self.source[tab.name].items() if key is not None and self._key(tab, row) == key]
            # Where rows wait for others of the table, the lowest id of those whose turn it is.
            if set(tab.needs) - set(tab.key):
                continue
            better = [o for o in same if o < old and self._good(tab, self.source[tab.name][o])]
            assert better == [], "the row of the lowest id goes in"

    def _equal_content_is_counted(self, tab: Tab) -> None:
        wanted = Counter(
            _content(self._translated(tab, self.source[tab.name][old]))
            for old in self.said.maps[tab.name]
            if self._key(tab, self.source[tab.name][old]) is None
        )
        had, have = (
            Counter(_content(row) for row in rows[tab.name].values() if _own(tab, row) is None)
            for rows in (self.before, self.after)
        )
        assert have == wanted | had

    def _rejects_have_a_reason(self) -> None:
        """Whoever could have a target row has one: a row that fits and whose parents have one, all the way up."""
        alive = {name: set(self.source[name]) for name in self.tables}
        while True:
            kept = {name: self._standing(tab, alive) for name, tab in self.tables.items()}
            if kept == alive:
                break
            alive = kept
        assert {name: set(rows) for name, rows in self.said.maps.items()} == alive

    def _standing(self, tab: Tab, alive: dict[str, set[int]]) -> set[int]:
        """Those that have a target row if these do, and none has it only because it has it itself."""
        rows = self.source[tab.name]
        before = {_own(tab, row) for row in self.before[tab.name].values()}
        standing: set[int] = set()
        while True:
            keys = before | {self._key(tab, rows[old]) for old in standing}
            more = {
                old
                for old in alive[tab.name] - standing
                if self._goes_in(tab, rows[old], alive, standing)
                or (_needed(tab, rows[old], in_key=True) <= standing and self._key(tab, rows[old]) in keys - {None})
            }
            if not more:
                return standing
            standing |= more

    def _goes_in(self, tab: Tab, row: Row, alive: dict[str, set[int]], standing: set[int]) -> bool:
        parents = all(row[name] in (*alive[parent], None) for name, parent in tab.parents.items())
        return tab.fits(row) and parents and _needed(tab, row) <= standing

    def _good(self, tab: Tab, row: Row) -> bool:
        return tab.fits(row) and all(
            row[name] in (*self.said.maps[parent], None) for name, parent in tab.parents.items()
        )

    def _inserted(self, name: str) -> list[int]:
        return [old for old, action in self.said.actions[name].items() if action == "inserted"]

    def _translated(self, tab: Tab, row: Row) -> Row:
        """The row with the foreign keys that the maps give; a lost parent's is -1."""
        return {
            name: self.said.maps[tab.parents[name]].get(value, -1)
            if name in tab.parents and value is not None
            else value
            for name, value in row.items()
        }

    def _key(self, tab: Tab, row: Row) -> tuple[Any, ...] | None:
        """The natural key as the target would hold it; None where the row has none."""
        key = _own(tab, self._translated(tab, row))
        return None if key is None or -1 in [v for n, v in zip(tab.key, key, strict=True) if n in tab.parents] else key


def _own(tab: Tab, row: Row) -> tuple[Any, ...] | None:
    key = tuple(row[name] for name in tab.key)
    return None if not key or None in key else key


def _content(row: Row) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(row.items()))


def _needed(tab: Tab, row: Row, *, in_key: bool = False) -> set[int]:
    """The rows of the same table that must be there before it, or only those in its natural key."""
    return {row[name] for name in tab.needs if name in tab.key or not in_key} - {None}
