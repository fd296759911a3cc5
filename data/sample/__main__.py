"""`python -m data.sample`: writes a source database to sync.

python -m data.sample sample.db                          the history of this project's own clone
python -m data.sample sample.db ~/src/flask ~/src/click  the history of these
python -m data.sample sample.db --synthetic 1000000      a million commits of made-up history
python -m data.sample laptops --laptops                  three files in a folder, which share repositories and authors
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from data.sample import make_from_git, make_synthetic
from data.sample.laptops import make_laptops
from data.sample.writer import SampleError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    out: Annotated[Path, typer.Argument(metavar="OUT.db", help="The SQLite file to write.")],
    repositories: Annotated[
        list[Path] | None, typer.Argument(metavar="REPO", help="Git repositories; default: this project's own.")
    ] = None,
    synthetic: Annotated[int | None, typer.Option(min=0, metavar="N", help="Make up N commits instead.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another history and staff.")] = 1,
    laptops: Annotated[
        bool, typer.Option("--laptops", help="Make the files of three laptops, which share repositories, in OUT.db.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> None:
    """Makes a source database to sync: from the history of git repositories, or made up in any length."""
    started = time.perf_counter()
    if laptops:
        for name, counts in make_laptops(out).items():
            typer.echo(f"{out / name}.db: {', '.join(f'{count} {table}' for table, count in counts.items())}")
        return
    try:
        if synthetic is None:
            rows = make_from_git(out, repositories or [Path(__file__).resolve().parent], seed, force)
        elif repositories:
            raise SampleError("Made-up history needs no repository; give either --synthetic N or repositories.")
        else:
            rows = make_synthetic(out, synthetic, seed, force)
    except SampleError as error:
        typer.echo(f"data.sample: {error}", err=True)
        raise typer.Exit(2) from None
    for table, count in rows.items():
        typer.echo(f"{table:<28}{count:>12,}")
    typer.echo(f"{out}: {sum(rows.values()):,} rows in {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    app(prog_name="python -m data.sample")
