"""A table's mapping frame, part by part, from its outcome and the natural keys that were kept on the disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from dfsync.model import frames
from dfsync.model.frames import INSERTED, empty_frame
from dfsync.pipeline.table.context import TableContext
from dfsync.pipeline.table.ledger import RowLedger

_ROWS_PER_PART = 200_000
_TAKEN = (frames.OLD_ID, frames.NEW_ID, frames.ACTION)


def mapping(table: TableContext, outcome: RowLedger, *, dry_run: bool) -> Iterator[pd.DataFrame]:
    """By ascending `old_id`, of the rows that have a target row: `old_id`, `new_id`, `action`, and the natural key's
    columns with the target's values. At least one part, which may be empty.

    `new_id` is NULL where a dry run would insert the row. A key's column that is called like one of ours gets `_key`
    behind its name.
    """
    shape = table.binding
    names = _unique_names([column.name for column in shape.key])
    new = outcome.is_new() if dry_run else None
    for part, keys in _parts(table, outcome) if shape.key else _slices(outcome):
        made = outcome.mapping_slice(part)
        if new is not None:
            made[frames.NEW_ID] = made[frames.NEW_ID].where(~new[part][outcome.resolved[part]])
        own = keys.loc[made.index].set_axis(names, axis=1)
        yield pd.concat([made, own], axis=1).rename_axis(frames.OLD_ID).reset_index()


def _slices(outcome: RowLedger) -> Iterator[tuple[slice, pd.DataFrame]]:
    for start in range(0, max(len(outcome), 1), _ROWS_PER_PART):
        part = slice(start, start + _ROWS_PER_PART)
        yield part, pd.DataFrame(index=outcome.old_id[part])


def _parts(table: TableContext, outcome: RowLedger) -> Iterator[tuple[slice, pd.DataFrame]]:
    """Runs of rows of the outcome, by places, with the natural keys of their target rows."""
    followers = outcome.resolved & ~outcome.is_representative
    leaders = np.unique(outcome.representative_id[followers])
    overtaken = pd.concat([empty_frame(table.binding.key), *table.inserted_by_others])
    leaders = leaders[outcome.with_action(INSERTED)[outcome.positions(leaders)] | np.isin(leaders, overtaken.index)]
    # Before all others, since a row may follow one that comes after it.
    read = _keys(table) if len(leaders) else []
    led = pd.concat([empty_frame(table.binding.key), *(keys[np.isin(keys.index, leaders)] for keys in read)])
    led = _override(led, overtaken)
    done = 0
    for keys in _keys(table):
        end = int(np.searchsorted(outcome.old_id, keys.index[-1], "right")) if len(keys) else done
        part = slice(done, end)
        keys = _override(keys, overtaken)
        yield part, _override(keys, _representative_keys(outcome, part, led))
        done = end
    yield slice(done, len(outcome)), empty_frame(table.binding.key)


def _representative_keys(outcome: RowLedger, part: slice, led: pd.DataFrame) -> pd.DataFrame:
    """The keys of the rows whose target row another row of the source has made: what that one put there."""
    follows = np.flatnonzero(outcome.resolved[part] & ~outcome.is_representative[part])
    leaders = outcome.representative_id[part][follows]
    known = np.isin(leaders, led.index)
    return pd.DataFrame(led.loc[leaders[known]].set_axis(outcome.old_id[part][follows[known]]))


def _override(keys: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """The keys, those of `others` in place of their own."""
    others = others.loc[others.index.isin(keys.index)]
    return keys if others.empty else pd.concat([keys.drop(index=others.index), others]).sort_index()


def _keys(table: TableContext) -> Iterable[pd.DataFrame]:
    """The keys by ascending `old_id`."""
    if table.keys:
        return table.keys[0].read()
    return [table.all_level_keys().sort_index()]


def _unique_names(key: list[str]) -> list[str]:
    """No two alike, and none like ours."""
    names: list[str] = []
    for name in key:
        while name.lower() in {*_TAKEN, *(other.lower() for other in names)}:
            name = f"{name}_key"
        names.append(name)
    return names
