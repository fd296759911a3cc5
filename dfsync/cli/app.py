"""The command line. A command gathers its options and calls the function that does the work.

Whatever is slow to import is imported by the command that needs it, so that `--help` and mistakes answer at once.
"""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from dfsync.cli.interrupts import interruptible
from dfsync.cli.log import log_to_stderr, sanitize
from dfsync.cli.options import (
    DEFAULT_DATA,
    DEFAULT_OUT,
    DEFAULT_SOURCE,
    BatchSize,
    DataDir,
    Debug,
    DryRun,
    Force,
    Jobs,
    Json,
    NoLocalInfile,
    OnMatch,
    Out,
    PlanFile,
    PrintOnly,
    Quiet,
    QuietVerify,
    Report,
    ReportFolder,
    Source,
    Strict,
    Tables,
    Target,
    Verbose,
    VerboseVerify,
    Version,
    WritePlan,
    table_names,
)
from dfsync.cli.target import open_target
from dfsync.model.errors import DfsyncError
from dfsync.model.options import SyncOptions

ALL_WELL, SOME_FAILED, NOT_STARTED = 0, 1, 2
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
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=SyncByDefaultGroup,
    # Plain help comes up in half the time of Rich's; Typer's tracebacks would show local variables, passwords too.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _write_report(out: Path) -> str:
    from dfsync.output.report.page import write_report
    from dfsync.text.wording import printable

    return printable(write_report(out), 1000)


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
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


@app.command(short_help="Bring the rows in; what exists already is left.")
def sync(
    source: Source = DEFAULT_SOURCE,
    target: Target = None,
    out: Out = DEFAULT_OUT,
    plan: PlanFile = None,
    tables: Tables = None,
    batch_size: BatchSize = SyncOptions.batch_size,
    jobs: Jobs = SyncOptions.jobs,
    on_match: OnMatch = None,
    dry_run: DryRun = False,
    report: Report = False,
    as_json: Json = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    debug: Debug = False,
    no_local_infile: NoLocalInfile = False,
) -> int:
    """Sync the source into the target: new rows are inserted, rows that exist are left, the map is written to --out.

    Exit status: 0 every row has a target row; 1 some rows or tables failed; 2 it could not start.

    \b
    Examples:
      python -m dfsync --source my.db --dry-run
      python -m dfsync --source my.db --target mysql://app@db.example.com/app
      python -m dfsync --tables repositories,commits --on-match update
      python -m dfsync --report --json > summary.json
    """
    log_to_stderr(debug)
    if report and dry_run:
        raise DfsyncError("--report is made from the files of a run, and a dry run leaves none: leave out one of them.")
    if verbose and quiet:
        raise DfsyncError(VERBOSE_AND_QUIET)
    options = SyncOptions(plan, table_names(tables), batch_size, on_match, dry_run, not no_local_infile, jobs)
    from rich.console import Console as RichConsole

    from dfsync.cli.render.sync import ErrorConsole, SyncConsole

    kind, stream = (ErrorConsole, RichConsole(stderr=True)) if as_json else (SyncConsole, RichConsole())
    with (
        kind(stream, folder=out, verbose=verbose, quiet=quiet or as_json, dry_run=dry_run) as console,
        interruptible(console.interruption_message),
        open_target(target, source, told=not (quiet or as_json)) as choice,
    ):
        from dfsync.cli.allocator import release_freed_memory
        from dfsync.commands.sync import sync as run

        release_freed_memory(source)
        console.say(choice.description)
        result = run(source, choice.url, out=out, options=options, observer=console)
    if as_json:
        typer.echo(json.dumps(result.as_dict()))
    if report and not result.write_errors:
        console.say(f"The report: {_write_report(out)}")
    elif not dry_run and (out / "report.html").exists():
        console.say("report.html in that folder is of an earlier run; with --report it is made anew.")
    return ALL_WELL if result.ok else SOME_FAILED


