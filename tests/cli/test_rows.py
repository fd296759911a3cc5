"""`rejects`, `differences` and `maps` print what is in the files of a run."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dfsync.cli.render import tables
from dfsync.commands import frames
from tests.support.git_history import create_tables, execute, run_sql
from tests.support.runs.command_line import Cli


@pytest.fixture
def _synced(cli: Cli, target: Engine, target_url: str, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the commits one has no parent, and one was changed in the target since."""
    create_tables(target)
    run_sql(source, "INSERT INTO commits (id, repository_id, hash) VALUES (3, 99, 'z\x1b,\"q\"')")
    monkeypatch.setenv("MARIADB_URL", target_url)
    assert cli("sync").returncode == 1
    execute(target, "UPDATE commits SET message = 'theirs' WHERE hash = 'x'")
    assert cli("verify").returncode == 1


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.usefixtures("_synced")
class TestRows:
    @pytest.mark.parametrize(
        ("command", "told"),
        [
            ("rejects", "commits: 1 rejected row\n"),
            ("differences", "commits: 1 difference\n"),
            ("maps", "commits: 2 mapped rows\nrepositories: 2 mapped rows\n"),
        ],
    )
    def test_without_a_table_lists_those_that_have_some(self, cli: Cli, command: str, told: str) -> None:
        ran = cli(command)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, told, "")
        counts = table(cli(command, "--csv").stdout)
        assert [row["table"] for row in counts] == [line.split(":")[0] for line in told.splitlines()]

    def test_rejects_with_their_reasons(self, cli: Cli) -> None:
        header, row = cli("rejects", "commits").stdout.splitlines()
        assert header.split() == ["old", "id", "column", "value", "reason"]
        assert row.split(maxsplit=3)[:3] == ["3", "repository_id", "99"]
        assert "missing parent" in row
        (row_of_csv,) = table(cli("rejects", "commits", "--csv").stdout)
        assert row_of_csv["old_id"] == "3"
        assert row_of_csv["reason"].startswith("missing parent")
        assert row.endswith(row_of_csv["reason"])

    def test_differences(self, cli: Cli) -> None:
        (row,) = table(cli("differences", "commits", "--csv").stdout)
        assert (row["old_id"], row["kind"], row["column"]) == ("1", "changed", "message")
        assert (row["source_value"], row["target_value"]) == ("", "theirs")

    def test_maps(self, cli: Cli) -> None:
        rows = table(cli("maps", "repositories", "--csv").stdout)
        assert [(row["old_id"], row["action"], row["slug"]) for row in rows] == [
            ("1", "inserted", "my-repo"),
            ("2", "inserted", "other"),
        ]

    def test_of_many_rows_reads_no_more_than_it_shows(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tables, "MAX_ROWS", 1)
        monkeypatch.setattr(frames, "_ROWS", 1)
        parts = frames.read_rows(Path("dfsync-out"), frames.MAPPED, "repositories")
        tables.print_frame(parts, 2, tables.table_console())
        assert [len(part) for part in parts] == [1]
        _, row, more = capsys.readouterr().out.splitlines()
        assert row.split() == ["1", "1", "inserted", "my-repo"]
        assert more == "... and 1 more; --csv prints all of them."

    def test_a_table_without_any(self, cli: Cli) -> None:
        ran = cli("rejects", "repositories")
        assert (ran.returncode, ran.stdout) == (0, "dfsync-out has no rejected rows of repositories.\n")
        assert cli("rejects", "repositories", "--csv").stdout.strip() == ""

    @pytest.mark.parametrize("name", ["comits", "../mappings/commits"])
    def test_a_table_that_is_none(self, cli: Cli, name: str) -> None:
        ran = cli("rejects", name)
        assert ran.returncode == 2
        assert ran.stderr.startswith(f"dfsync: dfsync-out has no rejected rows of a table '{name}'.")
        assert "commits" in ran.stderr

    def test_a_damaged_file(self, cli: Cli) -> None:
        Path("dfsync-out/rejects/commits.parquet").write_bytes(b"no")
        ran = cli("rejects")
        assert ran.returncode == 2
        assert "The file dfsync-out/rejects/commits.parquet cannot be read" in ran.stderr


def test_no_folder(cli: Cli, own_folder: Path) -> None:
    ran = cli("rejects")
    assert ran.returncode == 2
    assert ran.stderr == "dfsync: There is no folder dfsync-out. Name that of the sync with --out.\n"
