"""How many values the target's columns changed, column by column."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from dfsync.model.batch import ValueNote
from dfsync.model.types import OldIds
from dfsync.output.result import ChangedValues
from dfsync.pipeline.table.ledger import RowLedger

_IN_KEY = "; it is in the natural key, so rows that become alike share one target row"


def count_changed_values(
    notes: Iterable[ValueNote], ledger: RowLedger, key_names: Sequence[str]
) -> list[ChangedValues]:
    """Count the values that notes are about, each source row once, however often it was read.

    Parameters
    ----------
    notes
        Of all reads of a table.
    ledger
        Says which rows have a target row; the others are rejects, and not counted.
    key_names
        The columns of the natural key.

    Returns
    -------
    list of ChangedValues
        One for each column and note, in the order in which they came first.
    """
    ids: dict[tuple[str, str], list[OldIds]] = {}
    for note in notes:
        ids.setdefault((note.column, note.text), []).append(note.ids)
    resolved = ledger.old_id[ledger.resolved] if ids else ledger.old_id
    counts = {key: _count(np.concatenate(parts), resolved) for key, parts in ids.items()}
    return [
        ChangedValues(column=column, note=text + _IN_KEY * (column in key_names), rows=rows)
        for (column, text), rows in counts.items()
        if rows
    ]


def _count(ids: OldIds, resolved: OldIds) -> int:
    """Count the distinct ids that are among those of the other array, which are ascending and distinct."""
    return int(np.isin(resolved, ids, assume_unique=False).sum())
