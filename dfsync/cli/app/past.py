"""Commands about the runs that were: listing them, and taking one back."""

from __future__ import annotations

from dfsync.cli.app.group import ALL_WELL, SOME_FAILED, app, print_json, print_lines
from dfsync.cli.interrupts import interruptible
from dfsync.cli.log import start_log
from dfsync.cli.options import (
    DEFAULT_OUT,
    AllSince,
    AskPassword,
    Debug,
    DefaultsFile,
    DryUndo,
    EnvFile,
    ForceUndo,
    Json,
    LogFile,
    Out,
    QuietUndo,
    Run,
    RunTriggers,
    Target,
)
from dfsync.cli.target import TargetOptions, open_target
from dfsync.model.options import UndoOptions


@app.command(short_help="List the runs of a folder.")
def runs(out: Out = DEFAULT_OUT, as_json: Json = False, log_file: LogFile = None, debug: Debug = False) -> int:
    """List the runs of an --out folder, the newest last: when, from where, to where, what became of the rows.

    Those of which the journal is kept: `sync --keep-runs` says how many. The target is not asked.

    \b
    Examples:
      python -m dfsync runs
      python -m dfsync runs --out some-folder --json
    """
    start_log(debug, log_file)
    from dfsync.commands.runs import runs as run

    result = run(out)
    if as_json:
        print_json(result.as_dict())
    elif not result.runs:
        print_lines([f"{out} has no runs yet."])
    else:
        from dfsync.cli.render.runs import runs_table, runs_title
        from dfsync.cli.render.tables import print_table, table_console

        print_lines(filter(None, [runs_title(result)]))
        print_table(runs_table(result), table_console())
    return ALL_WELL


@app.command(short_help="Take a run back.")
def undo(
    run: Run = None,
    target: Target = None,
    defaults_file: DefaultsFile = None,
    env_file: EnvFile = None,
    ask_password: AskPassword = False,
    out: Out = DEFAULT_OUT,
    all_since: AllSince = None,
    force: ForceUndo = False,
    run_triggers: RunTriggers = False,
    dry_run: DryUndo = False,
    as_json: Json = False,
    quiet: QuietUndo = False,
    log_file: LogFile = None,
    debug: Debug = False,
) -> int:
    """Take a run back: rows that it inserted are deleted, rows that it updated get their values of before.

    What others did stays: rows that were changed since, and rows to which rows refer that stay. They are listed in
    runs/ID/kept/NAME.parquet of --out. The maps there forget what is gone, so the next sync inserts it again.

    Exit status: 0 nothing of the run is left; 1 some rows stay or a table failed; 2 it could not start.

    \b
    Examples:
      python -m dfsync undo --dry-run
      python -m dfsync undo
      python -m dfsync undo --all-since 20261127T034006278Z-683f00
    """
    start_log(debug, log_file)
    from dfsync.cli.render.undo import UndoProgress, undo_lines

    given = TargetOptions(target, defaults_file, env_file, ask_password)
    progress = UndoProgress(dry_run=dry_run)
    with (
        interruptible(progress.interruption_message),
        open_target(given, None, told=not (as_json or quiet)) as choice,
    ):
        from dfsync.commands.undo import undo as take_back

        if not (as_json or quiet):
            print_lines([choice.description])
        options = UndoOptions(force, dry_run, run_triggers)
        result = take_back(out, run, target=choice.url, all_since=all_since, options=options, observer=progress)
    if as_json:
        print_json(result.as_dict())
    else:
        print_lines(undo_lines(result, quiet=quiet))
    return ALL_WELL if result.ok else SOME_FAILED
