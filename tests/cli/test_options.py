"""How options may be written."""

from __future__ import annotations

import pytest

from dfsync.cli.options import with_implied_values


@pytest.mark.parametrize(
    ("arguments", "means"),
    [
        (["--keep-ids"], ["--keep-ids=free"]),
        (["sync", "--keep-ids", "--dry-run"], ["sync", "--keep-ids=free", "--dry-run"]),
        (["--keep-ids", "strict"], ["--keep-ids", "strict"]),
        (["--keep-ids=strict"], ["--keep-ids=strict"]),
        ([], []),
    ],
)
def test_keep_ids_alone_has_a_value(arguments: list[str], means: list[str]) -> None:
    assert with_implied_values(arguments) == means
