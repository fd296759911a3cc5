"""What conform gives is what the target holds: every kind of column, there and back, by both ways of writing."""

from __future__ import annotations

import json
import os
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dfsync.model import frames
from dfsync.model.schema import Table
from dfsync.model.types import MIXED_STORAGE
from dfsync.stages.conform.conform import conform
from dfsync.stages.row_hash import RowHasher
from dfsync.target.read.rows import read_rows
from dfsync.target.schema.reflection import reflect
from dfsync.target.write.loader import BulkLoader
from tests.support.same_value import is_same

EXAMPLES = 2_000 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 20
ROWS = 25

plain = st.text(st.characters(codec="utf-8"), max_size=12)
nasty = st.sampled_from(
    [
        "",
        "NULL",
        "\\N",
        "\\",
        "'",
        '"',
        '"",\n',
        "a\tb",
        "\r\n",
        "\x00",
        "\x1a",
        "%s %% %(a)s",
        ":x",
        "é",
        "😀",
        "e\u0301",
    ]
)
texts = st.one_of(nasty, plain, st.lists(nasty, max_size=3).map("".join))
reals = st.floats(allow_nan=False)
integers = st.integers(-(2**63), 2**63 - 1)
digits = st.text("0123456789", max_size=40)
numbers = st.one_of(
    integers.map(str),
    st.integers(0, 2**65).map(str),
    st.tuples(st.sampled_from(["", "-", "+"]), digits, st.sampled_from(["", "."]), digits).map("".join),
    reals.map(repr),
    st.sampled_from(["0", "-0", "1e5", "1E-50", " 7 ", "7.000", "18446744073709551615", "1e400", "", "x"]),
)
fractions = st.text("0123456789", max_size=9).map(lambda f: f".{f}" if f else "")
clocks = st.tuples(st.times().map(lambda t: f"{t:%H:%M:%S}"), fractions).map("".join)
zones = st.sampled_from(["", "Z", "+02:00", "-0530", " +00:00"])
days = st.one_of(
    st.dates().map(str), st.sampled_from(["2024-02-29", "2023-02-29", "0000-00-00", "9999-12-31", "0000-01-01"])
)
instants = st.one_of(days, st.tuples(days, st.sampled_from(" T"), clocks, zones).map("".join))
durations = st.one_of(
    clocks,
    st.tuples(st.sampled_from(["", "-"]), st.integers(0, 900), st.integers(0, 59), st.integers(0, 59), fractions).map(
        lambda t: f"{t[0]}{t[1]}:{t[2]:02}:{t[3]:02}{t[4]}"
    ),
    st.sampled_from(["-00:00:00", "838:59:59.9999999", "-838:59:59", "12:30", "24:00:00"]),
)
documents = st.one_of(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), reals.filter(lambda f: abs(f) < 1e308), plain),
        lambda part: st.one_of(st.lists(part, max_size=3), st.dictionaries(plain, part, max_size=3)),
        max_leaves=6,
    ).map(lambda value: json.dumps(value, indent=1)),
    st.sampled_from(
        ['{"b":1,"a":1.0,"aa":1e2}', "[1 ,2]", '{"a":1,"a":2}', "nul", '"\\ud800"', '"\\ud83d\\ude00"', "-0.0"]
    ),
)
members = st.sampled_from(["it's", "IT'S", 'a"b', "B", "b", "1", "", "é", "zz"])
KINDS: dict[str, st.SearchStrategy[Any]] = {
    **{
        name: st.one_of(integers, reals, numbers, st.integers(-300, 300))
        for name in ("TINYINT", "INT UNSIGNED", "BIGINT")
    },
    "BIGINT UNSIGNED": st.one_of(integers, reals, numbers),
    "BIT(1)": st.one_of(st.integers(-1, 3), numbers),
    "BIT(64)": st.one_of(integers, st.integers(0, 2**64).map(str)),
    "YEAR": st.one_of(st.integers(1890, 2160), st.sampled_from([0, "2024", "24"])),
    "DECIMAL(65,30)": st.one_of(integers, reals, numbers),
    "DECIMAL(10,2) UNSIGNED": st.one_of(st.integers(-(10**9), 10**9), reals, numbers),
    "DECIMAL(5,5)": st.one_of(st.floats(-2, 2), numbers),
    "DECIMAL(40,0)": st.one_of(integers, reals, numbers),
    "FLOAT": st.one_of(integers, reals, st.floats(width=32), numbers),
    "FLOAT(7,3)": st.one_of(st.floats(-20_000, 20_000), st.integers(-20_000, 20_000)),
    "DOUBLE(12,2) UNSIGNED": st.one_of(st.floats(-5, 1e11), st.integers(0, 10**12)),
    "DOUBLE": st.one_of(integers, reals, numbers),
    "CHAR(6)": st.one_of(texts, plain.map(lambda t: t + "  ")),
    "VARCHAR(9)": st.one_of(texts, plain.map(lambda t: t + "  "), integers, reals),
    "VARCHAR(9) CHARACTER SET latin1": st.one_of(texts, st.text(st.characters(max_codepoint=0x2122), max_size=9)),
    "VARCHAR(9) CHARACTER SET utf8mb3": texts,
    "VARCHAR(9) CHARACTER SET ascii": texts,
    "VARCHAR(9) CHARACTER SET utf16": texts,
    "TINYTEXT": st.one_of(texts, st.text("aé😀", min_size=60, max_size=260)),
    "LONGTEXT": texts,
    "BINARY(3)": st.one_of(st.binary(max_size=4), st.binary(min_size=3, max_size=3)),
    "VARBINARY(6)": st.one_of(st.binary(max_size=8), texts),
    "BLOB": st.binary(max_size=300),
    "DATE": st.one_of(days, instants),
    **{f"DATETIME({n})": instants for n in (0, 3, 6)},
    **{f"TIMESTAMP({n})": instants for n in (0, 6)},
    **{f"TIME({n})": durations for n in (0, 2, 6)},
    """ENUM('it''s','a"b','B','1','é')""": st.one_of(members, st.integers(0, 3)),
    "SET('it''s','B','1','é')": st.one_of(st.lists(members, max_size=4).map(",".join), st.integers(0, 3)),
    "JSON": st.one_of(documents, st.integers(0, 99), reals),
}


