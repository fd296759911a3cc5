"""Text, bytes, ENUM and SET."""

from __future__ import annotations

from typing import Any

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
    # MySQL's latin1 is Windows' cp1252, whose five holes it fills with control characters.
    "latin1": f"[^\\x{{0}}-\\x{{7f}}\\x{{a0}}-\\x{{ff}}{_CP1252}]",
}


def text(values: Any, column: Column) -> ConversionResult:
    note = None
    if data_type(column) == "char" and pc.any(pc.ends_with(values, " ")).as_py():
        values = pc.utf8_rtrim(values, characters=" ")
        note = f"{column.type} does not keep trailing spaces"
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
    return with_faults(values, *faults, note=note)


def via_text(conversion: Conversion) -> Conversion:
    """For integers, which show as their digits."""
    return lambda values, column: conversion(pc.cast(values, pa.string()), column)


def text_from_real(conversion: Conversion) -> Conversion:
    """For reals, in as few digits as tell them from others; as in SQLite, one always shows that it is no integer."""

    def convert(values: Any, column: Column) -> ConversionResult:
        texts = pc.cast(values, pa.string())
        bare = pc.match_substring_regex(texts, r"^-?[0-9]+$")
        return conversion(pc.if_else(bare, pc.binary_join_element_wise(texts, ".0", ""), texts), column)

    return convert


def binary(values: Any, column: Column) -> ConversionResult:
    values = pc.cast(values, pa.binary())
    faults = [(pc.greater(pc.binary_length(values), column.length), f"is longer than {column.type}")]
    if data_type(column) == "binary":
        faults.append((pc.less(pc.binary_length(values), column.length), f"would be padded to {column.type}"))
    return with_faults(values, *faults)


def enum_member(values: Any, column: Column) -> ConversionResult:
    members = pa.array(column.values, pa.string())
    place = pc.index_in(values, value_set=members)
    if _folds(column):
        place = pc.coalesce(place, pc.index_in(pc.utf8_lower(values), value_set=pc.utf8_lower(members)))
    unknown = pc.and_(values.is_valid(), pc.is_null(place))
    return with_faults(pc.take(members, place), (unknown, f"is not one of {column.type}"))


def _folds(column: Column) -> bool:
    return not (column.collation or "binary").endswith(("binary", "_bin", "_cs"))


def set_members(values: Any, column: Column) -> ConversionResult:
    # Row by row over the distinct values, which are few.
    distinct = pc.unique(values)
    forms = pa.array([value and _members(value, column) for value in distinct.to_pylist()], pa.string())
    made = pc.take(forms, pc.index_in(values, value_set=distinct))
    return with_faults(made, (pc.and_(values.is_valid(), made.is_null()), f"is not of {column.type}"))


def _members(value: str, column: Column) -> str | None:
    """The members in the order and the case of the column, as the server keeps them."""
    same = str.lower if _folds(column) else str
    wanted = {same(member) for member in value.split(",")}
    found = [member for member in column.values if same(member) in wanted]
    return ",".join(found) if len({same(member) for member in found}) == len(wanted) else None
