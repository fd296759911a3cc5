"""Rows whose natural key is another one than in the last run, and what the plan says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dfsync.model import frames
from dfsync.model.rejects import display_values, no_rejects, reject_frame
from dfsync.model.types import Mask, NewIds, OldIds
from dfsync.pipeline.known.chains import with_moved_keys
from dfsync.pipeline.session.file_rows import row_name
from dfsync.pipeline.session.kept_maps import KeptMap
from dfsync.pipeline.table.context import KEY_BATCH_ROWS, TableContext
from dfsync.pipeline.table.extract import read_batches
from dfsync.pipeline.table.ledger import RowMatches
from dfsync.pipeline.table.match import exist
from dfsync.plan.graph import ancestors
from dfsync.plan.model import Plan
from dfsync.stages.remap import new_ids
from dfsync.target.collation import normalize_pair
from dfsync.text.redaction import MASK, is_secret_column
from dfsync.text.wording import plan_section

FOLLOW, INSERT = "follow", "insert"
_EXAMPLES = 3
_UNDECIDED = (
    "has another natural key than in the last run; on_rekey of {section} in a plan file decides: "
    '"follow" gives its target row the new key, "insert" makes it a row of its own'
)
_TAKEN = "has another natural key than in the last run, and the target has another row of that key already"
_HELD = "has the natural key that another source row had in the last run, whose target row has it still"
_OUTCOMES = {
    FOLLOW: "on_rekey lets their target rows follow",
    INSERT: "on_rekey makes them rows of their own",
    None: "such rows are rejected until on_rekey of {section} in a plan file decides",
}


@dataclass(frozen=True)
class RekeyedRows:
    """Rows whose natural key is another one than in the last run, and whose target row of then is still there.

    Attributes
    ----------
    old_id
        int64, ascending.
    new_id
        Their target rows in the last run.
    column
        Of each the first column of the key that differs.
    change
        Of each what became of that column, as in `ann -> anna`.
    """

    old_id: OldIds
    new_id: NewIds
    column: list[str]
    change: list[str]

    def rejects(self, ids: OldIds, reason: str) -> pd.DataFrame:
        """Make the reject frame of some of them."""
        rows = pd.DataFrame({"column": self.column, "change": self.change}, index=self.old_id)
        rows = rows[rows.index.isin(ids)]
        by_column = [
            reject_frame(part.index, str(column), part["change"], reason) for column, part in rows.groupby("column")
        ]
        return pd.concat([no_rejects(), *by_column]).sort_index()

    def note(self, table: TableContext, outcome: str) -> str:
        """Tell of them and of the outcome in a sentence, with the first ones as examples."""
        plan = table.binding.plan
        count = len(self.old_id)
        examples = [
            f"{column} {change} (ID {row_name(table.source, plan, int(old))})"
            for column, change, old in zip(self.column, self.change, self.old_id[:_EXAMPLES], strict=False)
        ]
        more = ", ..." if count > _EXAMPLES else ""
        have = "row of {} has" if count == 1 else "rows of {} have"
        told = f"{count} {have.format(plan.name)} another natural key than in the last run: "
        return f"{told}{', '.join(examples)}{more}; {outcome}"


@dataclass(frozen=True)
class Settled:
    """Matches, after what `on_rekey` says of rows with another natural key.

    Attributes
    ----------
    parts
        As in `MatchResult`.
    rejects
        The reject frame of rows that are not to be inserted.
    rekeyed
        The rows with another key; None where there are none.
    followers
        int64, ascending: of them those whose target row is to take the new key.
    note
        What the user should know of them.
    """

    parts: tuple[RowMatches, ...]
    rejects: pd.DataFrame = field(default_factory=no_rejects)
    rekeyed: RekeyedRows | None = None
    followers: OldIds = field(default_factory=lambda: np.array([], np.int64))
    note: str = ""


def asks_for_new_rows(plan: Plan, name: str) -> bool:
    """Tell whether the plan asks for a second target row of rows with another natural key.

    A child whose parent has a new row gets one for that reason, so `on_rekey` of the parents counts too.

    Parameters
    ----------
    plan
        The complete plan.
    name
        One of its tables.
    """
    return any(plan[each].on_rekey == INSERT for each in {name, *ancestors(plan, [name])})


def settle_rekeyed(table: TableContext, parts: Sequence[RowMatches]) -> Settled:
    """Find the rows with another natural key than in the last run, and do with them what `on_rekey` says.

    Parameters
    ----------
    table
        The table.
    parts
        The matches of all rows.

    Returns
    -------
    Settled
    """
    rekeyed = None
    if table.kept is not None and table.binding.key and table.binding.id is not None:
        rekeyed = _find_rekeyed(table, table.kept, parts)
    plan = table.binding.plan
    if rekeyed is None:
        return Settled(tuple(parts))
    if plan.on_rekey == INSERT or table.kept is None:
        return Settled(tuple(parts), rekeyed=rekeyed, note=rekeyed.note(table, _OUTCOMES[INSERT]))
    # There the server refuses two rows of one natural key, so that a key moves only where it is free by then.
    if plan.on_rekey == FOLLOW and table.binding.target.is_unique(plan.key):
        others = _takers(table.kept, parts, rekeyed)
        parts = with_moved_keys(parts, rekeyed.old_id, rekeyed.new_id, others)
    takers = _takers(table.kept, parts, rekeyed)
    refused, reason = rekeyed.old_id, _UNDECIDED.format(section=plan_section(plan.name))
    if plan.on_rekey == FOLLOW:
        resolved = np.concatenate([part.old_id[part.resolved] for part in parts])
        refused, reason = rekeyed.old_id[np.isin(rekeyed.old_id, resolved)], _TAKEN
    settled = [_without(part, np.union1d(refused, takers)) for part in parts]
    followers = refused[:0]
    if plan.on_rekey == FOLLOW:
        taken = np.concatenate([part.new_id[part.resolved] for part in settled])
        _, first = np.unique(rekeyed.new_id, return_index=True)
        alone = np.zeros(len(rekeyed.old_id), dtype=bool)
        alone[first] = True
        alone &= ~np.isin(rekeyed.old_id, refused) & ~np.isin(rekeyed.new_id, taken)
        if alone.any():
            settled, followers = _follow(settled, rekeyed.old_id[alone], rekeyed)
    rejects = pd.concat([rekeyed.rejects(refused, reason), _rejects_of_takers(table, takers)]).sort_index()
    note = rekeyed.note(table, _outcome(table, settled, rekeyed, followers, refused))
    return Settled(tuple(settled), rejects, rekeyed, followers, note)


def _takers(kept: KeptMap, parts: Sequence[RowMatches], rekeyed: RekeyedRows) -> OldIds:
    """The other rows that were matched with target rows which only rekeyed rows had in the last run."""
    still_had: list[NewIds] = []
    for part in parts:
        known, new_id = kept.find(part.old_id)
        still_had.append(part.new_id[known & part.resolved & (part.new_id == new_id)])
    of_rekeyed = np.setdiff1d(rekeyed.new_id, np.concatenate(still_had))
    takers = [part.old_id[part.resolved & np.isin(part.new_id, of_rekeyed)] for part in parts]
    return np.setdiff1d(np.concatenate(takers), rekeyed.old_id)


def _rejects_of_takers(table: TableContext, takers: OldIds) -> pd.DataFrame:
    if not len(takers):
        return no_rejects()
    keys = _keys_by_last_ids(table, takers).reindex(takers)
    return reject_frame(takers, table.binding.key[0].name, display_values(frames.as_arrow(keys.iloc[:, 0])), _HELD)


def _outcome(
    table: TableContext, parts: Sequence[RowMatches], rekeyed: RekeyedRows, followers: OldIds, refused: OldIds
) -> str:
    """What became of the rows with another key, those that follow and the others apart."""
    plan = table.binding.plan
    if plan.on_rekey != FOLLOW or len(followers) == len(rekeyed.old_id):
        return _OUTCOMES[plan.on_rekey].format(section=plan_section(plan.name))
    others = np.setdiff1d(rekeyed.old_id, np.union1d(followers, refused))
    shared = int(np.isin(others, np.concatenate([part.old_id[part.resolved] for part in parts])).sum())
    counts = {
        "whose target row follows": len(followers),
        "a reject": len(refused),
        "with the target row of another one": shared,
        "a row of its own": len(others) - shared,
    }
    return "with on_rekey: " + ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def key_texts(keys: pd.DataFrame) -> pa.Array:
    """Write each natural key as one text, its values with ` / ` between them; NULL where it has no columns."""
    if not len(keys.columns):
        return pa.nulls(len(keys), pa.string())
    columns = [pa.array(display_values(frames.as_arrow(keys.iloc[:, i])), pa.string()) for i in range(keys.shape[1])]
    return pc.binary_join_element_wise(*(pc.fill_null(column, "NULL") for column in columns), " / ")


def _find_rekeyed(table: TableContext, kept: KeptMap, parts: Sequence[RowMatches]) -> RekeyedRows | None:
    suspects, before = [], []
    for part in parts:
        known, new_id = kept.find(part.old_id)
        # Who a row of `keep_ids` is, its id says.
        moved = known & ~(part.resolved & (part.new_id == new_id)) & ~table.is_kept(part.old_id)
        suspects.append(part.old_id[moved])
        before.append(new_id[moved])
    ids, last = np.concatenate(suspects), np.concatenate(before)
    there = exist(table, last)
    ids, last = ids[there], last[there]
    if not len(ids):
        return None
    order = np.argsort(ids)
    ids, last = ids[order], last[order]
    column, change = [], []
    rows: list[Any] = []
    for start in range(0, len(ids), KEY_BATCH_ROWS):
        batch = ids[start : start + KEY_BATCH_ROWS]
        found = compare_keys(table, _keys_by_last_ids(table, batch), kept.keys(batch))
        rows += found.index.tolist()
        column += found["column"].tolist()
        change += found["change"].tolist()
    if not rows:
        return None
    rekeyed = np.array(rows, np.int64)
    return RekeyedRows(rekeyed, last[np.searchsorted(ids, rekeyed)], column, change)


def _keys_by_last_ids(table: TableContext, ids: OldIds) -> pd.DataFrame:
    """The natural keys of source rows, with the ids that the parents had in the last run.

    So a row whose parent alone got a new id has the key that it had. A parent that was not there then has an id below
    zero, the source's.
    """
    binding = table.binding
    read = read_batches(table, binding.key, KEY_BATCH_ROWS, ids, deferred=binding.plan.parents)
    keys = pd.concat([batch.frame for batch in read])
    for name, parent in binding.plan.parents.items():
        if name in keys.columns:
            old = keys[name].astype(frames.INT64)
            last = new_ids(old, table.kept_maps.last_ids(parent)).astype(frames.INT64)
            keys[name] = last.fillna(-old.abs() - 1)
    return keys


def compare_keys(table: TableContext, now: pd.DataFrame, before: pd.DataFrame) -> pd.DataFrame:
    """Find the rows whose natural keys differ to the target, by its collations.

    Parameters
    ----------
    table
        The table.
    now
        Natural keys of the source, conformed and remapped; index `old_id`.
    before
        The keys of at least these rows as they were, by the same index, the columns in the order of the natural key.

    Returns
    -------
    pandas.DataFrame
        Index `old_id`: the first `column` that differs, and the `change` as text, as in `ann -> anna`.
    """
    before = before.loc[now.index]
    differing: dict[str, Mask] = {}
    texts: dict[str, tuple[pa.Array, pa.Array]] = {}
    for number, column in enumerate(table.binding.key):
        ours, theirs = now[column.name], before.iloc[:, number]
        if ours.dtype != theirs.dtype:
            # The column has another type than in the last run.
            ours, theirs = (_as_text(side) for side in (ours, theirs))
        normalized = ours, theirs
        if column.collation is not None and pa.types.is_string(frames.as_arrow(ours).type):
            normalized = normalize_pair(table.connection, column, ours, theirs)
        differing[column.name] = frames.differs(*map(frames.as_arrow, normalized))
        texts[column.name] = (frames.as_arrow(theirs), frames.as_arrow(ours))
    cells = pd.DataFrame(differing, index=now.index)
    # A row without a natural key, then and now, is known by its content.
    keyed = frames.non_null_rows(now) | frames.non_null_rows(before)
    cells = cells[cells.any(axis=1).to_numpy() & keyed]
    first = [cells.columns[i] for i in cells.to_numpy().argmax(axis=1)] if len(cells) else []
    rows = now.index.get_indexer(cells.index)
    # Row by row, since they are few.
    changes = []
    for row, name in zip(rows, first, strict=True):
        was, became = (
            "NULL" if side[row].as_py() is None else display_values(side[row : row + 1])[0] for side in texts[name]
        )
        if name in table.binding.plan.parents and str(became).startswith("-"):
            became = "a new one"
        changes.append(MASK if is_secret_column(name) else f"{was} -> {became}")
    return pd.DataFrame({"column": first, "change": changes}, index=cells.index)


def _as_text(values: pd.Series[Any]) -> pd.Series[Any]:
    texts = pa.array(display_values(frames.as_arrow(values)), pa.string())
    return frames.series(texts).set_axis(values.index)


def _without(part: RowMatches, refused: OldIds) -> RowMatches:
    """The matches, where refused rows have no target row and share none with others."""
    away = np.isin(part.old_id, refused)
    if not away.any():
        return part
    representative = part.representative_id.copy()
    orphaned = np.flatnonzero(~away & np.isin(representative, refused))
    groups, first, inverse = np.unique(representative[orphaned], return_index=True, return_inverse=True)
    if len(groups):
        representative[orphaned] = part.old_id[orphaned[first]][inverse]
    representative[away] = part.old_id[away]
    return replace(part, resolved=part.resolved & ~away, representative_id=representative)


def _follow(parts: list[RowMatches], followers: OldIds, rekeyed: RekeyedRows) -> tuple[list[RowMatches], OldIds]:
    """Give followers, and the rows that share their new key, the target rows of the followers.

    Of several followers of one new key the first one's target row takes it.
    """
    settled, kept = [], []
    for part in parts:
        mine = np.flatnonzero(np.isin(part.old_id, followers) & ~part.resolved)
        groups, first = np.unique(part.representative_id[mine], return_index=True)
        mine = mine[first]
        new_id, resolved = part.new_id.copy(), part.resolved.copy()
        position = np.minimum(np.searchsorted(groups, part.representative_id), max(len(groups) - 1, 0))
        members = np.isin(part.representative_id, groups)
        target_rows = rekeyed.new_id[np.searchsorted(rekeyed.old_id, part.old_id[mine])]
        new_id[members] = target_rows[position[members]]
        resolved |= members
        settled.append(replace(part, new_id=new_id, resolved=resolved))
        kept.append(part.old_id[mine])
    return settled, np.sort(np.concatenate(kept))