DEFAULT_COMMAND = "sync"


@app.command(short_help="See whether a sync would work, without writing.")
def check(
    source: Source = DEFAULT_SOURCE,
    target: Target = None,
    out: Out = DEFAULT_OUT,
    plan: PlanFile = None,
    tables: Tables = None,
    as_json: Json = False,
    debug: Debug = False,
) -> int:
    """See whether a sync would work: both ends within reach, tables and columns there, nothing that would not fit.

    The maps in --out say which rows a sync would know; nothing is written there.

    Exit status: 0 nothing in the way; 1 something is; 2 it could not look.

    \b
    Examples:
      python -m dfsync check --source my.db
      python -m dfsync check --source my.db --tables commits --json
    """
    log_to_stderr(debug)
    options = SyncOptions(plan=plan, tables=table_names(tables))
    with interruptible("stopped; nothing was changed."), open_target(target, source, told=not as_json) as choice:
        from rich.console import Console as RichConsole

        from dfsync.cli.render.check import check_lines, with_options
        from dfsync.cli.render.progress import ProgressBar
        from dfsync.commands.check import check as run

        if not as_json:
            _print_lines([choice.description])
        with ProgressBar(RichConsole(stderr=True)) as bar:
            result = with_options(run(source, choice.url, options=options, out=out, observer=bar))
    if as_json:
        typer.echo(json.dumps(result.as_dict()))
    else:
        _print_lines(check_lines(result))
    return ALL_WELL if result.ok else SOME_FAILED


@app.command(short_help="Show tables, order and keys; write a plan file.")
def plan(
    source: Source = DEFAULT_SOURCE,
    target: Target = None,
    plan: PlanFile = None,
    tables: Tables = None,
    write: WritePlan = None,
    force: Force = False,
    as_json: Json = False,
    debug: Debug = False,
) -> int:
    """Show the plan of a sync: the order of the tables, their keys, and where each part came from.

    Exit status: 0 it was shown; 2 an end cannot be reached, there is no such plan, or its tables have no order.

    \b
    Examples:
      python -m dfsync plan --source my.db
      python -m dfsync plan --source my.db --write my-plan.toml
    """
    log_to_stderr(debug)
    options = SyncOptions(plan=plan, tables=table_names(tables))
    with interruptible("stopped; nothing was changed."), open_target(target, source, told=not as_json) as choice:
        from dfsync.commands.plan import resolve_plan

        found = resolve_plan(source, choice.url, options=options)
    from dfsync.cli.render.plan import show_plan
    from dfsync.cli.render.tables import table_console
    from dfsync.plan.file import write_plan

    if write is not None:
        write_plan(write, found.to_write, force=force)
    if as_json:
        typer.echo(json.dumps(found.as_dict()))
    else:
        _print_lines([choice.description])
        show_plan(found, table_console())
        _print_lines([] if write is None else ["", f"Written to {write}; use it with --plan {write}"])
    if found.no_order is not None:
        written = "" if write is None else f" Mend it in {write}."
        raise DfsyncError(f"{found.no_order}{written}")
    return ALL_WELL


