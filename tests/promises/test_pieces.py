"""Whatever the schema and the rows: a run in pieces ends as a run in one transaction per table does."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.promises.test_properties import check
from tests.support.random_schemas import SchemaWithRows, database, schemas_with_rows

EXAMPLES = 500 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 15


@given(case=schemas_with_rows(), rows=st.integers(1, 5))
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_pieces_end_as_one_transaction_does(server_url: str, case: SchemaWithRows, rows: int) -> None:
    reported = []
    for options in ({}, {"commit_every": rows}):
        with tempfile.TemporaryDirectory(prefix="dfsync-case-") as folder, database(server_url) as engine:
            reported.append(check(case, Path(folder), engine, **options))
            assert not (Path(folder) / "out" / "pieces").exists()
    whole, pieces = reported
    assert pieces.actions == whole.actions
    assert {name: set(rejected) for name, rejected in pieces.rejected.items()} == {
        name: set(rejected) for name, rejected in whole.rejected.items()
    }
    for name, mapped in whole.maps.items():
        assert _groups(pieces.maps[name]) == _groups(mapped)


def _groups(mapping: dict[int, int]) -> set[frozenset[int]]:
    """The source rows that share a target row, whatever its id is."""
    sharing: dict[int, set[int]] = {}
    for old, new in mapping.items():
        sharing.setdefault(new, set()).add(old)
    return set(map(frozenset, sharing.values()))
