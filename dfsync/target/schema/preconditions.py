"""What of a target's table stands in the way of writing to it, or changes what is written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pymysql
import sqlalchemy as sa

from dfsync.model.errors import DfsyncError
from dfsync.model.schema import Table
from dfsync.target.errors import error_code, explain
from dfsync.target.quoting import quote_literal_identifier

_DENIED = {1142, 1143}
_TRIGGERS = sa.text("""
    SELECT EVENT_OBJECT_TABLE, EVENT_MANIPULATION, TRIGGER_NAME FROM information_schema.TRIGGERS
    WHERE EVENT_OBJECT_SCHEMA = DATABASE() AND ACTION_TIMING = 'BEFORE' ORDER BY 1, 2, 3""")


def require_transactional(tables: Iterable[Table]) -> None:
    """Raises `DfsyncError` that names the tables from which a run that fails could not take its rows back."""
    found = [table for table in tables if table.engine]
    if found:
        listed = ", ".join(f"{table.name} ({table.engine})" for table in found)
        fixes = "; ".join(f"ALTER TABLE {table.name} ENGINE=InnoDB" for table in found)
        raise DfsyncError(f"The engine of {listed} cannot roll back what a failed run has written. Change it: {fixes}.")


def missing_privileges(
    connection: sa.Connection, table: Table, columns: Sequence[str], *, updates: bool
) -> dict[str, str]:
    """What the server says to SELECT, INSERT and, where there will be `updates`, UPDATE, of those that it denies.

    Nothing is read or written: the server looks at the rights before it explains a statement.
    """
    name, *names = (quote_literal_identifier(connection.dialect, text) for text in (table.name, *columns))
    listed, nulls = ", ".join(names), ", ".join(["NULL"] * len(names))
    rows = f"SELECT {nulls} FROM DUAL WHERE FALSE" if names else "VALUES ()"  # noqa: S608
    statements = {
        "SELECT": f"SELECT {listed or '*'} FROM {name}",  # noqa: S608 quoted by the dialect
        "INSERT": f"INSERT INTO {name} ({listed}) {rows}",
    }
    if updates and names:
        same = ", ".join(f"{column} = {column}" for column in names)
        statements["UPDATE"] = f"UPDATE {name} SET {same} WHERE FALSE"  # noqa: S608
    found = {}
    for right, statement in statements.items():
        try:
            connection.exec_driver_sql(f"EXPLAIN {statement}", execution_options={"no_parameters": True})
        except (sa.exc.DBAPIError, pymysql.MySQLError) as error:
            if error_code(error) in _DENIED:
                found[right] = explain(error)
    return found


def before_triggers(connection: sa.Connection) -> dict[tuple[str, str], list[str]]:
    """The names of the triggers that may change a row before it is written, by table and `INSERT`, `UPDATE`."""
    found: dict[tuple[str, str], list[str]] = {}
    for table, event, name in connection.execute(_TRIGGERS):
        found.setdefault((str(table), str(event)), []).append(str(name))
    return found
