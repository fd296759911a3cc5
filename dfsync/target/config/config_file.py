"""A `config.py` of the working directory that says where the target is."""

from __future__ import annotations

import logging
import re
import runpy
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfsync.model.errors import DfsyncError
from dfsync.target.config.url import DRIVER, OPTIONS, PORT, connection_options, require_known
from dfsync.text import redaction

if TYPE_CHECKING:
    from sqlalchemy import URL

CONFIG_NAME = "MARIADB_CONFIG"
_NO_URL = {"host": ("://", "@"), "database": ("://",)}
_KEYS = ("host", "port", "database", "user", "password")
logger = logging.getLogger(__name__)


def read_config(path: Path) -> URL | None:
    """Read the target of a `config.py`, which is run only where its text has the name `MARIADB_CONFIG`.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    sqlalchemy.URL or None
        None where there is no such file, or where it is another program's.

    Raises
    ------
    DfsyncError
        It cannot be used; the message shows nothing that can be secret.
    """
    if not path.is_file():
        return None
    config = _run_config(path) if _names_target(path) else None
    if config is None:
        logger.warning("%s in this folder has no %s, so it is passed over", path, CONFIG_NAME)
        return None
    where = f"{CONFIG_NAME} in {path}"
    if not isinstance(config, dict):
        raise DfsyncError(f'{where} must be a dictionary, like {{"host": …, "database": …}}.')
    entries = {str(key): value for key, value in config.items()}
    require_known(entries, (*_KEYS, *OPTIONS), where)
    from sqlalchemy import URL

    url = URL.create(
        DRIVER,
        username=_config_text(entries, "user", where),
        password=_config_text(entries, "password", where),
        host=_config_text(entries, "host", where) or "localhost",
        port=_config_port(entries, where),
        database=_config_text(entries, "database", where),
    )
    if not url.database:
        raise DfsyncError(f'{where} names no database: add "database".')
    redaction.register_secret(url.password)
    options = {key: str(entries[key]) for key in entries if key in OPTIONS and entries[key] is not None}
    return url.set(query=connection_options(options, where))


def _names_target(path: Path) -> bool:
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise DfsyncError(f"{path} in this folder cannot be read: {error.strerror}.") from None
    return re.search(rf"\b{CONFIG_NAME}\b", text) is not None


def _run_config(path: Path) -> Any:
    try:
        return runpy.run_path(str(path), run_name="config").get(CONFIG_NAME)
    except (Exception, SystemExit) as error:
        # Neither the message nor the chain: both may quote the line with the password in it.
        frames = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
        line = error.lineno if isinstance(error, SyntaxError) else next(reversed(frames), None)
        fault = type(error).__name__ + (f" in line {line}" if line else "")
    raise DfsyncError(
        f"{path} in this folder cannot be read ({fault}): it should be Python that sets {CONFIG_NAME}, "
        "as dfsync/config_example.py does."
    )


def _config_text(entries: Mapping[str, Any], key: str, where: str) -> str | None:
    value = entries.get(key)
    if value is not None and not isinstance(value, str):
        raise DfsyncError(f"{where}: {key} must be text in quotes, not {type(value).__name__}.")
    # Not shown, since there may be a password in it.
    if value and any(sign in value for sign in _NO_URL.get(key, ())):
        raise DfsyncError(f"{where}: {key} must be a name alone, and no URL; there is a key each for the other parts.")
    return value or None


def _config_port(entries: Mapping[str, Any], where: str) -> int:
    value = entries.get("port", PORT)
    if not str(value).isdecimal() or not 0 < int(value) < 65536:
        raise DfsyncError(f"{where}: port must be a number between 1 and 65535, mostly {PORT}.")
    return int(value)
