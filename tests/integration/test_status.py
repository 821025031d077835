"""What a monitor is told, on both databases."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from world import fetch, insert, night

from forge_gdpr.audit.verify import Examined
from forge_gdpr.chain import Head
from forge_gdpr.database.engine import now, reading, writing
from forge_gdpr.deadlines import LegalClock
from forge_gdpr.errors import ExitCode
from forge_gdpr.run.opening import Limits
from forge_gdpr.sandbox import Fault, FaultKind, Sandbox, generated_user
from forge_gdpr.watch.status import Backlog, Health, LastRun, health, last_good

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from world import Program

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
NOTHING = {"open": 0, "review": 0, "due_soon": 0, "overdue": 0, "at_risk": 0, "unapproved": 0}
WHOLE = Examined(events=12, runs=2, open_runs=0, head=Head(chain="main"))
BROKEN = Examined(events=0, runs=0, open_runs=0, head=Head(chain="main"), broken={"main": "is"})


def healthy(*, age_h: float = 3.0, record: Examined | None = WHOLE, **counts: int) -> Health:
    last = LastRun(run_id="r", closed_at=NOON - timedelta(hours=age_h), pace=0)
    return Health(
        now=NOON,
        max_age_h=26,
        last_good=last,
        backlog=Backlog(**(NOTHING | counts)),
        record=record,
    )


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (healthy(), ExitCode.OK),
        (healthy(record=None), ExitCode.OK),
        (healthy(age_h=26.1), ExitCode.STALE),
        (healthy(review=1), ExitCode.NEEDS_REVIEW),
        (healthy(at_risk=1, review=1), ExitCode.DEADLINE_AT_RISK),
        (healthy(overdue=1), ExitCode.DEADLINE_AT_RISK),
        (healthy(age_h=27, overdue=1), ExitCode.STALE),
        (healthy(age_h=27, record=BROKEN), ExitCode.AUDIT_BROKEN),
    ],
)
def test_the_gravest_trouble_is_the_exit_code(found: Health, code: ExitCode) -> None:
    assert found.exit_code == code
    assert found.line.startswith(f"{code.name}: last good run ")


def test_the_line_says_all_of_it() -> None:
    assert healthy(open=9, due_soon=2, review=1).line == (
        "NEEDS_REVIEW: last good run 3.0 h ago (at most 26 h); 9 open, 2 due within 7 days,"
        " 0 overdue, 0 at risk, 1 in review; record whole, 12 events, never verified"
    )
    assert "1 in review, 3 waiting for approval;" in healthy(review=1, unapproved=3).line
    assert healthy(record=None).line.endswith("; record not read, never verified")
    assert "1 broken chains: run 'forge-gdpr audit verify'" in healthy(record=BROKEN).line


def test_a_failed_run_is_no_good_one() -> None:
    at = "2026-11-24T03:00:00.000000Z"
    failed = {"run_id": "b", "at": at, "exit_code": 5}
    stopped_by_a_guard = {"run_id": "c", "at": at}
    good = {"run_id": "a", "at": at, "exit_code": 10, "pace": 7}
    assert last_good([stopped_by_a_guard, failed]) is None
    assert last_good([failed, good]) == LastRun(
        run_id="a", closed_at=datetime(2026, 11, 24, 3, tzinfo=UTC), pace=7
    )


def told(engine: Engine, *, days: float = 0, read_record: bool = True) -> dict[str, Any]:
    with reading(engine) as connection:
        return health(
            connection,
            now=now(connection) + timedelta(days=days),
            legal=LegalClock(),
            max_age_h=26,
            read_record=read_record,
        ).as_json()


def test_a_new_database_had_no_good_run(engine: Engine) -> None:
    found = told(engine)
    assert (found["exit_code"], found["last_good_run"], found["broken_chains"]) == (9, None, 0)


def test_requests_are_counted_against_their_dates_also_unseen_ones(
    engine: Engine, sandbox: Sandbox
) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=28)
    insert(engine, {"forge_user_id": "../x"}, {"forge_user_id": generated_user(1).id})
    night(engine, sandbox.url)
    insert(
        engine,
        {"forge_user_id": generated_user(2).id, "received_at": long_ago.isoformat(" ")},
        {"forge_user_id": generated_user(3).id},
        {"forge_user_id": generated_user(4).id, "due_on": "2020-01-01"},
    )
    found = told(engine)
    assert (found["open"], found["due_within_7_days"], found["overdue"]) == (4, 1, 1)
    assert (found["review"], found["at_risk"], found["exit_code"]) == (1, 1, 11)
    later = told(engine, days=120, read_record=False)
    assert (later["overdue"], later["at_risk"], later["exit_code"]) == (4, 4, 9)
    assert later["broken_chains"] is None


def test_what_a_night_leaves_is_forecast_at_its_pace(engine: Engine, sandbox: Sandbox) -> None:
    soon = datetime.now(UTC) - timedelta(days=26)
    rows = [
        {"forge_user_id": generated_user(number).id, "received_at": soon.isoformat(" ")}
        for number in range(6)
    ]
    insert(engine, *rows)
    night(engine, sandbox.url, limits=Limits(max_due=99, cool_off_days=0, limit=1))
    found = told(engine)
    assert (found["open"], found["overdue"], found["at_risk"]) == (5, 0, 3)
    assert found["exit_code"] == 11


def test_a_night_that_forge_did_not_answer_is_no_good_one(engine: Engine, sandbox: Sandbox) -> None:
    insert(engine, {"forge_user_id": generated_user(0).id})
    night(engine, sandbox.url)
    good = told(engine)["last_good_run"]
    assert told(engine)["exit_code"] == 0
    insert(engine, {"forge_user_id": generated_user(1).id})
    sandbox.script(Fault(kind=FaultKind.STATUS, status=401, count=None))
    night(engine, sandbox.url)
    assert told(engine)["last_good_run"] == good


def test_requests_that_nobody_approves_are_counted(program: Program, engine: Engine) -> None:
    ids = [generated_user(number).id for number in range(4)]
    insert(
        engine,
        {"forge_user_id": ids[0]},
        {"forge_user_id": ids[1]},
        {"forge_user_id": ids[2]},
        {"forge_user_id": ids[3], "not_before": "2090-01-01 00:00:00.000000"},
    )
    needed = {"FORGE_GDPR_REQUIRE_APPROVAL": "true", "FORGE_GDPR_SHARED_LOGIN": "true"}
    assert program.here("requests", "approve", "1", **needed).returncode == 0
    assert "4 open" in program.here("status", **needed).stdout
    assert ", 2 waiting for approval;" in program.here("status", **needed).stdout
    assert "approval" not in program.here("status").stdout
    for settings, count in ((needed, 2), ({}, 0)):
        status = json.loads(program.here("status", "--output", "json", **settings).stdout)
        assert status["waiting_for_approval"] == count
    doctor = program.here("doctor", "--offline", **needed).stdout
    assert "2 due requests wait for somebody to approve them" in doctor
    assert program.here("requests", "approve", "2", "3", **needed).returncode == 0
    assert "no due request waits for one" in program.here("doctor", "--offline", **needed).stdout
    assert "approvals" not in program.here("doctor", "--offline").stdout


def test_the_command_tells_monitors_by_its_exit_code(program: Program, engine: Engine) -> None:
    never = program("status")
    assert (never.returncode, never.stderr) == (9, "")
    assert never.stdout.startswith("STALE: no good run yet (at most 26 h); 0 open")
    assert program.here("run").returncode == 0
    assert program.here("status").returncode == 0
    told = program.here("status", "--output", "json", "--max-age", "2d", "--quick")
    assert (json.loads(told.stdout)["max_age_h"], told.returncode) == (48.0, 0)
    old = program.here("status", FORGE_GDPR_MAX_AGE_H="0.1", FORGE_GDPR_TIMEZONE="Asia/Tokyo")
    assert old.returncode == 0
    assert program.here("status", "--max-age", "soon").returncode == 2
    if engine.dialect.name == "sqlite":
        with writing(engine) as connection:
            connection.exec_driver_sql("DROP TRIGGER audit_events_refuse_update")
            connection.exec_driver_sql("UPDATE audit_events SET actor = 'me'")
        assert program.here("status").returncode == 6
    assert fetch(engine, "SELECT count(*) FROM runs") == [1]
