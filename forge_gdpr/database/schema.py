"""The schema's version: reading it, raising it. The migrations themselves are Alembic scripts."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import inspect
from sqlalchemy.exc import DBAPIError

import forge_gdpr
from forge_gdpr.database.engine import BUSY_TIMEOUT_MS, reading, writing
from forge_gdpr.database.faults import explained
from forge_gdpr.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alembic.config import Config
    from sqlalchemy import Connection, Engine

#: Raised together with the newest script in migrations/; a test compares the two. It is written
#: here so that every command can check the schema without importing Alembic (586 ms).
REVISION: Final = "0006"

#: Ours alone: another program in the same database may have its own `alembic_version`.
VERSION_TABLE: Final = "forge_gdpr_version"
#: What it was called before. It is ours if the tables that our first revision made are there, and
#: it holds a revision of ours.
_OLD_VERSION_TABLE: Final = "alembic_version"
_FIRST_TABLES: Final = ("deletion_requests", "audit_events", "runs")
_OURS: Final = re.compile(r"\d{4}")

_SQLITE_REFUSAL: Final = "SELECT RAISE(ABORT, 'audit_events is append-only'); END"
_IS_THERE: Final = "EXISTS (SELECT 1 FROM audit_events WHERE {})"
#: What makes the database itself refuse to change the record, as the migrations make it: the
#: words of a trigger on SQLite, of its function on PostgreSQL.
TRIGGERS: Final[Mapping[str, Mapping[str, str]]] = {
    "sqlite": {
        "audit_events_refuse_update": "BEFORE UPDATE ON audit_events BEGIN " + _SQLITE_REFUSAL,
        "audit_events_refuse_delete": "BEFORE DELETE ON audit_events BEGIN " + _SQLITE_REFUSAL,
        "audit_events_refuse_replace": "BEFORE INSERT ON audit_events WHEN "
        + " OR ".join(
            map(
                _IS_THERE.format,
                (
                    "id = NEW.id",
                    "chain = NEW.chain AND seq = NEW.seq",
                    "chain = NEW.chain AND previous = NEW.previous",
                ),
            )
        )
        + " BEGIN "
        + _SQLITE_REFUSAL,
    },
    "postgresql": {
        "audit_events_refuse_change": "BEGIN RAISE EXCEPTION 'audit_events is append-only'; END"
    },
}
#: Those that are there and enabled. On PostgreSQL (58) before each UPDATE, DELETE and TRUNCATE of
#: any column, whatever the rows.
_ENABLED: Final = {
    "sqlite": "SELECT name, substr(sql, instr(sql, 'BEFORE')) FROM sqlite_master"
    " WHERE type = 'trigger' AND tbl_name = 'audit_events'",
    "postgresql": "SELECT tgname, prosrc FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid"
    " WHERE tgrelid = 'audit_events'::regclass AND tgenabled IN ('O', 'A')"
    " AND tgtype = 58 AND tgqual IS NULL AND tgattr::text = ''",
}

_PACKAGE: Final = Path(forge_gdpr.__file__).parent


def scripts() -> Path:
    """Return the folder of the migrations: in the wheel inside the package, else beside it."""
    installed = _PACKAGE / "migrations"
    return installed if installed.is_dir() else _PACKAGE.parent / "migrations"


def upgrade(engine: Engine) -> str | None:
    """Bring the database to this program's schema and return the revision it had; None if none.

    Raises:
        ConfigurationError: the database is newer than this program, or can't hold all names.
        DatabaseError: it can't be reached or written.
    """
    from alembic import command  # noqa: PLC0415  # 586 ms, and only `db upgrade` needs it
    from alembic.util import CommandError  # noqa: PLC0415

    with reading(engine) as connection:
        found = current(connection)
        if found is None:
            _require_unicode(connection)
    if found is not None and found > REVISION:
        raise _too_new(found)
    if engine.dialect.name == "sqlite":
        _use_write_ahead_log(engine)
    try:
        with writing(engine) as connection:
            command.upgrade(_config(connection), "head")
    except CommandError:
        raise ConfigurationError(
            f"the database's table {VERSION_TABLE} names the revision {found!r}, which this program"
            " never had: restore it from a backup, or name another database in"
            " FORGE_GDPR_DATABASE_URL"
        ) from None
    return found


def current(connection: Connection) -> str | None:
    """Return the database's revision, None if it was never migrated."""
    if inspect(connection).has_table(VERSION_TABLE):
        return _version_in(connection, VERSION_TABLE)
    return _old_version(connection)


