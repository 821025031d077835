"""What a database's error means, in one line: what is wrong, with what, what to type.

The driver's own words are shown only where they can't name a person.
"""

from __future__ import annotations

import re
import sqlite3
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from sqlalchemy.engine import URL
from sqlalchemy.exc import InterfaceError, OperationalError

from forge_gdpr.database.postgresql import LOCK_TIMEOUT_S
from forge_gdpr.errors import (
    ConfigurationError,
    DatabaseAwayError,
    DatabaseError,
    ForgeGdprError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.exc import SQLAlchemyError

#: SQLSTATE classes whose PostgreSQL messages quote the row: data and integrity errors.
_QUOTING_STATES: Final = ("22", "23")

#: Who holds a lock that others wait for.
_WHO_BLOCKS: Final = (
    "SELECT pid, usename, application_name, state, xact_start FROM pg_stat_activity"
    " WHERE pid IN (SELECT unnest(pg_blocking_pids(pid)) FROM pg_stat_activity)"
    " OR state LIKE 'idle in transaction%'"
)

#: SQLSTATEs of what passes: of the connection, of a server that stops, starts, is full or only a
#: standby yet, of locks that somebody will release. Doing the transaction again is right.
_PASSING_STATES: Final = ("08", "57P", "53300", "25006", "25P03", "40001", "40P01", "55P03")

#: What to say of a SQLSTATE; {words} are the server's.
_STATES: Final[Mapping[str, str]] = {
    "42501": "does not let this login do that: {words}: use one with the role that README.md names"
    " for the command; after an upgrade, repeat cron/postgres-roles.sql",
    "55P03": f"kept this program waiting for another session's lock for {LOCK_TIMEOUT_S} s:"
    f' find it with psql, "{_WHO_BLOCKS}", end it with "SELECT pg_terminate_backend(PID)",'
    " then run again",
    "57014": "took too long over one statement: {words}: see what else the server is doing in"
    " pg_stat_activity, then run again",
    "25006": "only reads, as a standby does, or one with default_transaction_read_only: {words}:"
    " connect to the primary (?target_session_attrs=read-write), then run again",
    "53300": "takes no more connections: {words}: end some that nobody needs, or raise"
    " max_connections, then run again",
    "53100": "has no space left: {words}: make room on its server, then run again",
}

#: What libpq, a server or a pooler says of an argument of the URL that it can't use.
_WRONG_ARGUMENT: Final = re.compile(
    r"connection is bad: invalid|unrecognized configuration parameter"
    r"|invalid value for parameter|unsupported startup parameter"
    r"|invalid integer value .* for connection option"
)


def shown_url(url: URL) -> str:
    """Return a database's URL for people: host, port and name, or a path.

    Nothing else: a password may be in the arguments, too, and a user's name says nothing here.
    """
    if url.get_backend_name() == "sqlite":
        path = unquote((url.database or "").removeprefix("file:"))
        return f"sqlite:///{path}"
    place = {name: url.query[name] for name in ("host", "port") if name in url.query}
    plain = URL.create(
        "postgresql", host=url.host, port=url.port, database=url.database, query=place
    )
    return plain.render_as_string()


def explained(url: URL, error: SQLAlchemyError, *, busy_s: int) -> ForgeGdprError:
    """Return the error for the operator, without statement, parameters or password.

    Args:
        url: of the database.
        error: as SQLAlchemy raised it.
        busy_s: how long a writer waits for SQLite's lock.
    """
    cause = getattr(error, "orig", None)
    where = f"the database {shown_url(url)}"
    state = getattr(cause, "sqlstate", None) or ""
    speaks = cause is not None and not state.startswith(_QUOTING_STATES)
    text = " ".join(str(cause).split()) if speaks else f"{type(cause or error).__name__} {state}"
    words = text[:200]
    if isinstance(cause, sqlite3.OperationalError) and "locked" in text:
        return DatabaseError(
            f"{where} is locked by another process for over {busy_s} s: find it with 'fuser', then"
            " run again"
        )
    kind = DatabaseAwayError if _passes(error, state) else DatabaseError
    if state in _STATES:
        return kind(f"{where} {_STATES[state].format(words=words)}")
    if _WRONG_ARGUMENT.search(text):
        return ConfigurationError(
            f"FORGE_GDPR_DATABASE_URL has an argument that can't be used: {_reason(text)}: correct"
            " it (PgBouncer takes no options; set them with ALTER ROLE)"
        )
    return kind(f"{where} fails: {words}: run 'forge-gdpr db check'")


def _passes(error: SQLAlchemyError, state: str) -> bool:
    """Say whether PostgreSQL may be itself again in a while."""
    cause = getattr(error, "orig", None)
    if not type(cause).__module__.startswith("psycopg"):
        return False
    # What comes without a SQLSTATE is the client's own word: there is no connection (any more).
    lost = isinstance(error, (OperationalError, InterfaceError)) and not state
    return lost or state.startswith(_PASSING_STATES)


def _reason(text: str) -> str:
    """Return the end of a message that begins with whom the client spoke to."""
    return text.removeprefix("connection is bad: ").rpartition("FATAL: ")[2].strip()[:200]
