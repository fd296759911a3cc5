"""Commands about the runs that were: listing them, and taking one back."""

from __future__ import annotations

import json

import typer

from dfsync.cli.app.group import ALL_WELL, app, print_lines
from dfsync.cli.log import log_to_stderr
from dfsync.cli.options import DEFAULT_OUT, Debug, Json, Out


@app.command(short_help="List the runs of a folder.")
def runs(out: Out = DEFAULT_OUT, as_json: Json = False, debug: Debug = False) -> int:
    """List the runs of an --out folder, the newest last: when, from where, to where, what became of the rows.

    Those of which the journal is kept: `sync --keep-runs` says how many. The target is not asked.

    \b
    Examples:
      python -m dfsync runs
      python -m dfsync runs --out some-folder --json
    """
    log_to_stderr(debug)
    from dfsync.commands.runs import runs as run

    result = run(out)
    if as_json:
        typer.echo(json.dumps(result.as_dict()))
    elif not result.runs:
        print_lines([f"{out} has no runs yet."])
    else:
        from dfsync.cli.render.runs import runs_table
        from dfsync.cli.render.tables import print_table, table_console

        print_table(runs_table(result), table_console())
    return ALL_WELL
