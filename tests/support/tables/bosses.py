"""A table whose rows refer to rows of the same table, in the source and in the target."""

from __future__ import annotations

from typing import Any

from dfsync.model.rejects import KEEPS_OTHER_VALUES
from dfsync.output.result import SyncResult
from tests.support.scenario import Scenario

BY_NAME = '[tables.a]\nnatural_key = ["name"]\n'
A_BOSS_EACH = """CREATE TABLE a (id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) UNIQUE, boss BIGINT NOT NULL,
    friend BIGINT, n SMALLINT, FOREIGN KEY (boss) REFERENCES a (id), FOREIGN KEY (friend) REFERENCES a (id))"""
HERE = """CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT, boss INT REFERENCES a, friend INT REFERENCES a, n INT);
    INSERT INTO a VALUES """


def below_root(scenario: Scenario, rows: str) -> None:
    """These rows here; of them the target has the root alone."""
    scenario.create_source(HERE + rows, BY_NAME)
    scenario.create_target(A_BOSS_EACH, "INSERT INTO a VALUES (1, 'root', 1, NULL, 0)")


def told(result: SyncResult) -> tuple[Any, ...]:
    """The counts and the rejects without a target row, which a dry run must tell like the run.

    The rejects with one are counted alone: in files that the second of two runs wrote they are not listed any more.
    """
    count = result.counts[0]
    rejects = result.rejects["a"]
    failed = rejects[~rejects["reason"].str.endswith(KEEPS_OTHER_VALUES)].to_numpy().tolist()
    return count.error, count.inserted, count.matched, count.updated, count.failed, failed, count.unfit
