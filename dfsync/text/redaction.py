"""Keep passwords out of everything that people, files and other programs see."""

from __future__ import annotations

import re
from urllib.parse import quote, quote_plus

MASK = "***"
# A shorter password occurs inside ordinary words, where the mask would reveal it.
_MIN_CHARACTERS = 4
_passwords: set[str] = set()


def register_secret(password: str | None) -> None:
    """Make `redact` hide a password from now on, for all threads of this process.

    Parameters
    ----------
    password
        One of fewer than 4 characters is not hidden: it occurs inside ordinary words, where the mask would reveal it.
    """
    if password and len(password) >= _MIN_CHARACTERS:
        spellings = (quote(password), quote(password, safe=""), quote(password, safe=" +"), quote_plus(password))
        _passwords.update((password, repr(password)[1:-1], *spellings))


def redact(text: str) -> str:
    """Hide every registered password in a text.

    Parameters
    ----------
    text
        Anything that is shown or written.

    Returns
    -------
    str
        With `***` for each password, also where it is percent-encoded or escaped.
    """
    for password in sorted(_passwords, key=len, reverse=True):
        text = text.replace(password, MASK)
    return text


def without_credentials(text: str) -> str:
    """Hide the user and the password of a URL.

    Parameters
    ----------
    text
        A text with one URL at most.

    Returns
    -------
    str
        With `***` between the first `://` and the last `@`.
    """
    return re.sub(r"://.*@", f"://{MASK}@", text, flags=re.DOTALL)
