"""Which function converts the values of each SQLite storage class for each kind of target column."""

from __future__ import annotations

from dfsync.stages.conform.canonical import CANONICAL
from dfsync.stages.conform.conversion import Conversion, rejects_all
from dfsync.stages.conform.numbers import (
    BOUNDS,
    decimal_from_number,
    decimal_from_text,
    integer,
    integer_from_real,
    integer_from_text,
    real,
    real_from_integer,
    real_from_text,
)
from dfsync.stages.conform.temporal import TEMPORAL
from dfsync.stages.conform.text import binary, enum_member, set_members, text, text_from_real, via_text

_A_BLOB = rejects_all("is a blob, or text that is not UTF-8")
_A_BLOB_NUMBER = rejects_all("is a blob, not a number")
_VALUES: dict[tuple[str, str], Conversion] = {
    **{(kind, "integer"): integer for kind in BOUNDS},
    **{(kind, "real"): integer_from_real for kind in BOUNDS},
    **{(kind, "text"): integer_from_text for kind in BOUNDS},
    **{(kind, "blob"): _A_BLOB_NUMBER for kind in (*BOUNDS, "decimal", "float", "double")},
    ("decimal", "integer"): decimal_from_number,
    ("decimal", "real"): decimal_from_number,
    ("decimal", "text"): decimal_from_text,
    **{(kind, "integer"): real_from_integer for kind in ("float", "double")},
    **{(kind, "real"): real for kind in ("float", "double")},
    **{(kind, "text"): real_from_text for kind in ("float", "double")},
    ("text", "integer"): via_text(text),
    ("text", "real"): text_from_real(text),
    ("text", "text"): text,
    ("enum", "text"): enum_member,
    ("set", "text"): set_members,
    **{("enum", number): via_text(enum_member) for number in ("integer", "real")},
    **{("set", number): via_text(set_members) for number in ("integer", "real")},
    **{(kind, "blob"): _A_BLOB for kind in ("text", "enum", "set")},
    ("binary", "integer"): rejects_all("is a number, not a blob"),
    ("binary", "real"): rejects_all("is a number, not a blob"),
    ("binary", "text"): binary,
    ("binary", "blob"): binary,
}
CONVERSIONS: dict[tuple[str, str], Conversion] = {**_VALUES, **TEMPORAL, **CANONICAL}
"""By the kind of the target's column and the storage class of the source's values."""
