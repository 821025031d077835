from __future__ import annotations

import sqlite3
import stat
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from world import fetch, insert

from forge_gdpr.audit.events import Entry, EventName
from forge_gdpr.audit.record import append_main
from forge_gdpr.database import schema
from forge_gdpr.database.engine import engine_of, now, reading, writing
from forge_gdpr.database.faults import explained, shown_url
from forge_gdpr.database.tables import metadata
from forge_gdpr.errors import ConfigurationError, DatabaseError

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine


def one_event(engine: Engine) -> None:
    with writing(engine) as connection:
        append_main(connection, [Entry(event=EventName.RUN_OPENED)], at=now(connection))


def test_one_column_is_enough_to_ask_for_a_deletion(engine: Engine) -> None:
    insert(engine, {"forge_user_id": "61ab8f99251cba0014437326"})
    row = fetch(
        engine,
        "SELECT regime, status, attempts, fence, due_on, subject, received_at IS NOT NULL,"
        " created_at IS NOT NULL FROM deletion_requests",
    )
    assert [tuple(bool(v) if n > 5 else v for n, v in enumerate(r)) for r in row] == [
        ("gdpr", "pending", 0, 0, None, None, True, True)
    ]


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-23T10:00:00.500000+02:00",
        "2026-11-23T08:00:00.5Z",
        "2026-11-23 08:00:00.5+00:00",
    ],
)
def test_times_are_kept_in_utc_however_they_are_written(engine: Engine, written: str) -> None:
    insert(engine, {"forge_user_id": "a", "received_at": written, "not_before": written})
    found = fetch(engine, "SELECT received_at, not_before FROM deletion_requests")[0]
    assert {str(t).removesuffix("+00:00") for t in found} == {"2026-11-23 08:00:00.500000"}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("received_at", "soon"),
        ("received_at", "2026-02-30"),
        ("not_before", "10:00"),
        ("due_on", "2026-02-30"),
        ("due_on", "next week"),
    ],
)
def test_what_is_no_time_is_refused(engine: Engine, column: str, value: str) -> None:
    with pytest.raises(DatabaseError):
        insert(engine, {"forge_user_id": "a", column: value})
    assert fetch(engine, "SELECT count(*) FROM deletion_requests") == [0]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET actor = 'x'",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "INSERT OR REPLACE INTO audit_events SELECT * FROM audit_events",
    ],
)
def test_the_database_itself_refuses_to_change_the_record(engine: Engine, statement: str) -> None:
    one_event(engine)
    before = fetch(engine, "SELECT * FROM audit_events")
    with pytest.raises(DatabaseError), writing(engine) as connection:
        connection.exec_driver_sql(statement)
    assert fetch(engine, "SELECT * FROM audit_events") == before


def test_a_chain_cannot_fork(engine: Engine) -> None:
    one_event(engine)
    with pytest.raises(DatabaseError), writing(engine) as connection:
        connection.exec_driver_sql(
            "INSERT INTO audit_events (chain, seq, at, event, body, previous, hash)"
            " SELECT chain, 2, at, event, body, previous, hash FROM audit_events"
        )


def test_models_and_migrations_say_the_same(engine: Engine) -> None:
    with reading(engine) as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": schema.VERSION_TABLE}
        )
        assert compare_metadata(context, metadata) == []


def test_migrations_go_up_down_and_up_again(engine: Engine) -> None:
    with writing(engine) as connection:
        command.downgrade(schema._config(connection), "base")
    with reading(engine) as connection:
        assert schema.current(connection) is None or schema.current(connection) == "None"
    assert schema.upgrade(engine) is None
    one_event(engine)


def test_postgresql_says_who_recorded_an_event_but_not_of_what_is_older(engine: Engine) -> None:
    with writing(engine) as connection:
        command.downgrade(schema._config(connection), "0002")
    one_event(engine)
    assert schema.upgrade(engine) == "0002"
    one_event(engine)
    said = fetch(
        engine, "SELECT recorded_by, recorded_at IS NOT NULL FROM audit_events ORDER BY id"
    )
    nothing = (None, False)
    told = ("postgres", True) if engine.dialect.name == "postgresql" else nothing
    assert said == [nothing, told]


