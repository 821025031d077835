"""Which cells of a request can be read: the database itself says so, before any driver tries.

SQLite stores anything in any column, and PostgreSQL has times that Python has not. A query that
returned one such cell would fail as a whole, with all the good rows beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Date, Integer, and_, case, not_, null, or_
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Boolean

from forge_gdpr.database.tables import UtcDateTime, deletion_requests

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Row, SQLColumnExpression
    from sqlalchemy.sql.compiler import SQLCompiler

_C: Final = deletion_requests.c

#: What a run reads of a request: if one of these can't be read, a person looks.
NEEDED: Final = (
    "forge_user_id",
    "email",
    "reference",
    "regime",
    "received_at",
    "not_before",
    "due_on",
    "alarm_on",
    "status",
    "status_reason",
    "subject",
    "attempts",
    "next_attempt_at",
    "fence",
    "approved_by",
    "public_reference",
)


_RAISED: Final = ("attempts", "fence")
_LARGEST: Final = 2**31 - 1


class _Readable(FunctionElement[bool]):
    """Whether a column's cell can be read; never null."""

    type = Boolean()
    inherit_cache = True


def readable(column: SQLColumnExpression[Any]) -> ColumnElement[bool]:
    """Return the condition that a column's cell can be read, or is null."""
    return _Readable(column)


def cell(name: str) -> ColumnElement[Any]:
    """Return a column by name, with a null where its cell can't be read."""
    column = _C[name]
    shown = readable(column)
    if name == "reference":
        # It may name the person in words that can't be compared with what can't be read.
        shown = and_(shown, readable(_C.forge_user_id), readable(_C.email))
    return case((shown, column), else_=null()).label(name)


def whole() -> ColumnElement[bool]:
    """Return the condition that a run can read all that it needs; never null.

    What a run itself fills in, it fills in together: with a pseudonym, there is a legal date.
    """
    dated = or_(_C.subject.is_(None), _C.due_on.is_not(None))
    return and_(*(_usable(name) for name in NEEDED), dated)


def faults() -> list[ColumnElement[bool]]:
    """Return, for each column that a run needs, whether it can't be read; as ``no_<column>``."""
    return [not_(_usable(name)).label(f"no_{name}") for name in NEEDED]


def unreadable(row: Row[Any]) -> list[str]:
    """Return the columns that a run needs and that can't be read, of a row with its `faults`."""
    return [name for name in NEEDED if row._mapping[f"no_{name}"]]  # noqa: SLF001  # public


def _usable(name: str) -> ColumnElement[bool]:
    column = _C[name]
    # A count that a run raises by one must not be the last that PostgreSQL can hold.
    return and_(readable(column), column < _LARGEST) if name in _RAISED else readable(column)


#: Times as SQLite's columns hold them, in UTC: so they sort as text. Older SQL of applications
#: may have left the fraction out, or half of it.
_DAY: Final = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
_SECOND: Final = f"{_DAY} [0-9][0-9]:[0-9][0-9]:[0-9][0-9]"
_TIMES: Final = (_SECOND, f"{_SECOND}.{'[0-9]' * 3}", f"{_SECOND}.{'[0-9]' * 6}")
_LENGTHS: Final = (len("2026-03-31 02:30:15"), len(".250"), len(".250000"))
_SQLITE_TIME: Final = " OR ".join(
    f"(length(CAST({{c}} AS BLOB)) = {length} AND {{c}} GLOB '{form}')"
    for form, length in zip(
        _TIMES,
        (_LENGTHS[0], _LENGTHS[0] + _LENGTHS[1], _LENGTHS[0] + _LENGTHS[2]),
        strict=True,
    )
)
#: By type of column.
_SQLITE: Final = {
    "count": "(typeof({c}) = 'integer' AND {c} BETWEEN 0 AND 2147483647)",
    "time": "coalesce({c} IS NULL OR (typeof({c}) = 'text' AND {c} >= '0001-01-01'"
    f" AND ({_SQLITE_TIME})"
    " AND datetime(substr({c}, 1, 19), '+0 seconds') = substr({c}, 1, 19)), 0)",
    "date": "coalesce({c} IS NULL OR (typeof({c}) = 'text' AND {c} >= '0001-01-01'"
    f" AND length(CAST({{c}} AS BLOB)) = 10 AND {{c}} GLOB '{_DAY}'"
    " AND date({c}, '+0 days') = {c}), 0)",
    # Most text is plain ASCII, which SQLite can tell by itself, a hundred times as fast.
    "text": "(CASE typeof({c}) WHEN 'null' THEN 1 WHEN 'text' THEN"
    " (({c} NOT GLOB '*[^ -~]*' AND length({c}) = length(CAST({c} AS BLOB)))"
    " OR is_utf8(CAST({c} AS BLOB))) ELSE 0 END)",
    "subject": "(typeof({c}) = 'null' OR (typeof({c}) = 'text'"
    f" AND {{c}} GLOB 'v1:{'[0-9a-f]' * 8}:{'[0-9a-f]' * 64}'"
    " AND length({c}) = length(CAST({c} AS BLOB))))",
}
_POSTGRESQL: Final = {
    "count": "({c} BETWEEN 0 AND 2147483647)",
    "time": "({c} IS NULL OR ({c} >= timestamptz '0001-01-01 00:00:00+00'"
    " AND {c} < timestamptz '10000-01-01 00:00:00+00'))",
    "date": "({c} IS NULL OR ({c} BETWEEN date '0001-01-01' AND date '9999-12-31'))",
    "text": "true",
    "subject": "({c} IS NULL OR {c} ~ '^v1:[0-9a-f]{{8}}:[0-9a-f]{{64}}$')",
}


def _kind(column: Any) -> str:  # noqa: ANN401  # SQLAlchemy's own
    if column.name == "subject":
        return "subject"
    match column.type:
        case Integer():
            return "count"
        case UtcDateTime():
            return "time"
        case Date():
            return "date"
        case _:
            return "text"


@compiles(_Readable, "sqlite")
def _on_sqlite(element: _Readable, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401  # SQLAlchemy's own
    return _rendered(_SQLITE, element, compiler, kw)


@compiles(_Readable, "postgresql")
def _on_postgresql(element: _Readable, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401  # SQLAlchemy's own
    return _rendered(_POSTGRESQL, element, compiler, kw)


def _rendered(
    forms: dict[str, str], element: _Readable, compiler: SQLCompiler, kw: dict[str, Any]
) -> str:
    (column,) = element.clauses
    return forms[_kind(column)].format(c=compiler.process(column, **kw))
