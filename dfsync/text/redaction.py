"""Keep passwords out of everything that people, files and other programs see."""

from __future__ import annotations

import re
from urllib.parse import quote, quote_plus

MASK = "***"
# A shorter password occurs inside ordinary words, where the mask would reveal it.
_MIN_CHARACTERS = 4
_passwords: set[str] = set()
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET_WORDS = {
    *(
        "password",
        "passwords",
        "passwd",
        "passwort",
        "pwd",
        "pw",
        "passphrase",
        "passcode",
        "secret",
        "secrets",
        "token",
    ),
    *("salt", "apikey", "credential", "credentials", "otp", "totp", "jwt", "cvv"),
}
_SECRET_PAIRS = {
    *(("api", "key"), ("private", "key"), ("secret", "key"), ("access", "key"), ("auth", "key"), ("session", "key")),
    *(("encryption", "key"), ("signing", "key"), ("user", "pass"), ("recovery", "code"), ("recovery", "codes")),
}
_FORMS_OF_SECRETS = {"hash", "hashed", "digest", "encrypted", "enc", "bcrypt", "plain", "value", "text"}
"""Words behind which a secret is still one, such as `password_hash`; behind others, as `token_count`, it is not."""
_ABOUT_SECRETS = {"is", "has", "needs", "requires", "uses", "no"}


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


def is_secret_column(name: str | None) -> bool:
    """Tell by its name whether a column holds passwords, tokens or other secrets, whose values are shown to nobody.

    Parameters
    ----------
    name
        Its name, of words that underscores, other signs or capital letters divide; None for no column.

    Returns
    -------
    bool
        True for `password_hash`, `jwtSecret` and `api_key`; False for `hash`, `token_count` and `has_password`.
    """
    words = [word.lower() for word in _WORD.findall(name or "")]
    while words and words[-1] in _FORMS_OF_SECRETS | {word for word in words[-1:] if word.isdigit()}:
        words.pop()
    if not words or words[0] in _ABOUT_SECRETS:
        return False
    return words[-1] in _SECRET_WORDS or tuple(words[-2:]) in _SECRET_PAIRS


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
