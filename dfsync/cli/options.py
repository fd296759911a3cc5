"""The options of the command line, each written once for all commands that have it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from dfsync.model.errors import DfsyncError
from dfsync.model.options import KEEP_IDS, SyncOptions, is_plan_name
from dfsync.model.source_file import SourceFile

DEFAULT_SOURCE = Path("git_history.db")
DEFAULT_OUT = Path("dfsync-out")
DEFAULT_DATA = Path("data/mariadb")


def _version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version

        typer.echo(f"dfsync {version('dfsync')}")
        raise typer.Exit


def _positive(number: int) -> int:
    if number < 1:
        raise typer.BadParameter(f"{number} is not a number of rows: give 1 or more.")
    return number


def _table_names(text: str | None) -> tuple[str, ...] | None:
    """Split `--tables a,b` into its names; None where it was not given. Raises `DfsyncError` where it names none."""
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise DfsyncError("--tables names no table: leave it out, or write names like repositories,commits.")
    return names


def plan_options(
    plan: str | None, tables: str | None, exclude: list[str] | None, keep_ids: str | None = None
) -> SyncOptions:
    """Make the options that say which rows are meant, which most commands have.

    Parameters
    ----------
    plan, tables, exclude, keep_ids
        The values of `--plan`, `--tables`, `--exclude` and `--keep-ids`; None where one was not given.

    Returns
    -------
    SyncOptions
        The others as they are by default.

    Raises
    ------
    DfsyncError
        `--tables` names none.
    """
    return SyncOptions(plan=plan, tables=_table_names(tables), exclude=tuple(exclude or ()), keep_ids=keep_ids)


def with_implied_values(args: Sequence[str]) -> list[str]:
    """Write out `--keep-ids` as `--keep-ids=free`, since an option of the libraries beneath needs its value."""
    following = [*args, ""][1:]
    bare = [arg == "--keep-ids" and after not in KEEP_IDS for arg, after in zip(args, following, strict=True)]
    return [f"{arg}={KEEP_IDS[0]}" if implied else arg for arg, implied in zip(args, bare, strict=True)]


def source_files(given: list[str] | None, listed: Path | None) -> tuple[SourceFile, ...]:
    """Find the files of `--source` and `--sources`.

    Parameters
    ----------
    given
        The values of `--source`; None where it was not given.
    listed
        The file of `--sources`.

    Returns
    -------
    tuple of SourceFile
        Those of `--source` first; `git_history.db` where neither was given.
    """
    # Slow to import, and not needed for what is said about mistakes in other options.
    from dfsync.source.many.files import find_files, read_list

    spec = [*(given or ([] if listed else [str(DEFAULT_SOURCE)])), *(read_list(listed) if listed else [])]
    return find_files(spec)


def _present(context: typer.Context, given: list[str] | None) -> list[str] | None:
    """Refuse the one file that is not there; of several the others go on without it."""
    if context.params.get("list_plans") or (not given and context.params.get("sources")):
        return given
    paths = given or [str(DEFAULT_SOURCE)]
    is_pattern = any(sign in paths[0] for sign in "*?[:") and "://" not in paths[0]
    if len(paths) == 1 and not is_pattern and not Path(paths[0]).exists():
        raise typer.BadParameter(f"File {paths[0]!r} does not exist.")
    return given


def _plan_there(given: str | None) -> str | None:
    """Refuse a plan file that is not there; the names of ready-made plans are known to whoever reads them."""
    if given is None or is_plan_name(given):
        return given
    if not Path(given).exists():
        raise typer.BadParameter(f"File {given!r} does not exist.")
    if Path(given).is_dir():
        raise typer.BadParameter(f"File {given!r} is a directory.")
    return given


Source = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE",
        callback=_present,
        help="The SQLite file to read, a folder of them or a quoted glob; NAME:FILE names it. May be given several "
        "times: then rows of one natural key are one row. [default: git_history.db]",
    ),
]
SourceList = Annotated[
    Path | None,
    typer.Option(
        "--sources",
        metavar="LIST",
        exists=True,
        dir_okay=False,
        is_eager=True,
        help="A file with a source in each line.",
    ),
]
Target = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="The database to write to, as mysql://user:password@host/database. Without it MARIADB_URL says, else "
        "MARIADB_CONFIG in a config.py of this folder, else it is a private MariaDB in data/mariadb.",
    ),
]
DefaultsFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="An option file of MySQL's: it completes the target, or names it. [default: ~/.my.cnf completes]",
    ),
]
EnvFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", exists=True, dir_okay=False, help="A .env file, whose MARIADB_URL is the target."),
]
AskPassword = Annotated[bool, typer.Option("--ask-password", help="Ask for the password at the terminal.")]
Out = Annotated[Path, typer.Option(metavar="DIR", file_okay=False, help="The folder for maps, rejects and summary.")]
PlanFile = Annotated[
    str | None,
    typer.Option(
        "--plan",
        metavar="PLAN",
        callback=_plan_there,
        help="A plan of your own, a .toml file, or the name of a ready-made plan (`plan --list`); a file without .toml "
        "needs ./ before its name.",
    ),
]
Tables = Annotated[
    str | None, typer.Option(metavar="NAMES", help="Only these tables: their names in the plan, with commas between.")
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN",
        help='Leave out tables of the source by name, such as "knex_*". May be given several times.',
    ),
]
BatchSize = Annotated[int, typer.Option(metavar="N", callback=_positive, help="Rows read and sent at a time.")]
Jobs = Annotated[int, typer.Option(metavar="N", help="Tables at a time, where they do not need each other.")]
CommitEvery = Annotated[
    int | None,
    typer.Option(metavar="N", help="Commit the new rows of a table in pieces of N rows. Default: all at once."),
]
Writers = Annotated[
    int,
    typer.Option(
        metavar="N", help="Connections that insert pieces of one table at a time, where the server lets them."
    ),
]
OnMatch = Annotated[
    Literal["skip", "update"] | None,
    typer.Option(
        help="Leave rows that exist as they are, or give them the source's values. Default: as the plan says."
    ),
]
KeepIds = Annotated[
    Literal["free", "strict"] | None,
    typer.Option(
        help="Rows keep their ids where these are free in the target; with --keep-ids=strict nothing is written where "
        "one is not. Default: as the plan says."
    ),
]
KeepRuns = Annotated[
    int, typer.Option(metavar="N", min=0, help="How many runs keep the journal by which they can be taken back.")
]
Full = Annotated[
    bool, typer.Option("--full", help="Read all keys of both sides, and not by what the last run left in --out.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Do everything but write.")]
Report = Annotated[bool, typer.Option("--report", help="Make report.html in --out as well, to look at the run.")]
ReportFolder = Annotated[Path, typer.Argument(metavar="OUT", file_okay=False, help="The --out folder of a sync.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="A line for every row, of long tables too.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only failures and warnings: no line where all is well.")]
Strict = Annotated[
    bool, typer.Option("--strict", help="Exit status 1 also where rows differ only as the plan asks: kept, shared.")
]
VerboseVerify = Annotated[bool, typer.Option("--verbose", "-v", help="A line for every table, without rows too.")]
QuietVerify = Annotated[bool, typer.Option("--quiet", "-q", help="Only warnings: no line where all is well.")]
TableName = Annotated[
    str | None, typer.Argument(metavar="TABLE", help="A table by its name in the plan. Default: list the tables.")
]
Csv = Annotated[bool, typer.Option("--csv", help="Print all of it as CSV and nothing else.")]
LogFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", dir_okay=False, help="Append what is told to FILE, too, with the time of each line."),
]
Debug = Annotated[
    bool,
    typer.Option("--debug", help="Log on standard error: connections, the plan, each table's transaction and times."),
]
NoLocalInfile = Annotated[bool, typer.Option("--no-local-infile", help="Send plain inserts, never LOAD DATA LOCAL.")]
PrintOnly = Annotated[bool, typer.Option("--print", help="Print the SQL statements and do not run them.")]
ListPlans = Annotated[
    bool, typer.Option("--list", is_eager=True, help="List the ready-made plans, and do nothing else.")
]
WritePlan = Annotated[
    Path | None, typer.Option("--write", metavar="FILE", dir_okay=False, help="Write it as a plan file, ready to edit.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace the file that --write names.")]
Run = Annotated[
    str | None, typer.Argument(metavar="RUN", help="The run's id, or its first or last signs. Default: the newest.")
]
AllSince = Annotated[
    str | None, typer.Option(metavar="RUN", help="Take back this run and all that came after it, the newest first.")
]
ForceUndo = Annotated[
    bool, typer.Option("--force", help="Take back also rows that were changed since the run, with these changes.")
]
RunTriggers = Annotated[
    bool, typer.Option("--run-triggers", help="Take back also tables with triggers on DELETE: the triggers run.")
]
DryUndo = Annotated[
    bool, typer.Option("--dry-run", help="Do all of it, tell, and roll it back. Meanwhile the rows are locked.")
]
QuietUndo = Annotated[bool, typer.Option("--quiet", "-q", help="Only what stays or failed: no line where all is well.")]
DataDir = Annotated[Path, typer.Option(metavar="DIR", file_okay=False, help="The folder for the server's data.")]
Version = Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")]
