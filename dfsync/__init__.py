"""dfsync brings the rows of a SQLite database into a MariaDB or MySQL database that already lives."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dfsync.create_tables import create_tables as create_tables
    from dfsync.errors import DfsyncError as DfsyncError
    from dfsync.options import Options as Options
    from dfsync.result import Observer as Observer
    from dfsync.result import SyncResult as SyncResult
    from dfsync.result import load_mappings as load_mappings
    from dfsync.server import EmbeddedServer as EmbeddedServer
    from dfsync.sync import sync as sync
    from dfsync.verify import VerifyResult as VerifyResult
    from dfsync.verify import verify as verify

__version__ = "0.1.0"

_HOME = {
    "sync": "dfsync.sync",
    "verify": "dfsync.verify",
    "VerifyResult": "dfsync.verify",
    "SyncResult": "dfsync.result",
    "Observer": "dfsync.result",
    "load_mappings": "dfsync.result",
    "Options": "dfsync.options",
    "DfsyncError": "dfsync.errors",
    "EmbeddedServer": "dfsync.server",
    "create_tables": "dfsync.create_tables",
}
__all__ = [
    "DfsyncError",
    "EmbeddedServer",
    "Observer",
    "Options",
    "SyncResult",
    "VerifyResult",
    "__version__",
    "create_tables",
    "load_mappings",
    "sync",
    "verify",
]


class _Package(ModuleType):
    """Imports what it exports when it is asked for: pandas and Arrow take longer to come than `--help` should.

    As properties, so that `dfsync.sync` stays the function after the module of the same name has been imported.
    """


def _exported(name: str, home: str) -> property:
    def get(_: _Package) -> Any:
        return getattr(import_module(home), name)

    def passed_over(_: _Package, module: ModuleType) -> None:
        """The import system puts every submodule into its package."""

    return property(get, passed_over)


for _name, _module in _HOME.items():
    setattr(_Package, _name, _exported(_name, _module))
sys.modules[__name__].__class__ = _Package
