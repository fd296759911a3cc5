"""The URL of a target, and the options of its connections, checked."""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfsync.model.errors import DfsyncError
from dfsync.text import redaction
from dfsync.text.wording import did_you_mean

if TYPE_CHECKING:
    from sqlalchemy import URL

DRIVER = "mysql+pymysql"
DRIVERS = ("mysql", "mariadb", "mysql+pymysql", "mariadb+pymysql")
PORT = 3306
CHARSET = "utf8mb4"
# The options that a URL or config.py may set, by what their value is.
TEXTS = ("charset", "unix_socket", "bind_address", "program_name", "ssl_cipher")
SECONDS = ("connect_timeout", "read_timeout", "write_timeout")
FILES = ("ssl_ca", "ssl_cert", "ssl_key")
FOLDERS = ("ssl_capath",)
SWITCHES = ("ssl_check_hostname", "ssl_verify_cert", "ssl_verify_identity", "ssl_disabled")
NAME_SWITCHES = ("ssl_verify_identity", "ssl_check_hostname")
CAS = {"ssl_ca", "ssl_capath"}
OPTIONS = (*TEXTS, *SECONDS, *FILES, *FOLDERS, *SWITCHES)
SWITCH_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
ENCODE = "write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23 and % as %25"
logger = logging.getLogger(__name__)


def parse_url(text: str | URL, origin: str) -> URL:
    """Parse a URL, and check it.

    Parameters
    ----------
    text
        The URL.
    origin
        Where it comes from, for messages.

    Returns
    -------
    sqlalchemy.URL
        With the driver PyMySQL, a database, and checked options.

    Raises
    ------
    DfsyncError
        It cannot be used; the message names `origin`, and nothing that can be secret.
    """
    from sqlalchemy import URL, make_url
    from sqlalchemy.exc import ArgumentError

    where = f"The target URL of {origin}"
    if isinstance(text, URL):
        return _checked(text, where)
    text = text.strip()
    if not text:
        raise DfsyncError(f"{where} is empty: it should be like mysql://user:password@host/database.")
    # SQLAlchemy ends the password at the first @, and what follows would be shown as the name of the host.
    if text.count("@") > 1:
        raise DfsyncError(f"{where} has more than one @: special characters must be percent-encoded, {ENCODE}.")
    try:
        url = make_url(text, keep_blank_values=True)
    except (ArgumentError, ValueError):
        # Not chained: its text quotes what stands in the place of the port, which may be part of the password.
        url = None
    if url is None or ("@" in text and url.username is None):
        raise DfsyncError(
            f"{where} cannot be understood: it should be like mysql://user:password@host:{PORT}/database, and special "
            f"characters in user and password must be percent-encoded, {ENCODE}."
        )
    return _checked(url, where)


def _checked(url: URL, where: str) -> URL:
    redaction.register_secret(url.password)
    if url.drivername not in DRIVERS:
        raise DfsyncError(
            f"{where} begins with {url.drivername}://, but dfsync writes to MariaDB and MySQL through PyMySQL: begin "
            f"it with mysql://, or with {', '.join(f'{driver}://' for driver in DRIVERS[1:])}, which mean the same."
        )
    if not url.database:
        raise DfsyncError(f"{where} names no database: add its name at the end, as in mysql://user@host/database.")
    if url.port is not None and not 0 < url.port < 65536:
        raise DfsyncError(f"{where} has the port {url.port}: it should be between 1 and 65535, mostly {PORT}.")
    return url.set(drivername=DRIVER, query=connection_options(url.query, where))


