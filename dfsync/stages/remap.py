"""Replace foreign keys' source ids by target ids, by merging with the parents' mappings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dfsync.model import frames
from dfsync.model.batch import Batch, ValueNote
from dfsync.model.rejects import MISSING_PARENT, display_values, no_rejects, reject_frame
from dfsync.model.types import OldIds
from dfsync.plan.model import ForeignKey

EMPTIED = 'the foreign key is NULL, since the parent has no target row (on_missing_parent = "null")'
"""What is noted of an optional reference."""


@dataclass(frozen=True)
class Absence:
    """Why rows of a parent have no target row.

    Attributes
    ----------
    rejected
        The old ids of those that are rejects.
    of_table
        What is true of the others, in words that go on after `has no row with this id in the target`.
    """

    rejected: OldIds
    of_table: str


def remap(
    frame: pd.DataFrame,
    foreign_keys: Sequence[ForeignKey],
    mappings: Mapping[str, pd.DataFrame],
    optional: Collection[str] = (),
    absences: Mapping[str, Absence] | None = None,
) -> Batch:
    """Replace the source ids in every foreign key by target ids.

    Parameters
    ----------
    frame
        Conformed rows: index `old_id` (int64, unique); the columns of foreign keys are Arrow integers.
    foreign_keys
        Those whose column the frame does not have are passed over.
    mappings
        By parent table, the source rows that have a target row, by ascending `old_id`: `old_id` (int64) and `new_id`
        (Arrow integer).
    optional
        The columns that become NULL where the parent has no target row.
    absences
        By parent table why rows of it have no target row, as far as that is known.

    Returns
    -------
    Batch
        The frame with the new ids, NULL where a foreign key is NULL, without the rows of which a parent has no target
        row; these are the rejects, each with the first such foreign key that is not `optional`. What became NULL is
        noted as `EMPTIED`.
    """
    remapped = frame.copy(deep=False)
    rejected = [no_rejects()]
    notes = []
    for foreign_key in foreign_keys:
        if foreign_key.column not in frame.columns:
            continue
        old = frame[foreign_key.column]
        new = new_ids(old, mappings[foreign_key.parent])
        is_orphan = (old.notna() & new.isna()).to_numpy(dtype=bool)
        if not is_orphan.any():
            pass
        elif foreign_key.column in optional:
            notes.append(ValueNote(foreign_key.column, EMPTIED, old.index.to_numpy(dtype=np.int64)[is_orphan]))
        else:
            absence = (absences or {}).get(foreign_key.parent)
            rejected.append(orphan_rejects(old[is_orphan], foreign_key, absence))
        remapped[foreign_key.column] = new
    rejects = pd.concat(rejected)
    rejects = rejects[~rejects.index.duplicated()]
    # Not even an empty drop is free: it copies every column.
    return Batch(remapped.drop(index=rejects.index) if len(rejects) else remapped, rejects, tuple(notes))


def new_ids(old: pd.Series[Any], mapping: pd.DataFrame) -> pd.Series[Any]:
    """Look up the new id of each old one.

    Parameters
    ----------
    old
        Arrow integers, of any index.
    mapping
        As `remap` takes it: `old_id` (int64, ascending) and `new_id` (Arrow integer).

    Returns
    -------
    pandas.Series
        Of the dtype of `new_id`, with the index of `old`; NULL where the mapping has no such id.
    """
    requested = pd.DataFrame({frames.OLD_ID: old.array}).astype(frames.INT64)
    merged = requested.merge(_requested_range(requested[frames.OLD_ID], mapping), on=frames.OLD_ID, how="left")
    return merged[frames.NEW_ID].set_axis(old.index)


def orphan_rejects(references: pd.Series[Any], foreign_key: ForeignKey, absence: Absence | None = None) -> pd.DataFrame:
    """Return the rejects of rows whose parent has no target row.

    Parameters
    ----------
    references
        The old ids that the rows refer to (Arrow integers): index `old_id`.
    foreign_key
        The foreign key that holds them.
    absence
        Why rows of the parent have no target row; None where it is not known.

    Returns
    -------
    pandas.DataFrame
        As `dfsync.model.rejects.reject_frame`.
    """
    sentence = f"{MISSING_PARENT}: {foreign_key.parent} has no row with this id in the target"
    reason: str | pd.Series[Any] = sentence
    if absence is not None:
        is_reject = pa.array(references.isin(absence.rejected).to_numpy(dtype=bool))
        of_rejects, of_others = f"{sentence}, since it is a reject itself", f"{sentence}, {absence.of_table}"
        reason = frames.series(pc.if_else(is_reject, of_rejects, of_others))
    values = references.astype(frames.STRING).to_numpy()
    return reject_frame(references.index, foreign_key.column, values, reason)


def orphan_rejects_by_value(values: pd.Series[Any], parent: str, referenced: str) -> pd.DataFrame:
    """Return the rejects of rows that refer by value to a row that their parent does not have.

    Parameters
    ----------
    values
        As extracted, of an Arrow dtype, under the name of their column: index `old_id`.
    parent
        The table that the rows refer to.
    referenced
        The column of it that was to have these values.

    Returns
    -------
    pandas.DataFrame
        As `dfsync.model.rejects.reject_frame`.
    """
    reason = f"{MISSING_PARENT}: {parent} has no row with this {referenced} in the target"
    return reject_frame(values.index, str(values.name), display_values(frames.as_arrow(values)), reason)


def _requested_range(requested: pd.Series[Any], mapping: pd.DataFrame) -> pd.DataFrame:
    """Return the mapping from the lowest to the highest requested id, since it may have millions of rows."""
    known = mapping[frames.OLD_ID].to_numpy(dtype=np.int64)
    low, high = requested.min(), requested.max()
    part = slice(0) if pd.isna(low) else slice(np.searchsorted(known, low), np.searchsorted(known, high, "right"))
    return mapping[[frames.OLD_ID, frames.NEW_ID]].iloc[part].astype({frames.OLD_ID: frames.INT64})
