"""The plans that dfsync brings along, and plan files that say only how they differ from one of them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dfsync.model.errors import DfsyncError
from dfsync.text.redaction import without_credentials
from dfsync.text.wording import did_you_mean

_FOLDER = Path(__file__).parent
DISCOVERED = "discovered"
"""The name of the plan that takes nothing from a ready-made one."""
_DISCOVERED_FILE = _FOLDER / "no_application" / "discovered.toml"
BUILT_IN = _FOLDER / "git_history.toml"
_HEAD = ("base", "other_version")
_TITLES = {BUILT_IN: "built-in plan", _DISCOVERED_FILE: "discovered plan"}


@dataclass(frozen=True)
class Application:
    """What the head of a ready-made plan, `[application]`, says.

    Attributes
    ----------
    plan
        The name of the plan, such as `home-assistant`.
    name
        The name of the application.
    about
        In one clause, what the plan is for.
    telling_tables
        A source that has all of these tables is taken for one of the application.
    page
        The page of the documentation.
    """

    plan: str
    name: str
    about: str
    telling_tables: tuple[str, ...]
    page: str

    @property
    def choice(self) -> str:
        """Word why the plan was chosen, in one sentence without a full stop."""
        return (
            f"the source has the tables of {self.name}, so the ready-made plan {self.plan} is used ({self.page}); "
            f"--plan {DISCOVERED} does without it"
        )

    def as_dict(self) -> dict[str, Any]:
        """Convert to what `--json` prints."""
        return {**asdict(self), "telling_tables": list(self.telling_tables)}


def ready_made() -> dict[str, Path]:
    """Find the plans that dfsync brings along.

    Returns
    -------
    dict of str to Path
        The plan files by name, such as `git-history`, in the order of the names.
    """
    return {path.stem.replace("_", "-"): path for path in sorted(_FOLDER.glob("*.toml"))}


def applications() -> list[Application]:
    """Read for what the ready-made plans are, in the order of their names."""
    heads = {
        name: tomllib.loads(path.read_text(encoding="utf-8"))["application"] for name, path in ready_made().items()
    }
    return [
        Application(name, head["name"], head["about"], tuple(head["telling_tables"]), head["page"])
        for name, head in heads.items()
    ]


def told_by(tables: Iterable[str]) -> list[Application]:
    """Find the applications of which a source may be.

    Parameters
    ----------
    tables
        The names of all tables of the source, in any case.

    Returns
    -------
    list of Application
        Those all of whose telling tables are there, the ones with more telling tables first.
    """
    there = {name.lower() for name in tables}
    told = [found for found in applications() if there.issuperset(map(str.lower, found.telling_tables))]
    return sorted(told, key=lambda found: -len(found.telling_tables))


def plan_path(plan: Path | str | None) -> Path | None:
    """Find the file of a plan.

    Parameters
    ----------
    plan
        A plan file, or the name of a ready-made plan, or `discovered`.

    Returns
    -------
    Path or None
        None where none was given.

    Raises
    ------
    DfsyncError
        For a name that no ready-made plan has.
    """
    if plan is None or isinstance(plan, Path):
        return plan
    known = {**ready_made(), DISCOVERED: _DISCOVERED_FILE}
    if plan not in known:
        raise DfsyncError(f"There is no ready-made plan {without_credentials(repr(plan))}.{_hint(plan, known)}")
    return known[plan]


def _hint(name: str, known: Iterable[str]) -> str:
    if Path(name).is_file():
        return f" For the file of this name, write ./{name}."
    return f"{did_you_mean(name, known)} Known: {', '.join(known)}. A plan file is written with .toml or as ./NAME."


def plan_title(path: Path) -> str:
    """What to call the plan of a file in messages, after `the`."""
    name = _name_of(path)
    return _TITLES.get(path) or (f"built-in plan {name}" if name else f"plan {path}")


def with_own_base(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Take a ready-made plan for a plan file that says only that this one is its base, any other as it is."""
    name = _name_of(path)
    return content if name is None else {"base": name}


def _name_of(path: Path) -> str | None:
    """The name of the ready-made plan that a file is; None for another one."""
    return next((name for name, other in ready_made().items() if other == path), None)


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
    head: dict[str, Any] = {key: base[key] for key in _HEAD if key in base}
    return {**head, **rest, "exclude": [*base.get("exclude", []), *exclude], "tables": ordered}, inherited
