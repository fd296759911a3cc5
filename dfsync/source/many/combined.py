"""Several SQLite files of one schema as one source."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Self, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from dfsync.model import frames
from dfsync.model.errors import DfsyncError, Remedy, SourceError, TableError
from dfsync.model.partition import Partition
from dfsync.model.schema import Schema, Table
from dfsync.model.source_file import SourceFile
from dfsync.model.types import OldIds
from dfsync.plan.model import Plan
from dfsync.source.base import Queryable
from dfsync.source.dialect import compiled
from dfsync.source.many.columns import concat
from dfsync.source.many.open_files import OpenFiles
from dfsync.source.many.row_ids import CombinedIds, Span
from dfsync.source.many.schemas import SchemaReader, Shown, as_stored, require_same
from dfsync.source.many.spans import measures, read_ids, read_spans
from dfsync.source.sqlite import SqliteSource

log = logging.getLogger(__name__)

T = TypeVar("T")
_SHOWN_ERRORS = 3


@dataclass
class _Shared:
    """What all looks at the source have in common."""

    files: tuple[SourceFile, ...]
    schema: Schema = field(default_factory=Schema)
    leading: int = 0
    failures: dict[int, str] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)
    stopped: bool = False


@dataclass(frozen=True)
class _PlannedIds:
    """The ids that a plan gives the rows of all files."""

    by_table: dict[str, CombinedIds]
    """By name in the plan."""
    by_key: dict[tuple[str, str | None], CombinedIds]
    """By source table and the column that identifies a row."""
    references: dict[str, dict[str, CombinedIds]]
    """By source table and column, in lower case: the ids of the parent."""


class CombinedSource:
    """Several SQLite files, read as one source; see `dfsync.source.base.Source`.

    A file that cannot be read fails alone: it is left out from then on, and `failures` says why. Where it fails while
    rows are read, `SourceError` says so, and the reader begins anew with `current`.

    Parameters
    ----------
    files
        At least one, in order: the first that can be read says what the tables are.
    shown
        Gives the tables of a file as a plan wants them, from those that it has.

    Raises
    ------
    DfsyncError
        No file can be read.
    """

    def __init__(self, files: Sequence[SourceFile], shown: Shown = as_stored) -> None:
        self._shared = _Shared(tuple(files))
        self._schemas = SchemaReader(shown)
        self._open = OpenFiles(files, self._schemas.read)
        self._ids = _PlannedIds({}, {}, {})
        self._numbers: tuple[int, ...] = tuple(range(len(files)))
        try:
            self._find_leading()
        except BaseException:
            self.close()
            raise

    def _find_leading(self) -> None:
        shared, errors = self._shared, []
        for number in self._numbers:
            try:
                with self._open.lease(number) as source:
                    shared.schema, shared.leading = source.schema, number
                    break
            except DfsyncError as error:
                errors.append(error)
                self._fail(number, error)
        else:
            if len(errors) == 1:
                raise errors[0]
            told = DfsyncError(f"None of the {len(errors)} sources can be read.", Remedy("Name others with {source}."))
            raise DfsyncError.combined([told, *errors[:_SHOWN_ERRORS]])
        self._numbers = tuple(self._alive())

    def _alive(self) -> list[int]:
        return [number for number in self._numbers if number not in self._shared.failures]

    def _fail(self, number: int, error: DfsyncError) -> None:
        with self._shared.lock:
            self._shared.failures.setdefault(number, str(DfsyncError(error.parts[0][0])))
        self._open.drop(number)
        log.debug("the source %s fails: %s", self._shared.files[number].name, error)

    @property
    def files(self) -> tuple[SourceFile, ...]:
        """All files, in order, also those that cannot be read."""
        return self._shared.files

    @property
    def path(self) -> Path:
        """The file whose tables count: the first one that can be read."""
        return self.files[self._shared.leading].path

    @property
    def schema(self) -> Schema:
        """The tables."""
        return self._shared.schema

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._shared.stopped

    @property
    def several(self) -> bool:
        """True: ids are combined."""
        return True

    @property
    def readable(self) -> tuple[SourceFile, ...]:
        """The files that had not failed when `current` was called."""
        return tuple(self.files[number] for number in self._numbers)

    @property
    def failures(self) -> dict[str, str]:
        """By name, why files cannot be read."""
        return {self.files[number].name: why for number, why in sorted(self._shared.failures.items())}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all files."""
        self._open.close()

    def stop(self) -> None:
        """Make every further read raise `DfsyncError`, also in other threads."""
        self._shared.stopped = True
        self._open.stop()

    def current(self) -> Self:
        """Return the source without the files that failed so far."""
        return self._with(numbers=tuple(self._alive()))

    def _with(self, *, numbers: tuple[int, ...], ids: _PlannedIds | None = None) -> Self:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._numbers = numbers
        other._ids = ids or self._ids
        return other

    def each(self, ask: Callable[[Queryable], T], most: int | None = None) -> list[T]:
        """Ask every file that can be read; one that cannot is left out from then on."""
        answers: list[T] = []
        for number in self._alive():
            if most is not None and len(answers) >= most:
                break
            try:
                answers.append(self._ask(number, ask))
            except SourceError as error:
                log.debug("%s", error)
        if not answers:
            raise DfsyncError("No source can be read any more.", Remedy("Name others with {source}."))
        return answers

    def _ask(self, number: int, ask: Callable[[SqliteSource], T]) -> T:
        """Ask one file. Raises `SourceError` where it fails, and leaves it out from then on."""
        try:
            with self._open.lease(number) as source:
                if self.stopped:
                    raise DfsyncError("The run was stopped.")
                require_same(source.schema, self.schema, self.path)
                return ask(source)
        except TableError:
            # The other tables of the file can be read.
            raise
        except DfsyncError as error:
            if self.stopped:
                raise
            self._fail(number, error)
            raise SourceError(self.files[number].name, self._shared.failures[number]) from error

    def with_plan(self, plan: Plan) -> Self:
        """Return the source with combined ids, after a look at the ids of every file."""
        tables = {t.name: self.schema.find(t.table) for t in plan.tables}
        keys = {(table.name, plan[name].id): table for name, table in tables.items() if table is not None}
        spans = self._spans(keys)
        by_key = {
            key: CombinedIds(
                [spans.get(number, {}).get(key, Span()) for number in range(len(self.files))],
                partial(self._read_ids, table, key[1]),
            )
            for key, table in keys.items()
        }
        none = CombinedIds([Span()] * len(self.files), lambda number: np.array([], np.int64))
        by_table = {
            name: none if table is None else by_key[table.name, plan[name].id] for name, table in tables.items()
        }
        references = {
            table.name: {column.lower(): by_table[parent] for column, parent in plan[name].parents.items()}
            for name, table in tables.items()
            if table is not None
        }
        return self._with(numbers=tuple(self._alive()), ids=_PlannedIds(by_table, by_key, references))

    def _spans(self, keys: dict[tuple[str, str | None], Table]) -> dict[int, dict[tuple[str, str | None], Span]]:
        """By file, the ids of each table; one query for each file."""
        if not keys:
            return {}
        statement = sa.select(*(c for i, (key, table) in enumerate(keys.items()) for c in measures(i, table, key[1])))
        sql, _ = compiled(statement)
        found = {}
        for number in self._alive():
            try:
                found[number] = self._ask(number, lambda source: read_spans(source, sql, list(keys)))
            except SourceError as error:
                log.debug("%s", error)
        if not found:
            raise DfsyncError("No source can be read any more.", Remedy("Name others with {source}."))
        return found

    def _read_ids(self, table: Table, row_id: str | None, number: int) -> OldIds:
        return self._ask(number, lambda source: read_ids(source, table, row_id))

    def row_ids(self, table: str) -> CombinedIds | None:
        """Return what the ids of a planned table mean."""
        return self._ids.by_table.get(table)

    def count(self, table: Table) -> int:
        """Count the rows of a table in all files that are read."""
        ids = next((ids for key, ids in self._ids.by_key.items() if key[0] == table.name), None)
        return 0 if ids is None else sum(ids.spans[number].rows for number in self._numbers)

    def batches(self, partition: Partition, size: int, ids: OldIds | None = None) -> Iterator[pd.DataFrame]:
        """Read the rows of a partition; those of small files are joined to batches of up to `size` rows."""
        parts: list[pa.Table] = []
        row_ids: list[OldIds] = []
        rows = 0
        for own_ids, part in self._parts(partition, size, ids):
            if rows and rows + part.num_rows > size:
                yield frames.from_arrow(concat(parts), np.concatenate(row_ids))
                parts, row_ids, rows = [], [], 0
            parts.append(part)
            row_ids.append(own_ids)
            rows += len(own_ids)
        if rows:
            yield frames.from_arrow(concat(parts), np.concatenate(row_ids))

    def _parts(self, partition: Partition, size: int, ids: OldIds | None) -> Iterator[tuple[OldIds, pa.Table]]:
        """The combined ids of some rows of one file, and the columns; in the order of the ids."""
        combined = self._ids.by_key[partition.table, partition.row_id]
        low = -(2**63) if partition.low is None else partition.low
        high = 2**63 - 1 if partition.high is None else partition.high
        references = self._ids.references.get(partition.table, {})
        for number in self._numbers:
            start, end = combined.bounds(number)
            if end <= low or start >= high or start == end:
                continue
            own = None
            if ids is not None:
                wanted = ids[np.searchsorted(ids, max(start, low)) : np.searchsorted(ids, min(end, high))]
                own = combined.locate(wanted)[1]
            elif start < low or end > high:
                own = self._read_ids(self.schema[partition.table], partition.row_id, number)
                of_all = combined.combine(number, own)[0]
                own = own[(of_all >= low) & (of_all < high)]
            if own is not None and not len(own):
                continue
            part = replace(partition, source=self.files[number].path, low=None, high=None)
            for own_ids, table in self._read(number, part, size, own):
                yield combined.combine(number, own_ids)[0], _shifted(table, number, references)

    def _read(
        self, number: int, partition: Partition, size: int, ids: OldIds | None
    ) -> Iterator[tuple[OldIds, pa.Table]]:
        """Read one file. What the reader of the rows does wrong is no fault of the file."""
        try:
            with self._open.lease(number) as source:
                for row_ids, table in source.tables(partition, size, ids):
                    yield row_ids.to_numpy(), table
        except TableError:
            raise
        except DfsyncError as error:
            if self.stopped:
                raise
            self._fail(number, error)
            raise SourceError(self.files[number].name, self._shared.failures[number]) from error


def _shifted(table: pa.Table, number: int, references: dict[str, CombinedIds]) -> pa.Table:
    """The rows of a file with combined ids in the foreign keys."""
    for position, name in enumerate(table.column_names):
        parent = references.get(name.lower())
        if parent is not None:
            values = table.column(position).combine_chunks()
            table = table.set_column(position, name, parent.shift(number, values))
    return table
