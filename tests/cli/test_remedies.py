"""An error names parameters to a caller in Python, and options and commands on the command line."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from dfsync.cli.main import run
from dfsync.cli.remedies import OPTION_NAMES, error_message
from dfsync.model.errors import PYTHON_NAMES, DfsyncError, Remedy
from dfsync.target.config.location import named_target
from dfsync.text.wording import command_line
from tests.support.runs.command_line import Cli

MISSING_TABLES = "`{create_tables}`, with {target} if you gave one, makes them."


@pytest.mark.parametrize(
    ("remedy", "in_python", "on_the_command_line"),
    [
        (
            Remedy("Choose another {out}, or sync without {tables}."),
            "Choose another out=, or sync without SyncOptions(tables=...).",
            "Choose another --out, or sync without --tables.",
        ),
        (Remedy("Name a file with {source}."), "Name a file with source=.", "Name a file with --source."),
        (Remedy("Add {force}."), "Add force=True.", "Add --force."),
        (
            Remedy(MISSING_TABLES, source=Path("my.db")),
            "`dfsync.create_tables('my.db')`, with target= if you gave one, makes them.",
            "`python -m dfsync create-tables --source my.db`, with --target if you gave one, makes them.",
        ),
        (
            Remedy(MISSING_TABLES, source="a b.db", plan=Path("{p}.toml")),
            "`dfsync.create_tables('a b.db', options=dfsync.SyncOptions(plan='{p}.toml'))`, with target= if you gave "
            "one, makes them.",
            "`python -m dfsync create-tables --source 'a b.db' --plan '{p}.toml'`, with --target if you gave one, "
            "makes them.",
        ),
        (
            Remedy("`{create_tables}` makes them.", source="my.db", exclude=("knex_*", "a"), keep_ids="free"),
            "`dfsync.create_tables('my.db', options=dfsync.SyncOptions(exclude=['knex_*', 'a'], keep_ids='free'))` "
            "makes them.",
            "`python -m dfsync create-tables --source my.db --exclude 'knex_*' --exclude a --keep-ids=free` makes "
            "them.",
        ),
    ],
)
def test_a_remedy_is_worded_for_each(remedy: Remedy, in_python: str, on_the_command_line: str) -> None:
    error = DfsyncError("The {out} is full.", remedy)
    assert str(error) == f"The {{out}} is full. {in_python}"
    assert error_message(error) == f"The {{out}} is full. {on_the_command_line}"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_both_name_the_same_parameters() -> None:
    assert OPTION_NAMES.keys() == PYTHON_NAMES.keys()


def test_an_error_without_a_remedy_is_its_message() -> None:
    assert str(DfsyncError("Full.")) == error_message(DfsyncError("Full.")) == "Full."


def test_several_errors_are_said_as_one() -> None:
    error = DfsyncError.combined([DfsyncError("No source.", Remedy("Give {source}.")), DfsyncError("No server.")])
    assert str(error) == "No source. Give source=. No server."
    assert error_message(error) == "No source. Give --source. No server."


def test_a_line_break_parts_the_two() -> None:
    assert str(DfsyncError("It failed:\n", Remedy("Use {target}."))) == "It failed:\nUse target=."


def test_the_target_is_called_as_its_user_calls_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    source = tmp_path / "source.db"
    source.touch()
    with pytest.raises(DfsyncError, match=r"^The target URL of target= is empty"):
        named_target(" ")
    assert run(["sync", "--source", str(source), "--target", " "]) == 2
    assert capsys.readouterr().err.startswith("dfsync: The target URL of --target is empty")


def test_a_command_names_options(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["report", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"dfsync: {tmp_path} has no summary.json: it is not the folder of a finished sync. Name the --out of one, or "
        "run a sync first; a dry run leaves no files.\n"
    )


@pytest.mark.parametrize(("path", "name"), [("/usr/bin/dfsync", "dfsync"), ("x/__main__.py", "python -m dfsync")])
def test_the_program_is_named_as_it_was_called(cli: Cli, monkeypatch: pytest.MonkeyPatch, path: str, name: str) -> None:
    monkeypatch.setattr("sys.argv", [path])
    assert command_line("check", "my.db") == f"{name} check --source my.db"
    shown = cli("check", "--help").stdout
    assert f"\n    {name} check --source my.db\n" in shown
    assert ("python -m dfsync" in shown) == (name != "dfsync")
