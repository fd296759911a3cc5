"""The page about a fresh target: its example runs, and says what is shown."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dfsync.__main__ import main
from tests.docs.test_readme import shows
from tests.support.git_history import execute, run_sql

PAGE = (Path(__file__).parents[2] / "docs" / "fresh-target.md").read_text(encoding="utf-8")
SOURCE, TARGET = re.findall(r"```sql\n(.*?)```", PAGE, flags=re.DOTALL)
CONSOLE = dict(re.findall(r"```console\n\$ python -m dfsync (.*?)\n(.*?)```", PAGE, flags=re.DOTALL))


def test_the_example_is_whole() -> None:
    assert [command.split()[-1] for command in CONSOLE] == ["--keep-ids", "update", "--keep-ids=strict"]


@pytest.mark.parametrize("command", CONSOLE)
def test_the_commands_print_what_the_page_shows(
    tmp_path: Path, target: Engine, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_sql(tmp_path / "wiki.db", SOURCE)
    execute(target, *TARGET.strip().rstrip(";").split(";\n"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MARIADB_URL", target.url.render_as_string(hide_password=False))
    monkeypatch.setenv("COLUMNS", "100")
    status = main(shlex.split(command))
    printed = capsys.readouterr()
    if command.endswith("=strict"):
        assert status == 2
        assert CONSOLE[command].removeprefix("...\n").split() == printed.err.split()
        return
    assert status == 0
    assert shows(CONSOLE[command], printed.out), printed.out
