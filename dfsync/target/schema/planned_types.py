"""The types of columns of which the plan says what they hold, or which type they are to have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dfsync.model.errors import DfsyncError
from dfsync.plan.model import TablePlan
from dfsync.plan.settings.values import names_time
from dfsync.target.schema.types import ColumnType, TypeChoice
from dfsync.text.wording import did_you_mean, plan_section

_CONVERTED = {
    "epoch_s": ColumnType("DATETIME"),
    "epoch_ms": ColumnType("DATETIME", 3),
    "epoch_us": ColumnType("DATETIME", 6),
    "boolean": ColumnType("BOOL"),
}
"""By the words of `convert`."""
_FINE = ColumnType("DATETIME", 6)
_WHOLE = ("BOOL", "TINYINT", "SMALLINT", "MEDIUMINT", "BIGINT")
_TYPE = re.compile(
    r"(?P<word>[a-z]\w*)\s*"
    r"(?:\(\s*(?:(?P<length>\d+)\s*(?:,\s*(?P<scale>\d+)\s*)?|'(?:[^']|'')*'(?:\s*,\s*'(?:[^']|'')*')*\s*)\))?"
    r"(?:\s+(?:unsigned|zerofill|(?:character set|charset|collate)\s+\w+))*",
    flags=re.IGNORECASE | re.DOTALL,
)
_SYNONYMS = ("bool", "dec")
_OF_MARIADB = ("inet4", "inet6", "uuid")


def with_planned_types(plan: TablePlan, choices: Mapping[str, TypeChoice], dialect: Any) -> dict[str, TypeChoice]:
    """Give columns the types that the plan names, or that hold what it converts their values to.

    Parameters
    ----------
    plan
        The table's plan.
    choices
        By column, the type that holds the values as the source has them.
    dialect
        The target's.

    Returns
    -------
    dict of str to TypeChoice
        The same for columns of which the plan says nothing.

    Raises
    ------
    DfsyncError
        The target has no such type.
    """
    named = {column.lower(): type_ for column, type_ in plan.types}
    chosen = dict(choices)
    for column, choice in choices.items():
        written_as, text = plan.written_as.get(column.lower()), named.get(column.lower())
        if written_as is not None:
            chosen[column] = replace(choice, type=_converted(*written_as, choice.type), declared=True, doubtful=True)
        if text is not None:
            chosen[column] = replace(choice, type=_named(plan, column, text, dialect), declared=True, doubtful=False)
    return chosen


def _converted(setting: str, said: str, of_values: ColumnType) -> ColumnType:
    if setting == "dates":
        return ColumnType("DATE") if not names_time(said) else _FINE if "%f" in said else ColumnType("DATETIME")
    # Seconds that are no whole numbers have a fraction.
    return _FINE if said == "epoch_s" and of_values.name not in _WHOLE else _CONVERTED[said]


def _named(plan: TablePlan, column: str, text: str, dialect: Any) -> ColumnType:
    own = _OF_MARIADB if getattr(dialect, "is_mariadb", False) else ()
    known = sorted({*dialect.ischema_names, *_SYNONYMS} - {*_OF_MARIADB} | {*own})
    parsed = _TYPE.fullmatch(text.strip())
    word = parsed["word"].lower() if parsed else ""
    if not parsed or word not in known:
        hint = did_you_mean(word, known) or " One is like VARCHAR(40), DECIMAL(10, 2) or DATETIME(6)."
        where = f"types of {plan_section(plan.name)}"
        raise DfsyncError(f"{where} gives {column} the type {text!r}, which the target does not have.{hint}")
    length, scale = (None if number is None else int(number) for number in parsed.group("length", "scale"))
    return ColumnType(word.upper(), length, scale, verbatim=text.strip())
