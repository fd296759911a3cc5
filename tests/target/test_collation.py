"""Two keys are the same exactly when the target's column says so, whatever its collation."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dfsync.model import frames
from dfsync.model.schema import Column
from dfsync.stages.conform.conform import conform
from dfsync.target.collation import normalize_pair, read_collation
from dfsync.target.connection import make_engine
from dfsync.target.schema.reflection import reflect

EXAMPLES = 10_000 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 40

COLLATIONS = {
    "both": [
        "utf8mb4_general_ci",
        "utf8mb4_unicode_ci",
        "utf8mb4_unicode_520_ci",
        "utf8mb4_bin",
        "utf8mb3_general_ci",
        "utf8mb3_unicode_ci",
        "latin1_swedish_ci",
        "latin1_german2_ci",
        "latin1_general_cs",
        "latin1_bin",
        "ascii_general_ci",
        "utf16_unicode_ci",
        "cp1250_general_ci",
        "sjis_japanese_ci",
        "utf8mb4_roman_ci",
        "utf8mb4_swedish_ci",
        "utf8mb4_hungarian_ci",
        "utf8mb4_danish_ci",
        "utf8mb4_turkish_ci",
    ],
    "mariadb": [
        "utf8mb4_general_nopad_ci",
        "utf8mb4_unicode_nopad_ci",
        "utf8mb4_nopad_bin",
        "latin1_swedish_nopad_ci",
        "utf8mb4_uca1400_ai_ci",
        "utf8mb4_uca1400_as_cs",
        "utf8mb4_uca1400_nopad_as_ci",
        "utf8mb4_uca1400_spanish2_ai_ci",
    ],
    "mysql": [
        "utf8mb4_0900_ai_ci",
        "utf8mb4_0900_as_ci",
        "utf8mb4_0900_as_cs",
        "utf8mb4_0900_bin",
        "utf8mb4_hu_0900_ai_ci",
        "utf8mb4_ja_0900_as_cs_ks",
        "utf8mb4_zh_0900_as_cs",
    ],
}
ASCII = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=5)
SCRIPTS = st.text(st.characters(codec="utf-8"), max_size=4)
# Letters that some collation takes for others, marks and signs that some leave out.
PIECES = st.sampled_from(
    [
        *(
            "a",
            "A",
            "\xe1",
            "\xc5",
            "ss",
            "\xdf",
            "SS",
            "\u1e9e",
            "i",
            "I",
            "\u0131",
            "\u0130",
            "aa",
            "\xe5",
            "Aa",
            "ae",
        ),
        *("ch", "cH", "ll", "oe", "\u0153", "\xe6", "fi", "\ufb01", "ccs", "cscs", "w", "v", "j", "u", "n", "\xf1"),
        *("n\u0303", "2", "\xb2", "\u2460", "IV", "\u2163", "K", "\u212a", "\u20ac", "\u0161", "\u0160", "-", "_", "."),
        *("\u03ac", "\u03b1", "\u0391", "\u0451", "\u0435", "\u0415", "\u05d0", "\u0627", "\ufdfa", "\u16d2", "\u4e2d"),
        *("\U0001f600", "\U0001f601", "\uff71", "\u30a2", "\u3042", "\u3041", "\u304c", "\ufffd", "\u0300", "\u200b"),
        *("\xad", "\u3000", "\xa0", "\t", "\x00", "\x7f", "\u0a04", "\U000f0000"),
    ]
)
WORDS = st.lists(PIECES, max_size=3).map("".join)
CHANGES = st.sampled_from(
    [
        str.upper,
        str.lower,
        str.swapcase,
        lambda t: t + " ",
        lambda t: t + "  ",
        lambda t: t + "\t",
        lambda t: t + "\x00",
        lambda t: t + "\u200b",
        lambda t: " " + t,
        lambda t: unicodedata.normalize("NFD", t),
        lambda t: unicodedata.normalize("NFC", t),
        lambda t: unicodedata.normalize("NFKC", t),
        lambda t: "".join(c for c in unicodedata.normalize("NFD", t) if not unicodedata.combining(c)),
    ]
)
# A word and what a collation may take for the same.
FAMILY = st.tuples(st.one_of(ASCII, WORDS, SCRIPTS), st.lists(CHANGES, max_size=4)).map(
    lambda t: [t[0], *(change(t[0]) for change in t[1])]
)
KEYS = st.lists(FAMILY, min_size=1, max_size=4).map(lambda families: [key for family in families for key in family])
ASCII_KEYS = st.lists(ASCII, min_size=2, max_size=8).map(lambda keys: [f(k) for k in keys for f in (str, str.swapcase)])


Pair = tuple[int, int]


@pytest.fixture
def connection(target: sa.Engine) -> Iterator[sa.Connection]:
    engine = make_engine(target.url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def make_column(connection: sa.Connection, collation: str, type_: str = "VARCHAR(40)") -> Column:
    charset = collation.split("_")[0]
    connection.exec_driver_sql(
        f"CREATE TABLE k (i INT PRIMARY KEY, v {type_} CHARACTER SET {charset} COLLATE {collation})"
    )
    connection.commit()
    return reflect(connection)["k"]["v"]


def text_series(values: list[str | None]) -> pd.Series[Any]:
    return frames.series(pa.array(values, pa.string()))


def same_by_form(connection: sa.Connection, column: Column, values: dict[int, str]) -> set[Pair]:
    """The places of values that are the same in the source, in the target and between both: the same in each."""
    keys = text_series(list(values.values()))
    source, target = normalize_pair(connection, column, keys, keys)
    assert source.tolist() == target.tolist()
    forms = dict(zip(values, source.tolist(), strict=True))
    return {(i, j) for i, a in forms.items() for j, b in forms.items() if a == b}


def known_to(connection: sa.Connection) -> list[str]:
    """The collations that this server has."""
    dialect: Any = connection.dialect
    return [*COLLATIONS["both"], *COLLATIONS["mariadb" if dialect.is_mariadb else "mysql"]]


def make_columns(connection: sa.Connection, collations: list[str]) -> list[Column]:
    """A table `k` with a column of each collation, and for each a table `u_...` with a unique one."""
    typed = {name: f"{name} VARCHAR(40) CHARACTER SET {name.split('_')[0]} COLLATE {name}" for name in collations}
    connection.exec_driver_sql(f"CREATE TABLE k (i INT PRIMARY KEY, {', '.join(typed.values())})")
    for name, column in typed.items():
        connection.exec_driver_sql(f"CREATE TABLE u_{name} ({column}, UNIQUE ({name}))")
    connection.exec_driver_sql("SET SESSION group_concat_max_len = 1000000")
    connection.commit()
    return [reflect(connection)["k"][name] for name in collations]


def fitting(values: list[str], column: Column) -> dict[int, str]:
    """The values that the column holds, by their place."""
    frame = frames.from_arrow(pa.table({column.name: pa.array(values, pa.string())}), range(len(values)))
    fit = conform(frame, [column]).frame[column.name]
    found = dict(zip(fit.index, frames.as_arrow(fit).to_pylist(), strict=True))
    if column.charset not in ("cp1250", "sjis"):
        return found
    # Of these conform leaves it to the server to tell what fits.
    return {i: v for i, v in found.items() if v.encode(column.charset, "ignore").decode(column.charset) == v}


def same_by_server(connection: sa.Connection, columns: list[Column], held: list[dict[int, str]]) -> list[set[Pair]]:
    """By column, the places of the values that the server calls equal."""
    marks = ", ".join(f":{column.name}" for column in columns)
    rows = [
        {"place": i} | {c.name: of.get(i) for c, of in zip(columns, held, strict=True)}
        for i in {i for of in held for i in of}
    ]
    if rows:
        connection.execute(sa.text(f"INSERT INTO k VALUES (:place, {marks})"), rows)  # noqa: S608
    # Not joined by them, since a hash join of MySQL finds less than its own `=`.
    equal = [f"GROUP_CONCAT(IF(a.{c.name} = b.{c.name}, CONCAT(a.i, ' ', b.i), NULL))" for c in columns]
    found = connection.execute(sa.text(f"SELECT {', '.join(equal)} FROM k AS a, k AS b")).one()  # noqa: S608
    return [{(int(i), int(j)) for i, j in map(str.split, pairs.split(",") if pairs else ())} for pairs in found]


def refused_by_unique_index(connection: sa.Connection, column: Column, held: dict[int, str], same: set[Pair]) -> int:
    """How many keys a unique index refuses, once those that equal an earlier one are left out."""
    followers = {j for i, j in same if i < j}
    firsts = [value for i, value in held.items() if i not in followers]
    if not firsts:
        return 0
    marks = ", ".join(f"(:v{i})" for i in range(len(firsts)))
    insert = sa.text(f"INSERT IGNORE INTO u_{column.name} VALUES {marks}")  # noqa: S608
    return len(firsts) - connection.execute(insert, {f"v{i}": value for i, value in enumerate(firsts)}).rowcount


def test_what_the_server_calls_equal_is_equal_here_whatever_the_collation(connection: sa.Connection) -> None:
    columns = make_columns(connection, known_to(connection))

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.one_of(KEYS, ASCII_KEYS))
    def holds(values: list[str]) -> None:
        held = [fitting(values, column) for column in columns]
        try:
            for column, of, theirs in zip(columns, held, same_by_server(connection, columns, held), strict=True):
                mine = same_by_form(connection, column, of)
                assert mine == theirs, (column.name, [(of[i], of[j]) for i, j in mine ^ theirs])
                assert refused_by_unique_index(connection, column, of, mine) == 0, (column.name, of)
        finally:
            connection.rollback()

    holds()


@pytest.mark.parametrize("type_", ["CHAR(20)", "TEXT", "ENUM('Ab','ß','x')"])
def test_every_type_with_a_collation_is_compared_by_it(connection: sa.Connection, type_: str) -> None:
    column = make_column(connection, "utf8mb4_unicode_ci", type_)
    source, target = normalize_pair(
        connection, column, text_series(["Ab", "x", None]), text_series(["AB", "x", None, "ß"])
    )
    assert source[0] == target[0]
    assert source[1] == target[1]
    assert source[0] != source[1]
    assert pd.isna(source[2])
    assert pd.isna(target[2])


def test_the_longest_index_key_is_weighed_whole(connection: sa.Connection) -> None:
    column = make_column(connection, "utf8mb4_unicode_ci", "VARCHAR(700)")
    values = dict(enumerate(["é" * 700, "é" * 699 + "e", "é" * 699 + "f", "é" * 699]))
    assert [same_by_form(connection, column, values)] == same_by_server(connection, [column], [values])


def test_many_long_keys_are_asked_for_in_statements_of_bearable_length(connection: sa.Connection) -> None:
    column = make_column(connection, "utf8mb4_unicode_ci", "VARCHAR(700)")
    keys = text_series([f"{i}" + "é" * 690 for i in range(1200)])
    lengths: list[int] = []

    @sa.event.listens_for(connection, "before_cursor_execute")
    def _measure(_connection: Any, _cursor: Any, _statement: str, parameters: Any, *_: Any) -> None:
        lengths.append(len(str(parameters).encode()))

    source, _ = normalize_pair(connection, column, keys, keys[:0])
    assert source.nunique() == 1200
    assert max(lengths) < 500_000


def test_a_character_that_the_column_lacks_is_equal_to_no_other(connection: sa.Connection) -> None:
    column = make_column(connection, "cp1250_general_ci")
    source, target = normalize_pair(connection, column, text_series(["中", "文", "é"]), text_series(["?", "É"]))
    assert not {source[0], source[1]} & {target[0], target[1]}
    assert source[0] != source[1]
    assert source[2] == target[1]


def test_without_a_collation_values_stay_as_they_are() -> None:
    column = Column("v", "integer", "int")
    keys = frames.series(pa.array([1, None, 3]))
    source, target = normalize_pair(None, column, keys, keys)
    assert source is keys
    assert target is keys


def test_an_index_of_another_order_comes_back_with_the_forms(connection: sa.Connection) -> None:
    column = make_column(connection, "utf8mb4_general_ci")
    source = text_series(["B", "a "]).set_axis(pd.Index([7, 3], name="old_id"))
    made, _ = normalize_pair(connection, column, source, text_series([]))
    assert made.to_dict() == {7: "b", 3: "a"}


def test_the_server_is_asked_how_a_collation_compares(connection: sa.Connection) -> None:
    collation = read_collation(connection, make_column(connection, "utf8mb4_unicode_ci"))
    assert collation is not None
    assert (collation.pad_space, collation.case_insensitive, collation.ascii_only_folding) == (True, True, True)
    of_a_language = read_collation(
        connection, Column("v", "text", "text", charset="utf8mb4", collation="utf8mb4_hungarian_ci")
    )
    assert of_a_language is not None
    assert not of_a_language.ascii_only_folding


def test_a_binary_collation_is_asked_for_no_weights(target: sa.Engine) -> None:
    asked: list[str] = []
    sa.event.listen(target, "before_cursor_execute", lambda *call: asked.append(call[2]))
    with target.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE t (k VARCHAR(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin)")
        column = reflect(connection)["t"]["k"]
        values = frames.series(pa.array(["é", "é ", "e\u0301", "É", "\U0001f40e", None]))
        source, there = normalize_pair(connection, column, values, values)
    assert source.tolist() == there.tolist() == ["é", "é", "e\u0301", "É", "\U0001f40e", pd.NA]
    assert not any("weight_string" in statement.lower() for statement in asked)
