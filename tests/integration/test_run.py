"""The nightly run on both databases against the sandbox: outcomes, faults, guards, repair."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from world import SUBJECT_KEY, client, fetch, insert, night

from forge_gdpr.absence import Account, AccountProof
from forge_gdpr.audit.history import Past, pasts
from forge_gdpr.audit.verify import verify
from forge_gdpr.database.engine import reading, writing
from forge_gdpr.deadlines import LegalClock
from forge_gdpr.desk.steering import Wish, steer
from forge_gdpr.errors import ConfigurationError, DatabaseError, ExitCode, GuardStoppedError
from forge_gdpr.forge.erasure import Steps
from forge_gdpr.forge.gate import Halt, Pace
from forge_gdpr.forge.looking import read_directory
from forge_gdpr.identity import DEFAULT_RULES, IdRules
from forge_gdpr.lifecycle import Outcome, Status
from forge_gdpr.pseudonyms import Kind
from forge_gdpr.references import is_hash
from forge_gdpr.run.nightly import Stop
from forge_gdpr.run.opening import Limits
from forge_gdpr.run.preview import Check, Reach, preview
from forge_gdpr.sandbox import Fault, FaultKind, Sandbox, User, generated_user

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Engine

ADA, BOB = generated_user(0), generated_user(1)
GHOST = "61ab8f99251cba0014437326"
LIMITS = Limits(max_due=1000, cool_off_days=0)


def whole(engine: Engine) -> None:
    """The record verifies and no attempt is without an end."""
    with reading(engine) as connection:
        assert verify(connection).open_runs == 0
    unfinished = fetch(
        engine,
        "SELECT request_id, attempt FROM audit_events WHERE event LIKE 'attempt.%'"
        " GROUP BY request_id, attempt, run_id HAVING count(*) <> 2",
    )
    assert unfinished == []


def deletions(sandbox: Sandbox) -> int:
    return sum(seen.method == "DELETE" for seen in sandbox.seen)


@dataclass(frozen=True)
class Case:
    """A fault, and what one request for Ada comes to."""

    faults: tuple[Fault, ...]
    outcome: Outcome | None
    status: Status
    code: int
    calls: int
    gone: bool = True
    reason: str | None = None
    attempts: int = 1
    row: Mapping[str, Any] = field(default_factory=lambda: {"forge_user_id": ADA.id})
    halt: Halt | None = None


def status(code: int, *, count: int | None = None, method: str | None = "DELETE") -> Fault:
    return Fault(kind=FaultKind.STATUS, status=code, method=method, count=count)


def fault(kind: FaultKind, **changes: Any) -> Fault:
    return Fault(**{"kind": kind, "method": "DELETE", "count": None} | changes)


#: The account is shown to be ours by a user who is never deleted.
WATCHED = IdRules(sentinel=generated_user(29).id)

REVIEW, DONE, PENDING = Status.REVIEW, Status.DONE, Status.PENDING
#: Fault, outcome, status, exit code, DELETE calls.
MATRIX = {
    "no fault": Case((), Outcome.ERASED, DONE, 0, 1),
    "204": Case((status(204),), Outcome.ERASED, DONE, 0, 1, gone=False),
    "201 with the documented JSON": Case(
        (fault(FaultKind.STATUS, status=201, body='{"success": true}'),),
        Outcome.UNEXPECTED,
        REVIEW,
        10,
        1,
        gone=False,
        reason="unexpected",
    ),
    "202": Case((status(202),), Outcome.ACCEPTED, PENDING, 0, 1, gone=False, reason="accepted"),
    "200 with HTML": Case(
        (fault(FaultKind.HTML),), Outcome.UNEXPECTED, REVIEW, 10, 1, gone=False, reason="unexpected"
    ),
    "200 with success false": Case(
        (fault(FaultKind.NOT_SUCCESS),),
        Outcome.UNEXPECTED,
        REVIEW,
        10,
        1,
        gone=False,
        reason="unexpected",
    ),
    "200 with broken JSON": Case(
        (fault(FaultKind.WRONG_JSON),),
        Outcome.UNEXPECTED,
        REVIEW,
        10,
        1,
        gone=False,
        reason="unexpected",
    ),
    "200 with nothing": Case(
        (fault(FaultKind.EMPTY),),
        Outcome.UNEXPECTED,
        REVIEW,
        10,
        1,
        gone=False,
        reason="unexpected",
    ),
    "200 without end": Case(
        (fault(FaultKind.HUGE_BODY),), Outcome.UNEXPECTED, REVIEW, 10, 1, reason="unexpected"
    ),
    **{
        f"{code} once per try, then it works": Case(
            (status(code, count=2),), Outcome.ERASED, DONE, 0, 3
        )
        for code in (408, 425, 429, 500, 502, 503, 504)
    },
    **{
        f"{code} to this one": Case(
            (status(code),), Outcome.REJECTED, REVIEW, 10, 1, gone=False, reason="rejected"
        )
        for code in (400, 403, 405, 409, 422, 451)
    },
    **{
        f"{code} to this one, never followed": Case(
            (
                fault(
                    FaultKind.REDIRECT, status=code, headers=(("Location", "/forge/2021-12/user"),)
                ),
            ),
            Outcome.UNEXPECTED,
            REVIEW,
            10,
            1,
            gone=False,
            reason="unexpected",
        )
        for code in (301, 302, 303, 307, 308)
    },
    "501": Case((status(501),), Outcome.UNEXPECTED, REVIEW, 10, 1, gone=False, reason="unexpected"),
    "a 404 of Forge's own": Case(
        (), Outcome.ALREADY_ABSENT, DONE, 0, 1, gone=False, row={"forge_user_id": GHOST}
    ),
    "a 410 for somebody who is there": Case(
        (status(410),), Outcome.UNEXPECTED, REVIEW, 10, 1, gone=False, reason="still_present"
    ),
    "the answer is lost": Case(
        (fault(FaultKind.ANSWER_LOST, count=1),), Outcome.ABSENT_AFTER_ATTEMPT, DONE, 0, 2
    ),
    "502 after the deletion": Case(
        (fault(FaultKind.STATUS_AFTER, status=502, count=1),),
        Outcome.ABSENT_AFTER_ATTEMPT,
        DONE,
        0,
        2,
    ),
    "a hang after the deletion": Case(
        (fault(FaultKind.HANG_AFTER, count=1),), Outcome.ABSENT_AFTER_ATTEMPT, DONE, 0, 2
    ),
    "a truncated answer": Case(
        (fault(FaultKind.TRUNCATED, count=1),), Outcome.ABSENT_AFTER_ATTEMPT, DONE, 0, 2
    ),
    "a reset before": Case((fault(FaultKind.RESET_BEFORE, count=1),), Outcome.ERASED, DONE, 0, 2),
    "garbage once": Case((fault(FaultKind.GARBAGE, count=1),), Outcome.ERASED, DONE, 0, 2),
    "429 for longer than tonight": Case(
        (fault(FaultKind.STATUS, status=429, headers=(("Retry-After", "3600"),)),),
        Outcome.TRANSIENT,
        PENDING,
        5,
        1,
        gone=False,
        reason="transient",
        halt=Halt.OUTAGE,
    ),
    **{
        f"nothing but {name}": Case(
            (made,),
            Outcome.TRANSIENT,
            PENDING,
            5,
            4,
            gone=False,
            attempts=0,
            reason="transient",
            halt=Halt.OUTAGE,
        )
        for name, made in {
            "503": status(503),
            "resets": fault(FaultKind.RESET_BEFORE),
            "hangs": fault(FaultKind.HANG),
            "garbage": fault(FaultKind.GARBAGE),
        }.items()
    },
    "401": Case(
        (status(401),),
        Outcome.KEY_REFUSED,
        PENDING,
        7,
        1,
        gone=False,
        attempts=0,
        halt=Halt.KEY_REFUSED,
    ),
    "403 on everything": Case(
        (status(403, method=None),),
        None,
        PENDING,
        7,
        1,
        gone=False,
        attempts=0,
        halt=Halt.KEY_REFUSED,
    ),
    **{
        f"{code} on everything": Case(
            (status(code, method=None),),
            None,
            PENDING,
            5,
            1,
            gone=False,
            attempts=0,
            reason="absence_not_shown" if code in {404, 410} else None,
            halt=Halt.UNPROVED,
        )
        for code in (301, 400, 404, 410)
    },
    "a login page on everything": Case(
        (fault(FaultKind.HTML, method=None),),
        None,
        PENDING,
        5,
        1,
        gone=False,
        attempts=0,
        halt=Halt.UNPROVED,
    ),
    **{
        f"an id {name}": Case(
            (),
            Outcome.INVALID_USER_ID,
            REVIEW,
            10,
            0,
            gone=False,
            reason="invalid_user_id",
            row={"forge_user_id": user_id},
        )
        for name, user_id in {
            "of nothing": "",
            "of one dot": ".",
            "of two dots": "..",
            "with a slash": "a/b",
            "with a query": "a?b",
            "with a fragment": "a#b",
            "with per cent": "%2e%2e",
            "with a bidi mark": "a\u202eb",
            "with a line feed": "a\nb",
            "with a space": " 61ab",
        }.items()
    },
    "nobody is named": Case(
        (),
        Outcome.INVALID_USER_ID,
        REVIEW,
        10,
        0,
        gone=False,
        reason="no_identifier",
        row={"reference": "T-1"},
    ),
    "found by e-mail": Case(
        (), Outcome.ERASED, DONE, 0, 1, row={"email": "  " + ADA.email.replace("org", "ORG")}
    ),
    "nobody has this e-mail": Case(
        (), Outcome.NOT_FOUND_BY_EMAIL, DONE, 0, 0, gone=False, row={"email": "no@example.org"}
    ),
    "id and e-mail agree": Case(
        (), Outcome.ERASED, DONE, 0, 1, row={"forge_user_id": ADA.id, "email": ADA.email}
    ),
    "id and e-mail differ": Case(
        (),
        Outcome.IDENTITY_MISMATCH,
        REVIEW,
        10,
        0,
        gone=False,
        reason="identity_mismatch",
        row={"forge_user_id": ADA.id, "email": BOB.email},
    ),
    "the id is unknown, the e-mail another's": Case(
        (),
        Outcome.IDENTITY_MISMATCH,
        REVIEW,
        10,
        0,
        gone=False,
        reason="identity_mismatch",
        row={"forge_user_id": GHOST, "email": BOB.email},
    ),
    "neither id nor e-mail is known": Case(
        (),
        Outcome.ALREADY_ABSENT,
        DONE,
        0,
        1,
        gone=False,
        row={"forge_user_id": GHOST, "email": "no@example.org"},
    ),
}


@pytest.mark.parametrize("case", MATRIX.values(), ids=MATRIX.keys())
def test_every_fault_has_its_outcome(engine: Engine, sandbox: Sandbox, case: Case) -> None:
    insert(engine, case.row)
    sandbox.script(*case.faults)
    summary = night(engine, sandbox.url, read_timeout_s=0.3, order={"ids": WATCHED})
    row = fetch(
        engine,
        "SELECT status, attempts, status_reason, claimed_by, claim_expires_at, email IS NULL"
        " OR status <> 'done' FROM deletion_requests",
    )
    assert [(*r[:5], bool(r[5])) for r in row] == [
        (case.status, case.attempts, case.reason, None, None, True)
    ]
    finished = "SELECT outcome FROM audit_events WHERE event = 'attempt.finished'"
    assert fetch(engine, finished) == [case.outcome]
    closed = "SELECT outcome FROM deletion_outcomes"
    assert fetch(engine, closed) == ([case.outcome] if case.status is DONE else [])
    assert (ADA.id not in {user.id for user in sandbox.users}) == case.gone
    assert (summary.exit_code, summary.halt, deletions(sandbox)) == (
        case.code,
        case.halt,
        case.calls,
    )
    whole(engine)


def test_two_users_with_one_email_are_for_a_person(engine: Engine, sandbox: Sandbox) -> None:
    twin = Fault(
        kind=FaultKind.STATUS,
        status=200,
        method="GET",
        path="users",
        body=f'{{"data": [{{"_id": "{"a1" * 12}", "email": "x@y.org", "fullName": ""}},'
        f' {{"_id": "{"a2" * 12}", "email": "x@Y.org", "fullName": ""}}]}}',
    )
    sandbox.script(twin)
    insert(engine, {"email": "x@y.org"})
    night(engine, sandbox.url)
    assert fetch(engine, "SELECT status, status_reason FROM deletion_requests") == [
        ("review", "ambiguous_email")
    ]


def test_ten_accounts_that_are_refused_stop_one_night_and_not_a_second(
    engine: Engine, sandbox: Sandbox
) -> None:
    insert(engine, *({"forge_user_id": generated_user(n).id} for n in range(20)))
    for n in range(3, 13):
        locked = generated_user(n).id
        sandbox.script(Fault(kind=FaultKind.STATUS, status=423, user_id=locked, count=None))
    first = night(engine, sandbox.url, order={"concurrency": 1})
    assert (first.exit_code, first.halt) == (5, Halt.REFUSALS)
    assert first.cause == "10 calls in a row ended in HTTP 423"
    assert +Counter(first.became) == {Status.DONE: 3, Status.PENDING: 17}
    second = night(engine, sandbox.url, order={"concurrency": 1})
    assert (second.exit_code, second.halt) == (10, None)
    assert +Counter(second.became) == {Status.DONE: 7, Status.REVIEW: 10}
    whole(engine)


def test_whoever_has_the_address_by_now_is_not_absent(engine: Engine, sandbox: Sandbox) -> None:
    """The user who was found by e-mail is gone, and somebody else has it: who is meant?"""
    listed = f'{{"data": [{{"_id": "{GHOST}", "email": "{BOB.email}", "fullName": ""}}]}}'
    sandbox.script(Fault(kind=FaultKind.STATUS, status=200, path="users", body=listed))
    insert(engine, {"email": BOB.email})
    night(engine, sandbox.url, order={"ids": WATCHED})
    state = "SELECT status, status_reason, attempts FROM deletion_requests"
    assert fetch(engine, state) == [("pending", None, 0)]
    night(engine, sandbox.url, order={"ids": WATCHED})
    assert fetch(engine, state) == [("review", "identity_mismatch", 1)]
    assert BOB in sandbox.users


def test_an_answer_to_an_earlier_night_is_remembered(engine: Engine, sandbox: Sandbox) -> None:
    insert(engine, {"forge_user_id": ADA.id}, {"forge_user_id": BOB.id})
    sandbox.script(Fault(kind=FaultKind.STATUS_AFTER, status=500, user_id=ADA.id, count=1))
    sandbox.script(Fault(kind=FaultKind.STATUS, status=500, user_id=ADA.id, count=3))
    night(engine, sandbox.url, order={"concurrency": 1})
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE deletion_requests SET next_attempt_at = NULL")
    night(engine, sandbox.url)
    assert fetch(engine, "SELECT outcome, attempts FROM deletion_outcomes ORDER BY request_id") == [
        ("absent_after_attempt", 2),
        ("erased", 1),
    ]


def test_failures_of_some_are_counted_when_forge_works_for_others(
    engine: Engine, sandbox: Sandbox
) -> None:
    ids = insert(engine, {"forge_user_id": ADA.id}, {"forge_user_id": BOB.id})
    sandbox.script(Fault(kind=FaultKind.STATUS, status=503, user_id=ADA.id, count=None))
    summary = night(engine, sandbox.url)
    assert (summary.exit_code, dict(summary.outcomes)) == (
        0,
        {Outcome.TRANSIENT: 1, Outcome.ERASED: 1},
    )
    rows = fetch(
        engine,
        "SELECT id, status, attempts, next_attempt_at IS NOT NULL FROM deletion_requests"
        " ORDER BY id",
    )
    assert [(*r[:3], bool(r[3])) for r in rows] == [
        (ids[0], "pending", 1, True),
        (ids[1], "done", 1, False),
    ]


def test_the_breaker_stops_the_run_and_blames_nobody(engine: Engine, sandbox: Sandbox) -> None:
    insert(engine, *({"forge_user_id": generated_user(n).id} for n in range(30)))
    sandbox.script(Fault(kind=FaultKind.STATUS, status=503, count=None))
    summary = night(engine, sandbox.url, pace=Pace(breaker=10))
    assert (summary.exit_code, summary.halt, summary.left) == (5, Halt.BREAKER, 30)
    assert fetch(engine, "SELECT DISTINCT status, attempts FROM deletion_requests") == [
        ("pending", 0)
    ]
    assert len(sandbox.seen) < 10 + 4
    whole(engine)


def test_a_dead_host_is_nobodys_fault(engine: Engine) -> None:
    insert(engine, {"forge_user_id": ADA.id})
    summary = night(engine, "http://127.0.0.1:1/forge")
    assert (summary.exit_code, summary.halt) == (5, Halt.UNREACHABLE)
    assert fetch(engine, "SELECT status, attempts FROM deletion_requests") == [("pending", 0)]


def test_a_request_is_put_off_for_as_long_as_forge_asks(engine: Engine, sandbox: Sandbox) -> None:
    insert(engine, {"forge_user_id": ADA.id})
    asked = (("Retry-After", "7200"),)
    sandbox.script(Fault(kind=FaultKind.STATUS, status=429, headers=asked))
    summary = night(engine, sandbox.url)
    (again_at,) = fetch(engine, "SELECT next_attempt_at FROM deletion_requests")
    again_at = datetime.fromisoformat(str(again_at)).replace(tzinfo=UTC)
    waits_s = (again_at - summary.opened_at).total_seconds()
    assert 7200 <= waits_s < 7260


def test_after_too_many_attempts_a_person_looks(engine: Engine, sandbox: Sandbox) -> None:
    insert(engine, {"forge_user_id": ADA.id, "attempts": 29}, {"forge_user_id": BOB.id})
    sandbox.script(Fault(kind=FaultKind.STATUS, status=503, user_id=ADA.id, count=None))
    summary = night(engine, sandbox.url)
    assert summary.exit_code == ExitCode.NEEDS_REVIEW
    assert fetch(
        engine, "SELECT status, status_reason, attempts FROM deletion_requests ORDER BY id"
    )[0] == ("review", "attempts_exhausted", 30)


def test_without_the_list_who_has_an_email_is_left(engine: Engine, sandbox: Sandbox) -> None:
    insert(engine, {"forge_user_id": ADA.id}, {"email": BOB.email})
    sandbox.script(Fault(kind=FaultKind.STATUS, status=504, path="users", count=None))
    summary = night(engine, sandbox.url)
    assert (summary.exit_code, summary.halt, summary.left) == (5, Halt.DIRECTORY, 1)
    assert fetch(engine, "SELECT status, attempts FROM deletion_requests ORDER BY id") == [
        ("done", 1),
        ("pending", 0),
    ]


def test_a_key_that_may_not_list_stops_the_run(engine: Engine, sandbox: Sandbox) -> None:
    insert(engine, {"email": BOB.email})
    summary = night(engine, sandbox.url, api_key="wrong")
    assert (summary.exit_code, summary.halt) == (7, Halt.KEY_REFUSED)
    assert fetch(engine, "SELECT status, attempts FROM deletion_requests") == [("pending", 0)]


def test_careless_rows_stop_nobody_else(engine: Engine, sandbox: Sandbox) -> None:
    insert(
        engine,
        {"forge_user_id": ADA.id, "status": "PENDING!"},
        {"forge_user_id": BOB.id, "regime": "lgpd"},
        {"email": "ünïcödé 🦄@example.org"},
    )
    summary = night(engine, sandbox.url)
    assert fetch(
        engine,
        "SELECT status, status_reason, due_on IS NOT NULL FROM deletion_requests ORDER BY id",
    ) == [("review", "unknown_status", 1), ("done", None, 1), ("review", "invalid_email", 1)]
    assert (summary.finished, summary.set_aside) == (2, 1)


def test_what_is_not_due_is_left_alone(engine: Engine, sandbox: Sandbox) -> None:
    soon = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    insert(
        engine,
        {"forge_user_id": ADA.id, "status": "held"},
        {"forge_user_id": ADA.id, "not_before": soon},
        {"forge_user_id": ADA.id, "next_attempt_at": soon.replace("T", " ")[:26]},
        {"forge_user_id": ADA.id, "status": "review"},
        {"forge_user_id": ADA.id, "status": "cancelled"},
    )
    assert night(engine, sandbox.url).due == 0
    assert sandbox.seen == ()


def test_cool_off_keeps_young_requests_for_later(engine: Engine, sandbox: Sandbox) -> None:
    old = (datetime.now(UTC) - timedelta(days=8)).isoformat()
    insert(engine, {"forge_user_id": ADA.id, "received_at": old}, {"forge_user_id": BOB.id})
    summary = night(engine, sandbox.url, limits=Limits(max_due=1000, cool_off_days=7))
    assert (summary.due, summary.finished) == (1, 1)
    assert BOB.id in {user.id for user in sandbox.users}


def test_the_earliest_deadline_goes_first(engine: Engine, sandbox: Sandbox) -> None:
    insert(
        engine,
        {"forge_user_id": ADA.id, "due_on": "2030-02-02"},
        {"forge_user_id": BOB.id, "due_on": "2030-02-01"},
    )
    night(engine, sandbox.url, limits=Limits(max_due=1000, cool_off_days=0, limit=1))
    assert [seen.user_id for seen in sandbox.seen] == [BOB.id]


def test_admission_fills_in_pseudonym_and_deadline(engine: Engine, sandbox: Sandbox) -> None:
    insert(
        engine,
        {"forge_user_id": ADA.id, "received_at": "2026-01-31 10:00:00", "regime": "gdpr"},
        {"email": "A@Example.ORG ", "received_at": "2026-01-31 10:00:00", "regime": "ccpa"},
    )
    night(engine, sandbox.url)
    rows = fetch(engine, "SELECT subject, due_on FROM deletion_requests ORDER BY id")
    assert [(subject, str(due_on)) for subject, due_on in rows] == [
        (SUBJECT_KEY.subject(Kind.USER_ID, ADA.id), "2026-02-28"),
        (SUBJECT_KEY.subject(Kind.EMAIL, "A@example.org"), "2026-03-17"),
    ]


def test_late_requests_are_told(engine: Engine, sandbox: Sandbox) -> None:
    insert(
        engine,
        {"forge_user_id": ADA.id, "status": "held", "due_on": "2020-01-01"},
        {"forge_user_id": BOB.id, "due_on": "2020-01-01"},
    )
    summary = night(engine, sandbox.url)
    assert (summary.at_risk, summary.next_due_on, summary.exit_code) == (1, date(2020, 1, 1), 11)
    assert fetch(engine, "SELECT on_time FROM deletion_outcomes") in ([0], [False])


def test_the_guard_counts_before_any_limit_cuts(engine: Engine, sandbox: Sandbox) -> None:
    insert(engine, *({"forge_user_id": generated_user(n).id} for n in range(3)))
    with pytest.raises(GuardStoppedError, match="--expect 3"):
        night(engine, sandbox.url, limits=Limits(max_due=2, cool_off_days=0, limit=1))
    assert sandbox.seen == ()
    assert fetch(engine, "SELECT count(*) FROM deletion_requests WHERE status <> 'pending'") == [0]
    whole(engine)


def test_expect_overrides_the_guard_for_tonight_and_is_recorded(
    engine: Engine, sandbox: Sandbox
) -> None:
    insert(engine, *({"forge_user_id": generated_user(n).id} for n in range(3)))
    limits = Limits(max_due=2, cool_off_days=0, expected=3)
    assert night(engine, sandbox.url, limits=limits).finished == 3
    assert fetch(engine, "SELECT actor FROM audit_events WHERE event = 'guard.overridden'") == [
        "tester"
    ]


def test_a_limit_takes_no_more(engine: Engine, sandbox: Sandbox) -> None:
    insert(engine, *({"forge_user_id": generated_user(n).id} for n in range(5)))
    summary = night(
        engine,
        sandbox.url,
        limits=Limits(max_due=1000, cool_off_days=0, limit=3),
        order={"batch": 2},
    )
    assert (summary.claimed, summary.left, deletions(sandbox)) == (3, 2, 3)


def test_when_the_time_is_over_nothing_more_is_claimed(engine: Engine, sandbox: Sandbox) -> None:
    insert(engine, *({"forge_user_id": generated_user(n).id} for n in range(5)))
    summary = night(engine, sandbox.url, order={"max_runtime_s": 0.0})
    assert (summary.claimed, summary.left, summary.exit_code) == (0, 5, 0)
    whole(engine)


def test_when_the_time_is_over_what_was_claimed_and_not_begun_is_given_back(
    engine: Engine, sandbox: Sandbox
) -> None:
    insert(engine, *({"forge_user_id": user.id} for user in sandbox.users))
    summary = night(
        engine, sandbox.url, pace=Pace(rate=10.0), order={"concurrency": 1, "max_runtime_s": 1.0}
    )
    assert (summary.exit_code, summary.left) == (0, len(sandbox.users))
    assert 0 < summary.done < 20
    assert summary.done + summary.sums.given_back == 30
    whole(engine)


def test_a_signal_gives_back_what_was_not_sent(engine: Engine, sandbox: Sandbox) -> None:
    insert(engine, *({"forge_user_id": generated_user(n).id} for n in range(20)))
    sandbox.script(Fault(kind=FaultKind.SLOW, delay_s=0.1, count=None))
    stop = Stop()

    def progress(_done: int, _due: int) -> None:
        if sandbox.seen:
            stop.signal = 15

    summary = night(engine, sandbox.url, stop=stop, progress=progress, order={"concurrency": 2})
    assert summary.exit_code == 128 + 15
    assert 0 < summary.outcomes[Outcome.ERASED] == deletions(sandbox) < 20
    assert fetch(
        engine, "SELECT count(*), sum(attempts) FROM deletion_requests WHERE status = 'pending'"
    ) == [(20 - deletions(sandbox), 0)]
    whole(engine)


def crash(engine: Engine, sandbox: Sandbox) -> None:
    """Leave what a run leaves that is killed while its calls are in flight."""

    def die(_done: int, _due: int) -> None:
        if fetch(engine, "SELECT count(*) FROM deletion_requests WHERE status = 'running'")[0]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        night(engine, sandbox.url, progress=die)
    with writing(engine) as connection:
        past = "'2020-01-01 00:00:00.000000'"
        connection.exec_driver_sql(f"UPDATE runs SET lease_expires_at = {past}")
        connection.exec_driver_sql(f"UPDATE deletion_requests SET claim_expires_at = {past}")


def test_a_crashed_run_is_repaired_by_the_next(engine: Engine, sandbox: Sandbox) -> None:
    insert(engine, {"forge_user_id": ADA.id}, {"forge_user_id": BOB.id})
    crash(engine, sandbox)
    summary = night(engine, sandbox.url, order={"ids": WATCHED})
    assert (summary.recovered, summary.finished) == (2, 2)
    assert fetch(engine, "SELECT DISTINCT status, attempts, fence FROM deletion_requests") == [
        ("done", 2, 2)
    ]
    assert set(fetch(engine, "SELECT outcome FROM deletion_outcomes")) == {"absent_after_attempt"}
    with reading(engine) as connection:
        assert verify(connection).open_runs == 0


def test_the_third_crash_sends_a_request_to_a_person(engine: Engine, sandbox: Sandbox) -> None:
    insert(engine, {"forge_user_id": ADA.id})
    for _ in range(3):
        crash(engine, sandbox)
    summary = night(engine, sandbox.url)
    assert summary.exit_code == ExitCode.NEEDS_REVIEW
    assert fetch(engine, "SELECT status, status_reason FROM deletion_requests") == [
        ("review", "crashed_repeatedly")
    ]


def test_an_operator_who_says_try_again_gives_all_crashes_back(
    engine: Engine, sandbox: Sandbox
) -> None:
    (request_id,) = insert(engine, {"forge_user_id": ADA.id})
    becomes = []
    wish = Wish(action="retry", actor="kim", reason="mended")
    for number in range(1, 7):
        crash(engine, sandbox)
        limits = Limits(max_due=0, cool_off_days=0)  # it repairs, and is stopped by the guard
        with contextlib.suppress(GuardStoppedError):
            night(engine, sandbox.url, limits=limits)
        becomes += fetch(engine, "SELECT status, status_reason FROM deletion_requests")
        if number == 3:
            with writing(engine) as connection:
                steer(connection, [request_id], wish, key=SUBJECT_KEY, legal=LegalClock())
    again, looked_at = ("pending", "crashed"), ("review", "crashed_repeatedly")
    assert becomes == [again, again, looked_at] * 2
    subject = SUBJECT_KEY.subject(Kind.USER_ID, ADA.id)
    with reading(engine) as connection:
        (past,) = pasts(connection, {request_id: subject}).values()
    assert past == Past(started=6, finished=6, reached=True, crashes=3)


def test_a_run_that_was_taken_for_dead_writes_no_more(engine: Engine, sandbox: Sandbox) -> None:
    insert(engine, *({"forge_user_id": generated_user(n).id} for n in range(4)))

    def bury(_done: int, _due: int) -> None:
        with writing(engine) as connection:
            connection.exec_driver_sql("UPDATE runs SET closed_at = opened_at")

    with pytest.raises(DatabaseError, match="took this one for dead"):
        night(engine, sandbox.url, progress=bury)
    assert fetch(engine, "SELECT count(*) FROM deletion_outcomes") == [0]


def test_a_late_answer_changes_nothing(engine: Engine, sandbox: Sandbox) -> None:
    (request_id,) = insert(engine, {"forge_user_id": ADA.id})

    def take_over(_done: int, _due: int) -> None:
        with writing(engine) as connection:
            connection.exec_driver_sql(
                "UPDATE deletion_requests SET fence = 7, claimed_by = 'other'"
                " WHERE status = 'running'"
            )

    sandbox.script(Fault(kind=FaultKind.SLOW, delay_s=0.3, count=None))
    summary = night(engine, sandbox.url, progress=take_over)
    assert (summary.late, summary.finished) == (1, 0)
    assert fetch(engine, "SELECT id, status, claimed_by, fence FROM deletion_requests") == [
        (request_id, "running", "other", 7)
    ]


def test_steps_are_in_the_record(engine: Engine, sandbox: Sandbox) -> None:
    insert(engine, {"forge_user_id": ADA.id})
    night(engine, sandbox.url, steps=Steps(erase_logs=True, verify=True))
    (body,) = fetch(engine, "SELECT body FROM audit_events WHERE event = 'attempt.finished'")
    assert (
        '"steps":[{"http_status":200,"name":"logs","tries":1},'
        '{"http_status":200,"name":"account","tries":1},'
        '{"http_status":404,"name":"verify","tries":1}]' in body
    )


def test_who_is_still_there_goes_to_a_person(engine: Engine, sandbox: Sandbox) -> None:
    insert(engine, {"forge_user_id": ADA.id})
    sandbox.script(status(204))
    night(engine, sandbox.url, steps=Steps(verify=True))
    assert fetch(engine, "SELECT status, status_reason FROM deletion_requests") == [
        ("review", "still_present")
    ]


def test_a_reference_that_names_the_person_stays_in_the_table(
    engine: Engine, sandbox: Sandbox
) -> None:
    insert(
        engine,
        {"forge_user_id": ADA.id, "reference": f"user-{ADA.id.upper()}"},
        {"forge_user_id": BOB.id, "reference": "T-1"},
    )
    night(engine, sandbox.url)
    withheld, shown = fetch(engine, "SELECT reference FROM deletion_outcomes ORDER BY request_id")
    assert (is_hash(withheld), shown) == (True, "T-1")


def test_a_dry_run_says_what_would_be_and_touches_nothing(engine: Engine, sandbox: Sandbox) -> None:
    soon = "2999-01-01 00:00:00.000000"
    insert(
        engine,
        {"forge_user_id": ADA.id},
        {"forge_user_id": GHOST},
        {"email": BOB.email},
        {"forge_user_id": ADA.id, "not_before": soon},
        {"forge_user_id": ADA.id, "next_attempt_at": soon},
        {"forge_user_id": generated_user(2).id, "status": "held", "due_on": "2030-01-01"},
        {"forge_user_id": ADA.id, "status": "odd"},
        {"forge_user_id": ADA.id, "status": "done"},
    )
    before = fetch(engine, "SELECT * FROM deletion_requests ORDER BY id")
    account = Account.of([SUBJECT_KEY], base_url=sandbox.url, api_key="sandbox-key")
    with client(sandbox.url) as opened:
        check = Check(
            read=lambda ids, emails: read_directory(opened, user_ids=ids, emails=emails),
            account=account,
            ids=DEFAULT_RULES,
        )
        answer = preview(engine, Limits(max_due=2, cool_off_days=0), check=check)
    assert [(g.fate, g.due_on, g.count) for g in answer.groups] == [
        ("due", None, 3),
        ("cool_off", None, 1),
        ("backoff", None, 1),
        ("held", date(2030, 1, 1), 1),
        ("unknown_status", None, 1),
    ]
    assert answer.checked == {"absent": 1, "exists": 2}
    assert answer.reach == Reach(
        key=account.short, users=30, named=2, here=1, proof=AccountProof.LISTED
    )
    assert answer.guard is not None
    assert fetch(engine, "SELECT * FROM deletion_requests ORDER BY id") == before
    assert fetch(engine, "SELECT count(*) FROM audit_events") == [0]
    assert [seen.method for seen in sandbox.seen] == ["GET"]


def test_a_run_needs_a_migrated_database(engine: Engine, sandbox: Sandbox) -> None:
    with writing(engine) as connection:
        connection.exec_driver_sql("DROP TABLE forge_gdpr_version")
    with pytest.raises(ConfigurationError, match="db upgrade"):
        night(engine, sandbox.url)


def test_any_name_can_be_erased(engine: Engine) -> None:
    odd = User(id="jörg.müller@例え", name="Jörg 🦄", email="jörg@例え.jp")
    with Sandbox(users=0, key="sandbox-key") as sandbox:
        sandbox.add(odd)
        insert(engine, {"forge_user_id": odd.id})
        anything = IdRules(pattern=re.compile(".+"))
        summary = night(engine, sandbox.url, order={"ids": anything})
        assert summary.outcomes == {Outcome.ERASED: 1}
        assert sandbox.users == ()
