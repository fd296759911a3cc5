"""Makes a source database to sync: from the history of git repositories, or made up in any length.

    python data/make_sample.py sample.db                          the history of this project's own clone
    python data/make_sample.py sample.db ~/src/flask ~/src/click  the history of these
    python data/make_sample.py sample.db --synthetic 1000000      a million commits of made-up history

The staff is made up in either case; its metrics are true sums over the commits and pull requests.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from sample_file import SampleError, new_sample
from sample_git import read_repository
from sample_history import write_history
from sample_synthetic import write_synthetic

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def make_synthetic(path: Path, commits: int, seed: int = 1, force: bool = False) -> dict[str, int]:
    """Writes made-up history to a new database and returns the number of rows of each table.

    The same seed gives the same rows; more commits give the same rows and more, with the staff's metrics counted anew.
    """
    with new_sample(path, force) as writer:
        write_synthetic(writer, commits, seed)
    return writer.rows


def make_from_git(path: Path, repositories: list[Path], seed: int = 1, force: bool = False) -> dict[str, int]:
    """Writes the history of git repositories to a new database and returns the number of rows of each table."""
    with new_sample(path, force) as writer:
        distinct = dict.fromkeys(repository.resolve() for repository in repositories)
        write_history(writer, [read_repository(repository) for repository in distinct], seed)
    return writer.rows


@app.command()
def main(
    out: Annotated[Path, typer.Argument(metavar="OUT.db", help="The SQLite file to write.")],
    repositories: Annotated[
        list[Path] | None, typer.Argument(metavar="REPO", help="Git repositories; default: this project's own.")
    ] = None,
    synthetic: Annotated[int | None, typer.Option(min=0, metavar="N", help="Make up N commits instead.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another history and staff.")] = 1,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> None:
    """Makes a source database to sync: from the history of git repositories, or made up in any length."""
    started = time.perf_counter()
    try:
        if synthetic is None:
            rows = make_from_git(out, repositories or [Path(__file__).resolve().parent], seed, force)
        elif repositories:
            raise SampleError("Made-up history needs no repository; give either --synthetic N or repositories.")
        else:
            rows = make_synthetic(out, synthetic, seed, force)
    except SampleError as error:
        typer.echo(f"make_sample: {error}", err=True)
        raise typer.Exit(2) from None
    for table, count in rows.items():
        typer.echo(f"{table:<28}{count:>12,}")
    typer.echo(f"{out}: {sum(rows.values()):,} rows in {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    app()
