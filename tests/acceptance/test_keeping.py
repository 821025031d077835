"""Retention and the check after a restore, typed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from world import Program, fetch, insert

from forge_gdpr.database.engine import writing
from forge_gdpr.sandbox import Fault, FaultKind, Sandbox, User, generated_user

if TYPE_CHECKING:
    from sqlalchemy import Engine

ADA, BEN, CLEO = (generated_user(number) for number in range(3))


def backdate(engine: Engine, at: str) -> None:
    with writing(engine) as connection:
        connection.exec_driver_sql(
            f"UPDATE deletion_requests SET closed_at = '{at}' WHERE closed_at IS NOT NULL"
        )


def test_closed_requests_forget_and_go_and_the_record_still_answers(
    program: Program, engine: Engine
) -> None:
    insert(
        engine,
        {"forge_user_id": ADA.id, "email": ADA.email, "reference": "50%_T-1"},
        {"forge_user_id": BEN.id, "reference": "T-2"},
        {"forge_user_id": CLEO.id, "reference": "T-3", "status": "held"},
    )
    assert program.here("requests", "cancel", "2", "--reason", "withdrawn").returncode == 0
    assert program.here("run").returncode == 0
    before = json.loads(program.here("requests", "show", "1", "--output", "json").stdout)
    backdate(engine, "2020-01-01 00:00:00")

    foreseen = program("audit", "retention", "--dry-run", "--output", "json")
    told = json.loads(foreseen.stdout)
    assert (foreseen.returncode, told["dry_run"], told["removed"]) == (0, True, 2)
    assert len(fetch(engine, "SELECT id FROM deletion_requests")) == 3
    done = program("audit", "retention", "--actor", "kim")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[-1] for line in done.stdout.splitlines()[-4:]] == ["0", "0", "0", "2"]
    assert fetch(engine, "SELECT id FROM deletion_requests") == [3]
    assert "retention.applied" in program.here("audit", "list").stdout
    assert program.here("audit", "verify").returncode == 0

    only_record = "only the record has it: 'forge-gdpr audit list --request"
    for words, said in {
        ("1",): "request 1 is done since 20",
        ("--reference", "50%_T-1"): "request 1 is done since 20",
        ("--email", ADA.email): "request 1 is done since 20",
        ("--user-id", BEN.id): "request 2 was cancelled at 20",
        ("--reference", "T-2"): "request 2 was cancelled at 20",
    }.items():
        found = program.here("requests", "explain", *words)
        assert (found.returncode, found.stderr) == (0, "")
        assert found.stdout.startswith(said)
        assert only_record in found.stdout
    assert program.here("requests", "explain", "--reference", "T").returncode == 2
    after = json.loads(program.here("requests", "show", "1", "--output", "json").stdout)
    assert after.pop("removed") is True
    assert abs(len(after.pop("closed_at")) - len(before.pop("closed_at"))) <= 7
    assert after == before
    assert "removed" in program.here("requests", "show", "2").stdout


def test_a_request_that_somebody_else_removed_is_not_called_closed(
    program: Program, engine: Engine
) -> None:
    insert(engine, {"forge_user_id": ADA.id}, {"forge_user_id": BEN.id})
    assert program.here("requests", "hold", "1", "--reason", "dispute").returncode == 0
    with writing(engine) as connection:
        connection.exec_driver_sql("DELETE FROM deletion_requests")
    for words in (("show", "1"), ("explain", "1")):
        said = program.here("requests", *words)
        assert (said.returncode, said.stdout) == (2, "")
        assert "the record has no end of it" in said.stderr
        assert "audit list --request 1" in said.stderr
    unknown = program.here("requests", "show", "2")
    assert unknown.stderr == "error: there is no request 2: see 'forge-gdpr requests list'\n"


def test_what_an_application_closed_without_a_time_is_told(
    program: Program, engine: Engine
) -> None:
    insert(engine, {"forge_user_id": ADA.id, "status": "done"})
    done = program.here("audit", "retention")
    assert (done.returncode, done.stderr) == (
        0,
        "closed without a valid time, by an application's own UPDATE: 1; the periods begin today\n",
    )


def test_a_limit_that_can_not_be_is_refused(program: Program) -> None:
    done = program.here("audit", "retention", FORGE_GDPR_RETAIN_REQUESTS_MONTHS="0")
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "FORGE_GDPR_RETAIN_REQUESTS_MONTHS=0 is wrong" in done.stderr


def test_who_is_back_after_a_restore_is_shown_and_erased_again(
    program: Program, engine: Engine, sandbox: Sandbox
) -> None:
    insert(
        engine,
        {"forge_user_id": ADA.id, "reference": "T-1"},
        {"forge_user_id": BEN.id, "email": BEN.email},
    )
    assert program.here("run").returncode == 0
    quiet = program("audit", "replay-check")
    assert (quiet.returncode, quiet.stderr) == (0, "")
    assert quiet.stdout == (
        "0 back by user id (the same account: a restore), 0 by e-mail (may have signed up anew);"
        " 28 users, 2 closings compared\n"
    )
    sandbox.add(User(id="d" * 24, name="Ben", email=BEN.email))
    assert program.here("audit", "replay-check").returncode == 0
    sandbox.add(ADA)
    found = program("audit", "replay-check", "--output", "json")
    told = json.loads(found.stdout)
    assert (found.returncode, found.stderr, told["enqueued"]) == (10, "", None)
    assert [(one["request_id"], one["reference"], one["back_by"]) for one in told["back"]] == [
        (1, "T-1", "user_id"),
        (2, None, "email"),
    ]
    assert not any(user.id in found.stdout or user.email in found.stdout for user in (ADA, BEN))

    calls = len(sandbox.seen)
    refused = program("audit", "replay-check", "--enqueue")
    assert (refused.returncode, "needs --yes" in refused.stderr) == (2, True)
    assert len(sandbox.seen) == calls
    asked = program("audit", "replay-check", "--enqueue", "--yes", "--actor", "kim")
    assert (asked.returncode, asked.stderr) == (10, "")
    assert asked.stdout.endswith("\n1 request is added: the next run erases them\n")
    again = program.here("audit", "replay-check", "--enqueue", "--yes")
    assert again.stdout.endswith("0 requests are added; 1 request is open already: the next run"
                                 " erases them\n")  # fmt: skip
    assert program.here("run").returncode == 0
    assert program.here("audit", "replay-check").returncode == 0
    assert [user.email for user in sandbox.users if user.id == ADA.id] == []
    assert program.here("audit", "verify").returncode == 0


def test_another_key_is_told_and_nothing_is_found(
    program: Program, engine: Engine, sandbox: Sandbox
) -> None:
    insert(engine, {"forge_user_id": ADA.id})
    assert program.here("run").returncode == 0
    sandbox.add(ADA)
    found = program.here(
        "audit", "replay-check", "--output", "json", FORGE_GDPR_SUBJECT_KEY="n" * 32
    )
    assert (found.returncode, json.loads(found.stdout)["closings_not_live"]) == (0, 1)
    assert found.stderr == (
        "1 of 1 closings are under keys that are not live: nobody in them is found without the key"
        " of their time\n"
    )


def test_a_forge_that_does_not_answer_well_is_no_all_clear(
    program: Program, sandbox: Sandbox
) -> None:
    sandbox.script(Fault(kind=FaultKind.STATUS, status=401, count=None))
    assert program.here("audit", "replay-check").returncode == 7
    sandbox.clear()
    sandbox.script(Fault(kind=FaultKind.STATUS, status=404, count=None))
    lost = program.here("audit", "replay-check")
    assert (lost.returncode, lost.stdout) == (5, "")
    assert "FORGE_GDPR_BASE_URL" in lost.stderr
