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
from forge_gdpr.database.schema import TRIGGERS
from forge_gdpr.database.soundness import form_fault, index_fault
from forge_gdpr.database.tables import audit_events
from forge_gdpr.sandbox import Sandbox, generated_user

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection, Engine
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


#: Values that an id can only have where its table was made anew.
NO_IDS: Final = ("NULL", "'abc'", "1e300", "x'00'", "1.5")


def made_anew(connection: Connection, old: str, new: str) -> None:
    """Make the record's table with other words in its statement, and keep what is in it."""
    for name in TRIGGERS["sqlite"]:
        connection.exec_driver_sql(f"DROP TRIGGER {name}")
    words = "SELECT sql FROM sqlite_master WHERE name = 'audit_events'"
    before = connection.exec_driver_sql(words).scalar_one()
    assert old in before
    connection.exec_driver_sql("DROP VIEW deletion_outcomes")
    connection.exec_driver_sql("ALTER TABLE audit_events RENAME TO kept")
    connection.exec_driver_sql(before.replace(old, new))
    columns = ", ".join(column.name for column in audit_events.c)
    connection.exec_driver_sql(
        f"INSERT INTO audit_events ({columns}) SELECT {columns} FROM kept ORDER BY id"
    )
    connection.exec_driver_sql("DROP TABLE kept")


@SQLITE
@pytest.mark.parametrize("row_id", NO_IDS)
def test_an_id_that_is_no_number_is_a_finding(
    program: Program, closed: Engine, row_id: str
) -> None:
    with writing(closed) as connection:
        made_anew(connection, "id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT", "id")
        connection.exec_driver_sql(f"UPDATE audit_events SET id = {row_id} WHERE id = 3")
    for command in ("audit verify", "status"):
        done = program.here(*command.split())
        assert done.returncode == 6, (command, done.stderr)
        assert "Traceback" not in done.stderr, command
        assert (command == "status") is done.stdout.startswith("AUDIT_BROKEN")
    with reading(closed) as connection:
        (problem,) = examine(connection).broken.values()
    assert problem == "the column id of audit_events is not as 'db upgrade' makes it"


@SQLITE
@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT", "id INT PRIMARY KEY", "column id"),
        ("id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT", "id INTEGER", "column id"),
        (
            "id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT",
            "id INTEGER PRIMARY KEY DESC",
            "column id",
        ),
        ("seq BIGINT", "seq", "column seq"),
        ("seq BIGINT", "seq REAL", "column seq"),
        ("request_id BIGINT", "request_id BLOB", "column request_id"),
        ("outcome VARCHAR(32)", "outcome", "column outcome"),
        ("body TEXT", "body NUMERIC", "column body"),
        ("recorded_by VARCHAR(64)", "recorded_by VARCHAR AS ('me')", "column recorded_by"),
    ],
)
def test_a_column_of_another_kind_is_a_finding(
    closed: Engine, old: str, new: str, what: str
) -> None:
    computed = " AS (" in new
    with writing(closed) as connection:
        if computed:
            connection.exec_driver_sql("DROP VIEW deletion_outcomes")
            connection.exec_driver_sql("ALTER TABLE audit_events DROP COLUMN recorded_by")
            connection.exec_driver_sql(f"ALTER TABLE audit_events ADD COLUMN {new}")
        else:
            made_anew(connection, old, new)
    with reading(closed) as connection:
        (problem,) = examine(connection).broken.values()
    assert problem == f"the {what} of audit_events is not as 'db upgrade' makes it"


@SQLITE
def test_a_table_without_rows_of_its_own_is_a_finding(closed: Engine) -> None:
    with writing(closed) as connection:
        words = "SELECT sql FROM sqlite_master WHERE name = 'audit_events'"
        before = connection.exec_driver_sql(words).scalar_one()
        connection.exec_driver_sql("DROP VIEW deletion_outcomes")
        connection.exec_driver_sql("ALTER TABLE audit_events RENAME TO kept")
        made = before.replace(" AUTOINCREMENT", "")
        connection.exec_driver_sql(f"{made} WITHOUT ROWID")
    with reading(closed) as connection:
        assert "not the table" in examine(connection).broken["table"]


@SQLITE
@pytest.mark.parametrize("column", ["seq", "request_id", "attempt", "http_status"])
def test_a_number_of_another_kind_is_a_finding_whatever_the_schema_says(
    program: Program, closed: Engine, column: str
) -> None:
    """1.0 is 1 for whoever compares the two."""
    kind = str(audit_events.c[column].type)
    with writing(closed) as connection:
        words = "SELECT sql FROM sqlite_master WHERE name = 'audit_events'"
        before = connection.exec_driver_sql(words).scalar_one()
        made_anew(connection, f"{column} {kind}", column)
        connection.exec_driver_sql(f"UPDATE audit_events SET {column} = {column} + 0.0")
    closed.dispose()
    path = program.folder / "requests.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("PRAGMA writable_schema = 1")
        raw.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'audit_events'", (before,))
    with reading(closed) as connection:
        kinds = f"SELECT DISTINCT typeof({column}) FROM audit_events WHERE {column} IS NOT NULL"
        assert connection.exec_driver_sql(kinds).scalars().all() == ["real"]
        assert form_fault(connection) is None
        problems = examine(connection).broken.values()
    assert any(f"has another {column} in its column" in problem for problem in problems), problems


def test_a_view_in_its_place_is_a_finding(program: Program, closed: Engine) -> None:
    with writing(closed) as connection:
        if closed.dialect.name == "sqlite":
            for name in TRIGGERS["sqlite"]:
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
        connection.exec_driver_sql("DROP VIEW deletion_outcomes")
        connection.exec_driver_sql("ALTER TABLE audit_events RENAME TO kept")
        connection.exec_driver_sql("CREATE VIEW audit_events AS SELECT * FROM kept")
    for command in ("audit verify", "status", "report", "db check"):
        done = program.here(*command.split())
        assert done.returncode == 6, (command, done.stderr)
        assert "Traceback" not in done.stderr, command
        if command != "status":
            (line,) = done.stderr.splitlines()
            assert "audit_events is not the table" in line, command


@POSTGRESQL
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ALTER COLUMN id TYPE integer", "column id"),
        ("ALTER COLUMN seq TYPE numeric", "column seq"),
        ("ALTER COLUMN at TYPE timestamp", "column at"),
        ("ENABLE ROW LEVEL SECURITY", "row-level security"),
    ],
)
def test_another_table_on_postgresql_is_a_finding(
    program: Program, closed: Engine, change: str, said: str
) -> None:
    with writing(closed) as connection:
        connection.exec_driver_sql("DROP VIEW deletion_outcomes")
        connection.exec_driver_sql(f"ALTER TABLE audit_events {change}")
    with reading(closed) as connection:
        assert said in examine(connection).broken["table"]
    assert program.here("status").returncode == 6
