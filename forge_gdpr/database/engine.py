"""Engines and transactions. Nothing here is open across an HTTP call."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from forge_gdpr.database import files, postgresql
from forge_gdpr.database.faults import explained
from forge_gdpr.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import URL
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry

#: How long a writer waits for another one's lock before it says the database is busy.
BUSY_TIMEOUT_MS: Final = 30_000

_READ_ONLY: Final = "forge_gdpr_read_only"


def parsed_url(database_url: str) -> URL:
    """Return the URL of a SQLite or PostgreSQL database.

    Raises:
        ConfigurationError: it is no such URL; its text, which may hold a password, is not shown.
    """
    try:
        url = make_url(database_url)
        _require_plain_login(database_url, url)
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            "FORGE_GDPR_DATABASE_URL is not a database URL: write sqlite:///path/to/file.db"
            " or postgresql+psycopg://user@host/database"
        ) from None
    if url.drivername in {"postgresql", "postgres"}:
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername not in {"sqlite", "sqlite+pysqlite", "postgresql+psycopg"}:
        raise ConfigurationError(
            f"FORGE_GDPR_DATABASE_URL names {url.drivername!r}: only sqlite and"
            " postgresql+psycopg (psycopg 3) are supported"
        )
    if url.get_backend_name() == "sqlite" and url.database in {None, "", ":memory:"}:
        raise ConfigurationError(
            "FORGE_GDPR_DATABASE_URL names a SQLite database in memory, which is gone with the"
            " process: write sqlite:///path/to/file.db"
        )
    if url.get_backend_name() == "sqlite" and (url.query or "\0" in (url.database or "")):
        raise ConfigurationError(
            "FORGE_GDPR_DATABASE_URL has arguments, or a character that no path has: write"
            " sqlite:///path/to/file.db and nothing behind it"
        )
    return url


def engine_of(database_url: str, *, create: bool = False) -> Engine:
    """Return an engine that connects on first use.

    Parameters are hidden in its errors: they are people's ids and e-mails.

    Args:
        database_url: as SQLAlchemy writes it.
        create: whether a SQLite file that is missing is made; otherwise a typing error in its
            path would leave an empty database behind.

    Raises:
        ConfigurationError: the URL is wrong, the SQLite file is missing, or psycopg is.
        DatabaseError: the SQLite file can't be opened, or made.
    """
    url = parsed_url(database_url)
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url, create=create)
    try:
        engine = create_engine(
            postgresql.stripped(url),
            hide_parameters=True,
            pool_pre_ping=True,
            isolation_level="READ COMMITTED",  # whatever the server's default is
            connect_args=postgresql.connect_args(url),
        )
    except ImportError:
        raise ConfigurationError(
            "PostgreSQL needs psycopg 3: pip install 'forge-gdpr[postgres]'"
        ) from None
    opening = {
        read_only: postgresql.opening(url, read_only=read_only) for read_only in (True, False)
    }

    def begin(connection: Connection) -> None:
        for statement in opening[_is_read_only(connection)]:
            connection.exec_driver_sql(statement)

    event.listen(engine, "begin", begin)
    return engine


def now(connection: Connection) -> datetime:
    """Return the database's clock, in UTC: the one clock that all machines share."""
    if connection.dialect.name == "sqlite":
        text = connection.exec_driver_sql("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')")
        return datetime.fromisoformat(text.scalar_one()).replace(tzinfo=UTC)
    clock: datetime = connection.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
    return clock.astimezone(UTC)


def login(connection: Connection) -> str | None:
    """Return as whom PostgreSQL knows this connection; None on SQLite, which has no users."""
    if connection.dialect.name == "sqlite":
        return None
    return str(connection.exec_driver_sql("SELECT session_user").scalar_one())


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that is committed at the end; on SQLite it takes the lock at once.

    Raises:
        DatabaseError: the database can't be reached or written, or is busy.
    """
    with _as_database_error(engine), engine.begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open a transaction on one snapshot that the database itself keeps from writing.

    Raises:
        DatabaseError: the database can't be reached or read.
    """
    with (
        _as_database_error(engine),
        engine.connect().execution_options(**{_READ_ONLY: True}) as connection,
        connection.begin(),
    ):
        yield connection


def _require_plain_login(text: str, url: URL) -> None:
    """Refuse a URL whose password goes on where a host or a database is read.

    Raises:
        ConfigurationError: user or password have an @ or ? that is not escaped.
    """
    if not url.drivername.startswith("postgres"):
        return
    ends = 0 if url.username is None else 1  # the @ that user and password end with
    if text.count("@") != ends or (ends and "?" in text.partition("@")[0]):
        raise ConfigurationError(
            "FORGE_GDPR_DATABASE_URL has an @ or a ? too many: write those of a user or password as"
            " %40 and %3F"
        )


@contextmanager
def _as_database_error(engine: Engine) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise explained(engine.url, error, busy_s=BUSY_TIMEOUT_MS // 1000) from None


def _sqlite_engine(url: URL, *, create: bool) -> Engine:
    path = Path(url.database or "")
    if create:
        files.make(path)
    arguments = {"mode": "rwc"} if create else files.mode(path)
    file = url.set(database=f"file:{quote(str(path))}")
    engine = create_engine(
        file.update_query_dict({**arguments, "uri": "true"}), hide_parameters=True
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    # pysqlite's own transaction handling lets two claimers take one row; ours is in "begin".
    connection.isolation_level = None
    connection.create_function("is_utf8", 1, _is_utf8, deterministic=True)
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA secure_delete = ON")  # see traces
    cursor.close()


def _is_utf8(stored: bytes) -> bool:
    """Say whether a text is one: SQLite takes what it is given, and the driver fails on it."""
    try:
        stored.decode()
    except UnicodeDecodeError:
        return False
    return True


def _begin_sqlite(connection: Connection) -> None:
    read_only = _is_read_only(connection)
    connection.exec_driver_sql(f"PRAGMA query_only = {int(read_only)}")
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _is_read_only(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get(_READ_ONLY, False))
