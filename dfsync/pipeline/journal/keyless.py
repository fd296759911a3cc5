"""The rows that a transaction inserts into a table in which no surrogate id tells them.

Within the transaction's snapshot they are the rows that are there at the end and were not there before: by their
primary key; where there is none, equal rows are counted.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from dfsync.model.schema import Table
from dfsync.target.read.exact import DIGEST, read_exact


class KeylessInserts:
    """Owns the rows that a table had before the first insert.

    Parameters
    ----------
    connection
        The target, in the transaction.
    table
        The target's table.
    """

    def __init__(self, connection: sa.Connection, table: Table) -> None:
        self._connection, self._table = connection, table
        self._before: pd.DataFrame | None = None

    def begin(self) -> None:
        """Read the table, unless that is done."""
        if self._before is None:
            self._before = self._read()

    def rows(self) -> Iterator[pa.Table]:
        """Give the rows that were inserted since, as `inserted/NAME.parquet` has them."""
        self.begin()
        before, now = self._before, self._read()
        assert before is not None
        keys = [name for name in now.columns if name != "count"]
        if self._table.primary_key:
            keys.remove(DIGEST)
        both = now.merge(before[[*keys, "count"]], how="left", on=keys, suffixes=("", "_before"))
        both["present"] = both["count"]
        both["count"] -= both.pop("count_before").fillna(0).astype("int64")
        new = both[both["count"] > 0]
        columns = {DIGEST: pa.array(new[DIGEST].to_numpy(dtype="uint64"))}
        columns |= {name: pa.array(new[name].to_numpy(dtype="int64")) for name in ("count", "present")}
        names = list(self._table.primary_key)
        if names:
            cells = [pa.array(new[f"k{i}"].tolist(), pa.binary()) for i in range(len(names))]
            columns = {"key": pa.StructArray.from_arrays(cells, names), **columns}
        yield pa.table(columns)

    def _read(self) -> pd.DataFrame:
        """One line per primary key, or per digest: `k0`, `k1`, …, `digest`, and `count`, the number of such rows."""
        rows, digests = read_exact(self._connection, self._table, self._table.primary_key)
        columns = {f"k{i}": rows.column(i).to_pylist() for i in range(rows.num_columns)}
        frame = pd.DataFrame({**columns, DIGEST: digests.to_numpy()})
        if self._table.primary_key:
            return frame.assign(count=1)
        return frame.groupby(DIGEST, as_index=False).size().rename(columns={"size": "count"})
