"""Rows that stay because others refer to them, and the order in which the others are deleted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa

from dfsync.model.errors import TableError
from dfsync.model.types import NewIds, Positions
from dfsync.pipeline.undo.keyless import KeylessUndo
from dfsync.pipeline.undo.table import TableUndo
from dfsync.stages.row_order import NULL_REF, Adjacency, topological_levels
from dfsync.target.read.references import Reference, referring_rows
from dfsync.target.write.delete import delete_ids, null_columns

ITSELF = "it refers to itself by a column that may not be NULL, and the server deletes no such row"
NEEDED = "a row that stays refers to it"
Undo = TableUndo | KeylessUndo


@dataclass(frozen=True)
class Edges:
    """Rows of a run that refer to rows of the run in the same group of tables: positions, side by side."""

    reference: Reference
    child: TableUndo
    parent: TableUndo
    children: Positions
    parents: Positions

    def going(self) -> Edges:
        """Leave out the pairs of which a row stays."""
        both = self.child.inserted.going[self.children] & self.parent.inserted.going[self.parents]
        return Edges(self.reference, self.child, self.parent, self.children[both], self.parents[both])


def keep_referenced(connection: sa.Connection, group: Sequence[Undo], references: Iterable[Reference]) -> list[Edges]:
    """Let all rows stay to which a row refers that stays.

    Parameters
    ----------
    connection
        The target, in the transaction that has locked the rows. It has read nothing from a snapshot before.
    group
        Tables that refer to each other in a circle, or one table. What the run did to tables that refer to them from
        outside is undone already, so that whatever refers to them from there stays.
    references
        Everything that refers to any table.

    Returns
    -------
    list of Edges
        How the rows that go refer to each other.
    """
    by_table = {undo.table.name: undo for undo in group}
    edges: list[Edges] = []
    for reference in references:
        parent = by_table.get(reference.parent)
        if isinstance(parent, KeylessUndo):
            parent.keep_referenced(connection, reference)
        if not isinstance(parent, TableUndo) or not parent.inserted.going.any():
            continue
        child = by_table.get(reference.child) if reference.schema is None else None
        child_id = child.id if isinstance(child, TableUndo) else None
        ids = parent.inserted.ids[parent.inserted.going]
        parents, children = referring_rows(connection, reference, parent.table, parent.id, ids, child_id)
        at, _ = parent.inserted.positions(parents)
        if not isinstance(child, TableUndo):
            parent.inserted.keep(at, f"{reference.referrer} refers to it")
            continue
        child_at, known = child.inserted.positions(children.astype(child.inserted.ids.dtype))
        parent.inserted.keep(at[~known], f"{reference.referrer} refers to it")
        stays = known & ~child.inserted.going[child_at]
        parent.inserted.keep(at[stays], NEEDED)
        known &= ~stays
        edge = Edges(reference, child, parent, child_at[known], at[known])
        if child is parent and not any(child.table[name].nullable for name in reference.columns):
            parent.inserted.keep(edge.parents[edge.children == edge.parents], ITSELF)
        edges.append(edge)
    _spread(edges)
    return [edge.going() for edge in edges]


def _spread(edges: Sequence[Edges]) -> None:
    """Keep what a row that stays refers to, and so on; each pair is looked at once."""
    links = [(edge, Adjacency(edge.children, len(edge.child.inserted.ids))) for edge in edges]
    frontier = {id(edge.child): (edge.child, np.flatnonzero(~edge.child.inserted.going)) for edge in edges}
    while frontier:
        found: dict[int, tuple[TableUndo, list[Positions]]] = {}
        for edge, adjacency in links:
            _, rows = frontier.get(id(edge.child), (edge.child, np.array([], np.intp)))
            parents = np.unique(edge.parents[adjacency.of(rows)])
            found.setdefault(id(edge.parent), (edge.parent, []))[1].append(parents[edge.parent.inserted.going[parents]])
        frontier = {}
        for key, (parent, positions) in found.items():
            rows = np.unique(np.concatenate(positions))
            if len(rows):
                parent.inserted.keep(rows, NEEDED)
                frontier[key] = (parent, rows)


def delete_rows(connection: sa.Connection, group: Sequence[Undo], edges: Sequence[Edges]) -> None:
    """Delete the rows that go, none before those that refer to it.

    Parameters
    ----------
    connection
        The target, in the same transaction.
    group, edges
        As of `keep_referenced`.
    """
    order = _table_order(group, edges)
    against: list[Edges] = []
    for edge in edges:
        if edge.child is edge.parent:
            # The server does not delete a row that refers to itself either.
            wrong = edge.children <= edge.parents
        else:
            wrong = np.full(len(edge.children), order.index(edge.child) > order.index(edge.parent))
        if not wrong.any():
            continue
        nullable = [name for name in edge.reference.columns if edge.child.table[name].nullable]
        if nullable:
            rows = np.unique(edge.children[wrong])
            null_columns(connection, edge.child.table, edge.child.id, edge.child.inserted.ids[rows], nullable)
        elif edge.child is edge.parent:
            against.append(edge)
        else:
            raise TableError(f"{edge.child.table.name} and {edge.parent.table.name} refer to each other by NOT NULL")
    for undo in order:
        if isinstance(undo, KeylessUndo):
            undo.delete(connection)
            continue
        ids = undo.inserted.ids[undo.inserted.going]
        own = [edge for edge in edges if edge.child is undo and edge.parent is undo]
        runs = _by_levels(undo, own) if any(edge.child is undo for edge in against) else [ids]
        for run in runs:
            delete_ids(connection, undo.table, undo.id, run)


def _table_order(group: Sequence[Undo], edges: Sequence[Edges]) -> list[Undo]:
    """Children first, by the references that may not be NULL."""
    rest, order = list(group), []
    while rest:
        waiting = {
            id(edge.parent)
            for edge in edges
            if edge.child is not edge.parent
            and any(edge.child is undo for undo in rest)
            and len(edge.children)
            and not any(edge.child.table[name].nullable for name in edge.reference.columns)
        }
        free = [undo for undo in rest if id(undo) not in waiting] or rest[:1]
        order += free
        rest = [undo for undo in rest if all(undo is not other for other in free)]
    return order


def _by_levels(undo: TableUndo, edges: Sequence[Edges]) -> list[NewIds]:
    """The ids that go, children first: rows of one run do not need each other, or descend."""
    parents = np.full((len(undo.inserted.ids), max(len(edges), 1)), NULL_REF)
    for slot, edge in enumerate(edges):
        parents[edge.children, slot] = np.where(edge.children == edge.parents, NULL_REF, edge.parents)
    levels = list(topological_levels(parents))
    going = undo.inserted.going
    return [np.sort(undo.inserted.ids[level[going[level]]]) for level in reversed(levels)]
