"""The stages of a table as pure functions, frames in and frames out: `conform`, `remap`, `match` and `diff`.

Imports the plan and the model. No connection, no file, no clock.
"""

from dfsync.stages.conform.conform import conform
from dfsync.stages.diff import diff
from dfsync.stages.match import match
from dfsync.stages.remap import remap

__all__ = ["conform", "diff", "match", "remap"]
