"""Is the record's table what queries take it for: ours, with indexes that say what it says?

Whoever owns the database can put a view in its place, make it anew with other types, or give it an
index that says something else than the table. Then who reads it one way sees another record than
who reads it another way. What a database says of it is never shown: it may quote what is stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy.schema import CreateIndex

from forge_gdpr.database.tables import audit_events

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, Dialect

#: What keeps (chain, seq) and (chain, previous) unique on SQLite.
_OWN_INDEXES: Final = ("sqlite_autoindex_audit_events_1", "sqlite_autoindex_audit_events_2")
#: What it is, whether rows may be hidden from some logins; nothing if it is not there.
_KIND: Final = {
    "sqlite": "SELECT type = 'table' AND wr = 0, 0 FROM pragma_table_list"
    " WHERE schema = 'main' AND name = 'audit_events' COLLATE NOCASE",
    "postgresql": "SELECT relkind = 'r', relrowsecurity FROM pg_class"
    " WHERE oid = to_regclass('audit_events')",
}
#: The columns, their types, and whether they are computed.
_COLUMNS: Final = {
    "sqlite": "SELECT name, type, hidden <> 0 FROM pragma_table_xinfo('audit_events')",
    "postgresql": "SELECT attname, format_type(atttypid, NULL), attgenerated <> ''"
    " FROM pg_attribute WHERE attrelid = 'audit_events'::regclass"
    " AND attnum > 0 AND NOT attisdropped",
}
#: On SQLite an id is an integer, whatever is written into it, only where it is the row's own.
_HAS_OWN_ID: Final = (
    "SELECT (SELECT group_concat(name) FROM pragma_table_info('audit_events') WHERE pk > 0) = 'id'"
    " AND NOT EXISTS (SELECT 1 FROM pragma_index_list('audit_events') WHERE origin = 'pk')"
    " AND EXISTS (SELECT 1 FROM pragma_table_info('audit_events')"
    " WHERE name = 'id' AND upper(type) = 'INTEGER')"
)
_INDEXES: Final = (
    "SELECT name, sql FROM sqlite_master WHERE type = 'index'"
    " AND tbl_name = 'audit_events' COLLATE NOCASE"
)
#: Bytes, for the name of a foreign index may be no text.
_INTEGRITY: Final = "SELECT CAST(integrity_check AS BLOB) FROM pragma_integrity_check"
_FEW: Final = "LIMIT 100"
_OK: Final = b"ok"


def form_fault(connection: Connection) -> str | None:
    """Return in what the record's table has another form than the migrations give it.

    It takes no longer on a large table. A table that is not there is not looked at.
    """
    dialect = connection.dialect
    kind = connection.exec_driver_sql(_KIND[dialect.name]).one_or_none()
    if kind is None:
        return None
    is_table, hides_rows = kind
    if not is_table:
        return "audit_events is not the table that 'db upgrade' makes, but something else"
    if hides_rows:
        return "audit_events has row-level security, which can hide events"
    columns = {
        name: "computed" if computed else _kind_of(str(declared), dialect)
        for name, declared, computed in connection.exec_driver_sql(_COLUMNS[dialect.name])
    }
    for column in audit_events.c:
        if columns.get(column.name) != _kind_of(column.type.compile(dialect), dialect):
            return _other(f"column {column.name} of audit_events")
    if dialect.name != "sqlite":
        return None
    if not connection.exec_driver_sql(_HAS_OWN_ID).scalar_one():
        return _other("column id of audit_events")
    ours = _our_indexes(dialect)
    for name, words in connection.exec_driver_sql(_INDEXES):
        if name in ours and words != ours[name]:
            return _other(f"index {name}")
    return None


def index_fault(connection: Connection) -> str | None:
    """Return which index of a SQLite table says something else than the table does.

    All of it is read, once for each index. An index of PostgreSQL lies only if a superuser made it.
    """
    if connection.dialect.name != "sqlite":
        return None
    faults = connection.exec_driver_sql(f"{_INTEGRITY}('audit_events') {_FEW}").scalars().all()
    if faults == [_OK]:
        return None
    return lie_in(connection, faults) or "the table audit_events or an index of it is damaged"


def integrity_faults(connection: Connection) -> Sequence[bytes]:
    """Return the first faults that SQLite finds in its file, in words that nobody is shown."""
    faults = connection.exec_driver_sql(f"{_INTEGRITY} {_FEW}").scalars().all()
    return () if faults == [_OK] else faults


def lie_in(connection: Connection, faults: Sequence[bytes]) -> str | None:
    """Return which index of the record lies, in words of ours; None if none of the faults says."""
    last_words = {fault.split()[-1].decode(errors="replace") for fault in faults if fault.strip()}
    for name in (*_our_indexes(connection.dialect), *_OWN_INDEXES):
        if name in last_words:
            return f"the index {name} does not say what the table audit_events says"
    return None


def _our_indexes(dialect: Dialect) -> Mapping[str, str]:
    """Return the statements that make them, by name."""
    return {
        str(index.name): str(CreateIndex(index).compile(dialect=dialect))
        for index in sorted(audit_events.indexes, key=lambda index: str(index.name))
    }


def _kind_of(declared: str, dialect: Dialect) -> str:
    """Return what values a column takes: a type without its length, or what SQLite makes of it."""
    kind = declared.upper().partition("(")[0].replace("CHARACTER VARYING", "VARCHAR")
    if dialect.name != "sqlite":
        return declared.upper() if "TIME" in kind else kind
    if "INT" in kind:
        return "integer"
    if any(word in kind for word in ("CHAR", "CLOB", "TEXT")):
        return "text"
    if not kind or "BLOB" in kind:
        return "blob"
    return "real" if any(word in kind for word in ("REAL", "FLOA", "DOUB")) else "numeric"


def _other(what: str) -> str:
    return f"the {what} is not as 'db upgrade' makes it"
