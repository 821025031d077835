"""Keys and checkpoints, typed."""

from __future__ import annotations

import json
import os
import shutil
import stat
from typing import TYPE_CHECKING

import pytest
from world import SUBJECT_KEY, fetch, insert

from forge_gdpr.sandbox import generated_user

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from world import Program

SIGNING = {"FORGE_GDPR_SIGNING_KEY_FILE": "key", "FORGE_GDPR_CHECKPOINT_FILE": "checkpoints"}


def test_a_key_is_made_once_for_its_owner_alone(program: Program) -> None:
    made = program("audit", "keygen", "--name", "example.org/gdpr", "key", FORGE_GDPR_RATE="wrong")
    assert made.returncode == 0
    assert made.stdout == (program.folder / "key.pub").read_text()
    assert made.stdout.startswith("example.org/gdpr+")
    assert "set FORGE_GDPR_SIGNING_KEY_FILE=key" in made.stderr
    assert stat.S_IMODE((program.folder / "key").stat().st_mode) == 0o600
    again = program.here("audit", "keygen", "key")
    assert (again.returncode, "is not written over" in again.stderr) == (2, True)
    assert program.here("audit", "keygen", "--name", "a b", "other").returncode == 2
    assert program.here("audit", "keygen", "nowhere/key").returncode == 3


def test_each_run_signs_the_record_and_verify_extends_what_was_kept(
    program: Program, engine: Engine
) -> None:
    program.here("audit", "keygen", "key")
    insert(engine, {"forge_user_id": generated_user(0).id})
    signed = program("run", **SIGNING)
    assert (
        signed.returncode,
        "checkpoint of the record:\n  forge-gdpr\n  2\n" in signed.stdout,
    ) == (
        0,
        True,
    )
    assert '"note": "forge-gdpr\\n2\\n' in signed.stderr
    asked = program("audit", "checkpoint", **SIGNING)
    assert asked.stdout.startswith("forge-gdpr\n3\n")
    empty = json.loads(program.here("run", "--output", "json", **SIGNING).stdout)
    assert empty["checkpoint"].startswith("forge-gdpr\n6\n")
    notes = (program.folder / "checkpoints").read_text()
    assert notes.count("— forge-gdpr ") == 3
    verified = program("audit", "verify", "--against", "checkpoints", "--public-key", "key.pub")
    assert (verified.returncode, verified.stderr) == (0, "")
    assert "signed are its first 6 of main\nit extends 3 checkpoints kept elsewhere" in (
        verified.stdout
    )
    by_text = program.here("audit", "verify", "--against", notes.split("\n\n\n")[0])
    assert (by_text.returncode, "by whom was not checked" in by_text.stdout) == (0, True)
    told = json.loads(program.here("audit", "verify", "--output", "json", **SIGNING).stdout)
    assert (told["ok"], told["signed"], told["signatures_checked"]) == (True, 6, True)


def test_another_key_and_a_cut_tail_are_exit_code_6(program: Program, engine: Engine) -> None:
    program.here("audit", "keygen", "key")
    program.here("audit", "keygen", "other")
    program.here("run", **SIGNING)
    other = program("audit", "verify", "--public-key", "other.pub")
    assert (other.returncode, other.stderr.count("\n")) == (6, 1)
    assert "no key that is known here has signed it" in other.stderr
    if engine.dialect.name == "sqlite":
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP TRIGGER audit_events_refuse_delete")
            connection.exec_driver_sql("DELETE FROM audit_events")
        assert program.here("audit", "verify").returncode == 0
        cut = program.here("audit", "verify", "--against", "checkpoints", "--output", "json")
        assert (cut.returncode, json.loads(cut.stdout)["ok"]) == (6, False)
        assert "its end was cut off" in cut.stderr
        weekly = program.here("audit", "verify", **SIGNING)  # the settings name the checkpoints
        assert (weekly.returncode, weekly.stdout) == (6, "")
        assert "its end was cut off" in weekly.stderr


