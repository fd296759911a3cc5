"""Two keys are the same exactly when the target's column says so, whatever its collation."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
import sqlalchemy as sa

from dfsync.model import frames
from dfsync.model.schema import Column
from dfsync.target.collation import normalize_pair, read_collation
from dfsync.target.schema.reflection import reflect

Pair = tuple[int, int]


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