@app.command(short_help="Compare every source row with its target row.")
def verify(
    source: Source = DEFAULT_SOURCE,
    target: Target = None,
    out: Out = DEFAULT_OUT,
    plan: PlanFile = None,
    tables: Tables = None,
    strict: Strict = False,
    as_json: Json = False,
    verbose: VerboseVerify = False,
    quiet: QuietVerify = False,
    debug: Debug = False,
) -> int:
    """After a sync, compare every source row with its target row, through the maps in --out.

    What differs is listed, and written to verify/NAME.parquet in --out.
    Exit status: 0 nothing differs but what the plan asks for, such as rows of the target that it leaves; 1 something
    else does; 2 it could not look.

    \b
    Examples:
      python -m dfsync verify --source my.db
      python -m dfsync verify --source my.db --tables commits --json
    """
    log_to_stderr(debug)
    if verbose and quiet:
        raise DfsyncError(VERBOSE_AND_QUIET)
    options = SyncOptions(plan=plan, tables=table_names(tables))
    stopped, told = "stopped; what was found so far is not shown.", not (as_json or quiet)
    with interruptible(stopped), open_target(target, source, told=told) as choice:
        from rich.console import Console as RichConsole

        from dfsync.cli.render.progress import ProgressBar
        from dfsync.commands.verify import verify as run

        if told:
            _print_lines([choice.description])
        with ProgressBar(RichConsole(stderr=True)) as bar:
            result = run(source, choice.url, out=out, options=options, observer=bar)
    if as_json:
        typer.echo(json.dumps(result.as_dict()))
    else:
        from dfsync.cli.render.tables import table_console
        from dfsync.cli.render.verify import show_verify

        show_verify(result, out, table_console(), verbose=verbose, quiet=quiet)
    return ALL_WELL if (result.strict_ok if strict else result.ok) else SOME_FAILED


@app.command(short_help="Make a page about a sync from the files it left.")
def report(out: ReportFolder = DEFAULT_OUT, debug: Debug = False) -> int:
    """Make report.html of a sync, from the files that it left in its --out folder.

    One page to look at and to hand on, which needs nothing from elsewhere: the plan as a graph, counts and times by
    table, the rejected rows by reason, what the last verify found, where the time went.
    Exit status: 0 it is written; 2 the folder has no finished sync.

    \b
    Examples:
      python -m dfsync report
      python -m dfsync report some-folder
    """
    log_to_stderr(debug)
    typer.echo(f"The report: {_write_report(out)}")
    return ALL_WELL


@app.command(short_help="Create the tables that the target lacks.")
def create_tables(
    source: Source = DEFAULT_SOURCE,
    target: Target = None,
    plan: PlanFile = None,
    tables: Tables = None,
    print_only: PrintOnly = False,
    debug: Debug = False,
) -> int:
    """Create the tables that the target lacks: AUTO_INCREMENT ids, unique natural keys, foreign keys.

    The plan says what the unique keys are, so give the --plan that the sync will have.
    Tables that exist are left as they are.

    \b
    Examples:
      python -m dfsync create-tables --source my.db --print
      python -m dfsync create-tables --source my.db
    """
    log_to_stderr(debug)
    options = SyncOptions(plan=plan, tables=table_names(tables))
    stopped = "stopped; tables that were created stay. Run the same command again for the others."
    with interruptible(stopped), open_target(target, source, told=not print_only) as choice:
        from dfsync.commands.create_tables import create_tables as run

        creation = run(source, choice.url, options=options, print_only=print_only)
    from dfsync.cli.render.create_tables import create_tables_lines, script

    _print_lines(script(creation) if print_only else [choice.description, *create_tables_lines(creation)])
    return ALL_WELL


@app.command(short_help="Run the private MariaDB for other shells to use.")
def server(data_dir: DataDir = DEFAULT_DATA, debug: Debug = False) -> int:
    """Run the private MariaDB in the foreground and print the line that leads other shells to it; Ctrl-C stops it.

    \b
    Example:
      python -m dfsync server
    """
    log_to_stderr(debug)
    from dfsync.target.embedded import EmbeddedServer

    try:
        with EmbeddedServer(data_dir) as embedded:
            typer.echo(f"export MARIADB_URL={shlex.quote(embedded.short_url)}")
            typer.echo("The private MariaDB is running; that line, in another shell, leads dfsync to it.", err=True)
            typer.echo("Ctrl-C stops it.", err=True)
            while os.waitpid(embedded.pid, os.WNOHANG) == (0, 0):
                time.sleep(0.2)
    except KeyboardInterrupt:
        typer.echo("The private MariaDB has stopped.", err=True)
        return ALL_WELL
    raise DfsyncError(f"The private MariaDB has ended by itself; its log is {data_dir / 'server.log'}.")
