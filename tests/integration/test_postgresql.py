"""What is asked of PostgreSQL: timeouts, isolation, the URL's own arguments, a pooler."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest
from pooler import PROGRAM, pooled
from sqlalchemy import create_engine, event, make_url
from trouble import administer
from world import KEY, fetch, insert, make_program, night

from forge_gdpr.database import postgresql, schema
from forge_gdpr.database.engine import engine_of, parsed_url, reading, writing
from forge_gdpr.database.faults import shown_url
from forge_gdpr.errors import ConfigurationError, DatabaseError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Engine

    from forge_gdpr.sandbox import Sandbox

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

LIMITS = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")


def setting(connection: Connection, name: str) -> str:
    return str(connection.exec_driver_sql(f"SHOW {name}").scalar_one())


def with_query(database_url: str, **arguments: str) -> str:
    return make_url(database_url).update_query_dict(arguments).render_as_string()


@pytest.mark.parametrize("style", ["German", "SQL, DMY", "Postgres, MDY"])
def test_the_servers_style_of_dates_plays_no_part(
    database_url: str, engine: Engine, sandbox: Sandbox, style: str
) -> None:
    name = engine.url.database
    insert(engine, {"forge_user_id": sandbox.users[0].id})
    administer(engine, f"ALTER DATABASE {name} SET DateStyle = '{style}'")
    fresh = engine_of(database_url)
    assert night(fresh, sandbox.url).exit_code == ExitCode.OK
    assert fetch(fresh, "SELECT status FROM deletion_requests") == ["done"]
    fresh.dispose()


@pytest.fixture
def hurried(engine: Engine) -> Engine:
    """The engine, with a patience of a moment for each wait."""

    def hurry(connection: Connection) -> None:
        connection.exec_driver_sql("SET LOCAL lock_timeout = '100ms'")
        connection.exec_driver_sql("SET LOCAL statement_timeout = '300ms'")

    event.listen(engine, "begin", hurry)
    return engine


def test_each_transaction_has_its_limits(engine: Engine) -> None:
    with writing(engine) as connection:
        assert [setting(connection, name) for name in LIMITS] == ["30s", "2min", "1min"]
        assert setting(connection, "timezone") == "UTC"
        assert setting(connection, "transaction_isolation") == "read committed"
        assert setting(connection, "application_name") == "forge-gdpr"
    with reading(engine) as connection:
        assert [setting(connection, name) for name in LIMITS] == ["30s", "10min", "1h"]
        assert setting(connection, "transaction_isolation") == "repeatable read"
        assert setting(connection, "transaction_read_only") == "on"
    with writing(engine) as connection:
        assert setting(connection, "transaction_read_only") == "off"


def test_a_dead_server_is_noticed_within_a_minute(database_url: str) -> None:
    asked = postgresql.connect_args(parsed_url(database_url))
    silence_s = asked["keepalives_idle"] + asked["keepalives_interval"] * asked["keepalives_count"]
    assert (asked["keepalives"], silence_s) == (1, 60)
    assert asked["tcp_user_timeout"] == 60_000


def test_the_servers_default_isolation_plays_no_part(database_url: str, engine: Engine) -> None:
    name = make_url(database_url).database
    administer(engine, f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    with writing(engine) as connection:
        assert setting(connection, "default_transaction_isolation") == "serializable"
        assert setting(connection, "transaction_isolation") == "read committed"


def test_a_server_that_only_reads_is_respected(database_url: str, engine: Engine) -> None:
    name = make_url(database_url).database
    administer(engine, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    assert fetch(engine, "SELECT count(*) FROM deletion_requests") == [0]
    with pytest.raises(DatabaseError, match=r"only reads, .*connect to the primary"):
        insert(engine, {"forge_user_id": "a"})


@pytest.fixture
def forgotten_lock(database_url: str) -> Iterator[int]:
    """Somebody's session that took a lock and was left alone; its process id."""
    other = create_engine(database_url)
    with other.connect() as connection:
        connection.exec_driver_sql("LOCK TABLE deletion_requests")
        yield connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        connection.rollback()
    other.dispose()


def test_a_forgotten_lock_ends_the_wait_and_says_how_to_find_it(
    hurried: Engine, forgotten_lock: int
) -> None:
    with pytest.raises(DatabaseError, match="another session's lock") as caught:
        fetch(hurried, "SELECT count(*) FROM deletion_requests")
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith("then run again")
    assert "pg_terminate_backend" in message
    query = message.partition('psql, "')[2].partition('", end')[0].replace("%", "%%")
    with reading(hurried) as connection:
        rows = connection.exec_driver_sql(query).all()
    assert forgotten_lock in [row.pid for row in rows]


