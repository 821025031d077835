"""Which of a driver's own words may be shown: fixed shapes that are known to hold no cell.

A database quotes whatever it stumbles over, an address or an id among it, and in ever new ways:
so what is shown is listed, and all else is withheld.
"""

from __future__ import annotations

import re
import sqlite3
from typing import Final

#: A table, a role, a parameter: a name as people give it, with no blank, @ or % in it.
_NAME: Final = r'"?[A-Za-z_][\w$-]{0,62}"?'
_DOTTED: Final = rf"{_NAME}(?:\.{_NAME}){{0,2}}"
_PLACE: Final = r"[\w./:,-]{1,253}"
_HOST: Final = rf"[\"']{_PLACE}[\"']"

_SQLITE: Final = (
    r"database (?:table |schema )?is locked",
    r"database schema has changed",
    r"disk I/O error",
    r"unable to open database file",
    r"attempt to write a readonly database",
    r"database disk image is malformed",
    r"file is not a database",
    r"malformed database schema",
    r"database or disk is full",
    r"out of memory",
    r"string or blob too big",
    r"too many SQL variables",
    r"interrupted\Z",
    rf"no such (?:table|index|function|trigger|view|collation sequence): {_DOTTED}",
    rf"no such column: {_DOTTED}\Z",
    rf"table {_NAME} (?:already exists|has no column named {_NAME})",
    rf"(?:index|trigger) {_NAME} already exists",
    rf"(?:UNIQUE|NOT NULL) constraint failed: {_DOTTED}(?:, {_DOTTED})*\Z",
    rf"CHECK constraint failed: {_NAME}\Z",
    r"FOREIGN KEY constraint failed",
)

#: A server's, which come with a SQLSTATE, as a rule.
_SERVER: Final = (
    (
        r"permission denied for (?:table|schema|database|sequence|function|view|column"
        rf"|language|tablespace|relation|large object) {_NAME}"
    ),
    r"permission denied to (?:set role|create (?:role|database|extension))",
    rf"permission denied to set parameter {_NAME}",
    rf"must be (?:owner of|member of|superuser|able to SET ROLE)(?: \w+)? ?{_NAME}",
    r"cannot execute [A-Z][A-Z ]{1,40} in a read-only transaction",
    rf"(?:relation|schema|database|role|type|constraint) {_NAME} (?:already exists|does not exist)",
    rf"column {_NAME}(?: of relation {_NAME})? does not exist",
    r"no schema has been selected to create in",
    (
        r"canceling statement due to (?:statement timeout|lock timeout|user request"
        r"|conflict with recovery)"
    ),
    (
        r"terminating connection due to (?:administrator command|idle-in-transaction timeout"
        r"|unexpected postmaster exit|conflict with recovery|idle-session timeout)"
    ),
    r"terminating connection because of crash of another server process",
    r"deadlock detected",
    (
        r"could not serialize access due to (?:concurrent (?:update|delete)"
        r"|read/write dependencies among transactions)"
    ),
    r"could not obtain lock on (?:row in )?relation",
    r"could not extend file",
    r"[Nn]o space left on device",
    r"sorry, too many clients already",
    rf"too many connections for (?:role|database) {_NAME}",
    r"remaining connection slots are reserved for [a-z -]{1,60}",
    (
        r"the database system is (?:starting up|shutting down|in recovery mode"
        r"|not yet accepting connections|not accepting connections)"
    ),
    r"current transaction is aborted",
    r"out of shared memory",
    rf"database {_NAME} is not currently accepting connections",
    rf"role {_NAME} is not permitted to log in",
    rf"(?:password|peer|Ident|GSSAPI|LDAP|certificate) authentication failed for user {_NAME}",
    rf"no pg_hba\.conf entry for host {_HOST}, user {_NAME}, database {_NAME}",
    rf"no pg_hba\.conf entry for \[local\], user {_NAME}, database {_NAME}",
)

