"""The words of a column's or table's name, and when two names mean the same thing. Knows nothing of databases."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache

_BREAK = re.compile(r"(?<=[a-zà-öø-ÿ0-9])(?=[A-ZÀ-ÖØ-Þ])|(?<=[A-ZÀ-ÖØ-Þ])(?=[A-ZÀ-ÖØ-Þ][a-zà-öø-ÿ])|[\W_]+")
_IRREGULAR = {"people": "person", "children": "child", "men": "man", "women": "woman"}
_SHORT = {
    "acct": "account",
    "addr": "address",
    "attr": "attribute",
    "cat": "category",
    "cust": "customer",
    "dept": "department",
    "emp": "employee",
    "lang": "language",
    "loc": "location",
    "metadata": "meta",
    "msg": "message",
    "org": "organization",
    "prod": "product",
    "proj": "project",
    "repo": "repository",
}
_ENDINGS = (("ies", "y"), ("es", ""), ("s", ""), ("en", ""), ("n", ""))
"""What a plural ends with, and the singular in its place: English and Romance `s`, German and Dutch `n`."""
_SINGULARS = ("ss", "us", "is")
_SHORTEST_STEM = 3


def words_of(name: str) -> tuple[str, ...]:
    """Split a name into its words.

    Parameters
    ----------
    name
        Of a column or a table, in `snake_case`, `CamelCase`, or with spaces.

    Returns
    -------
    tuple of str
        In lower case; `SupportRepId` has three.
    """
    return tuple(word.lower() for word in _BREAK.split(name) if word)


@cache
def forms(word: str) -> frozenset[str]:
    """List a word with what it may be the plural of.

    Parameters
    ----------
    word
        In lower case; several words may be written as one.

    Returns
    -------
    frozenset of str
        `movies` may be of `movie` and of `movy`: a name needs one in common with another to mean the same.
    """
    found = {word, _IRREGULAR.get(word, word), _SHORT.get(word, word)}
    for plural, singular in _ENDINGS:
        stem = word.removesuffix(plural) + singular
        if word.endswith(plural) and len(stem) >= _SHORTEST_STEM:
            found.add(stem)
    return frozenset(found)


def is_plural(word: str) -> bool:
    """Tell whether an English word looks like a plural.

    Parameters
    ----------
    word
        In lower case.

    Returns
    -------
    bool
        False for `status` and `address`.
    """
    return word in _IRREGULAR or (word.endswith("s") and not word.endswith(_SINGULARS))


def same_end(column: Sequence[str], table: Sequence[str]) -> tuple[int, int] | None:
    """Find the longest end that two names share.

    Parameters
    ----------
    column
        The words of a column, without those that say that it is an id.
    table
        The words of a table.

    Returns
    -------
    tuple of int, or None
        How many words of the column and of the table stand before the end; None where they share none.
        `old, state` and `states` give (1, 0); `user` and `auth, user` give (0, 1).
    """
    ends = {first: forms("".join(table[first:])) for first in range(len(table))}
    for skipped, end in _ends(column):
        mine = forms(end)
        for first, others in ends.items():
            if mine & others:
                return skipped, first
    return None


def _ends(words: Sequence[str]) -> Iterator[tuple[int, str]]:
    for first in range(len(words)):
        yield first, "".join(words[first:])
