"""Of a database driver's own words only known shapes are shown: it quotes the cells it fails on."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

import psycopg
import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from world import insert

from forge_gdpr.database.engine import reading, writing
from forge_gdpr.database.faults import explained
from forge_gdpr.database.words import words_of
from forge_gdpr.errors import DatabaseError

if TYPE_CHECKING:
    from sqlalchemy import Engine

NAME: Final = "lovelace"
ADA: Final = f"ada.{NAME}@example.org"

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def said_of(engine: Engine, *statements: str, read: bool = False) -> str:
    """Return what is said of the last one, which fails."""
    with (
        pytest.raises(DatabaseError) as caught,
        (reading if read else writing)(engine) as connection,
    ):
        for statement in statements:
            result = connection.exec_driver_sql(statement)
            if result.returns_rows:
                result.all()
    message = str(caught.value)
    assert NAME not in message
    assert "61ab8f" not in message
    assert "\n" not in message
    return message


def test_a_row_that_breaks_a_constraint_is_not_quoted(engine: Engine) -> None:
    insert(engine, {"email": ADA, "reference": ADA})
    taken = f"INSERT INTO deletion_requests (email, reference) VALUES ('{ADA}', '{ADA}')"
    said_of(engine, taken)
    said_of(engine, f"INSERT INTO deletion_requests (email, regime) VALUES ('{ADA}', NULL)")
    said_of(engine, f"INSERT INTO deletion_requests (email, attempts) VALUES ('{ADA}', -1)")


def test_what_is_not_there_is_named(engine: Engine) -> None:
    assert "nowhere" in said_of(engine, "SELECT * FROM nowhere")
    said_of(engine, f'SELECT "{ADA}".id FROM deletion_requests')


@on_sqlite
@pytest.mark.parametrize("before", ["", "permission denied for table ", "database is locked "])
def test_a_text_that_is_none_is_not_quoted(engine: Engine, before: str) -> None:
    text = f"{before}{ADA}".encode().hex()
    message = said_of(engine, f"SELECT CAST(x'{text}ff' AS TEXT) AS email", read=True)
    assert message.endswith(" fails: OperationalError: run 'forge-gdpr db check'")


@on_sqlite
@pytest.mark.parametrize(
    "statement",
    [
        f"SELECT json('{ADA}')",
        f"SELECT '{ADA}' {NAME} {NAME}",
        f"CREATE TEMP TRIGGER t BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, '{ADA}'); END",
    ],
)
def test_sqlite_quotes_nothing(engine: Engine, statement: str) -> None:
    said_of(engine, statement, "INSERT INTO runs VALUES ('r', '2026-01-01', '2026-01-01', NULL)")


@on_postgresql
@pytest.mark.parametrize(
    "statement",
    [
        f"SELECT CAST('{ADA}' AS integer)",
        f"SELECT CAST('{ADA}' AS timestamptz)",
        f"SELECT CAST('{ADA}' AS json)",
        f"SELECT CAST('{ADA}' AS varchar(3)) || chr(0)",
        f"SELECT '{ADA}' {NAME} {NAME}",
        f"DO $$ BEGIN RAISE EXCEPTION '{ADA}'; END $$",
        f"DO $$ BEGIN RAISE 'x' USING ERRCODE = '42501', DETAIL = 'Key (email)=({ADA})'; END $$",
        f"DO $$ BEGIN RAISE '{ADA}' USING ERRCODE = '40001'; END $$",
        f"DO $$ BEGIN RAISE '{ADA} no space left on device' USING ERRCODE = '53100'; END $$",
        f"DO $$ BEGIN RAISE 'database is locked: {ADA}' USING ERRCODE = '57014'; END $$",
        "SELECT date '-infinity' AS due_on",  # the driver's own words, after the server's
        "SELECT CAST('0044-03-15 BC' AS date) AS due_on",
    ],
)
def test_postgresql_quotes_nothing(engine: Engine, statement: str) -> None:
    message = said_of(engine, statement)
    assert "0044" not in message
    assert "infinity" not in message


CONNECT: Final = 'connection failed: connection to server at "10.0.0.7", port 5432 failed'


@pytest.mark.parametrize(
    ("cause", "shown"),
    [
        (
            psycopg.errors.InsufficientPrivilege("permission denied for table deletion_requests"),
            "permission denied for table deletion_requests",
        ),
        (
            psycopg.errors.InsufficientPrivilege(f"permission denied for table x\nDETAIL: {ADA}"),
            "permission denied for table x",
        ),
        (psycopg.errors.InsufficientPrivilege(f"no, {ADA}"), "InsufficientPrivilege 42501"),
        (psycopg.errors.UniqueViolation("deadlock detected"), "UniqueViolation 23505"),
        (psycopg.DataError(f"can't parse date '{ADA}' (connection lost)"), "DataError"),
        (
            psycopg.OperationalError(
                f'{CONNECT}: FATAL:  password authentication failed for user "worker"'
            ),
            (
                'connection to server at "10.0.0.7", port 5432 failed: password authentication'
                ' failed for user "worker"'
            ),
        ),
        (
            psycopg.OperationalError(f"{CONNECT}: Connection refused\n\tIs the server running"),
            'connection to server at "10.0.0.7", port 5432 failed: Connection refused',
        ),
        (psycopg.OperationalError(f"failed to resolve host '{ADA}'"), "OperationalError"),
        (sqlite3.OperationalError("no such table: runs"), "no such table: runs"),
        (sqlite3.IntegrityError("UNIQUE constraint failed: t.a, t.b"),) * 2,
        (sqlite3.IntegrityError(f"UNIQUE constraint failed: {ADA}"), "IntegrityError"),
        (
            sqlite3.OperationalError(f"Could not decode to UTF-8 column 'email' with text '{ADA}'"),
            "OperationalError",
        ),
        (ValueError(ADA), "ValueError"),
    ],
)
def test_what_is_shown_has_a_known_shape(cause: Exception, shown: object) -> None:
    assert words_of(cause) == str(shown)


def test_a_value_in_the_url_is_not_quoted() -> None:
    cause = psycopg.OperationalError(
        'connection is bad: invalid integer value "secret" for connection option "port"'
    )
    error = OperationalError("", None, cause)
    message = str(explained(make_url("postgresql://h/d"), error, busy_s=1))
    assert 'connection option "port"' in message
    assert "secret" not in message


def test_an_error_without_a_cause_is_named() -> None:
    error = DBAPIError(ADA, None, None)  # type: ignore[arg-type]
    message = str(explained(make_url("sqlite:////x"), error, busy_s=1))
    assert message == "the database sqlite:////x fails: DBAPIError: run 'forge-gdpr db check'"
