"""Keeps passwords out of everything that people, files and other programs get to see."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote, quote_plus

MASK = "***"
# Anything shorter turns up inside ordinary words, where masking it would point it out.
SHORTEST = 4
_passwords: set[str] = set()


def register_secret(password: str | None) -> None:
    """From now on `masked` hides this password."""
    if password and len(password) >= SHORTEST:
        spellings = (quote(password), quote(password, safe=""), quote(password, safe=" +"), quote_plus(password))
        _passwords.update((password, repr(password)[1:-1], *spellings))


def redact(text: str) -> str:
    """The text with `***` for every known password, also where it is percent-encoded."""
    for password in sorted(_passwords, key=len, reverse=True):
        text = text.replace(password, MASK)
    return text


def without_credentials(text: str) -> str:
    """The text with `***` for all between the first `://` and the last `@`: user and password of a URL."""
    return re.sub(r"://.*@", f"://{MASK}@", text, flags=re.DOTALL)


def hide_from_process_list(argument: str) -> None:
    """Overwrite an argument of this process where `ps` reads it; elsewhere than on Linux it does nothing."""
    import ctypes

    try:
        fields = Path("/proc/self/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return
    # proc(5): arg_start and arg_end are fields 48 and 49, and the first after the parenthesis is field 3.
    start, end = int(fields[45]), int(fields[46])
    arguments = ctypes.string_at(start, end - start)
    wanted = os.fsencode(argument)
    place = arguments.find(wanted)
    while wanted and place >= 0:
        ctypes.memset(start + place, ord("*"), len(wanted))
        place = arguments.find(wanted, place + len(wanted))
