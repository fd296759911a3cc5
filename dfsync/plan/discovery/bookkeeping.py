"""Tables in which a framework keeps its own books: which migrations ran, who is logged in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dfsync.model.schema import Schema, Table


@dataclass(frozen=True)
class Bookkeeping:
    """A table of a framework, known by its name and by columns that prove it."""

    table: str
    framework: str
    columns: frozenset[str]
    version: tuple[str, ...] = ()
    """The columns that say at which version the schema is, over all rows; none where the table says nothing of it."""
    latest: str | None = None
    """The column whose highest value has the row that counts; None where every row does."""
    group: str | None = None
    """The column that says of which part of the application a row is; the highest version of each part counts."""

    @property
    def is_portable(self) -> bool:
        """Whether the entries are the same in every kind of database, so that other entries are another version."""
        return self.framework not in _OF_ONE_DATABASE


_OF_ONE_DATABASE = frozenset({"Prisma", "TypeORM", "Drizzle", "MikroORM", "SQLx", "Diesel"})
"""Frameworks whose migrations are often written, and named, anew for each kind of database."""


def _book(
    table: str, framework: str, columns: str, version: str = "", latest: str | None = None, group: str | None = None
) -> Bookkeeping:
    return Bookkeeping(table, framework, frozenset(columns.split()), tuple(version.split()), latest, group)


BOOKS = (
    _book("alembic_version", "Alembic", "version_num", "version_num"),
    _book("django_migrations", "Django", "app name applied", "name", group="app"),
    _book("django_session", "Django", "session_key session_data expire_date"),
    _book("south_migrationhistory", "Django South", "app_name migration applied", "migration", group="app_name"),
    _book("schema_migrations", "Rails and others", "version", "version"),
    _book("ar_internal_metadata", "Rails", "key value"),
    _book("knex_migrations", "Knex", "name batch migration_time", "name"),
    _book("knex_migrations_lock", "Knex", "is_locked"),
    _book("migrations", "Laravel", "migration batch", "migration"),
    _book("migrations", "TypeORM", "timestamp name", "name"),
    _book("migrations", "Ghost", "name version currentversion", "name"),
    _book("migrations_lock", "Ghost", "lock_key locked"),
    _book("sequelizemeta", "Sequelize", "name", "name"),
    _book("_prisma_migrations", "Prisma", "migration_name checksum finished_at", "migration_name"),
    _book("__efmigrationshistory", "Entity Framework", "migrationid productversion", "migrationid"),
    _book("__migrationhistory", "Entity Framework", "migrationid model productversion", "migrationid"),
    _book("flyway_schema_history", "Flyway", "installed_rank version script", "version script"),
    _book("schema_version", "Flyway", "installed_rank version script", "version script"),
    _book("databasechangelog", "Liquibase", "id author filename dateexecuted", "id author"),
    _book("databasechangeloglock", "Liquibase", "locked lockgranted"),
    _book("goose_db_version", "goose", "version_id is_applied", "version_id"),
    _book("_sqlx_migrations", "SQLx", "version description checksum", "version"),
    _book("__diesel_schema_migrations", "Diesel", "version run_on", "version"),
    _book("doctrine_migration_versions", "Doctrine", "version executed_at", "version"),
    _book("migration_versions", "Doctrine", "version executed_at", "version"),
    _book("phinxlog", "Phinx", "version migration_name start_time", "version"),
    _book("migration_log", "Grafana", "migration_id sql success", "migration_id"),
    _book("_migrations", "PocketBase", "file applied", "file"),
    _book("strapi_migrations", "Strapi", "name time", "name"),
    _book("__drizzle_migrations", "Drizzle", "hash created_at", "hash"),
    _book("mikro_orm_migrations", "MikroORM", "name executed_at", "name"),
    _book("schema_changes", "Home Assistant", "change_id schema_version changed", "schema_version", "change_id"),
    _book("migration_changes", "Home Assistant", "migration_id version"),
    _book("sessions", "Laravel", "user_id ip_address payload last_activity"),
    _book("sessions", "Rails", "session_id data updated_at"),
    _book("sessions", "Flask-Session", "session_id data expiry"),
    _book("sessions", "express-session", "sid expired sess"),
    _book("sessions", "express-session", "session_id expires data"),
    _book("sessions", "connect-session-sequelize", "sid expires data"),
    _book("session", "connect-session-knex", "sid sess expire"),
    _book("sqlite_sequence", "SQLite", "name seq"),
)
"""By the names and columns that these tools give their tables; names in lower case."""


def bookkeeping_tables(tables: Schema) -> dict[str, Bookkeeping]:
    """Find the tables in which frameworks keep their books.

    Parameters
    ----------
    tables
        All tables of a database.

    Returns
    -------
    dict of str to Bookkeeping
        By the name of the table. Without tables that another one refers to by a declared foreign key: their rows belong
        to the data.
    """
    found = {name: book for name, table in tables.items() if (book := _book_of(table)) is not None}
    referred = {
        reference.parent.lower()
        for name, table in tables.items()
        if name not in found
        for reference in table.references
    }
    return {name: book for name, book in found.items() if name.lower() not in referred}


def left_out_line(names: Iterable[str]) -> str:
    """Word which tables a discovered plan leaves out, and what to do about it.

    Parameters
    ----------
    names
        Names of tables, at least one.

    Returns
    -------
    str
        One sentence without a name of the plan or a full stop.
    """
    return (
        f"left out, because a framework keeps its books there: {', '.join(names)}; a plan file that names one takes it"
    )


def _book_of(table: Table) -> Bookkeeping | None:
    named = (book for book in BOOKS if book.table == table.name.lower())
    return next((book for book in named if all(column in table for column in book.columns)), None)
