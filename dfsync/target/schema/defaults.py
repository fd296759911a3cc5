"""Defaults of the source's columns, as far as they mean the same in the target."""

from __future__ import annotations

import re

import sqlalchemy as sa

from dfsync.model.schema import Column
from dfsync.target.schema.types import ColumnType

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_INTEGER = re.compile(r"[+-]?\d{1,18}")
_TEXT = re.compile(r"""'((?:[^']|'')*)'|"((?:[^"]|"")*)\"""")
_WORDS = {"TRUE": "1", "FALSE": "0"}
_FORMS = {
    "DATE": re.compile(r"\d{4}-\d\d-\d\d"),
    "DATETIME": re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"),
    "TIME": re.compile(r"\d\d:\d\d:\d\d"),
    "DECIMAL": _NUMBER,
    "DOUBLE": _NUMBER,
    **dict.fromkeys(["BOOL", "TINYINT", "SMALLINT", "MEDIUMINT", "BIGINT"], _INTEGER),
}


def default_of(column: Column, type_: ColumnType) -> str | sa.TextClause | None:
    """Translate the default of a source column.

    Parameters
    ----------
    column
        The source's column.
    type_
        Its type in the target.

    Returns
    -------
    str or sqlalchemy.TextClause or None
        A `server_default` for SQLAlchemy: a literal's value, or `CURRENT_TIMESTAMP`. None where there is no default,
        where it is another expression or no value of the type, or where the type takes no default.
    """
    written = (column.default or "").strip()
    while written.startswith("(") and written.endswith(")"):
        written = written[1:-1].strip()
    if written.upper() == "CURRENT_TIMESTAMP" and type_.name == "DATETIME":
        return sa.text(f"CURRENT_TIMESTAMP({type_.length})" if type_.length else "CURRENT_TIMESTAMP")
    value = _literal(written)
    if value is None:
        return None
    if type_.name in ("CHAR", "VARCHAR"):
        return value if len(value) <= (type_.length or 0) else None
    form = _FORMS.get(type_.name)
    return value if form and form.fullmatch(value) else None


def _literal(written: str) -> str | None:
    text = _TEXT.fullmatch(written)
    if text:
        single, double = text.groups()
        return single.replace("''", "'") if single is not None else double.replace('""', '"')
    if written.upper() in _WORDS:
        return _WORDS[written.upper()]
    return written if _NUMBER.fullmatch(written) else None
