"""The new ids that the tables of a run have so far, shared by the tables that are synced at the same time."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock

import pandas as pd

from dfsync.model import frames
from dfsync.stages.remap import Absence


class MappingStore:
    """Holds the id map of each table. One lock guards every access.

    A map is a frame of `old_id` and `new_id` (Arrow integers), one row for each source row that has a target row, by
    ascending `old_id`. Frames that were put in are never changed, so that a reader may keep what it got.
    """

    def __init__(self) -> None:
        self._maps: dict[str, pd.DataFrame] = {}
        self._absences: dict[str, Absence] = {}
        self._lock = Lock()

    def put(self, table: str, id_map: pd.DataFrame) -> None:
        """Replace the map of a table.

        Parameters
        ----------
        table
            The name of the planned table.
        id_map
            Columns `old_id` and `new_id`, by ascending `old_id`.
        """
        with self._lock:
            self._maps[table] = id_map

    def get(self, table: str) -> pd.DataFrame:
        """Return the map of a table; of an unknown one the empty map.

        Parameters
        ----------
        table
            The name of the planned table.

        Returns
        -------
        DataFrame
            Columns `old_id` and `new_id`, by ascending `old_id`.
        """
        with self._lock:
            return self._maps[table] if table in self._maps else frames.empty_mapping()

    def select(self, tables: Iterable[str]) -> dict[str, pd.DataFrame]:
        """Return the maps of several tables, as `dfsync.stages.remap` takes them.

        Parameters
        ----------
        tables
            Names of planned tables.

        Returns
        -------
        dict of str to DataFrame
            See `get`.
        """
        return {table: self.get(table) for table in tables}

    def put_absence(self, table: str, absence: Absence) -> None:
        """Replace what is said of the rows that the map of a table lacks.

        Parameters
        ----------
        table
            The name of the planned table.
        absence
            Why they have no target row.
        """
        with self._lock:
            self._absences[table] = absence

    def absences(self) -> dict[str, Absence]:
        """Return by table why rows of it have no target row, as far as that is known.

        Returns
        -------
        dict of str to Absence
        """
        with self._lock:
            return dict(self._absences)

    def __contains__(self, table: str) -> bool:
        with self._lock:
            return table in self._maps
