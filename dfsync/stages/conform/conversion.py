"""The result of converting one column: values, the faults of those that do not fit, and those that change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from dfsync.model.schema import Column
from dfsync.model.types import arrow_type

Fault = tuple[pa.Array, str]
"""A mask (Arrow bool) of values that do not fit, and the reason as the end of a sentence about one of them."""
Change = tuple[pa.Array, str]
"""A mask (Arrow bool) of values that the column holds only in part, and a note that says what it does to them."""


@dataclass(frozen=True)
class ConversionResult:
    """The converted values of one column.

    Attributes
    ----------
    values
        Of `dfsync.model.types.arrow_type` of the column, as many as there were.
    faults
        For each reason a mask (Arrow bool) of the values that do not fit, and the reason. What `values` holds in
        their place does not count.
    changes
        For each way in which the column changes values, such as rounding, a mask (Arrow bool) and a note.
    """

    values: pa.Array
    faults: list[Fault] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)


Conversion = Callable[[pa.Array, Column], ConversionResult]
"""Takes Arrow values of one storage class and the target's column."""


def with_faults(values: pa.Array, *faults: Fault, changes: Iterable[Change] = ()) -> ConversionResult:
    """Return a result without the faults and the changes that no value has.

    Parameters
    ----------
    values
        The converted values.
    *faults
        Masks and reasons, the first of which counts where a value has several.
    changes
        As in `ConversionResult`.

    Returns
    -------
    ConversionResult
        With the faults and changes of which some element of the mask is true.
    """
    return ConversionResult(values, _present(faults), _present(changes))


def _present(masks: Iterable[tuple[pa.Array, str]]) -> list[tuple[pa.Array, str]]:
    return [(mask, text) for mask, text in masks if pc.any(mask).as_py()]


def rejects_all(reason: str) -> Conversion:
    """Return the conversion of a storage class of which a column can hold no value.

    Parameters
    ----------
    reason
        Why not, as the end of a sentence about one value.

    Returns
    -------
    Conversion
        Rejects every value but NULL.
    """

    def reject(values: pa.Array, column: Column) -> ConversionResult:
        return with_faults(pa.nulls(len(values), arrow_type(column)), (values.is_valid(), reason))

    return reject


def where(values: pa.Array, mask: pa.Array) -> pa.Array:
    """Return the values where a mask is true, else NULL.

    Parameters
    ----------
    values
        Of any type.
    mask
        Arrow bool, one element per value.

    Returns
    -------
    pyarrow.Array
        Of the type of `values`; NULL too where the mask is NULL.
    """
    return pc.if_else(mask, values, pa.scalar(None, values.type))
