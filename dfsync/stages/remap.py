"""Foreign keys from the source's ids to the target's, by merging with the parents' mappings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dfsync.model import frames
from dfsync.model.batch import Batch
from dfsync.model.rejects import MISSING_PARENT, display_values, no_rejects, reject_frame
from dfsync.plan.model import ForeignKey


def remap(frame: pd.DataFrame, foreign_keys: Sequence[ForeignKey], mappings: Mapping[str, pd.DataFrame]) -> Batch:
    """Every foreign key of the frame with its new value, and the rows whose parent has no target row.

    `frame` is indexed by `old_id`; the columns of foreign keys that it holds are of an Arrow integer dtype.
    `mappings` holds, by parent, `old_id` and `new_id`, one row per source row of the parent that has a target row,
    by ascending `old_id`.
    Gives the frame without the rejected rows, and their reject frame. NULL stays NULL.
    """
    remapped = frame.copy(deep=False)
    rejected = [no_rejects()]
    for foreign_key in foreign_keys:
        if foreign_key.column not in frame.columns:
            continue
        old = frame[foreign_key.column]
        new = new_ids(old, mappings[foreign_key.parent])
        orphans = (old.notna() & new.isna()).to_numpy(dtype=bool)
        if orphans.any():
            rejected.append(orphan_rejects(old[orphans], foreign_key))
        remapped[foreign_key.column] = new
    bad = pd.concat(rejected)
    bad = bad[~bad.index.duplicated()]
    # Not even an empty drop is free: it copies every column.
    return Batch(remapped.drop(index=bad.index) if len(bad) else remapped, bad)


def orphan_rejects(references: pd.Series[Any], foreign_key: ForeignKey) -> pd.DataFrame:
    """The reject frame of rows whose parent has no target row; `references` are the old ids that they refer to."""
    reason = f"{MISSING_PARENT}: {foreign_key.parent} has no row with this id in the target"
    values = references.astype(frames.STRING).to_numpy()
    return reject_frame(references.index, foreign_key.column, values, reason)


def orphan_rejects_by_value(values: pd.Series[Any], parent: str, referenced: str) -> pd.DataFrame:
    """The reject frame of rows that refer to `parent` by a value that no row of it has in the column `referenced`;
    `values` as they were extracted, under the name of their column."""
    reason = f"{MISSING_PARENT}: {parent} has no row with this {referenced} in the target"
    return reject_frame(values.index, str(values.name), display_values(frames.as_arrow(values)), reason)


def new_ids(old: pd.Series[Any], mapping: pd.DataFrame) -> pd.Series[Any]:
    """The new id for each old one, NULL where there is none; the index of `old` stays."""
    wanted = pd.DataFrame({frames.OLD_ID: old.array}).astype(frames.INT64)
    merged = wanted.merge(_near(wanted[frames.OLD_ID], mapping), on=frames.OLD_ID, how="left")
    return merged[frames.NEW_ID].set_axis(old.index)


def _near(wanted: pd.Series[Any], mapping: pd.DataFrame) -> pd.DataFrame:
    """The part of the mapping between the lowest and the highest id wanted, since it may have millions of rows."""
    known = mapping[frames.OLD_ID].to_numpy(dtype=np.int64)
    low, high = wanted.min(), wanted.max()
    part = slice(0) if pd.isna(low) else slice(np.searchsorted(known, low), np.searchsorted(known, high, "right"))
    return mapping[[frames.OLD_ID, frames.NEW_ID]].iloc[part].astype({frames.OLD_ID: frames.INT64})
