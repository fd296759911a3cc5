"""Folders as a run leaves them, made without one, and the report's page taken apart."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from dfsync.model import frames
from dfsync.model.rejects import reject_frame
from dfsync.output import files
from dfsync.output.report.page import write_report
from dfsync.output.result import SyncResult, TableCounts
from dfsync.plan.model import ForeignKey, Plan, TablePlan
from dfsync.stages.diff import DIFFERENCE_SCHEMA

HOSTILE = "</style><script>alert(1)</script> ]]> \"'` & \u202etxt \x1b[31m"
SECONDS = {"extract": 0.5, "conform": 0.25, "load": 2.0, "total": 3.0}
# The only ones that the page itself is made of.
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "header", "section", "footer", "details", "summary", "time"),
    *("h1", "h2", "h3", "p", "div", "span", "strong", "a", "wbr", "dl", "dt", "dd", "ul", "ol", "li"),
    *("table", "thead", "tbody", "tr", "th", "td", "svg", "rect", "line", "path", "circle"),
}


def table(name: str, *parents: str, **more: Any) -> TablePlan:
    keys = tuple(ForeignKey(f"{parent}_id", parent) for parent in parents)
    return TablePlan(name, more.pop("table", name), more.pop("id", "id"), ("slug",), keys, **more)


def plan(*tables: TablePlan) -> Plan:
    return Plan(tables, "discovered plan")


def mapping(*rows: tuple[int, int, str]) -> pd.DataFrame:
    columns = zip(*rows, strict=True) if rows else ((), (), ())
    types = (pa.int64(), pa.int64(), pa.string())
    arrays = [pa.array(column, type_) for column, type_ in zip(columns, types, strict=True)]
    return frames.from_arrow(pa.table(dict(zip(("old_id", "new_id", "action"), arrays, strict=True))))


def run_folder(out: Path, what: Plan, counts: list[TableCounts], **more: Any) -> Path:
    """The summary of a run, and the mappings that belong to its counts."""
    files.open_folder(out)
    for c in counts:
        actions = ["inserted"] * c.inserted + ["matched"] * c.matched + ["updated"] * c.updated
        files.write_mapping(out, c.name, [mapping(*((i, i + 100, action) for i, action in enumerate(actions, 1)))])
    facts = {"started": "2026-01-02T03:04:05+00:00", "source": "/home/me/my.db", "target": "app on db.example.com:3306"}
    files.write_summary(out, SyncResult(tuple(counts), {}, {}, 4.5, plan=what, **{**facts, **more}))
    return out


def write_rejects(out: Path, name: str, column: str | None, values: list[str | None], reason: str) -> None:
    files.write_rejects(out, name, reject_frame(range(1, len(values) + 1), column, values, reason).reset_index())


def hostile_folder(out: Path) -> Path:
    """Names, values and messages of which each would like to be more than text; a table failed, others have rejects."""
    odd = HOSTILE.replace("/", "_")
    long = "long_name_" * 20
    tables = plan(
        table(odd, table=HOSTILE, origin={"natural_key": HOSTILE}),
        table("child", odd, "child", deferred=("child_id",)),
        table(long, "child", ignore_columns=(HOSTILE,)),
        table("broken", after=("child",)),
        table("absent"),
    )
    counts = [
        TableCounts(odd, HOSTILE, 14, inserted=4, matched=3, failed=7, seconds={**SECONDS, HOSTILE: 1.0}),
        TableCounts("child", "child", 2, failed=2, seconds=SECONDS),
        TableCounts(long, "x", 1_234_567_890, inserted=2, failed=1_234_567_888, seconds=SECONDS),
        TableCounts("broken", "broken", 5, failed=5, error=HOSTILE, seconds=SECONDS),
        TableCounts("absent", "absent", note=HOSTILE),
    ]
    out = run_folder(out, tables, counts, source=f"/tmp/{HOSTILE}.db", target=HOSTILE)
    write_rejects(out, odd, HOSTILE, [HOSTILE, None, "y" * 5000, *(["<img src=x onerror=alert(1)>"] * 4)], HOSTILE)
    write_rejects(out, "child", f"{odd}_id", ["7", "8"], f"missing parent: {odd}")
    write_rejects(out, long, None, [None] * 3, HOSTILE)
    difference = [1, 101, "inserted", "changed", HOSTILE, HOSTILE, None]
    found = pa.Table.from_pylist([dict(zip(DIFFERENCE_SCHEMA.names, difference, strict=True))], DIFFERENCE_SCHEMA)
    files.write_differences(out, "child", DIFFERENCE_SCHEMA, iter([found]))
    return out


class Page(HTMLParser):
    """The elements of a page, and its text without that of pictures."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._mute = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("style", "svg"):
            self._mute = tag
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag == self._mute:
            self._mute = ""

    def handle_data(self, data: str) -> None:
        if not self._mute:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))


def page(out: Path) -> Page:
    return Page(write_report(out).read_text())
