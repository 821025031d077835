"""A bug over one request stops no other, and counts against nobody else."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest
from world import KEY, SUBJECT_KEY, client, fetch, insert, night

from forge_gdpr.absence import Account
from forge_gdpr.audit.verify import verify
from forge_gdpr.database.engine import now, reading, writing
from forge_gdpr.deadlines import LegalClock
from forge_gdpr.errors import ExitCode
from forge_gdpr.forge.erasure import Eraser, Erasure, Steps
from forge_gdpr.run.nightly import MOST_CRASHES_IN_A_ROW, Order, Stop, Surroundings, run
from forge_gdpr.run.opening import Limits
from forge_gdpr.run.plan import made
from forge_gdpr.sandbox import Sandbox, generated_user

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    from forge_gdpr.run.plan import Plan
    from forge_gdpr.run.summary import Summary

USERS: Final = [generated_user(number) for number in range(25)]
ROWS: Final = "SELECT status, status_reason, attempts FROM deletion_requests ORDER BY id"
RUNNING: Final = "SELECT count(*) FROM deletion_requests WHERE status = 'running'"
PAST: Final = "'2020-01-01 00:00:00.000000'"


@dataclass
class Buggy:
    """An eraser with a bug that some ids meet."""

    eraser: Eraser
    meets: Callable[[str], bool]

    def erase(self, user_id: str, *, email: str | None, was_refused: bool) -> Erasure:
        if self.meets(user_id):
            raise LookupError(f"no such thing as {user_id}")
        return self.eraser.erase(user_id, email=email, was_refused=was_refused)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.eraser, name)


def buggy_night(
    engine: Engine,
    sandbox: Sandbox,
    meets: Callable[[str], bool],
    *,
    concurrency: int = 4,
) -> Summary:
    order = Order(
        actor="tester",
        version="0",
        subject_key=SUBJECT_KEY,
        limits=Limits(max_due=1000, cool_off_days=0),
        concurrency=concurrency,
        account=Account.of([SUBJECT_KEY], base_url=sandbox.url, api_key=KEY),
    )
    with client(sandbox.url) as opened:
        eraser: Any = Buggy(Eraser(opened, Steps(), sentinel=None), meets)
        around = Surroundings(
            engine=engine,
            eraser=eraser,
            gate=opened.gate,
            stop=Stop(),
            monotonic=time.monotonic,
            random=secrets.token_bytes,
        )
        return run(order, around)


def is_whole(engine: Engine) -> bool:
    with reading(engine) as connection:
        return not verify(connection).broken


def bury(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.exec_driver_sql(f"UPDATE runs SET lease_expires_at = {PAST}")
        connection.exec_driver_sql(f"UPDATE deletion_requests SET claim_expires_at = {PAST}")


def test_a_bug_over_one_request_stops_no_other_and_is_reviewed_the_third_time(
    engine: Engine, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    insert(engine, *({"forge_user_id": user.id} for user in USERS[:5]))
    poison = USERS[2].id
    done = ("done", None, 1)
    for attempts in (1, 2):
        summary = buggy_night(engine, sandbox, lambda user_id: user_id == poison)
        assert summary.exit_code == ExitCode.OK
        crashed = ("pending", "crashed", attempts)
        assert fetch(engine, ROWS) == [done, done, crashed, done, done]
        assert summary.sums.put_off == 1
    summary = buggy_night(engine, sandbox, lambda user_id: user_id == poison)
    assert summary.exit_code == ExitCode.NEEDS_REVIEW
    assert fetch(engine, ROWS)[2] == ("review", "crashed_repeatedly", 3)
    logs = capsys.readouterr().out
    assert "LookupError" in logs
    assert poison not in logs
    assert is_whole(engine)


def test_a_bug_over_every_request_ends_the_run_and_counts_against_nobody(
    engine: Engine, sandbox: Sandbox
) -> None:
    insert(engine, *({"forge_user_id": user.id} for user in USERS))
    good = {user.id for user in USERS[:3]}
    with pytest.raises(LookupError):
        buggy_night(engine, sandbox, lambda user_id: user_id not in good, concurrency=1)
    done, untouched = ("done", None, 1), ("pending", None, 0)
    assert fetch(engine, ROWS) == [done] * 3 + [untouched] * 22
    assert MOST_CRASHES_IN_A_ROW < 22
    assert is_whole(engine)


def test_a_bug_of_the_main_thread_ends_the_run_after_all_answers_are_written(
    engine: Engine, sandbox: Sandbox
) -> None:
    insert(engine, *({"forge_user_id": user.id} for user in USERS))

    def fail(_done: int, _due: int) -> None:
        if len(sandbox.users) < 30:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        night(engine, sandbox.url, progress=fail)
    left = {user.id for user in sandbox.users}
    done, untouched = ("done", None, 1), ("pending", None, 0)
    assert fetch(engine, ROWS) == [untouched if user.id in left else done for user in USERS]
    assert done in fetch(engine, ROWS)
    assert night(engine, sandbox.url).exit_code == ExitCode.OK
    assert {row[0] for row in fetch(engine, ROWS)} == {"done"}
    assert is_whole(engine)


def planned(engine: Engine) -> Plan:
    limits = Limits(max_due=1000, cool_off_days=0)
    with reading(engine) as connection:
        due = limits.due(now(connection))
        return made(
            connection, due, key=SUBJECT_KEY, legal=LegalClock(), base_url="", steps=["account"]
        )


@pytest.mark.parametrize("with_plan", [False, True])
def test_what_crashed_is_claimed_last_and_one_at_a_time(
    engine: Engine, sandbox: Sandbox, *, with_plan: bool
) -> None:
    insert(engine, *({"forge_user_id": user.id} for user in USERS[:4]))

    def die(_done: int, _due: int) -> None:
        if fetch(engine, RUNNING) == [4]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        night(engine, sandbox.url, progress=die)
    bury(engine)
    assert night(engine, sandbox.url, limits=Limits(max_due=9, cool_off_days=1)).recovered == 4
    assert fetch(engine, ROWS) == [("pending", "crashed", 1)] * 4
    insert(engine, *({"forge_user_id": user.id} for user in USERS[4:12]))
    claimed: list[int] = []

    def look(_done: int, _due: int) -> None:
        mine = fetch(
            engine, "SELECT count(*) FROM deletion_requests WHERE id > 4 AND status != 'done'"
        )[0]
        running = fetch(engine, f"{RUNNING} AND id <= 4")[0]
        assert not (mine and running)
        claimed.append(running)

    limits = Limits(max_due=99, cool_off_days=0, plan=planned(engine) if with_plan else None)
    summary = night(engine, sandbox.url, limits=limits, progress=look)
    assert summary.exit_code == ExitCode.OK
    assert {row[0] for row in fetch(engine, ROWS)} == {"done"}
    assert max(claimed) == 1
    assert is_whole(engine)