def test_a_torn_copy_is_named_and_spoils_nothing(program: Program) -> None:
    program.here("audit", "keygen", "key")
    early = program.here("audit", "verify", **SIGNING)
    assert (early.returncode, "holds no checkpoint" in early.stderr) == (0, True)
    assert program.here("run", **SIGNING).returncode == 0
    copies = program.folder / "checkpoints"
    assert copies.stat().st_mode & 0o777 == 0o600
    with copies.open("a") as file:
        file.write("forge-gdpr\n5\nAAE")
    assert program.here("run", **SIGNING).returncode == 0
    verified = program.here("audit", "verify", **SIGNING)
    assert (verified.returncode, "has 1 torn copy of a checkpoint" in verified.stderr) == (0, True)
    assert "it extends 2 checkpoints kept elsewhere" in verified.stdout
    copies.unlink()
    copies.mkdir()
    shut = program.here("audit", "verify", **SIGNING)
    assert (shut.returncode, "can't be read (IsADirectoryError)" in shut.stderr) == (3, True)


def test_what_is_no_key_or_checkpoint_is_said_in_one_line(program: Program) -> None:
    file = program.folder / "text"
    file.write_text("nothing of that kind\n")
    file.chmod(0o600)
    for words, variables, code, said in (
        (("audit", "verify", "--against", "text"), {}, 2, "something else than checkpoints"),
        (("audit", "verify", "--against", "none"), {}, 2, "it can't be read"),
        (("audit", "verify", "--public-key", "text"), {}, 3, "something else than public keys"),
        (("run",), {"FORGE_GDPR_SIGNING_KEY_FILE": "text"}, 3, "audit keygen"),
        (("audit", "checkpoint"), {}, 3, "there is no signing key"),
        (("audit", "verify"), {"FORGE_GDPR_PUBLIC_KEY_FILE": "none"}, 3, "can't be read"),
    ):
        done = program.here(*words, **variables)
        assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (
            code,
            True,
            False,
        ), (words, done.stderr)
    file.write_text("\n")
    assert program.here("audit", "verify", "--public-key", "text").returncode == 3
    assert program.here("audit", "verify", "--against", "text").returncode == 2
    program.here("audit", "keygen", "key")
    nothing = program.here("audit", "checkpoint", FORGE_GDPR_SIGNING_KEY_FILE="key")
    assert (nothing.returncode, nothing.stdout) == (0, "")


@pytest.mark.parametrize(
    "words",
    [
        ("audit", "checkpoint"),
        ("audit", "export", "--from", "2026-01-01", "--to", "2026-01-31", "--into", "evidence"),
        ("run", "--output", "json"),
        ("run",),
    ],
)
def test_a_checkpoint_that_cannot_be_copied_is_a_warning(
    program: Program, engine: Engine, words: tuple[str, ...]
) -> None:
    program.here("audit", "keygen", "key")
    away = {"FORGE_GDPR_SIGNING_KEY_FILE": "key", "FORGE_GDPR_CHECKPOINT_FILE": "none/file"}
    assert program.here("run").returncode == 0  # which signs nothing
    said = "not in FORGE_GDPR_CHECKPOINT_FILE: none/file can't be used (no such file or directory)"
    done = program.here(*words, **away)
    assert (done.returncode, f"but {said}" in done.stderr + done.stdout) == (10, True)
    if words[0] == "run":
        assert "checkpoint.not_copied" in done.stderr
    if "json" in words:
        again = json.loads(done.stdout)
        assert (again["exit_code"], said in again["checkpoint_not_copied"]) == (10, True)
    signed = "SELECT count(*) FROM audit_events WHERE event = 'audit.checkpoint'"
    assert fetch(engine, signed) == [1]
    insert(engine, {"forge_user_id": generated_user(0).id})
    program.here("requests", "hold", "1", "--reason", "dispute")
    if "export" in words:
        shutil.rmtree(program.folder / "evidence")
    refused = program.here(*(("run",) if words[0] == "run" else words), **away)  # from now on
    assert (refused.returncode, refused.stderr.count("\n")) == (3, 1), refused.stderr
    assert "none/file is not there, though the record is signed" in refused.stderr
    assert fetch(engine, signed) == [1]


