"""Fractions of a second that a column does not keep become what the server itself makes of them."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dfsync.model import frames
from dfsync.stages.conform.conform import conform
from dfsync.target.read.rows import read_rows
from dfsync.target.schema.reflection import reflect

fractions = st.one_of(
    st.text("0123456789", max_size=9),
    st.sampled_from(["5", "4999999", "9999995", "9999994", "999999", "0000005", "1234565", "12345649", "50000001"]),
).map(lambda digits: f".{digits}" if digits else "")
days = st.dates(min_value=date(1971, 1, 2), max_value=date(2037, 12, 30))
clocks = st.times().map(lambda time: f"{time:%H:%M:%S}")
instants = st.tuples(days.map(str), st.just(" "), st.one_of(clocks, st.just("23:59:59")), fractions).map("".join)
# Of a longer fraction in a TIME, MySQL takes the last digit for the seventh. That is not followed.
short_fractions = fractions.map(lambda fraction: fraction[:8])
durations = st.tuples(
    st.sampled_from(["", "-"]),
    st.integers(0, 837).map(str),
    st.sampled_from([":00:00", ":59:59", ":07:31"]),
    short_fractions,
).map("".join)
TEXTS = {"DATETIME": instants, "TIMESTAMP": instants, "TIME": durations}


def other_mode(connection: sa.Connection) -> str:
    """The mode under which a server does not do what it does by default."""
    is_mariadb = getattr(connection.dialect, "is_mariadb", False)
    return "TIME_ROUND_FRACTIONAL" if is_mariadb else "TIME_TRUNCATE_FRACTIONAL"


@pytest.mark.parametrize("mode", ["default", "other"])
@pytest.mark.parametrize("digits", [0, 3, 6])
@pytest.mark.parametrize("type_", TEXTS)
def test_as_the_server_does_it(connection: sa.Connection, type_: str, digits: int, mode: str) -> None:
    if mode == "other":
        more = other_mode(connection)
        connection.exec_driver_sql(f"SET SESSION sql_mode = CONCAT(@@sql_mode, ',{more}')")
    connection.exec_driver_sql(f"CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v {type_}({digits}) NULL)")
    table = reflect(connection)["t"]
    connection.commit()

    @settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(TEXTS[type_], min_size=1, max_size=30))
    def holds(texts: list[str]) -> None:
        made = conform(frames.from_arrow(pa.table({"v": texts}), range(1, len(texts) + 1)), [table["v"]])
        assert made.rejects.empty
        connection.execute(sa.text("INSERT INTO t (v) VALUES (:v)"), [{"v": text} for text in texts])
        (stored,) = read_rows(connection, table, "id", [table["v"]], [])
        connection.rollback()
        ours = frames.as_arrow(made.frame["v"]).to_pylist()
        assert ours == frames.as_arrow(stored["v"]).to_pylist(), texts

    holds()
