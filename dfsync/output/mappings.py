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
    """Frames by table name, each read from its Parquet file when it is asked for, as Arrow dtypes."""

    def __init__(self, folder: Path, names: list[str], empty: Callable[[], pd.DataFrame] | None = None) -> None:
        self._folder = folder
        self._names = names
        self._empty = empty

    def __getitem__(self, name: str) -> pd.DataFrame:
        import pandas as pd

        if name not in self._names:
            there = ", ".join(self._names) or "none"
            raise KeyError(
                f"No frame of {name}: no such table was synced, it has no id to map, or its file could not be written. "
                f"There are: {there}."
            )
        path = self._folder / f"{name}.parquet"
        if self._empty is not None and not path.exists():
            return self._empty()
        return pd.read_parquet(path, dtype_backend="pyarrow")

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __repr__(self) -> str:
        return f"<Frames: {', '.join(self._names) or 'none'}>"

    def __len__(self) -> int:
        return len(self._names)


def load_mappings(folder: str | Path) -> Mapping[str, pd.DataFrame]:
    """The mapping frames that a run left in its `--out` folder, by table name, in the order of the plan.

    Read as they are asked for; frames as in `SyncResult.mappings`. Raises `DfsyncError` where the folder holds none.
    """
    mappings = Path(folder) / "mappings"
    found = sorted(path.stem for path in mappings.glob("[!.]*.parquet"))
    if not found:
        raise DfsyncError(f"No mappings in {folder}:", Remedy("it should be the {out} folder of an earlier run."))
    planned = _planned(Path(folder) / "summary.json")
    return LazyFrames(mappings, found if planned is None else [name for name in planned if name in found])


def _planned(summary: Path) -> list[str] | None:
    """The tables of the plan of the last run; None where none has come to its end."""
    try:
        return [table["name"] for table in json.loads(summary.read_bytes())["plan"]["tables"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None
