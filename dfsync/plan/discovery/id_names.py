"""Whether the name of an integer primary key says that it is a mere number, and not a year or a postcode."""

from __future__ import annotations

import re

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")
_ID_WORDS = frozenset({"id", "ids", "pk", "no", "nr", "num", "ident", "identifier", "recno"})
"""One of these as the first or the last word: `id`, `person_no`, `Kunden-Nr.`, `id_order`, `BookID`."""
_ALONE = frozenset({"key", "seq", "number", "idx", "index"})
"""These as the whole name, or after the name of the table."""
_AFTER_THE_TABLE = ("no", "nr", "num", "pk", "key", "number", "seq")
"""What may follow the name of the table, or its beginning, without a break: `empno`."""
_NO_IDS = frozenset({"grid", "paid", "valid", "void", "covid", "acid", "raid", "solid", "fluid", "liquid", "hybrid"})
"""Words that end in `id` and are not called after an id, as `userid` and `rowid` are."""


def is_usual_id(table: str, column: str) -> bool:
    """Tell whether a column is called as surrogate ids are.

    Parameters
    ----------
    table
        The name of the table.
    column
        The name of its integer primary key.

    Returns
    -------
    bool
        Where it is False, the number may mean something by itself: `year`, `plz`, `port`.
    """
    words = [word.lower() for word in _WORDS.findall(column)]
    if not words:
        return False
    first, last = words[0], words[-1]
    if first in _ID_WORDS or last in _ID_WORDS or (last.endswith("id") and last not in _NO_IDS):
        return True
    if last in _ALONE and len(words) == 1:
        return True
    name, own = "".join(words), "".join(word.lower() for word in _WORDS.findall(table))
    stems = [name.removesuffix(ending) for ending in _AFTER_THE_TABLE if name.endswith(ending)]
    return any(stem and (own.startswith(stem) or own.endswith((stem, f"{stem}s"))) for stem in stems)
