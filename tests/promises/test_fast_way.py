"""The fast way of a nightly run gives what the full way gives: two equal worlds live through the same nights.

Rows are changed, swapped, moved to other ids, deleted and made anew on both sides, collations and indexes are others,
and the state of the last run is kept, lost, damaged or replaced by an older one. One world is synced with `full`.
"""

from __future__ import annotations

import functools
import os
import random
import ssl
import tempfile
from pathlib import Path

import pytest

from dfsync.pipeline.known.state import segments, target_keys, unchanged
from tests.support import twins
from tests.support.random_schemas import database

WORLDS = int(os.environ.get("DFSYNC_TEST_TWINS", "2"))
FIRST = int(os.environ.get("DFSYNC_TEST_TWINS_FIRST", "0"))
"""The seed of the first world."""
FAMILIES = 3
NIGHTS = 5


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worlds of a few rows have segments, and nothing waits for the disk or reads certificates."""
    monkeypatch.setattr(unchanged, "FEWEST_ROWS", 0)
    monkeypatch.setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.mark.parametrize("seed", range(FIRST, FIRST + WORLDS))
def test_twins(server_url: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = random.Random(seed)
    monkeypatch.setattr(segments, "SEGMENT_ROWS", numbers.choice([1, 2, 3, 5]))
    monkeypatch.setattr(target_keys, "LOOKUP_RATIO", numbers.choice([0, 1, 2, 20]))
    monkeypatch.setattr(target_keys, "LEAST_SHARE", numbers.choice([0, 0, 0.5]))
    tables = twins.tables(numbers, FAMILIES)
    with (
        tempfile.TemporaryDirectory(prefix="dfsync-twins-") as folder,
        database(server_url) as one,
        database(server_url) as other,
    ):
        worlds = [twins.World(Path(folder) / str(n), engine, tables) for n, engine in enumerate((one, other))]
        for world in worlds:
            world.create()
            for table in tables:
                world.change_target(twins.prepared(table))
        first = twins.Night()
        for table in tables:
            for old in range(1, numbers.randint(2, twins.ROWS)):
                first.source.append(twins.insert_source(numbers, table, old))
            for _ in range(numbers.randint(0, 3)):
                first.target += twins.target_change(numbers, worlds[0], table)
        live_through(worlds, first, seed)
        for number in range(NIGHTS):
            night = twins.Night() if number == 0 else twins.night(numbers, worlds[0])
            for world in worlds:
                # The same files are hurt, as far as both worlds have them.
                world.damage(night, random.Random(seed * 1_000 + number))
            live_through(worlds, night, seed)


def live_through(worlds: list[twins.World], night: twins.Night, seed: int) -> None:
    """Change both worlds, run both, and compare all that can be seen."""
    fast, full = worlds
    assert fast.change_source(night.source) == full.change_source(night.source)
    assert fast.change_target(night.target) == full.change_target(night.target)
    assert fast.state() == full.state()
    if random.Random(seed).random() < 0.3:
        foretold = fast.run(dry_run=True, **night.options), full.run(dry_run=True, full=True, **night.options)
        assert not twins.differences(*foretold)
    assert not twins.differences(fast.run(**night.options), full.run(full=True, **night.options))
    assert fast.state() == full.state()
