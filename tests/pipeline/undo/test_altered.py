"""Tables that were altered since the run: what cannot be taken back is told, and the rest is taken back."""

from __future__ import annotations

import pytest

from dfsync.cli.render.undo import undo_lines
from dfsync.commands.runs import runs
from dfsync.model.errors import DfsyncError
from tests.support.git_history import execute, run_sql
from tests.support.runs.undone import dump, id_mappings, undo
from tests.support.scenario import Scenario

SOURCE = """
CREATE TABLE t (id INTEGER PRIMARY KEY, k TEXT NOT NULL UNIQUE, v TEXT, w TEXT);
CREATE TABLE u (id INTEGER PRIMARY KEY, k TEXT NOT NULL UNIQUE);
CREATE TABLE word (a TEXT, b TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID;
CREATE TABLE play (album TEXT);
INSERT INTO t VALUES (1, 'a', 'x', 'y'), (2, 'b', 'x', 'y');
INSERT INTO u VALUES (1, 'a');
INSERT INTO word VALUES ('x', 'y');
INSERT INTO play VALUES ('p')"""


@pytest.fixture
def synced(scenario: Scenario) -> Scenario:
    scenario.create_source(SOURCE)
    scenario.create_target(None, "INSERT INTO t (k, v, w) VALUES ('a', '1', '2')")
    scenario.sync(on_match="update")
    return scenario


@pytest.mark.parametrize(
    ("altered", "table", "reason"),
    [
        ("ALTER TABLE t CHANGE id own BIGINT AUTO_INCREMENT", "t", "has no column id any more"),
        ("ALTER TABLE word DROP PRIMARY KEY, ADD PRIMARY KEY (b)", "word", "another primary key"),
        ("ALTER TABLE word DROP PRIMARY KEY", "word", "another primary key"),
    ],
)
def test_fails_alone_and_a_dry_run_says_so(synced: Scenario, altered: str, table: str, reason: str) -> None:
    execute(synced.target, altered)
    foretold = undo(synced, dry_run=True)
    result = undo(synced)
    assert foretold.runs == result.runs
    errors = {t.name: t.error for t in result.runs[0].tables}
    assert reason in (errors.pop(table) or "")
    assert set(errors.values()) == {None}
    rows = dump(synced)
    assert [rows[name] for name in ("u", "play")] == [[], []]


def test_a_table_that_is_gone_ends_the_run(synced: Scenario) -> None:
    execute(synced.target, "DROP TABLE t")
    foretold = undo(synced, dry_run=True)
    result = undo(synced)
    assert result.ok
    assert foretold.runs == result.runs
    table = next(t for t in result.runs[0].tables if t.name == "t")
    assert (table.deleted, table.restored, table.kept) == (1, 0, 0)
    assert table.note == (
        "the target has no table t any more, and with it went the rows of the run: 1 that it inserted and 1 that it "
        "updated"
    )
    assert f"    {table.note}" in undo_lines(result)
    assert not any(dump(synced).values())
    assert id_mappings(synced) == {"t": {"1": 1}, "u": {}}
    assert runs(synced.folder / "out").summary["state"].tolist() == ["undone"]
    with pytest.raises(DfsyncError, match="no run that can be taken back"):
        undo(synced)


def test_a_column_that_is_gone_is_no_reason_to_keep_the_rows_that_were_inserted(synced: Scenario) -> None:
    execute(synced.target, "ALTER TABLE t DROP w")
    table = next(t for t in undo(synced, force=True).runs[0].tables if t.name == "t")
    assert (table.deleted, table.restored, table.kept) == (1, 0, 1)
    assert list(table.reasons) == ["cannot get back its values: the table has no column w any more"]
    assert dump(synced)["t"] == [(1, "a", "x")]


def test_a_primary_key_that_came_since_does_not_matter(synced: Scenario) -> None:
    execute(synced.target, "ALTER TABLE play MODIFY album VARCHAR(99) NOT NULL, ADD PRIMARY KEY (album)")
    assert undo(synced).ok
    assert dump(synced)["play"] == []


def test_a_dry_run_of_several_runs_foretells_what_each_of_them_does(synced: Scenario) -> None:
    run_sql(synced.source, "UPDATE t SET v = 'new'; INSERT INTO u VALUES (2, 'b')")
    synced.sync(on_match="update")
    first = runs(synced.folder / "out").runs[0].id
    foretold = undo(synced, all_since=first, dry_run=True)
    assert foretold.ok
    assert undo(synced, all_since=first).runs == foretold.runs


def test_ids_beyond_those_of_a_signed_column(scenario: Scenario) -> None:
    scenario.create_source(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, k TEXT NOT NULL UNIQUE, up INTEGER REFERENCES t);"
        "INSERT INTO t VALUES (1, 'a', NULL), (2, 'b', 1)"
    )
    scenario.create_target(
        "CREATE TABLE t (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, k VARCHAR(9) NOT NULL UNIQUE, "
        "up BIGINT UNSIGNED, FOREIGN KEY (up) REFERENCES t (id)) AUTO_INCREMENT = 9223372036854775900"
    )
    scenario.sync()
    assert undo(scenario).ok
    assert dump(scenario) == {"t": []}
