"""`make demo`: a small made-up history into a MariaDB of its own that has other rows already; then a tenth more of it.

All of it stays below data/demo, which every demo begins anew.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from os.path import relpath
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

import dfsync
from data.sample import make_synthetic
from dfsync.model.errors import DfsyncError
from dfsync.target.embedded import EmbeddedServer

HERE = Path(__file__).parent / "demo"
SOURCE, OUT = HERE / "git_history.db", HERE / "dfsync-out"
COMMITS = 2_000
PROGRAM = f"{shlex.quote(relpath(sys.executable))} -m dfsync"

# What another team's tool has put there: its ids are those of our rows, too.
OTHERS: dict[str, dict[str, list[Any]]] = {
    "repositories": {"slug": ["their-website", "their-shop"], "name": ["Website", "Shop"]},
    "authors": {
        "name": ["Ada", "Grace", "Alan"],
        "email": ["ada@example.net", "grace@example.net", "alan@example.net"],
    },
    "commits": {
        "repository_id": [1, 2, 1],
        "hash": ["a" * 40, "b" * 40, "c" * 40],
        "author_name": ["Ada", "Alan", "Ada"],
    },
}
JOIN = """
    SELECT r.id AS repository, r.slug, COUNT(*) AS commits, MIN(c.id) AS first_id, MAX(c.id) AS last_id
    FROM commits AS c JOIN repositories AS r ON c.repository_id = r.id
    GROUP BY r.id ORDER BY r.id"""


def main() -> int:
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir(parents=True)
    say(f"A source, {relpath(SOURCE)}, with {COMMITS} commits of made-up git history; a MariaDB of its own")
    make_synthetic(SOURCE, COMMITS)
    with EmbeddedServer(HERE / "mariadb") as server:
        os.environ["MARIADB_URL"] = server.url
        engine = sa.create_engine(server.url)
        run("create-tables", show="grep -c Created")
        say("The target lives already: two repositories, three authors and three commits of another team")
        for table, columns in OTHERS.items():
            pd.DataFrame(columns).to_sql(table, engine, if_exists="append", index=False)
        run("sync", show="grep synced,")
        say("A night later the source has a tenth more commits; what is there already is skipped")
        make_synthetic(SOURCE, COMMITS + COMMITS // 10, force=True)
        run("sync", show="grep OVERALL")
        look(engine)
        engine.dispose()
        say("Is every row there, with its values and its parents?")
        run("verify", show="tail -n 1")
    say("Now your own file. This is a rehearsal: a private MariaDB takes the rows, until you name your database")
    for command in ("plan", "create-tables", "sync", "verify"):
        print(f"{PROGRAM} {command} --source my.db")
    return 0


def look(engine: sa.Engine) -> None:
    say("The target, joined over the new ids:")
    print(pd.read_sql(sa.text(JOIN), engine).to_string(index=False))
    say("And the map, from old to new ids:")
    commits = dfsync.load_mappings(OUT)["commits"]
    print(commits.groupby("action").head(1).to_string(index=False))


def run(command: str, *, show: str) -> None:
    """A command as a user types it in this folder, of whose output `show` takes the lines that matter here."""
    out = ["--out", relpath(OUT)] if command in ("sync", "verify") else []
    line = f"{PROGRAM} {shlex.join([command, '--source', relpath(SOURCE), *out])} | {show}"
    print(f"$ {line}", flush=True)
    subprocess.run(["bash", "-o", "pipefail", "-c", line], check=True)


def say(text: str) -> None:
    print(f"\n--- {text}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DfsyncError as error:
        sys.exit(f"demo: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
