"""SQLite's files hold nothing of a closed request's address: their bytes are searched."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from structlog.testing import capture_logs
from world import KEY, fetch, insert, night

from forge_gdpr.database import traces
from forge_gdpr.database.engine import writing
from forge_gdpr.run.opening import Limits
from forge_gdpr.sandbox import Sandbox, generated_user

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Engine
    from world import Program

    from forge_gdpr.sandbox.users import User

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

PEOPLE: Final = 300
OPEN: Final = "still.open@example.net"
MANY: Final = Limits(max_due=1000, cool_off_days=0)


def file_of(engine: Engine) -> Path:
    return Path(str(engine.url.database).removeprefix("file:"))


def found(engine: Engine, *words: str) -> set[str]:
    """Return which of the words stand in one of the database's files."""
    path = file_of(engine)
    held = b"".join(one.read_bytes() for one in sorted(path.parent.glob(f"{path.name}*")))
    return {word for word in words if word.encode() in held}


@pytest.fixture
def application(engine: Engine) -> Iterator[sqlite3.Connection]:
    """An application that keeps the database open, so that its log stays when we go."""
    with closing(sqlite3.connect(file_of(engine), isolation_level=None)) as connection:
        connection.execute("SELECT count(*) FROM deletion_requests").fetchone()
        yield connection


@pytest.fixture
def crowd() -> Iterator[Sandbox]:
    with Sandbox(users=PEOPLE, key=KEY) as started:
        yield started


def asked(connection: sqlite3.Connection, users: Sequence[User]) -> list[str]:
    """Insert people's requests as an application does; return their addresses."""
    for number, user in enumerate(users):
        connection.execute(
            "INSERT INTO deletion_requests (forge_user_id, email, reference) VALUES (?, ?, ?)",
            (user.id, user.email, f"T-{number}".ljust(number % 61, "0")),
        )
    return [user.email for user in users]


def test_after_a_night_no_address_of_a_closed_request_is_left(
    engine: Engine, application: sqlite3.Connection, crowd: Sandbox
) -> None:
    emails = asked(application, crowd.users)
    insert(engine, {"email": OPEN, "not_before": "2999-01-01 00:00:00"})
    assert found(engine, *emails) == set(emails)
    night(engine, crowd.url, limits=MANY, order={"batch": 20})
    assert fetch(engine, "SELECT count(*) FROM deletion_requests WHERE status = 'done'") == [PEOPLE]
    assert Path(f"{file_of(engine)}-wal").stat().st_size == 0
    assert found(engine, OPEN, *emails) == {OPEN}


def test_a_reader_keeps_the_log_and_fails_nothing(
    engine: Engine, application: sqlite3.Connection, sandbox: Sandbox, program: Program
) -> None:
    user = sandbox.users[0]
    insert(engine, {"email": user.email})
    application.execute("BEGIN")
    application.execute("SELECT count(*) FROM deletion_requests").fetchone()
    done = program.here("run")
    assert done.returncode == 0, done.stderr
    assert '"event": "database.traces_left"' in done.stderr
    assert user.email not in done.stderr
    assert found(engine, user.email)
    application.execute("COMMIT")
    assert program.here("run").stderr == ""
    assert not found(engine, user.email)


@pytest.mark.parametrize(
    "words",
    [
        "requests cancel {} --reason withdrawn --yes",
        "requests refuse {} --reason expression --yes",
        "requests amend {} --no-email",
        "audit retention",
    ],
)
def test_what_an_operator_empties_is_gone(
    engine: Engine, application: sqlite3.Connection, program: Program, words: str
) -> None:
    (email,) = asked(application, [generated_user(1)])
    if "retention" in words:
        application.execute(
            "UPDATE deletion_requests"
            " SET status = 'cancelled', closed_at = '2026-01-01 00:00:00.000000'"
        )
    assert found(engine, email)
    (number,) = fetch(engine, "SELECT id FROM deletion_requests")
    done = program.here(*words.format(number).split())
    assert (done.returncode, done.stderr) == (0, "")
    assert not found(engine, email)


def test_a_large_file_is_not_written_anew(engine: Engine, application: sqlite3.Connection) -> None:
    before = application.execute("PRAGMA schema_version").fetchone()
    traces.wipe(engine, rewrite=True, largest_bytes=1)
    assert Path(f"{file_of(engine)}-wal").stat().st_size == 0
    assert application.execute("PRAGMA schema_version").fetchone() == before
    traces.wipe(engine, rewrite=True)
    assert application.execute("PRAGMA schema_version").fetchone() != before


def test_a_writer_who_stays_is_waited_for_only_a_moment(
    engine: Engine, application: sqlite3.Connection
) -> None:
    application.execute("BEGIN IMMEDIATE")
    with capture_logs() as logs:
        traces.wipe(engine, rewrite=True)
    assert [(line["event"], line["why"]) for line in logs] == [
        ("database.traces_left", "SQLITE_BUSY")
    ]
    application.execute("COMMIT")
    insert(engine, {"email": OPEN})  # as patient as before


@pytest.mark.usefixtures("application")
def test_copies_in_the_gaps_of_split_pages_are_gone(
    engine: Engine,
) -> None:
    emails = [f"x{number}.{'y' * (number * 7 % 61)}@example.org" for number in range(1500)]
    insert(engine, *({"email": email, "reference": email[::-1]} for email in emails))
    with writing(engine) as connection:
        connection.exec_driver_sql(
            f"UPDATE deletion_requests SET due_on = '2026-01-01', subject = '{'0' * 76}'"
        )
        connection.exec_driver_sql(
            "UPDATE deletion_requests SET public_reference = substr(reference, 1, 90)"
        )
        connection.exec_driver_sql("UPDATE deletion_requests SET email = NULL WHERE id % 3")
        connection.exec_driver_sql("UPDATE deletion_requests SET email = NULL")
    traces.wipe(engine, rewrite=False)
    assert found(engine, *emails)
    traces.wipe(engine, rewrite=True)
    assert not found(engine, *emails)
