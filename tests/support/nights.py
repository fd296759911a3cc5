"""Worlds of several nights, for a property: families of two tables that change on both sides between runs.

Nothing here knows how dfsync works; `expected` is what the promises say of a run, in plain Python over dicts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

Row = dict[str, Any]
Rows = dict[int, Row]
Key = tuple[Any, ...]
NAMES = ["a", "b", "c", "A"]
NOTES = ["x", "y", None]
NUMBERS = [1, 2, 3]
LOST = -1
"""In place of the id of a parent without a target row."""


@dataclass(frozen=True)
class Table:
    """A table of a family, and what the plan says of it."""

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    parents: dict[str, str] = field(default_factory=dict)
    autoincrement: bool = False
    identity: str | None = None
    on_rekey: str | None = None
    on_match: str = "skip"

    @property
    def by_id(self) -> bool:
        """Whether a row without a key is the one that had its id in the last run."""
        return (self.identity or ("id" if self.autoincrement else "content")) == "id"

    @property
    def reuses_ids(self) -> bool:
        return not self.autoincrement and self.identity != "id"

    def settings(self) -> Iterator[str]:
        yield f"[tables.{self.name}]"
        yield f"natural_key = {list(self.key)!r}".replace("'", '"')
        yield f'on_match = "{self.on_match}"'
        for setting in ("identity", "on_rekey"):
            if getattr(self, setting):
                yield f'{setting} = "{getattr(self, setting)}"'


@dataclass(frozen=True)
class Change:
    """Something that happens to one table between two runs; numbers choose among the rows that are there."""

    table: str
    side: str
    kind: str
    which: int
    other: int
    row: Row


@dataclass(frozen=True)
class Night:
    """What happens before a run."""

    fate: str
    """What became of the map: `kept`, `lost`, `stale`."""
    foretell: bool
    """Whether a dry run comes first. It costs as much as the run."""
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class World:
    """Families of tables, their first rows, and what happens each night."""

    tables: dict[str, Table]
    source: dict[str, Rows]
    target: dict[str, list[Row]]
    nights: tuple[Night, ...]


_SETTINGS = {
    "autoincrement": st.booleans(),
    "identity": st.sampled_from([None, "id", "content"]),
    "on_rekey": st.sampled_from([None, "insert", "follow"]),
    "on_match": st.sampled_from(["skip", "update"]),
}


@st.composite
def families(draw: Any, number: int) -> tuple[Table, Table]:
    parent = f"p{number}"
    person = Table(
        parent, draw(st.sampled_from([("name",), ()])), ("name", "note"), **draw(st.fixed_dictionaries(_SETTINGS))
    )
    key = draw(st.sampled_from([("n",), ("p_id", "n"), ()]))
    line = Table(f"c{number}", key, ("p_id", "n", "note"), {"p_id": parent}, **draw(st.fixed_dictionaries(_SETTINGS)))
    return person, line


def _rows(table: Table) -> Any:
    values = {"name": st.sampled_from(NAMES), "note": st.sampled_from(NOTES), "n": st.sampled_from(NUMBERS)}
    ids = st.integers(1, 4)
    values["p_id"] = ids if "p_id" in table.key else st.one_of(ids, st.none())
    return st.fixed_dictionaries({name: values[name] for name in table.columns})


@st.composite
def worlds(draw: Any, most: int = 3, least: int = 1) -> World:
    count = draw(st.integers(least, most))
    tables = {table.name: table for number in range(count) for table in draw(families(number))}
    ids = st.integers(1, 6)
    source = {name: draw(st.dictionaries(ids, _rows(table), max_size=4)) for name, table in tables.items()}
    target = {name: draw(st.lists(_rows(table), max_size=2)) for name, table in tables.items()}
    changes = st.sampled_from(list(tables.values())).flatmap(
        lambda table: st.builds(
            Change,
            table=st.just(table.name),
            side=st.sampled_from(["source", "source", "target"]),
            kind=st.sampled_from(["insert", "delete", "set", "set", "swap"]),
            which=st.integers(0, 5),
            other=st.integers(0, 5),
            row=_rows(table),
        )
    )
    night = st.builds(
        Night,
        fate=st.sampled_from(["kept", "kept", "lost", "stale"]),
        foretell=st.sampled_from([True, False, False]),
        changes=st.lists(changes, max_size=3 * count).map(tuple),
    )
    nights = draw(st.lists(night, min_size=1, max_size=3))
    return World(tables, source, target, tuple(nights))


@dataclass(frozen=True)
class Evidence:
    """What a map says: the new ids, and the source's keys when it was written."""

    new_ids: dict[str, dict[int, int]] = field(default_factory=dict)
    keys: dict[str, dict[int, Key]] = field(default_factory=dict)

    def after(
        self, new_ids: dict[str, dict[int, int]], keys: dict[str, dict[int, Key]], lost: dict[str, set[int]]
    ) -> Evidence:
        """What is known after a run: of the rows that were rejected what was known before."""
        still = {
            name: {old: new for old, new in ids.items() if old in lost[name]} for name, ids in self.new_ids.items()
        }
        return Evidence(
            {name: {**still.get(name, {}), **ids} for name, ids in new_ids.items()},
            {
                name: {old: self.keys[name][old] if old in still.get(name, {}) else key for old, key in of.items()}
                for name, of in keys.items()
            },
        )