#: The client's own, of a connection that can't be made or is lost; and a pooler's.
_CLIENT: Final = (
    rf"connection to server at {_HOST}(?: \({_PLACE}\))?, port \d{{1,5}} failed",
    rf"connection to server on socket {_HOST} failed",
    rf"failed to resolve host {_HOST}",
    rf"could not translate host name {_HOST} to address",
    r"Name or service not known",
    r"Temporary failure in name resolution",
    r"No address associated with hostname",
    r"Connection (?:refused|timed out|reset by peer)",
    r"No route to host",
    r"Network is unreachable",
    r"No such file or directory",
    r"Permission denied",
    r"(?:connection )?timeout expired",
    r"server closed the connection unexpectedly",
    r"the connection is (?:lost|closed)",
    r"connection lost",
    r"no connection to the server",
    r"could not (?:receive data from|send data to) (?:the )?server",
    r"SSL SYSCALL error: EOF detected",
    r"SSL connection has been closed unexpectedly",
    r"SSL error: (?:certificate verify failed|[a-z0-9 ]{1,60})",
    rf"server certificate for {_HOST} does not match host name {_HOST}",
    r"server does not support SSL",
    rf"root certificate file {_HOST} does not exist",
    r"fe_sendauth: no password supplied",
    r"server_login_retry|server login has been failing",
    r"no more connections allowed",
    r"(?:query_wait|client_idle|query)_timeout",
    rf"no such (?:user|database): {_NAME}",
)

#: An argument of the URL that is wrong: its name, and never its value, which may be a password.
_ARGUMENT: Final = (
    r"invalid \w+ value(?=: | \")",
    rf"(?:invalid )?connection option {_NAME}",
    rf"unrecognized configuration parameter {_NAME}",
    rf"invalid value for parameter {_NAME}",
    rf"unsupported startup parameter(?: in options)?: {_NAME}",
    r"invalid port number",
)

_OF_SQLITE: Final = re.compile("|".join(_SQLITE))
_OF_SERVER: Final = re.compile("|".join(_SERVER))
_OF_CLIENT: Final = re.compile("|".join((*_CLIENT, *_SERVER, *_ARGUMENT)))
_LONGEST: Final = 200

#: SQLSTATE classes whose PostgreSQL messages quote the row: data and integrity errors.
_QUOTING_STATES: Final = ("22", "23")
_STATE: Final = re.compile(r"[0-9A-Z]{5}")
#: psycopg's of a connection; its other ones quote what they can't read or write.
_OF_CONNECTIONS: Final = frozenset({"OperationalError", "InterfaceError"})


def state_of(cause: BaseException | None) -> str:
    """Return the SQLSTATE of a PostgreSQL server's error; empty: it is none, or it has none."""
    state = getattr(cause, "sqlstate", None) or ""
    return state if _STATE.fullmatch(state) else ""


def words_of(cause: BaseException) -> str:
    """Return what may be shown of a driver's error: the tame part of its words, or its name."""
    text = " ".join(str(cause).split())
    return _tame(cause, text)[:_LONGEST] or _name(cause)


def _tame(cause: BaseException, text: str) -> str:
    """Return the part of the words that has a shape that is known, if there is one.

    A statement's error begins with it: further on may stand anything, such a shape, too.
    """
    state = state_of(cause)
    if isinstance(cause, sqlite3.Error):
        match = _OF_SQLITE.match(text)
    elif state:
        match = None if state.startswith(_QUOTING_STATES) else _OF_SERVER.match(text)
    elif type(cause).__name__ in _OF_CONNECTIONS:
        # Of a connection there is no cell to quote, and it may have been tried at several places.
        return ": ".join(dict.fromkeys(match[0] for match in _OF_CLIENT.finditer(text)))
    else:
        match = None
    return "" if match is None else match[0]


def _name(cause: BaseException) -> str:
    code = state_of(cause) or getattr(cause, "sqlite_errorname", None) or ""
    return f"{type(cause).__name__} {code}".strip()
