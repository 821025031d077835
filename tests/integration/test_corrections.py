"""Whoever corrects a row names another person: the record says so, and nothing is inherited."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from world import SUBJECT_KEY, fetch, insert, night

from forge_gdpr.absence import Account
from forge_gdpr.audit.verify import verify
from forge_gdpr.database.engine import now, reading, writing
from forge_gdpr.deadlines import LegalClock
from forge_gdpr.desk.forgetting import forget
from forge_gdpr.desk.proving import known_of
from forge_gdpr.desk.steering import Wish, steer
from forge_gdpr.errors import GuardStoppedError
from forge_gdpr.identity import IdRules
from forge_gdpr.pseudonyms import Keyring, Kind, SubjectKey
from forge_gdpr.retention import Cutoffs, Periods
from forge_gdpr.run.opening import Limits
from forge_gdpr.run.plan import made
from forge_gdpr.sandbox import Fault, FaultKind, Sandbox, generated_user

if TYPE_CHECKING:
    from sqlalchemy import Engine

ADA, BEN, EVE = generated_user(0), generated_user(1), generated_user(2)
KEYS = Keyring((SUBJECT_KEY,))
APPROVED = Limits(max_due=1000, cool_off_days=0, approved_only=True)
STATE = "SELECT status, attempts, approved_by FROM deletion_requests"


def by_id(user_id: str, key: SubjectKey = SUBJECT_KEY) -> str:
    return key.subject(Kind.USER_ID, user_id)


def by_email(email: str) -> str:
    return SUBJECT_KEY.subject(Kind.EMAIL, email)


def correct(engine: Engine, change: str) -> None:
    """Write into the rows by hand, and let the night after begin."""
    with writing(engine) as connection:
        connection.exec_driver_sql(f"UPDATE deletion_requests SET next_attempt_at = NULL, {change}")


def do(engine: Engine, action: str, *ids: int, actor: str = "kim", reason: str = "checked") -> None:
    wish = Wish(action=action, actor=actor, reason=reason)
    with writing(engine) as connection:
        steer(connection, ids, wish, key=SUBJECT_KEY, legal=LegalClock())


def bodies(engine: Engine, event: str) -> list[dict[str, Any]]:
    rows = fetch(engine, f"SELECT body FROM audit_events WHERE event = '{event}' ORDER BY id")
    with reading(engine) as connection:
        verify(connection)
    return [json.loads(row) for row in rows]


def answers(engine: Engine, *, user_id: str | None = None, email: str | None = None) -> list[str]:
    """Return what `audit prove` says of a person."""
    with reading(engine) as connection:
        found = known_of(connection, KEYS, user_id=user_id, email=email).found
    return [one.answer for one in found]


def forget_all(engine: Engine) -> None:
    """Remove what is closed, as retention does in the end."""
    with reading(engine) as connection:
        at = now(connection)
    cutoffs = Cutoffs(now=at, ids_before=at, requests_before=at)
    forget(engine, cutoffs, periods=Periods(ids_days=1, requests_months=1), actor="kim")
    assert fetch(engine, "SELECT count(*) FROM deletion_requests") == [0]


def test_the_record_names_who_was_erased_and_not_who_was_admitted(
    engine: Engine, sandbox: Sandbox
) -> None:
    (request_id,) = insert(engine, {"forge_user_id": ADA.id, "email": BEN.email})
    night(engine, sandbox.url)
    assert fetch(engine, "SELECT status_reason FROM deletion_requests") == ["identity_mismatch"]
    correct(engine, f"forge_user_id = '{BEN.id}'")
    do(engine, "retry", request_id)
    night(engine, sandbox.url)
    first, second = bodies(engine, "request.admitted")
    assert (first["subject"], "former" in first) == (by_id(ADA.id), False)
    assert (second["subject"], second["former"]) == (by_id(BEN.id), by_id(ADA.id))
    assert second["due_on"] == first["due_on"]
    (closing,) = bodies(engine, "request.closed")
    assert (closing["outcome"], closing["subject"]) == ("erased", by_id(BEN.id))
    assert closing["also"] == [by_email(BEN.email)]
    for forgotten in (False, True):
        if forgotten:
            forget_all(engine)
        assert answers(engine, user_id=BEN.id) == ["erased"]
        assert answers(engine, email=BEN.email) == ["erased"]
        assert answers(engine, user_id=ADA.id) == []
    assert {user.id for user in sandbox.users} >= {ADA.id}


def test_a_row_is_admitted_again_at_the_claim(engine: Engine, sandbox: Sandbox) -> None:
    sandbox.script(Fault(kind=FaultKind.STATUS, status=500, user_id=ADA.id, count=None))
    insert(engine, {"forge_user_id": ADA.id})
    night(engine, sandbox.url)
    correct(engine, f"forge_user_id = '{BEN.id}'")
    night(engine, sandbox.url)
    events = fetch(engine, "SELECT event, subject FROM audit_events WHERE request_id IS NOT NULL")
    assert events == [
        ("request.admitted", by_id(ADA.id)),
        ("attempt.started", by_id(ADA.id)),
        ("attempt.finished", by_id(ADA.id)),
        ("request.admitted", by_id(BEN.id)),
        ("attempt.started", by_id(BEN.id)),
        ("attempt.finished", by_id(BEN.id)),
        ("request.closed", by_id(BEN.id)),
    ]
    assert fetch(engine, "SELECT subject FROM deletion_requests") == [by_id(BEN.id)]


def test_an_approval_lapses_with_the_person_it_was_given_for(
    engine: Engine, sandbox: Sandbox
) -> None:
    (request_id,) = insert(engine, {"forge_user_id": ADA.id})
    do(engine, "approve", request_id)
    correct(engine, f"forge_user_id = '{BEN.id}'")
    summary = night(engine, sandbox.url, limits=APPROVED)
    assert (summary.exit_code, summary.sums.given_back, summary.sums.total) == (0, 1, 1)
    assert not [seen for seen in sandbox.seen if seen.method == "DELETE"]
    assert fetch(engine, STATE) == [("pending", 0, None)]
    assert bodies(engine, "attempt.started") == []
    night(engine, sandbox.url, limits=APPROVED)
    assert fetch(engine, STATE) == [("pending", 0, None)]
    do(engine, "approve", request_id)
    night(engine, sandbox.url, limits=APPROVED)
    assert [one["subject"] for one in bodies(engine, "request.closed")] == [by_id(BEN.id)]


def test_an_approval_of_a_corrected_row_is_for_the_person_it_names_now(
    engine: Engine, sandbox: Sandbox
) -> None:
    (request_id,) = insert(engine, {"forge_user_id": ADA.id})
    night(engine, sandbox.url, limits=APPROVED)
    correct(engine, f"forge_user_id = '{BEN.id}'")
    do(engine, "approve", request_id)
    (approved,) = bodies(engine, "request.approved")
    assert approved["subject"] == by_id(BEN.id)
    night(engine, sandbox.url, limits=APPROVED)
    assert [one["subject"] for one in bodies(engine, "request.closed")] == [by_id(BEN.id)]


@pytest.mark.parametrize("action", ["cancel", "refuse"])
def test_who_ends_a_corrected_request_ends_it_for_the_person_it_names_now(
    engine: Engine, sandbox: Sandbox, action: str
) -> None:
    (request_id,) = insert(engine, {"email": ADA.email, "status": "held"})
    night(engine, sandbox.url)
    correct(engine, f"email = '{BEN.email}', forge_user_id = '{BEN.id}'")
    do(engine, action, request_id, reason="withdrawn")
    (end,) = bodies(engine, f"request.{action}{'led' if action == 'cancel' else 'd'}")
    assert (end["subject"], end["also"]) == (by_id(BEN.id), [by_email(BEN.email)])
    forget_all(engine)
    assert answers(engine, email=BEN.email) == answers(engine, user_id=BEN.id) != []
    assert answers(engine, email=ADA.email) == []


def test_a_plan_does_not_cover_a_row_that_is_corrected_after_its_run_began(
    engine: Engine, sandbox: Sandbox
) -> None:
    insert(engine, {"forge_user_id": ADA.id}, {"forge_user_id": BEN.id})
    night(engine, sandbox.url, limits=Limits(max_due=0, cool_off_days=0, limit=0, expected=9))
    limits = Limits(max_due=1000, cool_off_days=0)
    with reading(engine) as connection:
        due = limits.due(now(connection))
        plan = made(
            connection, due, key=SUBJECT_KEY, legal=LegalClock(), base_url="", steps=("user",)
        )
    corrected = False

    def meddle(_done: int, due: int) -> None:
        nonlocal corrected
        if due and not corrected:
            corrected = True
            correct(engine, f"forge_user_id = '{EVE.id}' WHERE forge_user_id = '{BEN.id}'")

    planned = Limits(max_due=1000, cool_off_days=0, plan=plan)
    summary = night(engine, sandbox.url, limits=planned, progress=meddle)
    assert (summary.sums.done, summary.sums.given_back) == (1, 1)
    assert {user.id for user in sandbox.users} >= {BEN.id, EVE.id}
    assert fetch(engine, f"{STATE} ORDER BY id") == [("done", 1, None), ("pending", 0, None)]
    with pytest.raises(GuardStoppedError):
        night(engine, sandbox.url, limits=planned)


def test_what_a_run_finds_by_e_mail_is_no_correction(engine: Engine, sandbox: Sandbox) -> None:
    sandbox.script(Fault(kind=FaultKind.STATUS, status=500, user_id=ADA.id, count=4))
    (request_id,) = insert(engine, {"email": f" {ADA.email}"})
    do(engine, "approve", request_id)
    night(engine, sandbox.url, limits=APPROVED)
    assert fetch(engine, "SELECT forge_user_id FROM deletion_requests") == [ADA.id]
    correct(engine, "attempts = attempts")
    night(engine, sandbox.url, limits=APPROVED)
    assert len(bodies(engine, "request.admitted")) == 1
    (closing,) = bodies(engine, "request.closed")
    assert (closing["outcome"], closing["subject"]) == ("erased", by_email(ADA.email))
    assert closing["also"] == [by_id(ADA.id)]


def test_the_same_person_under_an_older_key_is_no_correction(
    engine: Engine, sandbox: Sandbox
) -> None:
    old = SubjectKey(b"o" * 32)
    order = {"account": Account.of([old, SUBJECT_KEY], base_url=sandbox.url, api_key="sandbox-key")}
    insert(engine, {"forge_user_id": ADA.id})
    admitting = Limits(max_due=0, cool_off_days=0, limit=0, expected=9)
    night(engine, sandbox.url, limits=admitting, order={"subject_key": old})
    night(engine, sandbox.url, order=order)
    assert len(bodies(engine, "request.admitted")) == 1
    (closing,) = bodies(engine, "request.closed")
    assert (closing["subject"], closing["also"]) == (by_id(ADA.id, old), [by_id(ADA.id)])


@pytest.mark.parametrize("is_corrected", [True, False], ids=["corrected", "cancelled as it is"])
def test_an_id_with_a_blank_is_found_without_it(
    engine: Engine, sandbox: Sandbox, is_corrected: bool
) -> None:
    (request_id,) = insert(engine, {"forge_user_id": f"{ADA.id} "})
    night(engine, sandbox.url)
    assert fetch(engine, "SELECT status_reason FROM deletion_requests") == ["invalid_user_id"]
    if is_corrected:
        correct(engine, f"forge_user_id = '{ADA.id}'")
        do(engine, "retry", request_id)
        night(engine, sandbox.url)
        (end,) = bodies(engine, "request.closed")
        assert end["subject"] == by_id(ADA.id)
    else:
        do(engine, "cancel", request_id, reason="mistake")
    forget_all(engine)
    (answer,) = answers(engine, user_id=ADA.id)
    assert answer == ("erased" if is_corrected else "cancelled")


def test_a_row_back_and_forth_remembers_what_was_tried_for_each(
    engine: Engine, sandbox: Sandbox
) -> None:
    """A 500 for A, then the row names a ghost, then A again: only A's attempts count for A."""
    ghost = "1" * 24
    rules = {"ids": IdRules(sentinel=generated_user(9).id)}
    sandbox.script(Fault(kind=FaultKind.STATUS, status=500, user_id=ADA.id, count=None))
    insert(engine, {"forge_user_id": ADA.id})
    night(engine, sandbox.url, order=rules)
    correct(engine, f"forge_user_id = '{ghost}'")
    night(engine, sandbox.url, order=rules)
    assert [one["outcome"] for one in bodies(engine, "request.closed")] == ["already_absent"]