def older(engine: Engine) -> None:
    """Let the version table have the name that it had at first."""
    with writing(engine) as connection:
        connection.exec_driver_sql(f"ALTER TABLE {schema.VERSION_TABLE} RENAME TO alembic_version")
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(
                "ALTER TABLE alembic_version"
                " RENAME CONSTRAINT forge_gdpr_version_pkc TO alembic_version_pkc"
            )


def another_program(engine: Engine, revision: str) -> None:
    """Let another program keep its own version in Alembic's table."""
    with writing(engine) as connection:
        connection.exec_driver_sql(
            "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL,"
            " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
        )
        connection.exec_driver_sql(f"INSERT INTO alembic_version VALUES ('{revision}')")


def test_the_old_version_table_becomes_ours_alone(engine: Engine) -> None:
    older(engine)
    with reading(engine) as connection:
        schema.require_current(connection)
    assert schema.upgrade(engine) == schema.REVISION
    another_program(engine, "ab12cd34ef56")
    assert schema.upgrade(engine) == schema.REVISION
    assert fetch(engine, "SELECT version_num FROM alembic_version") == ["ab12cd34ef56"]
    assert fetch(engine, "SELECT version_num FROM forge_gdpr_version") == [schema.REVISION]


def test_a_database_of_the_first_revision_is_recognized_and_upgraded(engine: Engine) -> None:
    with writing(engine) as connection:
        command.downgrade(schema._config(connection), "0001")
    older(engine)
    assert schema.upgrade(engine) == "0001"
    with reading(engine) as connection:
        schema.require_current(connection)


@pytest.mark.parametrize("revision", ["ab12cd34ef56", "0002", "9999"])
def test_another_programs_version_is_no_confusion(engine: Engine, revision: str) -> None:
    with writing(engine) as connection:
        command.downgrade(schema._config(connection), "base")
        connection.exec_driver_sql(f"DROP TABLE {schema.VERSION_TABLE}")
    another_program(engine, revision)
    with reading(engine) as connection:
        assert schema.current(connection) is None
    assert schema.upgrade(engine) is None
    one_event(engine)
    assert fetch(engine, "SELECT version_num FROM alembic_version") == [revision]


def test_upgrading_twice_changes_nothing(engine: Engine) -> None:
    insert(engine, {"forge_user_id": "a"})
    assert schema.upgrade(engine) == schema.REVISION
    assert fetch(engine, "SELECT count(*) FROM deletion_requests") == [1]


def test_the_program_knows_the_newest_migration() -> None:
    heads = ScriptDirectory(str(schema.scripts())).get_heads()
    assert heads == [schema.REVISION]


@pytest.mark.parametrize(
    ("revision", "said"),
    [("9999", "newer than this program's"), ("0000", "run 'forge-gdpr db upgrade'")],
)
def test_another_schema_is_refused(engine: Engine, revision: str, said: str) -> None:
    with writing(engine) as connection:
        connection.exec_driver_sql(f"UPDATE forge_gdpr_version SET version_num = '{revision}'")
    with reading(engine) as connection, pytest.raises(ConfigurationError, match=said):
        schema.require_current(connection)


def test_a_newer_database_is_not_downgraded(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE forge_gdpr_version SET version_num = '9999'")
    with pytest.raises(ConfigurationError, match="install the newer forge-gdpr"):
        schema.upgrade(engine)


def test_a_reading_transaction_cannot_write(engine: Engine) -> None:
    with pytest.raises(DatabaseError, match="read"), reading(engine) as connection:
        connection.exec_driver_sql("INSERT INTO deletion_requests (forge_user_id) VALUES ('a')")
    insert(engine, {"forge_user_id": "a"})
    assert fetch(engine, "SELECT count(*) FROM deletion_requests") == [1]


def test_errors_hide_people_and_passwords(engine: Engine) -> None:
    insert(engine, {"email": "ada@example.org", "reference": "ada@example.org"})
    with pytest.raises(DatabaseError) as caught:
        insert(engine, {"email": "ada@example.org", "reference": "ada@example.org"})
    assert "ada@example.org" not in str(caught.value)


def test_a_missing_sqlite_file_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="run 'forge-gdpr db upgrade'"):
        engine_of(f"sqlite:///{tmp_path}/typo.db")
    assert list(tmp_path.iterdir()) == []


