"""Words for people: names of tables as titles, values of any kind as harmless text."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass

MAX_LINE_CHARACTERS = 200
_VALUE_CHARACTERS = 40
_BLOB_CHARACTERS = re.compile("x'[0-9a-f]*'")
_CONTEXT_CHARACTERS = 10


def quoted_pair(source: Any, target: Any) -> tuple[str, str]:
    """Both as harmless text, cut so that the first difference is in sight."""
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
    import pandas as pd

    return value is None or value is pd.NA


LONG_NAME = 80
LONG_VALUE = 60
ACRONYMS = {"api", "csv", "db", "html", "http", "id", "ip", "json", "pr", "sql", "uri", "url", "xml"}
# Ending of the plural, letters to take off, letters to put on; the first that fits.
SINGULARS = (
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


def title_case_name(name: str) -> str:
    """The name of a planned table as a title: `pr_approvals` is `PR Approvals`."""
    words = printable(name, LONG_NAME).replace("_", " ").replace("-", " ").split()
    return " ".join(word.upper() if word in ACRONYMS else word[0].upper() + word[1:] for word in words) or "?"


def singular(words: str) -> str:
    """One of what the label names: `PR Approvals` gives `PR Approval`."""
    for ending, off, on in SINGULARS:
        if words.lower().endswith(ending):
            return words[: len(words) - off] + (on.upper() if words.isupper() else on)
    return words


def printable(value: object, longest: int = LONG_VALUE) -> str:
    """Any value as one line that a terminal shows and does not obey, cut with `…` where it is too long."""
    if isinstance(value, bytes):
        value = "0x" + value[:longest].hex().upper()
    text = str(value)
    text = text if len(text) <= longest else text[: longest - 1] + "…"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def lower(title: str) -> str:
    """A label inside a sentence: `PR Approvals` is `PR approvals`."""
    return " ".join(word if word.isupper() else word.lower() for word in title.split())


def count_of(number: int, title: str) -> str:
    """So many of what a label names, inside a sentence: `2 commits`, or `2 rows of book` where it is no plural."""
    words = lower(title)
    return with_count(number, words) if singular(words) != words else f"{with_count(number, 'rows')} of {words}"


def command_line(command: str, source: str | Path, plan: str | Path | None = None) -> str:
    """A command as one would type it: `python -m dfsync check --source my.db`."""
    options = ["--source", str(source), *(["--plan", str(plan)] if plan else [])]
    return printable(f"python -m dfsync {shlex.join([command, *options])}", 1000)


def with_count(number: int, plural: str) -> str:
    """`1 table`, `2 tables`."""
    return f"{number} {singular(plural) if number == 1 else plural}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean 'commits'?` where one of the known words is near, else nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""


def reindent(sql: str) -> str:
    """As a person would write it; SQLAlchemy begins the lines with tabs and ends them with blanks."""
    return re.sub(r" ?\n\t", "\n  ", sql).replace("\n)ENGINE", "\n) ENGINE")
