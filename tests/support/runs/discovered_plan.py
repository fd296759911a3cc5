"""The plan that dfsync completes for a source and a target."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine

from dfsync.model.schema import Schema
from dfsync.pipeline.session.planning import resolve_draft
from dfsync.plan.binding import bind_all
from dfsync.plan.model import Plan
from dfsync.source.sqlite import SqliteSource
from dfsync.target.schema.reflection import reflect
from tests.support.git_history import run_sql


def discover(folder: Path, source: str, target: Engine | None = None, *, plan: str | None = None) -> Plan:
    """The completed plan of a source of these tables, for a target that has none, or those of `target`."""
    path = run_sql(folder / "source.db", source)
    file = folder / "plan.toml"
    if plan is not None:
        file.write_text(plan, encoding="utf-8")
    with SqliteSource(path) as opened:
        target_schema = reflected(target)
        completed = resolve_draft(file if plan else None, opened, target_schema)
        present = [name for name in completed.names if target_schema.find(completed[name].table) is not None]
        bind_all(completed, present, opened.schema, target_schema)
        return completed


def reflected(target: Engine | None) -> Schema:
    if target is None:
        return Schema()
    with target.connect() as connection:
        return reflect(connection)


def keys(plan: Plan) -> dict[str, tuple[str, ...]]:
    return {table.name: table.key for table in plan.tables}
