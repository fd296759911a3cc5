"""Variables of a `.env` file."""

from __future__ import annotations

import re
from pathlib import Path

from dfsync.model.errors import DfsyncError

_LINE = re.compile(
    r"""\s*(?:export\s+)?(?P<name>\w+)\s*=\s*
    (?:'(?P<single>[^']*)'|"(?P<double>(?:[^"\\]|\\.)*)"|(?P<plain>.*?))\s*(?:(?<!\S)\#.*)?""",
    re.VERBOSE,
)


def read_variable(path: Path, name: str) -> str:
    """Read one variable of a `.env` file; the others and the process's environment are left alone.

    Parameters
    ----------
    path
        The file: lines `NAME=value`, with `export` or without, the value in quotes or not. `$` has no meaning.
    name
        The variable. The last line that sets it counts.

    Returns
    -------
    str
        Its value.

    Raises
    ------
    DfsyncError
        The file cannot be read, or does not set the variable.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        # Not chained: the message of a decoding error quotes bytes of the file.
        reason = (error.strerror or "it cannot be opened") if isinstance(error, OSError) else "it is no text in UTF-8"
    else:
        found = [match for match in map(_LINE.fullmatch, lines) if match and match["name"] == name]
        if found and (value := _value(found[-1])):
            return value
        reason = f"it sets no {name}. Add a line like {name}=mysql://user:password@host/database"
    raise DfsyncError(f"{path} names no target: {reason}.")


def _value(match: re.Match[str]) -> str:
    if match["double"] is not None:
        return re.sub(r"\\(.)", r"\1", match["double"])
    return match["plain"] if match["single"] is None else match["single"]
