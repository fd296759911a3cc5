"""dfsync brings the rows of a SQLite database into a MariaDB or MySQL database that already lives."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dfsync.errors import DfsyncError as DfsyncError
    from dfsync.options import Options as Options
    from dfsync.result import Observer as Observer
    from dfsync.result import SyncResult as SyncResult
    from dfsync.result import load_mappings as load_mappings
    from dfsync.sync import sync as sync

__version__ = "0.1.0"

_HOME = {
    "sync": "dfsync.sync",
    "SyncResult": "dfsync.result",
    "Observer": "dfsync.result",
    "load_mappings": "dfsync.result",
    "Options": "dfsync.options",
    "DfsyncError": "dfsync.errors",
}
__all__ = ["DfsyncError", "Observer", "Options", "SyncResult", "__version__", "load_mappings", "sync"]


def __getattr__(name: str) -> Any:
    # Imported when asked for: pandas and Arrow take longer to come than `--help` should.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