@dataclass
class Expected:
    """What a run must make of one table: who has which target row, and the target after it."""

    matched: dict[int, int]
    leads: dict[int, int]
    """By old id the old id whose new row it has: its own where the row is inserted for it."""
    rejected: set[int]
    rekeyed: set[int]
    target: Rows
    """Rows that were there before, as they must be after the run."""
    followed: set[int] = field(default_factory=set)


def source_keys(table: Table, rows: Rows) -> dict[int, Key]:
    """The natural keys as the source has them, ids of parents among them."""
    return {old: tuple(row[column] for column in table.key) for old, row in rows.items()}


def expected(table: Table, rows: Rows, target: Rows, parents: dict[str, dict[int, int]], kept: Evidence) -> Expected:
    """What one run must do with a table."""
    translated = {old: _translated(table, row, parents) for old, row in sorted(rows.items())}
    fits = {old: row for old, row in translated.items() if LOST not in row.values()}
    done = Expected({}, {}, rows.keys() - fits.keys(), set(), {new: dict(row) for new, row in target.items()})
    if table.key:
        # A row without its parent may still share a target row, where the parent is not in the natural key.
        keyed = {old: row for old, row in translated.items() if LOST not in _key(table, row)}
        _by_key(table, source_keys(table, rows), keyed, fits, target, kept, done)
    else:
        _by_content(table, rows, fits, target, kept, done)
    if table.on_match == "update":
        _update(table, fits, done)
    return done


def _by_key(
    table: Table, now: dict[int, Key], keyed: Rows, fits: Rows, target: Rows, kept: Evidence, done: Expected
) -> None:
    there = {_key(table, row): new for new, row in target.items()}
    new_ids, before = kept.new_ids.get(table.name, {}), kept.keys.get(table.name, {})
    done.rekeyed = {
        old
        for old, row in keyed.items()
        if new_ids.get(old) in target and there.get(_key(table, row)) != new_ids[old] and now[old] != before[old]
    }
    if table.on_rekey == "follow":
        there = _without_moved(table, keyed, there, new_ids, done.rekeyed)
    if table.on_rekey != "insert":
        # Nobody else takes the target row of a row with another key, unless he had it before, too.
        held = {new for old, new in new_ids.items() if old in keyed and there.get(_key(table, keyed[old])) == new}
        given_up = {new_ids[old] for old in done.rekeyed} - held
        takers = {old for old, row in keyed.items() if there.get(_key(table, row)) in given_up} - done.rekeyed
        taken = {old for old in done.rekeyed if table.on_rekey is None or _key(table, keyed[old]) in there}
        done.rejected |= takers | taken
        keyed = {old: row for old, row in keyed.items() if old not in takers | taken}
    if table.on_rekey == "follow":
        _follow(table, keyed, there, {old: new_ids[old] for old in sorted(done.rekeyed)}, done)
        keyed = {old: row for old, row in keyed.items() if old not in done.matched}
    leaders: dict[Key, int] = {}
    for old, row in keyed.items():
        if _key(table, row) not in there and old in fits:
            leaders.setdefault(_key(table, row), old)
    for old, row in keyed.items():
        key = _key(table, row)
        if key in there:
            done.matched[old] = there[key]
        elif key in leaders:
            done.leads[old] = leaders[key]
    done.rejected -= done.matched.keys() | done.leads.keys()


