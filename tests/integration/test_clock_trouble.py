"""Clocks that step: the database's is obeyed, the worker's plays no part, nobody is lost."""

from __future__ import annotations

import ast
import secrets
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from sqlalchemy import event, func, select
from trouble import ORDER, PEOPLE, USERS, administer, all_done_once, called, slow_forge
from world import AT_ONCE, KEY, SUBJECT_KEY, insert, night

import forge_gdpr
from forge_gdpr.audit.verify import verify
from forge_gdpr.database.engine import now as database_now
from forge_gdpr.database.engine import reading
from forge_gdpr.database.tables import audit_events, deletion_requests
from forge_gdpr.errors import DatabaseError
from forge_gdpr.forge.client import ForgeClient
from forge_gdpr.forge.erasure import Eraser, Steps
from forge_gdpr.forge.gate import Gate, Pace
from forge_gdpr.forge.transport import Endpoint
from forge_gdpr.lifecycle import Outcome
from forge_gdpr.run.nightly import Order, Stop, Surroundings, run
from forge_gdpr.run.opening import Limits
from forge_gdpr.sandbox import Fault, FaultKind, Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

    from forge_gdpr.run.summary import Summary

DAY: Final = timedelta(days=1)
OLD: Final = "2026-01-31 10:00:00"
WALL_CLOCKS: Final = {
    *(("datetime", name) for name in ("now", "utcnow", "today")),
    *(("time", name) for name in ("time", "time_ns", "localtime", "gmtime", "clock_gettime")),
    ("date", "today"),
}


@pytest.fixture
def forge() -> Iterator[Sandbox]:
    with slow_forge() as started:
        yield started


@contextmanager
def stepping(engine: Engine) -> Iterator[Callable[[timedelta], None]]:
    """A database whose clock can be put forward and back."""
    step = [timedelta()]
    database = engine.url.database

    def strftime(form: str, moment: str) -> str:
        assert moment == "now"
        now = datetime.now(UTC) + step[0]
        return now.strftime(form.replace("%f", "%S.") + f"{now.microsecond // 1000:03}")

    def replace(connection: Any, _record: object) -> None:
        connection.create_function("strftime", 2, strftime)

    def put(by: timedelta) -> None:
        step[0] = by
        if engine.dialect.name == "postgresql":
            administer(
                engine,
                "CREATE OR REPLACE FUNCTION stepped.clock_timestamp() RETURNS timestamptz"
                " LANGUAGE sql AS $$ SELECT pg_catalog.clock_timestamp()"
                f" + interval '{by.total_seconds()} s' $$",
                database=database,
            )

    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", replace)
    else:
        administer(engine, "CREATE SCHEMA stepped", database=database)
        search_path = "stepped, pg_catalog, public"
        administer(engine, f"ALTER DATABASE {database} SET search_path = {search_path}")
    put(timedelta())
    engine.dispose()
    yield put


@pytest.mark.parametrize("step", [-DAY, DAY], ids=["back", "forward"])
def test_a_database_clock_that_is_a_day_off_loses_nobody(
    engine: Engine, sandbox: Sandbox, step: timedelta
) -> None:
    insert(engine, *({"forge_user_id": user.id, "received_at": OLD} for user in USERS[:9]))
    insert(engine, {"forge_user_id": USERS[9].id})
    sandbox.script(
        Fault(kind=FaultKind.STATUS, status=503, user_id=USERS[0].id, count=None),
        Fault(kind=FaultKind.STATUS, status=202, user_id=USERS[1].id, count=None),
    )
    with stepping(engine) as put:
        put(step)
        summary = night(engine, sandbox.url, order={"batch": 2})
        assert abs(summary.opened_at - datetime.now(UTC) - step) < timedelta(minutes=1)
        received = int(step > timedelta())  # by a slow clock the last one lies in the future
        assert summary.outcomes == {
            Outcome.ERASED: 7 + received,
            Outcome.TRANSIENT: 1,
            Outcome.ACCEPTED: 1,
        }
        assert summary.calls == 7 + received + AT_ONCE.tries + 1  # nobody again and again
        sandbox.clear()
        for days in (0, 1, 2):  # what a fast clock put off waits until the right one is there
            put(days * DAY)
            night(engine, sandbox.url)
    all_done_once(engine)
    assert len(called(sandbox)) == 10 + AT_ONCE.tries + 1


