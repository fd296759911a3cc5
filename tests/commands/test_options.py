"""What may be chosen about a run, from Python as from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import dfsync


def test_paths_may_be_text_and_names_any_collection() -> None:
    given: dict[str, Any] = {"plan": "my-plan.toml", "tables": ["a", "b"]}
    assert dfsync.SyncOptions(**given) == dfsync.SyncOptions(plan=Path("my-plan.toml"), tables=("a", "b"))
    one: Any = "authors"
    assert dfsync.SyncOptions(tables=one).tables == ("authors",)
    assert (dfsync.SyncOptions().plan, dfsync.SyncOptions().tables) == (None, None)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"on_match": "both"}, r"^on_match must be 'skip' or 'update', not 'both'\.$"),
        ({"batch_size": 0}, r"^A batch cannot have 0 rows: give a number from 1 to 10000000\.$"),
        ({"jobs": 0}, r"^There cannot be 0 tables at a time: give a number from 1 to 64\.$"),
    ],
)
def test_what_is_no_choice_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(dfsync.DfsyncError, match=says):
        dfsync.SyncOptions(**given)
