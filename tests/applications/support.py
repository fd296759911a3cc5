"""Databases that applications make themselves, each by its packages in a virtual environment of its own.

`make test-applications` makes `.venv-applications/NAME` of `.ci/applications/NAME.txt`: the packages of an application
need other versions than dfsync does, so its code runs in another process.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VARIABLE = "DFSYNC_TEST_APPLICATIONS"


def needs(application: str) -> pytest.MarkDecorator:
    """Mark tests that need an application, by the name of its list of packages."""
    wanted, there = bool(os.environ.get(VARIABLE)), python_of(application).exists()
    reason = f"`make test-applications` installs {application} and runs this"
    return pytest.mark.skipif(not (wanted and there), reason=reason)


def python_of(application: str) -> Path:
    """The interpreter that has the packages of an application."""
    return ROOT / ".venv-applications" / application / "bin" / "python"


def run(application: str, *args: str | Path, folder: Path | None = None, **environment: str) -> str:
    """Run a program with the interpreter of an application.

    Parameters
    ----------
    application
        The name of its list of packages.
    args
        A script and its arguments, or `-m` and a module.
    folder
        Where it runs.
    environment
        More variables.

    Returns
    -------
    str
        What it printed.
    """
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "MARIADB"))}
    ran = subprocess.run(
        [python_of(application), *args],
        cwd=folder,
        env=env | {"PYTHONDONTWRITEBYTECODE": "1"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, f"{ran.stdout[-2000:]}\n{ran.stderr[-4000:]}"
    return ran.stdout
