"""The notebooks run from top to bottom, and what is committed is what comes out."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest
from sqlalchemy import Engine

import dfsync
from notebooks.execute import NAMES, SECONDS, execute
from tests.support.git_history import run_sql

ROOT = Path(__file__).parents[2]
APP = """CREATE TABLE persons (person_no INTEGER PRIMARY KEY, full_name TEXT NOT NULL UNIQUE, born DATE NOT NULL,
    father_no INTEGER REFERENCES persons (person_no));
CREATE TABLE friends (person_no INTEGER NOT NULL REFERENCES persons (person_no),
    friend_no INTEGER NOT NULL REFERENCES persons (person_no), PRIMARY KEY (person_no, friend_no));
INSERT INTO persons VALUES (1, 'Anna', '1931-05-01', NULL), (2, 'Karl', '1929-11-12', NULL);
INSERT INTO friends VALUES (1, 2);"""
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
    shutil.copytree(ROOT / "data", tmp_path / "data", ignore=shutil.ignore_patterns("demo", "mariadb", "*.db*"))
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


def test_its_instructions_lead_to_runs_of_ones_own(tmp_path: Path, target: Engine) -> None:
    """A table without an id, an id that is not called so, and no row that changed its id."""
    source = run_sql(tmp_path / "my.db", APP)
    dfsync.create_tables(source, target.url)
    dfsync.sync(source, target.url, out=tmp_path / "runs" / "monday")
    run_sql(source, "INSERT INTO persons VALUES (3, 'Eva', '1958-02-28', 2); INSERT INTO friends VALUES (1, 3)")
    assert dfsync.sync(source, target.url, out=tmp_path / "runs" / "friday").ok

    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    path = tmp_path / "notebooks" / "analysis.ipynb"
    notebook = nbformat.read(path, as_version=4)
    (lines,) = re.findall(r"```python\n(.*?)```", notebook.cells[0].source, flags=re.DOTALL)
    mine = {
        "sqlite:///my.db": f"sqlite:///{source}",
        "mysql+pymysql://user:password@host/database": target.url.render_as_string(hide_password=False),
        '"folder"': f'"{tmp_path / "runs"}"',
    }
    for example, own in mine.items():
        assert example in lines
        lines = lines.replace(example, own)
    _, example_cell, *_, last = [cell for cell in notebook.cells if cell.cell_type == "code"]
    example_cell.source = lines
    notebook.cells.remove(last)
    nbformat.write(notebook, path)
    execute(path)
    crosswalk = pd.read_csv(tmp_path / "runs" / "crosswalk.csv")
    assert list(crosswalk["table"]) == ["persons"] * 3
