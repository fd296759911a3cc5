"""Whether a transaction of a table is larger than the target takes."""

from __future__ import annotations

import math

from dfsync.commands.preflight.inspection import Preflight
from dfsync.plan.binding import bind_unchecked
from dfsync.plan.graph import transaction_groups
from dfsync.plan.model import TablePlan
from dfsync.plan.validation import WARNING, Finding
from dfsync.source.profile import average_row_bytes
from dfsync.text.wording import with_count

_MB = 1_000_000
# What a cluster sends of a row is the row and the keys by which it is certified.
_REPLICATED = 1.5
# Room for what an average does not tell.
_MARGIN = 0.8


def size_findings(preflight: Preflight, plan: TablePlan, rows: int, piece_rows: int | None) -> list[Finding]:
    """Tell of a transaction that is larger than the target takes.

    Parameters
    ----------
    preflight
        Both ends and the plan.
    plan
        The plan of a table.
    rows
        How many of its rows would be inserted.
    piece_rows
        How many of them at a time; None for all.

    Returns
    -------
    list of Finding
        A warning with the number of rows to commit at a time, by the limit that is exceeded most; none where none is.
    """
    source_table, target_table = preflight.tables(plan)
    if not rows or not preflight.limits or source_table is None or target_table is None:
        return []
    names = bind_unchecked(plan, source_table, target_table).names
    sizes = {"rows": 1.0, "bytes": _REPLICATED * average_row_bytes(preflight.source, source_table, names)}
    fitting = [(int(limit.maximum / sizes[limit.unit]), limit) for limit in preflight.limits]
    allowed, limit = min(fitting, key=lambda pair: pair[0])
    divisible = [plan] in transaction_groups(preflight.plan) and plan.name not in plan.parents.values()
    if (min(rows, piece_rows) if piece_rows and divisible else rows) <= allowed:
        return []
    size = f"some {math.ceil(rows * sizes['bytes'] / _MB * 10) / 10} MB"
    taken = f"the server takes {limit.maximum} {limit.unit} in one transaction ({limit.setting})"
    # An estimate has two digits.
    advice = f"sync with --commit-every {max(int(float(f'{allowed * _MARGIN:.1e}')), 1)}"
    if not divisible:
        advice = "set it higher there, since rows that refer to each other are committed together"
    return [Finding(WARNING, plan.name, None, f"its {with_count(rows, 'new rows')} have {size}, and {taken}: {advice}")]
