"""Read the target's tables from `information_schema`.

SQLAlchemy's inspector lacks octets, collations, engines, ON UPDATE and versioning, and asks once per table.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from dfsync.model.errors import DfsyncError, Remedy
from dfsync.model.schema import Column, ForeignKeyConstraint, Index, Schema, Table

_WIDE_TIMESTAMPS = (11, 5)
"""The MariaDB from which on the seconds of a TIMESTAMP are unsigned."""
_ESCAPES = {"n": "\n", "r": "\r", "0": "\0", "t": "\t"}
_COLUMNS = sa.text("""
    SELECT TABLE_NAME AS `table`, COLUMN_NAME AS name, DATA_TYPE AS data_type, COLUMN_TYPE AS type,
        IS_NULLABLE AS nullable, COLUMN_DEFAULT AS `default`, EXTRA AS extra, CHARACTER_MAXIMUM_LENGTH AS length,
        CHARACTER_OCTET_LENGTH AS octets, NUMERIC_PRECISION AS digits, NUMERIC_SCALE AS scale,
        DATETIME_PRECISION AS fraction, CHARACTER_SET_NAME AS charset, COLLATION_NAME AS collation,
        GENERATION_EXPRESSION AS expression
    FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() ORDER BY TABLE_NAME, ORDINAL_POSITION""")
_INDEXES = sa.text("""
    SELECT TABLE_NAME AS `table`, INDEX_NAME AS name, COLUMN_NAME AS `column`, NON_UNIQUE AS non_unique,
        SUB_PART AS sub_part
    FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX""")
_REFERENCES = sa.text("""
    SELECT TABLE_NAME AS `table`, CONSTRAINT_NAME AS name, COLUMN_NAME AS `column`, REFERENCED_TABLE_NAME AS parent,
        REFERENCED_COLUMN_NAME AS parent_column
    FROM information_schema.KEY_COLUMN_USAGE
    WHERE TABLE_SCHEMA = DATABASE() AND REFERENCED_TABLE_NAME IS NOT NULL
    ORDER BY TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION""")
_TABLES = sa.text("""
    SELECT TABLE_NAME, IF(TRANSACTIONS = 'YES', NULL, t.ENGINE)
    FROM information_schema.TABLES t LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')""")


def reflect(connection: sa.Connection) -> Schema:
    """Read the tables of the connection's database.

    Parameters
    ----------
    connection
        The target.

    Returns
    -------
    Schema
        Its tables, without views and sequences.

    References
    ----------
    https://mariadb.com/docs/server/reference/system-tables/information-schema/information-schema-tables
    """
    engines = {_text(name): engine for name, engine in connection.execute(_TABLES)}
    columns = _grouped(connection, _COLUMNS)
    indexes = _grouped(connection, _INDEXES)
    references = _grouped(connection, _REFERENCES)
    server = _ServerRules(_max_timestamp(connection), _cuts_fractions(connection))
    schema = Schema()
    for name, engine in engines.items():
        # System-versioned tables append ROW END to unique keys; it is constant for current rows, so drop it.
        ends = {row["name"] for row in columns.get(name, []) if _text(row["expression"]) == "ROW END"}
        keyed = [row for row in indexes.get(name, []) if row["column"] not in ends]
        all_indexes = [Index(*parts) for parts in _indexes(keyed)]
        schema[name] = Table(
            name=name,
            columns=tuple(_column(row, server) for row in columns.get(name, [])),
            primary_key=next((index.columns for index in all_indexes if index.name == "PRIMARY"), ()),
            indexes=tuple(index for index in all_indexes if index.name != "PRIMARY"),
            references=tuple(_references(references.get(name, []))),
            engine=None if engine is None else _text(engine),
        )
    return schema


def require_tables(schema: Schema, names: Iterable[str], remedy: Remedy) -> None:
    """Refuse a target that lacks tables.

    Parameters
    ----------
    schema
        The tables of the target.
    names
        The tables that it must have.
    remedy
        How the user creates them.

    Raises
    ------
    DfsyncError
        A table is missing; the message names all that are.
    """
    missing = [name for name in names if schema.find(name) is None]
    if missing:
        raise DfsyncError(f"The target lacks {', '.join(missing)}.", remedy)


def _grouped(connection: sa.Connection, statement: Any) -> dict[str, list[dict[str, Any]]]:
    return _by("table", (dict(row) for row in connection.execute(statement).mappings()))


