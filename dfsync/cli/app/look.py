"""Commands that look and write nothing to the target."""

from __future__ import annotations

from dfsync.cli.app.group import ALL_WELL, SOME_FAILED, VERBOSE_AND_QUIET, app, print_json, print_lines, report_line
from dfsync.cli.interrupts import interruptible
from dfsync.cli.log import start_log
from dfsync.cli.options import (
    DEFAULT_OUT,
    AskPassword,
    Debug,
    DefaultsFile,
    EnvFile,
    Exclude,
    Force,
    Json,
    KeepIds,
    ListPlans,
    LogFile,
    Out,
    PlanFile,
    QuietVerify,
    ReportFolder,
    Source,
    SourceList,
    Strict,
    Tables,
    Target,
    VerboseVerify,
    WritePlan,
    plan_options,
    source_files,
)
from dfsync.cli.target import TargetOptions, open_target
from dfsync.model.errors import DfsyncError
from dfsync.model.options import is_plan_name


@app.command(short_help="See whether a sync would work, without writing.")
def check(
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
    keep_ids: KeepIds = None,
    as_json: Json = False,
    log_file: LogFile = None,
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
    start_log(debug, log_file)
    options = plan_options(plan, tables, exclude, keep_ids)
    files = source_files(source, sources)
    given = TargetOptions(target, defaults_file, env_file, ask_password)
    with interruptible("stopped; nothing was changed."), open_target(given, files, told=not as_json) as choice:
        from rich.console import Console as RichConsole

        from dfsync.cli.render.check import check_lines, with_options
        from dfsync.cli.render.progress import ProgressBar
        from dfsync.commands.check import check as run

        if not as_json:
            print_lines([choice.description])
        with ProgressBar(RichConsole(stderr=True)) as bar:
            result = with_options(run(files, choice.url, options=options, out=out, observer=bar))
    if as_json:
        print_json(result.as_dict())
    else:
        print_lines(check_lines(result, options))
    return ALL_WELL if result.ok else SOME_FAILED


@app.command(short_help="Show tables, order and keys; write a plan file.")
def plan(
    source: Source = None,
    sources: SourceList = None,
    target: Target = None,
    defaults_file: DefaultsFile = None,
    env_file: EnvFile = None,
    ask_password: AskPassword = False,
    plan: PlanFile = None,
    tables: Tables = None,
    exclude: Exclude = None,
    list_plans: ListPlans = False,
    write: WritePlan = None,
    force: Force = False,
    as_json: Json = False,
    log_file: LogFile = None,
    debug: Debug = False,
) -> int:
    """Show the plan of a sync: the order of the tables, their keys, and where each part came from.

    Exit status: 0 it was shown; 2 an end cannot be reached, there is no such plan, or its tables have no order.

    \b
    Examples:
      python -m dfsync plan --source my.db
      python -m dfsync plan --source my.db --write my-plan.toml
      python -m dfsync plan --list
    """
    start_log(debug, log_file)
    if list_plans:
        from dfsync.cli.render.plan import plan_list_lines
        from dfsync.commands.plan import list_plans as run_list

        listed = run_list()
        if as_json:
            print_json(listed.as_dict())
        else:
            print_lines(plan_list_lines(listed))
        return ALL_WELL
    options = plan_options(plan, tables, exclude)
    files = source_files(source, sources)
    given = TargetOptions(target, defaults_file, env_file, ask_password)
    with interruptible("stopped; nothing was changed."), open_target(given, files, told=not as_json) as choice:
        from dfsync.commands.plan import resolve_plan

        found = resolve_plan(files, choice.url, options=options)
    from dfsync.cli.render.plan import show_plan
    from dfsync.cli.render.tables import table_console
    from dfsync.plan.file import write_plan

    if write is not None:
        write_plan(write, found.to_write, force=force)
    if as_json:
        print_json(found.as_dict())
    else:
        print_lines([choice.description])
        show_plan(found, table_console())
        given_as = f"./{write}" if is_plan_name(str(write)) else write
        print_lines([] if write is None else ["", f"Written to {write}; use it with --plan {given_as}"])
    if found.no_order is not None:
        written = "" if write is None else f" Mend it in {write}."
        raise DfsyncError(f"{found.no_order}{written}")
    return ALL_WELL


@app.command(short_help="Compare every source row with its target row.")
def verify(
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
    strict: Strict = False,
    as_json: Json = False,
    verbose: VerboseVerify = False,
    quiet: QuietVerify = False,
    log_file: LogFile = None,
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
    start_log(debug, log_file)
    if verbose and quiet:
        raise DfsyncError(VERBOSE_AND_QUIET)
    options = plan_options(plan, tables, exclude)
    files = source_files(source, sources)
    given = TargetOptions(target, defaults_file, env_file, ask_password)
    stopped, told = "stopped; what was found so far is not shown.", not (as_json or quiet)
    with interruptible(stopped), open_target(given, files, told=told) as choice:
        from rich.console import Console as RichConsole

        from dfsync.cli.render.progress import ProgressBar
        from dfsync.commands.verify import verify as run

        if told:
            print_lines([choice.description])
        with ProgressBar(RichConsole(stderr=True)) as bar:
            result = run(files, choice.url, out=out, options=options, observer=bar)
    if as_json:
        print_json(result.as_dict())
    else:
        from dfsync.cli.render.tables import table_console
        from dfsync.cli.render.verify import show_verify

        show_verify(result, out, table_console(), verbose=verbose, quiet=quiet, strict=strict)
    return ALL_WELL if (result.strict_ok if strict else result.ok) else SOME_FAILED


@app.command(short_help="Make a page about a sync from the files it left.")
def report(out: ReportFolder = DEFAULT_OUT, log_file: LogFile = None, debug: Debug = False) -> int:
    """Make report.html of a sync, from the files that it left in its --out folder.

    One page to look at and to hand on, which needs nothing from elsewhere: the plan as a graph, counts and times by
    table, the rejected rows by reason, what the last verify found, where the time went.
    Exit status: 0 it is written; 2 the folder has no finished sync.

    \b
    Examples:
      python -m dfsync report
      python -m dfsync report some-folder
    """
    start_log(debug, log_file)
    print_lines([report_line(out)])
    return ALL_WELL
