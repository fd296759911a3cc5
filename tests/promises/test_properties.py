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

from hypothesis import HealthCheck, example, given, settings
from sqlalchemy import Engine

from dfsync.commands.create_tables import create_tables
from dfsync.commands.sync import sync
from dfsync.model.options import SyncOptions
from dfsync.model.rejects import KEEPS_OTHER_VALUES
from dfsync.output.result import SyncResult
from tests.support.git_history import run_sql
from tests.support.random_schemas import (
    A_PARENT_THAT_NEEDS_ITSELF,
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


@given(case=schemas_with_rows())
@example(case=A_PARENT_THAT_NEEDS_ITSELF)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_rows_of_any_schema(server_url: str, case: SchemaWithRows) -> None:
    with tempfile.TemporaryDirectory(prefix="dfsync-case-") as folder, database(server_url) as engine:
        check(case, Path(folder), engine)


def check(case: SchemaWithRows, folder: Path, engine: Engine, **options: Any) -> Reported:
    """Two runs of the case with these options, held against the promises; what the first one reported."""
    source, out = folder / "source.db", folder / "out"
    plan = folder / "plan.toml" if case.plan else None
    if plan and case.plan:
        plan.write_text(case.plan, encoding="utf-8")
    run_sql(source, source_script(case.tables))
    # Made before the rows are, so that some rows do not fit.
    create_tables(source, engine.url, options=SyncOptions(plan=plan))
    fill_source(source, case)
    fill_target(engine, case)
    before = read_target(engine, case.tables)
    rehearsed = sync(source, engine.url, out=out, options=SyncOptions(plan=plan, batch_size=3, dry_run=True))
    assert read_target(engine, case.tables) == before
    foretold = _told(rehearsed)
    first = sync(source, engine.url, out=out, options=SyncOptions(plan=plan, batch_size=3, **options))
    after = read_target(engine, case.tables)
    reported = Reported.by(first)
    if not any(
        "refused by the server" in reason for reasons in reported.rejected.values() for reason in reasons.values()
    ):
        assert foretold == _told(first)
    Oracle(case, before, after, reported).hold()
    known = (out / "id_mappings.json").read_bytes()
    again = sync(source, engine.url, out=out, options=SyncOptions(plan=plan, local_infile=False, **options))
    assert {c.name: c.inserted for c in again.counts if c.inserted or c.updated} == {}
    assert read_target(engine, case.tables) == after
    assert (out / "id_mappings.json").read_bytes() == known
    second = Reported.by(again)
    assert {name: set(action.values()) <= {"matched"} for name, action in second.actions.items()} == dict.fromkeys(
        second.actions, True
    )
    assert second.rejected == reported.rejected
    return reported


def _told(result: SyncResult) -> dict[str, Any]:
    """What a dry run must tell as the run does."""
    counts = {c.name: (c.inserted, c.matched, c.updated, c.failed, c.unfit, c.changed_values) for c in result.counts}
    return {name: (counts[name], rejects.to_numpy().tolist()) for name, rejects in result.rejects.items()}


@dataclass(frozen=True)
class Reported:
    """What a run reported of each table's rows, by the table's name in the databases."""

    maps: dict[str, dict[int, int]]
    actions: dict[str, dict[int, str]]
    rejected: dict[str, dict[int, str]]

    @classmethod
    def by(cls, result: SyncResult) -> Reported:
        assert result.plan is not None
        assert [c.error for c in result.counts if c.error] == []
        table = {t.name: t.table for t in result.plan.tables}
        reported = cls({}, {}, {})
        for name, mapping in result.mappings.items():
            rows = list(zip(mapping["old_id"], mapping["new_id"], mapping["action"], strict=True))
            reported.maps[table[name]] = {old: new for old, new, _ in rows}
            reported.actions[table[name]] = {old: action for old, _, action in rows}
            rejects = result.rejects[name]
            rejects = rejects[~rejects["reason"].str.endswith(KEEPS_OTHER_VALUES)]
            reported.rejected[table[name]] = dict(zip(rejects["old_id"], rejects["reason"], strict=True))
            assert len(reported.maps[table[name]]) == len(rows)
            assert len(reported.rejected[table[name]]) == len(rejects)
        for c in result.counts:
            count = Counter(reported.actions[c.table].values())
            assert c.total == c.inserted + c.matched + c.updated + c.failed
            assert (c.inserted, c.matched, c.updated) == (count["inserted"], count["matched"], count["updated"])
            assert c.failed == len(reported.rejected[c.table])
        return reported


class Oracle:
    """Knows a case, its target before and after one run, and what the run reported."""

    def __init__(self, case: SchemaWithRows, before: Rows, after: Rows, reported: Reported) -> None:
        self.tables = case.tables
        self.source = case.source
        self.before = before
        self.after = after
        self.reported = reported

    def hold(self) -> None:
        for name, table in self.tables.items():
            self._every_row_is_accounted_for(name)
            self._the_target_keeps_its_rows(name)
            self._inserted_rows_are_the_sources(table)
            self._matched_rows_are_the_same_thing(table)
            self._equal_keys_share_a_row(table)
            self._equal_content_is_counted(table)
        self._rejects_have_a_reason()

    def _every_row_is_accounted_for(self, name: str) -> None:
        mapped, rejected = self.reported.maps[name].keys(), self.reported.rejected[name].keys()
        assert mapped | rejected == self.source[name].keys()
        assert not mapped & rejected

    def _the_target_keeps_its_rows(self, name: str) -> None:
        assert {id_: self.after[name].get(id_) for id_ in self.before[name]} == self.before[name]
        inserted = [self.reported.maps[name][old] for old in self._inserted(name)]
        assert len(set(inserted)) == len(inserted)
        assert self.after[name].keys() - self.before[name].keys() == set(inserted)
        assert not self.before[name].keys() & set(inserted)

    def _inserted_rows_are_the_sources(self, table: Table) -> None:
        for old in self._inserted(table.name):
            assert self.after[table.name][self.reported.maps[table.name][old]] == self._translated(
                table, self.source[table.name][old]
            )

    def _matched_rows_are_the_same_thing(self, table: Table) -> None:
        alone = []
        for old, new in self.reported.maps[table.name].items():
            row, there = self.source[table.name][old], self.after[table.name][new]
            key = self._key(table, row)
            if key is None:
                assert self._translated(table, row) == there
                alone.append(new)
            else:
                assert key == tuple(there[column] for column in table.key)
        assert len(set(alone)) == len(alone)

    def _equal_keys_share_a_row(self, table: Table) -> None:
        keys = {key: id_ for id_, row in self.after[table.name].items() if (key := _own(table, row)) is not None}
        for old, row in self.source[table.name].items():
            key = self._key(table, row)
            if key is None:
                continue
            if old in self.reported.maps[table.name]:
                assert self.reported.maps[table.name][old] == keys[key]
            else:
                # Who shares the key of a row that is there has its target row after all.
                assert key not in keys
        for old in self._inserted(table.name):
            key = self._key(table, self.source[table.name][old])
            same = [o for o, row in self.source[table.name].items() if key is not None and self._key(table, row) == key]
            # Where rows wait for others of the table, the lowest id of those whose turn it is.
            if set(table.required_self_references) - set(table.key):
                continue
            better = [o for o in same if o < old and self._good(table, self.source[table.name][o])]
            assert better == [], "the row of the lowest id goes in"

    def _equal_content_is_counted(self, table: Table) -> None:
        wanted = Counter(
            _content(self._translated(table, self.source[table.name][old]))
            for old in self.reported.maps[table.name]
            if self._key(table, self.source[table.name][old]) is None
        )
        had, have = (
            Counter(_content(row) for row in rows[table.name].values() if _own(table, row) is None)
            for rows in (self.before, self.after)
        )
        assert have == wanted | had

    def _rejects_have_a_reason(self) -> None:
        """Whoever could have a target row has one: a row that fits and whose parents have one, all the way up."""
        alive = {name: set(self.source[name]) for name in self.tables}
        while True:
            kept = {name: self._standing(table, alive) for name, table in self.tables.items()}
            if kept == alive:
                break
            alive = kept
        assert {name: set(rows) for name, rows in self.reported.maps.items()} == alive

    def _standing(self, table: Table, alive: dict[str, set[int]]) -> set[int]:
        """Those that have a target row if these do, and none has it only because it has it itself."""
        rows = self.source[table.name]
        before = {_own(table, row) for row in self.before[table.name].values()}
        standing: set[int] = set()
        while True:
            keys = before | {self._key(table, rows[old]) for old in standing}
            more = {
                old
                for old in alive[table.name] - standing
                if self._can_be_inserted(table, rows[old], alive, standing)
                or (_needed(table, rows[old], in_key=True) <= standing and self._key(table, rows[old]) in keys - {None})
            }
            if not more:
                return standing
            standing |= more

    def _can_be_inserted(self, table: Table, row: Row, alive: dict[str, set[int]], standing: set[int]) -> bool:
        parents = all(row[name] in (*alive[parent], None) for name, parent in table.parents.items())
        return table.is_valid(row) and parents and _needed(table, row) <= standing

    def _good(self, table: Table, row: Row) -> bool:
        return table.is_valid(row) and all(
            row[name] in (*self.reported.maps[parent], None) for name, parent in table.parents.items()
        )

    def _inserted(self, name: str) -> list[int]:
        return [old for old, action in self.reported.actions[name].items() if action == "inserted"]

    def _translated(self, table: Table, row: Row) -> Row:
        """The row with the foreign keys that the maps give; a lost parent's is -1."""
        return {
            name: self.reported.maps[table.parents[name]].get(value, -1)
            if name in table.parents and value is not None
            else value
            for name, value in row.items()
        }

    def _key(self, table: Table, row: Row) -> tuple[Any, ...] | None:
        """The natural key as the target would hold it; None where the row has none."""
        key = _own(table, self._translated(table, row))
        return (
            None if key is None or -1 in [v for n, v in zip(table.key, key, strict=True) if n in table.parents] else key
        )


def _own(table: Table, row: Row) -> tuple[Any, ...] | None:
    key = tuple(row[name] for name in table.key)
    return None if not key or None in key else key


def _content(row: Row) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(row.items()))


def _needed(table: Table, row: Row, *, in_key: bool = False) -> set[int]:
    """The rows of the same table that must be there before it, or only those in its natural key."""
    return {row[name] for name in table.required_self_references if name in table.key or not in_key} - {None}
