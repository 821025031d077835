"""What an event's body says, as SQL that means the same on SQLite and PostgreSQL.

A body is text, and its times all have one form (RFC 3339, UTC, microseconds), so days are compared
as text. SQLAlchemy itself writes the rest for either database: ``JSON_EXTRACT`` and ``STRFTIME``,
or ``->>`` and ``EXTRACT``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import JSON, TIMESTAMP, BigInteger, Text, cast, extract, func, literal_column

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

# On SQLite a body stays text: CAST AS JSON would make a number of it.
_Body: Final = JSON().with_variant(Text(), "sqlite")
# Without a zone, so that the session's plays no part; what is cast to it is UTC.
_Time: Final = TIMESTAMP().with_variant(Text(), "sqlite")

_MONTH_LENGTH: Final = len("2026-01")
_DAY_LENGTH: Final = len("2026-01-31")
_SECOND_LENGTH: Final = len("2026-01-31T23:59:59")


def said(body: ColumnElement[str], name: str) -> ColumnElement[str]:
    """Return the text of a field of ``body``; null if it is not there."""
    found: ColumnElement[str] = cast(body, _Body)[name].as_string()
    return found


def told(body: ColumnElement[str], name: str) -> ColumnElement[bool]:
    """Return a true or false field of ``body``; null if it is not there."""
    found: ColumnElement[bool] = cast(body, _Body)[name].as_boolean()
    return found


def number(body: ColumnElement[str], name: str) -> ColumnElement[int]:
    """Return a field of ``body`` that is a whole number; null if it is not there."""
    found: ColumnElement[int] = cast(body, _Body)[name].as_integer()
    return found


def day(written: ColumnElement[str]) -> ColumnElement[str]:
    """Return the day of a written time, which sorts as text."""
    return _start(written, _DAY_LENGTH)


def month(written: ColumnElement[str]) -> ColumnElement[str]:
    """Return the month of a written time, which sorts as text."""
    return _start(written, _MONTH_LENGTH)


def epoch_s(written: ColumnElement[str]) -> ColumnElement[int]:
    """Return the whole seconds from 1970 to a written time; its fraction is cut off."""
    second = cast(_start(written, _SECOND_LENGTH), _Time)
    return cast(extract("epoch", second), BigInteger)


def _start(written: ColumnElement[str], length: int) -> ColumnElement[str]:
    # Lengths are part of the statement: PostgreSQL takes no parameter in GROUP BY.
    return func.substr(written, literal_column("1"), literal_column(str(length)))
