"""Option files of MySQL and MariaDB, such as `~/.my.cnf`: how to reach the server, and as whom."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dfsync.model.errors import DfsyncError
from dfsync.target.config.url import SWITCH_WORDS, connection_options
from dfsync.text import redaction

if TYPE_CHECKING:
    from sqlalchemy import URL

GROUPS = ("client", "client-server", "client-mariadb", "dfsync")
_DEEPEST_INCLUDE = 10
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "s": " ", '"': '"', "'": "'", "\\": "\\"}
_TEXTS = {
    "ssl-ca": "ssl_ca",
    "ssl-capath": "ssl_capath",
    "ssl-cert": "ssl_cert",
    "ssl-key": "ssl_key",
    "ssl-cipher": "ssl_cipher",
    "bind-address": "bind_address",
    "connect-timeout": "connect_timeout",
}
_UNVERIFIED = {"ssl_verify_cert": "false"}
_MODES: Mapping[str, Mapping[str, str]] = {
    "disabled": {"ssl_disabled": "true"},
    "preferred": {},
    "required": _UNVERIFIED,
    "verify_ca": {"ssl_verify_cert": "true", "ssl_verify_identity": "false"},
    "verify_identity": {"ssl_verify_identity": "true"},
}
"""What the values of MySQL's `ssl-mode` are here."""
_SWITCHES = {
    ("ssl", True): _UNVERIFIED,
    ("ssl", False): _MODES["disabled"],
    ("ssl-verify-server-cert", True): _MODES["verify_identity"],
    ("ssl-verify-server-cert", False): _UNVERIFIED,
}
"""What MariaDB's switches are here."""


@dataclass(frozen=True)
class OptionFile:
    """The options of the groups that `GROUPS` names, by their names in small letters with dashes.

    Attributes
    ----------
    name
        What messages call the file.
    values
        The value that counts, which is the last; None of an option without one.
    """

    name: str
    values: Mapping[str, str | None]

    @property
    def database(self) -> str | None:
        """The database that it names."""
        return self.values.get("database")

    def complete(self, url: URL) -> URL:
        """Add what a URL lacks: the user with the password, host with port or socket, and TLS, each as a whole.

        The password is that of the file's user, so a URL with another user does not get it.

        Raises
        ------
        DfsyncError
            A value cannot be used.
        """
        user, password = self.values.get("user"), self.values.get("password")
        redaction.register_secret(password)
        if not url.username:
            url = url.set(username=user)
        if url.password is None and password and user in (None, url.username):
            url = url.set(password=password)
        if not url.host and "unix_socket" not in url.query:
            url = self._with_server(url)
        options = self._connection_options(with_tls=not any(key.startswith("ssl_") for key in url.query))
        return url.set(query={**options, **url.query})

    def _with_server(self, url: URL) -> URL:
        host, socket = self.values.get("host"), self.values.get("socket")
        # As MySQL's own programs do: a socket is a way to this machine, and of no use for another one.
        if socket and host in (None, "localhost"):
            return url.set(host=host, query={**url.query, "unix_socket": socket})
        port = self.values.get("port")
        if port is not None and not (port.isdecimal() and 0 < int(port) < 65536):
            raise DfsyncError(f"{self.name}: port must be a number between 1 and 65535.")
        return url.set(host=host, port=url.port or (int(port) if port else None))

    def _connection_options(self, *, with_tls: bool) -> Mapping[str, str]:
        given = {ours: value for theirs, ours in _TEXTS.items() if (value := self.values.get(theirs))}
        has_ca = bool(given.keys() & {"ssl_ca", "ssl_capath"})
        for key, value in self.values.items():
            for option, setting in self._tls(key, value).items():
                # Beside an authority it would be a contradiction, and its certificate is verified.
                if not (has_ca and setting == "false" and option == "ssl_verify_cert"):
                    given[option] = setting
        if not with_tls:
            given = {key: value for key, value in given.items() if not key.startswith("ssl_")}
        return connection_options(given, self.name) if given else {}

    def _tls(self, key: str, value: str | None) -> Mapping[str, str]:
        if key == "ssl-mode":
            mode = (value or "").lower()
            if mode not in _MODES:
                raise DfsyncError(f"{self.name}: ssl-mode must be one of {', '.join(_MODES).upper()}.")
            return _MODES[mode]
        on = SWITCH_WORDS.get((value or "1").lower(), True)
        for prefix in ("skip-", "disable-"):
            if key.startswith(prefix):
                key, on = key.removeprefix(prefix), False
        return _SWITCHES.get((key, on), {})


def read_option_file(path: Path, name: str) -> OptionFile:
    """Read an option file, with the files that it includes.

    Parameters
    ----------
    path
        The file.
    name
        What messages call it.

    Returns
    -------
    OptionFile
        Options of other groups and of other purposes are passed over.

    Raises
    ------
    DfsyncError
        It cannot be read, or a line is no option; the message has the line's number, and nothing of its text.

    References
    ----------
    https://dev.mysql.com/doc/refman/9.7/en/option-files.html
    https://mariadb.com/docs/server/server-management/install-and-upgrade-mariadb/configuring-mariadb/configuring-mariadb-with-option-files
    """
    return OptionFile(name, dict(_options(path, name, 0)))


def _options(path: Path, name: str, depth: int) -> Iterator[tuple[str, str | None]]:
    group = None
    for number, line in enumerate(_lines(path, name), start=1):
        text = line.strip()
        if text.startswith("!"):
            for included in _included(text, depth):
                yield from _options(included, str(included), depth + 1)
        elif text.startswith("["):
            group = text[1:].partition("]")[0].strip()
        elif text and text[0] not in "#;":
            if group is None:
                raise DfsyncError(f"{name} cannot be read: line {number} stands before the first group, like [client].")
            if group in GROUPS:
                yield _option(_without_comment(text))


def _lines(path: Path, name: str) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        reason = error.strerror
    except UnicodeDecodeError:
        reason = "it is no text in UTF-8"
    raise DfsyncError(f"{name} cannot be read: {reason}.")


def _included(text: str, depth: int) -> list[Path]:
    word, _, place = text.partition(" ")
    path = Path(place.strip())
    if depth >= _DEEPEST_INCLUDE or not place.strip():
        return []
    if word == "!includedir":
        return sorted(path.glob("*.cnf"))
    return [path] if word == "!include" and path.is_file() else []


def _option(text: str) -> tuple[str, str | None]:
    name, separator, value = text.partition("=")
    return name.strip().lower().replace("_", "-"), _unquoted(value.strip()) if separator else None


def _without_comment(text: str) -> str:
    """Cut off a comment at the end, which begins with a # outside of quotes."""
    match = re.match(r"""(?:'(?:[^'\\]|\\.)*(?:'|$)|"(?:[^"\\]|\\.)*(?:"|$)|[^#'"])*""", text)
    return match[0] if match else text


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), value)
