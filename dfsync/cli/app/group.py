"""The program as Typer sees it: the group of all commands, and what several of them need."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from dfsync.cli.log import record_told, sanitize
from dfsync.cli.options import DEFAULT_SOURCE, Version, with_implied_values
from dfsync.text.wording import program_name

ALL_WELL, SOME_FAILED, NOT_STARTED = 0, 1, 2
DEFAULT_COMMAND = "sync"
VERBOSE_AND_QUIET = "--verbose and --quiet ask for the opposite of each other: leave out one of them."
INTRODUCTION = """\
dfsync brings the rows of a SQLite file into a MariaDB or MySQL database that already has rows of its own:
rows that exist are recognised, the others get new ids, foreign keys follow, and the map from old to new is kept.

There is no {source} in this folder. Name your file, and the database that it is to go to:

  export MARIADB_URL=mysql://user:password@host/database
  {program} create-tables --source my.db
  {program} check --source my.db
  {program} --source my.db

Without MARIADB_URL a private MariaDB on this machine takes the rows. More: {program} --help"""


class SyncByDefaultGroup(TyperGroup):
    """A command line that begins with an option of no command is one of `sync`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the name of the default command where none is given."""
        own = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        if not args and not ctx.resilient_parsing and not DEFAULT_SOURCE.exists():
            typer.echo(INTRODUCTION.format(source=DEFAULT_SOURCE, program=ctx.command_path), err=True)
            raise typer.Exit(NOT_STARTED)
        # While the shell completes an empty command line, it is for the commands' names.
        if args[0].startswith("-") and args[0] not in own if args else not ctx.resilient_parsing:
            args = [DEFAULT_COMMAND, *args]
        return super().parse_args(ctx, with_implied_values(args))

    def get_help(self, ctx: Any) -> str:
        """Name the program as it was called."""
        return _as_called(super().get_help(ctx))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Name the program as it was called in the help of a command."""
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            command.help = _as_called(command.help or "")
        return command


def _as_called(text: str) -> str:
    return text.replace("python -m dfsync", program_name())


app = typer.Typer(
    cls=SyncByDefaultGroup,
    # Plain help comes up in half the time of Rich's; Typer's tracebacks would show local variables, passwords too.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def report_line(out: Path) -> str:
    """Make the report of a run, and say where it is."""
    from dfsync.output.report.page import write_report
    from dfsync.text.wording import printable

    return f"The report: {printable(write_report(out), 1000)}"


def print_lines(lines: Iterable[str]) -> None:
    """Print lines, without signs that a terminal would obey."""
    for line in lines:
        record_told(line)
        typer.echo(sanitize(line))


@app.callback()
def dfsync(version: Version = False) -> None:
    """Bring the rows of a SQLite file into a MariaDB or MySQL database that already has rows of its own.

    Rows that exist already are recognised, the others get new ids, foreign keys follow them, and the map from old
    to new ids is kept.

    Without a command it is `sync`: its options, such as --source, --target, --tables and --dry-run, are in
    `python -m dfsync sync --help`.

    \b
    Examples:
      python -m dfsync create-tables --source my.db
      python -m dfsync check --source my.db
      python -m dfsync --source my.db
    """


def print_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    # Not at the top, as elsewhere here: help must not wait for what it does not need.
    import json

    typer.echo(json.dumps(value))
