"""The rows of sources that are not in this run, which stay in the map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dfsync.model.source_file import SOURCE, SourceFile
from dfsync.output.evidence import MapOrigin, matching, read_origin
from dfsync.output.files import MAPPINGS, UNMAPPED
from dfsync.pipeline.session.file_rows import DICTIONARY
from dfsync.plan.model import TablePlan
from dfsync.source.base import Source


@dataclass(frozen=True)
class OtherSources:
    """The rows of the last map that are of sources which this run has not read: they stay in the new one.

    So a laptop that is away for a night, or a file that is damaged, is known in the next one.

    Attributes
    ----------
    origin
        Whose rows the new map has.
    kept
        By file of the last run the names of its sources that stay, and their names in the new map.
    """

    origin: MapOrigin
    kept: dict[Path, dict[str, str]]

    @classmethod
    def of(cls, source: Source, target: str, plan: TablePlan, folder: Path) -> OtherSources:
        """Look into the files of the last run.

        Parameters
        ----------
        source
            The source as the table read it.
        target
            Database and server.
        plan
            The table's complete plan.
        folder
            The output folder.

        Returns
        -------
        OtherSources
            Of a source of one file there are none.
        """
        origin = MapOrigin.of(source.readable, target, plan, several=source.several)
        if not source.several:
            return cls(origin, {})
        files = {file.name: file for file in source.readable}
        kept: dict[Path, dict[str, str]] = {}
        for path in (folder / name / f"{plan.name}.parquet" for name in (MAPPINGS, UNMAPPED)):
            then = read_origin(path)
            if then is None or replace(then, source="", files=()) != replace(origin, source="", files=()):
                continue
            kept[path] = {}
            known = {before for before, _ in matching(then.source_files, source.readable)}
            for file in then.source_files:
                if file not in known:
                    kept[path][file.name] = name = _free_name(file, files)
                    files[name] = replace(file, name=name)
        return cls(MapOrigin.of(tuple(files.values()), target, plan, several=True), kept)

    def mapped(self) -> Iterator[pa.Table]:
        """Read their rows of the map."""
        return self._rows(MAPPINGS)

    def unmapped(self) -> list[pa.Table]:
        """Read their rows that had no target row."""
        return [*self._rows(UNMAPPED)]

    def beside(self, rows: pa.Table, others: list[pa.Table]) -> pa.Table:
        """Put rows of them behind those of this run, for a file of `unmapped`."""
        tables = [table for table in (rows, *others) if table.num_rows]
        if not self.origin.several or not tables:
            return rows
        joined = pa.concat_tables(tables, promote_options="permissive")
        return joined.replace_schema_metadata(self.origin.metadata())

    def _rows(self, folder: str) -> Iterator[pa.Table]:
        for path, names in self.kept.items():
            if path.parent.name == folder and names:
                file = pq.ParquetFile(path)
                for batch in file.iter_batches():
                    rows = _of_sources(pa.Table.from_batches([batch]), names)
                    if rows.num_rows:
                        yield rows


def _free_name(file: SourceFile, taken: dict[str, SourceFile]) -> str:
    """The name of a source of an earlier run, with its folder where another source has it now."""
    name, folder = file.name, file.path.parent
    while name in taken and taken[name].path.resolve() != file.path.resolve():
        name = f"{folder.name or 'earlier'}/{name}"
        folder = folder.parent
    return name


def _of_sources(rows: pa.Table, names: dict[str, str]) -> pa.Table:
    """The rows of these sources, under the names that they are to have; a map of one source has no names in it."""
    if SOURCE not in rows.column_names:
        codes = pa.array(np.zeros(rows.num_rows, np.int32))
        own = pa.DictionaryArray.from_arrays(codes, pa.array(list(names.values())))
        return rows.add_column(0, pa.field(SOURCE, DICTIONARY), own)
    before = rows.column(SOURCE).cast(pa.string())
    place = pc.index_in(before, pa.array(list(names)))
    kept = pc.is_valid(place)
    own = pa.DictionaryArray.from_arrays(pc.filter(place, kept).combine_chunks(), pa.array(list(names.values())))
    return rows.filter(kept).set_column(0, pa.field(SOURCE, DICTIONARY), own)
