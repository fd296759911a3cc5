"""The README and the pages: what they show is what the commands print, and no command, option or key is left out."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from sqlalchemy import Engine

from data.sample import make_synthetic
from data.sample.laptops import make_laptops
from dfsync.cli.app import app
from dfsync.plan.file import BUILT_IN, SETTINGS
from tests.support.git_history import execute

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS_PAGE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
PYTHON = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
PLANS = (ROOT / "docs" / "plans.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
COMMANDS = dict(typer.main.get_group(app).commands)
CONSOLE = re.findall(r"```console\n\$ (.*?)\n(.*?)```", COMMANDS_PAGE, flags=re.DOTALL)


def shows(shown: str, printed: str) -> bool:
    """Whether the lines are those that were printed; `...` stands for anything in a line, or for any lines alone."""
    rest = [line.rstrip() for line in printed.splitlines()]
    skipping = False
    for line in shown.splitlines():
        if line == "...":
            skipping = True
            continue
        pattern = re.escape(line).replace(r"\.\.\.", ".*")
        place = next((at for at, real in enumerate(rest) if re.fullmatch(pattern, real)), None)
        if place is None or (place and not skipping):
            return False
        rest, skipping = rest[place + 1 :], False
    return skipping or not any(rest)


def test_the_page_of_commands_shows_what_the_commands_print(tmp_path: Path) -> None:
    make_synthetic(tmp_path / "git_history.db", 2_000)
    make_laptops(tmp_path / "laptops")
    environment = {key: value for key, value in os.environ.items() if key != "MARIADB_URL"}
    environment |= {"PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    assert len(CONSOLE) >= 6
    for command, shown in CONSOLE:
        words = shlex.split(command)
        assert words[0] == "python"
        ran = subprocess.run(
            [sys.executable, *words[1:]], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        assert shows(shown, ran.stdout), f"$ {command}\n{ran.stdout}\n--- not as\n{shown}"


def test_the_undo_of_the_page_keeps_what_it_shows(tmp_path: Path, target: Engine) -> None:
    make_synthetic(tmp_path / "git_history.db", 2_000)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MARIADB_URL": target.url.render_as_string(False)}

    def dfsync(*arguments: str) -> str:
        command = [sys.executable, "-m", "dfsync", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        ).stdout

    dfsync("create-tables")
    dfsync("sync", "-q")
    execute(target, "UPDATE commits SET message = 'theirs' ORDER BY id LIMIT 1")
    (block,) = re.findall(r"^```\n(Run .*?)^```", COMMANDS_PAGE, flags=re.MULTILINE | re.DOTALL)
    shown = re.sub(r"\d{8}T\d{9}Z-[0-9a-f]{6}", "...", block)
    printed = dfsync("undo").split("\n", 1)[1]
    assert shows(shown, printed), printed


def test_the_python_of_the_page_runs(tmp_path: Path, target: Engine) -> None:
    make_synthetic(tmp_path / "git_history.db", 100)
    shutil.copy(BUILT_IN, tmp_path / "my-plan.toml")
    (script,) = re.findall(r"^```python\n(from pathlib.*?)^```", PYTHON, flags=re.MULTILINE | re.DOTALL)
    example = "mysql://user:password@host/database"
    assert example in script
    script = script.replace(example, target.url.render_as_string(hide_password=False))
    environment = {key: value for key, value in os.environ.items() if key != "MARIADB_URL"} | {"PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_readme(command: str) -> None:
    assert f"`{command}`" in README
    assert f"`{command}`" in COMMANDS_PAGE or f"dfsync {command}" in COMMANDS_PAGE


@pytest.mark.parametrize(
    "option",
    sorted({name for command in COMMANDS.values() for p in command.params for name in p.opts if name.startswith("--")}),
)
def test_every_option_is_in_the_docs(option: str) -> None:
    assert re.search(rf"{option}\b", README + COMMANDS_PAGE + PLANS + OPERATIONS)


@pytest.mark.parametrize("key", SETTINGS)
def test_every_plan_key_is_taught(key: str) -> None:
    assert re.search(rf"`{key}`|^{key} =", PLANS, flags=re.MULTILINE)
