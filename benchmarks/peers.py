"""What others do with the same rows, each as a process of its own:
python -m benchmarks.peers WHAT ARGUMENTS

    frames FOLDER SOCKET         the finished rows of the database as Parquet, for the next three (not measured)
    to_sql FOLDER URL            pandas' to_sql as it comes
    multi FOLDER URL             pandas' to_sql with method="multi"
    dbmerge FOLDER URL           dbmerge, by the natural keys
    read SOURCE SOCKET           no more than read both sides; prints the seconds without the imports

It knows nothing of dfsync but the plan's tables and keys.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from benchmarks.target import NAME, TABLES, natural_keys

# As one statement a table would be longer than any server takes.
MULTI_ROWS = 1_000


def export_frames(folder: str, socket: str) -> None:
    import pyarrow.parquet as pq

    for table in TABLES:
        pq.write_table(_ask(socket, f"SELECT * FROM {table} ORDER BY id"), Path(folder) / f"{table}.parquet")  # noqa: S608


def to_sql(folder: str, url: str, **options: Any) -> None:
    import pandas as pd
    import sqlalchemy as sa

    engine = sa.create_engine(url)
    for table in TABLES:
        frame = pd.read_parquet(Path(folder) / f"{table}.parquet")
        frame.to_sql(table, engine, if_exists="append", index=False, **options)


def multi(folder: str, url: str) -> None:
    to_sql(folder, url, method="multi", chunksize=MULTI_ROWS)


def merge(folder: str, url: str) -> None:
    import pandas as pd
    import sqlalchemy as sa
    from dbmerge import dbmerge

    engine = sa.create_engine(url)
    for table, key in natural_keys().items():
        frame = pd.read_parquet(Path(folder) / f"{table}.parquet")
        with dbmerge(engine=engine, data=frame, table_name=table, schema=NAME, key=key) as merging:
            merging.exec()


def read(source: str, socket: str) -> None:
    import connectorx  # noqa: F401 not part of the time
    from adbc_driver_sqlite import dbapi

    started = time.perf_counter()
    with dbapi.connect(f"file:{quote(source)}?mode=ro") as connection, connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"SELECT * FROM {table}")  # noqa: S608
            for _batch in cursor.fetch_record_batch():
                pass
    for table, key in natural_keys().items():
        _ask(socket, f"SELECT id, {', '.join(key)} FROM {table}")  # noqa: S608
    print(time.perf_counter() - started)


def _ask(socket: str, query: str) -> Any:
    import connectorx

    return connectorx.read_sql(
        f"mysql://root@localhost/{NAME}?socket={quote(socket, safe='')}", query, return_type="arrow"
    )


WHAT: dict[str, Callable[..., None]] = {
    "frames": export_frames,
    "to_sql": to_sql,
    "multi": multi,
    "dbmerge": merge,
    "read": read,
}

if __name__ == "__main__":
    WHAT[sys.argv[1]](*sys.argv[2:])
