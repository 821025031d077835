"""The record's table may be something else than it seems: indexes that lie, other types, a view."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

import pytest
from world import insert, night

from forge_gdpr.audit.verify import examine
from forge_gdpr.database.engine import reading, writing
from forge_gdpr.database.soundness import form_fault, index_fault
from forge_gdpr.sandbox import Sandbox, generated_user

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine
    from world import Program

SQLITE: Final = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
POSTGRESQL: Final = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

BY_REQUEST: Final = "ix_audit_events_request_id_event"
BY_EVENT: Final = "ix_audit_events_event_at"
CLOSED: Final = "event = 'request.closed' AND request_id = 2"
ANOTHER: Final = "CASE WHEN request_id = 1 THEN 999 ELSE request_id END"
RENAMED: Final = f"CASE WHEN {CLOSED} THEN 'x' ELSE event END"
#: How an index is built that says something else than its table, by the index.
LIES: Final = {
    "a request under another number": (
        BY_REQUEST,
        f"CREATE INDEX {BY_REQUEST} ON audit_events ({ANOTHER}, event)",
    ),
    "an event under another name": (
        BY_EVENT,
        f"CREATE INDEX {BY_EVENT} ON audit_events (CASE WHEN {CLOSED} THEN 'x' ELSE event END, at)",
    ),
    "a request left out": (
        BY_REQUEST,
        f"CREATE INDEX {BY_REQUEST} ON audit_events (request_id, event) WHERE request_id <> 1",
    ),
    "an event left out": (
        BY_EVENT,
        f"CREATE INDEX {BY_EVENT} ON audit_events (event, at) WHERE NOT ({CLOSED})",
    ),
}


@pytest.fixture
def closed(engine: Engine, sandbox: Sandbox) -> Engine:
    """The record of a night in which three people were erased."""
    insert(engine, *({"forge_user_id": generated_user(number).id} for number in range(3)))
    night(engine, sandbox.url)
    return engine


def deceive(path: Path, name: str, lie: str, *, hide: bool = True) -> None:
    """Build an index otherwise, and let the schema say of it that it is as it was."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        words = "SELECT sql FROM sqlite_master WHERE name = ?"
        (before,) = connection.execute(words, (name,)).fetchone()
        connection.execute(f'DROP INDEX "{name}"')
        connection.execute(lie)
        if hide:
            connection.execute("PRAGMA writable_schema = 1")
            connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (before, name))


def test_what_the_migrations_make_is_as_it_should_be(closed: Engine) -> None:
    with reading(closed) as connection:
        assert form_fault(connection) is None
        assert index_fault(connection) is None


@SQLITE
@pytest.mark.usefixtures("closed")
@pytest.mark.parametrize("lie", LIES)
def test_an_index_that_lies_is_found(program: Program, lie: str) -> None:
    name, words = LIES[lie]
    deceive(program.folder / "requests.db", name, words)
    for command in ("audit verify", "db check"):
        done = program.here(*command.split())
        assert (done.returncode, done.stdout) == (6, ""), command
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"error: the index {name} does not say what the table"), command
    told = program.here("audit", "verify", "--output", "json")
    assert json.loads(told.stdout)["ok"] is False


@SQLITE
@pytest.mark.usefixtures("closed")
@pytest.mark.parametrize("lie", LIES)
def test_an_index_that_is_another_one_is_found_at_once(program: Program, lie: str) -> None:
    name, words = LIES[lie]
    deceive(program.folder / "requests.db", name, words, hide=False)
    assert program.here("status").returncode == 6
    done = program.here("audit", "verify")
    assert done.returncode == 6
    assert f"the index {name} is not as 'db upgrade' makes it" in done.stderr
    assert program.here("report").returncode == 6
    assert program.here("db", "check").returncode == 6


@SQLITE
def test_an_index_of_somebody_else_is_not_named(program: Program, closed: Engine) -> None:
    """Whoever made it named it: its name is shown to nobody."""
    made = "CREATE INDEX theirs ON audit_events ({})"
    with writing(closed) as connection:
        connection.exec_driver_sql(made.format("actor"))
    assert program.here("audit", "verify").returncode == 0
    assert program.here("db", "check").returncode == 0
    deceive(program.folder / "requests.db", "theirs", made.format("event"))
    for command in ("audit verify", "db check"):
        done = program.here(*command.split())
        assert (done.returncode, done.stdout) == (6, ""), command
        (line,) = done.stderr.splitlines()
        assert "damaged" in line, command
        assert "theirs" not in line, command


@POSTGRESQL
def test_events_are_counted_in_the_table_itself(closed: Engine) -> None:
    with reading(closed) as connection:
        before = connection.exec_driver_sql("SHOW enable_indexonlyscan").scalar_one()
        assert examine(connection).broken == {}
        assert connection.exec_driver_sql("SHOW enable_indexonlyscan").scalar_one() == before
