"""Exports, typed: a period's evidence, and its check without us."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
import stat
import sys
import threading
from datetime import UTC
from typing import TYPE_CHECKING, Final

import pytest
from world import Program, insert, night, stranger

from forge_gdpr.audit.events import MAIN, Entry, EventName
from forge_gdpr.audit.exports import write_export
from forge_gdpr.audit.record import append, head_of
from forge_gdpr.chain import Head, written_time
from forge_gdpr.checkpoints import signing_key
from forge_gdpr.database.engine import now, reading, writing
from forge_gdpr.evidence import verify
from forge_gdpr.exports import query_of
from forge_gdpr.sandbox import generated_user

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sqlalchemy import Engine

    from forge_gdpr.sandbox import Sandbox

SIGNING = {"FORGE_GDPR_SIGNING_KEY_FILE": "key"}
USERS = [generated_user(number) for number in range(8)]
PERIOD = ("--from", "2026-01-01", "--to", "2126-12-31")
VERIFY = ("audit", "export", "--verify", "evidence", "--public-key", "key.pub")
VERIFIER = (sys.executable, "-I", "-S", verify.__file__)


@pytest.fixture
def after_two_nights(program: Program, engine: Engine) -> Program:
    """Return the program after two signed runs, and decisions by people between and after them."""
    program.here("audit", "keygen", "--name", "example.org/gdpr", "key")
    insert(engine, *({"forge_user_id": user.id, "reference": "=1+1"} for user in USERS[:1]))
    insert(engine, *({"email": user.email} for user in USERS[1:5]))
    any_reference = {"FORGE_GDPR_REFERENCE_PATTERN": ".*"}
    assert program.here("run", **SIGNING, **any_reference).returncode == 0
    insert(engine, *({"forge_user_id": user.id} for user in USERS[5:]))
    assert program.here("requests", "refuse", "6", "--reason", "expression").returncode == 0
    assert program.here("run", **SIGNING).returncode == 0
    assert program.here("requests", "cancel", "6", "--reason", "withdrawn").returncode == 2
    return program


@pytest.fixture
def exported(after_two_nights: Program) -> Program:
    done = after_two_nights("audit", "export", *PERIOD, "--into", "evidence")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("evidence:\n  period: 2026-01-01 to 2126-12-31 (UTC), ")
    return after_two_nights


def without_us(folder: Path) -> Program:
    """Return the program as an auditor has it: no settings, no database, no secret."""
    kept = {k: v for k, v in os.environ.items() if k.startswith(("COVERAGE", "PATH"))}
    return Program(environment=kept | {"PYTHONUTF8": "1"}, folder=folder)


def test_an_export_is_verified_with_a_copy_and_the_public_key_alone(
    exported: Program, tmp_path: Path
) -> None:
    away = tmp_path / "laptop"
    shutil.copytree(exported.folder / "evidence", away / "evidence")
    shutil.copy(exported.folder / "key.pub", away)
    checked = without_us(away)(*VERIFY)
    assert (checked.returncode, checked.stderr) == (0, "")
    for said in (
        "the export is verified: unchanged and complete up to 20",
        "- What was recorded after it was signed is not proven to be here.",
        "runs alive in it, shown: 2, each whole",
        "whole; of 0 of its events the hash alone",
        "signed: example.org/gdpr, ",
        "- It proves what was recorded: that Forge answered so is the word of the holder of the",
    ):
        assert said in checked.stdout
    assert "NOT SIGNED" not in checked.stdout


def test_only_its_owner_reads_an_export_and_it_names_nobody(exported: Program) -> None:
    folder = exported.folder / "evidence"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert sorted(one.name for one in folder.iterdir()) == [
        "HOWTO.md",
        "events.csv",
        "events.jsonl",
        "manifest.json",
        "verify.py",
    ]
    for file in folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        text = file.read_text()
        for user in USERS:
            assert user.id not in text
            assert user.email not in text


def test_the_sheet_says_what_the_evidence_says_and_no_cell_is_a_formula(exported: Program) -> None:
    folder = exported.folder / "evidence"
    with (folder / "events.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    lines = (folder / "events.jsonl").read_text().splitlines()
    bodies = [json.loads(json.loads(line)["body"]) for line in lines]
    assert [(row["chain"], row["seq"]) for row in rows] == [
        (body["chain"], str(body["seq"])) for body in bodies
    ]
    assert {row["reference"] for row in rows if row["request_id"] == "1"} >= {"'=1+1"}
    manifest = json.loads((folder / "manifest.json").read_text())
    assert len(rows) == manifest["events"] == manifest["events_in_period"]


def test_a_period_without_events_holds_no_more_than_it_must(after_two_nights: Program) -> None:
    done = after_two_nights.here(
        "audit", "export", "--from", "2026-01-01", "--to", "2026-01-02", "--into", "evidence"
    )
    assert "events of it shown: 0" in done.stdout
    assert "runs alive in it, shown: 0" in done.stdout
    folder = after_two_nights.folder / "evidence"
    assert (folder / "events.csv").read_text().count("\n") == 1
    assert "request." not in (folder / "events.jsonl").read_text()
    checked = after_two_nights.here(*VERIFY)
    assert checked.returncode == 0
    assert checked.stdout.startswith(
        "the export is verified: unchanged and complete, but for what the 2 events say"
    )
    assert "of 2 of its events the hash alone" in checked.stdout


def test_a_stranger_verifies_an_export_with_what_is_in_it(
    exported: Program, tmp_path: Path
) -> None:
    away = tmp_path / "laptop"
    shutil.copytree(exported.folder / "evidence", away / "evidence")
    shutil.copy(exported.folder / "key.pub", away)
    words = (sys.executable, "-I", "-S", "evidence/verify.py", "evidence", "--key", "key.pub")
    done = stranger(away, *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("VERIFIED: the export is unchanged and complete up to 20")
    own = hashlib.sha256((away / "evidence" / "verify.py").read_bytes()).hexdigest()
    assert f"This verifier has the SHA-256 {own}: " in done.stdout
    text = (away / "evidence" / "events.jsonl").read_text()
    (away / "evidence" / "events.jsonl").write_text(text.replace("erased", "absent", 1))
    changed = stranger(away, *words)
    assert (changed.returncode, changed.stdout) == (1, "")
    assert changed.stderr.startswith("NOT VERIFIED: ")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_the_howtos_commands_check_the_signature_with_openssl_alone(exported: Program) -> None:
    folder = exported.folder
    howto = (folder / "evidence" / "HOWTO.md").read_text()
    (commands,) = re.findall(r"```sh\n(.*?)```", howto, re.DOTALL)
    shutil.copy(folder / "key.pub", folder / "signing-key.pub")
    done = stranger(folder, "sh", "-euc", commands)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Signature Verified Successfully\n"
    (fingerprint,) = re.findall(r"    (cut .* openssl dgst .*)\n", howto)
    sha256 = stranger(folder, "sh", "-euc", fingerprint).stdout.split()[-1]
    assert f", SHA-256 {sha256}\n" in exported.here(*VERIFY).stdout
    pem = (*VERIFIER, "evidence", "--key", "public.pem")  # as openssl wrote it
    assert f", SHA-256 {sha256}\n" in stranger(folder, *pem).stdout
    exported.here("audit", "keygen", "--name", "example.org/gdpr", "other")
    shutil.copy(folder / "other.pub", folder / "signing-key.pub")
    other = stranger(folder, "sh", "-euc", commands)
    assert (other.returncode, other.stdout) == (1, "Signature Verification Failure\n")


def test_files_beside_the_evidence_are_those_that_its_manifest_lists(exported: Program) -> None:
    folder = exported.folder / "evidence"
    text = (folder / "verify.py").read_text()
    (folder / "verify.py").write_text(f"{text}# trust me\n")
    done = exported.here(*VERIFY)
    assert (done.returncode, "something else than its events: files" in done.stderr) == (6, True)
    assert stranger(exported.folder, *VERIFIER, "evidence", "--key", "key.pub").returncode == 1
    manifest = json.loads((folder / "manifest.json").read_text())
    data = (folder / "verify.py").read_bytes()
    listed = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest["files"]["verify.py"] = listed
    (folder / "manifest.json").write_text(json.dumps(manifest))
    done = exported.here(*VERIFY)
    said = "- The verify.py in it is not the one of this version: don't use it unless you have"
    assert (done.returncode, done.stdout.count(said)) == (0, 1)
    done = stranger(exported.folder, *VERIFIER, "evidence", "--key", "key.pub")
    said = "- Whether the verify.py in the export is honest: it is not the one that runs now."
    assert (done.returncode, done.stdout.count(said)) == (0, 1)
    for name in ("verify.py", "HOWTO.md"):
        (folder / name).unlink()
        assert exported.here(*VERIFY).returncode == 6
        del manifest["files"][name]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert exported.here(*VERIFY).returncode == 0
    assert stranger(exported.folder, *VERIFIER, "evidence", "--key", "key.pub").returncode == 0


def append_a_run(engine: Engine, *, actor: str = "cron") -> None:
    with writing(engine) as connection:
        at = now(connection)
        opened = Entry(event=EventName.RUN_OPENED, run_id="running", actor=actor)
        append(connection, head_of(connection, MAIN), [opened], at=at)
        admitted = Entry(event=EventName.REQUEST_ADMITTED, run_id="running", request_id=70)
        append(connection, Head(chain="running"), [admitted], at=at)


def test_what_came_after_the_signature_is_refused_unless_it_is_allowed(
    after_two_nights: Program, engine: Engine
) -> None:
    append_a_run(engine)
    done = after_two_nights.here("audit", "export", *PERIOD, "--into", "evidence")
    tail = "1 of main (from event 9) and 1 of runs that no signed event closes (running)"
    assert (done.returncode, done.stderr.count("\n")) == (0, 1)
    assert f"not signed are {tail}: --verify refuses this export" in done.stderr
    checked = after_two_nights.here(*VERIFY)
    assert (checked.returncode, checked.stdout, checked.stderr.count("\n")) == (6, "", 1)
    assert f"evidence is not verified: not signed are {tail}" in checked.stderr
    allowed = after_two_nights.here(*VERIFY, "--allow-unsigned-tail")
    assert (allowed.returncode, allowed.stderr) == (0, "")
    for said in (
        "the export is verified AS FAR AS IT IS SIGNED, and there it is complete up to 20",
        "(2 of them NOT SIGNED)",
        "2, each whole; 1 not closed by a signed event (running), with 1 events NOT SIGNED",
        "the main chain: whole (1 of them NOT SIGNED); ",
        f"- NOT SIGNED are {tail}: anybody",
    ):
        assert said in allowed.stdout
    assert "unchanged and complete" not in allowed.stdout


def test_an_export_of_a_signed_record_ends_with_its_checkpoint(
    after_two_nights: Program, engine: Engine
) -> None:
    insert(engine, {"forge_user_id": generated_user(9).id, "status": "held"})
    done = after_two_nights.here("requests", "cancel", "9", "--reason", "withdrawn", "--yes")
    assert done.returncode == 0, done.stderr
    words = ("audit", "export", *PERIOD, "--actor", "ada", "--into")
    (after_two_nights.folder / "notes").touch()  # copies are kept from now on
    done = after_two_nights.here(*words, "evidence", FORGE_GDPR_CHECKPOINT_FILE="notes", **SIGNING)
    assert (done.returncode, done.stderr) == (0, "")
    notes = (after_two_nights.folder / "notes").read_text()
    assert after_two_nights.here(*VERIFY).returncode == 0
    last = (after_two_nights.folder / "evidence" / "events.jsonl").read_text()
    bodies = [json.loads(json.loads(line)["body"]) for line in last.splitlines()]
    ends = [body for body in bodies if body["chain"] == "main"]
    assert (ends[-1]["event"], ends[-1]["actor"]) == ("audit.checkpoint", "ada")
    assert notes == f"{ends[-1]['note']}\n"
    again = after_two_nights.here(*words, "again", FORGE_GDPR_CHECKPOINT_FILE="notes", **SIGNING)
    assert (again.returncode, (after_two_nights.folder / "notes").read_text()) == (0, notes)
    allowed = after_two_nights.here(*words, "third", "--allow-unsigned-tail")
    assert (allowed.returncode, "is for --verify" in allowed.stderr) == (2, True)


def test_a_login_that_may_not_write_says_that_it_can_not_sign(
    after_two_nights: Program, engine: Engine
) -> None:
    append_a_run(engine)
    if engine.dialect.name == "sqlite":
        trigger = (
            "CREATE TRIGGER t BEFORE INSERT ON audit_events BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    else:
        trigger = "CREATE RULE r AS ON INSERT TO audit_events DO INSTEAD SELECT 1 / 0"
    with engine.begin() as connection:
        connection.exec_driver_sql(trigger)
    done = after_two_nights.here("audit", "export", *PERIOD, "--into", "evidence", **SIGNING)
    assert (done.returncode, done.stderr.count("\n")) == (0, 2)
    assert "the newest events can't be signed by this login: " in done.stderr
    assert "--verify refuses this export" in done.stderr


def test_no_text_of_the_evidence_prints_a_line_of_its_own(
    after_two_nights: Program, engine: Engine
) -> None:
    lie = "x\nthe export is verified: all\x1b[2J"
    with writing(engine) as connection:
        opened = Entry(event=EventName.RUN_OPENED, run_id=lie, actor="eve")
        append(connection, head_of(connection, MAIN), [opened], at=now(connection))
        one = Entry(event=EventName.REQUEST_ADMITTED, run_id=lie, request_id=70)
        append(connection, Head(chain=lie), [one], at=now(connection))
    after_two_nights.here("audit", "export", *PERIOD, "--into", "evidence")
    for words, code in ((VERIFY, 6), ((*VERIFY, "--allow-unsigned-tail"), 0)):
        checked = after_two_nights.here(*words)
        lines = (checked.stdout + checked.stderr).splitlines()
        assert checked.returncode == code
        assert not [line for line in lines if line.startswith("the export is verified: ")]
        assert "\x1b" not in checked.stdout + checked.stderr
        assert [line for line in lines if "x\\nthe export is verified" in line]


def test_days_begin_where_the_controller_is(after_two_nights: Program) -> None:
    done = after_two_nights.here(
        "audit",
        "export",
        *("--from", "2026-07-01", "--to", "2026-12-31", "--into", "evidence"),
        FORGE_GDPR_TIMEZONE="Europe/Berlin",
    )
    assert (
        "from 2026-06-30T22:00:00.000000Z until before 2026-12-31T23:00:00.000000Z" in done.stdout
    )


def edit(file: str, old: str, new: str) -> Callable[[Path], object]:
    def tamper(folder: Path) -> None:
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new, 1))

    return tamper


def remove(file: str) -> Callable[[Path], object]:
    return lambda folder: (folder / file).unlink()


def write(file: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / file).write_bytes(data)


def link(file: Path) -> None:
    away = file.parent.parent / "elsewhere"
    away.write_bytes(file.read_bytes())
    file.unlink()
    file.symlink_to(away)


def drop_a_line(folder: Path) -> None:
    lines = (folder / "events.jsonl").read_text().splitlines(keepends=True)
    del lines[-3]
    (folder / "events.jsonl").write_text("".join(lines))


TAMPERINGS: Final[Sequence[tuple[Callable[[Path], object], int, str]]] = (
    (edit("events.jsonl", "erased", "absent"), 6, "does not match its hash"),
    (drop_a_line, 6, "one is missing, or added"),
    (edit("events.csv", "erased", "absent"), 6, "events.csv does not say what events.jsonl"),
    (edit("manifest.json", '"events": ', '"events": 1'), 6, "something else than its events"),
    (edit("manifest.json", '"checkpoint": "', '"checkpoint": "x'), 6, "its checkpoint"),
    (remove("manifest.json"), 6, "manifest.json is missing"),
    (remove("events.jsonl"), 6, "events.jsonl is missing"),
    (remove("events.csv"), 6, "events.csv is missing"),
    (write("manifest.json", b"{"), 6, "manifest.json: it is not JSON"),
    (write("manifest.json", b"[" * 100_000), 6, "manifest.json: it is not JSON"),
    (write("note.txt", b"trust me"), 6, "more in it than an export: 'note.txt'"),
    (lambda folder: (folder / "more").mkdir(), 6, "'more' in it is not a file"),
    (lambda folder: link(folder / "events.csv"), 6, "'events.csv' in it is not a file"),
    (edit("manifest.json", '"events": ', '"events": 1, "events": '), 6, "one name twice"),
    (edit("manifest.json", '"last_day": "2126', '"last_day": "2127'), 6, "names another period"),
    (write("manifest.json", b"{}"), 6, "its manifest is none of this kind"),
    (write("events.jsonl", b"\xff\n"), 2, "evidence is no export (UnicodeDecodeError)"),
    (write("events.jsonl", b""), 6, "its end was cut off"),
)


def test_what_was_changed_is_found_in_one_line(exported: Program) -> None:
    evidence, kept = exported.folder / "evidence", exported.folder / "kept"
    evidence.rename(kept)
    for tamper, code, said in TAMPERINGS:
        shutil.copytree(kept, evidence)
        tamper(evidence)
        done = exported.here(*VERIFY)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1), said
        assert said in done.stderr
        assert "Traceback" not in done.stderr
        shutil.rmtree(evidence)


def test_another_key_has_not_signed_it(exported: Program) -> None:
    exported.here("audit", "keygen", "--name", "example.org/gdpr", "other")
    done = exported.here(*VERIFY[:-1], "other.pub")
    assert (done.returncode, "its checkpoint: " in done.stderr) == (6, True)


REFUSALS: Final[Sequence[tuple[Sequence[str], int, str]]] = (
    ((), 2, "give --from, --to and --into, or a folder with --verify"),
    (("--from", "2026-01-01", "--into", "new"), 2, "give --from, --to and --into"),
    ((*PERIOD, "--verify", "evidence"), 2, "give --from, --to and --into"),
    (("--from", "2026-02-01", "--to", "2026-01-01", "--into", "new"), 2, "is later than --to"),
    ((*PERIOD, "--into", "evidence"), 2, "evidence is there already, and is not written over"),
    ((*PERIOD, "--into", "none/new"), 3, "none/new can't be used (no such file"),
    (("--from", "2026-01-01", "--to", "9999-12-31", "--into", "new"), 2, "2999-12-31"),
    (("--verify", "evidence"), 2, "--verify needs --public-key"),
    (("--verify", "none", "--public-key", "key.pub"), 2, "none"),
)


def test_what_cannot_be_exported_is_said_in_one_line(exported: Program) -> None:
    for words, code, said in REFUSALS:
        done = exported.here("audit", "export", *words)
        assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (code, "", False)
        assert said in done.stderr.splitlines()[-1]
        assert not [one for one in exported.folder.iterdir() if one.name.startswith(".")]


def test_an_unsigned_record_is_exported_and_proves_nothing(
    program: Program, engine: Engine
) -> None:
    insert(engine, {"forge_user_id": USERS[0].id})
    program.here("run")
    done = program.here("audit", "export", *PERIOD, "--into", "evidence")
    assert (done.returncode, "the record is not signed" in done.stderr) == (0, True)
    program.here("audit", "keygen", "key")
    checked = program.here(*VERIFY)
    assert (checked.returncode, "it is not signed" in checked.stderr) == (6, True)


def test_a_broken_record_leaves_no_export(after_two_nights: Program, engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        triggers = ["DROP TRIGGER audit_events_refuse_update"]
    else:
        triggers = ["ALTER TABLE audit_events DISABLE TRIGGER USER"]
    with engine.begin() as connection:
        for statement in (
            *triggers,
            "UPDATE audit_events SET body = replace(body, 'erased', 'absent')",
        ):
            connection.exec_driver_sql(statement)
    done = after_two_nights.here("audit", "export", *PERIOD, "--into", "evidence")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (6, "", 1)
    assert "does not match its hash; run 'forge-gdpr audit verify'" in done.stderr
    left = [one.name for one in after_two_nights.folder.iterdir()]
    assert not [one for one in left if "evidence" in one]


def test_an_export_beside_a_run_is_whole(engine: Engine, sandbox: Sandbox, tmp_path: Path) -> None:
    key = signing_key("example.org", bytes(32))
    insert(engine, *({"forge_user_id": generated_user(number).id} for number in range(20)))
    night(engine, sandbox.url, order={"signing_key": key})

    def write_on() -> None:
        for number in range(20, 24):
            insert(engine, {"forge_user_id": generated_user(number).id})
            night(engine, sandbox.url, order={"signing_key": key})

    writer = threading.Thread(target=write_on)
    (tmp_path / "key.pub").write_text(f"{key.public}\n")
    auditor = without_us(tmp_path)
    writer.start()
    number = 0
    while writer.is_alive() or number < 2:
        number += 1
        with reading(engine) as connection:
            day = now(connection).date()
            query = query_of(first_day=day, last_day=day, zone=UTC)
            into = tmp_path / str(number)
            issued_at = written_time(now(connection))
            write_export(connection, into, query, issued_at=issued_at, version="0")
    writer.join()
    for one in range(1, number + 1):
        words = ("audit", "export", "--verify", str(one), "--public-key", "key.pub")
        done = auditor.here(*words, "--allow-unsigned-tail")  # a run may be open
        assert done.returncode == 0, done.stderr


def test_an_export_names_no_time_zone_that_each_machine_has_for_itself(program: Program) -> None:
    words = ("audit", "export", "--from", "2026-01-01", "--to", "2026-01-02", "--into", "evidence")
    done = program.here(*words, FORGE_GDPR_TIMEZONE="CET")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert "FORGE_GDPR_TIMEZONE=CET is not the same on every machine" in done.stderr
    assert not (program.folder / "evidence").exists()
