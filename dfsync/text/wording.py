"""Word names, numbers and values for people: tables as titles, any value as harmless text."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

MAX_LINE_CHARACTERS = 200
_VALUE_CHARACTERS = 40
_BLOB_CHARACTERS = re.compile("x'[0-9a-f]*'")
_BARE_KEY = re.compile("[A-Za-z0-9_-]+")
_CONTEXT_CHARACTERS = 10
_MAX_NAME_CHARACTERS = 80
_MAX_VALUE_CHARACTERS = 60
_MAX_COMMAND_CHARACTERS = 1000
_ACRONYMS = {"api", "csv", "db", "html", "http", "id", "ip", "json", "pr", "sql", "uri", "url", "xml"}
DIFFERENCE_MEANINGS = {
    "changed": "not as a sync wrote them; changed since, in the target or in the source",
    "doubled": "their target row of an earlier run is still there, beside the one of the last run",
    "deleted": "their target row is gone since the sync",
    "missing": "never synced; run a sync",
    "kept": "in the target before the last sync, and not as the source is now; --on-match update brings what fits",
    "shared": "one target row with a source row of a lower id and the same natural key, whose values count",
    "other values": "their target row has other values; without an id no map says whether a sync wrote them",
    "rekeyed": "a new target row for a new natural key, as on_rekey asks; that of the earlier key is still there",
    "rejected": "reported by the sync; rejects/ in the --out folder has the reasons",
    "does not fit": "the target's column cannot hold the source's value, so no update can bring it",
    "missing parent": "the row that they refer to has no target row",
}
"""What a kind of difference that `verify` finds says of the rows, as part of a sentence."""
# Ending of the plural, letters to take off, letters to put on; the first that fits.
_SINGULARS = (
    ("series", 0, ""),
    ("species", 0, ""),
    ("movies", 1, ""),
    ("ies", 3, "y"),
    ("caches", 1, ""),
    ("ches", 2, ""),
    ("shes", 2, ""),
    ("sses", 2, ""),
    ("xes", 2, ""),
    ("aliases", 2, ""),
    ("statuses", 2, ""),
    ("ss", 0, ""),
    ("us", 0, ""),
    ("is", 0, ""),
    ("s", 1, ""),
)


def quoted_pair(source: Any, target: Any) -> tuple[str, str]:
    """Quote two values so that the first difference between them is visible.

    Parameters
    ----------
    source, target
        Cells of a frame of texts, blobs as `x'00ff'`; missing for NULL.

    Returns
    -------
    tuple of str
        Each of at most 40 characters between quotes, with `…` where it is cut; `NULL` for a missing value.
    """
    if is_missing(source) or is_missing(target):
        return _quoted(source), _quoted(target)
    pairs = zip(source, target, strict=False)
    start = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(source), len(target)))
    cut = start - _CONTEXT_CHARACTERS if start >= _VALUE_CHARACTERS - _CONTEXT_CHARACTERS else 0
    return _quoted(source, cut), _quoted(target, cut)


def _quoted(value: Any, cut: int = 0) -> str:
    if is_missing(value):
        return "NULL"
    quote = "" if _BLOB_CHARACTERS.fullmatch(value) else "'"
    return f"{quote}{'…' if cut else ''}{printable(value[cut:], _VALUE_CHARACTERS)}{quote}"


def is_missing(value: Any) -> bool:
    """Tell whether a value of a frame is NULL.

    Parameters
    ----------
    value
        A cell, as Python has it.

    Returns
    -------
    bool
        True for None and `pandas.NA`; a NaN is a value.
    """
    import pandas as pd

    return value is None or value is pd.NA


def title_case_name(name: str) -> str:
    """Return the name of a table as a title.

    Parameters
    ----------
    name
        The table's name in the plan, `pr_approvals`.

    Returns
    -------
    str
        `PR Approvals`; `?` where the name has no letters.
    """
    words = printable(name, _MAX_NAME_CHARACTERS).replace("_", " ").replace("-", " ").split()
    return " ".join(word.upper() if word in _ACRONYMS else word[0].upper() + word[1:] for word in words) or "?"


def singular(words: str) -> str:
    """Return the singular of a title.

    Parameters
    ----------
    words
        A title in the plural, `PR Approvals`.

    Returns
    -------
    str
        `PR Approval`; the title itself where its ending is none of a plural.
    """
    for ending, off, on in _SINGULARS:
        if words.lower().endswith(ending):
            return words[: len(words) - off] + (on.upper() if words.isupper() else on)
    return words


def printable(value: object, max_characters: int = _MAX_VALUE_CHARACTERS) -> str:
    """Return any value as one line that is safe in a terminal.

    Parameters
    ----------
    value
        Text, bytes (shown as `0x00FF`) or anything that has a `str`.
    max_characters
        Longer text is cut, with `…` at its end.

    Returns
    -------
    str
        Without control characters: these are shown as escapes.
    """
    if isinstance(value, bytes):
        value = "0x" + value[:max_characters].hex().upper()
    text = str(value)
    text = text if len(text) <= max_characters else text[: max_characters - 1] + "…"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def lower(title: str) -> str:
    """Return a title as it is written inside a sentence.

    Parameters
    ----------
    title
        As `title_case_name` returns it, `PR Approvals`.

    Returns
    -------
    str
        `PR approvals`.
    """
    return " ".join(word if word.isupper() else word.lower() for word in title.split())


def count_of(number: int, title: str) -> str:
    """Return a number of rows inside a sentence.

    Parameters
    ----------
    number
        How many.
    title
        The table's title.

    Returns
    -------
    str
        `2 commits`, or `2 rows of book` where the title is not a plural.
    """
    words = lower(title)
    return with_count(number, words) if singular(words) != words else f"{with_count(number, 'rows')} of {words}"


def program_name() -> str:
    """Return the program as the user called it: `dfsync`, or else `python -m dfsync`."""
    return "dfsync" if Path(sys.argv[0]).name == "dfsync" else "python -m dfsync"


def command_line(
    command: str,
    source: str | Path,
    plan: str | Path | None = None,
    exclude: Iterable[str] = (),
    keep_ids: str | None = None,
) -> str:
    """Return a command as the user would type it.

    Parameters
    ----------
    command
        `check`.
    source
        The path of the SQLite file.
    plan
        The path of the plan file, if one is needed.
    exclude
        The patterns of `--exclude`.
    keep_ids
        The value of `--keep-ids`, if it was given.

    Returns
    -------
    str
        `python -m dfsync check --source my.db`, or with `dfsync` where that was called; quoted for a shell.
    """
    import shlex

    options = ["--source", str(source), *(["--plan", str(plan)] if plan else [])]
    options += [word for pattern in exclude for word in ("--exclude", pattern)]
    options += [f"--keep-ids={keep_ids}"] if keep_ids else []
    return printable(f"{program_name()} {shlex.join([command, *options])}", _MAX_COMMAND_CHARACTERS)


def plan_section(name: str) -> str:
    """Return the header of a table in a plan file.

    Parameters
    ----------
    name
        The table's name in the plan.

    Returns
    -------
    str
        `[tables.orders]`, or `[tables."order items"]` where TOML wants quotes.

    References
    ----------
    https://toml.io/en/v1.0.0#keys
    """
    import json

    # What JSON escapes in a text, TOML escapes in the same way.
    return f"[tables.{name if _BARE_KEY.fullmatch(name) else json.dumps(name, ensure_ascii=False)}]"


def with_count(number: int, plural: str) -> str:
    """Return a number with its noun.

    Parameters
    ----------
    number
        How many.
    plural
        The noun in the plural.

    Returns
    -------
    str
        `1 table`, `2 tables`.
    """
    return f"{number} {singular(plural) if number == 1 else plural}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Suggest the known word that is most similar to an unknown one.

    Parameters
    ----------
    word
        What the user wrote.
    known
        The words that are allowed.

    Returns
    -------
    str
        ` Did you mean 'commits'?`, to be put after a sentence; empty where no word is similar.
    """
    similar = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" Did you mean {similar[0]!r}?" if similar else ""