@pytest.mark.parametrize("step", [-DAY, DAY], ids=["back", "forward"])
def test_a_database_clock_that_steps_in_mid_run_changes_nothing(
    engine: Engine, forge: Sandbox, step: timedelta
) -> None:
    insert(engine, *({"forge_user_id": user.id, "received_at": OLD} for user in USERS))
    steps: list[int] = []

    def progress(done: int, _due: int) -> None:
        if done and not steps:
            steps.append(done)
            put(step)

    with stepping(engine) as put:
        summary = night(engine, forge.url, progress=progress, order=ORDER | {"lease_s": 10.0})
        assert summary.outcomes == {Outcome.ERASED: PEOPLE}
        assert 0 < steps[0] < PEOPLE
        all_done_once(engine)
    assert len(called(forge)) == PEOPLE


def test_a_run_whose_lease_a_clock_has_jumped_over_gives_way(
    engine: Engine, forge: Sandbox
) -> None:
    """The next night takes over while it is still at work, with answers that it can't write."""
    insert(engine, *({"forge_user_id": user.id, "received_at": OLD} for user in USERS))
    second: list[Summary] = []

    def progress(done: int, _due: int) -> None:
        if done and not second:
            put(DAY)
            forge.clear()
            second.append(night(engine, forge.url))

    with stepping(engine) as put:
        with pytest.raises(DatabaseError, match="took this one for dead"):
            night(engine, forge.url, progress=progress, order=ORDER)
        all_done_once(engine)
    assert 0 < second[0].recovered <= second[0].claimed < PEOPLE


@pytest.mark.parametrize("step", [-DAY, DAY], ids=["back", "forward"])
def test_the_wall_clock_of_the_worker_plays_no_part(
    engine: Engine, sandbox: Sandbox, step: timedelta
) -> None:
    insert(engine, *({"forge_user_id": user.id} for user in USERS[:20]))
    sandbox.script(Fault(kind=FaultKind.STATUS, status=503, user_id=USERS[3].id, count=None))
    wall = [datetime.now(UTC)]

    def read_wall_clock() -> datetime:
        wall.append(wall[-1] + step)
        return wall[-1]

    with ForgeClient(
        Endpoint(base_url=sandbox.url, api_key=KEY),
        gate=Gate(Pace(), monotonic=time.monotonic),
        policy=AT_ONCE,
        monotonic=time.monotonic,
        now=read_wall_clock,
        draw=lambda: 0.0,
    ) as client:
        order = Order(
            actor="tester",
            version="0",
            subject_key=SUBJECT_KEY,
            limits=Limits(max_due=1000, cool_off_days=0),
        )
        around = Surroundings(
            engine=engine,
            eraser=Eraser(client, Steps()),
            gate=client.gate,
            stop=Stop(),
            monotonic=time.monotonic,
            random=secrets.token_bytes,
        )
        summary = run(order, around)
    assert summary.outcomes == {Outcome.ERASED: 19, Outcome.TRANSIENT: 1}
    with reading(engine) as connection:
        verify(connection)
        now = database_now(connection)
        first, last = connection.execute(
            select(func.min(audit_events.c.at), func.max(audit_events.c.at))
        ).one()
        again = connection.execute(
            select(deletion_requests.c.next_attempt_at).where(
                deletion_requests.c.status == "pending"
            )
        ).scalar_one()
    assert again is not None
    assert timedelta() <= last - first < timedelta(minutes=1)
    assert now - timedelta(minutes=1) < first
    assert timedelta(minutes=14) < again - now < timedelta(minutes=16)


@pytest.mark.parametrize("room", ["run", "queue", "audit", "database", "forge"])
def test_no_room_of_the_run_reads_a_wall_clock(room: str) -> None:
    found = [
        f"{path.name}:{node.lineno}"
        for path in (Path(forge_gdpr.__file__).parent / room).glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in WALL_CLOCKS
    ]
    assert found == []
