"""What the target's tables look like, from `information_schema`."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
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
    """The tables of the connection's database, from `information_schema`."""
    engines = {_text(name): engine for name, engine in connection.execute(_TABLES)}
    columns = _grouped(connection, _COLUMNS)
    indexes = _grouped(connection, _INDEXES)
    references = _grouped(connection, _REFERENCES)
    latest = _max_timestamp(connection)
    schema = Schema()
    for name, engine in engines.items():
        # Of a versioned table the server adds the versions' end to every unique key, and it is one of the present rows.
        ends = {row["name"] for row in columns.get(name, []) if _text(row["expression"]) == "ROW END"}
        keyed = [row for row in indexes.get(name, []) if row["column"] not in ends]
        made = [Index(*parts) for parts in _indexes(keyed)]
        schema[name] = Table(
            name=name,
            columns=tuple(_column(row, latest) for row in columns.get(name, [])),
            primary_key=next((index.columns for index in made if index.name == "PRIMARY"), ()),
            indexes=tuple(index for index in made if index.name != "PRIMARY"),
            references=tuple(_references(references.get(name, []))),
            engine=None if engine is None else _text(engine),
        )
    return schema


def require_tables(schema: Schema, names: Iterable[str], remedy: Remedy) -> None:
    """Raises `DfsyncError` that names the tables which the target lacks, with the remedy."""
    missing = [name for name in names if schema.find(name) is None]
    if missing:
        raise DfsyncError(f"The target lacks {', '.join(missing)}.", remedy)


def _grouped(connection: sa.Connection, statement: Any) -> dict[str, list[dict[str, Any]]]:
    return _by("table", (dict(row) for row in connection.execute(statement).mappings()))


def _by(key: str, rows: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(str(row[key]), []).append(row)
    return found


def _column(row: dict[str, Any], latest: dt.datetime) -> Column:
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
        max_value=latest if kind == "timestamp" else None,
        values=_members(_text(row["type"])) if kind in ("enum", "set") else (),
    )


def _members(type_: str) -> tuple[str, ...]:
    return tuple(
        re.sub(r"''|\\(.)", lambda found: _ESCAPES.get(found.group(1), found.group(1)) or "'", member)
        for member in re.findall(r"'((?:[^']|'')*)'", type_)
    )


def _indexes(rows: Iterable[dict[str, Any]]) -> Iterable[tuple[str, tuple[str, ...], bool]]:
    for name, columns in _by("name", rows).items():
        if all(part["column"] for part in columns):
            # An index over the beginnings of values forbids more than equal values do, but is one no less.
            unique = not any(int(part["non_unique"]) or part["sub_part"] for part in columns)
            yield name, tuple(str(part["column"]) for part in columns), unique


def _references(rows: Iterable[dict[str, Any]]) -> Iterable[ForeignKeyConstraint]:
    for columns in _by("name", rows).values():
        own = tuple(str(part["column"]) for part in columns)
        yield ForeignKeyConstraint(
            own, str(columns[0]["parent"]), tuple(str(part["parent_column"]) for part in columns)
        )


def _max_timestamp(connection: sa.Connection) -> dt.datetime:
    """The last instant of a TIMESTAMP: https://mariadb.com/docs/server/reference/data-types/date-and-time-data-types/timestamp"""
    dialect = connection.dialect
    wide = getattr(dialect, "is_mariadb", False) and (dialect.server_version_info or ()) >= _WIDE_TIMESTAMPS
    return dt.datetime.fromtimestamp((2**32 if wide else 2**31) - 1, dt.UTC).replace(microsecond=999_999, tzinfo=None)


def _text(value: Any) -> str:
    # MySQL hands some columns of information_schema over as bytes.
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
