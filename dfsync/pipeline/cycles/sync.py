"""The entry of this package: tables that refer to themselves or to each other, synced in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
import pandas as pd

from dfsync.model.errors import TableError
from dfsync.pipeline.cycles.early_references import send_with_references
from dfsync.pipeline.cycles.matching import match_cycle_content, match_cycle_table
from dfsync.pipeline.cycles.member import CycleMember, OrphanMember
from dfsync.pipeline.cycles.ordered_load import sync_in_order
from dfsync.pipeline.cycles.orphans import empty_references, fill_deferred, resolve_orphans
from dfsync.pipeline.cycles.retract import delete_orphans
from dfsync.pipeline.table_sync.sync import TableSync


def is_cycle(tables: Sequence[TableSync]) -> bool:
    """Say whether rows of these tables refer to rows of the same tables, so that `sync_cycle` has to sync them.

    Parameters
    ----------
    tables
        The tables of one transaction.

    Returns
    -------
    bool
        Also True where a table refers to itself by a value that is no surrogate id.
    """
    names = {table.plan.name for table in tables}
    return any(names & {*table.plan.parents.values()} or table.binding.self_references_by_value() for table in tables)


def sync_cycle(tables: Sequence[TableSync], *, dry_run: bool) -> None:
    """Match and insert the rows of tables in a cycle, parents before children.

    Deferred foreign keys are NULL at first and get their values when all rows are inserted; rows that are orphans then
    are deleted again.

    Parameters
    ----------
    tables
        Open tables of one transaction.
    dry_run
        Write nothing.

    Raises
    ------
    TableError
        Where the target refuses the value of a deferred foreign key.
    """
    members = [CycleMember(table) for table in tables]
    match_cycle_content(members)
    for member in members:
        _run(member)
    selected = [member for member in members if member.sync.selected]
    if any(member.sync.plan.deferred for member in selected):
        _close_cycle(members, selected, dry_run=dry_run)


def _run(member: CycleMember) -> None:
    sync = member.sync
    with sync.context.timer("total"):
        sync.open_loader()
        if len(member.dependencies.columns):
            sync_in_order(member)
        else:
            sync.record_matches(match_cycle_table(member))
            # Also for a table whose inserts fail.
            sync.fully_matched = True
            if sync.selected:
                sync.give_ids()
                _load(member)
        sync.publish()


def _load(member: CycleMember) -> None:
    if not member.own_deferred:
        member.sync.load()
        return
    member.early = {column: np.zeros(len(member.sync.ledger), dtype=bool) for column in member.own_deferred}
    member.sync.load(partial(send_with_references, member))


def _close_cycle(members: Sequence[CycleMember], selected: Sequence[CycleMember], *, dry_run: bool) -> None:
    """Resolve orphans, then give deferred foreign keys their values."""
    names = [member.sync.plan.name for member in members]
    mappings = members[0].table.mappings
    orphans = {}
    for member in selected:
        with _timed(member):
            orphans[member.sync.plan.name] = OrphanMember.after_inserts(member, names)
    with _timed(selected[0]):
        orphan_ids = resolve_orphans(list(orphans.values()), mappings.select(names), dry_run=dry_run)
    for member in selected:
        member.sync.publish()
    for orphan in orphans.values():
        with _timed(orphan):
            _require_none(orphan, empty_references(orphan, _maps_of_parents(orphan), dry_run=dry_run))
    if dry_run:
        return
    for orphan in reversed(orphans.values()):
        ids = orphan_ids[orphan.binding.plan.name]
        if len(ids):
            with _timed(orphan):
                delete_orphans(orphan.table.connection, orphan.binding, ids)
    for orphan in orphans.values():
        with _timed(orphan):
            _require_none(orphan, fill_deferred(orphan, _maps_of_parents(orphan)))


def _maps_of_parents(orphan: OrphanMember) -> dict[str, pd.DataFrame]:
    return orphan.table.mappings.select(set(orphan.binding.plan.parents.values()))


def _require_none(orphan: OrphanMember, refused: pd.DataFrame) -> None:
    if len(refused):
        name = orphan.binding.plan.name
        raise TableError(f"a reference of {name} within the circle was refused: {refused['reason'].iloc[0]}")


@contextmanager
def _timed(member: CycleMember | OrphanMember) -> Iterator[None]:
    with member.table.timer("total"), member.table.timer("references"):
        yield
