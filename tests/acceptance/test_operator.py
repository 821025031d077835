"""The operator's desk, typed: steering, plans and guards."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from world import Program, fetch, insert, night

from forge_gdpr.sandbox import Fault, FaultKind, Sandbox, generated_user

if TYPE_CHECKING:
    from sqlalchemy import Engine

USERS = [generated_user(number) for number in range(12)]
STATUSES = "SELECT status FROM deletion_requests ORDER BY id"


def test_requests_are_steered_by_ids_reference_and_filters(
    program: Program, engine: Engine
) -> None:
    insert(
        engine,
        {"forge_user_id": USERS[0].id, "reference": "T-1"},
        {"forge_user_id": USERS[1].id},
        {"forge_user_id": USERS[2].id},
    )
    held = program("requests", "hold", "--reference", "T-1", "--reason", "legal_claims", "--yes")
    assert (held.returncode, held.stdout) == (0, "1 request is held\n")
    asked = program.here("requests", "cancel", "--status", "pending", "--reason", "mistake")
    assert (asked.returncode, "filters need --yes" in asked.stderr) == (2, True)
    counted = program.here(
        "requests", "cancel", "--status", "pending", "--reason", "mistake", "--dry-run"
    )
    assert (counted.returncode, counted.stderr) == (0, "2 requests are meant\n")
    cancelled = program.here("requests", "cancel", "2", "--reason", "duplicate", "--ticket", "77")
    assert (cancelled.returncode, cancelled.stdout) == (0, "1 request is cancelled\n")
    assert fetch(engine, STATUSES) == ["held", "cancelled", "pending"]
    refused = program.here("requests", "retry", "1")
    assert (refused.returncode, refused.stderr) == (
        2,
        "error: request 1 is held: 'retry' is for what is review; nothing was changed\n",
    )
    assert program.here("audit", "verify").returncode == 0


def test_free_text_and_vague_orders_are_refused(program: Program, engine: Engine) -> None:
    insert(engine, {"forge_user_id": USERS[0].id})
    text = program.here(
        "requests", "hold", "1", "--reason", "dispute", "--ticket", "Mrs. Smith, ill"
    )
    assert (text.returncode, "it is no code" in text.stderr) == (2, True)
    for words in ((), ("1", "--status", "pending")):
        vague = program.here("requests", "release", *words)
        assert (vague.returncode, "name the requests" in vague.stderr) == (2, True)
    assert fetch(engine, "SELECT count(*) FROM audit_events") == [0]


def test_a_plan_is_carried_out_and_nothing_else(
    program: Program, engine: Engine, sandbox: Sandbox
) -> None:
    insert(engine, *({"forge_user_id": user.id} for user in USERS[:5]))
    planned = program.here("run", "--dry-run", "--plan", "plan.json", FORGE_GDPR_API_KEY="")
    assert planned.returncode == 0
    plan = json.loads((program.folder / "plan.json").read_text())
    assert (plan["count"], plan["steps"]) == (5, ["account"])
    assert USERS[0].id not in json.dumps(plan)
    insert(engine, {"forge_user_id": USERS[5].id})
    done = program("run", "--plan", "plan.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert fetch(engine, STATUSES) == ["done"] * 5 + ["pending"]
    assert len(sandbox.seen) == 5
    again = program.here("run", "--plan", "plan.json")
    assert (again.returncode, "5 of its 5 requests are not as they were" in again.stderr) == (
        8,
        True,
    )


def test_a_plan_that_no_longer_holds_is_refused(
    program: Program, engine: Engine, sandbox: Sandbox
) -> None:
    insert(engine, *({"forge_user_id": user.id} for user in USERS[:3]))
    file = program.folder / "plan.json"
    assert program.here("run", "--dry-run", "--plan", "plan.json").returncode == 0
    text = file.read_text()
    refused = {
        "it was altered after it was made": text.replace('"account"', '"logs", "account"'),
        "it is no plan": "{}",
    }
    for why, altered in refused.items():
        file.write_text(altered)
        done = program.here("run", "--plan", "plan.json")
        assert (done.returncode, why in done.stderr, done.stderr.count("\n")) == (8, True, 1)
    file.write_text(text)
    for why, variables in {
        "its steps are account, not logs, account": {"FORGE_GDPR_ERASE_LOGS": "true"},
        "over 0 h ago": {"FORGE_GDPR_PLAN_MAX_AGE_H": "0"},
    }.items():
        done = program.here("run", "--plan", "plan.json", **variables)
        assert (done.returncode, why in done.stderr) == (8, True)
    assert program.here("requests", "hold", "2", "--reason", "dispute").returncode == 0
    done = program.here("run", "--plan", "plan.json")
    assert (done.returncode, "(2)" in done.stderr) == (8, True)
    assert not sandbox.seen
    assert program.here("audit", "verify").returncode == 0


def test_each_guard_stops_a_night_and_is_overridden_on_record(
    program: Program, engine: Engine, sandbox: Sandbox
) -> None:
    for number in range(3):  # what is usual: one a night
        insert(engine, {"forge_user_id": USERS[number].id})
        assert program.here("run").returncode == 0
    insert(engine, *({"forge_user_id": user.id} for user in USERS[3:9]))
    before = len(sandbox.seen)
    for name, value in (("MAX_DUE", "5"), ("MAX_SHARE", "0.2"), ("SPIKE_FACTOR", "3")):
        done = program.here("run", **{f"FORGE_GDPR_{name}": value})
        assert (done.returncode, done.stderr.count("\n")) == (8, 1)
        assert f"FORGE_GDPR_{name}={value}" in done.stderr
    assert {seen.method for seen in sandbox.seen[before:]} == {"GET"}
    done = program.here(
        "run", "--expect", "6", "--reason", "backlog", FORGE_GDPR_MAX_DUE="5",
        FORGE_GDPR_SPIKE_FACTOR="3",
    )  # fmt: skip
    assert done.returncode == 0
    overridden = fetch(engine, "SELECT body FROM audit_events WHERE event = 'guard.overridden'")
    assert [
        (body["guard"], body["reason"], body["allowed"]) for body in map(json.loads, overridden)
    ] == [("max_due", "backlog", 6), ("spike", "backlog", 6)]


def test_the_canary_stops_a_night_in_which_nothing_succeeds(
    program: Program, engine: Engine, sandbox: Sandbox
) -> None:
    insert(engine, *({"forge_user_id": user.id} for user in USERS[:10]))
    sandbox.script(Fault(kind=FaultKind.STATUS, status=422, method="DELETE", count=None))
    done = program.here("run")
    assert done.returncode == 8
    assert "Forge refused the first deletions, so the others were not begun" in done.stderr
    assert "FORGE_GDPR_CANARY" not in done.stderr  # nobody is advised to disarm a guard
    assert fetch(engine, STATUSES) == ["review"] * 3 + ["pending"] * 7
    assert sum(seen.method == "DELETE" for seen in sandbox.seen) == 3


def test_one_poisonous_request_in_front_stops_nobody(
    program: Program, engine: Engine, sandbox: Sandbox
) -> None:
    insert(engine, *({"forge_user_id": user.id} for user in USERS[:10]))
    sandbox.script(Fault(kind=FaultKind.STATUS, status=422, user_id=USERS[0].id, count=None))
    assert program.here("run").returncode == 10
    assert fetch(engine, STATUSES) == ["review"] + ["done"] * 9


def test_a_hold_between_claim_and_call_is_seen(engine: Engine, sandbox: Sandbox) -> None:
    ids = insert(engine, *({"forge_user_id": user.id} for user in USERS))
    held: list[int] = []
    sandbox.script(Fault(kind=FaultKind.SLOW, delay_s=0.05, count=None))

    def progress(done: int, _due: int) -> None:
        if done and not held:
            held.append(ids[-1])
            with engine.begin() as connection:
                connection.exec_driver_sql(
                    f"UPDATE deletion_requests SET status = 'held' WHERE id = {ids[-1]}"
                )

    night(engine, sandbox.url, progress=progress, order={"concurrency": 1})
    assert held == [ids[-1]]
    assert fetch(engine, STATUSES) == ["done"] * 11 + ["held"]
    assert not any(USERS[11].id in seen.target for seen in sandbox.seen)


def test_explain_finds_a_person_also_when_the_request_has_forgotten_them(
    program: Program, engine: Engine
) -> None:
    both = {"forge_user_id": USERS[0].id, "email": USERS[0].email, "reference": "4711"}
    insert(engine, both, {"email": USERS[1].email})
    due = "request 1 is due: the next 'forge-gdpr run' takes it\n"
    assert program.here("requests", "explain", "--reference", "4711").stdout == due
    assert program.here("requests", "explain", "--email", "-", stdin=USERS[0].email).stdout == due
    assert program.here("run").returncode == 0
    assert fetch(engine, "SELECT email FROM deletion_requests") == [None, None]
    for option, typed in (("--email", USERS[0].email), ("--user-id", USERS[0].id)):
        found = program("requests", "explain", option, "-", stdin=typed)
        assert (found.returncode, found.stderr) == (0, "")
        assert found.stdout.startswith("request 1 is done since ")
        assert ": erased. Forge confirmed that it deleted the user." in found.stdout
    assert program.here("requests", "explain", "--email", USERS[1].email).stdout.startswith(
        "request 2"
    )
    nobody = program.here("requests", "explain", "--email", "nobody@example.org")
    assert (nobody.returncode, "nobody@" in nobody.stderr) == (2, False)
    assert program.here("requests", "explain").returncode == 2
