"""What a database's error means, in one line: what is wrong, with what, what to type.

Of the driver's own words only those are shown that are known to be tame.
"""

from __future__ import annotations

import re
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from sqlalchemy.engine import URL
from sqlalchemy.exc import InterfaceError, OperationalError

from forge_gdpr.database.files import process_login
from forge_gdpr.database.words import state_of, words_of
from forge_gdpr.errors import (
    ConfigurationError,
    DatabaseAwayError,
    DatabaseError,
    ForgeGdprError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.exc import SQLAlchemyError

#: SQLSTATEs of a connection that is lost, and of a server that stops or starts.
_LOST_STATES: Final = ("08", "57P")

#: How the names of SQLite's errors begin that another writer's lock causes.
_LOCKED: Final = ("SQLITE_BUSY", "SQLITE_LOCKED")

#: Who holds a lock that others wait for.
_WHO_BLOCKS: Final = (
    "SELECT pid, usename, application_name, state, xact_start FROM pg_stat_activity"
    " WHERE pid IN (SELECT unnest(pg_blocking_pids(pid)) FROM pg_stat_activity)"
    " OR state LIKE 'idle in transaction%'"
)

#: SQLSTATEs of what passes, too: a server that is full, or only a standby yet, and locks that
#: somebody will release. Doing the transaction again is right.
_PASSING_STATES: Final = frozenset({"53300", "25006", "25P03", "40001", "40P01", "55P03"})

#: What to say of a SQLSTATE; {words} are the server's.
_STATES: Final[Mapping[str, str]] = {
    "42501": "does not let this login do that: {words}: use one with the role that README.md names"
    " for the command; after an upgrade, repeat cron/postgres-roles.sql",
    "55P03": "kept this program waiting too long for another session's lock:"
    f' find it with psql, "{_WHO_BLOCKS}", end it with "SELECT pg_terminate_backend(PID)",'
    " then run again",
    "57014": "took too long over one statement: {words}: see what else the server is doing in"
    " pg_stat_activity, then run again",
    "25006": "only reads, as a standby does, or one with default_transaction_read_only: {words}:"
    " connect to the primary (?target_session_attrs=read-write), then run again",
    "3F000": "has no schema to make tables in: {words}: set a search_path that is there, for the"
    " login or with ?search_path= in FORGE_GDPR_DATABASE_URL, then run again",
    "42P07": "has another program's table of the same name: {words}: name a database or schema of"
    " its own in FORGE_GDPR_DATABASE_URL, then run again",
    "25P03": "ended a transaction that stood still for too long: {words}: look why this machine was"
    " busy, then run again",
    "40001": "asks to do a transaction again: {words}: run again",
    "40P01": "ended one of two transactions that waited for each other: {words}: run again",
    "53300": "takes no more connections: {words}: end some that nobody needs, or raise"
    " max_connections, then run again",
    "53100": "has no space left: {words}: make room on its server, then run again",
}

#: What to say of SQLite's errors, by the beginning of their names; {files} are the database's.
_SQLITE: Final[Mapping[str, str]] = {
    "SQLITE_NOTADB": "is no database, or damaged: {words}: look what is in it, or restore it from a"
    " backup, then run again",
    "SQLITE_CORRUPT": "is damaged: {words}: restore it from a backup, then run again",
    "SQLITE_FULL": "has no space left: see 'df {folder}', make room, then run again",
    "SQLITE_READONLY": "can't be written by the login {login}: run 'chown {login} {folder} {files}'"
    " as root (or its file system is read-only), then run again",
    "SQLITE_CANTOPEN": "can't be opened by the login {login}: run 'chown {login} {folder} {files}'"
    " as root (or its file system is read-only), then run again",
    "SQLITE_IOERR": "can't be read or written: {words}: see 'df {folder}' and 'dmesg', then run"
    " again",
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
        return f"sqlite:///{_file(url)}"
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
    state, words = state_of(cause), words_of(cause or error)
    named = getattr(cause, "sqlite_errorname", None) or ""
    if named.startswith(_LOCKED):
        return DatabaseError(
            f"{where} is locked by another process for over {busy_s} s: find it with 'fuser', then"
            " run again"
        )
    for name, advice in _SQLITE.items():
        if named.startswith(name):
            return DatabaseError(f"{where} {advice.format(words=words, **_of_file(url))}")
    is_lost = _is_lost(error, state)
    kind = DatabaseAwayError if is_lost or state in _PASSING_STATES else DatabaseError
    if state in _STATES:
        return kind(f"{where} {_STATES[state].format(words=words)}")
    if is_lost and _WRONG_ARGUMENT.search(str(cause)):
        return ConfigurationError(
            f"FORGE_GDPR_DATABASE_URL has an argument that can't be used: {words}: correct"
            " it (PgBouncer takes no options; set them with ALTER ROLE)"
        )
    if is_lost:
        return kind(
            f"{where} can't be reached: {words}: see whether its server runs and"
            " FORGE_GDPR_DATABASE_URL is right, then run again"
        )
    look = "run 'forge-gdpr db check'" if state == "" else "see its server's log, then run again"
    return kind(f"{where} fails: {words}: {look}")


def _is_lost(error: SQLAlchemyError, state: str) -> bool:
    """Say whether there is no connection to PostgreSQL, or none any more."""
    if not type(getattr(error, "orig", None)).__module__.startswith("psycopg"):
        return False
    # What comes without a SQLSTATE is the client's own word.
    lost = isinstance(error, (OperationalError, InterfaceError)) and not state
    return lost or state.startswith(_LOST_STATES)


def _file(url: URL) -> str:
    return unquote((url.database or "").removeprefix("file:"))


def _of_file(url: URL) -> dict[str, str]:
    """Return whose file a SQLite database is to be, and where it lies."""
    path = Path(_file(url))
    return {
        "login": process_login(),
        "folder": quote(str(path.parent)),
        "files": f"{quote(str(path))}*",
    }
