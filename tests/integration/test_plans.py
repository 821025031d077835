"""What was signed off is what is done: a plan is sealed, and each claim is compared with it."""

from __future__ import annotations

import hashlib
import json
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from world import SUBJECT_KEY, Program, fetch, insert, night

from forge_gdpr.chain import canonical
from forge_gdpr.database.engine import now, reading, writing
from forge_gdpr.deadlines import LegalClock
from forge_gdpr.errors import ExitCode, GuardStoppedError
from forge_gdpr.pseudonyms import Kind, SubjectKey
from forge_gdpr.run.opening import Limits
from forge_gdpr.run.plan import Plan, made, read, states
from forge_gdpr.sandbox import Fault, FaultKind, Sandbox, generated_user

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

ADA, BEN, EVE = generated_user(0), generated_user(1), generated_user(2)
LIMITS = Limits(max_due=1000, cool_off_days=0)
YESTERDAY = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d %H:%M:%S.%f}"
EVES = SUBJECT_KEY.subject(Kind.USER_ID, EVE.id)


def planned(engine: Engine, key: SubjectKey = SUBJECT_KEY) -> Plan:
    with reading(engine) as connection:
        due = LIMITS.due(now(connection))
        return made(connection, due, key=key, legal=LegalClock(), base_url="", steps=("account",))


def write(engine: Engine, change: str) -> None:
    with writing(engine) as connection:
        connection.exec_driver_sql(f"UPDATE deletion_requests SET {change}")


def once_begun(engine: Engine, change: str) -> Callable[[int, int], None]:
    """Write into the rows when the plan has been checked, and nobody has been claimed yet."""
    changes = [change]

    def meddle(_done: int, due: int) -> None:
        if due and changes:
            write(engine, changes.pop())

    return meddle


@pytest.mark.parametrize(
    "change",
    [
        f"forge_user_id = '{EVE.id}'",
        pytest.param(
            f"forge_user_id = '{EVE.id}', subject = '{EVES}', due_on = '2200-01-01'",
            id="also the pseudonym",
        ),
        pytest.param(f"forge_user_id = '{EVE.id}', subject = NULL", id="as if nobody had seen it"),
        f"email = '{EVE.email}'",
        "reference = 'T-99'",
        "regime = 'ccpa'",
        pytest.param(f"received_at = '{YESTERDAY}'", id="received_at"),
        pytest.param(f"not_before = '{YESTERDAY}'", id="not_before"),
        "attempts = 1",
        "approved_by = 'grace'",
    ],
)
def test_a_row_that_changes_after_the_plan_was_checked_is_given_back(
    engine: Engine, sandbox: Sandbox, change: str
) -> None:
    insert(engine, {"forge_user_id": ADA.id}, {"forge_user_id": BEN.id})
    planning = Limits(max_due=1000, cool_off_days=0, plan=planned(engine))
    meddle = once_begun(engine, f"{change} WHERE id = 2")
    summary = night(engine, sandbox.url, limits=planning, progress=meddle)
    assert (summary.sums.done, summary.sums.given_back, summary.sums.total) == (1, 1, 2)
    assert (summary.not_as_planned, summary.exit_code) == ([2], 10)
    assert summary.as_json()["not_as_planned"] == [2]
    deleted = [seen.user_id for seen in sandbox.seen if seen.method == "DELETE"]
    assert deleted == [ADA.id]
    assert fetch(engine, "SELECT status FROM deletion_requests ORDER BY id") == ["done", "pending"]
    assert fetch(engine, "SELECT request_id FROM audit_events WHERE event = 'attempt.started'") == [
        1
    ]
    (closed,) = fetch(engine, "SELECT body FROM audit_events WHERE event = 'run.closed'")
    assert json.loads(closed)["not_as_planned"] == 1
    with pytest.raises(GuardStoppedError, match=r"1 of its 2|2 of its 2"):
        night(engine, sandbox.url, limits=planning)


@pytest.mark.parametrize(
    ("change", "exit_code"),
    [
        pytest.param(
            f"forge_user_id = NULL, email = '{EVE.email}'",
            ExitCode.NEEDS_REVIEW,
            id="no list was read for it",
        ),
        pytest.param(
            "not_before = '2999-01-01 00:00:00.000000'",
            ExitCode.DEADLINE_AT_RISK,
            id="it is not due any more",
        ),
    ],
)
def test_what_changed_and_is_not_claimed_is_named_too(
    engine: Engine, sandbox: Sandbox, change: str, exit_code: ExitCode
) -> None:
    insert(engine, {"forge_user_id": ADA.id}, {"forge_user_id": BEN.id})
    planning = Limits(max_due=1000, cool_off_days=0, plan=planned(engine))
    meddle = once_begun(engine, f"{change} WHERE id = 2")
    summary = night(engine, sandbox.url, limits=planning, progress=meddle)
    assert (summary.not_as_planned, summary.exit_code) == ([2], exit_code)
    assert [seen.user_id for seen in sandbox.seen if seen.method == "DELETE"] == [ADA.id]


def test_the_summary_names_what_was_not_as_planned(
    program: Program, engine: Engine, sandbox: Sandbox
) -> None:
    """A row is changed while the run waits for Forge's first answer."""
    insert(engine, {"forge_user_id": ADA.id}, {"forge_user_id": BEN.id})
    assert program.here("run", "--dry-run", "--plan", "plan.json").returncode == 0
    sandbox.script(Fault(kind=FaultKind.SLOW, delay_s=2.0, user_id=ADA.id))
    process = program.start("run", "--plan", "plan.json")
    while not sandbox.seen:
        assert process.poll() is None
        threading.Event().wait(0.01)
    write(engine, "reference = 'T-99' WHERE id = 2")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 10
    assert (
        "request 2 was changed after the plan was made, so nobody was called for it: look at it,"
        " then make a new plan with 'forge-gdpr run --dry-run --plan FILE'"
    ) in said
    assert [seen.user_id for seen in sandbox.seen if seen.method == "DELETE"] == [ADA.id]


