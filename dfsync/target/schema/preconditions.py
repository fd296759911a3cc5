"""What prevents writing to a table of the target, or changes the rows that are written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pymysql
import sqlalchemy as sa

from dfsync.model.errors import DfsyncError
from dfsync.model.schema import Column, Table
from dfsync.target.errors import error_code, explain
from dfsync.target.quoting import quote_literal_identifier

_DENIED = {1142, 1143}
_TRIGGERS = sa.text("""
    SELECT EVENT_OBJECT_TABLE, EVENT_MANIPULATION, TRIGGER_NAME FROM information_schema.TRIGGERS
    WHERE EVENT_OBJECT_SCHEMA = DATABASE() AND ACTION_TIMING = 'BEFORE' ORDER BY 1, 2, 3""")

_OWN_GRANTS = """PRIVILEGE_TYPE = 'TRIGGER' AND GRANTEE = CONCAT(
    QUOTE(SUBSTRING_INDEX(CURRENT_USER(), '@', 1)), '@', QUOTE(SUBSTRING_INDEX(CURRENT_USER(), '@', -1)))"""
# Grants by roles are not seen, which errs on the safe side.
_SEEN_TRIGGERS = sa.text(f"""
    SELECT EXISTS (SELECT 1 FROM information_schema.USER_PRIVILEGES WHERE {_OWN_GRANTS})
        OR EXISTS (SELECT 1 FROM information_schema.SCHEMA_PRIVILEGES WHERE {_OWN_GRANTS}
            AND DATABASE() LIKE TABLE_SCHEMA),
        (SELECT COUNT(*) FROM information_schema.TRIGGERS
            WHERE EVENT_OBJECT_SCHEMA = DATABASE() AND EVENT_OBJECT_TABLE = :name)""")  # noqa: S608 no value of a user is in it

_LIMITS = {
    "wsrep_max_ws_rows": "rows",
    "wsrep_max_ws_size": "bytes",
    "group_replication_transaction_size_limit": "bytes",
}
_KEPT_KINDS = {"integer", "double", "decimal", "date", "datetime", "timestamp"}
"""Kinds of which `stages.conform` makes the very values that a column holds."""
_GALERA, _OFF = "wsrep", ("0", "OFF")


@dataclass(frozen=True)
class TransactionLimit:
    """What a server that is a member of a cluster takes in one transaction."""

    setting: str
    """The server's variable."""
    unit: str
    """`rows` or `bytes`."""
    maximum: int


def require_transactional(tables: Iterable[Table]) -> None:
    """Refuse tables whose engine cannot roll back.

    Parameters
    ----------
    tables
        Tables of the target.

    Raises
    ------
    DfsyncError
        A table has such an engine; the message names all of them, and the statements that change it.
    """
    refused = [table for table in tables if table.engine]
    if refused:
        listed = ", ".join(f"{table.name} ({table.engine})" for table in refused)
        fixes = "; ".join(f"ALTER TABLE {table.name} ENGINE=InnoDB" for table in refused)
        raise DfsyncError(f"The engine of {listed} cannot roll back what a failed run has written. Change it: {fixes}.")


def missing_privileges(
    connection: sa.Connection, table: Table, columns: Sequence[str], *, updates: bool
) -> dict[str, str]:
    """Detect what the server does not let its user do with a table.

    Nothing is read or written: the server checks the privileges before it explains a statement.

    Parameters
    ----------
    connection
        The target.
    table
        The target's table.
    columns
        The columns that are written.
    updates
        Whether UPDATE is needed too.

    Returns
    -------
    dict of str to str
        By the denied statement, `SELECT`, `INSERT` or `UPDATE`: the server's error.

    References
    ----------
    https://mariadb.com/docs/server/reference/sql-statements/administrative-sql-statements/analyze-and-explain-statements/explain
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
    denied = {}
    for right, statement in statements.items():
        try:
            connection.exec_driver_sql(f"EXPLAIN {statement}", execution_options={"no_parameters": True})
        except (sa.exc.DBAPIError, pymysql.MySQLError) as error:
            if error_code(error) in _DENIED:
                denied[right] = explain(error)
    return denied


def before_triggers(connection: sa.Connection) -> dict[tuple[str, str], list[str]]:
    """Find the triggers that may change a row before it is written.

    Parameters
    ----------
    connection
        The target.

    Returns
    -------
    dict of tuple of str to list of str
        The triggers' names, by table and `INSERT` or `UPDATE`.
    """
    triggers: dict[tuple[str, str], list[str]] = {}
    for table, event, name in connection.execute(_TRIGGERS):
        triggers.setdefault((str(table), str(event)), []).append(str(name))
    return triggers


def transaction_limits(connection: sa.Connection) -> list[TransactionLimit]:
    """Find what the server takes in one transaction, because it sends it to the other members of its cluster.

    Parameters
    ----------
    connection
        The target.

    Returns
    -------
    list of TransactionLimit
        None where the server is no member of a cluster, or has no limit.

    References
    ----------
    https://mariadb.com/docs/galera-cluster/reference/galera-cluster-system-variables
    https://dev.mysql.com/doc/refman/9.7/en/group-replication-limitations.html
    """
    shown = sa.text("SHOW GLOBAL VARIABLES WHERE Variable_name IN :names").bindparams(
        sa.bindparam("names", ["wsrep_on", *_LIMITS], expanding=True)
    )
    found = {str(name): str(value) for name, value in connection.execute(shown)}
    if found.get("wsrep_on", "OFF") in _OFF:
        found = {name: value for name, value in found.items() if not name.startswith(_GALERA)}
    return [
        TransactionLimit(name, unit, int(found[name]))
        for name, unit in _LIMITS.items()
        if found.get(name, "0") not in _OFF
    ]


def keeps_inserted_values(connection: sa.Connection, table: Table, columns: Sequence[Column]) -> bool:
    """Tell whether columns hold exactly what was inserted: no trigger changes it, and the type does not.

    Parameters
    ----------
    connection
        The target.
    table
        The target's table.
    columns
        Columns of it.

    Returns
    -------
    bool
        False also where the user may not see the triggers.

    References
    ----------
    https://mariadb.com/docs/server/reference/system-tables/information-schema/information-schema-tables/information-schema-triggers-table
    """
    if not all(_holds_any_number_or_time(column) or _holds_any_text(column) for column in columns):
        return False
    may_see, triggers = connection.execute(_SEEN_TRIGGERS, {"name": table.name}).one()
    return bool(may_see) and not triggers


def _holds_any_number_or_time(column: Column) -> bool:
    # DOUBLE(M, D) rounds in its own way.
    return column.kind in _KEPT_KINDS and not (column.kind == "double" and column.scale is not None)


def _holds_any_text(column: Column) -> bool:
    # CHAR gives texts back without the spaces at their ends.
    return column.kind == "text" and column.charset == "utf8mb4" and not column.type.lower().startswith("char")
