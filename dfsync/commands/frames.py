"""The frames that sync and verify leave in an output folder, for whoever has no Python at hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dfsync.model.errors import DfsyncError
from dfsync.output.files import MAPPINGS, REJECTS, VERIFY
from dfsync.output.journal.record import require_folder
from dfsync.text.wording import did_you_mean, with_count

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow.parquet as pq

_ROWS = 100_000


@dataclass(frozen=True)
class FrameKind:
    """One kind of these frames.

    Attributes
    ----------
    folder
        Where in the output folder their files `NAME.parquet` are.
    noun
        What their rows are called.
    maker
        The command that leaves them.
    """

    folder: str
    noun: str
    maker: str


REJECTED = FrameKind(REJECTS, "rejected rows", "sync")
DIFFERENT = FrameKind(VERIFY, "differences", "verify")
MAPPED = FrameKind(MAPPINGS, "mapped rows", "sync")


def count_rows(out: Path, kind: FrameKind, table: str | None = None) -> Mapping[str, int]:
    """Count the rows of each table.

    Parameters
    ----------
    out
        The output folder.
    kind
        Which frames.
    table
        The one table to count; None for all.

    Returns
    -------
    dict of str to int
        By table, by name; only tables that have some.

    Raises
    ------
    DfsyncError
        There is no such folder, or a file in it is damaged.
    """
    require_folder(out)
    paths = [path for path in sorted((out / kind.folder).glob("*.parquet")) if table in (None, path.stem)]
    counts = {path.stem: _open(path, kind).metadata.num_rows for path in paths}
    return {name: count for name, count in counts.items() if count}


def read_rows(out: Path, kind: FrameKind, table: str) -> Iterator[pd.DataFrame]:
    """Read the rows of one table.

    Parameters
    ----------
    out
        The output folder.
    kind
        Which frames.
    table
        A table of the plan, by its name there.

    Yields
    ------
    pandas.DataFrame
        Parts of at most 100,000 rows, with the columns of the file as Arrow types, `old_id` the first or, of several
        sources, the second. One part without rows, and without columns, where the table has none.

    Raises
    ------
    DfsyncError
        There is no such folder or table, or its file is damaged.
    """
    import pandas as pd

    require_folder(out)
    path = out / kind.folder / f"{table}.parquet"
    # A name with a slash in it is no table's, and may lead elsewhere.
    if Path(table).name != table or not path.is_file():
        _require_known(out, kind, table)
        yield pd.DataFrame()
        return
    for batch in _open(path, kind).iter_batches(batch_size=_ROWS):
        yield batch.to_pandas(types_mapper=pd.ArrowDtype)


def _require_known(out: Path, kind: FrameKind, table: str) -> None:
    """Refuse a table that the last sync left neither rows nor a map of."""
    known = {path.stem for folder in {kind.folder, MAPPINGS} for path in (out / folder).glob("*.parquet")}
    if table not in known:
        some = sorted(count_rows(out, kind))
        hint = did_you_mean(table, known) or (f" There are {kind.noun} of {', '.join(some)}." if some else "")
        raise DfsyncError(f"{out} has no {kind.noun} of a table {table!r}.{hint}")


def _open(path: Path, kind: FrameKind) -> pq.ParquetFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise DfsyncError(f"The file {path} cannot be read: {error}. {kind.maker} makes it anew.") from error


def counts_line(name: str, count: int, kind: FrameKind) -> str:
    """Word the count of one table."""
    return f"{name}: {with_count(count, kind.noun)}"
