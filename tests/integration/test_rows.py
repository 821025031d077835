"""One row stops nobody: whatever stands in any column, the others are erased that night."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

import psycopg
import pytest
from alembic import command
from roles import login_url
from world import KEY, Program, fetch, make_program

from forge_gdpr.audit.verify import verify
from forge_gdpr.database import schema
from forge_gdpr.database.engine import reading, writing
from forge_gdpr.database.tables import deletion_requests
from forge_gdpr.errors import DatabaseError
from forge_gdpr.sandbox import Sandbox, generated_user

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from sqlalchemy import Engine

#: What may stand in any column, as SQL writes it.
ANYWHERE: Final[dict[str, str]] = {
    "nothing": "''",
    "blank": "' '",
    "braces": "'{x}'",
    "percent": "'%(x)s %s'",
    "a word": "'null'",
    "a date": "'2026-01-01'",
    "a day too many": "'2026-02-30 00:00:00.000000'",
    "24:00": "'2026-01-01 24:00:00.000000'",
    "year 0": "'0000-01-01 00:00:00.000000'",
    "year 9999": "'9999-12-31 23:59:59.999999'",
    "year 10000": "'10000-01-01 00:00:00.000000'",
    "never": "'infinity'",
    "zero": "0",
    "minus one": "-1",
    "the largest int": "2147483647",
    "the largest bigint": "9223372036854775807",
    "a fraction": "1e300",
}
SQLITE: Final = ANYWHERE | {
    "bytes": "x'00ff'",
    "Latin-1": "CAST(x'6dfc6c6c6572' AS TEXT)",
    "NUL": "CAST(x'61006200fc' AS TEXT)",
    "a surrogate": "CAST(x'eda080' AS TEXT)",
    "a time and more": "CAST(x'323032362d30312d30312030303a30303a303000616263646566' AS TEXT)",
    "huge": "hex(zeroblob(100000))",
}
POSTGRESQL: Final = ANYWHERE | {
    "long ago": "'-infinity'",
    "BC": "'2026-01-01 BC'",
    "the last year": "'294276-01-01'",
    "after Python's years": "'10000-01-01'",
    "huge": "repeat('x', 300)",
}
VALUES: Final = {"sqlite": SQLITE, "postgresql": POSTGRESQL}

STATUSES: Final = "SELECT id, status, status_reason FROM deletion_requests ORDER BY id"
#: What can't be read, by column; of the columns that are not here, no run reads anything.
TEXTS: Final = ("forge_user_id", "email", "reference", "regime", "status", "status_reason")
NO_TEXTS: Final = {"bytes", "Latin-1", "NUL", "a surrogate"}
NO_PYTHON_TIMES: Final = {name for name in POSTGRESQL if name not in SQLITE} | {
    "never",
    "year 10000",
}
READABLE: Final[Mapping[str, set[str]]] = {
    "received_at": {"a date", "a time and more"},  # a trigger writes them as times
    "not_before": {"a date", "a time and more"},
    "due_on": {"a date"},
    "alarm_on": {"a date"},
    "next_attempt_at": {"year 9999"},
    "attempts": {"zero", "huge"},  # many zeros are zero
    "fence": {"zero", "huge"},
    "subject": set(),
}
GOOD: Final = [generated_user(number) for number in range(3)]


def store(database_url: str, row: Mapping[str, str]) -> bool:
    """Insert a row as any client does; False: the database refuses it."""
    columns, values = ", ".join(row), ", ".join(row.values())
    statement = f"INSERT INTO deletion_requests ({columns}) VALUES ({values})"
    try:
        if not database_url.startswith("sqlite"):
            with psycopg.connect(database_url.replace("+psycopg", "")) as server:
                server.execute(statement.encode())
            return True
        with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"))) as file, file:
            file.execute(statement)
    except (psycopg.Error, sqlite3.Error):
        return False
    return True


def without_door(engine: Engine, *statements: str) -> None:
    """Execute statements in a database from before it refused what can't be read."""
    with writing(engine) as connection:
        command.downgrade(schema._config(connection), "0003")
        for statement in statements:
            connection.exec_driver_sql(statement)
    assert schema.upgrade(engine) == "0003"


def add_offenders(engine: Engine, database_url: str, column: str) -> dict[int, str]:
    """Store all that a column takes, from before the database refused any; ids and names.

    There are good requests on both sides, by id and by e-mail.
    """
    with writing(engine) as connection:
        command.downgrade(schema._config(connection), "0003")
    assert store(database_url, {"id": "50", "forge_user_id": f"'{GOOD[0].id}'"})
    assert store(database_url, {"id": "51", "email": f"'{GOOD[1].email}'"})
    offenders = {}
    for number, (name, value) in enumerate(VALUES[engine.dialect.name].items(), start=100):
        user = generated_user(number - 100 + len(GOOD))
        row = {"id": str(number), "forge_user_id": f"'{user.id}'", "reference": f"'T-{number}'"}
        if store(database_url, row | {column: value}):
            offenders[number if column != "id" else int(value.strip("'"))] = name
    assert store(database_url, {"id": "1000", "forge_user_id": f"'{GOOD[2].id}'"})
    schema.upgrade(engine)
    return offenders


