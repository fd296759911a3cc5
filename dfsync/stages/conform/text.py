"""Convert to text, bytes, ENUM and SET."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from dfsync.model.schema import Column
from dfsync.model.types import data_type
from dfsync.stages.conform.conversion import Conversion, ConversionResult, with_faults

_CP1252 = bytes(set(range(0x80, 0xA0)) - {0x81, 0x8D, 0x8F, 0x90, 0x9D}).decode("cp1252") + "\x81\x8d\x8f\x90\x9d"
_OUTSIDE_CHARSET = {
    "ascii": r"[^\x00-\x7f]",
    "utf8": r"[^\x{0}-\x{ffff}]",
    "utf8mb3": r"[^\x{0}-\x{ffff}]",
    # The latin1 of both servers is cp1252 with control characters in its five holes:
    # https://dev.mysql.com/doc/refman/8.4/en/charset-we-sets.html
    "latin1": f"[^\\x{{0}}-\\x{{7f}}\\x{{a0}}-\\x{{ff}}{_CP1252}]",
}


def text(values: pa.Array, column: Column) -> ConversionResult:
    """Check texts for the length and the character set of a column.

    Parameters
    ----------
    values
        Arrow strings.
    column
        The target's column, of kind `text`.

    Returns
    -------
    ConversionResult
        Arrow strings, without the trailing spaces that a CHAR does not keep; those too long, or with a character
        outside of the character set, are faults.
    """
    changes = []
    if data_type(column) == "char":
        changes.append((pc.ends_with(values, " "), f"{column.type} does not keep trailing spaces"))
        values = pc.utf8_rtrim(values, characters=" ")
    faults = []
    if column.length is not None:
        reason = f"is longer than the {column.length} characters of {column.type}"
        faults.append((pc.greater(pc.utf8_length(values), column.length), reason))
    if column.octets is not None and (column.charset or "").startswith("utf8"):
        reason = f"is longer than the {column.octets} bytes of {column.type}"
        faults.append((pc.greater(pc.binary_length(values), column.octets), reason))
    if column.charset in _OUTSIDE_CHARSET:
        outside = pc.match_substring_regex(values, _OUTSIDE_CHARSET[column.charset])
        faults.append((outside, f"holds a character that the column's character set {column.charset} lacks"))
    return with_faults(values, *faults, changes=changes)


def via_text(conversion: Conversion) -> Conversion:
    """Return a conversion of texts as one of integers, which show as their digits.

    Parameters
    ----------
    conversion
        Takes Arrow strings.

    Returns
    -------
    Conversion
        Takes Arrow int64.
    """
    return lambda values, column: conversion(pc.cast(values, pa.string()), column)


def text_from_real(conversion: Conversion) -> Conversion:
    """Return a conversion of texts as one of reals.

    Parameters
    ----------
    conversion
        Takes Arrow strings.

    Returns
    -------
    Conversion
        Takes Arrow float64. A real shows in the fewest digits that distinguish it from every other real, and always
        with a point or an exponent, as in SQLite.
    """

    def convert(values: pa.Array, column: Column) -> ConversionResult:
        texts = pc.cast(values, pa.string())
        looks_integer = pc.match_substring_regex(texts, r"^-?[0-9]+$")
        return conversion(pc.if_else(looks_integer, pc.binary_join_element_wise(texts, ".0", ""), texts), column)

    return convert


def binary(values: pa.Array, column: Column) -> ConversionResult:
    """Check bytes for the length of a column.

    Parameters
    ----------
    values
        Arrow strings or binary values.
    column
        The target's column, of kind `binary`.

    Returns
    -------
    ConversionResult
        Arrow binary values; those too long, or too short for a BINARY, are faults.
    """
    values = pc.cast(values, pa.binary())
    faults = [(pc.greater(pc.binary_length(values), column.length), f"is longer than {column.type}")]
    if data_type(column) == "binary":
        faults.append((pc.less(pc.binary_length(values), column.length), f"would be padded to {column.type}"))
    return with_faults(values, *faults)


def enum_member(values: pa.Array, column: Column) -> ConversionResult:
    """Convert texts to members of an ENUM.

    Parameters
    ----------
    values
        Arrow strings.
    column
        The target's column, of kind `enum`.

    Returns
    -------
    ConversionResult
        Arrow strings in the case of the column's members, which may change them; other texts are faults.
    """
    members = pa.array(column.values, pa.string())
    position = pc.index_in(values, value_set=members)
    if _ignores_case(column):
        position = pc.coalesce(position, pc.index_in(pc.utf8_lower(values), value_set=pc.utf8_lower(members)))
    unknown = pc.and_(values.is_valid(), pc.is_null(position))
    stored = pc.take(members, position)
    changes = [(pc.not_equal(stored, values), "the column has its own case of the letters")]
    return with_faults(stored, (unknown, f"is not one of {column.type}"), changes=changes)


def _ignores_case(column: Column) -> bool:
    return not (column.collation or "binary").endswith(("binary", "_bin", "_cs"))


def set_members(values: pa.Array, column: Column) -> ConversionResult:
    """Convert texts that list members of a SET, with commas between them.

    Parameters
    ----------
    values
        Arrow strings.
    column
        The target's column, of kind `set`.

    Returns
    -------
    ConversionResult
        Arrow strings with the members in the order and the case of the column; texts with other members are faults.
    """
    # Row by row over the distinct values, which are few.
    distinct = pc.unique(values)
    forms = pa.array([value and _members(value, column) for value in distinct.to_pylist()], pa.string())
    members = pc.take(forms, pc.index_in(values, value_set=distinct))
    changes = [(pc.not_equal(members, values), "the column lists its members once, in its own order and case")]
    unknown = pc.and_(values.is_valid(), members.is_null())
    return with_faults(members, (unknown, f"is not of {column.type}"), changes=changes)


def _members(value: str, column: Column) -> str | None:
    """Return the members in the order and the case of the column, as the server stores them."""
    same = str.lower if _ignores_case(column) else str
    listed = {same(member) for member in value.split(",")}
    present = [member for member in column.values if same(member) in listed]
    return ",".join(present) if len({same(member) for member in present}) == len(listed) else None
