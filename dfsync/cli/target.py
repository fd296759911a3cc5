"""The target that the options or the environment name, opened for a command."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from dfsync.cli.process_title import hide_from_process_list
from dfsync.cli.remedies import OPTION_NAMES
from dfsync.model.source_file import SourceFile

if TYPE_CHECKING:
    from dfsync.target.config import TargetLocation


@contextmanager
def open_target(
    target: str | None, source: Sequence[SourceFile] | None, *, told: bool = True
) -> Iterator[TargetLocation]:
    """Open the target, and say on standard error where it is the private MariaDB and nobody sees that.

    Parameters
    ----------
    target
        The value of `--target`; None where it was not given.
    source
        The SQLite files, which are refused first where none can be read; None where none is needed.
    told
        Whether the output begins with the target's name.

    Yields
    ------
    TargetLocation
    """
    if target and "@" in target:
        hide_from_process_list(target)
    from dfsync.pipeline.session.ends import open_target as open_location
    from dfsync.target.config import CONFIG_FILE, EMBEDDED, EMBEDDED_DATA, VARIABLE

    with open_location(target, source, origin=OPTION_NAMES["target"]) as choice:
        # A cron job whose variable is misspelt else goes to a server that nobody looks at, and says that all is well.
        if choice.origin == EMBEDDED and not (told and sys.stdout.isatty()):
            named = f"neither {OPTION_NAMES['target']} nor {VARIABLE} nor a {CONFIG_FILE} names a database"
            typer.echo(f"dfsync: {named}, so the target is the {EMBEDDED} in {EMBEDDED_DATA}.", err=True)
        yield choice
