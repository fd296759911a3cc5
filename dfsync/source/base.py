"""What the rest of the program may ask of a source."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from dfsync.model.schema import Schema, Table


class Source(Protocol):
    """A database that is read from one consistent snapshot."""

    path: Path
    schema: Schema

    def query(self, statement: Any, batch_rows: int = 1024) -> pa.Table:
        """The result of a SQLAlchemy statement as an Arrow table."""

    def count(self, table: Table) -> int:
        """How many rows the table has in the snapshot."""
