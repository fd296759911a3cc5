"""The source and the output folder of the runs that fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.git_history import sample


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample(tmp_path_factory.mktemp("source") / "history.db", 200)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"
