"""The sums of real nights: every request is in one place, and the places are the right ones."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from terminal import at_terminal
from world import SUBJECT_KEY, fetch, insert, night

from forge_gdpr.database.engine import writing
from forge_gdpr.deadlines import LegalClock
from forge_gdpr.desk.steering import Wish, steer
from forge_gdpr.forge.gate import Halt
from forge_gdpr.run.nightly import Stop
from forge_gdpr.run.opening import Limits
from forge_gdpr.run.sums import PARTS, Sums
from forge_gdpr.sandbox import Fault, FaultKind, Sandbox, generated_user
from forge_gdpr.sandbox.users import derived_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Engine
    from world import Program

    from forge_gdpr.run.summary import Summary

USERS = [generated_user(number).id for number in range(30)]
FAR = datetime(2999, 1, 1, tzinfo=UTC)


def places(summary: Summary) -> Mapping[str, int]:
    """Return where the requests are, after a look at whether the parts are the whole."""
    sums = summary.sums
    parts = {name: getattr(sums, name) for name in PARTS if getattr(sums, name)}
    assert sum(parts.values()) == sums.total
    assert sums.as_json()["total"] == sums.total
    return parts


def test_what_ends_in_every_way_adds_up(engine: Engine, sandbox: Sandbox) -> None:
    insert(engine, *({"forge_user_id": user_id} for user_id in (*USERS[:5], "../x")))
    sandbox.script(
        Fault(kind=FaultKind.STATUS, status=503, method="DELETE", user_id=USERS[1], count=None),
        Fault(kind=FaultKind.STATUS, status=400, method="DELETE", user_id=USERS[2], count=None),
    )
    summary = night(engine, sandbox.url)
    assert places(summary) == {"done": 3, "put_off": 1, "review": 2}
    assert (summary.due, summary.sums.came_in) == (6, 0)
    assert summary.sums.line == "6 requests: 3 done, 1 put off, 2 needing review"


def test_what_is_given_back_is_not_done(engine: Engine, sandbox: Sandbox) -> None:
    """Of another account's key it was said: "40 of 40 due, 12.2 a second"."""
    insert(engine, *({"forge_user_id": derived_id("elsewhere", n)} for n in range(40)))
    summary = night(engine, sandbox.url)
    assert summary.halt is Halt.ACCOUNT
    parts = places(summary)
    assert set(parts) <= {"given_back", "not_begun"}
    assert (sum(parts.values()), summary.due, summary.per_second) == (40, 40, 0.0)


def test_a_signal_a_limit_and_a_second_night_add_up(engine: Engine, sandbox: Sandbox) -> None:
    insert(engine, *({"forge_user_id": user_id} for user_id in USERS[:20]))
    sandbox.script(Fault(kind=FaultKind.SLOW, delay_s=0.05, count=None))
    first = night(engine, sandbox.url, limits=Limits(max_due=99, cool_off_days=0, limit=3))
    assert places(first) == {"done": 3, "not_begun": 17}
    stop = Stop()

    def progress(done: int, _due: int) -> None:
        if done:
            stop.signal = 15

    second = night(engine, sandbox.url, stop=stop, progress=progress, order={"concurrency": 2})
    parts = places(second)
    assert set(parts) <= {"done", "given_back", "not_begun"}
    assert sum(parts.values()) == second.due == 17
    assert parts["done"] == len(USERS) - 3 - len(sandbox.users)
    third = night(engine, sandbox.url)
    assert places(third) == {"done": 17 - parts["done"]}


def test_what_others_have_and_what_waits_is_said(engine: Engine, sandbox: Sandbox) -> None:
    insert(
        engine,
        *({"forge_user_id": user_id} for user_id in USERS[:4]),
    )
    with writing(engine) as connection:
        wish = Wish(action="approve", actor="ann", reason="checked")
        steer(connection, [1], wish, key=SUBJECT_KEY, legal=LegalClock())
    far = "'2999-01-01 00:00:00.000000'"
    with writing(engine) as connection:
        connection.exec_driver_sql(
            f"INSERT INTO runs (id, opened_at, lease_expires_at) VALUES ('another', {far}, {far})"
        )
        connection.exec_driver_sql(
            "UPDATE deletion_requests SET status = 'running', claimed_by = 'another',"
            " subject = 'v1:00000000:0', due_on = '2999-01-01',"
            " claim_expires_at = '2999-01-01 00:00:00.000000' WHERE id = 4"
        )
    limits = Limits(max_due=99, cool_off_days=0, approved_only=True)
    summary = night(engine, sandbox.url, limits=limits, order={"lease_s": 1.0})
    assert places(summary) == {"done": 1, "in_other_runs": 1, "waiting": 2}
    assert summary.sums.until is not None
    assert summary.sums.until.astimezone(UTC) == FAR
    assert summary.sums.line == (
        "4 requests: 1 done, 1 in another run's hands until 2999-01-01 00:00:00 UTC at most, 2"
        " waiting for approval"
    )


def test_what_somebody_holds_meanwhile_has_a_name(engine: Engine, sandbox: Sandbox) -> None:
    insert(engine, *({"forge_user_id": user_id} for user_id in USERS[:4]))
    hands = iter([True])

    def progress(_done: int, due: int) -> None:
        if due and next(hands, False):
            with writing(engine) as connection:
                connection.exec_driver_sql(
                    "UPDATE deletion_requests SET status = 'held' WHERE id = 4"
                )

    summary = night(engine, sandbox.url, progress=progress)
    assert places(summary) == {"done": 3, "elsewhere": 1}
    assert fetch(engine, "SELECT status FROM deletion_requests WHERE id = 4") == ["held"]


def test_the_progress_ends_where_the_work_does(engine: Engine, sandbox: Sandbox) -> None:
    insert(engine, *({"forge_user_id": user_id} for user_id in (*USERS[:7], "../x")))
    seen: list[tuple[int, int]] = []
    night(engine, sandbox.url, progress=lambda done, due: seen.append((done, due)))
    assert seen[-1] == (8, 8)
    assert all(done <= due for done, due in seen[2:])
    insert(engine, *({"forge_user_id": user_id} for user_id in USERS[10:20]))
    limits = Limits(max_due=99, cool_off_days=0, limit=4)
    night(engine, sandbox.url, limits=limits, progress=lambda done, due: seen.append((done, due)))
    assert seen[-1] == (4, 4)


def test_an_empty_night_is_no_table(program: Program) -> None:
    done = program.here("run")
    lines = done.stdout.splitlines()
    assert (done.returncode, len(lines)) == (0, 4)
    assert lines[1:3] == ["nothing was due", "0 still due; next deadline none"]
    told = json.loads(program.here("run", "--output", "json").stdout)
    assert told["sums"] == Sums().as_json()


def test_the_bar_ends_at_a_hundred_percent(program: Program, engine: Engine) -> None:
    insert(engine, *({"forge_user_id": user_id} for user_id in USERS[:12]))
    shown = at_terminal(program, "run", "--yes").text
    assert shown.rfind("100%") > max(shown.rfind(f" {percent}%") for percent in range(100))
    assert "12 requests: 12 done" in shown