def expected_unreadable(dialect: str, column: str) -> set[str]:
    if column in (*TEXTS, "approved_by"):
        return NO_TEXTS
    if column not in READABLE:
        return set()
    is_time = column.endswith(("_at", "_on", "_before"))
    if dialect == "postgresql" and is_time:
        return NO_PYTHON_TIMES
    return {*SQLITE, *POSTGRESQL} - READABLE[column]


@pytest.mark.parametrize("column", deletion_requests.c.keys())
def test_a_row_stops_nobody(
    engine: Engine, database_url: str, program: Program, sandbox: Sandbox, column: str
) -> None:
    offenders = add_offenders(engine, database_url, column)

    def ask(*words: str, codes: Collection[int] = (0,)) -> str:
        result = program.here(*words)
        assert result.returncode in codes, (words, offenders, result)
        assert "Traceback" not in result.stderr
        return result.stdout

    def see_all(numbers: Iterable[int]) -> None:
        rows = json.loads(ask("requests", "list", "--limit", "0", "--output", "json"))
        assert len(rows) == len(offenders) + len(GOOD)
        ask("requests", "list")
        ask("requests", "list", "--output", "csv")
        for number in numbers:
            ask("requests", "show", str(number))
            ask("requests", "explain", str(number))
        ask("status", codes=(0, 9, 10, 11))
        ask("doctor")
        ask("audit", "verify")
        ask("audit", "retention", "--dry-run")
        ask("report")

    named = [number for number in offenders if number > 0]
    see_all(named)
    ask("run", "--dry-run")
    ask("run", "--dry-run", "--check")
    ask("run", "--dry-run", "--plan", "plan.json")
    for number in named[::4]:
        hold = program.here("requests", "hold", str(number), "--reason", "dispute")
        assert hold.returncode in {0, 2}, hold
        if hold.returncode == 0:
            ask("requests", "release", str(number))
    night = json.loads(ask("run", "--output", "json", codes=(0, 10, 11)))
    became = {row[0]: row[1:] for row in fetch(engine, STATUSES)}
    unreadable = {name for number, name in offenders.items() if became[number][1] == "unreadable"}
    assert unreadable == expected_unreadable(engine.dialect.name, column) & {*offenders.values()}
    assert not {user.id for user in GOOD} & {user.id for user in sandbox.users}
    assert [became[number][0] for number in (50, 51, 1000)] == ["done"] * 3
    reviews = [number for number, (status, _) in became.items() if status == "review"]
    if reviews:
        assert night["exit_code"] in {10, 11}
    see_all(reviews[:2])
    for number in reviews[:4]:
        if number > 0:
            ask("requests", "retry", str(number), codes=(0, 2))
            ask("requests", "cancel", str(number), "--reason", "mistake", "--yes")
    ask("requests", "list")
    ask("audit", "retention")
    with reading(engine) as connection:
        assert not verify(connection).broken