def frame_of(values: list[Any], name: str = "v") -> pd.DataFrame:
    """Values of any of SQLite's storage classes as the source hands them over."""
    classes = {int: "integer", float: "real", str: "text", bytes: "blob"}
    rows = [
        None if v is None else {field.name: None for field in MIXED_STORAGE} | {classes[type(v)]: v} for v in values
    ]
    return frames.from_arrow(pa.table({name: pa.array(rows, MIXED_STORAGE)}), range(1, len(values) + 1))


def make_table(connection: sa.Connection, type_: str) -> Table:
    null = "NULL" if type_.startswith("TIMESTAMP") else ""
    connection.exec_driver_sql(
        f"CREATE TABLE t (id BIGINT AUTO_INCREMENT PRIMARY KEY, v {type_.replace('%', '%%')} {null})"
    )
    connection.exec_driver_sql("SET SESSION time_zone = '+00:00'")
    return reflect(connection)["t"]


def is_unchanged(connection: sa.Connection, type_: str, source: Any, held: Any) -> bool:
    """Whether the value is the same; the JSON of MariaDB is a text."""
    is_text = type_ == "JSON" and getattr(connection.dialect, "is_mariadb", False)
    return is_same("LONGTEXT" if is_text else type_, source, held)


def read(connection: sa.Connection, table: Table) -> pd.DataFrame:
    batches = list(read_rows(connection, table, "id", [table["v"]], []))
    return pd.concat(batches, ignore_index=True) if batches else pd.DataFrame({"v": []})


@pytest.mark.parametrize("local_infile", [True, False], ids=["stream", "inserts"])
@pytest.mark.parametrize("type_", KINDS)
def test_what_was_conformed_is_read_back_unchanged(connection: sa.Connection, type_: str, local_infile: bool) -> None:
    if local_infile and not connection.scalar(sa.text("SELECT @@local_infile")):
        pytest.skip("local_infile is off on this server")
    table = make_table(connection, type_)
    connection.commit()

    hashes = RowHasher.random().hashes

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.one_of(st.none(), KINDS[type_]), min_size=1, max_size=ROWS))
    def holds(values: list[Any]) -> None:
        conformed = conform(frame_of(values), [table["v"]])
        assert len(conformed.frame) + len(conformed.rejects) == len(values)
        assert conformed.rejects["value"].notna().all()
        loader = BulkLoader(connection, table, "id", local_infile=local_infile)
        ids, refused = loader.insert(conformed.frame)
        sent = conformed.frame.drop(index=refused.index)
        assert len(ids) == len(sent)
        there = read(connection, table)
        connection.rollback()
        assert refused.empty or type_.startswith(("TIMESTAMP", "TIME(", "JSON")), refused["reason"].tolist()
        if len(sent):
            assert frames.as_arrow(there["v"]).to_pylist() == frames.as_arrow(sent["v"]).to_pylist()
            pd.testing.assert_frame_equal(hashes(there[["v"]]), hashes(sent).reset_index(drop=True), check_names=False)
        noted = {row for note in conformed.notes for row in note.ids}
        held = dict(zip(sent.index, frames.as_arrow(there["v"]).to_pylist(), strict=True)) if len(sent) else {}
        present = {row: value for row, value in held.items() if values[row - 1] is not None}
        changed = {row for row, value in present.items() if not is_unchanged(connection, type_, values[row - 1], value)}
        assert changed == noted & set(held), [(values[row - 1], held[row]) for row in changed ^ (noted & set(held))]

    holds()
