"""The plan as a graph for the report: a row per table, and beside the rows the lanes in which the arrows run.

Every parent has a lane of its own, from its row to those of its children. It is drawn row by row, so that a row may be
as high as its text needs: where a line goes through the whole row it ends at 100 %.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from dfsync.plan.model import Plan

Kind = Literal["key", "later", "order"]
"""A foreign key; one that is filled in afterwards, in a cycle; only the order."""
End = tuple[int, int]
"""A row, and where in it: 0 where an arrow comes in, 1 where it leaves."""
_IN, _OUT, _CURVE, _NODE = 19, 36, 7, 6
_Y = {0: _IN, 1: _OUT}
_NEAREST, _SPACING, _WIDEST, _EDGE = 18.0, 14.0, 100.0, 9.0


@dataclass(frozen=True)
class Lane:
    """The arrows of one kind from one parent."""

    parent: int
    children: tuple[int, ...]
    kind: Kind

    @property
    def ends(self) -> list[End]:
        """From top to bottom."""
        return sorted([(self.parent, 1), *((child, 0) for child in self.children)])


@dataclass
class Drawing:
    """What is drawn beside one row."""

    lines: list[tuple[float, str, str, str]] = field(default_factory=list)
    """Upright ones: x, from y, to y, class."""
    curves: list[tuple[str, str]] = field(default_factory=list)
    """Path and class."""
    child: bool = False
    itself: bool = False


@dataclass(frozen=True)
class Graph:
    """The drawings by row, in the plan's order."""

    rows: tuple[Drawing, ...]
    width: float
    node: float
    """The x of the tables' nodes."""
    legend: dict[Kind, str]
    """A class in which arrows of each kind are drawn, of the kinds that there are."""


def lanes(plan: Plan) -> list[Lane]:
    """Make a lane for each parent and kind, in the order of the parents; references to itself need none."""
    row = {name: number for number, name in enumerate(plan.names)}
    children: dict[tuple[int, Kind], dict[int, None]] = {}
    for table in plan.tables:
        for column, parent in table.parents.items():
            kind: Kind = "later" if column in table.deferred else "key"
            children.setdefault((row[parent], kind), {})[row[table.name]] = None
        for name in set(table.after) - set(table.parents.values()):
            children.setdefault((row[name], "order"), {})[row[table.name]] = None
    found = [Lane(parent, tuple(c for c in of if c != parent), kind) for (parent, kind), of in children.items()]
    return sorted((lane for lane in found if lane.children), key=lambda lane: lane.parent)


def lane_offsets(found: list[Lane]) -> list[int]:
    """Choose how far from the tables each lane is, 0 the nearest: short ones first, none over another."""
    taken: list[list[tuple[End, End]]] = []
    place: dict[int, int] = {}
    spans = {number: (lane.ends[0], lane.ends[-1]) for number, lane in enumerate(found)}
    for number in sorted(spans, key=lambda n: (spans[n][1][0] - spans[n][0][0], spans[n])):
        low, high = spans[number]
        free = (at for at, others in enumerate(taken) if all(high < lo or hi < low for lo, hi in others))
        place[number] = next(free, len(taken))
        if place[number] == len(taken):
            taken.append([])
        taken[place[number]].append((low, high))
    return [place[number] for number in range(len(found))]


def draw(plan: Plan, colours: int) -> Graph:
    """Draw the plan's references.

    Parameters
    ----------
    plan
        The complete plan.
    colours
        How many colours there are: classes are `key`, `later` or `order`, and `c0` to `c{colours - 1}` by parent.

    Returns
    -------
    Graph
        What to draw beside each table.
    """
    found = lanes(plan)
    at = lane_offsets(found)
    farthest = max(at, default=0)
    spacing = min(_SPACING, _WIDEST / max(farthest, 1))
    node = _EDGE + (_NEAREST + farthest * spacing if found else 0)
    legend: dict[Kind, str] = {}
    rows = tuple(Drawing(itself=table.name in table.parents.values()) for table in plan.tables)
    for lane, place in zip(found, at, strict=True):
        x = round(node - _NEAREST - place * spacing, 1)
        style = f"{lane.kind} c{lane.parent % colours}"
        legend.setdefault(lane.kind, style)
        for row, top, bottom in _vertical_lines(lane.ends):
            rows[row].lines.append((x, top, bottom, style))
        for row, path in _curves(lane, x, node):
            rows[row].curves.append((path, style))
        for child in lane.children:
            rows[child].child = True
    return Graph(rows, node + 2 * _NODE, node, legend)


def _vertical_lines(ends: list[End]) -> Iterator[tuple[int, str, str]]:
    (first, leaves), (last, comes) = ends[0], ends[-1]
    for row in range(first, last + 1):
        top = str(_Y[leaves] + _CURVE) if row == first else "-1"
        yield row, top, str(_Y[comes] - _CURVE) if row == last else "100%"


def _curves(lane: Lane, x: float, node: float) -> Iterator[tuple[int, str]]:
    for child in lane.children:
        bend = _IN - _CURVE if child > lane.parent else _IN + _CURVE
        yield child, f"M{x} {bend}Q{x} {_IN} {x + _CURVE} {_IN}H{node - _NODE - 4}"
    for bend, there in ((_OUT + _CURVE, max(lane.children)), (_OUT - _CURVE, min(lane.children))):
        if (there > lane.parent) == (bend > _OUT):
            out = f"M{x} {bend}Q{x} {_OUT} {x + _CURVE} {_OUT}H{node - _CURVE}"
            yield lane.parent, f"{out}Q{node} {_OUT} {node} {_OUT - _CURVE}V{_IN + _NODE}"
