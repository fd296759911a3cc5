"""The picture: seconds and memory by the number of commits."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from benchmarks.results import Results
from benchmarks.steps import CHAINS, DFSYNC, FIRST, FLOOR, READING, SECOND

_COLOURS = dict(zip(CHAINS, ("#0b5fa5", "black", "#5aa6e0", "#d1603d", "#8a5a9e", "#e3a008", "#4c956c"), strict=True))


def draw(results: Results, folder: Path) -> None:
    """Writes seconds.png: first sync, second sync, memory."""
    figure, (first, second, memory) = plt.subplots(1, 3, figsize=(15, 5), layout="constrained")
    for who in results.contestants(FIRST):
        _line(first, results, FIRST, who)
        _line(memory, results, FIRST, who, memory=True)
    for who in (DFSYNC, READING):
        _line(second, results, SECOND, who)
    _label(first, "First sync into empty tables", "seconds")
    _label(second, "Second sync, nothing new", "seconds")
    _label(memory, "Most memory, first sync", "MB")
    memory.set_yscale("linear")
    memory.set_ylim(bottom=0)
    figure.savefig(folder / "seconds.png", dpi=110, facecolor="white")
    plt.close(figure)


def _line(axes: Axes, results: Results, case: str, who: str, *, memory: bool = False) -> None:
    value = results.peak_mb if memory else results.seconds
    known = [(rows, y) for rows in results.sizes(case) if (y := value(case, who, rows)) is not None]
    if known:
        style = "--" if who in (FLOOR, READING) else "-"
        width = 2.5 if who == DFSYNC else 1.5
        colour = _COLOURS.get(who, "black")
        axes.plot(*zip(*known, strict=True), style, marker="o", markersize=4, linewidth=width, color=colour, label=who)


def _label(axes: Axes, title: str, unit: str) -> None:
    axes.set(title=title, xlabel="commits", ylabel=unit, xscale="log", yscale="log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:,g}" if value < 1 else f"{value:,.0f}")
        axis.set_minor_formatter(NullFormatter())
    axes.grid(visible=True, which="major", color="#dddddd")
    axes.spines[["top", "right"]].set_visible(False)
    if axes.lines:
        axes.legend(frameon=False, fontsize=9)
