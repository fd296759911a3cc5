"""The order of tables, and which are synced in one transaction."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from typing import TypeVar

from dfsync.model.errors import DfsyncError
from dfsync.plan.model import Plan, TablePlan
from dfsync.text.wording import plan_section

N = TypeVar("N", bound=Hashable)


def topological_order(tables: Iterable[TablePlan]) -> tuple[TablePlan, ...]:
    """Order tables so that parents come before children.

    Parameters
    ----------
    tables
        Complete plans of tables. Their deferred foreign keys do not count.

    Returns
    -------
    tuple of TablePlan
        Each table after its parents and its `after`, else in the order given.

    Raises
    ------
    DfsyncError
        Where tables need each other in a circle that no deferred foreign key breaks.
    """
    by_name = {table.name: table for table in tables}
    order = _stable_order({name: _needed_first(table) for name, table in by_name.items()})
    if len(order) < len(by_name):
        raise DfsyncError(_no_order(by_name))
    return tuple(by_name[name] for name in order)


def _no_order(tables: Mapping[str, TablePlan]) -> str:
    """Word which columns make a circle of tables that nothing breaks, and what breaks it."""
    edges = {name: _needed_first(table) for name, table in tables.items()}
    first = next(name for name in edges if name in reachable([name], edges))
    # A table of another circle may be in the way of this one, but does not depend on it.
    circle = [name for name in edges if name in reachable([first], edges) and first in reachable([name], edges)]
    reasons, remedies = [], []
    for name in circle:
        table = tables[name]
        for column, parent in table.parents.items():
            if parent in circle and parent != name and column not in table.deferred:
                in_key = column in table.key
                reasons.append(f"{name}.{column} -> {parent} ({'in its natural key' if in_key else 'NOT NULL'})")
                remedies.append(
                    f"take {column} out of the natural_key of {plan_section(name)}"
                    if in_key
                    else f"let {table.table}.{column} be NULL in the target"
                )
        reasons += [f"{name} after {other}" for other in table.after if other in circle]
        remedies += [f"take {other} out of after of {plan_section(name)}" for other in table.after if other in circle]
    return (
        f"No order for {', '.join(circle)}: each needs another one's rows first, by {'; '.join(reasons)}. "
        f"One of these is enough: {'; or '.join(remedies)}."
    )


def reachable(starts: Iterable[str], edges: Mapping[str, Collection[str]]) -> set[str]:
    """Collect the nodes that one or more edges lead to.

    Parameters
    ----------
    starts
        Nodes to start from.
    edges
        By node, the nodes that it points to. A node without an entry points to none.

    Returns
    -------
    set of str
        A start is among them only where a cycle leads back to it.
    """
    reached: set[str] = set()
    pending = list(starts)
    while pending:
        new = {*edges.get(pending.pop(), ())} - reached
        reached |= new
        pending += new
    return reached


def ancestors(plan: Plan, names: Iterable[str]) -> set[str]:
    """Collect the tables whose mappings the foreign keys of some tables need, at any distance.

    Parameters
    ----------
    plan
        The complete plan.
    names
        Names of its tables.

    Returns
    -------
    set of str
        Without `names` themselves.
    """
    requested = set(names)
    return reachable(requested, _parents(plan.tables)) - requested


def strongly_connected(tables: Iterable[TablePlan]) -> list[set[str]]:
    """Find the tables that refer to each other in a circle, or to themselves.

    Parameters
    ----------
    tables
        Planned tables with their foreign keys. Parents that are not among them do not count.

    Returns
    -------
    list of set of str
        The names of each circle, by the first of its tables in the order given. A table in no circle is in none.
    """
    return circles_of(_parents(tables))


def circles_of(edges: Mapping[str, Collection[str]]) -> list[set[str]]:
    """Find the nodes of a graph from which an edge, or several, lead back to them.

    Parameters
    ----------
    edges
        By node, where its edges lead.

    Returns
    -------
    list of set of str
        The nodes of each circle, by the first of them in the order given. A node in no circle is in none.
    """
    # Quadratic, which is fast enough for a few hundred tables.
    reach = {name: reachable([name], edges) for name in edges}
    components: list[set[str]] = []
    for name in edges:
        component = {other for other in reach[name] if name in reach.get(other, ())}
        if component and component not in components:
            components.append(component)
    return components


def is_circular(table: TablePlan, circles: Iterable[Collection[str]]) -> bool:
    """Tell whether a table refers to itself, or is in a circle of tables.

    Parameters
    ----------
    table
        A planned table with its foreign keys.
    circles
        As `strongly_connected` returns them.

    Returns
    -------
    bool
    """
    return any(table.name in circle for circle in circles)


def drop_cyclic_after(tables: Sequence[TablePlan], drafts: Sequence[TablePlan]) -> list[TablePlan]:
    """Drop the discovered `after` that lead back to their own table, since no order can satisfy them.

    Parameters
    ----------
    tables
        Planned tables with their discovered foreign keys and `after`.
    drafts
        The same tables as the plan file gives them. An `after` that stands there is kept.

    Returns
    -------
    list of TablePlan
        In the same order.
    """
    edges = {table.name: {*table.parents.values(), *table.after} for table in tables}
    return [
        replace(
            table,
            after=tuple(n for n in table.after if n in draft.after or table.name not in reachable([n], edges)),
        )
        for table, draft in zip(tables, drafts, strict=True)
    ]


def transaction_groups(plan: Plan) -> list[list[TablePlan]]:
    """Group the tables that are synced in one transaction.

    Parameters
    ----------
    plan
        The complete plan, in its order.

    Returns
    -------
    list of list of TablePlan
        A table alone, or the tables of a circle in plan order. What a group depends on comes before it.
    """
    circles = strongly_connected(plan.tables)
    circle_of = {name: number for number, circle in enumerate(circles) for name in circle}
    grouped: dict[object, list[TablePlan]] = {}
    for table in plan.tables:
        grouped.setdefault(circle_of.get(table.name, table.name), []).append(table)
    groups = list(grouped.values())
    group_of = {table.name: number for number, group in enumerate(groups) for table in group}
    edges = {
        number: {group_of[name] for name in direct_dependencies(group) if name in group_of}
        for number, group in enumerate(groups)
    }
    order: list[int] = []
    while edges:
        # An `after` may lead out of a circle and back into it; no order satisfies it, so the first group is put first.
        placed = _stable_order(edges) or [next(iter(edges))]
        order += placed
        edges = {number: needed - {*placed} for number, needed in edges.items() if number not in placed}
    return [groups[number] for number in order]


def direct_dependencies(group: Iterable[TablePlan]) -> set[str]:
    """Collect the tables outside a group that must be synced before it.

    Parameters
    ----------
    group
        The tables of one transaction.

    Returns
    -------
    set of str
        Their parents and `after`, without the group's own names.
    """
    tables = list(group)
    needed = {name for table in tables for name in (*table.parents.values(), *table.after)}
    return needed - {table.name for table in tables}


def group_dependencies(
    groups: Sequence[Sequence[TablePlan]], enforced: Mapping[str, Collection[str]]
) -> list[set[int]]:
    """Find the groups that must commit before each group may begin.

    Parameters
    ----------
    groups
        All tables of a plan, as `transaction_groups` returns them.
    enforced
        By the plan's name of a table, the tables of the target that its foreign key constraints refer to. Names are
        compared without case.

    Returns
    -------
    list of set of int
        For each group, the positions of earlier groups.
    """
    position = {table.name: number for number, group in enumerate(groups) for table in group}
    planned = {table.table.lower(): table.name for group in groups for table in group}
    dependencies = []
    for number, group in enumerate(groups):
        parents = {parent.lower() for table in group for parent in enforced.get(table.name, ())}
        needed = direct_dependencies(group) | {planned[parent] for parent in parents & planned.keys()}
        dependencies.append({position[name] for name in needed if position[name] < number})
    return dependencies


def _parents(tables: Iterable[TablePlan]) -> dict[str, set[str]]:
    """By table, its planned parents, itself included where it refers to itself."""
    return {table.name: {*table.parents.values()} for table in tables}


def _needed_first(table: TablePlan) -> set[str]:
    """Collect the tables that must be synced before it."""
    parents = {parent for column, parent in table.parents.items() if column not in table.deferred}
    return (parents | {*table.after}) - {table.name}


def _stable_order(edges: Mapping[N, Collection[N]]) -> list[N]:
    """Order nodes after those that they point to, else as given; without those that a cycle blocks."""
    nodes = list(edges)
    position = {node: number for number, node in enumerate(nodes)}
    sorter = TopologicalSorter(
        {position[node]: [position[n] for n in needed if n in position] for node, needed in edges.items()}
    )
    with suppress(CycleError):
        sorter.prepare()
    ready: list[int] = []
    order: list[N] = []
    while True:
        for number in sorter.get_ready():
            heapq.heappush(ready, number)
        if not ready:
            return order
        number = heapq.heappop(ready)
        order.append(nodes[number])
        sorter.done(number)
