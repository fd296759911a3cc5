"""Commands that make what a sync needs: tables, and a server."""

from __future__ import annotations

import os
import shlex
import time

import typer

from dfsync.cli.app.group import ALL_WELL, app, print_lines
from dfsync.cli.interrupts import interruptible
from dfsync.cli.log import start_log
from dfsync.cli.options import (
    DEFAULT_DATA,
    AskPassword,
    DataDir,
    Debug,
    DefaultsFile,
    EnvFile,
    Exclude,
    KeepIds,
    LogFile,
    PlanFile,
    PrintOnly,
    Source,
    SourceList,
    Tables,
    Target,
    plan_options,
    source_files,
)
from dfsync.cli.target import TargetOptions, open_target
from dfsync.model.errors import DfsyncError


@app.command(short_help="Create the tables that the target lacks.")
def create_tables(
    source: Source = None,
    sources: SourceList = None,
    target: Target = None,
    defaults_file: DefaultsFile = None,
    env_file: EnvFile = None,
    ask_password: AskPassword = False,
    plan: PlanFile = None,
    tables: Tables = None,
    exclude: Exclude = None,
    keep_ids: KeepIds = None,
    print_only: PrintOnly = False,
    log_file: LogFile = None,
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
    start_log(debug, log_file)
    options = plan_options(plan, tables, exclude, keep_ids)
    files = source_files(source, sources)
    given = TargetOptions(target, defaults_file, env_file, ask_password)
    stopped = "stopped; tables that were created stay. Run the same command again for the others."
    with interruptible(stopped), open_target(given, files, told=not print_only) as choice:
        from dfsync.commands.create_tables import create_tables as run

        creation = run(files, choice.url, options=options, print_only=print_only)
    from dfsync.cli.render.create_tables import create_tables_lines, script

    print_lines(script(creation) if print_only else [choice.description, *create_tables_lines(creation)])
    return ALL_WELL


@app.command(short_help="Run the private MariaDB for other shells to use.")
def server(data_dir: DataDir = DEFAULT_DATA, log_file: LogFile = None, debug: Debug = False) -> int:
    """Run the private MariaDB in the foreground and print the line that leads other shells to it; Ctrl-C stops it.

    \b
    Example:
      python -m dfsync server
    """
    start_log(debug, log_file)
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
