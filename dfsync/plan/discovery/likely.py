"""Which columns that no constraint declares may hold ids of other tables, by their names alone.

Names are no proof: a `Candidate` is a column to look at, and its rows say whether it is asked about. The rules are the
tables below; `docs/likely-keys.md` explains them and says how often they are right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dfsync.model.schema import Column, Schema, Table
from dfsync.plan.columns import copied_columns
from dfsync.plan.discovery.names import forms, is_plural, same_end, words_of
from dfsync.plan.model import EXPLICIT_ORIGINS, Plan, TablePlan


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


STRONG, WEAK = "strong", "weak"
"""How well a name fits: as `customer_id` fits customers, or as `owner` fits users."""

_ID_WORDS = frozenset({"id", "ids", "fk", "ref", "no", "nr", "pk", "key", "uid", "oid"})
_ID_PREFIXES = frozenset({"id", "fk", "ref"})
_COUNTING = frozenset({"no", "nr", "num", "number", "key", "code", "pk", "nummer"})
"""Words that end the names of ids where the database has a fashion of its own: `person_no`, and so `father_no`."""
_NO_IDS = _words(
    "account age amount avg batch building chapter count day duration fax flat floor height house hour index invoice"
    " length level licence license limit line lot max min minute model month order page part phone plate port position"
    " postal priority quantity qty rank rating registration room row score seq sequence serial series size sort step"
    " street tax tel telephone total vat version week weight width year zip"
)
"""What is numbered but is no reference: `house_no`, `page_number`, and bare columns such as `order` and `year`."""
_MEASURES = _words(
    "age amount avg average balance cost count date day days delay depth discount duration height hour hours hourly"
    " length level limit lock max mean min minute minutes month months num number of ordinal pct percent port position"
    " price priority qty quantity rank rate rating ratio score seconds size sort sum time total value version weight"
    " width year years"
)
"""A column that has such a word, and no word for an id, counts or measures: `num_players`, `max_user`."""
_PERSONS = ("user", "person", "people", "account", "member", "employee", "staff", "profile", "contact", "individual")
_PERSON_ROLES = _words(
    "admin agent approver assignee assigned author boss buyer creator editor employee father husband inviter invitee"
    " leader manager merger mother moderator operator organizer owner partner poster principal publisher receiver"
    " recipient referrer reporter reports rep requester reviewer seller sender sibling spouse student subscriber"
    " supervisor teacher trainer tutor updater uploader user wife winner witness writer"
)
"""Who a column with such a word names is a row of one of `_PERSONS`."""
_OWN_ROLES = _words(
    "alias ancestor child copy dam duplicate father follows inherited master mother next origin original parent"
    " predecessor prev previous prior replaced replaces replied reply reports root sire successor superseded supersedes"
)
"""What a column with such a word names may be another row of the same table."""
_LINKS = _words("to by from of on in into with for ptr created updated modified deleted")
"""Words at the end of a name that say how it refers to a row: `issue_from_id`, `page_ptr_id`."""
_ALONE = {("uid",): ("user",)}
"""What columns of one word hold ids of."""
_SHORTEST = 3
"""Letters of a name that is short for another."""
_NO_IDENTIFYING = frozenset({"bool", "date", "time"})
_TYPE_WORDS = ("type", "kind", "class", "model")
_MOST_PARENTS = 4


@dataclass(frozen=True)
class Parent:
    """A table whose ids a column may hold."""

    name: str
    """In the plan."""
    fit: str
    """`STRONG` or `WEAK`."""


@dataclass(frozen=True)
class Candidate:
    """A column whose name says that it may hold ids."""

    table: str
    """In the plan."""
    column: str
    """As the source spells it."""
    parents: tuple[Parent, ...]
    """The best first; none where only the rows of `type_column` could name the tables."""
    type_column: str | None = None
    """The column that may say of each row which table its id is of, as `content_type_id` does of `object_id`."""
    typed_by_id: bool = False
    """Whether `type_column` holds ids of a table of types, and not their names."""
    in_key: bool = False
    """Whether it is in the natural key."""
    is_id: bool = False
    """Whether it is the id of its own table, as `user_id` of profiles, of which each user has one, may be."""


@dataclass(frozen=True)
class _Named:
    """A planned table with an id of its own, and its words."""

    plan: TablePlan
    words: tuple[str, ...]
    id_words: tuple[str, ...]


def candidates(plan: Plan, source: Schema, target: Schema) -> Iterator[Candidate]:
    """Find the undecided columns whose names say that they may hold ids.

    Parameters
    ----------
    plan
        The complete plan.
    source
        All tables of the source.
    target
        All tables of the target; one that it lacks is to be made after that of the source.

    Yields
    ------
    Candidate
        In the plan's order, columns of a natural key first. A column that the plan decides is none: one of
        `foreign_keys`, `plain_columns` or `ignore_columns`, an id that it names, one of a declared constraint, one
        that is not copied.
    """
    named = [_Named(t, words_of(t.table), words_of(t.id)) for t in plan.tables if t.id and source.find(t.table)]
    for table in plan.tables:
        source_table = source.find(table.table)
        if source_table is None:
            continue
        found = [
            *_id_candidates(table, source_table, named),
            *_table_candidates(table, source_table, target.find(table.table), named),
        ]
        yield from sorted(found, key=lambda candidate: not candidate.in_key)


def _id_candidates(table: TablePlan, source_table: Table, named: Sequence[_Named]) -> Iterator[Candidate]:
    """The id of a table where it is called after another table and not after its own."""
    if not table.id or table.id not in source_table or table.origin.get("id") in EXPLICIT_ORIGINS:
        return
    named_id, stem = _without_id_word(words_of(table.id))
    if named_id and stem and not same_end(stem, words_of(table.table)):
        # Tables that call their ids alike, such as meta_id, do not refer to each other by them.
        others = [
            each
            for each in named
            if each.plan.name != table.name
            if each.id_words != words_of(table.id) or same_end(stem, each.words)
        ]
        parents = tuple(p for p in _parents(table, source_table[table.id], others) if p.fit == STRONG)
        if parents:
            yield Candidate(table.name, source_table[table.id].name, parents, is_id=True)


def _table_candidates(
    table: TablePlan, source_table: Table, target_table: Table | None, named: Sequence[_Named]
) -> Iterator[Candidate]:
    decided = {column.lower() for column in (*table.parents, *table.plain_columns)}
    for declaring in (source_table, target_table):
        references = declaring.references if declaring else ()
        decided |= {column.lower() for reference in references for column in reference.columns}
    key = {column.lower() for column in table.key}
    for copied in copied_columns(table, source_table, target_table):
        column = source_table[copied.name]
        if column.name.lower() in decided or not _may_hold_ids(column):
            continue
        parents = _parents(table, column, named)
        type_column = _type_column(column, source_table)
        if parents or type_column:
            typed = type_column is not None and bool(
                type_column in table.parents or _parents(table, source_table[type_column], named)
            )
            yield Candidate(table.name, column.name, parents, type_column, typed, column.name.lower() in key)


def _may_hold_ids(column: Column) -> bool:
    return not any(word in column.type.lower() for word in _NO_IDENTIFYING)


def _parents(table: TablePlan, column: Column, named: Sequence[_Named]) -> tuple[Parent, ...]:
    """The tables whose ids a column may hold, the best first."""
    words = words_of(column.name)
    named_id, stem = _without_id_word(words)
    if not named_id and (column.kind != "integer" or {*stem} & _MEASURES or (len(stem) == 1 and stem[0] in _NO_IDS)):
        return ()
    mine = _Name(table, words_of(table.table), words, stem, named_id)
    levels = {each.plan.name: level for each in named if (level := _level(mine, each, named)) is not None}
    for each in _by_role(mine, named):
        levels[each.plan.name] = min(levels.get(each.plan.name, _BY_ROLE), _BY_ROLE)
    if not levels:
        levels = {each.plan.name: _BY_LETTERS for each in (*_by_letters(mine, named), *_by_ending(mine, named))}
    best = sorted(levels, key=lambda name: levels[name])[:_MOST_PARENTS]
    return tuple(Parent(name, STRONG if named_id and levels[name] <= _SAME_ID else WEAK) for name in best)


@dataclass(frozen=True)
class _Name:
    """The name of a column that may hold ids."""

    table: TablePlan
    table_words: tuple[str, ...]
    words: tuple[str, ...]
    stem: tuple[str, ...]
    """The words without those that say that it is an id, and without links such as `from` at the end."""
    named_id: bool

    @property
    def is_role(self) -> bool:
        return self.stem[-1] in _PERSON_ROLES | _OWN_ROLES


_EXACT, _NEAR, _SAME_ID, _FAR, _PREFIXED, _BY_ROLE, _DISTANT, _BY_LETTERS = range(8)
"""How a column's name fits a table, the best first: `user_id` of user, of app_user in a table of the same app, of a
table whose id is called so, of any_user; then `old_user_id` of user, `owner_id`, `old_user_id` of any_user, and the
letters alone."""


def _without_id_word(words: tuple[str, ...]) -> tuple[bool, tuple[str, ...]]:
    """Whether the words say that the column is an id, and the others."""
    if words in _ALONE:
        return True, _ALONE[words]
    named_id = True
    if len(words) > 1 and words[-1] in _ID_WORDS:
        stem = words[1:-1] if len(words) > 2 and words[0] in _ID_PREFIXES else words[:-1]
    elif len(words) > 1 and words[0] in _ID_PREFIXES:
        stem = words[1:]
    elif words and words[-1].endswith("id") and len(words[-1]) > len("id") + 2:
        # Such as userid, which is an id where a table is called user.
        stem = (*words[:-1], words[-1].removesuffix("id"))
    else:
        named_id, stem = False, words
    while len(stem) > 1 and (stem[-1] in _LINKS or stem[-1].isdigit()):
        stem = stem[:-1]
    return named_id, (*stem[:-1], stem[-1].rstrip("0123456789") or stem[-1]) if stem else stem


def _level(mine: _Name, other: _Named, named: Sequence[_Named]) -> int | None:
    """How a column's name fits a table; None where it does not."""
    own = other.plan.name == mine.table.name
    same_id = mine.words == other.id_words and len(mine.words) > 1 and not own
    shared = same_end(mine.stem, other.words) if mine.stem else None
    # A column that is called after its own table counts its rows, and a plural counts those of another.
    if shared is None or (own and not shared[0]) or (not mine.named_id and is_plural(mine.stem[-1])):
        return _SAME_ID if same_id else None
    skipped, before = shared
    prefix = other.words[:before]
    near = not before or prefix in (mine.table_words[:before], mine.table_words)
    if not near and not mine.named_id:
        return None
    if skipped:
        of_app = near or sum(each.words[:before] == prefix for each in named) > 1
        return _PREFIXED if not before else _DISTANT if of_app else None
    if same_id or near:
        return (_NEAR if before else _EXACT) if near else _SAME_ID
    return _DISTANT if mine.is_role else _FAR


