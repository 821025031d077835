"""Certificates and proofs, typed: one person's answer, and its check without us."""

from __future__ import annotations

import json
import os
import shutil
import stat
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import update
from world import Program, fetch, insert

from forge_gdpr.audit.events import MAIN, Entry, EventName
from forge_gdpr.audit.record import append, head_of
from forge_gdpr.chain import Head
from forge_gdpr.checkpoints import PublicKey
from forge_gdpr.database.engine import now, writing
from forge_gdpr.database.tables import deletion_requests as requests
from forge_gdpr.sandbox import generated_user

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sqlalchemy import Engine

SIGNING = {"FORGE_GDPR_SIGNING_KEY_FILE": "key"}
ADA, BOB, CYD, DAN = (generated_user(number) for number in range(4))


@pytest.fixture
def after_a_night(program: Program, engine: Engine) -> Program:
    """Return the program: 1 erased, 2 not found, 3 refused by a person, 4 held, signed by `key`."""
    program.here("audit", "keygen", "--name", "example.org/gdpr", "key")
    insert(
        engine,
        {"forge_user_id": ADA.id, "reference": "T-4711"},
        {"email": "never.seen@example.org"},
        {"email": CYD.email},
        {"forge_user_id": DAN.id, "status": "held"},
    )
    done = program.here("requests", "refuse", "3", "--reason", "expression", "--ticket", "LEGAL-1")
    assert done.returncode == 0, done.stderr
    assert program.here("run", FORGE_GDPR_VERIFY="true", **SIGNING).returncode == 0
    return program


def without_us(folder: Path) -> Program:
    """Return the program as an auditor has it: no settings, no database, no secret."""
    kept = {k: v for k, v in os.environ.items() if k.startswith(("COVERAGE", "PATH"))}
    return Program(environment=kept | {"PYTHONUTF8": "1"}, folder=folder)


def certificate_of(program: Program, request: int) -> dict[str, Any]:
    done = program.here("audit", "certificate", str(request))
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_certificate_is_verified_with_a_copy_and_the_public_key_alone(
    after_a_night: Program, tmp_path: Path
) -> None:
    issued = after_a_night("audit", "certificate", "1")
    assert issued.returncode == 0
    away = tmp_path / "laptop"
    away.mkdir()
    (away / "certificate.json").write_text(issued.stdout)
    shutil.copy(after_a_night.folder / "key.pub", away)
    auditor = without_us(away)
    key = PublicKey.parse((away / "key.pub").read_text())
    words = ("audit", "certificate", "--verify", "certificate.json", "--public-key", "key.pub")
    checked = auditor(*words)
    assert (checked.returncode, checked.stderr) == (0, "")
    for said in (
        "the certificate holds: request 1 (reference T-4711)",
        "Forge confirmed that it deleted the user. Asked afterwards, it had no such user.",
        ", on time",
        "told from: 4 events of the request, 1 run; the record may have others, also later ones",
        "signed: example.org/gdpr, ",
        f"by: example.org/gdpr+{key.id}, SHA-256 {key.fingerprint}",
        "- Each event in it stood in the record, in these very words, when the holder of the key",
        "- What is left on Forge's disks it does not prove.",
    ):
        assert said in checked.stdout
    page = auditor.here(*words, "--output", "html")
    assert page.stdout.startswith("<!doctype html>")
    assert "Forge confirmed that it deleted the user." in page.stdout
    assert "Every event" not in page.stdout
    piped = auditor.here(*words[:3], "-", *words[4:], stdin=issued.stdout)
    assert piped.stdout == checked.stdout
    changed = issued.stdout.replace("T-4711", "T-4712")
    broken = auditor.here(*words[:3], "-", *words[4:], stdin=changed)
    assert (broken.returncode, broken.stdout, broken.stderr.count("\n")) == (6, "", 1)
    assert "proves nothing" in broken.stderr


