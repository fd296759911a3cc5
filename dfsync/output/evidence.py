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
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dfsync.model.source_file import SourceFile
from dfsync.plan.model import TablePlan

_METADATA = b"dfsync"


@dataclass(frozen=True)
class MapOrigin:
    """Whose rows a map maps."""

    source: str
    """The absolute path of the SQLite file; empty where the map is of several."""
    target: str
    """Database and server."""
    table: str
    id: str
    natural_key: tuple[str, ...]
    foreign_keys: tuple[tuple[str, str], ...]
    """Column and parent, ascending."""
    files: tuple[tuple[str, str, bool], ...] = ()
    """Name, absolute path, and whether a person gave the name, of each file of several, or of one that was named."""

    @classmethod
    def of(cls, files: Sequence[SourceFile], target: str, plan: TablePlan, *, several: bool = False) -> MapOrigin:
        """Say it of the map that a run writes.

        Parameters
        ----------
        files
            The SQLite files.
        target
            Database and server, as `target.connection.display_name` gives them.
        plan
            The table's complete plan.
        several
            Whether the map says of each row of which file it is.

        Returns
        -------
        MapOrigin
        """
        keys = tuple(sorted(plan.parents.items()))
        source = "" if several else str(files[0].path.resolve())
        named = [(file.name, str(file.path.resolve()), file.named) for file in files if several or file.named]
        return cls(source, target, plan.table, plan.id or "", plan.key, keys, tuple(named))

    @property
    def several(self) -> bool:
        """Whether the map says of each row of which file it is."""
        return not self.source

    @property
    def source_files(self) -> tuple[SourceFile, ...]:
        """The files whose rows the map has."""
        if not self.files:
            # Of several, none may have been readable.
            return (SourceFile(Path(self.source).stem, Path(self.source)),) if self.source else ()
        return tuple(SourceFile(name, Path(path), named) for name, path, named in self.files)

    def is_continued_by(self, now: MapOrigin) -> bool:
        """Tell whether a map of this origin is evidence for a run: the same target and plan, and a file in common."""
        return self.of_any_source() == now.of_any_source() and self.shares_file(now)

    def of_any_source(self) -> MapOrigin:
        """Leave out whose rows they are: what is left is the target and how the plan recognises rows."""
        return replace(self, source="", files=())

    def shares_file(self, now: MapOrigin) -> bool:
        """Tell whether both have a file in common."""
        return bool(matching(self.source_files, now.source_files))

    def metadata(self) -> dict[bytes, bytes]:
        """Give the metadata of a Parquet file's schema."""
        content = {key: value for key, value in asdict(self).items() if key != "files" or value}
        return {_METADATA: json.dumps(content).encode()}


def matching(then: Sequence[SourceFile], now: Sequence[SourceFile]) -> list[tuple[SourceFile, SourceFile]]:
    """Pair the files of an earlier run with those of this one that are the same source; at most one each."""
    by_name = {file.name: file for file in then if file.named}
    by_path = {file.path.resolve(): file for file in then}
    pairs = []
    for file in now:
        named = by_name.get(file.name) if file.named else None
        before = named or by_path.get(file.path.resolve())
        if before is not None and before.is_same(file):
            pairs.append((before, file))
    return pairs


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
        lists = ("natural_key", "foreign_keys", "files")
        content |= {name: tuple(content.get(name, ())) for name in lists}
        content |= {name: tuple(map(tuple, content[name])) for name in lists[1:]}
        return MapOrigin(**content)
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return None


def other_plan(then: MapOrigin | None, now: MapOrigin) -> str | None:
    """Say how the plan of a map differs from that of now: by another id or other keys.

    Parameters
    ----------
    then
        Whose rows the map maps; None where it does not say it.
    now
        The same of a map of the plan of now.

    Returns
    -------
    str or None
        The first difference. None where there is none, or the map is of another source, target or table.
    """
    if then is None or (then.source, then.target, then.table) != (now.source, now.target, now.table):
        return None
    says = _said_of(now)
    return next(
        (
            f"the last run {how} {said}, this plan {how.split()[-1]} {says[how]}"
            for how, said in _said_of(then).items()
            if said != says[how]
        ),
        None,
    )


def _said_of(origin: MapOrigin) -> dict[str, str]:
    references = ", ".join(f"{column} -> {parent}" for column, parent in origin.foreign_keys)
    return {
        "numbered rows by": origin.id,
        "recognised rows by": ", ".join(origin.natural_key) or "their whole content",
        "found parents by": references or "no column",
    }