def _without_moved(
    table: Table, keyed: Rows, there: dict[Key, int], new_ids: dict[int, int], rekeyed: set[int]
) -> dict[Key, int]:
    """The keys of the target without those that a row waits for while their target rows take other keys."""
    still = {
        there[_key(table, row)] for old, row in keyed.items() if there.get(_key(table, row), -1) == new_ids.get(old)
    }
    given_up = {new_ids[old] for old in rekeyed} - still
    claimed = {
        there[_key(table, row)]
        for old, row in keyed.items()
        if _key(table, row) in there and old not in rekeyed and there[_key(table, row)] not in given_up
    }
    owners: dict[int, int] = {}
    for old in sorted(rekeyed):
        owners.setdefault(new_ids[old], old)
    leads: dict[Key, int] = {}
    for old in sorted(owners.values()):
        if new_ids[old] not in claimed:
            leads.setdefault(_key(table, keyed[old]), old)
    moves: set[int] = set()
    while more := {
        old for key, old in leads.items() if old not in moves and (key not in there or owners.get(there[key]) in moves)
    }:
        moves |= more
    freed = {there[_key(table, keyed[old])] for old in moves if _key(table, keyed[old]) in there}
    return {key: new for key, new in there.items() if new not in freed}


def _follow(table: Table, fits: Rows, there: dict[Key, int], rekeyed: dict[int, int], done: Expected) -> None:
    """Give target rows the new keys of the rows that they were, where nobody else has either."""
    taken = {there[_key(table, row)] for row in fits.values() if _key(table, row) in there}
    asked: set[int] = set()
    followers: dict[Key, int] = {}
    for old, new in rekeyed.items():
        if new not in asked and new not in taken and old in fits:
            followers.setdefault(_key(table, fits[old]), old)
        asked.add(new)
    for key, old in followers.items():
        new = rekeyed[old]
        done.target[new].update(zip(table.key, key, strict=True))
        done.followed.add(old)
        done.matched.update(dict.fromkeys((o for o, row in fits.items() if _key(table, row) == key), new))


def _by_content(table: Table, rows: Rows, fits: Rows, target: Rows, kept: Evidence, done: Expected) -> None:
    if table.by_id:
        new_ids = kept.new_ids.get(table.name, {})
        # Also a row that lost its parent: it is known, and its target row keeps what it has.
        done.matched.update({old: new_ids[old] for old in rows if new_ids.get(old) in target})
        done.rejected -= done.matched.keys()
    free = [new for new in sorted(target) if new not in done.matched.values()]
    for old, row in fits.items():
        if old in done.matched:
            continue
        same = next((new for new in free if target[new] == row), None)
        if same is None:
            done.leads[old] = old
        else:
            free.remove(same)
            done.matched[old] = same


def _update(table: Table, fits: Rows, done: Expected) -> None:
    updated: set[int] = set()
    for old in sorted(done.matched):
        new = done.matched[old]
        if new in updated:
            continue
        updated.add(new)
        if old not in fits:
            continue
        row = fits[old]
        done.target[new].update({column: row[column] for column in table.columns if column not in table.key})


def _translated(table: Table, row: Row, parents: dict[str, dict[int, int]]) -> Row:
    """The row with the ids that its parents have in the target, `LOST` where they have none."""
    ids = {
        column: None if row[column] is None else parents[parent].get(row[column], LOST)
        for column, parent in table.parents.items()
    }
    return {**row, **ids}


def _key(table: Table, row: Row) -> Key:
    return tuple(row[column] for column in table.key)