def test_each_end_is_certified_and_names_nobody(after_a_night: Program) -> None:
    documents = [certificate_of(after_a_night, request) for request in (1, 2, 3)]
    assert [one["result"]["outcome"] for one in documents] == [
        "erased",
        "not_found_by_email",
        "refused",
    ]
    assert documents[0]["result"]["verified_absent"] is True
    assert documents[2]["result"]["reason"] == "expression"
    text = json.dumps(documents)
    for user in (ADA, BOB, CYD, DAN):
        assert not [one for one in (user.id, user.email) if one in text]
    assert "never.seen" not in text
    assert documents[0]["request"]["subject"].startswith("v1:")


def test_a_later_checkpoint_certifies_the_same(after_a_night: Program) -> None:
    first = certificate_of(after_a_night, 1)
    assert after_a_night.here("run", **SIGNING).returncode == 0
    second = certificate_of(after_a_night, 1)
    assert second["record"]["events"] > first["record"]["events"]
    for part in ("request", "result", "steps", "runs"):
        assert second[part] == first[part]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("4",), 2, "request 4"),
        (("17",), 2, "request 17"),
        ((), 2, "name one REQUEST, or a certificate with --verify"),
        (("1", "--verify", "key.pub"), 2, "name one REQUEST, or a certificate with --verify"),
        (("--verify", "key.pub"), 2, "--verify needs --public-key"),
        (("--verify", "key.pub", "--public-key", "key.pub"), 6, "proves nothing: it is not JSON"),
        (("--verify", "twice.json", "--public-key", "key.pub"), 6, "it says one name twice"),
        (("--verify", "latin.json", "--public-key", "key.pub"), 2, "can't be read"),
        (("--verify", "none", "--public-key", "key.pub"), 2, "none"),
        (("--verify", "empty.json", "--public-key", "key.pub"), 6, "no certificate of this kind"),
        (("--verify", "empty.json", "--public-key", "empty.json"), 3, "empty.json"),
    ],
)
def test_what_cannot_be_certified_is_said_in_one_line(
    words: Sequence[str], code: int, said: str, after_a_night: Program
) -> None:
    (after_a_night.folder / "empty.json").write_text("{}\n")
    (after_a_night.folder / "twice.json").write_text('{"certificate": 1, "certificate": 2}')
    (after_a_night.folder / "latin.json").write_bytes(b'"\xe9"')
    done = after_a_night.here("audit", "certificate", *words)
    assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (code, "", False)
    assert said in done.stderr.splitlines()[-1]


def test_a_record_that_nobody_signed_certifies_nothing(program: Program, engine: Engine) -> None:
    insert(engine, {"forge_user_id": ADA.id})
    program.here("run")
    unsigned = program.here("audit", "certificate", "1")
    assert (unsigned.returncode, unsigned.stdout, unsigned.stderr.count("\n")) == (3, "", 1)
    assert "audit checkpoint" in unsigned.stderr
    program.here("audit", "keygen", "key")
    assert program.here("audit", "checkpoint", **SIGNING).returncode == 0
    assert certificate_of(program, 1)["result"]["outcome"] == "erased"


def test_what_is_not_signed_yet_or_not_closed_yet_waits(
    after_a_night: Program, engine: Engine
) -> None:
    after_a_night.here("requests", "cancel", "4", "--reason", "withdrawn")
    unsigned = after_a_night.here("audit", "certificate", "4")
    assert (unsigned.returncode, unsigned.stderr.count("\n")) == (3, 1)
    assert "and event 6 is needed: set FORGE_GDPR_SIGNING_KEY_FILE" in unsigned.stderr
    with writing(engine) as connection:
        at = now(connection)
        opened = Entry(event=EventName.RUN_OPENED, run_id="01", actor="cron")
        append(connection, head_of(connection, MAIN), [opened], at=at)
        closed = Entry(event=EventName.REQUEST_CLOSED, run_id="01", request_id=9, outcome="erased")
        append(connection, Head(chain="01"), [closed], at=at)
    running = after_a_night.here("audit", "certificate", "9")
    assert (running.returncode, running.stderr.count("\n")) == (3, 1)
    assert "run 01 has not closed yet: wait until it ends" in running.stderr


