"""Every collation of the server is held against its own `=`, its own unique index, and its own look-up of keys.

A run of the suite takes those that differ from all others, and as many more as fit in a minute, each time others. The
long run (`HYPOTHESIS_PROFILE=thorough`) takes all of them.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pandas as pd
import pyarrow as pa
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from dfsync.model import frames
from dfsync.model.schema import Column, Table
from dfsync.target.collation import normalize_pair
from dfsync.target.read.keys import lookup_by_key, read_keys
from dfsync.target.schema.reflection import reflect
from tests.support.tables.texts import ASCII_KEYS, KEYS, all_collations, fitting

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
EXAMPLES = int(os.environ.get("DFSYNC_EQUALITY_EXAMPLES", "20" if THOROUGH else "6"))
CHOSEN = 24
PER_TABLE = 24

# Those whose weights disagree with `=`, whose character sets are not made of ASCII, and the usual ones.
ALWAYS = [
    *("big5_chinese_ci", "euckr_korean_ci", "gb18030_chinese_ci", "tis620_thai_ci", "tis620_thai_nopad_ci"),
    *("cp1250_czech_cs", "latin7_general_ci", "latin7_general_cs", "latin7_estonian_cs"),
    *("utf8mb4_uca1400_nopad_ai_cs", "utf8mb4_uca1400_danish_nopad_ai_cs", "utf8mb4_uca1400_nopad_as_cs"),
    *("ucs2_general_ci", "utf16_unicode_ci", "utf16le_general_ci", "utf32_bin", "sjis_japanese_ci", "gbk_chinese_ci"),
    *("utf8mb4_general_ci", "utf8mb4_unicode_ci", "utf8mb4_bin", "utf8mb4_0900_ai_ci", "utf8mb4_uca1400_ai_ci"),
    *("latin1_swedish_ci", "utf8mb3_general_ci", "utf8mb4_hungarian_ci", "utf8mb4_zh_0900_as_cs"),
]
# Each of these has shown some collation's weights to be wrong.
KNOWN = [
    *("E", "\xc9", "e", "", " ", "a", "a ", "a\x00", "a\x00b", "\x7f", "i", "\u0131", "s", "\u017f"),
    *("\u0430", "\u0431", "\u03b1", "\u03b2", "\u3042", "\u3044", "\uac28", "\uac4c", "\uad24", "\uad48"),
]

Pair = tuple[int, int]


@dataclass
class Columns:
    """A column of each collation in one table, with an index of its own, and with unique indexes in another."""

    number: int
    names: list[str]
    table: Table

    def columns(self) -> list[Column]:
        return self.table.pick([f"c{i}" for i in range(len(self.names))])


def make_columns(connection: sa.Connection, charsets: dict[str, str]) -> list[Columns]:
    """Tables `k0`, … with the columns `c0`, … of these collations, and `u0`, … with the same as unique columns."""
    names = list(charsets)
    groups = [names[start : start + PER_TABLE] for start in range(0, len(names), PER_TABLE)]
    for number, group in enumerate(groups):
        typed = [f"c{i} VARCHAR(40) CHARACTER SET {charsets[name]} COLLATE {name}" for i, name in enumerate(group)]
        plain = [f"KEY (f, c{i})" for i in range(len(group))]
        unique = [f"UNIQUE (c{i})" for i in range(len(group))]
        connection.exec_driver_sql(f"CREATE TABLE k{number} (i INT PRIMARY KEY, f INT, {', '.join([*typed, *plain])})")
        connection.exec_driver_sql(f"CREATE TABLE u{number} ({', '.join([*typed, *unique])})")
    connection.exec_driver_sql("SET SESSION group_concat_max_len = 1000000")
    connection.commit()
    schema = reflect(connection)
    return [Columns(number, group, schema[f"k{number}"]) for number, group in enumerate(groups)]


def insert(connection: sa.Connection, columns: Columns, held: Sequence[dict[int, str]]) -> None:
    rows = [
        {"i": i, "f": i % 2} | {f"c{c}": of.get(i) for c, of in enumerate(held)}
        for i in sorted({i for of in held for i in of})
    ]
    marks = ", ".join(f":c{c}" for c in range(len(held)))
    if rows:
        connection.execute(sa.text(f"INSERT INTO k{columns.number} VALUES (:i, :f, {marks})"), rows)  # noqa: S608


def same_by_server(connection: sa.Connection, columns: Columns) -> list[set[Pair]]:
    """By column, the places of the values that the server calls equal."""
    # Not joined by them, since a hash join of MySQL finds less than its own `=`.
    equal = [f"GROUP_CONCAT(IF(a.{c.name} = b.{c.name}, CONCAT(a.i, ' ', b.i), NULL))" for c in columns.columns()]
    table = f"k{columns.number}"
    found = connection.execute(sa.text(f"SELECT {', '.join(equal)} FROM {table} AS a, {table} AS b")).one()  # noqa: S608
    return [{(int(i), int(j)) for i, j in map(str.split, pairs.split(",") if pairs else ())} for pairs in found]


def same_by_form(connection: sa.Connection, column: Column, held: dict[int, str]) -> set[Pair]:
    """The places of values that are the same in the source, in the target and between both: the same in each."""
    keys = text_series(list(held.values()))
    source, target = normalize_pair(connection, column, keys, keys)
    assert source.tolist() == target.tolist()
    forms = dict(zip(held, source.tolist(), strict=True))
    return {(i, j) for i, a in forms.items() for j, b in forms.items() if a == b}


def text_series(values: Sequence[str | None]) -> pd.Series[Any]:
    return frames.series(pa.array(values, pa.string()))


def refused_by_unique_index(
    connection: sa.Connection, columns: Columns, column: Column, held: dict[int, str], same: set[Pair]
) -> int:
    """How many keys a unique index refuses, once those that equal an earlier one are left out."""
    followers = {j for i, j in same if i < j}
    firsts = [value for i, value in held.items() if i not in followers]
    if not firsts:
        return 0
    marks = ", ".join(f"(:v{i})" for i in range(len(firsts)))
    statement = sa.text(f"INSERT IGNORE INTO u{columns.number} ({column.name}) VALUES {marks}")  # noqa: S608
    return len(firsts) - connection.execute(statement, {f"v{i}": value for i, value in enumerate(firsts)}).rowcount


def looked_up(connection: sa.Connection, columns: Columns, key: list[str], asked: dict[int, str]) -> set[int]:
    """The rows that a look-up of these values finds, those values alone or each with the number of its row."""
    values: dict[str, Any] = {key[-1]: text_series(list(asked.values()))}
    if len(key) > 1:
        values = {"f": frames.series(pa.array([i % 2 for i in asked], pa.int32()))} | values
    return {*lookup_by_key(connection, columns.table, "i", key, pd.DataFrame(values)).index}


def choose(connection: sa.Connection) -> dict[str, str]:
    """The collations of this run, with their character sets."""
    known = all_collations(connection)
    others = sorted({*known} - {*ALWAYS})
    chosen = others if THOROUGH else random.sample(others, CHOSEN)
    return {name: known[name] for name in [*ALWAYS, *chosen] if name in known}


def test_what_the_server_calls_equal_is_equal_here_whatever_the_collation(connection: sa.Connection) -> None:
    groups = make_columns(connection, choose(connection))

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        print_blob=True,
    )
    @example(KNOWN)
    @given(st.lists(st.one_of(KEYS, ASCII_KEYS), min_size=1, max_size=3).map(lambda keys: list(chain(*keys))))
    def holds(values: list[str]) -> None:
        for columns in groups:
            try:
                hold_group(connection, columns, values)
            finally:
                connection.rollback()

    holds()


def hold_group(connection: sa.Connection, columns: Columns, values: list[str]) -> None:
    listed = columns.columns()
    by_charset: dict[str | None, dict[int, str]] = {}
    for column in listed:
        if column.charset not in by_charset:
            by_charset[column.charset] = fitting(connection, values, column)
    held = [by_charset[column.charset] for column in listed]
    # A column of this one refuses U+007F, which its character set has.
    held = [
        {i: v for i, v in of.items() if name != "latin2_czech_cs" or "\x7f" not in v}
        for name, of in zip(columns.names, held, strict=True)
    ]
    insert(connection, columns, held)
    for name, column, of, theirs in zip(columns.names, listed, held, same_by_server(connection, columns), strict=True):
        mine = same_by_form(connection, column, of)
        assert mine == theirs, (name, [(of[i], of[j]) for i, j in mine ^ theirs])
        assert refused_by_unique_index(connection, columns, column, of, mine) == 0, (name, of)
        asked = {i: value for i, value in of.items() if i % 3 == 0}
        if asked:
            alone, paired = (looked_up(connection, columns, key, asked) for key in ([column.name], ["f", column.name]))
            assert alone == {j for i, j in theirs if i in asked}, (name, of)
            assert paired == {j for i, j in theirs if i in asked and i % 2 == j % 2}, (name, of)
        scanned = read_keys(connection, columns.table, "i", [column.name])[column.name].dropna()
        assert dict(zip(scanned.index.tolist(), frames.as_arrow(scanned).to_pylist(), strict=True)) == of, name