def test_a_new_sqlite_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    engine = engine_of(f"sqlite:///{path}", create=True)
    schema.upgrade(engine)
    engine.dispose()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_a_sqlite_writer_is_safe_and_takes_the_lock_at_once(migrated_sqlite: Path) -> None:
    engine = engine_of(f"sqlite:///{migrated_sqlite}")
    with writing(engine) as connection:
        full = connection.exec_driver_sql("PRAGMA synchronous").scalar_one()
        other = sqlite3.connect(migrated_sqlite, timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.close()
    engine.dispose()
    assert full == 2


@pytest.mark.parametrize(
    ("state", "advice"),
    [
        ("40P01", "transactions that waited for each other"),
        ("40001", "do a transaction again"),
        ("25P03", "stood still for too long"),
        ("53100", "make room on its server"),
        ("3F000", "set a search_path"),
        ("42P07", "another program's table"),
        ("42P01", "see its server's log"),
        ("XX000", "see its server's log"),
    ],
)
def test_what_a_server_refuses_is_followed_by_what_helps(state: str, advice: str) -> None:
    error = DBAPIError("SELECT secret", None, psycopg.errors.lookup(state)("so it is"))
    message = str(explained(make_url("postgresql://u:pw@h/d"), error, busy_s=1))
    assert message.startswith("the database postgresql://h/d ")
    assert message.endswith("run again")
    assert advice in message
    assert "db check" not in message
    assert "secret" not in message


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://localhost/x", "only sqlite and postgresql"),
        ("postgresql+asyncpg://localhost/x", "only sqlite and postgresql"),
        ("not a url", "is not a database URL"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
    ],
)
def test_a_wrong_url_is_explained_without_being_shown(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        engine_of(url)


def test_a_password_is_not_shown() -> None:
    engine = engine_of("postgresql://worker:secret@127.0.0.1:1/x")
    assert "secret" not in shown_url(engine.url)
    with pytest.raises(DatabaseError) as caught, reading(engine):
        pass
    assert "secret" not in str(caught.value)


def test_the_view_shows_closed_requests_with_the_right_types(engine: Engine) -> None:
    details: dict[str, Any] = {
        "reference": "T-1",
        "regime": "gdpr",
        "received_at": "2026-01-31T10:00:00.000000Z",
        "due_on": "2026-02-28",
        "attempts": 2,
    }
    entry = Entry(
        event=EventName.REQUEST_CLOSED,
        request_id=7,
        subject="v1:x:y",
        actor="cron",
        outcome="erased",
        http_status=200,
        details=details,
    )
    with writing(engine) as connection:
        append_main(connection, [entry], at=now(connection))
    row = fetch(
        engine,
        "SELECT request_id, reference, subject, regime, outcome, attempts, http_status, actor,"
        " on_time FROM deletion_outcomes",
    )
    late = (7, "T-1", "v1:x:y", "gdpr", "erased", 2, 200, "cron", 0)
    assert row == [late]


def test_a_failed_transaction_leaves_nothing(engine: Engine) -> None:
    with pytest.raises(DatabaseError), writing(engine) as connection:
        append_main(connection, [Entry(event=EventName.RUN_OPENED)], at=now(connection))
        raise SQLAlchemyError
    assert fetch(engine, "SELECT count(*) FROM audit_events") == [0]


@pytest.mark.parametrize("end", ["?timeout=abc", "?mode=ro", "?uri=true", "%00"])
def test_a_sqlite_url_is_a_path_and_nothing_else(tmp_path: Path, end: str) -> None:
    with pytest.raises(ConfigurationError, match="nothing behind it"):
        engine_of(f"sqlite:///{tmp_path / 'x.db'}{end}", create=True)
    assert not list(tmp_path.iterdir())


def test_a_revision_that_never_was_is_no_bug(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE forge_gdpr_version SET version_num = '000'")
    with pytest.raises(ConfigurationError, match="names the revision '000'"):
        schema.upgrade(engine)