@pytest.mark.usefixtures("forgotten_lock")
def test_the_night_does_not_hang_at_a_forgotten_lock(
    database_url: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    program = make_program(
        tmp_path,
        FORGE_GDPR_DATABASE_URL=with_query(database_url, options="-c lock_timeout=100ms"),
        FORGE_GDPR_BASE_URL=sandbox.url,
        FORGE_GDPR_API_KEY=KEY,
        FORGE_GDPR_DATABASE_PATIENCE_S="0.5",
    )
    done = program.here("run")
    assert (done.returncode, done.stdout) == (ExitCode.DATABASE, "")
    waited, error = done.stderr.splitlines()
    assert '"event": "database.away"' in waited
    assert "pg_terminate_backend" in error


def test_a_statement_that_takes_too_long_is_ended(hurried: Engine) -> None:
    with pytest.raises(DatabaseError, match="took too long over one statement"):
        fetch(hurried, "SELECT pg_sleep(5)")


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        ({"options": "-c statement_timeout=7s"}, "statement_timeout", "7s"),
        ({"options": "-cstatement_timeout=7s -c lock_timeout=8s"}, "lock_timeout", "8s"),
        ({"options": "--statement-timeout=7s"}, "statement_timeout", "7s"),
        ({"options": "-c statement_timeout=7s"}, "lock_timeout", "30s"),
        ({"options": "-c search_path=gdpr"}, "search_path", "gdpr"),
        ({"search_path": "gdpr, public"}, "search_path", "gdpr, public"),
        ({"application_name": "night"}, "application_name", "night"),
        ({"connect_timeout": "3"}, "application_name", "forge-gdpr"),
    ],
)
def test_the_urls_own_arguments_are_kept(
    database_url: str, arguments: dict[str, str], name: str, value: str
) -> None:
    engine = engine_of(with_query(database_url, **arguments))
    with writing(engine) as connection:
        assert setting(connection, name) == value
    with reading(engine) as connection:
        assert setting(connection, name) == value
    engine.dispose()


def test_connection_arguments_of_the_url_come_first(database_url: str) -> None:
    url = parsed_url(with_query(database_url, connect_timeout="3", keepalives_idle="5"))
    assert {"connect_timeout", "keepalives_idle"}.isdisjoint(postgresql.connect_args(url))


@pytest.mark.parametrize(
    ("text", "threshold"), [("5", 5), ("0", 0), ("none", None), ("None", None), ("", None)]
)
def test_statements_are_prepared_only_if_the_url_says_so(
    database_url: str, text: str, threshold: int | None
) -> None:
    given = {"prepare_threshold": text} if text else {}
    engine = engine_of(with_query(database_url, **given))
    with writing(engine) as connection:
        raw: Any = connection.connection.dbapi_connection
        assert raw.prepare_threshold == threshold
    engine.dispose()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_usual_scheme_is_taken(database_url: str, scheme: str) -> None:
    engine = engine_of(f"{scheme}:{database_url.partition(':')[2]}")
    assert fetch(engine, "SELECT count(*) FROM deletion_requests") == [0]
    engine.dispose()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("aplication_name=x", "'aplication_name'"),
        ("autocommit=true", "'autocommit'"),
        ("connect_timeout=soon", "connect_timeout"),
        ("prepare_threshold=often", "prepare_threshold"),
        ("search_path=a';", "search_path"),
        ("application_name=a&application_name=b", "twice"),
        ("options=-c%20x='", "quotation marks"),
        ("options=-c%20lock_timeot=5", "lock_timeot"),
        ("options=-c%20lock_timeout=soon", "lock_timeout"),
        ("sslmode=perhaps", "sslmode"),
        ("target_session_attrs=best", "target_session_attrs"),
        ("client_encoding=klingon", "client_encoding"),
    ],
)
def test_a_wrong_argument_is_a_wrong_setting(database_url: str, query: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        fetch(engine_of(f"{database_url}&{query}"), "SELECT 1")
    message = str(caught.value)
    assert message.startswith("FORGE_GDPR_DATABASE_URL has ")
    assert said in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:secret@db:5433/x?application_name=a", "postgresql://db:5433/x"),
        ("postgresql://u@db/x?password=secret", "postgresql://db/x"),
        ("postgresql://u@/x?host=a&host=b", "postgresql:///x?host=a&host=b"),
        ("postgresql:///x", "postgresql:///x"),
    ],
)
@pytest.mark.usefixtures("database_url")
def test_of_a_url_only_host_port_and_name_are_shown(url: str, shown: str) -> None:
    assert shown_url(parsed_url(url)) == shown


def test_another_encoding_is_refused_before_anything_is_made(
    database_url: str, engine: Engine
) -> None:
    name = f"latin_{secrets.token_hex(4)}"
    administer(engine, f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    latin = engine_of(make_url(database_url).set(database=name).render_as_string())
    with pytest.raises(ConfigurationError, match=r"encoding LATIN1.*createdb --encoding=UTF8"):
        schema.upgrade(latin)
    assert fetch(latin, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [0]
    latin.dispose()
    administer(engine, f"DROP DATABASE {name}")


@pytest.fixture
def pooled_url(database_url: str) -> Iterator[str]:
    if PROGRAM is None:
        pytest.skip("there is no PgBouncer: apt-get install pgbouncer")
    with pooled(database_url) as url:
        yield url


def test_a_night_goes_through_a_pooler_in_transaction_mode(
    pooled_url: str, engine: Engine, sandbox: Sandbox
) -> None:
    insert(engine, *({"forge_user_id": user.id} for user in sandbox.users))
    through = engine_of(f"{pooled_url}?search_path=public")
    crowd = [engine_of(pooled_url) for _ in range(4)]  # more clients than sessions
    try:
        for _ in range(6):
            for other in (*crowd, through):
                assert fetch(other, "SELECT count(*) FROM deletion_requests") == [30]
        with writing(through) as connection:
            assert setting(connection, "statement_timeout") == "2min"
        assert night(through, sandbox.url).exit_code == ExitCode.OK
        assert schema.upgrade(through) == schema.REVISION
    finally:
        for other in (*crowd, through):
            other.dispose()
    assert fetch(engine, "SELECT DISTINCT status FROM deletion_requests") == ["done"]


def test_options_that_a_pooler_does_not_take_are_a_wrong_setting(pooled_url: str) -> None:
    with pytest.raises(ConfigurationError, match="PgBouncer takes no options"):
        fetch(engine_of(f"{pooled_url}?options=-c%20lock_timeout=5s"), "SELECT 1")
