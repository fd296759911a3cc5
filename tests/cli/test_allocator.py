"""A large source takes little memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dfsync.cli.allocator import LARGE_SOURCE_BYTES

# What is freed among what is not stays with a process, unless it is given back at once.
FREED = """
import sys
from pathlib import Path
import pyarrow as pa
from dfsync.cli.allocator import release_freed_memory

def held():
    return int(next(line for line in open("/proc/self/status") if line.startswith("RssAnon")).split()[1]) // 1024

release_freed_memory([Path(sys.argv[1])])
bytearray(30 << 20)
before = held()
kept = [bytearray(1 << 20) for _ in range(200)]
del kept[:-1:1]
print(pa.default_memory_pool().backend_name, held() - before)
"""


@pytest.mark.parametrize(("size", "large"), [(LARGE_SOURCE_BYTES - 1, False), (LARGE_SOURCE_BYTES, True)])
def test_of_a_large_source_alone_what_is_freed_goes_back_at_once(tmp_path: Path, size: int, large: bool) -> None:
    source = tmp_path / "s.db"
    with source.open("wb") as file:
        file.truncate(size)
    ran = subprocess.run([sys.executable, "-c", FREED, source], capture_output=True, text=True, check=True)
    pool, megabytes = ran.stdout.split()
    assert (pool == "system") == large
    assert not large or int(megabytes) < 20
