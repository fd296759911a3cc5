"""Mapping and reject frames, read from their files when they are asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, overload

from dfsync.model.errors import DfsyncError, Remedy
from dfsync.model.source_file import SOURCE

if TYPE_CHECKING:
    import pandas as pd

OLD_ID, NEW_ID, ACTION = "old_id", "new_id", "action"


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


@overload
def load_mappings(folder: str | Path) -> Mapping[str, pd.DataFrame]: ...


@overload
def load_mappings(folder: str | Path, table: str) -> pd.DataFrame: ...


def load_mappings(folder: str | Path, table: str | None = None) -> Mapping[str, pd.DataFrame] | pd.DataFrame:
    """Open the mappings that a run left in its output folder.

    Parameters
    ----------
    folder
        The `out` of the run.
    table
        One table's name in the plan. None opens all.

    Returns
    -------
    Mapping of str to pandas.DataFrame, or pandas.DataFrame
        By table name in the plan's order, each read on access; columns as in `SyncResult.mappings`. Of one table the
        frame, which has the column `source` (dictionary of string) before the others also where there is one source.

    Raises
    ------
    DfsyncError
        Where the folder holds none.
    """
    if table is not None:
        return _of_sources(Path(folder), table)
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


def crosswalk(folder: str | Path, table: str) -> pd.DataFrame:
    """Show which rows of the sources are one row of the target.

    Parameters
    ----------
    folder
        The `out` of a run.
    table
        The table's name in the plan.

    Returns
    -------
    pandas.DataFrame
        One row per target row that a source row has, by ascending `new_id`: the natural key's columns with the
        target's values, `new_id`, and for each source a column of its name with the old id (Int64, NULL where it has no
        such row; of several of its rows the lowest). A source that is called like another column has ` (source)`
        behind its name.

    Raises
    ------
    DfsyncError
        Where the folder has no mapping of the table.
    """
    import pandas as pd

    from dfsync.output.evidence import read_origin
    from dfsync.output.files import mapping_file

    mapping = load_mappings(folder, table)
    origin = read_origin(mapping_file(Path(folder), table))
    known = [] if origin is None else [file.name for file in origin.source_files]
    key = [name for name in mapping.columns if name not in (SOURCE, OLD_ID, NEW_ID, ACTION)]
    rows = mapping.drop_duplicates(NEW_ID).set_index(NEW_ID)[key].sort_index()
    old_ids = mapping.groupby([NEW_ID, SOURCE], observed=True)[OLD_ID].min().unstack(SOURCE)
    names = list(dict.fromkeys([*mapping[SOURCE].astype(str), *known]))
    old_ids = old_ids.reindex(columns=names)
    for name in names:
        column = f"{name} (source)" if name in (*key, NEW_ID) else name
        rows[column] = old_ids[name].astype("Int64")
    rows = rows.reset_index()
    return pd.DataFrame(rows[[*key, *(name for name in rows.columns if name not in key)]])


def _of_sources(folder: Path, table: str) -> pd.DataFrame:
    import pandas as pd

    from dfsync.output.evidence import read_origin
    from dfsync.output.files import mapping_file

    path = mapping_file(folder, table)
    mapping = pd.read_parquet(path, dtype_backend="pyarrow")
    origin = read_origin(path)
    if origin is None or not origin.several:
        name = origin.source_files[0].name if origin is not None else "source"
        own = pd.Series([name], dtype="category").repeat(len(mapping)).set_axis(mapping.index)
        key = mapping.rename(columns={SOURCE: f"{SOURCE}_key"})
        return pd.concat([own.rename(SOURCE), key], axis=1)
    return mapping