def test_doctor_looks_at_the_copies_of_checkpoints(program: Program) -> None:
    def seen() -> tuple[str, str]:
        done = program.here("doctor", "--offline", "--output", "json", **SIGNING)
        assert done.returncode == 0
        (check,) = (c for c in json.loads(done.stdout)["checks"] if c["check"] == "checkpoint file")
        return check["level"], check["said"]

    program.here("audit", "keygen", "key", "--name", "example.org")
    copies = program.folder / "checkpoints"
    assert seen() == ("ok", "checkpoints can be made; no checkpoint was signed yet")
    away = SIGNING | {"FORGE_GDPR_CHECKPOINT_FILE": "none/file"}
    assert "none/file can't be made" in program.here("doctor", "--offline", **away).stdout
    assert program.here("run", **SIGNING).returncode == 0
    assert seen() == ("ok", "checkpoints holds the newest checkpoint (1 in all)")
    text = copies.read_text()
    copies.write_text(text[:-30])
    copies.chmod(0o644)
    level, said = seen()
    assert level == "warning"
    for fault in ("chmod 600 checkpoints", "1 in it is torn", "the record's newest is not in it"):
        assert fault in said
    copies.chmod(0o600)
    assert program.here("audit", "checkpoint", **SIGNING).returncode == 0
    assert seen() == ("warning", "checkpoints: 1 in it is torn, and count for nothing")
    copies.unlink()
    missing = program.here("doctor", "--offline", **SIGNING)
    assert (missing.returncode, "'install -m 600 /dev/null checkpoints'" in missing.stdout) == (
        3,
        True,
    )
    assert "is not there, though the record is signed" in missing.stdout
    os.mkfifo(copies)
    pipe = program.here("doctor", "--offline", **SIGNING)
    assert (pipe.returncode, "can't be read (it is no regular file)" in pipe.stdout) == (3, True)
    copies.unlink()
    copies.mkdir()
    done = program.here("doctor", "--offline", **SIGNING)
    assert (done.returncode, "can't be read (IsADirectoryError)" in done.stdout) == (3, True)


def test_a_new_epoch_keeps_the_old_key_live(program: Program, engine: Engine) -> None:
    keys = program.folder / "subject-keys"
    variables = {"FORGE_GDPR_SUBJECT_KEY": "", "FORGE_GDPR_SUBJECT_KEY_FILE": "subject-keys"}
    keys.write_text(f"{SUBJECT_KEY.secret.decode()}\n")
    keys.chmod(0o600)
    insert(engine, {"forge_user_id": generated_user(0).id})
    assert program.here("run", **variables).returncode == 0
    begun = program("audit", "keygen", "--subject", "subject-keys")
    assert (begun.returncode, "found under 2; keep a copy" in begun.stdout) == (0, True)
    assert (stat.S_IMODE(keys.stat().st_mode), len(keys.read_text().splitlines())) == (0o600, 2)
    insert(engine, {"forge_user_id": generated_user(1).id})
    assert program.here("run", **variables).returncode == 0
    subjects = fetch(engine, "SELECT subject FROM deletion_requests ORDER BY id")
    assert subjects[0].startswith(f"v1:{SUBJECT_KEY.id}:")
    assert not subjects[1].startswith(f"v1:{SUBJECT_KEY.id}:")
    assert program.here("doctor", "--offline", **variables).returncode == 0
    for number in (0, 1):
        found = program.here(
            "requests", "explain", "--user-id", "-", stdin=generated_user(number).id, **variables
        )
        assert found.stdout.startswith(f"request {number + 1} is done")
    assert program.here("audit", "keygen", "--subject").returncode == 2  # which file?
    (program.folder / "short").write_text("short\n")
    (program.folder / "short").chmod(0o600)
    assert program.here("audit", "keygen", "--subject", "short").returncode == 3