def test_what_a_run_itself_writes_is_no_change(engine: Engine, sandbox: Sandbox) -> None:
    insert(engine, {"email": ADA.email}, {"forge_user_id": BEN.id})
    plan = planned(engine)
    before = {one.id: one.state for one in plan.requests}
    summary = night(engine, sandbox.url, limits=Limits(max_due=9, cool_off_days=0, plan=plan))
    assert (summary.sums.done, summary.not_as_planned, summary.exit_code) == (2, [], 0)
    write(engine, f"email = '{ADA.email}', attempts = 0 WHERE id = 1")
    with reading(engine) as connection:
        after = states(connection, [1], key=SUBJECT_KEY, noted={1: ADA.id})
        other = states(connection, [1], key=SUBJECT_KEY)
    assert after[1] == before[1] != other[1]


def altered(text: str, change: Callable[[dict[str, Any]], object]) -> str:
    """Alter a plan and make its sum again, as anybody can."""
    said = json.loads(text)
    change(said)
    named = {name: value for name, value in said.items() if name not in {"seal", "sha256"}}
    said["sha256"] = hashlib.sha256(canonical(named).encode()).hexdigest()
    return json.dumps(said)


def cut(said: dict[str, Any]) -> None:
    said["requests"].pop()
    said["count"] -= 1


FORGERIES: dict[str, Callable[[dict[str, Any]], object]] = {
    "an entry cut out": cut,
    "an entry twice": lambda said: said["requests"].append(said["requests"][0]),
    "renewed": lambda said: said.update(made_at="2100-01-01T00:00:00.000000Z"),
    "no zone": lambda said: said.update(made_at="2026-01-01T00:00:00.000000"),
    "another address": lambda said: said.update(base_url="https://example.org"),
    "another id": lambda said: said["requests"][0].update(id=3),
    "a huge id": lambda said: said["requests"][0].update(id=2**53),
    "no number": lambda said: said["requests"][0].update(id=True),
    "another field": lambda said: said["requests"][0].update(note="x"),
    "no seal": lambda said: said.pop("seal"),
    "a seal that is no text": lambda said: said.update(seal=["v1"]),
    "half a character": lambda said: said.update(seal="\udcff"),
    "an older form": lambda said: said.update(format="forge-gdpr plan 1"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_nobody_without_the_key_makes_or_alters_a_plan(engine: Engine, forgery: str) -> None:
    insert(engine, {"forge_user_id": ADA.id}, {"forge_user_id": BEN.id})
    plan = planned(engine)
    text = plan.as_text(SUBJECT_KEY)
    assert read(text, key=SUBJECT_KEY, max_age_h=24) == plan
    with pytest.raises(GuardStoppedError, match="run --dry-run --plan FILE"):
        read(altered(text, FORGERIES[forgery]), key=SUBJECT_KEY, max_age_h=24)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is not JSON"),
        ("[]", "it is no plan"),
        ('{"format": 2}', "it is no plan"),
        ('{"format": "forge-gdpr plan 2", "format": "forge-gdpr plan 2"}', "one name twice"),
        ('{"format": "forge-gdpr plan 1"}', "another version of this program made it"),
        ('{"format": "forge-gdpr plan 2"}', "made under another subject key"),
    ],
)
def test_what_is_no_plan_is_said(text: str, why: str) -> None:
    with pytest.raises(GuardStoppedError, match=why):
        read(text, key=SUBJECT_KEY, max_age_h=24)


def test_another_keys_plan_is_refused(engine: Engine) -> None:
    insert(engine, {"forge_user_id": ADA.id})
    text = planned(engine).as_text(SubjectKey(b"o" * 32))
    with pytest.raises(GuardStoppedError, match="under another subject key"):
        read(text, key=SUBJECT_KEY, max_age_h=24)


WRONG: dict[str, Callable[[dict[str, Any]], object]] = {
    "no zone": lambda said: said.update(made_at="2026-01-01T00:00:00"),
    "no time": lambda said: said.update(made_at=None),
    "no address": lambda said: said.update(base_url=None),
    "a step for steps": lambda said: said.update(steps="account"),
    "no requests": lambda said: said.update(requests={}),
    "no request": lambda said: said.update(requests=[1]),
    "true for 1": lambda said: said["requests"][0].update(id=True),
    "no id": lambda said: said["requests"][0].update(id=0),
    "another field of a request": lambda said: said["requests"][0].update(note="x"),
    "no day": lambda said: said["requests"][0].update(due_on="2026-02-30"),
    "a day in another form": lambda said: said["requests"][0].update(due_on="20260228"),
    "twice": lambda said: said["requests"].append(said["requests"][0]),
    "another count": lambda said: said.update(count=7),
    "another field": lambda said: said.update(note="x"),
}


@pytest.mark.parametrize("change", WRONG)
def test_also_a_sealed_plan_is_read_strictly(engine: Engine, change: str) -> None:
    insert(engine, {"forge_user_id": ADA.id})
    said = json.loads(altered(planned(engine).as_text(SUBJECT_KEY), WRONG[change]))
    del said["seal"]
    text = json.dumps(said | {"seal": SUBJECT_KEY.seal("plan v2", canonical(said))})
    with pytest.raises(GuardStoppedError, match="it is no plan"):
        read(text, key=SUBJECT_KEY, max_age_h=24)
