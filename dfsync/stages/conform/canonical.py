"""Bring values that the server stores in a form of its own into one form: JSON, UUIDs, addresses, the zeros of a real.

Both sides take this form, so that a value that was inserted is recognised when it is read back.
"""

from __future__ import annotations

import json
import socket
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dfsync.model.schema import Column
from dfsync.model.types import data_type
from dfsync.stages.conform.conversion import Conversion, ConversionResult, rejects_all, with_faults
from dfsync.stages.conform.text import text, text_from_real, via_text

_INTEGERS = range(-(2**63), 2**64)


def canonicalize(values: pa.Array, column: Column) -> pa.Array:
    """Bring values of a target column into the form that `conform` gives those of the source.

    Parameters
    ----------
    values
        As read from the target, of `dfsync.model.types.arrow_type` of the column.
    column
        The target's column.

    Returns
    -------
    pyarrow.Array
        Of the same type.
    """
    if column.kind in ("float", "double"):
        return pc.add(values, 0.0)
    # The server writes some forms of an address otherwise than the C library does.
    form = (lambda value: _Json().form(value)) if column.kind == "json" else _FORMS.get(data_type(column))
    if form is None:
        return values
    return pa.array([None if value is None else form(value) for value in values.to_pylist()], pa.string())


class _Json:
    """Reads one JSON text: its canonical form, and whether the server keeps its numbers and keys."""

    def __init__(self) -> None:
        self.exact = True
        self.duplicate_key: str | None = None

    def form(self, value: str) -> str:
        """Return the canonical form; raise `ValueError` or `RecursionError` where the server would refuse the text."""
        document = json.loads(
            value,
            parse_int=self._integer,
            parse_float=self._float,
            parse_constant=_no_constant,
            object_pairs_hook=self._object,
        )
        form = json.dumps(document, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
        # Raises for half of a surrogate pair.
        form.encode()
        return form

    def _integer(self, digits: str) -> int | float:
        number = int(digits)
        return number if number in _INTEGERS else self._float(digits)

    def _float(self, digits: str) -> float:
        number = float(digits)
        self.exact = self.exact and Decimal(repr(number)) == Decimal(digits)
        return number

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) < len(pairs):
            self.duplicate_key = "has a key twice, of which the column keeps one"
        return members


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _json(values: pa.Array, column: Column) -> ConversionResult:
    # Row by row: Arrow cannot read JSON.
    forms: list[str | None] = []
    faults: dict[str, list[bool]] = {}
    inexact: list[bool] = []
    for position, value in enumerate(values.to_pylist()):
        reader = _Json()
        try:
            forms.append(None if value is None else reader.form(value))
            reason = reader.duplicate_key
        except (ValueError, RecursionError):
            forms.append(None)
            reason = "is not valid JSON"
        if reason is not None:
            faults.setdefault(reason, [False] * len(values))[position] = True
        inexact.append(not reader.exact)
    return with_faults(
        pa.array(forms, pa.string()),
        *((pa.array(mask), reason) for reason, mask in faults.items()),
        changes=[(pa.array(inexact), f"{column.type} keeps about 16 digits of a number")],
    )


def _other(values: pa.Array, column: Column) -> ConversionResult:
    """Convert UUIDs and addresses; values of other types stay as they are, for the server to judge."""
    form = _FORMS.get(data_type(column))
    if form is None:
        return text(values, column)
    # Row by row over the distinct values: Arrow knows neither UUIDs nor addresses.
    distinct = pc.unique(values)
    forms = pa.array([_try_form(form, value) for value in distinct.to_pylist()], pa.string())
    converted = pc.take(forms, pc.index_in(values, value_set=distinct))
    return with_faults(converted, (pc.and_(values.is_valid(), converted.is_null()), f"is not of {column.type}"))


def _try_form(form: Callable[[str], str], value: str | None) -> str | None:
    try:
        return None if value is None else form(value)
    except (ValueError, OSError):
        return None


def _uuid(value: str) -> str:
    parsed = uuid.UUID(value)
    # Python accepts signs, underscores and the digits of any script as parts of a number.
    if parsed.hex not in value.replace("-", "").lower():
        raise ValueError(value)
    return str(parsed)


def _address(family: socket.AddressFamily) -> Callable[[str], str]:
    return lambda value: socket.inet_ntop(family, socket.inet_pton(family, value))


_FORMS: dict[str, Callable[[str], str]] = {
    "uuid": _uuid,
    "inet4": _address(socket.AF_INET),
    "inet6": _address(socket.AF_INET6),
}
CANONICAL: dict[tuple[str, str], Conversion] = {
    ("json", "text"): _json,
    ("json", "integer"): via_text(_json),
    ("json", "real"): text_from_real(_json),
    ("other", "text"): _other,
    ("other", "integer"): via_text(_other),
    ("other", "real"): text_from_real(_other),
    **{(kind, "blob"): rejects_all("is a blob, or text that is not UTF-8") for kind in ("json", "other")},
}
