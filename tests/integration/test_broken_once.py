"""What strangers broke, once: each of these ended done, or stopped every night."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from world import KEY, SUBJECT_KEY, Program, fetch, insert, make_program, night

from forge_gdpr.absence import Account
from forge_gdpr.audit.verify import verify
from forge_gdpr.database.engine import reading, writing
from forge_gdpr.forge.gate import Halt
from forge_gdpr.identity import IdRules
from forge_gdpr.sandbox import Fault, FaultKind, Paging, Placement, Sandbox, User, generated_user

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

ADA, BOB = generated_user(0), generated_user(1)
GHOSTS = [f"{n:024x}" for n in range(1, 40)]
WATCHED = {"ids": IdRules(sentinel=generated_user(29).id)}
GONE = Fault(kind=FaultKind.STATUS, status=404, method="DELETE", count=None)


def closed(engine: Engine) -> dict[str, int]:
    with reading(engine) as connection:
        verify(connection)
    rows = fetch(engine, "SELECT outcome, count(*) FROM deletion_outcomes GROUP BY outcome")
    return {row[0]: row[1] for row in rows}


def reset(engine: Engine) -> None:
    """Let the night after begin."""
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE deletion_requests SET next_attempt_at = NULL")


def test_a_colleagues_address_in_another_account_shows_nothing(engine: Engine) -> None:
    """Whoever is found by e-mail says nothing about whose account it is."""
    with Sandbox(users=5, key=KEY) as other:
        insert(engine, {"email": ADA.email}, *({"forge_user_id": g} for g in GHOSTS[:8]))
        for _ in range(3):
            summary = night(engine, other.url)
            assert (summary.exit_code, summary.halt) == (8, Halt.ACCOUNT)
            reset(engine)
        assert closed(engine) == {"erased": 1}


@pytest.mark.parametrize(
    "shown", ["n/a", "***", "a***@example.org", "(hidden)", f"{ADA.email}, ada@work.example"]
)
def test_an_address_that_is_hidden_is_not_an_address_that_nobody_has(
    engine: Engine, sandbox: Sandbox, shown: str
) -> None:
    entry = {"_id": ADA.id, "email": shown, "fullName": "Ada"}
    odd = Fault(kind=FaultKind.ODD_ENTRIES, entries=(entry,), placement=Placement.MERGE, count=None)
    sandbox.script(odd)
    insert(engine, {"email": ADA.email})
    summary = night(engine, sandbox.url, order=WATCHED)
    assert (summary.exit_code, closed(engine)) in [(5, {}), (10, {})]
    assert ADA in sandbox.users


def test_ids_in_another_form_show_no_absence(engine: Engine, sandbox: Sandbox) -> None:
    entry = {"_id": f"user_{ADA.id}", "email": ADA.email, "fullName": "Ada"}
    sandbox.script(
        Fault(kind=FaultKind.ODD_ENTRIES, entries=(entry,), count=None),
        GONE,
    )
    insert(engine, {"forge_user_id": GHOSTS[0]})
    rules = IdRules(sentinel=None)
    assert night(engine, sandbox.url, order={"ids": rules}).exit_code == 5
    assert closed(engine) == {}


def test_an_empty_list_is_no_proof(engine: Engine, sandbox: Sandbox) -> None:
    insert(engine, {"forge_user_id": BOB.id}, {"email": generated_user(2).email})
    sandbox.script(GONE)
    sandbox.paging = Paging(size=0)
    assert night(engine, sandbox.url).exit_code == 8
    assert closed(engine) == {}


def test_a_corrected_row_inherits_nothing_from_another_person(
    engine: Engine, sandbox: Sandbox
) -> None:
    insert(engine, {"forge_user_id": ADA.id}, {"forge_user_id": BOB.id})
    sandbox.script(
        Fault(kind=FaultKind.STATUS, status=500, method="DELETE", user_id=ADA.id, count=None)
    )
    night(engine, sandbox.url)
    with writing(engine) as connection:
        connection.exec_driver_sql(
            "UPDATE deletion_requests SET next_attempt_at = NULL,"
            f" forge_user_id = '{GHOSTS[0]}' WHERE forge_user_id = '{ADA.id}'"
        )
    night(engine, sandbox.url)
    assert closed(engine) == {"erased": 1, "already_absent": 1}


@pytest.mark.parametrize(
    "trouble",
    [
        Fault(kind=FaultKind.ODD_ENTRIES, entries=(None,), count=None),
        Fault(kind=FaultKind.STATUS, status=504, method="GET", path="users", count=None),
    ],
    ids=["an odd entry", "no list"],
)
def test_ghosts_at_the_front_stop_no_second_night(
    engine: Engine, sandbox: Sandbox, trouble: Fault
) -> None:
    sandbox.script(trouble)
    people = [*GHOSTS[:3], *(generated_user(n).id for n in range(4))]
    insert(engine, *({"forge_user_id": user_id} for user_id in people))
    assert night(engine, sandbox.url).exit_code == 5
    assert night(engine, sandbox.url).exit_code == 5
    assert closed(engine) == {"erased": 4}


def test_ghosts_before_people_found_by_e_mail_stop_no_second_night(
    engine: Engine, sandbox: Sandbox
) -> None:
    insert(engine, *({"forge_user_id": g} for g in GHOSTS[:3]))
    insert(engine, *({"email": generated_user(n).email} for n in range(4)))
    assert night(engine, sandbox.url).exit_code == 8
    assert night(engine, sandbox.url).exit_code == 8
    assert closed(engine) == {"erased": 4}


def test_the_sentinel_proves_a_refusal_where_there_is_no_list(
    engine: Engine, sandbox: Sandbox
) -> None:
    sandbox.script(
        Fault(kind=FaultKind.STATUS, status=504, method="GET", path="users", count=None),
        Fault(kind=FaultKind.STATUS, status=403, user_id=ADA.id, count=None),
    )
    insert(engine, *({"forge_user_id": generated_user(n).id} for n in range(5)))
    assert night(engine, sandbox.url, order=WATCHED).exit_code == 10
    assert closed(engine) == {"erased": 4}
    assert fetch(engine, "SELECT status_reason FROM deletion_requests WHERE status = 'review'") == [
        "rejected"
    ]


def test_bad_accounts_at_the_front_pass_to_the_back(engine: Engine, sandbox: Sandbox) -> None:
    for n in range(6):
        bad = generated_user(n).id
        sandbox.script(Fault(kind=FaultKind.STATUS, status=500, user_id=bad, count=None))
    insert(engine, *({"forge_user_id": generated_user(n).id} for n in range(20)))
    order = {"concurrency": 1}
    assert night(engine, sandbox.url, order=order).exit_code == 5
    night(engine, sandbox.url, order=order)
    assert closed(engine) == {"erased": 14}


def test_a_signal_ends_a_run_that_waits_for_a_list_that_drips(
    engine: Engine, sandbox: Sandbox, tmp_path: Path, database_url: str
) -> None:
    sandbox.script(
        Fault(kind=FaultKind.DRIP_BODY, method="GET", path="users", delay_s=0.2, count=None)
    )
    insert(engine, {"email": ADA.email})
    program: Program = make_program(
        tmp_path,
        FORGE_GDPR_DATABASE_URL=database_url,
        FORGE_GDPR_BASE_URL=sandbox.url,
        FORGE_GDPR_API_KEY=KEY,
    )
    running = program.start("run")
    deadline = time.monotonic() + 30
    while not sandbox.seen and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=20)
    assert running.returncode == 128 + signal.SIGTERM
    assert fetch(engine, "SELECT status, attempts FROM deletion_requests") == [("pending", 0)]


def test_what_is_no_name_is_not_shown(engine: Engine, sandbox: Sandbox) -> None:
    sandbox.script(Fault(kind=FaultKind.ODD_ENTRIES, entries=(), extra={ADA.id: 1}, count=None))
    insert(engine, {"email": ADA.email})
    summary = night(engine, sandbox.url)
    assert (summary.exit_code, summary.halt) == (5, Halt.DIRECTORY)
    bodies = " ".join(fetch(engine, "SELECT body FROM audit_events"))
    assert ADA.id not in f"{summary.cause} {bodies}"


@pytest.mark.parametrize(
    ("held", "due"),
    [
        ("jö@straße.de", "jö@xn--strae-oqa.de"),
        ("jo\u0308@example.org", "jö@example.org"),
        ("ada@example.org\u00a0", "ada@example.org"),
        ("JÖ@example.org", "jö@example.org"),
        ("mailto:ada@example.org", "ada@example.org"),
        ("Ada <ada@example.org>", "ada@example.org"),
    ],
)
def test_a_hold_binds_the_person_in_every_spelling(engine: Engine, held: str, due: str) -> None:
    with Sandbox(users=3, key=KEY) as sandbox:
        sandbox.add(User(id="f" * 24, name="Ada", email=due))
        insert(engine, {"email": held, "status": "held"}, {"forge_user_id": "f" * 24, "email": due})
        summary: Any = night(engine, sandbox.url)
        assert "f" * 24 in {user.id for user in sandbox.users}
        assert summary.became.get("done", 0) == 0


@pytest.mark.parametrize("odd", ["{}\u00a0", "{}\u200b", " {}", "{}\t"])
def test_a_hold_by_an_id_with_something_around_it_binds_too(engine: Engine, odd: str) -> None:
    with Sandbox(users=3, key=KEY) as sandbox:
        insert(
            engine,
            {"forge_user_id": odd.format(ADA.id.upper()), "status": "held"},
            {"forge_user_id": ADA.id},
        )
        night(engine, sandbox.url)
        assert ADA in sandbox.users


def test_the_fingerprint_is_of_key_and_address() -> None:
    made = {
        Account.of([SUBJECT_KEY], base_url=url, api_key=key).short
        for url in ("https://a.example", "https://b.example")
        for key in ("one", "two")
    }
    assert len(made) == 4