def reindent(sql: str) -> str:
    """Indent a CREATE TABLE statement as a person would write it.

    Parameters
    ----------
    sql
        As SQLAlchemy writes it, with tabs at the start of lines and blanks at their end.

    Returns
    -------
    str
        With two blanks at the start of lines.
    """
    return re.sub(r" ?\n\t", "\n  ", sql).replace("\n)ENGINE", "\n) ENGINE")


def other_values(differing: Mapping[str, Any]) -> str:
    """Word how many of the rows that the target had before have other values there, and where.

    Parameters
    ----------
    differing
        As `dfsync.output.result.Differing`.

    Returns
    -------
    str
        One sentence; where it is most of the rows, another that says what decides.
    """
    compared, rows = differing["compared"], differing["rows"]
    columns = ", ".join(f"{name} ({count})" for name, count in differing["columns"].items())
    exist, have = ("exists" if compared == 1 else "exist"), ("has" if rows == 1 else "have")
    text = f"of {with_count(compared, 'rows')} that {exist}, {rows} {have} other values in the target: {columns}"
    if not is_mostly_other(differing):
        return text
    advice = 'on_match = "update" gives them the source\'s values'
    return f"{text}. {advice}; if they are other rows, natural_key names the wrong columns"


def is_mostly_other(differing: Mapping[str, Any]) -> bool:
    """Tell whether more than half of the rows that were compared have other values; see `other_values`."""
    return bool(2 * differing["rows"] > differing["compared"])


_OTHER_IDS = {
    "taken": "another row has it",
    "unfit": "AUTO_INCREMENT does not count there",
    "there": "the target has the row under this id",
    "shared": "it is the same row as an earlier one",
}


def other_ids(found: Mapping[str, Any]) -> str:
    """Word how many rows of a table that is to keep its ids have other ids in the target, and which.

    Parameters
    ----------
    found
        As `dfsync.output.result.OtherIds`.

    Returns
    -------
    str
        One sentence.
    """
    shown = [
        f"{row['row']} -> {'a new one' if row['new_id'] is None else row['new_id']} ({_OTHER_IDS[row['reason']]})"
        for row in found["examples"]
    ]
    more = ", ..." if found["rows"] > len(shown) else ""
    have = "row has another id" if found["rows"] == 1 else "rows have other ids"
    return f"{found['rows']} {have} in the target than in the source: {', '.join(shown)}{more}"
