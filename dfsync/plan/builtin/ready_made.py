"""The plans that dfsync brings along, and plan files that say only how they differ from one of them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def ready_made() -> dict[str, Path]:
    """Find the plans that dfsync brings along.

    Returns
    -------
    dict of str to Path
        The plan files by name, such as `git-history`, in the order of the names.
    """
    return {path.stem.replace("_", "-"): path for path in sorted(Path(__file__).parent.glob("*.toml"))}


def laid_over_base(content: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, frozenset[str]]]:
    """Complete a plan file whose `base` is a ready-made plan with what that plan says.

    Parameters
    ----------
    content
        What the file says; its values may be wrong.

    Returns
    -------
    content : dict
        With the settings of the base that the file does not give; its `base` is that of the ready-made plan. The same
        as given where the file has no such base.
    inherited : dict of str to frozenset of str
        By each table that the base names, the settings that are the base's.
    """
    name = content.get("base")
    path = ready_made().get(name) if isinstance(name, str) else None
    tables, exclude = content.get("tables", {}), content.get("exclude", [])
    if path is None or not isinstance(tables, dict) or not isinstance(exclude, list):
        return dict(content), {}
    base, inherited = laid_over_base(tomllib.loads(path.read_text(encoding="utf-8")))
    merged = dict(tables)
    for table, settings in base.get("tables", {}).items():
        said = tables.get(table, {})
        if isinstance(said, dict):
            merged[table] = {**settings, **said}
            inherited[table] = frozenset(settings.keys() - said.keys())
    # The base's own order first, then what the file adds.
    ordered = {table: merged[table] for table in (*base.get("tables", {}), *tables)}
    rest = {key: value for key, value in content.items() if key != "base"}
    own_base = {"base": base["base"]} if "base" in base else {}
    return {**rest, **own_base, "exclude": [*base.get("exclude", []), *exclude], "tables": ordered}, inherited
