"""Reading single settings of a plan file, and what is said of those that it cannot have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dfsync.model.errors import DfsyncError
from dfsync.model.options import IDENTITY, IDS, ON_MATCH, ON_MISSING_PARENT, ON_REKEY, OTHER_VERSION
from dfsync.plan.builtin.ready_made import DISCOVERED, ready_made
from dfsync.text.wording import did_you_mean

CHOICES = {
    "base": (DISCOVERED, *ready_made()),
    "on_match": ON_MATCH,
    "identity": IDENTITY,
    "on_rekey": ON_REKEY,
    "on_missing_parent": ON_MISSING_PARENT,
    "ids": IDS,
    "other_version": OTHER_VERSION,
}


@dataclass(frozen=True)
class Entry:
    """What a plan file says in one place. Its methods raise `DfsyncError` where that is not what is read.

    Attributes
    ----------
    path
        The plan file.
    where
        What to call the place in errors.
    content
        What the file says there, by setting.
    """

    path: Path
    where: str
    content: Mapping[str, Any]

    def require_known(self, known: list[str]) -> None:
        """Refuse a setting that is not one of those."""
        for key in self.content:
            if key not in known:
                hint = did_you_mean(key, known) or f" Known: {', '.join(known)}."
                raise DfsyncError(f"The plan {self.path}: unknown setting {key!r} in {self.where}.{hint}")

    def name(self, key: str, default: str | None = None) -> str | None:
        """Read a setting that is a name; `default` where the file leaves it out."""
        value = self.content.get(key, default)
        if value is not None and not (isinstance(value, str) and value):
            raise self._error(key, f"a name in quotes, not {value!r}")
        return value

    def pairs(self, key: str, example: str) -> dict[str, str] | None:
        """Read a setting that gives something to names, as the example does; None where the file leaves it out."""
        value = self.content.get(key)
        if value is not None and not (
            isinstance(value, dict) and all(isinstance(name, str) and name for pair in value.items() for name in pair)
        ):
            raise self._error(key, f"like {example}")
        return value

    def said_of_columns(self, key: str, example: str) -> tuple[tuple[str, str], ...]:
        """Read a setting that says something of columns: as `pairs`, but none where the file leaves it out."""
        return tuple((self.pairs(key, example) or {}).items())

    def choice(self, key: str) -> str | None:
        """Read a setting that is one of the words of `CHOICES`; None where the file leaves it out."""
        value = self.content.get(key)
        if value is not None and value not in CHOICES[key]:
            raise self._error(key, f"{' or '.join(map(repr, CHOICES[key]))}, not {value!r}")
        return value

    def ids(self, key: str) -> tuple[int, ...] | None:
        """Read a setting that is a list of ids; None where the file leaves it out."""
        return self._list(key, "ids", lambda item: type(item) is int)

    def names(self, key: str) -> tuple[str, ...] | None:
        """Read a setting that is a list of names; None where the file leaves it out."""
        return self._list(key, "names", lambda item: isinstance(item, str) and bool(item))

    def _list(self, key: str, items: str, is_one: Callable[[object], bool]) -> tuple[Any, ...] | None:
        value = self.content.get(key)
        if value is None:
            return None
        if not isinstance(value, list) or not all(map(is_one, value)):
            raise self._error(key, f"a list of {items}, not {value!r}")
        return tuple(value)

    def _error(self, key: str, wanted: str) -> DfsyncError:
        return DfsyncError(f"The plan {self.path}: {self.where} {key} must be {wanted}.")
