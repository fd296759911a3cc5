"""The result of converting one column, and the faults found on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dfsync.model.schema import Column
from dfsync.model.types import arrow_type


@dataclass(frozen=True)
class ConversionResult:
    """Values of `types.arrow_type` of the column; the masks of those that do not fit, each with the reason why not."""

    values: Any
    faults: list[tuple[Any, str]] = field(default_factory=list)
    note: str | None = None


Conversion = Callable[[Any, Column], ConversionResult]


def with_faults(values: Any, *faults: tuple[Any, str], note: str | None = None) -> ConversionResult:
    """Without the faults that no value has."""
    found = [(mask, reason) for mask, reason in faults if pc.any(mask).as_py()]
    return ConversionResult(values, found, note)


def rejects_all(reason: str) -> Conversion:
    """No value of that storage class can go into such a column."""

    def refuse(values: Any, column: Column) -> ConversionResult:
        return with_faults(pa.nulls(len(values), arrow_type(column)), (values.is_valid(), reason))

    return refuse


def where(values: Any, mask: Any) -> Any:
    """The values where the mask holds, else NULL."""
    return pc.if_else(mask, values, pa.scalar(None, values.type))
