"""Correcting whom a request is about, on record; what is typed is never shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from world import KEY, SUBJECT_KEY, Program, fetch, insert, make_program, night

from forge_gdpr.audit.verify import verify
from forge_gdpr.database.engine import reading, writing
from forge_gdpr.pseudonyms import Kind
from forge_gdpr.run.opening import Limits
from forge_gdpr.sandbox import Fault, FaultKind, Sandbox, generated_user

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

ADA, BEN, EVE = generated_user(0), generated_user(1), generated_user(2)
NAMES = "SELECT forge_user_id, email FROM deletion_requests"


def subject(kind: Kind, name: str) -> str:
    return SUBJECT_KEY.subject(kind, name)


@pytest.fixture
def desk(tmp_path: Path, database_url: str, sandbox: Sandbox) -> Program:
    return make_program(
        tmp_path,
        FORGE_GDPR_DATABASE_URL=database_url,
        FORGE_GDPR_BASE_URL=sandbox.url,
        FORGE_GDPR_API_KEY=KEY,
        FORGE_GDPR_SUBJECT_KEY=SUBJECT_KEY.secret.decode(),
    )


def admissions(engine: Engine) -> list[dict[str, Any]]:
    rows = fetch(
        engine, "SELECT body FROM audit_events WHERE event = 'request.admitted' ORDER BY id"
    )
    with reading(engine) as connection:
        verify(connection)
    return [json.loads(row) for row in rows]


def test_a_mismatch_is_amended_as_explain_advises(
    engine: Engine, sandbox: Sandbox, desk: Program
) -> None:
    insert(engine, {"forge_user_id": ADA.id, "email": BEN.email})
    night(engine, sandbox.url)
    advice = desk.here("requests", "explain", "1").stdout
    assert "'forge-gdpr requests amend 1 --user-id -' or --email -" in advice
    words = ("requests", "amend", "1", "--user-id", "-", "--reason", "identified", "--actor", "kim")
    done = desk.here(*words, stdin=f"{BEN.id.upper()}\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "request 1 amended\n", "")
    assert fetch(engine, NAMES) == [(BEN.id, BEN.email)]
    first, second = admissions(engine)
    expected = {
        "subject": subject(Kind.USER_ID, BEN.id),
        "former": subject(Kind.USER_ID, ADA.id),
        "also": [subject(Kind.EMAIL, BEN.email)],
        "actor": "kim",
        "reason": "identified",
        "status": "review",
        "due_on": first["due_on"],
        "chain": "main",
    }
    assert {name: second.get(name) for name in expected} == expected
    assert desk.here("requests", "retry", "1").returncode == 0
    assert night(engine, sandbox.url).exit_code == 0
    prove = ("audit", "prove", "--user-id", "-")
    assert desk.here(*prove, stdin=BEN.id).stdout.startswith("erased: request 1, ")
    assert "no record" in desk.here(*prove, stdin=ADA.id).stdout


def test_an_address_takes_the_id_with_it_that_was_found_by_it(
    engine: Engine, sandbox: Sandbox, desk: Program
) -> None:
    sandbox.script(Fault(kind=FaultKind.STATUS, status=500, user_id=ADA.id, count=None))
    insert(engine, {"email": ADA.email})
    night(engine, sandbox.url)
    assert fetch(engine, NAMES) == [(ADA.id, ADA.email)]
    done = desk.here("requests", "amend", "1", "--email", "-", stdin=f" {BEN.email} \n")
    assert (done.returncode, fetch(engine, NAMES)) == (0, [(None, BEN.email)])
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE deletion_requests SET next_attempt_at = NULL")
    assert night(engine, sandbox.url).exit_code == 0
    assert ADA in sandbox.users
    assert BEN not in sandbox.users


def test_both_are_read_one_after_the_other_and_one_can_be_dropped(
    engine: Engine, desk: Program
) -> None:
    insert(engine, {"email": ADA.email, "status": "held"})
    words = ("requests", "amend", "1", "--user-id", "-")
    both = desk.here(*words, "--email", "-", stdin=f"{EVE.id}\n{EVE.email}\n")
    assert (both.returncode, fetch(engine, NAMES)) == (0, [(EVE.id, EVE.email)])
    alone = desk.here(*words, "--no-email", stdin=f"{BEN.id}\n")
    assert (alone.returncode, fetch(engine, NAMES)) == (0, [(BEN.id, None)])
    subjects = [(one["subject"], one.get("former")) for one in admissions(engine)]
    assert subjects == [
        (subject(Kind.EMAIL, ADA.email), None),
        (subject(Kind.USER_ID, EVE.id), subject(Kind.EMAIL, ADA.email)),
        (subject(Kind.USER_ID, BEN.id), subject(Kind.USER_ID, EVE.id)),
    ]
    assert fetch(engine, "SELECT status FROM deletion_requests") == ["held"]


def test_an_approval_lapses(engine: Engine, sandbox: Sandbox, desk: Program) -> None:
    insert(engine, {"forge_user_id": ADA.id})
    assert desk.here("requests", "approve", "1", FORGE_GDPR_SHARED_LOGIN="true").returncode == 0
    assert desk.here("requests", "amend", "1", "--user-id", "-", stdin=BEN.id).returncode == 0
    night(engine, sandbox.url, limits=Limits(max_due=1000, cool_off_days=0, approved_only=True))
    assert {ADA, BEN} <= set(sandbox.users)
    assert fetch(engine, "SELECT status, approved_by FROM deletion_requests") == [("pending", None)]


@pytest.mark.parametrize(
    ("words", "stdin", "why"),
    [
        pytest.param(f"1 --user-id {BEN.id}", "", "write - and give it on stdin", id="on argv"),
        pytest.param(f"1 --email {BEN.email}", "", "write - and give it on stdin", id="e-mail"),
        pytest.param("1", "", "say whom it is about", id="nothing"),
        pytest.param("1 --email - --no-email", "x", "given or dropped, not both", id="both"),
        pytest.param("1 --user-id -", "", "wrong user id: this is empty", id="empty"),
        pytest.param("1 --user-id -", BEN.email, "wrong user id: ", id="an address as id"),
        pytest.param("1 --email -", BEN.id, "wrong e-mail: ", id="an id as address"),
        pytest.param("1 --no-user-id", "", "a request names a person", id="nobody"),
        pytest.param("1 --user-id -", ADA.id, "names just that already", id="the same"),
        pytest.param("7 --user-id -", BEN.id, "there is no request 7", id="no such request"),
        pytest.param("2 --user-id -", BEN.id, "is done, and that is final", id="done"),
        pytest.param("3 --user-id -", BEN.id, "is being worked on", id="running"),
    ],
)
def test_what_can_not_be_amended_is_said_and_nobody_is_shown(
    engine: Engine, desk: Program, words: str, stdin: str, why: str
) -> None:
    insert(
        engine,
        {"forge_user_id": ADA.id},
        {"forge_user_id": EVE.id, "status": "done"},
        {"forge_user_id": EVE.id, "status": "running", "claimed_by": "019a"}
        | {"subject": subject(Kind.USER_ID, EVE.id), "due_on": "2200-01-01"}
        | {"claim_expires_at": "2200-01-01 00:00:00"},
    )
    before = fetch(engine, f"{NAMES} ORDER BY id")
    done = desk.here("requests", "amend", *words.split(), stdin=f"{stdin}\n")
    assert (done.returncode, why in done.stderr) == (2, True), done.stderr
    assert BEN.email not in done.stderr
    assert BEN.id not in done.stderr
    assert fetch(engine, f"{NAMES} ORDER BY id") == before
    assert admissions(engine) == []


def test_a_row_that_can_not_be_read_is_amended(engine: Engine, desk: Program) -> None:
    """On SQLite alone: PostgreSQL's driver never gets bytes for text."""
    if engine.dialect.name != "sqlite":
        return
    with writing(engine) as connection:
        connection.exec_driver_sql("DROP TRIGGER deletion_requests_refuse_insert")
        connection.exec_driver_sql(
            "INSERT INTO deletion_requests (email) VALUES (CAST(x'ff40' AS TEXT))"
        )
    done = desk.here("requests", "amend", "1", "--email", "-", stdin=ADA.email)
    assert (done.returncode, fetch(engine, NAMES)) == (0, [(None, ADA.email)])
    assert desk.here("requests", "retry", "1").returncode == 0


def test_nobody_is_renamed_while_a_call_may_have_arrived(
    engine: Engine, sandbox: Sandbox, desk: Program
) -> None:
    sandbox.script(Fault(kind=FaultKind.ANSWER_LOST, user_id=ADA.id, method="DELETE", count=None))
    insert(engine, {"forge_user_id": ADA.id})
    night(engine, sandbox.url)
    assert ADA.id not in {user.id for user in sandbox.users}
    words = ("requests", "amend", "1", "--user-id", "-", "--reason", "identified")
    done = desk.here(*words, stdin=f"{EVE.id}\n")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "a call for the person whom request 1 names may have reached Forge" in done.stderr
    assert fetch(engine, NAMES) == [(ADA.id, None)]
