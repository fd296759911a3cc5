"""After a sync: every source row held against its target row, through the mappings that the sync left."""

from __future__ import annotations

import html
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from dfsync import compare, frames, record
from dfsync import target as server
from dfsync.errors import DfsyncError
from dfsync.options import Options
from dfsync.outcome import nothing
from dfsync.plan import Plan
from dfsync.result import MATCHED, Frames, Observer
from dfsync.run import Run, prepare
from dfsync.settings import open_target
from dfsync.shape import Shape
from dfsync.table import TablePass
from dfsync.table_match import match_table, rows_by_key

_SAMPLE = 100
# More at once are too many for MySQL to look up one by one, and it reads the table through instead.
_ROWS = 10_000
_REASON = "reason"
_REASONS = (compare.CHANGED, compare.KEPT, compare.SHARED)
COUNTED = ("total", "equal", "changed", "kept", "shared", "deleted", "missing", "rejected")


@dataclass
class Verified:
    """One table: total = equal + changed + kept + shared + deleted + missing + rejected, always."""

    name: str
    table: str
    total: int = 0
    equal: int = 0
    changed: int = 0
    """They differ from target rows that a sync inserted or updated."""
    kept: int = 0
    """They differ from target rows that were there before the last sync and were left as they were."""
    shared: int = 0
    """They differ from target rows that they share with a source row of a lower id, whose values count."""
    deleted: int = 0
    """Their target row is gone."""
    missing: int = 0
    """They were never synced."""
    rejected: int = 0
    """They have no target row, and the sync said so."""
    note: str | None = None
    """Why the table was not looked at."""
    seconds: float = 0.0

    @property
    def differ(self) -> int:
        return self.changed + self.kept + self.shared + self.deleted + self.missing

    def as_dict(self) -> dict[str, Any]:
        return {**self.__dict__, "seconds": round(self.seconds, 4)}


@dataclass(frozen=True, repr=False)
class VerifyResult:
    """The outcome of `dfsync.verify`.

    `differences[name]`: one row per cell that differs, or per row that is not there, by ascending `old_id`; columns as
    in `compare.SCHEMA`. Empty where nothing differs.
    """

    tables: tuple[Verified, ...]
    differences: Mapping[str, pd.DataFrame]
    seconds: float
    plan: Plan | None = None
    """The completed plan, of all tables, also where only some were verified."""
    source: str = ""
    """The SQLite file."""
    target: str = ""
    """Database and server, without user or password."""

    @property
    def ok(self) -> bool:
        """Whether nothing differs. Rejected rows are no difference: the sync told of them."""
        return not any(table.differ for table in self.tables)

    @property
    def summary(self) -> pd.DataFrame:
        """One row per table, index `name`, the counts of `Verified`."""
        columns = list(Verified("", "").as_dict())
        return pd.DataFrame([table.as_dict() for table in self.tables], columns=columns).set_index("name")

    def __repr__(self) -> str:
        counts = ", ".join(f"{number} {key}" for key, number in self._sums.items())
        return f"<VerifyResult: {len(self.tables)} tables, {counts}, {self.seconds:.1f} s>"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self)[1:-1])}</p>{self.summary.to_html(na_rep='', float_format='{:.2f}'.format)}"

    @property
    def _sums(self) -> dict[str, int]:
        return {key: sum(getattr(table, key) for table in self.tables) for key in COUNTED}

    def as_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "ok": self.ok,
            "seconds": round(self.seconds, 4),
            "source": self.source,
            "target": self.target,
            "overall": self._sums,
            "tables": [table.as_dict() for table in self.tables],
            "plan": None if self.plan is None else self.plan.as_dict(),
        }


def verify(
    source: str | Path,
    target: str | sa.URL | None = None,
    *,
    out: str | Path = "dfsync-out",
    options: Options | None = None,
    observer: Observer | None = None,
) -> VerifyResult:
    """Compares every source row with its target row, through the mappings in `out`, and writes the differences there.

    Nothing in source or target changes. Raises `DfsyncError` where it cannot start, as where `out` has no mappings.
    """
    with open_target(target, source) as choice, prepare(source, choice.url, options or Options()) as run:
        return _verify(run, Path(out), observer or Observer())


