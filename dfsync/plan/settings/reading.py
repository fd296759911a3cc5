"""Reading single settings of a plan file, and what is said of those that it cannot have."""

from __future__ import annotations

from collections.abc import Mapping
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


def require_known_settings(path: Path, where: str, entry: Mapping[str, Any], known: list[str]) -> None:
    """Refuse a setting that there is none of.

    Parameters
    ----------
    path
        The plan file, for errors.
    where
        What to call the table, for errors.
    entry
        What the file says of the table.
    known
        The settings that there are.

    Raises
    ------
    DfsyncError
        The file says something else.
    """
    for key in entry:
        if key not in known:
            hint = did_you_mean(key, known) or f" Known: {', '.join(known)}."
            raise DfsyncError(f"The plan {path}: unknown setting {key!r} in {where}.{hint}")


def name_of(path: Path, where: str, key: str, entry: Mapping[str, Any], default: str | None) -> str | None:
    """Read a setting that is a name.

    Parameters
    ----------
    path
        The plan file, for errors.
    where
        What to call the table, for errors.
    key
        The name of the setting.
    entry
        What the file says of the table.
    default
        What it is where the file leaves it out.

    Returns
    -------
    str or None

    Raises
    ------
    DfsyncError
        The file says something else.
    """
    value = entry.get(key, default)
    if value is not None and not (isinstance(value, str) and value):
        raise DfsyncError(f"The plan {path}: {where} {key} must be a name in quotes, not {value!r}.")
    return value


def pairs(path: Path, where: str, key: str, entry: Mapping[str, Any], example: str) -> dict[str, str] | None:
    """Read a setting that gives something to names.

    Parameters
    ----------
    path
        The plan file, for errors.
    where
        What to call the table, for errors.
    key
        The name of the setting.
    entry
        What the file says of the table.
    example
        How one looks.

    Returns
    -------
    dict of str to str, or None
        None where the file leaves it out.

    Raises
    ------
    DfsyncError
        The file says something else.
    """
    value = entry.get(key)
    if value is not None and not (
        isinstance(value, dict) and all(isinstance(name, str) and name for pair in value.items() for name in pair)
    ):
        raise DfsyncError(f"The plan {path}: {where} {key} must be like {example}.")
    return value


def said_of_columns(
    path: Path, where: str, key: str, entry: Mapping[str, Any], example: str
) -> tuple[tuple[str, str], ...]:
    """Read a setting that says something of columns: as `pairs`, but none where the file leaves it out."""
    return tuple((pairs(path, where, key, entry, example) or {}).items())


def choice(path: Path, where: str, key: str, entry: Mapping[str, Any]) -> str | None:
    """Read a setting that is one of few words.

    Parameters
    ----------
    path
        The plan file, for errors.
    where
        What to call the table, for errors.
    key
        The name of the setting.
    entry
        What the file says of the table.

    Returns
    -------
    str or None
        None where the file leaves it out.

    Raises
    ------
    DfsyncError
        The file says something else.
    """
    value = entry.get(key)
    if value is not None and value not in CHOICES[key]:
        choices = " or ".join(map(repr, CHOICES[key]))
        raise DfsyncError(f"The plan {path}: {where} {key} must be {choices}, not {value!r}.")
    return value


def id_list(path: Path, where: str, key: str, entry: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Read a setting that is a list of ids.

    Parameters
    ----------
    path
        The plan file, for errors.
    where
        What to call the table, for errors.
    key
        The name of the setting.
    entry
        What the file says of the table.

    Returns
    -------
    tuple of int, or None
        None where the file leaves it out.

    Raises
    ------
    DfsyncError
        The file says something else.
    """
    value = entry.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or not all(type(item) is int for item in value):
        raise DfsyncError(f"The plan {path}: {where} {key} must be a list of ids, not {value!r}.")
    return tuple(value)


def name_list(path: Path, where: str, key: str, entry: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Read a setting that is a list of names.

    Parameters
    ----------
    path
        The plan file, for errors.
    where
        What to call the table, for errors.
    key
        The name of the setting.
    entry
        What the file says of the table.

    Returns
    -------
    tuple of str, or None
        None where the file leaves it out.

    Raises
    ------
    DfsyncError
        The file says something else.
    """
    value = entry.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise DfsyncError(f"The plan {path}: {where} {key} must be a list of names, not {value!r}.")
    return tuple(value)