def test_a_subject_that_an_application_wrote_is_nobodys(engine: Engine, sandbox: Sandbox) -> None:
    written = f"v1:{'0' * 8}:{'61ab8f99251cba0014437326':0<64}"
    insert(
        engine,
        {"forge_user_id": ADA.id, "subject": written, "due_on": "2200-01-01"},
        {"forge_user_id": BEN.id, "subject": "v1:0:61ab8f99251cba0014437326"},
    )
    night(engine, sandbox.url)
    everything = str(fetch(engine, "SELECT * FROM audit_events"))
    assert "61ab8f99251cba0014437326" not in everything
    first = bodies(engine, "request.admitted")[-1]
    assert (first["subject"], "former" in first) == (by_id(ADA.id), False)
    assert re.search("request.closed", everything)


@pytest.mark.parametrize("change", ["as admitted", "as if nobody had seen it"])
def test_who_also_writes_the_pseudonym_deceives_no_record(
    engine: Engine, sandbox: Sandbox, change: str
) -> None:
    """Whoever may write the row can copy a pseudonym from the record, or take one away."""
    insert(engine, {"forge_user_id": ADA.id})
    night(engine, sandbox.url, limits=Limits(max_due=0, cool_off_days=0, limit=0, expected=9))
    subject = f"'{by_id(BEN.id)}'" if change == "as admitted" else "NULL"
    correct(engine, f"forge_user_id = '{BEN.id}', subject = {subject}")
    night(engine, sandbox.url)
    first, second = bodies(engine, "request.admitted")
    assert (first["subject"], second["subject"]) == (by_id(ADA.id), by_id(BEN.id))
    assert second["former"] == by_id(ADA.id)
    assert answers(engine, user_id=BEN.id) == ["erased"]
    assert answers(engine, user_id=ADA.id) == []