def _verify(run: Run, out: Path, observer: Observer) -> VerifyResult:
    start = time.perf_counter()
    checks = [_Check(run, name, out) for name in run.names]
    with server.connect(run.engine) as connection, connection.begin():
        connection.execute(sa.text("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"))
        _fail_if_elsewhere(connection, checks, out)
        for check in checks:
            check.run(connection, observer)
    counts = tuple(check.counts for check in checks)
    return VerifyResult(
        tables=counts,
        differences=Frames(out / record.VERIFY, [c.name for c in counts], compare.none),
        seconds=time.perf_counter() - start,
        plan=run.plan,
        source=str(run.source.path),
        target=server.place(run.engine.url),
    )


def _fail_if_elsewhere(connection: sa.Connection, checks: list[_Check], out: Path) -> None:
    """A look at a few rows of every table, lest all of them be called deleted one by one."""
    looked = [check.any_there(connection) for check in checks]
    if False in looked and True not in looked:
        raise DfsyncError(
            f"None of the rows that the mappings in {out} name is in {server.place(connection.engine.url)}: they "
            "belong to another target, or its rows are gone. Name the right --out or --target, or sync again."
        )


class _Check:
    """One table on its way: what is known of it, and its counts."""

    def __init__(self, run: Run, name: str, out: Path) -> None:
        self.counts = Verified(name, run.plan[name].table)
        self._run = run
        self._out = out
        self._plan = run.plan[name]
        self._shape = run.shapes.get(name)
        if self._shape is None:
            self.counts.note = f"the source has no table {self._plan.table}"
            return
        for needed in {*self._plan.parents.values(), *([name] if self._plan.id else [])} & run.shapes.keys():
            record.mapping_file(out, needed)

    def any_there(self, connection: sa.Connection) -> bool | None:
        """Whether some of the mapped rows are in the target; None where there is none to look for."""
        if self._shape is None or self._shape.id is None:
            return None
        ids = record.read_map(self._out, self._plan.name)[frames.NEW_ID]
        sample = ids.iloc[np.unique(np.linspace(0, max(len(ids) - 1, 0), _SAMPLE, dtype=int))] if len(ids) else ids
        there = server.find_rows(connection, self._shape.target, self._shape.id, [], sample.tolist())
        return bool(len(there)) if len(ids) else None

    def run(self, connection: sa.Connection, observer: Observer) -> None:
        if self._shape is None:
            observer.table_missing(self._plan, self.counts.note or "")
            return
        start = time.perf_counter()
        self.counts.total = self._run.source.count(self._shape.source)
        observer.table_started(self._plan, self.counts.total)
        for parent in {*self._plan.parents.values()} & self._run.shapes.keys() - self._run.maps.keys():
            self._run.maps[parent] = record.read_map(self._out, parent)
        self._rejected = record.read_rejected(self._out, self._plan.name)
        found = self._mapped(connection, self._shape) if self._shape.id else self._keyed(connection, self._shape)
        record.write_differences(self._out, self._plan.name, compare.SCHEMA, self._told(found, observer))
        self.counts.seconds = time.perf_counter() - start

    def _told(self, found: Iterator[tuple[int, pd.DataFrame]], observer: Observer) -> Iterator[Any]:
        done = 0
        for rows, differences in found:
            done += rows
            differences = _with_reason(differences)
            self._count(rows, differences)
            observer.progress(self._plan, done)
            if len(differences):
                yield compare.as_table(differences)

    def _count(self, rows: int, differences: pd.DataFrame) -> None:
        ids = differences.index.to_numpy()
        kind = differences["kind"].to_numpy(dtype=object)
        cells = ~np.isin(kind, (compare.DELETED, compare.MISSING))
        reason = differences[_REASON].to_numpy(dtype=object)
        counts = {
            **{key: len(np.unique(ids[cells & (reason == key)])) for key in _REASONS},
            "deleted": int((kind == compare.DELETED).sum()),
            "missing": int((kind == compare.MISSING).sum()),
        }
        for name, count in counts.items():
            setattr(self.counts, name, getattr(self.counts, name) + count)
        self.counts.equal += rows - sum(counts.values())

    def _absent(self, ids: Any) -> pd.DataFrame:
        """The rows that should have been synced, of those that have no target row; counts the rejects among them."""
        told = np.isin(ids, self._rejected)
        self.counts.rejected += int(told.sum())
        self.counts.equal -= int(told.sum())
        return compare.rows(compare.MISSING, ids[~told])

    def _mapped(self, connection: sa.Connection, shape: Shape) -> Iterator[tuple[int, pd.DataFrame]]:
        """How many rows were compared, and what differs, batch by batch, through the mapping."""
        mapping = record.read_map(self._out, self._plan.name, frames.ACTION)
        old_ids = mapping[frames.OLD_ID].to_numpy()
        shared = pd.Series(mapping[frames.NEW_ID].to_numpy()).duplicated().to_numpy()
        for frame in self._run.source.batches(shape.source, self._plan.id, shape.names, self._run.options.batch_size):
            ids = frame.index.to_numpy()
            place = np.searchsorted(old_ids, ids)
            known = np.zeros(len(ids), dtype=bool)
            inside = place < len(old_ids)
            known[inside] = old_ids[place[inside]] == ids[inside]
            mapped = _reasoned(mapping.iloc[place[known]], shared[place[known]]).set_index(frames.OLD_ID)
            new_ids = mapped[frames.NEW_ID].to_numpy()
            there = self._rows(connection, shape, np.unique(new_ids))
            at = there.index.get_indexer(pd.Index(new_ids))
            here = mapped.index[at >= 0]
            aligned = there.iloc[at[at >= 0]].set_axis(here)
            differences = [
                compare.compare(connection, shape, frame.loc[here], aligned, self._run.maps),
                compare.rows(compare.DELETED, mapped.index[at < 0].to_numpy()),
                self._absent(ids[~known]),
            ]
            whole = pd.concat(differences).sort_index(kind="stable")
            yield len(frame), whole.join(mapped)

    def _rows(self, connection: sa.Connection, shape: Shape, ids: Any) -> pd.DataFrame:
        """The target rows of these ids (ascending), indexed by them."""
        assert shape.id is not None
        parts = np.array_split(ids, range(_ROWS, len(ids), _ROWS))
        rows = [server.find_rows(connection, shape.target, shape.id, shape.columns, part.tolist()) for part in parts]
        return pd.concat(rows)

    def _keyed(self, connection: sa.Connection, shape: Shape) -> Iterator[tuple[int, pd.DataFrame]]:
        """As `_mapped`, of a table without a surrogate id: through its key, or else its whole content."""
        table = TablePass(shape, self._run.source, connection, self._run.maps, self._run.options.batch_size)
        key = [column.name for column in shape.key]
        unkeyed = [np.array([], dtype=np.int64)]
        for frame in table.read(shape.columns, table.batch_size, late=()) if key else ():
            keyed = frame[frames.complete(frame[key])]
            unkeyed.append(frame.index.difference(keyed.index).to_numpy())
            yield len(keyed), self._by_key(connection, shape, keyed)
        unfit = table.rejected(nothing())
        left = np.concatenate(unkeyed)
        if not key or len(left):
            table.rejects.clear()
            outcome = match_table(table, left if key else None)
            if not key:
                unfit = table.rejected(outcome)
            yield len(outcome), _without_id(self._absent(outcome.old_id[~outcome.known]))
        yield len(unfit), _without_id(self._absent(unfit.index.to_numpy()))

    def _by_key(self, connection: sa.Connection, shape: Shape, source: pd.DataFrame) -> pd.DataFrame:
        key = [column.name for column in shape.key]
        names = [name for name in shape.names if name not in key]
        there, _ = rows_by_key(connection, shape, source, names)
        cells = [
            compare.changed(connection, column, source.loc[there.index, column.name], there[column.name])
            for column in shape.columns
            if column.name in names
        ]
        absent = self._absent(source.index.difference(there.index).to_numpy())
        return _without_id(pd.concat([compare.no_cells(), *cells, absent]).sort_index(kind="stable"))


def _reasoned(mapping: pd.DataFrame, shared: Any) -> pd.DataFrame:
    """With the kind that another value in the target row has."""
    matched = (mapping[frames.ACTION] == MATCHED).to_numpy(dtype=bool)
    return mapping.assign(**{_REASON: np.select([shared, matched], [compare.SHARED, compare.KEPT], compare.CHANGED)})


def _with_reason(differences: pd.DataFrame) -> pd.DataFrame:
    other = (differences["kind"] == compare.CHANGED).to_numpy(dtype=bool)
    return differences.assign(kind=differences["kind"].mask(other, differences[_REASON].astype(frames.STRING)))


def _without_id(differences: pd.DataFrame) -> pd.DataFrame:
    none = frames.nulls_like(differences["column"])
    empty = {frames.NEW_ID: none.astype(frames.INT64), frames.ACTION: none}
    return differences.assign(**empty, **{_REASON: compare.CHANGED})
