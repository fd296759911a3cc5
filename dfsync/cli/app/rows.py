"""Commands that print rows which a sync or a verify left in --out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dfsync.cli.app.group import ALL_WELL, app, print_lines
from dfsync.cli.log import start_log
from dfsync.cli.options import DEFAULT_OUT, Csv, Debug, LogFile, Out, TableName

if TYPE_CHECKING:
    from dfsync.commands.frames import FrameKind


@app.command(short_help="Show the rows that a sync rejected, and why.")
def rejects(
    table: TableName = None,
    out: Out = DEFAULT_OUT,
    as_csv: Csv = False,
    log_file: LogFile = None,
    debug: Debug = False,
) -> int:
    """Show the rows of TABLE that the last sync rejected: old id, column, value and reason.

    Without TABLE it lists the tables that have some. The target is not asked.

    \b
    Examples:
      python -m dfsync rejects
      python -m dfsync rejects commits --csv > rejects.csv
    """
    start_log(debug, log_file)
    from dfsync.commands.frames import REJECTED

    return _show(out, REJECTED, table, as_csv=as_csv)


@app.command(short_help="Show what the last verify found different.")
def differences(
    table: TableName = None,
    out: Out = DEFAULT_OUT,
    as_csv: Csv = False,
    log_file: LogFile = None,
    debug: Debug = False,
) -> int:
    """Show what the last verify found different in TABLE: old id, new id, kind, column, value in source and target.

    Without TABLE it lists the tables that have some. The target is not asked.

    \b
    Examples:
      python -m dfsync differences
      python -m dfsync differences commits --csv > differences.csv
    """
    start_log(debug, log_file)
    from dfsync.commands.frames import DIFFERENT

    return _show(out, DIFFERENT, table, as_csv=as_csv)


@app.command(short_help="Show which source row became which target row.")
def maps(
    table: TableName = None,
    out: Out = DEFAULT_OUT,
    as_csv: Csv = False,
    log_file: LogFile = None,
    debug: Debug = False,
) -> int:
    """Show the map of TABLE: old id, new id, what the last sync did, and the natural key.

    Without TABLE it lists the tables that have one. The target is not asked.

    \b
    Examples:
      python -m dfsync maps
      python -m dfsync maps commits --csv > commits.csv
    """
    start_log(debug, log_file)
    from dfsync.commands.frames import MAPPED

    return _show(out, MAPPED, table, as_csv=as_csv)


def _show(out: Path, kind: FrameKind, table: str | None, *, as_csv: bool) -> int:
    from dfsync.cli.render.tables import UNBROKEN_WIDTH, print_frame, table_console, write_csv
    from dfsync.commands.frames import count_rows, counts_line, read_rows

    if table is None:
        counts = count_rows(out, kind)
        if as_csv:
            import pandas as pd

            write_csv([pd.DataFrame({"table": list(counts), "rows": list(counts.values())})], sys.stdout)
        else:
            lines = [counts_line(name, count, kind) for name, count in counts.items()]
            print_lines(lines or [f"{out} has no {kind.noun}."])
        return ALL_WELL
    rows = read_rows(out, kind, table)
    if as_csv:
        write_csv(rows, sys.stdout)
    elif total := count_rows(out, kind, table).get(table):
        print_frame(rows, total, table_console(UNBROKEN_WIDTH))
    else:
        # A name that is no table's at all is an error.
        list(rows)
        print_lines([f"{out} has no {kind.noun} of {table}."])
    return ALL_WELL
