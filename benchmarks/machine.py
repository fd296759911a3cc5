"""What the figures were measured on: without it they are worth nothing."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("dfsync", "pandas", "pyarrow", "SQLAlchemy", "PyMySQL", "connectorx", "sqlite3-to-mysql", "dbmerge")
_SYNCS = 100


def describe(folder: Path, server: str, options: Sequence[str]) -> dict[str, str]:
    """The machine, by heading: `folder` is on the disk that the server writes to."""
    return {
        "CPU": f"{_cpu()}, {os.cpu_count()} cores",
        "Memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "Disk": f"{_disk(folder)}, {_sync_milliseconds(folder):.1f} ms to write and sync 4 KiB",
        "System": f"{platform.system()} {platform.release()}",
        "Server": f"{server} on the same machine, through a unix socket, {' '.join(options)}, the rest its defaults",
        "Python": f"{platform.python_version()}; " + ", ".join(f"{name} {version(name)}" for name in PACKAGES),
    }


def state_of_code(root: Path) -> str:
    """A digest of the code that is measured and of what it is measured with."""
    digest = hashlib.sha256()
    for path in sorted([*root.glob("dfsync/**/*.py"), *root.glob("benchmarks/*.py"), root / "requirements.txt"]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def processor_time() -> tuple[int, int]:
    """All of the processors' time so far, and what a hypervisor gave of it to others ("steal"), in ticks.

    https://man7.org/linux/man-pages/man5/proc_stat.5.html
    """
    times = Path("/proc/stat")
    ticks = [int(field) for field in times.read_text().split("\n")[0].split()[1:9]] if times.exists() else [0] * 8
    return sum(ticks), ticks[7]


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE) if info.exists() else None
    return found[1] if found else platform.machine()


def _disk(folder: Path) -> str:
    asked = ["df", "--output=source,fstype", str(folder)]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.splitlines()
    return " ".join(answer[-1].split()[::-1]) if answer else "unknown"


def _sync_milliseconds(folder: Path) -> float:
    path = folder / "disk"
    with open(path, "wb") as file:
        started = time.perf_counter()
        for _ in range(_SYNCS):
            file.write(bytes(4096))
            file.flush()
            os.fdatasync(file.fileno())
        seconds = time.perf_counter() - started
    path.unlink()
    return seconds / _SYNCS * 1000
