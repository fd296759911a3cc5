"""A whole process, imports and all: how long it took and the most memory it had."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

SAID = 300


@dataclass(frozen=True)
class Ran:
    """What a step cost. Seconds of the clock; MB of 2**20 bytes, NULL where it ran in the server alone."""

    seconds: float
    peak_mb: float | None = None
    said: str = ""


class NotDone(Exception):
    """A step that did not do its work, in a few words for the table."""


def run(
    command: Sequence[str | Path], folder: Path, patience: float, environment: Mapping[str, str] | None = None
) -> Ran:
    """Runs a command to its end. Raises `NotDone` where it fails or takes longer than `patience` seconds."""
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        timer = Timer(patience, process.kill)
        timer.start()
        try:
            # The memory of this very process: that of "all children so far" would be the largest yet. Linux counts in
            # what the parent had at the start, so this driver imports no pandas.
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        finally:
            timer.cancel()
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read().decode(errors="replace").strip()
    if process.returncode and seconds >= patience:
        raise NotDone(f"not done within {patience:.0f} s")
    if process.returncode:
        raise NotDone(f"exit status {process.returncode}: {said[-SAID:]}")
    return Ran(seconds, used.ru_maxrss / 1024, said)