def _by(key: str, rows: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(str(row[key]), []).append(row)
    return groups


@dataclass(frozen=True)
class _ServerRules:
    """What a server does with values of all its columns."""

    max_timestamp: dt.datetime
    cuts_fractions: bool


def _column(row: dict[str, Any], server: _ServerRules) -> Column:
    extra = str(row["extra"] or "").lower()
    kind = KIND_BY_DATA_TYPE.get(str(row["data_type"]).lower(), "other")
    default = None if row["default"] in (None, "NULL") else _text(row["default"])
    return Column(
        name=str(row["name"]),
        kind=kind,
        type=_text(row["type"]),
        nullable=row["nullable"] == "YES",
        default=default,
        generated="generated" in extra and "default_generated" not in extra,
        auto_increment="auto_increment" in extra,
        on_update_timestamp="on update" in extra,
        unsigned="unsigned" in _text(row["type"]),
        length=row["length"],
        octets=row["octets"],
        precision=row["fraction"] if row["fraction"] is not None else row["digits"],
        scale=row["scale"],
        charset=row["charset"],
        collation=row["collation"],
        cuts_fractions=server.cuts_fractions,
        max_value=server.max_timestamp if kind == "timestamp" else None,
        values=_members(_text(row["type"])) if kind in ("enum", "set") else (),
    )


def _members(type_: str) -> tuple[str, ...]:
    return tuple(
        re.sub(r"''|\\(.)", lambda escape: _ESCAPES.get(escape.group(1), escape.group(1)) or "'", member)
        for member in re.findall(r"'((?:[^']|'')*)'", type_)
    )


def _indexes(rows: Iterable[dict[str, Any]]) -> Iterable[tuple[str, tuple[str, ...], bool]]:
    for name, columns in _by("name", rows).items():
        if all(part["column"] for part in columns):
            # A unique index over prefixes also forbids values that only begin alike, so it is no unique key.
            unique = not any(int(part["non_unique"]) or part["sub_part"] for part in columns)
            yield name, tuple(str(part["column"]) for part in columns), unique


def _references(rows: Iterable[dict[str, Any]]) -> Iterable[ForeignKeyConstraint]:
    for columns in _by("name", rows).values():
        own = tuple(str(part["column"]) for part in columns)
        yield ForeignKeyConstraint(
            own, str(columns[0]["parent"]), tuple(str(part["parent_column"]) for part in columns)
        )


def _max_timestamp(connection: sa.Connection) -> dt.datetime:
    """The last instant of a TIMESTAMP.

    Source: https://mariadb.com/docs/server/reference/data-types/date-and-time-data-types/timestamp
    """
    dialect = connection.dialect
    wide = _is_mariadb(connection) and (dialect.server_version_info or ()) >= _WIDE_TIMESTAMPS
    return dt.datetime.fromtimestamp((2**32 if wide else 2**31) - 1, dt.UTC).replace(microsecond=999_999, tzinfo=None)


def _is_mariadb(connection: sa.Connection) -> bool:
    return bool(getattr(connection.dialect, "is_mariadb", False))


def _cuts_fractions(connection: sa.Connection) -> bool:
    """Whether the server cuts the digits of a second's fraction that a column does not keep, or rounds them.

    Sources: https://mariadb.com/docs/server/reference/sql-functions/date-time-functions/microseconds-in-mariadb and
    https://dev.mysql.com/doc/refman/9.7/en/sql-mode.html#sqlmode_time_truncate_fractional
    """
    modes = _text(connection.scalar(sa.text("SELECT @@SESSION.sql_mode"))).split(",")
    return "TIME_ROUND_FRACTIONAL" not in modes if _is_mariadb(connection) else "TIME_TRUNCATE_FRACTIONAL" in modes


def _text(value: Any) -> str:
    # MySQL returns some columns of information_schema as bytes.
    return value.decode() if isinstance(value, bytes) else str(value)


KIND_BY_DATA_TYPE = {
    "tinyint": "integer",
    "smallint": "integer",
    "mediumint": "integer",
    "int": "integer",
    "integer": "integer",
    "bigint": "integer",
    "year": "year",
    "bit": "bit",
    "decimal": "decimal",
    "numeric": "decimal",
    "float": "float",
    "double": "double",
    "char": "text",
    "varchar": "text",
    "tinytext": "text",
    "text": "text",
    "mediumtext": "text",
    "longtext": "text",
    "enum": "enum",
    "set": "set",
    "json": "json",
    "binary": "binary",
    "varbinary": "binary",
    "tinyblob": "binary",
    "blob": "binary",
    "mediumblob": "binary",
    "longblob": "binary",
    "date": "date",
    "datetime": "datetime",
    "timestamp": "timestamp",
    "time": "time",
}
"""Kind by the target's DATA_TYPE. What is not here (geometry, uuid, inet6, vector) is of kind `other`: sent as text,
judged by the server."""
