"""Of which tables the last run leaves a state, and what has to be as it was for the state to be evidence."""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np

from dfsync.model.types import Mask
from dfsync.output.evidence import MapOrigin
from dfsync.output.folder.state import Segments
from dfsync.pipeline.table.context import TableContext
from dfsync.target.read.checksums import Checksums, can_be_checked


def has_state(table: TableContext) -> bool:
    """Tell whether a state of a table can be evidence: who its rows are, their natural key says, and nothing else.

    Parameters
    ----------
    table
        The table, which is not one of a circle.

    Returns
    -------
    bool
    """
    binding = table.binding
    if not binding.key or binding.id is None or binding.plan.keep_ids:
        return False
    if binding.id_dtype is not np.int64 or table.source.row_ids(binding.plan.name) is not None:
        return False
    return can_be_checked(binding.target.pick(binding.plan.key))


def made_under(table: TableContext) -> dict[str, Any]:
    """Say what has to be as it was for the state of a table to be evidence, as values that JSON takes.

    The source may be another file: a natural key that is as it was has the same target row, whose ever it is.
    """
    binding, dialect = table.binding, table.connection.dialect
    columns = binding.target.pick([binding.id or "", *binding.plan.key])
    server = [dialect.name, bool(getattr(dialect, "is_mariadb", False)), *(dialect.server_version_info or ())]
    return {
        "dfsync": version("dfsync"),
        "server": [str(part) for part in server],
        "origin": asdict(origin(table).of_any_source()),
        "columns": [repr(column) for column in columns],
        "written_as": [column.written_as for column in binding.columns],
    }


def origin(table: TableContext) -> MapOrigin:
    """Say whose rows the map of a table maps."""
    return MapOrigin.of(table.source.files, table.kept_maps.target, table.binding.plan)


def standing(segments: Segments, now: Checksums) -> Mask:
    """Tell which segments are as they were; `now` has one checksum more, of the rows above all of them."""
    count = len(segments)
    as_they_were: Mask = (
        (segments.rows == now.rows[:count])
        & (segments.checksum_1 == now.checksum_1[:count])
        & (segments.checksum_2 == now.checksum_2[:count])
    )
    return as_they_were
