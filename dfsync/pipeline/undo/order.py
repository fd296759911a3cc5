"""Which tables are undone together, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from graphlib import TopologicalSorter

from dfsync.plan.graph import circles_of
from dfsync.target.read.references import Reference


def groups_of(tables: Sequence[str], references: Iterable[Reference]) -> list[list[str]]:
    """Group tables that refer to each other in a circle, and order the groups: children before their parents.

    Parameters
    ----------
    tables
        Names of tables, as the target has them.
    references
        How they and others refer to each other, with the same names.

    Returns
    -------
    list of list of str
        Each of the tables once.
    """
    parents: dict[str, set[str]] = {name: set() for name in tables}
    for reference in references:
        if reference.schema is None and reference.child in parents and reference.parent in parents:
            parents[reference.child].add(reference.parent)
    circles = circles_of(parents)
    group = {name: frozenset(next((circle for circle in circles if name in circle), {name})) for name in tables}
    # A group comes when those that refer to it are done.
    before: dict[frozenset[str], set[frozenset[str]]] = {members: set() for members in group.values()}
    for child, of_child in parents.items():
        for parent in of_child:
            if group[child] != group[parent]:
                before[group[parent]].add(group[child])
    return [[name for name in tables if name in members] for members in TopologicalSorter(before).static_order()]
