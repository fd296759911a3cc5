"""The shape of the program: who imports whom, how long a file is, how full a folder, what a package says of itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "dfsync"
FILES = sorted(PACKAGE.rglob("*.py"))
FOLDERS = sorted({file.parent for file in FILES})
MOST_LINES = 400
MOST_ENTRIES = 10


def name(path: Path) -> str:
    """The path as a test shows it."""
    return path.relative_to(ROOT).as_posix()


def test_the_import_contracts_hold() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    ran = subprocess.run(
        [command, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("file", FILES, ids=name)
def test_no_file_is_too_long(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


# The contract of the layers lists the packages of dfsync/ itself.
@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if folder != PACKAGE], ids=name)
def test_no_folder_is_too_full(folder: Path) -> None:
    entries = {entry.name for entry in folder.iterdir()} - {"__init__.py", "__pycache__"}
    assert len(entries) <= MOST_ENTRIES, sorted(entries)


@pytest.mark.parametrize("folder", FOLDERS, ids=name)
def test_every_package_says_what_is_in_it(folder: Path) -> None:
    assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