def connection_options(given: Mapping[str, str | tuple[str, ...]], where: str) -> dict[str, str]:
    """Check the options of a connection, and translate them for SQLAlchemy and PyMySQL.

    By themselves these read `ssl_disabled=false` as true, and ignore `ssl_ca` beside `ssl_verify_cert`.

    Parameters
    ----------
    given
        The options of a URL or of `config.py`.
    where
        Where they come from, for messages.

    Returns
    -------
    dict of str to str
        The query of a SQLAlchemy URL.

    Raises
    ------
    DfsyncError
        An option is unknown, has a value that it cannot have, or contradicts another.

    References
    ----------
    https://docs.sqlalchemy.org/en/20/dialects/mysql.html#ssl-connections
    https://pymysql.readthedocs.io/en/latest/modules/connections.html
    """
    require_known(given, OPTIONS, where)
    values: dict[str, str] = {}
    for key, value in given.items():
        if not isinstance(value, str):
            raise DfsyncError(f"{where} gives {key} more than once.")
        if not value:
            raise DfsyncError(f"{where} gives {key} without a value: give it one, or leave it out.")
        _check_value(key, value, where)
        values[key] = value
    if values.get("charset", CHARSET).lower() != CHARSET:
        logger.warning("charset %s is not used: dfsync talks %s, the columns keep theirs", values["charset"], CHARSET)
    plain = {key: value for key, value in values.items() if not key.startswith("ssl_")}
    return {**plain, "charset": CHARSET, **_tls_options(values, where)}


def _check_value(key: str, value: str, where: str) -> None:
    if key in SECONDS and not (value.isdecimal() and int(value) > 0):
        raise DfsyncError(f"{where}: {key} must be a number of seconds, not {value!r}.")
    if key in SWITCHES and value.lower() not in SWITCH_WORDS:
        raise DfsyncError(f"{where}: {key} must be true or false, not {value!r}.")
    if key in FILES and not os.access(value, os.R_OK):
        raise DfsyncError(f"{where}: the file {value} of {key} is not there, or may not be read.")
    if key in FOLDERS and not Path(value).is_dir():
        raise DfsyncError(f"{where}: the folder {value} of {key} is not there.")


def _tls_options(values: Mapping[str, str], where: str) -> dict[str, str]:
    """The options from which SQLAlchemy makes the `ssl` argument."""
    # With a CA in it PyMySQL verifies certificate and name; with any entry it never falls back to plain text.
    tls = {key: value for key, value in values.items() if key.startswith("ssl_") and key not in SWITCHES}
    switch = {key: SWITCH_WORDS[values[key].lower()] for key in SWITCHES if key in values}
    _refuse_contradictions(tls, switch, where)
    if switch.pop("ssl_disabled", False):
        return {"ssl_disabled": "true"}
    names = [switch[key] for key in NAME_SWITCHES if key in switch]
    if not tls.keys() & CAS and (switch.get("ssl_verify_cert") or any(names)):
        tls |= _trusted_by_this_machine(where)
    if switch and not (tls.keys() & CAS and all(names)):
        tls["ssl_check_hostname"] = "false"
    return tls


def _refuse_contradictions(tls: Mapping[str, str], switch: Mapping[str, bool], where: str) -> None:
    on = {key for key, value in switch.items() if value}
    off = switch.keys() - on
    pairs = (
        ("ssl_disabled", {"ssl_disabled"} & on, (tls.keys() | on) - {"ssl_disabled"}),
        ("ssl_verify_cert=false", {"ssl_verify_cert"} & off, (tls.keys() & CAS) | ({*NAME_SWITCHES} & on)),
        ("ssl_check_hostname=false", {"ssl_check_hostname"} & off, {"ssl_verify_identity"} & on),
        ("ssl_verify_identity=false", {"ssl_verify_identity"} & off, {"ssl_check_hostname"} & on),
    )
    for name, present, against in pairs:
        if present and against:
            raise DfsyncError(f"{where} contradicts itself: leave out either {name} or {', '.join(sorted(against))}.")
    if "ssl_key" in tls and "ssl_cert" not in tls:
        raise DfsyncError(f"{where} has an ssl_key without its certificate: add ssl_cert.")


def _trusted_by_this_machine(where: str) -> dict[str, str]:
    paths = ssl.get_default_verify_paths()
    found = {"ssl_ca": paths.cafile, "ssl_capath": paths.capath}
    trusted = {key: path for key, path in found.items() if path}
    if not trusted:
        raise DfsyncError(
            f"{where} asks for verification, but this machine knows no certificate authority: add ssl_ca."
        )
    return trusted


def require_known(given: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    """Raise `DfsyncError` for a name that is not among the `known`; `where` begins its message."""
    for key in given:
        if key not in known:
            hint = did_you_mean(key, known) or f" Known are {', '.join(known)}."
            raise DfsyncError(f"{where} has an unknown option {key!r}.{hint}")
