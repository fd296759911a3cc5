"""A dry run says what the run would do, whatever the ids of the target are made of."""

# ruff: noqa: E501 -- SQL reads better unbroken
from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from dfsync.commands.check import check
from tests.support.git_history import counts, ids
from tests.support.scenario import Scenario

SOURCE = """
    CREATE TABLE parent (id INTEGER PRIMARY KEY, code TEXT, up INTEGER REFERENCES parent (id));
    CREATE TABLE child (id INTEGER PRIMARY KEY, parent_id INTEGER NOT NULL REFERENCES parent (id), name TEXT, UNIQUE (parent_id, name));
    CREATE TABLE link (parent_id INTEGER REFERENCES parent (id), child_id INTEGER REFERENCES child (id), PRIMARY KEY (parent_id, child_id));
    INSERT INTO parent VALUES (1, 'a', NULL), (2, 'b', 1), (3, 'c', 1), (4, 'B', 2);
    INSERT INTO child VALUES (1, 1, 'x'), (2, 2, 'y'), (3, 3, 'z'), (4, 9, 'lost');
    INSERT INTO link VALUES (1, 1), (2, 2)"""
_HELD = {
    "BIGINT UNSIGNED": range(2**64),
    "BIGINT": range(-(2**63), 2**63),
    "INT UNSIGNED": range(2**32),
    "SMALLINT": range(-(2**15), 2**15),
}
"""What a reference of each type can hold."""


@pytest.mark.parametrize("reference", _HELD)
@pytest.mark.parametrize(("key", "new"), [("code", 2), ("code, up", 3)], ids=["a circle", "level by level"])
@pytest.mark.parametrize("highest", [7, -3, 2**62 + 7])
def test_counts_what_the_run_does(
    tmp_path: Path, target: Engine, reference: str, highest: int, key: str, new: int
) -> None:
    id_type = reference if reference.startswith("BIGINT") else "BIGINT"
    if highest not in _HELD[reference]:
        pytest.skip("such ids do not fit into such a reference")
    scenario = Scenario(tmp_path, target)
    scenario.create_source(SOURCE)
    there = f"""CREATE TABLE parent (id {id_type} AUTO_INCREMENT PRIMARY KEY, code VARCHAR(9) NOT NULL, up {reference}, UNIQUE ({key}));
        CREATE TABLE child (id INT AUTO_INCREMENT PRIMARY KEY, parent_id {reference} NOT NULL, name VARCHAR(9), UNIQUE (parent_id, name));
        CREATE TABLE link (parent_id {reference} NOT NULL, child_id {reference} NOT NULL, PRIMARY KEY (parent_id, child_id))"""
    own = [
        f"parent (id, code) VALUES ({highest}, 'a')",
        f"child (parent_id, name) VALUES ({highest}, 'x')",
        f"link VALUES ({highest}, 1)",
    ]
    scenario.create_target(
        there.replace("        ", ""),
        *(f"INSERT INTO {row}" for row in own),
    )
    rehearsed = scenario.sync(dry_run=True)
    assert not [c.error for c in rehearsed.counts if c.error]
    assert counts(rehearsed) == {"parent": (new, 4 - new, 0), "child": (2, 1, 1), "link": (1, 1, 0)}
    assert ids(rehearsed.mappings["parent"]) == {1: highest}
    looked = check(scenario.source, target.url)
    assert [(t.inserted, t.matched, t.failed) for t in looked.tables] == [(new, 4 - new, 0), (2, 1, 1), (1, 1, 0)]
    assert counts(scenario.sync()) == counts(rehearsed)


def test_counts_the_row_that_takes_the_place_of_an_orphan(tmp_path: Path, target: Engine) -> None:
    scenario = Scenario(tmp_path, target)
    scenario.create_source(
        """CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL, up INTEGER REFERENCES t (id));
        INSERT INTO t VALUES (1, 'a', 9), (2, 'A', NULL), (3, 'b', 1), (4, 'c', 8)"""
    )
    scenario.create_target(
        "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) NOT NULL UNIQUE, up INT)"
    )
    rehearsed = scenario.sync(dry_run=True)
    assert counts(rehearsed) == {"t": (2, 1, 1)}
    assert counts(scenario.sync_twice()) == counts(rehearsed)
