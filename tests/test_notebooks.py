"""The notebooks run from top to bottom, and what is committed is what comes out."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from execute import NAMES, SECONDS, execute

ROOT = Path(__file__).parents[1]
NUMBER = re.compile(r"[\d.,:-]*\d")


def cells(path: Path) -> list[Any]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def texts(path: Path) -> list[list[str]]:
    """What each cell shows as text, without its numbers: ids are the server's, and another version may count on
    another way."""
    return [[" ".join(NUMBER.sub("0", text).split()) for text in shown(cell)] for cell in cells(path)]


def shown(cell: Any) -> list[str]:
    return [output.get("text") or output.get("evalue") or output.data["text/plain"] for output in cell.outputs]


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_from_top_to_bottom_in_less_than_a_minute(tmp_path: Path, name: str) -> None:
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    shutil.copytree(ROOT / "data", tmp_path / "data", ignore=lambda _, names: [n for n in names if "." not in n])
    before = os.times()
    execute(tmp_path / "notebooks" / name)
    after = os.times()
    # The work and not the waiting, since other tests run at the same time; a cell has this long on the clock, too.
    assert sum(after[2:4]) - sum(before[2:4]) < SECONDS
    assert texts(tmp_path / "notebooks" / name) == texts(ROOT / "notebooks" / name), "run `make notebook` and look"


@pytest.mark.parametrize("name", NAMES)
def test_its_outputs_are_complete_and_clean(name: str) -> None:
    path = ROOT / "notebooks" / name
    code = cells(path)
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.get("name") == "stderr" or output.output_type == "error"]
    for text in [text for cell in code for text in shown(cell)]:
        assert not re.search(r"(^|[\s'\"=(])/\w+/|\w:\\", text), f"a path of one machine: {text}"