def _by_role(mine: _Name, named: Sequence[_Named]) -> list[_Named]:
    """Tables by what a column calls its row: a parent is of the same table, an owner is a user."""
    role = mine.stem[-1] if mine.stem else ""
    own = [each for each in named if each.plan.name == mine.table.name]
    persons = [each for word in _PERSONS for each in named if forms(each.words[-1]) & forms(word)]
    # Users before the users of a group.
    persons.sort(key=lambda each: len(each.words) > 1)
    found: list[_Named] = []
    if role in _PERSON_ROLES or "by" in mine.words:
        found += [each for each in own if each in persons] + persons
    if role in _OWN_ROLES:
        found += own
    return found


def _by_letters(mine: _Name, named: Sequence[_Named]) -> list[_Named]:
    """Tables whose name is short in the column's: `repo_id` of repositories, `visit_id` of historyvisits."""
    last = mine.stem[-1] if mine.named_id and mine.stem else ""
    if len(last) < _SHORTEST:
        return []
    return [
        each
        for each in named
        if each.plan.name != mine.table.name or len(mine.stem) > 1
        if each.words[-1].startswith(last)
        or (len(last) > _SHORTEST and any(f.endswith(last) for f in forms(each.words[-1])))
    ]


def _by_ending(mine: _Name, named: Sequence[_Named]) -> list[_Named]:
    """Tables whose ids end with the same unusual word, as `father_no` ends like `person_no`: its own first."""
    if len(mine.words) < 2 or mine.words[-1] not in _COUNTING or {*mine.words[:-1]} & _NO_IDS:
        return []
    alike = [each for each in named if len(each.id_words) > 1 and each.id_words[-1] == mine.words[-1]]
    return sorted(alike, key=lambda each: each.plan.name != mine.table.name)


def _type_column(column: Column, table: Table) -> str | None:
    """The column that may say of each row which table the ids of this column are of."""
    words = words_of(column.name)
    own = words_of(table.name)
    # What is called after its own table is a number of its rows, such as staff_id beside staff_type of staff_details.
    if len(words) < 2 or words[-1] not in _ID_WORDS or words[:-1] == own[: len(words) - 1]:
        return None
    types = {}
    for other in table.columns:
        others = words_of(other.name)
        plain = others[:-1] if len(others) > 1 and others[-1] == "id" else others
        if other.name != column.name and plain and plain[-1] in _TYPE_WORDS:
            types[plain[:-1]] = other.name
    stem = words[:-1]
    generic = [(*stem[:-1], "content"), ("content",)] if stem[-1] == "object" else []
    return next((types[name] for name in (stem, *generic) if name in types), None)
