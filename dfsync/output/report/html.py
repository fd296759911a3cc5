"""The report as HTML: without scripts, without anything from outside, every value escaped."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from dfsync.text.wording import printable, quoted_pair, with_count

STAGES = ("extract", "conform", "remap", "target keys", "match", "load", "references", "update", "journal", "other")
"""In the order in which a row passes them."""
COLOURS = 10
"""`report.css` defines them, and each of `STAGES` has one of its own."""
MAX_SHOWN_CHARACTERS = 1000
_TEMPLATES = Path(__file__).parent / "templates"
_MIN_PERCENT = 0.7


@dataclass(frozen=True)
class Segment:
    """A piece of a bar, in per cent of its width."""

    style: str
    title: str
    start: float
    width: float


def bar(parts: Iterable[tuple[str, str, float]], whole: float) -> tuple[Segment, ...]:
    """Lay out a bar. A part that would be too thin to see is made wider, at the cost of the widest.

    Parameters
    ----------
    parts
        Class, title and size of each part; parts without size are left out.
    whole
        The size of the full width.

    Returns
    -------
    tuple of Segment
        From left to right.
    """
    present = [(style, title, size) for style, title, size in parts if size > 0]
    if not present:
        return ()
    widths = [max(100 * size / whole, _MIN_PERCENT) for *_, size in present]
    excess = max(sum(widths) - 100, 0)
    widths[widths.index(max(widths))] -= excess
    segments = []
    start = 0.0
    for (style, title, _), width in zip(present, widths, strict=True):
        segments.append(Segment(style, title, round(start, 3), round(width, 3)))
        start += width
    return tuple(segments)


def duration(seconds: float) -> str:
    """Word a duration: `0.02 s`, `12.3 s`, `4 min 5 s`, `2 h 3 min`."""
    if not math.isfinite(seconds):
        return "?"
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def render(view: Mapping[str, Any]) -> str:
    """Fill in `templates/report.html`, whose policy allows its own style sheet and nothing else.

    Parameters
    ----------
    view
        What the template needs, by name.

    Returns
    -------
    str
        The page.

    References
    ----------
    https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Content-Security-Policy/style-src
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "shown": _shown,
        "brief": _brief,
        "long": _long,
        "breakable": _breakable,
        "duration": duration,
        "number": "{:,}".format,
    }
    environment.globals |= {
        "quoted_pair": quoted_pair,
        "counted": _counted,
        "version": version("dfsync"),
        "STAGES": STAGES,
    }
    style = environment.get_template("report.css").render(graph=view["graph"], colours=COLOURS)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    # Escaped it would be another text; what it holds of the data are numbers.
    return environment.get_template("report.html").render(view, style=Markup(style), digest=digest)


def _shown(value: Any) -> str:
    return "NULL" if value is None else printable(value, 200)


def _brief(value: Any) -> str:
    return "NULL" if value is None else printable(value, 100) or "''"


def _breakable(text: str) -> Markup:
    """Where a name may go on in the next line."""
    return Markup("_<wbr>").join(text.split("_"))


def _long(value: Any) -> str:
    return printable(value, MAX_SHOWN_CHARACTERS)


def _counted(number: int, plural: str) -> str:
    return with_count(number, plural).replace(str(number), f"{number:,}", 1)
