"""A hold binds the person: their other requests wait, on both databases."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from roles import login_url
from world import KEY, SUBJECT_KEY, Program, fetch, insert, make_program, night

from forge_gdpr.audit.verify import verify
from forge_gdpr.database.engine import engine_of, reading, writing
from forge_gdpr.deadlines import LegalClock
from forge_gdpr.desk.steering import Wish, steer
from forge_gdpr.lifecycle import Status
from forge_gdpr.queue.holds import of_same_person
from forge_gdpr.run.opening import Limits
from forge_gdpr.sandbox import Fault, FaultKind, Sandbox, generated_user

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

USERS: Final = [generated_user(number) for number in range(12)]
ADA, BEN = USERS[:2]
STATUSES: Final = "SELECT status FROM deletion_requests ORDER BY id"

Row = dict[str, Any]


def do(engine: Engine, action: str, *ids: int, reason: str) -> None:
    wish = Wish(action=action, actor="kim", reason=reason)
    with writing(engine) as connection:
        steer(connection, ids, wish, key=SUBJECT_KEY, legal=LegalClock())


def deleted(sandbox: Sandbox) -> set[str]:
    """Return the ids of the users who are gone."""
    return {user.id for user in USERS} - {user.id for user in sandbox.users}


#: Two requests of one person: the first is on hold.
SAME: Final[dict[str, tuple[Row, Row]]] = {
    "id": ({"forge_user_id": ADA.id}, {"forge_user_id": ADA.id}),
    "id in upper case": ({"forge_user_id": ADA.id.upper()}, {"forge_user_id": ADA.id}),
    "id with blanks": ({"forge_user_id": f"\t{ADA.id} "}, {"forge_user_id": ADA.id}),
    "e-mail": ({"email": ADA.email}, {"email": ADA.email}),
    "e-mail in upper case": ({"email": ADA.email.upper()}, {"email": ADA.email}),
    "e-mail with blanks": ({"email": f"\n {ADA.email}\r\n"}, {"email": ADA.email}),
    "e-mail beside an id": (
        {"forge_user_id": BEN.id, "email": ADA.email},
        {"email": ADA.email},
    ),
    "id beside an e-mail": (
        {"forge_user_id": ADA.id},
        {"forge_user_id": ADA.id, "email": ADA.email},
    ),
}
OTHERS: Final[dict[str, tuple[Row, Row]]] = {
    "other id": ({"forge_user_id": BEN.id}, {"forge_user_id": ADA.id}),
    "other e-mail": ({"email": BEN.email}, {"email": ADA.email}),
    "both without an id": ({"forge_user_id": "", "email": BEN.email}, {"email": ADA.email}),
    "both without an e-mail": (
        {"forge_user_id": BEN.id, "email": " "},
        {"forge_user_id": ADA.id, "email": ""},
    ),
    "nobody at all": ({"reference": "T-1"}, {"forge_user_id": ADA.id}),
}


@pytest.mark.parametrize("by", ["person", "application"])
@pytest.mark.parametrize("same", SAME)
def test_while_one_request_is_on_hold_the_persons_others_wait(
    engine: Engine, sandbox: Sandbox, same: str, by: str
) -> None:
    first, second = SAME[same]
    held, _other = insert(
        engine, first | ({"status": "held"} if by == "application" else {}), second
    )
    if by == "person":
        do(engine, "hold", held, reason="legal_claims")
    for _night in range(2):
        summary = night(engine, sandbox.url)
        assert fetch(engine, STATUSES) == ["held", "pending"]
        assert (summary.due, summary.left, deleted(sandbox)) == (0, 0, set())
    do(engine, "cancel", held, reason="mistake")
    night(engine, sandbox.url)
    assert fetch(engine, STATUSES) == ["cancelled", "done"]
    assert deleted(sandbox) == {ADA.id}
    with reading(engine) as connection:
        verify(connection)


@pytest.mark.parametrize("others", OTHERS)
def test_nobody_else_waits(engine: Engine, sandbox: Sandbox, others: str) -> None:
    first, second = OTHERS[others]
    insert(engine, first | {"status": "held"}, second)
    night(engine, sandbox.url)
    assert fetch(engine, STATUSES)[0] == "held"
    assert deleted(sandbox) <= {ADA.id}
    if "e-mail" not in second or second["email"]:
        assert fetch(engine, STATUSES)[1] == "done"


@pytest.mark.parametrize("status", ["done", "cancelled", "refused", "review", "pending"])
def test_only_a_hold_binds(engine: Engine, sandbox: Sandbox, status: str) -> None:
    insert(engine, {"forge_user_id": ADA.id, "status": status}, {"forge_user_id": ADA.id})
    night(engine, sandbox.url)
    assert fetch(engine, STATUSES)[1] == "done"


def test_a_release_lets_all_of_them_go(engine: Engine, sandbox: Sandbox) -> None:
    held, _other = insert(engine, {"forge_user_id": ADA.id}, {"forge_user_id": ADA.id.upper()})
    do(engine, "hold", held, reason="legal_claims")
    night(engine, sandbox.url)
    do(engine, "release", held, reason="hold_over")
    night(engine, sandbox.url)
    assert fetch(engine, STATUSES)[0] == "done"
    assert deleted(sandbox) == {ADA.id}


def test_an_address_that_turns_out_to_be_of_somebody_on_hold_is_given_back(
    engine: Engine, sandbox: Sandbox
) -> None:
    insert(engine, {"forge_user_id": ADA.id, "status": "held"}, {"email": ADA.email})
    first = night(engine, sandbox.url)
    assert fetch(engine, STATUSES) == ["held", "pending"]
    assert (first.due, first.claimed, first.left, deleted(sandbox)) == (1, 1, 0, set())
    assert fetch(engine, "SELECT attempts FROM deletion_requests") == [0, 0]
    second = night(engine, sandbox.url)
    assert (second.due, deleted(sandbox)) == (0, set())
    do(engine, "release", 1, reason="hold_over")
    night(engine, sandbox.url, limits=Limits(max_due=9, cool_off_days=0))
    assert deleted(sandbox) == {ADA.id}
    with reading(engine) as connection:
        verify(connection)


@pytest.mark.parametrize(
    "named",
    [
        pytest.param({"forge_user_id": USERS[-1].id.upper()}, id="by id"),
        pytest.param({"email": USERS[-1].email.upper()}, id="by e-mail"),
    ],
)
@pytest.mark.parametrize("by", ["id and e-mail", "e-mail"])
def test_a_hold_that_is_placed_in_mid_run_is_seen_before_the_call(
    engine: Engine, sandbox: Sandbox, named: Row, by: str
) -> None:
    last = USERS[-1]
    both = {"forge_user_id": last.id, "email": last.email}
    insert(engine, *({"forge_user_id": user.id} for user in USERS[:-1]))
    insert(engine, both if by != "e-mail" else {"email": last.email})
    sandbox.script(Fault(kind=FaultKind.SLOW, delay_s=0.05, method="DELETE", count=None))
    placed: list[int] = []

    def progress(done: int, _due: int) -> None:
        if done and not placed:
            placed.extend(insert(engine, named | {"status": "held"}))

    summary = night(engine, sandbox.url, progress=progress, order={"concurrency": 1})
    assert len(placed) == 1
    assert fetch(engine, STATUSES) == ["done"] * 11 + ["pending", "held"]
    assert deleted(sandbox) == {user.id for user in USERS[:-1]}
    assert (summary.claimed, summary.left) == (12, 0)
    with reading(engine) as connection:
        verify(connection)


def test_one_person_on_hold_binds_many_and_nobody_twice(engine: Engine) -> None:
    rows: list[Row] = [{"forge_user_id": ADA.id}, {"email": ADA.email}, {"forge_user_id": BEN.id}]
    ids = insert(engine, {"forge_user_id": ADA.id, "email": ADA.email, "status": "held"}, *rows)
    with reading(engine) as connection:
        assert of_same_person(connection, ids[:1], [Status.PENDING]) == ids[1:3]
        assert of_same_person(connection, ids, [Status.PENDING]) == []
        assert of_same_person(connection, ids[1:3], [Status.HELD]) == ids[:1]
        assert of_same_person(connection, [], [Status.HELD]) == []


@pytest.fixture
def bound(program: Program, engine: Engine) -> Program:
    """The program, and a queue in which the first of three requests of one person is on hold."""
    insert(
        engine,
        {"forge_user_id": ADA.id, "email": ADA.email, "status": "held"},
        {"forge_user_id": ADA.id.upper()},
        {"email": f" {ADA.email}"},
        {"forge_user_id": BEN.id},
    )
    return program


def test_the_dry_run_shows_who_waits_for_another_request(bound: Program) -> None:
    told = json.loads(bound.here("run", "--dry-run", "--output", "json").stdout)
    assert told["due"] == 1
    assert {group["fate"]: group["count"] for group in told["requests"]} == {
        "due": 1,
        "person_held": 2,
        "held": 1,
    }
    assert bound.here("run", "--dry-run", "--plan", "plan.json").returncode == 0
    plan = json.loads((bound.folder / "plan.json").read_text())
    assert [request["id"] for request in plan["requests"]] == [4]


def test_a_plan_that_a_hold_has_overtaken_is_refused(bound: Program, engine: Engine) -> None:
    assert bound.here("run", "--dry-run", "--plan", "plan.json").returncode == 0
    insert(engine, {"forge_user_id": BEN.id, "status": "held"})
    done = bound.here("run", "--plan", "plan.json")
    assert (done.returncode, "1 of its 1 requests are not as they were (4)" in done.stderr) == (
        8,
        True,
    )


def test_explain_says_which_hold_a_request_waits_for(bound: Program, engine: Engine) -> None:
    waits = (
        "request 2 waits: request 1 of the same person is on hold;"
        " 'forge-gdpr requests release 1' ends that\n"
    )
    assert bound.here("requests", "explain", "2").stdout == waits
    insert(engine, {"forge_user_id": ADA.id, "status": "held"})
    assert "requests 1 and 5 of the same person are on hold" in (
        bound.here("requests", "explain", "2").stdout
    )
    assert bound.here("requests", "explain", "4").stdout == (
        "request 4 is due: the next 'forge-gdpr run' takes it\n"
    )


def test_hold_says_which_other_open_requests_the_person_has(bound: Program, engine: Engine) -> None:
    hold = ("requests", "hold", "--reason", "legal_claims")
    one = bound.here(*hold, "2")
    assert (one.returncode, one.stdout) == (0, "1 request is held\n")
    insert(engine, {"email": ADA.email, "status": "review", "status_reason": "rejected"})
    several = bound.here(*hold, "3")
    assert several.stdout == (
        "1 request is held\nthe same person has open request 5: it waits, too\n"
    )
    insert(engine, *({"forge_user_id": BEN.id} for _ in range(12)), {"email": ADA.email})
    both = bound.here(*hold, "4", "18")
    assert both.stdout == (
        "2 requests are held\nthe same people have open requests 5, 6, 7, 8, 9, 10, 11, 12, 13, 14"
        " and 3 more: they wait, too\n"
    )


def test_hold_says_what_a_run_is_working_on(bound: Program, engine: Engine) -> None:
    insert(engine, {"forge_user_id": BEN.id, "status": "running"})
    held = bound.here("requests", "hold", "--reason", "legal_claims", "4")
    assert held.stdout == (
        "1 request is held\n"
        "a run is working on request 5 of the same person: it waits, too, unless the call to Forge"
        " was made; see 'forge-gdpr requests show 5'\n"
    )


def test_an_auditor_who_may_not_read_people_sees_holds_by_pseudonym(
    roled_url: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    owner = engine_of(roled_url)
    # Upper case has the same pseudonym; that an address is the same person's only a worker sees.
    rows: list[Row] = [{"forge_user_id": ADA.id.upper()}, {"email": ADA.email}]
    insert(owner, {"forge_user_id": ADA.id, "email": ADA.email, "status": "held"}, *rows)
    night(owner, sandbox.url)
    owner.dispose()
    fates = {}
    for role in ("worker", "auditor"):
        program = make_program(
            tmp_path, FORGE_GDPR_DATABASE_URL=login_url(roled_url, role), FORGE_GDPR_API_KEY=KEY
        )
        done = program.here("run", "--dry-run", "--output", "json")
        groups = json.loads(done.stdout)["requests"]
        fates[role] = {group["fate"]: group["count"] for group in groups}
        assert ("may not read user ids" in done.stderr) is (role == "auditor")
    assert fates == {
        "worker": {"held": 1, "person_held": 2},
        "auditor": {"due": 1, "held": 1, "person_held": 1},
    }