def test_a_record_that_contradicts_itself_certifies_nothing(
    after_a_night: Program, engine: Engine
) -> None:
    forged = Entry(event=EventName.CHECKPOINT, actor="eve", details={"note": "trust me"})
    with writing(engine) as connection:
        append(connection, head_of(connection, MAIN), [forged], at=now(connection))
    done = after_a_night.here("audit", "certificate", "3")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (6, "", 1)
    assert "the newest checkpoint in the record: " in done.stderr
    assert "forge-gdpr audit verify" in done.stderr


def test_a_request_that_ended_twice_is_for_an_export_and_has_no_certificate(
    after_a_night: Program, engine: Engine
) -> None:
    """An application has set a refused request to pending again: the record is as it was."""
    again = {"status": "pending", "status_reason": None, "closed_at": None, "email": CYD.email}
    with writing(engine) as connection:
        connection.execute(update(requests).where(requests.c.id == 3).values(**again))
    assert after_a_night.here("run", **SIGNING).returncode == 0
    assert after_a_night.here("audit", "verify").returncode == 0
    done = after_a_night.here("audit", "certificate", "3")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].endswith(
        "the record of request 3: its request has 2 ends (refused, erased), so no certificate can"
        " say one of them; see 'forge-gdpr requests explain 3', and use 'forge-gdpr audit export'"
        " as evidence"
    )


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([EventName.RUN_CLOSED], "run 01 closes and was never opened"),
        (
            [EventName.RUN_OPENED, EventName.RUN_CLOSED],
            "event 1 of 01 is not in what was closed or signed",
        ),
    ],
)
def test_a_run_that_main_does_not_close_as_it_is_certifies_nothing(
    events: list[EventName], said: str, after_a_night: Program, engine: Engine
) -> None:
    with writing(engine) as connection:
        ended = Entry(event=EventName.REQUEST_CLOSED, run_id="01", request_id=9, outcome="erased")
        append(connection, Head(chain="01"), [ended], at=now(connection))
        in_main = [Entry(event=event, run_id="01", details={"length": 0}) for event in events]
        append(connection, head_of(connection, MAIN), in_main, at=now(connection))
    assert after_a_night.here("audit", "checkpoint", **SIGNING).returncode == 0
    done = after_a_night.here("audit", "certificate", "9")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (6, "", 1)
    assert f"the record of request 9: {said}; run 'forge-gdpr audit verify'" in done.stderr


