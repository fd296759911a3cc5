"""A table's mapping frame, part by part, from its ledger and the spooled natural keys."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa

from dfsync.model import frames
from dfsync.model.frames import INSERTED, empty_frame
from dfsync.model.source_file import SOURCE
from dfsync.pipeline.table.ledger import RowLedger
from dfsync.pipeline.table.spool import KeyFrames
from dfsync.plan.binding import TableBinding

_ROWS_PER_PART = 200_000
_RESERVED = (frames.OLD_ID, frames.NEW_ID, frames.ACTION)


def mapping_parts(
    binding: TableBinding,
    ledger: RowLedger,
    keys: KeyFrames | None,
    known_keys: pd.DataFrame,
    *,
    dry_run: bool,
    of_several: bool = False,
) -> Iterator[pd.DataFrame]:
    """Make the mapping frame of a table.

    Parameters
    ----------
    binding
        The table.
    ledger
        What became of its rows; only read.
    keys
        The natural keys of the rows, by ascending `old_id`; None where the table has none.
    known_keys
        The keys of rows whose target row another client inserted; index `old_id`.
    dry_run
        `new_id` is NULL where a run would insert the row.
    of_several
        Whether the name of the source will stand beside the columns.

    Yields
    ------
    DataFrame
        By ascending `old_id`, of the rows that have a target row: `old_id`, `new_id`, `action`, and the natural key's
        columns with the target's values; a column that is called like one of ours gets `_key` behind its name. At
        least one part, which may be empty.
    """
    names = _unique_names(binding.key_names, of_several=of_several)
    is_new = ledger.is_new() if dry_run else None
    parts = _slices(ledger) if keys is None else _keyed_slices(binding, ledger, keys, known_keys)
    for rows, part in parts:
        mapped = ledger.mapping_slice(rows)
        if is_new is not None:
            mapped[frames.NEW_ID] = mapped[frames.NEW_ID].where(~is_new[rows][ledger.resolved[rows]])
        own = part.loc[mapped.index].set_axis(names, axis=1)
        yield pd.concat([mapped, own], axis=1).rename_axis(frames.OLD_ID).reset_index()


def inserted_part(
    binding: TableBinding, new_ids: pd.Series[int], keys: pd.DataFrame, *, of_several: bool = False
) -> pd.DataFrame:
    """Make a part of the mapping frame of rows that were inserted.

    Parameters
    ----------
    binding
        The table.
    new_ids
        Their new ids; index `old_id`.
    keys
        The natural keys of these rows, and maybe of others; index `old_id`.
    of_several
        As of `mapping_parts`.

    Returns
    -------
    DataFrame
        As of `mapping_parts`.
    """
    ids = np.asarray(new_ids).astype(binding.id_dtype, copy=False)
    columns = {frames.NEW_ID: pa.array(ids), frames.ACTION: pa.repeat(INSERTED, len(ids))}
    mapped = frames.from_arrow(pa.table(columns), np.asarray(new_ids.index))
    own = keys.loc[new_ids.index].set_axis(_unique_names(binding.key_names, of_several=of_several), axis=1)
    return pd.concat([mapped, own], axis=1).rename_axis(frames.OLD_ID).reset_index()


def _slices(ledger: RowLedger) -> Iterator[tuple[slice, pd.DataFrame]]:
    for start in range(0, max(len(ledger), 1), _ROWS_PER_PART):
        rows = slice(start, start + _ROWS_PER_PART)
        yield rows, pd.DataFrame(index=ledger.old_id[rows])


def _keyed_slices(
    binding: TableBinding, ledger: RowLedger, keys: KeyFrames, known_keys: pd.DataFrame
) -> Iterator[tuple[slice, pd.DataFrame]]:
    """Slices of the ledger with the natural keys of their target rows."""
    duplicates = ledger.resolved & ~ledger.is_representative
    representatives = np.unique(ledger.representative_id[duplicates])
    inserted = ledger.with_action(INSERTED)[ledger.positions(representatives)]
    representatives = representatives[inserted | np.isin(representatives, known_keys.index)]
    # Read before all others, since a row may share the target row of a later one.
    shared = keys.read() if len(representatives) else ()
    shared_keys = pd.concat(
        [empty_frame(binding.key), *(part[np.isin(part.index, representatives)] for part in shared)]
    )
    shared_keys = _override(shared_keys, known_keys)
    done = 0
    for part in keys.read():
        end = int(np.searchsorted(ledger.old_id, part.index[-1], "right")) if len(part) else done
        rows = slice(done, end)
        own = _override(part, known_keys)
        yield rows, _override(own, _representative_keys(ledger, rows, shared_keys))
        done = end
    yield slice(done, len(ledger)), empty_frame(binding.key)


def _representative_keys(ledger: RowLedger, rows: slice, shared_keys: pd.DataFrame) -> pd.DataFrame:
    """The keys of the rows whose target row another source row has made: what that row put there."""
    duplicates = np.flatnonzero(ledger.resolved[rows] & ~ledger.is_representative[rows])
    representatives = ledger.representative_id[rows][duplicates]
    known = np.isin(representatives, shared_keys.index)
    return pd.DataFrame(shared_keys.loc[representatives[known]].set_axis(ledger.old_id[rows][duplicates[known]]))


def _override(keys: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """The keys, those of `others` in place of their own."""
    others = others.loc[others.index.isin(keys.index)]
    return keys if others.empty else pd.concat([keys.drop(index=others.index), others]).sort_index()


def _unique_names(key: list[str], *, of_several: bool) -> list[str]:
    """No two alike, and none like ours."""
    reserved = (SOURCE, *_RESERVED) if of_several else _RESERVED
    names: list[str] = []
    for name in key:
        while name.lower() in {*reserved, *(other.lower() for other in names)}:
            name = f"{name}_key"
        names.append(name)
    return names
