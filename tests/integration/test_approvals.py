"""An approval is for what was approved, by somebody else, and is not written by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from roles import engine_as, login_url
from sqlalchemy.exc import ProgrammingError
from world import SUBJECT_KEY, Program, fetch, insert, make_program, night

from forge_gdpr.absence import Account
from forge_gdpr.audit.verify import verify
from forge_gdpr.database.engine import engine_of, now, reading, writing
from forge_gdpr.deadlines import LegalClock
from forge_gdpr.desk.steering import Wish, steer
from forge_gdpr.pseudonyms import Kind, SubjectKey
from forge_gdpr.queue.backlog import Due, count_due, count_unapproved, groups
from forge_gdpr.run.opening import Limits
from forge_gdpr.sandbox import Sandbox, generated_user

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

ADA, BEN, EVE = generated_user(0), generated_user(1), generated_user(2)
APPROVED = Limits(max_due=1000, cool_off_days=0, approved_only=True)
STATE = "SELECT status, approved_by, approval IS NULL FROM deletion_requests ORDER BY id"
EVES = SUBJECT_KEY.subject(Kind.USER_ID, EVE.id)
REQUIRED = {"FORGE_GDPR_REQUIRE_APPROVAL": "true"}


def approve(engine: Engine, *ids: int, actor: str = "grace", key: SubjectKey = SUBJECT_KEY) -> None:
    wish = Wish(action="approve", actor=actor, reason="checked")
    with writing(engine) as connection:
        steer(connection, ids, wish, key=key, legal=LegalClock())


def write(engine: Engine, change: str) -> None:
    with writing(engine) as connection:
        connection.exec_driver_sql(f"UPDATE deletion_requests SET {change}")


def deleted(sandbox: Sandbox) -> list[str | None]:
    return [seen.user_id for seen in sandbox.seen if seen.method == "DELETE"]


@pytest.mark.parametrize("approver", ["", " ", "\t\r\n", "grace"])
def test_a_name_that_was_inserted_is_no_approval(
    program: Program, engine: Engine, sandbox: Sandbox, approver: str
) -> None:
    insert(engine, {"forge_user_id": ADA.id, "approved_by": approver})
    summary = night(engine, sandbox.url, limits=APPROVED)
    assert (summary.sums.waiting, summary.sums.total, sandbox.seen) == (1, 1, ())
    with reading(engine) as connection:
        due = Due(now=now(connection), approved_only=True)
        assert (count_due(connection, due), count_unapproved(connection, due)) == (0, 1)
        assert [group.fate for group in groups(connection, due)] == ["not_approved"]
    assert "1 waiting for approval" in program.here("status", **REQUIRED).stdout
    assert "1 due requests wait" in program.here("doctor", "--offline", **REQUIRED).stdout
    assert "waits for approval" in program.here("requests", "explain", "1", **REQUIRED).stdout
    assert "not_approved" in program.here("run", "--dry-run", **REQUIRED).stdout
    assert night(engine, sandbox.url).sums.done == 1  # nobody asks for it there


@pytest.mark.parametrize(
    "change",
    [
        f"forge_user_id = '{EVE.id}'",
        pytest.param(f"forge_user_id = '{EVE.id}', subject = '{EVES}'", id="also the pseudonym"),
        pytest.param(f"forge_user_id = '{EVE.id}', subject = NULL", id="as if nobody had seen it"),
        "approved_by = 'heidi'",
        "approval = 'v1:0:0'",
        pytest.param("approval = reference", id="another text"),
        pytest.param(
            "approval = (SELECT approval FROM deletion_requests WHERE id = 2)",
            id="another request's",
        ),
    ],
)
def test_an_approval_lapses_where_it_is_not_for_what_the_row_says(
    engine: Engine, sandbox: Sandbox, change: str
) -> None:
    insert(engine, {"forge_user_id": ADA.id, "reference": "T-1"}, {"forge_user_id": BEN.id})
    approve(engine, 1, 2)
    write(engine, f"{change} WHERE id = 1")
    summary = night(engine, sandbox.url, limits=APPROVED)
    assert (summary.sums.done, summary.sums.given_back, summary.exit_code) == (1, 1, 0)
    assert deleted(sandbox) == [BEN.id]
    assert fetch(engine, STATE) == [("pending", None, True), ("done", "grace", False)]
    with reading(engine) as connection:
        verify(connection)
    approve(engine, 1)
    night(engine, sandbox.url, limits=APPROVED)
    assert deleted(sandbox) == [BEN.id, EVE.id if "forge" in change else ADA.id]


def test_bytes_for_an_approval_stop_nobody(engine: Engine, sandbox: Sandbox) -> None:
    insert(engine, {"forge_user_id": ADA.id}, {"forge_user_id": BEN.id})
    approve(engine, 1, 2)
    if engine.dialect.name == "sqlite":
        write(engine, "approval = x'ff00' WHERE id = 1")
    else:
        write(engine, "approval = '' WHERE id = 1")
    assert night(engine, sandbox.url, limits=APPROVED).sums.done == 1
    assert night(engine, sandbox.url).sums.done == 1
    assert deleted(sandbox) == [BEN.id, ADA.id]


@pytest.mark.parametrize("is_live", [True, False])
def test_an_approval_holds_as_long_as_its_key_lives(
    engine: Engine, sandbox: Sandbox, *, is_live: bool
) -> None:
    old = SubjectKey(b"o" * 32)
    insert(engine, {"email": ADA.email})
    approve(engine, 1, key=old)
    keys = [old, SUBJECT_KEY] if is_live else [SUBJECT_KEY]
    order = {"account": Account.of(keys, base_url=sandbox.url, api_key="sandbox-key")}
    summary = night(engine, sandbox.url, limits=APPROVED, order=order)
    assert (summary.sums.done, summary.sums.given_back) == ((1, 0) if is_live else (0, 1))


def test_where_logins_differ_the_record_has_both(
    roled_url: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    office, worker = (
        make_program(
            tmp_path,
            FORGE_GDPR_DATABASE_URL=login_url(roled_url, role),
            FORGE_GDPR_BASE_URL=sandbox.url,
            FORGE_GDPR_API_KEY="sandbox-key",
        )
        for role in ("submitter", "worker")
    )
    added = office.here("requests", "add", "--user-id", ADA.id, "--actor", "ada")
    assert added.returncode == 0, added.stderr
    own = worker.here("requests", "approve", "1", "--actor", "ADA ")
    assert (own.returncode, "was made by ADA: somebody else" in own.stderr) == (2, True)
    done = worker.here("requests", "approve", "1", "--actor", "grace")
    assert done.returncode == 0, done.stderr
    engine = engine_of(roled_url)
    (body,) = fetch(engine, "SELECT body FROM audit_events WHERE event = 'request.approved'")
    said = json.loads(body)
    assert (said["created_login"], said["login"]) == ("gdpr_office", "gdpr_night")
    insert(engine, {"forge_user_id": BEN.id})
    assert fetch(engine, "SELECT created_login FROM deletion_requests WHERE id = 2") == ["postgres"]
    engine.dispose()
    for role, sql in (
        ("application", "INSERT INTO deletion_requests (email, created_login) VALUES ('a', 'b')"),
        ("application", "INSERT INTO deletion_requests (email, approval) VALUES ('a', 'b')"),
        ("worker", "UPDATE deletion_requests SET created_login = 'b'"),
    ):
        logged_in = engine_as(roled_url, role)
        with pytest.raises(ProgrammingError, match="permission denied"), logged_in.connect() as one:
            one.exec_driver_sql(sql)
        logged_in.dispose()
    assert worker.here("run", **REQUIRED).returncode == 0
    assert deleted(sandbox) == [ADA.id]


def test_one_login_approves_only_where_it_is_shared(program: Program, engine: Engine) -> None:
    assert program.here("requests", "add", "--user-id", ADA.id, "--actor", "ada").returncode == 0
    shared = REQUIRED | {"FORGE_GDPR_SHARED_LOGIN": "true"}
    approving = ("requests", "approve", "1", "--actor", "grace")
    done = program.here(*approving)
    warned = (
        "told from who adds by --actor alone"
        in program.here("doctor", "--offline", **shared).stdout
    )
    if engine.dialect.name == "sqlite":
        assert (done.returncode, warned) == (0, False)
        return
    assert (done.returncode, warned) == (2, True)
    assert done.stderr.endswith(
        "request 1 was added through the database login postgres, as it would be approved: use"
        " another login, or set FORGE_GDPR_SHARED_LOGIN=true if people share one; nothing was"
        " changed\n"
    )
    assert "shared login" not in program.here("doctor", "--offline", **REQUIRED).stdout
    assert program.here(*approving, **shared).returncode == 0
