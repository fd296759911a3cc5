"""The command that writes rows."""

from __future__ import annotations

from dataclasses import replace

from dfsync.cli.app.group import ALL_WELL, SOME_FAILED, VERBOSE_AND_QUIET, app, print_json, report_line
from dfsync.cli.interrupts import interruptible
from dfsync.cli.log import start_log
from dfsync.cli.options import (
    DEFAULT_OUT,
    AskPassword,
    BatchSize,
    CommitEvery,
    Debug,
    DefaultsFile,
    DryRun,
    EnvFile,
    Exclude,
    Full,
    Jobs,
    Json,
    KeepIds,
    KeepRuns,
    LogFile,
    NoLocalInfile,
    OnMatch,
    Out,
    PlanFile,
    Quiet,
    Report,
    Source,
    SourceList,
    Tables,
    Target,
    Verbose,
    Writers,
    plan_options,
    source_files,
)
from dfsync.cli.target import TargetOptions, open_target
from dfsync.model.errors import DfsyncError
from dfsync.model.options import SyncOptions


@app.command(short_help="Bring the rows in; what exists already is left.")
def sync(
    source: Source = None,
    sources: SourceList = None,
    target: Target = None,
    defaults_file: DefaultsFile = None,
    env_file: EnvFile = None,
    ask_password: AskPassword = False,
    out: Out = DEFAULT_OUT,
    plan: PlanFile = None,
    tables: Tables = None,
    exclude: Exclude = None,
    batch_size: BatchSize = SyncOptions.batch_size,
    jobs: Jobs = SyncOptions.jobs,
    commit_every: CommitEvery = None,
    writers: Writers = SyncOptions.writers,
    on_match: OnMatch = None,
    keep_ids: KeepIds = None,
    keep_runs: KeepRuns = SyncOptions.keep_runs,
    full: Full = False,
    dry_run: DryRun = False,
    report: Report = False,
    as_json: Json = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    log_file: LogFile = None,
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
    start_log(debug, log_file)
    if report and dry_run:
        raise DfsyncError("--report is made from the files of a run, and a dry run leaves none: leave out one of them.")
    if verbose and quiet:
        raise DfsyncError(VERBOSE_AND_QUIET)
    options = replace(
        plan_options(plan, tables, exclude, keep_ids),
        batch_size=batch_size,
        on_match=on_match,
        dry_run=dry_run,
        local_infile=not no_local_infile,
        jobs=jobs,
        commit_every=commit_every,
        writers=writers,
        keep_runs=keep_runs,
        full=full,
    )
    files = source_files(source, sources)
    from rich.console import Console as RichConsole

    from dfsync.cli.render.sync import ErrorConsole, SyncConsole

    given = TargetOptions(target, defaults_file, env_file, ask_password)
    kind, stream = (ErrorConsole, RichConsole(stderr=True)) if as_json else (SyncConsole, RichConsole())
    told, in_pieces = not (quiet or as_json), options.piece_rows is not None
    with (
        kind(stream, folder=out, verbose=verbose, quiet=not told, dry_run=dry_run, in_pieces=in_pieces) as console,
        interruptible(console.interruption_message),
        open_target(given, files, told=told) as choice,
    ):
        from dfsync.cli.allocator import release_freed_memory
        from dfsync.commands.sync import sync as run

        release_freed_memory(file.path for file in files)
        console.say(choice.description)
        result = run(files, choice.url, out=out, options=options, observer=console)
    if as_json:
        print_json(result.as_dict())
    if report and not result.write_errors:
        console.say(report_line(out))
    elif not dry_run and (out / "report.html").exists():
        console.say("report.html in that folder is of an earlier run; with --report it is made anew.")
    return ALL_WELL if result.ok else SOME_FAILED