def test_nothing_in_a_certificate_writes_a_line_of_the_verdict(
    after_a_night: Program, engine: Engine
) -> None:
    """Whoever may write to the record writes line ends and what a terminal obeys."""
    lines = "T-1\nby: somebody else\r\x1b[2K\x9b\u2028\u202e"
    with writing(engine) as connection:
        refused = Entry(
            event=EventName.REQUEST_REFUSED,
            request_id=77,
            actor=lines,
            details={"reference": lines, "regime": lines, "due_on": "2026-12-01"},
        )
        append(connection, head_of(connection, MAIN), [refused], at=now(connection))
    assert after_a_night.here("audit", "checkpoint", **SIGNING).returncode == 0
    words = ("audit", "certificate", "--verify", "77.json", "--public-key", "key.pub")
    issued = after_a_night.here("audit", "certificate", "77").stdout
    (after_a_night.folder / "77.json").write_text(issued)
    assert issued.replace("\n", "").isprintable()
    page = after_a_night.here(*words, "--output", "html").stdout
    assert "<td>T-1\nby: somebody else\\r\\x1b[2K\\x9b\\u2028\\u202e</td>" in page
    assert page.replace("\n", "").isprintable()
    done = after_a_night.here(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert "reference T-1\\nby: somebody else\\r\\x1b[2K\\x9b\\u2028\\u202e)" in done.stdout
    assert done.stdout.replace("\n", "").isprintable()
    assert [line for line in done.stdout.splitlines() if line.startswith("by: ")] == [
        line for line in done.stdout.splitlines() if "SHA-256 " in line and "compare" not in line
    ]
    (after_a_night.folder / "77.json").write_text(issued.replace('"regime"', '"r\\u001b"'))
    broken = after_a_night.here(*words)
    assert (broken.returncode, broken.stderr.count("\n")) == (6, 1)
    assert broken.stderr.strip().isprintable()


def test_prove_answers_what_became_of_each_person(after_a_night: Program) -> None:
    answers = {
        ADA.id: "erased: request 1, ",
        DAN.id: "open: request 4",
        BOB.id: "no record of this person",
    }
    for typed, said in answers.items():
        done = after_a_night.here("audit", "prove", "--user-id", "-", stdin=f"{typed}\n")
        assert done.returncode == (10 if typed == BOB.id else 0)
        assert done.stdout.startswith(said)
        assert (done.stdout.count("\n"), done.stderr) == (1, "")
        assert typed not in done.stdout
    refused = after_a_night.here("audit", "prove", "--email", CYD.email)
    assert refused.stdout.startswith("refused: request 3, ")
    never = after_a_night("audit", "prove", "--email", "Never.Seen@example.org")
    assert never.stdout.startswith("no user with this address was found: request 2, ")


def test_prove_writes_the_certificate_of_the_newest_end(
    after_a_night: Program, engine: Engine
) -> None:
    insert(engine, {"forge_user_id": ADA.id})
    assert after_a_night.here("run", **SIGNING).returncode == 0
    insert(engine, {"forge_user_id": ADA.id})
    words = ("audit", "prove", "--user-id", ADA.id, "--certificate", "proof.json")
    done = after_a_night.here(*words)
    assert "erased" not in done.stdout.splitlines()[1]
    assert [line.split(",")[0] for line in done.stdout.splitlines()] == [
        "erased: request 1",
        "was not there: request 5",
        "open: request 6",
    ]
    proof = after_a_night.folder / "proof.json"
    assert json.loads(proof.read_text())["request"]["id"] == 5
    checked = after_a_night.here(
        "audit", "certificate", "--verify", "proof.json", "--public-key", "key.pub"
    )
    assert (checked.returncode, ADA.id in proof.read_text()) == (0, False)
    assert stat.S_IMODE(proof.stat().st_mode) == 0o600
    for name, code in (("none/proof.json", 3), ("proof.json", 2)):  # no folder; over nothing
        nowhere = after_a_night.here(*words[:-1], name)
        assert (nowhere.returncode, nowhere.stderr.count("\n")) == (code, 1)
    assert not list(after_a_night.folder.glob(".forge-gdpr-*"))
    proof.unlink()
    open_only = after_a_night.here(
        "audit", "prove", "--user-id", DAN.id, "--certificate", "proof.json"
    )
    assert (open_only.returncode, proof.exists()) == (0, False)


def test_prove_speaks_json_and_says_which_keys_are_retired(
    after_a_night: Program, engine: Engine
) -> None:
    told = json.loads(
        after_a_night.here("audit", "prove", "--user-id", ADA.id, "--output", "json").stdout
    )
    assert [(one["request_id"], one["answer"]) for one in told["requests"]] == [(1, "erased")]
    assert told["retired"] == []
    (old,) = fetch(engine, "SELECT subject FROM deletion_requests WHERE id = 1")
    with engine.begin() as connection:  # as retention does a month later
        connection.exec_driver_sql("UPDATE deletion_requests SET forge_user_id = NULL")
    after_a_night.here("audit", "keygen", "--subject", "another")
    another = {"FORGE_GDPR_SUBJECT_KEY": "", "FORGE_GDPR_SUBJECT_KEY_FILE": "another"}
    lost = after_a_night.here("audit", "prove", "--user-id", ADA.id, **another)
    assert (lost.returncode, lost.stdout) == (10, "no record of this person\n")
    assert f"subject keys that are retired: {old.split(':')[1]};" in lost.stderr
    assert after_a_night.here("audit", "verify").returncode == 0


def test_prove_needs_one_person(after_a_night: Program) -> None:
    for words in ((), ("--email", ADA.email, "--user-id", ADA.id)):
        done = after_a_night.here("audit", "prove", *words)
        assert (done.returncode, ADA.email in done.stderr) == (2, False)
        assert "give one of --user-id and --email" in done.stderr
