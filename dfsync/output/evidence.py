"""What a kept map is evidence of, written into its file, and what a run leaves beside it for the next one.

A run that is killed leaves maps and no summary, so every `mappings/NAME.parquet` says by itself whose rows it maps: one
JSON value under the key `dfsync` of the file's schema metadata (`MapOrigin`). A file without it is no evidence.

Two more files stand beside a map, each only where it has rows:

`rekeyed/NAME.parquet`: the rows that have another target row than in the last run, by ascending `old_id`. The old
target row may still be there, so that a person may find two of one. A row stays in the file in later runs for as long
as its former target row is there and it has not got that back; where it has several, each is a line.

- `old_id` int64
- `previous_new_id`, `new_id` int64, or uint64 where the target's id needs it: before, and now
- `key_before`, `key_after` string: the natural key as the maps of both runs have it, its values with ` / ` between
  them; NULL where the table has none. They are equal where the old target row was deleted or changed in the target.

`unmapped/NAME.parquet`: the rows of the last map that have no target row now, since they are rejects, as that map had
them: with its columns and its `MapOrigin`. Without it the next run would take them for new.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dfsync.plan.model import TablePlan

_METADATA = b"dfsync"


@dataclass(frozen=True)
class MapOrigin:
    """Whose rows a map maps."""

    source: str
    """The absolute path of the SQLite file."""
    target: str
    """Database and server."""
    table: str
    id: str
    natural_key: tuple[str, ...]
    foreign_keys: tuple[tuple[str, str], ...]
    """Column and parent, ascending."""

    @classmethod
    def of(cls, source: Path, target: str, plan: TablePlan) -> MapOrigin:
        """Say it of the map that a run writes.

        Parameters
        ----------
        source
            The SQLite file.
        target
            Database and server, as `target.connection.display_name` gives them.
        plan
            The table's complete plan.

        Returns
        -------
        MapOrigin
        """
        keys = tuple(sorted(plan.parents.items()))
        return cls(str(source.resolve()), target, plan.table, plan.id or "", plan.key, keys)

    def metadata(self) -> dict[bytes, bytes]:
        """Give the metadata of a Parquet file's schema."""
        return {_METADATA: json.dumps(asdict(self)).encode()}


def read_origin(path: Path) -> MapOrigin | None:
    """Read whose rows a map maps.

    Parameters
    ----------
    path
        A file of `mappings` or `unmapped`.

    Returns
    -------
    MapOrigin or None
        None where the file is missing or damaged, or does not say it.
    """
    try:
        content = json.loads((pq.read_schema(path).metadata or {})[_METADATA])
        key = tuple(content.pop("natural_key"))
        return MapOrigin(
            **content | {"natural_key": key, "foreign_keys": tuple(map(tuple, content.pop("foreign_keys")))}
        )
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return None
