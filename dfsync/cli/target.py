"""The target that the options or the environment name, opened for a command."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dfsync.cli.log import record_told
from dfsync.cli.remedies import OPTION_NAMES
from dfsync.model.errors import DfsyncError
from dfsync.model.source_file import SourceFile
from dfsync.text.wording import printable

if TYPE_CHECKING:
    from dfsync.target.config.location import Credentials, TargetLocation


@dataclass(frozen=True)
class TargetOptions:
    """The options that name a target, and say who asks there."""

    url: str | None
    defaults_file: Path | None
    env_file: Path | None
    ask_password: bool

    @property
    def credentials(self) -> Credentials:
        """What is given beside the URL."""
        from dfsync.target.config.location import Credentials

        return Credentials(self.defaults_file, self.env_file, _ask_password if self.ask_password else None)


@contextmanager
def open_target(
    given: TargetOptions, source: Sequence[SourceFile] | None, *, told: bool = True
) -> Iterator[TargetLocation]:
    """Open the target, and say on standard error where it is the private MariaDB and nobody sees that.

    Parameters
    ----------
    given
        The options of the command.
    source
        The SQLite files, which are refused first where none can be read; None where none is needed.
    told
        Whether the output begins with the target's name.

    Yields
    ------
    TargetLocation
    """
    if given.url and "@" in given.url:
        from dfsync.cli.process_title import hide_from_process_list

        hide_from_process_list(given.url)
    from dfsync.pipeline.session.ends import open_target as open_location
    from dfsync.target.config.location import CONFIG_FILE, EMBEDDED, EMBEDDED_DATA, VARIABLE

    name, credentials = OPTION_NAMES["target"], given.credentials
    with open_location(given.url, source, origin=name, credentials=credentials) as choice:
        # A cron job whose variable is misspelt else goes to a server that nobody looks at, and says that all is well.
        if choice.origin == EMBEDDED and not (told and sys.stdout.isatty()):
            named = f"neither {OPTION_NAMES['target']} nor {VARIABLE} nor a {CONFIG_FILE} names a database"
            message = f"{named}, so the target is the {EMBEDDED} in {EMBEDDED_DATA}."
            record_told(message, logging.WARNING)
            typer.echo(f"dfsync: {message}", err=True)
        yield choice


def _ask_password(location: TargetLocation | None) -> str:
    """Ask at the terminal, also where standard input and output are none."""
    from dfsync.target.connection import display_name

    if location is None:
        raise DfsyncError("--ask-password is for a database of yours: name it with --target, or by MARIADB_URL.")
    user = f"{location.url.username} at " if location.url.username else ""
    # Without a terminal getpass would take what comes on standard input, and show it.
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        message = "--ask-password needs a terminal to ask at. Without one, let --defaults-file hold the password."
        raise DfsyncError(message) from None
    try:
        import getpass

        return getpass.getpass(f"Password of {printable(user + display_name(location.url), sys.maxsize)}: ")
    except EOFError:
        raise DfsyncError("No password was given.") from None
