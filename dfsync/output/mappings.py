"""Mapping and reject frames, read from their files when they are asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dfsync.model.errors import DfsyncError, Remedy

if TYPE_CHECKING:
    import pandas as pd


class LazyFrames(Mapping[str, "pd.DataFrame"]):
    """Frames by table name, each read from its Parquet file on access, with Arrow dtypes.

    Parameters
    ----------
    folder
        The folder of the files `NAME.parquet`.
    names
        The tables, in order.
    empty
        Makes the frame of a table without a file; None where every table has one.
    """

    def __init__(self, folder: Path, names: list[str], empty: Callable[[], pd.DataFrame] | None = None) -> None:
        self._folder = folder
        self._names = names
        self._empty = empty

    def __getitem__(self, name: str) -> pd.DataFrame:
        import pandas as pd

        if name not in self._names:
            known = ", ".join(self._names) or "none"
            raise KeyError(
                f"No frame of {name}: no such table was synced, it has no id to map, or its file could not be written. "
                f"There are: {known}."
            )
        path = self._folder / f"{name}.parquet"
        if self._empty is not None and not path.exists():
            return self._empty()
        return pd.read_parquet(path, dtype_backend="pyarrow")

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __repr__(self) -> str:
        return f"<LazyFrames: {', '.join(self._names) or 'none'}>"

    def __len__(self) -> int:
        return len(self._names)


def load_mappings(folder: str | Path) -> Mapping[str, pd.DataFrame]:
    """Open the mappings that a run left in its output folder.

    Parameters
    ----------
    folder
        The `out` of the run.

    Returns
    -------
    Mapping of str to pandas.DataFrame
        By table name in the plan's order, each read on access; columns as in `SyncResult.mappings`.

    Raises
    ------
    DfsyncError
        Where the folder holds none.
    """
    mappings = Path(folder) / "mappings"
    names = sorted(path.stem for path in mappings.glob("[!.]*.parquet"))
    if not names:
        raise DfsyncError(f"No mappings in {folder}:", Remedy("it should be the {out} folder of an earlier run."))
    planned = _planned(Path(folder) / "summary.json")
    return LazyFrames(mappings, names if planned is None else [name for name in planned if name in names])


def _planned(summary: Path) -> list[str] | None:
    """The tables of the last run's plan; None where no run was finished."""
    try:
        return [table["name"] for table in json.loads(summary.read_bytes())["plan"]["tables"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None
