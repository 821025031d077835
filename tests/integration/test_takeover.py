"""A run that begins while another run's lease still holds."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs
from trouble import ORDER, PEOPLE, SHOWN, USERS, all_done_once, called, slow_forge
from world import KEY, fetch, insert, make_program, night

from forge_gdpr.cli import wiring
from forge_gdpr.database.engine import writing
from forge_gdpr.errors import ExitCode
from forge_gdpr.run.nightly import Stop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

    from forge_gdpr.sandbox import Sandbox

OTHER = "00000000-0000-7000-8000-000000000000"


@pytest.fixture
def forge() -> Iterator[Sandbox]:
    with slow_forge() as started:
        yield started


def test_what_a_killed_run_left_is_taken_over_when_its_lease_is_over(
    database_url: str, engine: Engine, forge: Sandbox, tmp_path: Path
) -> None:
    insert(engine, *({"forge_user_id": user.id} for user in USERS))
    program = make_program(
        tmp_path,
        FORGE_GDPR_DATABASE_URL=database_url,
        FORGE_GDPR_BASE_URL=forge.url,
        FORGE_GDPR_API_KEY=KEY,
        FORGE_GDPR_LEASE_S="3",
        FORGE_GDPR_TOTAL_TIMEOUT_S="1",
        FORGE_GDPR_CANARY="0",
    )
    killed = program.start("run")
    while not called(forge) and killed.poll() is None:
        time.sleep(0.01)
    killed.kill()
    killed.communicate()
    forge.clear()
    stranded = fetch(engine, "SELECT count(*) FROM deletion_requests WHERE status = 'running'")
    assert stranded[0] > 0
    with capture_logs() as logs:
        summary = night(engine, forge.url, order=SHOWN | {"lease_s": 60.0})
    assert "lease.awaited" in [entry["event"] for entry in logs]
    assert (summary.exit_code, summary.due, summary.left) == (ExitCode.OK, PEOPLE, 0)
    assert summary.recovered == stranded[0]
    all_done_once(engine)


def another_run_holds(engine: Engine, request_ids: list[int]) -> None:
    """Let another run hold requests, under a lease that ends in a hundred seconds."""
    end = {
        "sqlite": "strftime('%Y-%m-%d %H:%M:%f000', 'now', '+100 seconds')",
        "postgresql": "now() + interval '100 seconds'",
    }[engine.dialect.name]
    ids = ", ".join(map(str, request_ids))
    with writing(engine) as connection:
        connection.exec_driver_sql(
            f"INSERT INTO runs (id, opened_at, lease_expires_at) VALUES ('{OTHER}',"
            f" '2026-01-01 00:00:00.000000', {end})"
        )
        connection.exec_driver_sql(
            f"UPDATE deletion_requests SET status = 'running', claimed_by = '{OTHER}',"
            f" claim_expires_at = {end}, fence = 1, subject = 'v1:x:y', due_on = '2099-02-01'"
            f" WHERE id IN ({ids})"
        )


def renewal(engine: Engine) -> None:
    later = {"sqlite": "'2099-01-01 00:00:00.000000'", "postgresql": "'2099-01-01'"}
    with writing(engine) as connection:
        connection.exec_driver_sql(
            f"UPDATE runs SET lease_expires_at = {later[engine.dialect.name]} WHERE id = '{OTHER}'"
        )


def test_a_run_that_lives_is_not_waited_for_and_keeps_what_it_holds(
    engine: Engine, sandbox: Sandbox
) -> None:
    held, free = insert(engine, *({"forge_user_id": user.id} for user in sandbox.users[:2]))
    another_run_holds(engine, [held])
    looks: list[int] = []

    def progress(_done: int, _due: int) -> None:
        looks.append(1)
        if len(looks) == 1:
            renewal(engine)

    summary = night(engine, sandbox.url, progress=progress)
    assert (summary.exit_code, summary.recovered, summary.elapsed_s < 10) == (0, 0, True)
    statuses: list[Any] = fetch(engine, "SELECT id, status FROM deletion_requests ORDER BY id")
    assert statuses == [(held, "running"), (free, "done")]


def test_a_run_that_holds_nothing_is_not_waited_for(engine: Engine, sandbox: Sandbox) -> None:
    insert(engine, {"forge_user_id": sandbox.users[0].id})
    another_run_holds(engine, [0])
    with capture_logs() as logs:
        assert night(engine, sandbox.url).exit_code == ExitCode.OK
    assert "lease.awaited" not in [entry["event"] for entry in logs]


def test_a_signal_ends_the_wait(engine: Engine, sandbox: Sandbox) -> None:
    held = insert(engine, {"forge_user_id": sandbox.users[0].id})
    another_run_holds(engine, held)
    stop = Stop()

    def progress(_done: int, _due: int) -> None:
        stop.signal = signal.SIGTERM

    summary = night(engine, sandbox.url, progress=progress, stop=stop)
    assert summary.exit_code == 128 + signal.SIGTERM
    assert fetch(engine, "SELECT status FROM deletion_requests") == ["running"]


def test_nobody_is_called_for_while_the_run_stands_still_beyond_its_lease(
    engine: Engine, forge: Sandbox
) -> None:
    """The main thread hangs; the workers have jobs, and the lease runs out."""
    insert(engine, *({"forge_user_id": user.id} for user in USERS))
    lease_s = 0.6
    stood: list[tuple[int, int]] = []

    def progress(done: int, _due: int) -> None:
        if done and not stood:
            time.sleep(1.5 * lease_s)
            calls = len(called(forge))
            time.sleep(0.2)
            stood.append((calls, len(called(forge))))

    summary = night(engine, forge.url, progress=progress, order=ORDER | {"lease_s": lease_s})
    [(at_the_end, later)] = stood
    assert at_the_end == later < PEOPLE
    assert (summary.exit_code, summary.left, summary.claimed) == (ExitCode.OK, 0, PEOPLE)
    assert len(called(forge)) == PEOPLE
    all_done_once(engine)


def test_a_lease_goes_on_while_the_machine_sleeps() -> None:
    asleep = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert asleep <= wiring.monotonic() <= asleep + 10


#: A pseudonym under a key that nobody has any more.
SUBJECT = f"v1:{'0' * 8}:{'0' * 64}"
FAR = "9999-12-31 00:00:00.000000"
NOBODYS = {
    "a lease without end": "UPDATE runs SET lease_expires_at = 'infinity'",
    "a lease after Python's years": "UPDATE runs SET lease_expires_at = '10000-01-01'",
    "a lease long ago": "UPDATE runs SET lease_expires_at = '2020-01-01 00:00:00.000000'",
    "a closed run": "UPDATE runs SET closed_at = opened_at",
    "no run": "UPDATE deletion_requests SET claimed_by = NULL",
    "a run that never was": "UPDATE deletion_requests SET claimed_by = 'nobody'",
}


@pytest.mark.parametrize("change", NOBODYS.values(), ids=NOBODYS)
def test_a_claim_lives_no_longer_than_its_run(
    engine: Engine, sandbox: Sandbox, change: str
) -> None:
    held, _free = insert(engine, *({"forge_user_id": user.id} for user in sandbox.users[:2]))
    another_run_holds(engine, [held])
    with writing(engine) as connection:
        connection.exec_driver_sql(change)
        connection.exec_driver_sql(
            f"UPDATE deletion_requests SET claim_expires_at = '{FAR}', subject = '{SUBJECT}'"
            f" WHERE id = {held}"
        )
    summary = night(engine, sandbox.url)
    assert (summary.exit_code, summary.recovered, summary.elapsed_s < 10) == (0, 1, True)
    assert fetch(engine, "SELECT status FROM deletion_requests") == ["done", "done"]


@pytest.mark.parametrize("change", NOBODYS.values(), ids=NOBODYS)
def test_what_cannot_be_read_and_nobody_holds_is_set_aside(
    engine: Engine, sandbox: Sandbox, change: str
) -> None:
    held, _free = insert(engine, *({"forge_user_id": user.id} for user in sandbox.users[:2]))
    another_run_holds(engine, [held])  # with a pseudonym that is none
    with writing(engine) as connection:
        connection.exec_driver_sql(change)
        connection.exec_driver_sql(
            f"UPDATE deletion_requests SET claim_expires_at = '{FAR}' WHERE id = {held}"
        )
    summary = night(engine, sandbox.url)
    assert (summary.exit_code, summary.set_aside) == (ExitCode.NEEDS_REVIEW, 1)
    rows = fetch(engine, "SELECT status, status_reason FROM deletion_requests ORDER BY id")
    assert rows == [("review", "unreadable"), ("done", None)]
