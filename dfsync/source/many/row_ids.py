"""Ids that are unique over all files: of one table, and of the columns that refer to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
import pyarrow as pa

from dfsync.model import frames
from dfsync.model.schema import Column
from dfsync.model.types import MIXED_STORAGE, Mask, OldIds
from dfsync.source.base import FileNumbers
from dfsync.source.many.columns import as_mixed
from dfsync.stages.conform.conform import conform

_HIGHEST = 2**63 - 2**40
"""Above are the ids that stand for references to no row."""
_REFERENCE = Column("reference", "integer", "bigint")


@dataclass(frozen=True)
class Span:
    """How many rows of a table a file has, and their lowest and highest id; 0 and -1 where there are none."""

    rows: int = 0
    low: int = 0
    high: int = -1

    @property
    def width(self) -> int:
        """How many ids there are from the lowest to the highest."""
        return self.high - self.low + 1


class CombinedIds:
    """The ids of one table over all files; see `dfsync.source.base.RowIds`.

    The ids of a file are shifted, so that they begin behind those of the file before it; those of the first one stay as
    they are. Where that does not fit into 63 bits, such as with random ids, a row has its rank in place of its id.

    A reference to a row that its file cannot have gets an id that no row has, one for each file and value: whether
    another file has a row of that number says nothing.

    Parameters
    ----------
    spans
        Of each file.
    read_ids
        Reads all ids (int64, ascending) of a file, by its number: only where ranks are needed.
    """

    def __init__(self, spans: Sequence[Span], read_ids: Callable[[int], OldIds]) -> None:
        self.spans = spans
        self._ranked: list[OldIds] | None = None
        first = next((span.low for span in spans if span.rows), 0)
        widths = [span.width for span in spans]
        if max(first, 0) + sum(widths) >= _HIGHEST:
            none = np.array([], np.int64)
            self._ranked = [read_ids(number) if span.rows else none for number, span in enumerate(spans)]
            first, widths = 0, [span.rows for span in spans]
        ends = np.cumsum([first, *widths], dtype=np.int64)
        self._starts, self._end = ends[:-1], int(ends[-1])
        self._lows = np.array([span.low for span in spans], np.int64)
        self._all_ranked = None if self._ranked is None else np.concatenate(self._ranked)
        self._dangling: dict[tuple[int, int], int] = {}
        self._dangling_values: list[int] = []
        self._lock = Lock()

    def locate(self, ids: OldIds) -> tuple[FileNumbers, OldIds]:
        """Give the file of each row, and its id there."""
        ids = np.asarray(ids, np.int64)
        numbers = np.searchsorted(self._starts, ids, "right") - 1
        if self._all_ranked is not None:
            return numbers, self._all_ranked[ids]
        return numbers, ids - self._starts[numbers] + self._lows[numbers]

    def combine(self, number: int, own: OldIds) -> tuple[OldIds, Mask]:
        """Give the ids that rows of a file have over all files, and whether the file may have such a row."""
        if self._ranked is not None:
            ranked = self._ranked[number]
            rank = np.searchsorted(ranked, own)
            known = rank < len(ranked)
            known[known] = ranked[rank[known]] == own[known]
            return np.where(known, rank + self._starts[number], 0), known
        span = self.spans[number]
        known = (own >= span.low) & (own <= span.high)
        return np.where(known, np.where(known, own - span.low, 0) + self._starts[number], 0), known

    def bounds(self, number: int) -> tuple[int, int]:
        """Give the first id of a file and the one behind its last."""
        start = int(self._starts[number])
        return start, int(self._starts[number + 1]) if number + 1 < len(self._starts) else self._end

    def shift(self, number: int, values: pa.Array) -> pa.Array:
        """Replace references of a file to the table by combined ids.

        Parameters
        ----------
        number
            The file.
        values
            Of a column, as they were read.

        Returns
        -------
        pyarrow.Array
            Of the same type for integers; else of `MIXED_STORAGE`, where what is no integer stays as it is.
        """
        if pa.types.is_int64(values.type):
            valid = values.is_valid().to_numpy(zero_copy_only=False)
            shifted = self._shifted(number, values.fill_null(0).to_numpy(), valid)
            return pa.array(shifted, mask=~valid)
        frame = frames.from_arrow(pa.table({_REFERENCE.name: values}), np.arange(len(values)))
        passed = conform(frame, [_REFERENCE]).frame[_REFERENCE.name]
        numbers = frames.as_arrow(passed)
        at = passed.index.to_numpy()[numbers.is_valid().to_numpy(zero_copy_only=False)]
        shifted, is_number = np.zeros(len(values), np.int64), np.zeros(len(values), dtype=bool)
        shifted[at] = numbers.drop_null().to_numpy()
        is_number[at] = True
        shifted = self._shifted(number, shifted, is_number)
        return _with_integers(as_mixed(values), shifted, is_number)

    def _shifted(self, number: int, values: OldIds, valid: Mask) -> OldIds:
        combined, known = self.combine(number, values)
        dangling = valid & ~known
        if dangling.any():
            distinct, position = np.unique(values[dangling], return_inverse=True)
            combined[dangling] = self._of_no_row(number, distinct)[position]
        return combined

    def _of_no_row(self, number: int, values: OldIds) -> OldIds:
        """The ids that stand for values of a file that are ids of no row; value by value, since these are few."""
        with self._lock:
            for value in values.tolist():
                if (number, value) not in self._dangling:
                    self._dangling[number, value] = len(self._dangling_values)
                    self._dangling_values.append(value)
            return self._end + np.array([self._dangling[number, value] for value in values.tolist()], np.int64)

    def rows(self, number: int) -> int:
        """Count the rows of a file."""
        return self.spans[number].rows

    def original(self, value: int) -> str:
        """Give what the file has in place of a reference."""
        if value >= self._end:
            at = value - self._end
            return str(self._dangling_values[at] if at < len(self._dangling_values) else value)
        if not len(self._starts) or value < self._starts[0]:
            return str(value)
        return str(self.locate(np.array([value]))[1][0])


def _with_integers(values: pa.StructArray, integers: OldIds, is_integer: Mask) -> pa.StructArray:
    """The same values, some of which are these integers."""
    other = pa.array(~is_integer)
    absent = values.is_null().to_numpy(zero_copy_only=False) & ~is_integer
    kept = [pa.compute.if_else(other, values.field(f.name), pa.scalar(None, f.type)) for f in list(MIXED_STORAGE)[1:]]
    own = pa.compute.if_else(other, values.field("integer"), pa.array(integers))
    return pa.StructArray.from_arrays([own, *kept], fields=list(MIXED_STORAGE), mask=pa.array(absent))