@pytest.mark.parametrize("email", ["NULL", f"'{ADA.email}'"], ids=["taken out", "the right one"])
def test_who_was_named_by_a_wrong_address_was_not_erased(
    engine: Engine, sandbox: Sandbox, email: str
) -> None:
    (request_id,) = insert(engine, {"forge_user_id": ADA.id, "email": BEN.email})
    night(engine, sandbox.url)
    correct(engine, f"email = {email}")
    do(engine, "retry", request_id)
    night(engine, sandbox.url)
    first, second = bodies(engine, "request.admitted")
    assert first["also"] == [by_email(BEN.email)]
    assert second.get("also", []) == ([] if email == "NULL" else [by_email(ADA.email)])
    for forgotten in (False, True):
        if forgotten:
            forget_all(engine)
        assert answers(engine, user_id=ADA.id) == ["erased"]
        assert answers(engine, email=BEN.email) == []
        assert answers(engine, email=ADA.email) == ([] if email == "NULL" else ["erased"])
    assert BEN.id in {user.id for user in sandbox.users}


@pytest.mark.parametrize(
    ("before", "after"), [(BEN.email, "NULL"), (None, f"'{ADA.email}'")], ids=["less", "more"]
)
def test_an_approval_is_for_the_address_too(
    engine: Engine, sandbox: Sandbox, before: str | None, after: str
) -> None:
    (request_id,) = insert(engine, {"forge_user_id": ADA.id, "email": before, "created_by": "kim"})
    do(engine, "approve", request_id, actor="grace")
    correct(engine, f"email = {after}")
    night(engine, sandbox.url, limits=APPROVED)
    assert fetch(engine, STATE) == [("pending", 0, None)]
    assert ADA.id in {user.id for user in sandbox.users}
