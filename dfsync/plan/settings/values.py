"""What a plan says of the values of columns: how the source writes them."""

from __future__ import annotations

import datetime as dt
import re

from dfsync.model.options import CONVERT
from dfsync.plan.model import TablePlan

_DIRECTIVES = frozenset("aAbBdfHIjmMpSyYz%")
"""Those of strptime that pandas reads as Python does."""
_PROBE = dt.datetime(2001, 2, 13, 4, 5, 6)


def value_faults(draft: TablePlan) -> dict[str, bool]:
    """Find what a draft says of values that cannot be.

    Parameters
    ----------
    draft
        The draft.

    Returns
    -------
    dict of str to bool
        By what is wrong, as words that follow the name of the table: whether it is so.
    """
    named = [column.lower() for column, _ in (*draft.convert, *draft.dates)]
    typed = [column.lower() for column, _ in draft.types]
    faults = {
        "names a column twice in convert and dates": len(set(named)) < len(named),
        "types names a column twice": len(set(typed)) < len(typed),
    }
    for column, word in draft.convert:
        faults[f"convert of {column} must be {' or '.join(map(repr, CONVERT))}, not {word!r}"] = word not in CONVERT
    for column, form in draft.dates:
        fault = f"dates of {column} must name day, month and year as strptime of Python does, such as '%d.%m.%Y'"
        faults[f"{fault}, not {form!r}"] = not is_date_form(form)
    return faults


def is_date_form(form: str) -> bool:
    """Tell whether a form of strptime names a whole day, and nothing that depends on the machine.

    Parameters
    ----------
    form
        Such as `%d.%m.%Y`.

    Returns
    -------
    bool
    """
    if not {*re.findall(r"%(.?)", form, flags=re.DOTALL)} <= _DIRECTIVES:
        return False
    try:
        return dt.datetime.strptime(_PROBE.replace(tzinfo=dt.UTC).strftime(form), form).date() == _PROBE.date()
    except ValueError:
        return False


def names_time(form: str) -> bool:
    """Tell whether a form of strptime names a time of day."""
    return bool({*re.findall(r"%(.)", form)} & {*"HIMSf"})
