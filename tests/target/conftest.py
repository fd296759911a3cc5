"""A connection to the target as dfsync opens it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from dfsync.target.connection import make_engine


@pytest.fixture
def connection(target: sa.Engine) -> Iterator[sa.Connection]:
    engine = make_engine(target.url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()