def test_a_row_stops_nobody_with_the_least_roles(
    roled_url: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    with psycopg.connect(roled_url.replace("+psycopg", "")) as owner:
        drop = "ALTER TABLE deletion_requests DROP CONSTRAINT ck_deletion_requests"
        owner.execute(f"{drop}_not_before_is_a_time".encode())
        owner.execute(f"{drop}_next_attempt_at_is_a_time".encode())
        owner.execute("INSERT INTO deletion_requests (forge_user_id) VALUES (%s)", [GOOD[0].id])
        owner.execute(
            "INSERT INTO deletion_requests (forge_user_id, not_before, next_attempt_at)"
            " VALUES (%s, 'infinity', '-infinity')",
            [GOOD[1].id],
        )
        owner.execute("INSERT INTO deletion_requests (forge_user_id) VALUES (%s)", [GOOD[2].id])

    def program(role: str) -> Program:
        return make_program(
            tmp_path,
            FORGE_GDPR_DATABASE_URL=login_url(roled_url, role),
            FORGE_GDPR_BASE_URL=sandbox.url,
            FORGE_GDPR_API_KEY=KEY,
            FORGE_GDPR_RATE="0",
        )

    worker, auditor = program("worker"), program("auditor")
    for words in (["run", "--dry-run"], ["status"], ["report"], ["audit", "verify"]):
        result = auditor.here(*words)
        assert result.returncode in {0, 9, 10}, (words, result)
    assert worker.here("run").returncode == 10
    assert {user.id for user in GOOD} & {user.id for user in sandbox.users} == {GOOD[1].id}
    shown = worker.here("requests", "explain", "2")
    assert "correct not_before and next_attempt_at, then" in shown.stdout
    assert worker.here("requests", "cancel", "2", "--reason", "mistake", "--yes").returncode == 0
    for words in (["run", "--dry-run"], ["status"], ["report"], ["audit", "verify"]):
        result = auditor.here(*words)
        assert result.returncode == 0, (words, result)


def test_a_row_that_is_corrected_is_done(
    engine: Engine, database_url: str, program: Program
) -> None:
    offenders = add_offenders(engine, database_url, "next_attempt_at")
    assert program.here("run").returncode in {10, 11}
    number = next(n for n, name in offenders.items() if name in {"never", "year 10000"})
    refused = program.here("requests", "retry", str(number))
    assert refused.returncode == 2
    assert "can't be read: correct next_attempt_at in its row first" in refused.stderr
    with writing(engine) as connection:
        connection.exec_driver_sql(
            f"UPDATE deletion_requests SET next_attempt_at = NULL WHERE id = {number}"
        )
    assert program.here("requests", "retry", str(number)).returncode == 0
    assert program.here("run").returncode in {0, 10, 11}
    assert fetch(engine, f"SELECT status FROM deletion_requests WHERE id = {number}") == ["done"]


def test_a_row_that_became_unreadable_after_it_was_seen_goes_to_review(
    engine: Engine, program: Program
) -> None:
    """Also one whose run died: neither counts as a crash, nor waits for a lease without end."""
    never = "'infinity'" if engine.dialect.name == "postgresql" else "x'00'"
    with writing(engine) as connection:
        for user in GOOD:
            connection.exec_driver_sql(
                f"INSERT INTO deletion_requests (forge_user_id, not_before)"
                f" VALUES ('{user.id}', '2090-01-01')"
            )
    assert program.here("run").returncode == 11  # it sees them, and leaves them alone
    change = "UPDATE deletion_requests SET"
    without_door(
        engine,
        f"{change} not_before = NULL, status = 'running', claim_expires_at = {never} WHERE id = 1",
        f"{change} next_attempt_at = {never}, status = 'running' WHERE id = 2",
        f"{change} not_before = NULL, status = 'whatever' WHERE id = 3",
    )
    summary = json.loads(program.here("run", "--output", "json").stdout)
    assert (summary["set_aside"], summary["exit_code"]) == (2, 11)
    assert fetch(engine, STATUSES) == [
        (1, "done", None),
        (2, "review", "unreadable"),
        (3, "review", "unknown_status"),
    ]
    events = "SELECT count(*) FROM audit_events WHERE event = 'request.admitted'"
    assert fetch(engine, events) == [5]


def test_a_held_row_that_no_run_can_read_stays_on_hold(engine: Engine, program: Program) -> None:
    never = "'infinity'" if engine.dialect.name == "postgresql" else "x'00'"
    without_door(
        engine,
        "INSERT INTO deletion_requests (forge_user_id, status, next_attempt_at)"
        f" VALUES ('{GOOD[0].id}', 'held', {never})",
    )
    assert program.here("run").returncode == 0
    assert fetch(engine, STATUSES) == [(1, "held", None)]
    refused = program.here("requests", "release", "1")
    assert (refused.returncode, "correct next_attempt_at" in refused.stderr) == (2, True)
    assert program.here("requests", "cancel", "1", "--reason", "mistake", "--yes").returncode == 0


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("not_before", "'infinity'"),
        ("received_at", "'-infinity'"),
        ("received_at", "'2026-01-01 24:00:00.000001'"),
        ("not_before", "'0000-01-01 00:00:00.000000'"),
        ("not_before", "'0000-01-01 00:00'"),
        ("next_attempt_at", "'infinity'"),
        ("next_attempt_at", "''"),
        ("due_on", "'infinity'"),
        ("alarm_on", "'infinity'"),
        ("attempts", "-1"),
        ("attempts", "3000000000"),
        ("fence", "'many'"),
        ("forge_user_id", "x'00ff'"),
        ("email", "x'00ff'"),
        ("reference", "x'00ff'"),
        ("regime", "x'00ff'"),
        ("status", "x'00ff'"),
        ("status_reason", "x'00ff'"),
        ("approved_by", "x'00ff'"),
    ],
)
def test_the_database_refuses_at_the_door_what_no_run_can_read(
    engine: Engine, database_url: str, column: str, value: str
) -> None:
    if engine.dialect.name == "postgresql" and value == "x'00ff'":
        value = "'\\x00'::bytea"  # PostgreSQL itself takes no bytes for text
        value = f"convert_from({value}, 'UTF8')"
    row = {"forge_user_id": "'a'", "regime": "'gdpr'"}
    assert store(database_url, row)
    assert not store(database_url, row | {column: value})
    with pytest.raises(DatabaseError), writing(engine) as connection:
        connection.exec_driver_sql(f"UPDATE deletion_requests SET {column} = {value}")
    assert fetch(engine, "SELECT count(*) FROM deletion_requests") == [1]


def test_an_upgrade_leaves_rows_that_no_run_can_read_as_they_are(
    engine: Engine, database_url: str
) -> None:
    offenders = add_offenders(engine, database_url, "attempts")
    number = next(number for number, name in offenders.items() if name == "minus one")
    assert fetch(engine, f"SELECT attempts FROM deletion_requests WHERE id = {number}") == [-1]
    assert store(database_url, {"forge_user_id": f"'{GOOD[0].id}'"})
