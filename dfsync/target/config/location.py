"""Where the target is: what the command names, the environment, a `config.py`, else the private MariaDB."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dfsync.model.errors import DfsyncError
from dfsync.target.config.config_file import read_config
from dfsync.target.config.env_file import read_variable
from dfsync.target.config.option_file import read_option_file
from dfsync.target.config.url import DRIVER, PORT, parse_url
from dfsync.text import redaction

if TYPE_CHECKING:
    from sqlalchemy import URL

PARAMETER = "target="
VARIABLE = "MARIADB_URL"
CONFIG_FILE = "config.py"
OPTION_FILE = "~/.my.cnf"
EMBEDDED = "private MariaDB"
EMBEDDED_DATA = Path("data/mariadb")


@dataclass(frozen=True)
class TargetLocation:
    """The target database, and where its name came from.

    That is `--target` or `target=`, `MARIADB_URL`, `config.py` or `private MariaDB`.
    """

    url: URL
    """For `sqlalchemy.create_engine` as it is: driver PyMySQL, charset utf8mb4, options checked."""
    origin: str

    @property
    def description(self) -> str:
        """A line, `Target: dfsync on db.example.com:3306 as app (from MARIADB_URL)`; never with the password."""
        socket = self.url.query.get("unix_socket")
        host = self.url.host or "localhost"
        address = f"[{host}]" if ":" in host else host
        where = f"unix socket {socket}" if socket else f"{address}:{self.url.port or PORT}"
        user = f" as {self.url.username}" if self.url.username else ""
        origin = self.origin if self.origin == EMBEDDED else f"from {self.origin}"
        return f"Target: {self.url.database} on {where}{user} ({origin})"


@dataclass(frozen=True)
class Credentials:
    """What a user gives beside the target.

    Attributes
    ----------
    defaults_file
        An option file of MySQL's, in place of `~/.my.cnf`. It may also name the database.
    env_file
        A file whose `MARIADB_URL` names the target.
    ask
        Asks for the password of a target; gets None where nothing names one, for an error of its own.
    """

    defaults_file: Path | None = None
    env_file: Path | None = None
    ask: Callable[[TargetLocation | None], str] | None = None


def named_target(
    target: str | URL | None, origin: str = PARAMETER, credentials: Credentials | None = None
) -> TargetLocation | None:
    """Find the target that the caller, the environment or `config.py` names, and complete it.

    What it lacks of user, password, host or TLS is taken from the option file. A `sqlalchemy.URL` stays as it is.

    Parameters
    ----------
    target
        What the caller was given; None asks `env_file`, the environment, `config.py` of the working directory, and last
        `defaults_file`.
    origin
        What the caller's user calls the `target`.
    credentials
        What else the user gave.

    Returns
    -------
    TargetLocation or None
        None where nothing names a target.

    Raises
    ------
    DfsyncError
        One of them cannot be used; the message shows nothing that can be secret.
    """
    credentials = credentials or Credentials()
    if target is not None and credentials.env_file is not None:
        raise DfsyncError(f"{origin} and {credentials.env_file} both name the target: leave out one of them.")
    location = _named(target, origin, credentials.env_file)
    if not isinstance(target, str | None):
        return location
    if location is not None:
        location = _completed(location, credentials.defaults_file)
    elif credentials.defaults_file is not None:
        location = _of_option_file(credentials.defaults_file, origin)
    if credentials.ask is None:
        return location
    password = credentials.ask(location)
    redaction.register_secret(password)
    return location and replace(location, url=location.url.set(password=password))


def _named(target: str | URL | None, origin: str, env_file: Path | None) -> TargetLocation | None:
    if target is not None:
        return TargetLocation(parse_url(target, origin), origin)
    if env_file is not None:
        return TargetLocation(parse_url(read_variable(env_file, VARIABLE), str(env_file)), str(env_file))
    from_environment = os.environ.get(VARIABLE)
    if from_environment is not None:
        if not from_environment.strip():
            # Most likely a script's variable that was never filled: its rows must not be written elsewhere.
            raise DfsyncError(f"{VARIABLE} is set, but empty: give it a URL, or `unset {VARIABLE}`.")
        return TargetLocation(parse_url(from_environment, VARIABLE), VARIABLE)
    url = read_config(Path(CONFIG_FILE))
    return None if url is None else TargetLocation(url, CONFIG_FILE)


def _completed(location: TargetLocation, defaults_file: Path | None) -> TargetLocation:
    url = location.url
    is_complete = url.username and url.password is not None and (url.host or "unix_socket" in url.query)
    path, name = defaults_file or Path(OPTION_FILE).expanduser(), str(defaults_file or OPTION_FILE)
    # Nobody named the file of the home folder, so nothing is changed that is complete without it.
    if defaults_file is None and (is_complete or not path.is_file()):
        return location
    complete = read_option_file(path, name).complete(url)
    return location if complete == url else TargetLocation(complete, f"{location.origin} and {name}")


def _of_option_file(path: Path, origin: str) -> TargetLocation:
    from sqlalchemy import URL

    options = read_option_file(path, str(path))
    if not options.database:
        raise DfsyncError(
            f"{path} names no database: add a line like database = app to its group [dfsync] or [client], or give "
            f"{origin} a URL like mysql:///app."
        )
    url = options.complete(URL.create(DRIVER, database=options.database))
    return TargetLocation(parse_url(url, str(path)), str(path))