def take_over_version(connection: Connection) -> None:
    """Give the version table the name that is ours alone; who may read it still may.

    The migrations call it under their lock, so that of two deployers only one renames.
    """
    if inspect(connection).has_table(VERSION_TABLE) or _old_version(connection) is None:
        return
    connection.exec_driver_sql(f"ALTER TABLE {_OLD_VERSION_TABLE} RENAME TO {VERSION_TABLE}")
    if connection.dialect.name == "postgresql":  # its index would be in the other program's way
        connection.exec_driver_sql(
            f"ALTER TABLE {VERSION_TABLE} RENAME CONSTRAINT {_OLD_VERSION_TABLE}_pkc"
            f" TO {VERSION_TABLE}_pkc"
        )


def require_current(connection: Connection) -> None:
    """Refuse to work on a database that is not at this program's schema.

    Raises:
        ConfigurationError: it was never migrated, is older or newer.
    """
    found = current(connection)
    if found is None:
        raise ConfigurationError("the database is not migrated: run 'forge-gdpr db upgrade'")
    if found > REVISION:
        raise _too_new(found)
    if found < REVISION:
        raise ConfigurationError(
            f"the database is at revision {found}, this program needs {REVISION}:"
            " run 'forge-gdpr db upgrade'"
        )


def missing_triggers(connection: Connection) -> list[str]:
    """Return the names of the record's triggers that are not there, disabled or other ones."""
    dialect = connection.dialect.name
    rows = connection.exec_driver_sql(_ENABLED[dialect])
    there = {name: " ".join(words.split()) for name, words in rows}
    return [name for name, words in TRIGGERS[dialect].items() if there.get(name) != words]


def _version_in(connection: Connection, table: str) -> str | None:
    revision = connection.exec_driver_sql(f"SELECT version_num FROM {table}").scalar()  # noqa: S608
    return None if revision is None else str(revision)


def _old_version(connection: Connection) -> str | None:
    """Return the revision in the table's old name, if that is ours."""
    tables = inspect(connection)
    if not all(map(tables.has_table, (_OLD_VERSION_TABLE, *_FIRST_TABLES))):
        return None
    revision = _version_in(connection, _OLD_VERSION_TABLE)
    return revision if revision is not None and _OURS.fullmatch(revision) else None


def _too_new(found: str) -> ConfigurationError:
    return ConfigurationError(
        f"the database is at revision {found}, newer than this program's {REVISION}:"
        " install the newer forge-gdpr"
    )


def _require_unicode(connection: Connection) -> None:
    """Refuse a new database in which an address with an umlaut could not be stored."""
    if connection.dialect.name != "postgresql":
        return
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding != "UTF8":
        name = connection.engine.url.database
        raise ConfigurationError(
            f"the database {name} is in the encoding {encoding}, which can't hold every address:"
            f" make it with 'createdb --encoding=UTF8 --template=template0 {name}'"
        )


def _use_write_ahead_log(engine: Engine) -> None:
    """Let readers go on while a run writes; SQLite keeps the mode in the file."""
    raw = engine.raw_connection()
    try:
        raw.cursor().execute("PRAGMA journal_mode = WAL")
    except sqlite3.Error as error:  # the raw connection's own, which nobody has explained
        fault = DBAPIError("PRAGMA", None, error)
        raise explained(engine.url, fault, busy_s=BUSY_TIMEOUT_MS // 1000) from None
    finally:
        raw.close()


def _config(connection: Connection) -> Config:
    from alembic.config import Config  # noqa: PLC0415  # see upgrade

    config = Config()
    config.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
