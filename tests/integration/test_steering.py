"""What operators do to requests: on both databases, on record, all or none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from world import SUBJECT_KEY, fetch, insert, night

from forge_gdpr.audit.verify import verify
from forge_gdpr.database.engine import reading, writing
from forge_gdpr.database.tables import deletion_outcomes
from forge_gdpr.deadlines import LegalClock
from forge_gdpr.desk.actions import ACTIONS
from forge_gdpr.desk.steering import Wish, steer
from forge_gdpr.errors import InvalidInputError, NotFoundError
from forge_gdpr.run.opening import Limits
from forge_gdpr.sandbox import Fault, FaultKind, Sandbox, generated_user

if TYPE_CHECKING:
    from sqlalchemy import Engine

ADA, BEN = generated_user(0), generated_user(1)


def do(
    engine: Engine, action: str, *ids: int, actor: str = "kim", ticket: str | None = None
) -> None:
    reason = next(iter(ACTIONS[action].reasons))
    wish = Wish(action=action, actor=actor, reason=reason, ticket=ticket)
    with writing(engine) as connection:
        steer(connection, ids, wish, key=SUBJECT_KEY, legal=LegalClock())


def statuses(engine: Engine) -> list[object]:
    return fetch(engine, "SELECT status FROM deletion_requests ORDER BY id")


def bodies(engine: Engine, event: str) -> list[dict[str, object]]:
    rows = fetch(engine, f"SELECT body FROM audit_events WHERE event = '{event}' ORDER BY id")
    with reading(engine) as connection:
        verify(connection)
    return [json.loads(row) for row in rows]


def test_a_hold_keeps_the_run_away_until_it_is_released(engine: Engine, sandbox: Sandbox) -> None:
    ids = insert(engine, {"forge_user_id": ADA.id}, {"forge_user_id": BEN.id})
    do(engine, "hold", ids[0], ticket="LEGAL-7")
    night(engine, sandbox.url)
    assert statuses(engine) == ["held", "done"]
    do(engine, "release", ids[0])
    night(engine, sandbox.url)
    assert statuses(engine) == ["done", "done"]
    (held,) = bodies(engine, "request.held")
    assert {name: held[name] for name in ("actor", "reason", "ticket", "status", "chain")} == {
        "actor": "kim",
        "reason": "legal_claims",
        "ticket": "LEGAL-7",
        "status": "held",
        "chain": "main",
    }


@pytest.mark.parametrize(("action", "status"), [("cancel", "cancelled"), ("refuse", "refused")])
def test_a_closed_request_forgets_the_address_and_stands_in_the_outcomes(
    engine: Engine, sandbox: Sandbox, action: str, status: str
) -> None:
    row = {"forge_user_id": ADA.id, "email": ADA.email, "reference": "T-1"}
    (request_id,) = insert(engine, row)
    do(engine, action, request_id)
    night(engine, sandbox.url)
    assert not sandbox.seen
    assert fetch(engine, "SELECT status, email FROM deletion_requests") == [(status, None)]
    with reading(engine) as connection:
        (outcome,) = connection.execute(deletion_outcomes.select()).all()
    assert (outcome.outcome, outcome.reference, outcome.actor) == (status, "T-1", "kim")
    assert outcome.on_time
    assert bodies(engine, f"request.{status}")[0]["also"]
    everything = str(fetch(engine, "SELECT * FROM audit_events"))
    assert ADA.id not in everything
    assert ADA.email not in everything


def test_an_extension_counts_from_receipt_and_is_granted_once(engine: Engine) -> None:
    row = {"forge_user_id": ADA.id, "received_at": "2200-01-31 10:00:00"}
    (request_id,) = insert(engine, row)
    do(engine, "extend", request_id)
    dates = "SELECT due_on, alarm_on FROM deletion_requests"
    assert [str(one) for one in fetch(engine, dates)[0]] == ["2200-04-30", "2200-04-30"]
    (extended,) = bodies(engine, "request.extended")
    assert (extended["due_before"], extended["due_on"]) == ("2200-02-28", "2200-04-30")
    with pytest.raises(InvalidInputError, match="was extended before"):
        do(engine, "extend", request_id)


def test_a_retry_gives_all_attempts_back(engine: Engine, sandbox: Sandbox) -> None:
    (request_id,) = insert(engine, {"forge_user_id": ADA.id})
    sandbox.script(Fault(kind=FaultKind.STATUS, status=422))
    night(engine, sandbox.url)
    assert fetch(engine, "SELECT status, status_reason, attempts FROM deletion_requests") == [
        ("review", "rejected", 1)
    ]
    do(engine, "retry", request_id)
    assert fetch(engine, "SELECT status, status_reason, attempts FROM deletion_requests") == [
        ("pending", None, 0)
    ]
    night(engine, sandbox.url)
    assert statuses(engine) == ["done"]


def test_only_what_somebody_else_approved_is_deleted(engine: Engine, sandbox: Sandbox) -> None:
    ids = insert(
        engine,
        {"forge_user_id": ADA.id, "created_by": "kim"},
        {"forge_user_id": BEN.id, "created_by": "kim"},
    )
    with pytest.raises(InvalidInputError, match="was made by kim: somebody else has to approve it"):
        do(engine, "approve", ids[0], actor="kim")
    do(engine, "approve", ids[0], actor="lee")
    night(engine, sandbox.url, limits=Limits(max_due=9, cool_off_days=0, approved_only=True))
    assert statuses(engine) == ["done", "pending"]


def test_all_of_them_or_none(engine: Engine) -> None:
    ids = insert(engine, {"forge_user_id": ADA.id}, {"forge_user_id": BEN.id})
    do(engine, "cancel", ids[1])
    with pytest.raises(
        InvalidInputError, match="request 2 is cancelled, and that is final; nothing"
    ):
        do(engine, "hold", *ids)
    with pytest.raises(NotFoundError, match="there is no request 99"):
        do(engine, "hold", ids[0], 99)
    assert statuses(engine) == ["pending", "cancelled"]
    assert bodies(engine, "request.held") == []
