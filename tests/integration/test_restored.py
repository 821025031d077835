"""Our database comes back from a backup: nobody is called, nothing is signed, and it says so.

The backups here are real: a copy of the file, or of the whole PostgreSQL database.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from builders import make_checkpoint
from sqlalchemy import create_engine, make_url
from tampering import write
from world import fetch, insert

from forge_gdpr.checkpoints import signing_key
from forge_gdpr.database.engine import reading
from forge_gdpr.sandbox import Sandbox, generated_user

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine
    from world import Program

SIGNING: Final = {"FORGE_GDPR_SIGNING_KEY_FILE": "key", "FORGE_GDPR_CHECKPOINT_FILE": "checkpoints"}
GO_ON: Final = ("run", "--after-restore", "--reason", "restore")


@pytest.fixture
def backup(
    engine: Engine, database_url: str, request: pytest.FixtureRequest
) -> Callable[[], Callable[[], None]]:
    """Make a backup; what that returns brings it back."""
    url = make_url(database_url)

    def of_file() -> Callable[[], None]:
        path, kept = Path(str(url.database)), Path(f"{url.database}.{secrets.token_hex(4)}")

        def copy(source: Path, target: Path) -> None:
            engine.dispose()
            with sqlite3.connect(source) as old, sqlite3.connect(target) as new:
                old.backup(new)
            old.close()
            new.close()

        copy(path, kept)
        return lambda: copy(kept, path)

    def of_server() -> Callable[[], None]:
        kept = f"{url.database}_{secrets.token_hex(4)}"
        server = make_url(request.getfixturevalue("postgresql"))

        def copy(source: object, target: object) -> None:
            engine.dispose()
            admin = create_engine(server, isolation_level="AUTOCOMMIT")
            with admin.connect() as connection:
                connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {target} WITH (FORCE)")
                connection.exec_driver_sql(f"CREATE DATABASE {target} TEMPLATE {source}")
            admin.dispose()

        copy(url.database, kept)
        return lambda: copy(kept, url.database)

    return of_file if engine.dialect.name == "sqlite" else of_server


@pytest.fixture
def signed(program: Program, engine: Engine) -> Program:
    """Two people waiting, one held, one erased and signed for."""
    program.here("audit", "keygen", "key")
    insert(engine, *({"forge_user_id": generated_user(n).id} for n in range(3)))
    program.here("requests", "hold", "2", "3", "--reason", "dispute")
    assert program.here("run", **SIGNING).returncode == 0
    return program


def record(engine: Engine) -> list[Any]:
    return fetch(engine, "SELECT chain, seq, event FROM audit_events ORDER BY id")


def notes(program: Program) -> int:
    return (program.folder / "checkpoints").read_text().count("— forge-gdpr ")


def people(sandbox: Sandbox) -> int:
    return sum(seen.method == "DELETE" for seen in sandbox.seen)


def test_a_hold_that_was_lost_is_not_carried_out(
    program: Program, engine: Engine, sandbox: Sandbox, backup: Callable[[], Callable[[], None]]
) -> None:
    program.here("audit", "keygen", "key")
    assert program.here("run", **SIGNING).returncode == 0
    insert(engine, {"forge_user_id": generated_user(0).id})
    restore = backup()
    program.here("requests", "hold", "1", "--reason", "dispute")
    assert program.here("run", **SIGNING).returncode == 0
    restore()
    before = record(engine)
    for words in (("run",), ("run", "--dry-run"), ("run", "--dry-run", "--plan", "plan.json")):
        refused = program.here(*words, **SIGNING)
        assert (refused.returncode, refused.stderr.count("\n")) == (6, 1), words
        assert refused.stderr.startswith("error: the record ends at event 3, and the checkpoint of")
        assert "run once with --after-restore --reason CODE" in refused.stderr
    signing = program.here("audit", "checkpoint", **SIGNING)
    assert (signing.returncode, signing.stdout) == (6, "")
    assert (record(engine), notes(program), people(sandbox)) == (before, 2, 0)
    assert not (program.folder / "plan.json").exists()

    program.here("requests", "hold", "1", "--reason", "dispute")  # made again
    assert program.here("run", **SIGNING).returncode == 6
    went_on = program.here(*GO_ON, **SIGNING)
    assert (went_on.returncode, people(sandbox)) == (0, 0)
    (said,) = fetch(engine, "SELECT body FROM audit_events WHERE event = 'guard.overridden'")
    body = json.loads(said)
    assert (body["chain"], body["guard"], body["reason"]) == ("main", "restore", "restore")
    assert (body["events"], body["signed"]) == (5, 7)
    assert program.here("run", **SIGNING).returncode == 0  # and on it goes
    assert program.here("audit", "verify", **SIGNING).returncode == 0


def test_a_second_restore_is_noticed_like_the_first(
    signed: Program, engine: Engine, backup: Callable[[], Callable[[], None]]
) -> None:
    restore = backup()
    assert signed.here("run", **SIGNING).returncode == 0
    restore()
    assert signed.here("run", **SIGNING).returncode == 6
    assert signed.here(*GO_ON, **SIGNING).returncode == 0
    later = backup()
    assert signed.here("run", **SIGNING).returncode == 0
    later()
    assert signed.here("run", **SIGNING).returncode == 6
    restore()
    assert signed.here("run", **SIGNING).returncode == 6
    assert signed.here(*GO_ON, **SIGNING).returncode == 0
    assert signed.here("run", **SIGNING).returncode == 0
    assert len(record(engine)) > 0


def test_a_history_that_was_given_up_does_not_come_back_unseen(
    program: Program, engine: Engine, sandbox: Sandbox, backup: Callable[[], Callable[[], None]]
) -> None:
    program.here("audit", "keygen", "key")
    assert program.here("run", **SIGNING).returncode == 0
    restore = backup()
    for _ in range(3):
        assert program.here("run", **SIGNING).returncode == 0
    insert(engine, {"forge_user_id": generated_user(0).id})
    later = backup()
    restore()
    assert program.here(*GO_ON, **SIGNING).returncode == 0
    insert(engine, {"forge_user_id": generated_user(0).id})
    program.here("requests", "hold", "1", "--reason", "dispute")
    assert program.here("run", **SIGNING).returncode == 0
    later()  # a newer backup is found: of the history that was given up, where nobody is held
    before = (record(engine), notes(program))
    refused = program.here("run", **SIGNING)
    assert (refused.returncode, refused.stderr.count("\n")) == (6, 1)
    assert "is not the one that the checkpoint of" in refused.stderr
    assert program.here("audit", "checkpoint", **SIGNING).returncode == 6
    assert (record(engine), notes(program)) == before
    assert people(sandbox) == 0
    program.here("requests", "hold", "1", "--reason", "dispute")  # made again
    assert program.here(*GO_ON, **SIGNING).returncode == 0
    assert program.here("run", **SIGNING).returncode == 0
    assert program.here("audit", "verify", **SIGNING).returncode == 0
    assert people(sandbox) == 0


def test_desk_work_that_was_signed_is_not_lost_unseen(
    program: Program, engine: Engine, sandbox: Sandbox, backup: Callable[[], Callable[[], None]]
) -> None:
    program.here("audit", "keygen", "key")
    assert program.here("run", **SIGNING).returncode == 0
    insert(engine, {"forge_user_id": generated_user(0).id})
    restore = backup()
    program.here("requests", "hold", "1", "--reason", "dispute")
    assert program.here("audit", "checkpoint", **SIGNING).returncode == 0  # as README says
    restore()
    assert program.here("run", **SIGNING).returncode == 6
    assert people(sandbox) == 0


def test_an_emptied_record_is_noticed(
    program: Program, engine: Engine, backup: Callable[[], Callable[[], None]]
) -> None:
    program.here("audit", "keygen", "key")
    restore = backup()
    assert program.here("run", **SIGNING).returncode == 0
    restore()
    refused = program.here("run", **SIGNING)
    assert (refused.returncode, "the record ends at event 0" in refused.stderr) == (6, True)
    assert record(engine) == []
    export = ("audit", "export", "--from", "2026-01-01", "--to", "2026-01-31", "--into", "evidence")
    for key in (SIGNING, SIGNING | {"FORGE_GDPR_SIGNING_KEY_FILE": ""}):  # also without one
        exported = program.here(*export, **key)
        assert (exported.returncode, "the record ends at event 0" in exported.stderr) == (6, True)
    assert (record(engine), (program.folder / "evidence").exists()) == ([], False)


def test_a_monitor_is_told_that_the_record_is_not_what_was_signed(
    signed: Program, engine: Engine, backup: Callable[[], Callable[[], None]]
) -> None:
    def state(*words: str) -> tuple[int, dict[str, Any]]:
        done = signed.here("status", "--output", "json", *words, **SIGNING)
        return done.returncode, json.loads(done.stdout)

    restore = backup()
    assert signed.here("run", **SIGNING).returncode == 0
    code, said = state()
    assert (code, said["contradiction"]) == (0, None)
    restore()
    for words in ((), ("--quick",)):
        code, said = state(*words)
        assert (code, said["state"]) == (6, "AUDIT_BROKEN")
        assert said["contradiction"].startswith("the record ends at event ")
        assert said["contradiction"].endswith(" as after a restore (README, After a restore)")
    line = signed.here("status", **SIGNING)
    assert (line.stderr, said["contradiction"] in line.stdout) == ("", True)
    assert signed.here("status").returncode == 0  # nothing is known of what was signed
    assert signed.here(*GO_ON, **SIGNING).returncode == 0
    assert state()[0] == 0

    with reading(engine) as connection:
        found = connection.exec_driver_sql("SELECT * FROM audit_events ORDER BY id").mappings()
        rows = [dict(row) for row in found]
    covered = [row for row in rows if row["chain"] == "main"][-2]
    covered["hash"] = "0" * 64  # what no restore does
    write(engine, rows)
    assert "broken chains: run 'forge-gdpr audit verify'" in signed.here("status", **SIGNING).stdout
    code, said = state("--quick")
    assert (code, said["contradiction"]) == (
        6,
        "the record is not what its own checkpoint covers: run 'forge-gdpr audit verify'",
    )


def test_a_restore_is_noticed_without_the_key_that_signs(
    signed: Program, backup: Callable[[], Callable[[], None]]
) -> None:
    restore = backup()
    assert signed.here("run", **SIGNING).returncode == 0
    restore()
    kept = {"FORGE_GDPR_CHECKPOINT_FILE": "checkpoints"}
    assert signed.here("run", **kept).returncode == 6
    assert signed.here("run", **kept, FORGE_GDPR_PUBLIC_KEY_FILE="key.pub").returncode == 6
    assert signed.here("run").returncode == 0  # nothing is known of what was signed


def test_what_is_no_restore_is_no_alarm(
    signed: Program, backup: Callable[[], Callable[[], None]]
) -> None:
    backup()()  # nothing was lost
    assert signed.here("run", **SIGNING).returncode == 0
    assert signed.here(*GO_ON, **SIGNING).returncode == 0  # nothing to accept
    file = signed.folder / "checkpoints"
    file.write_text(f"{file.read_text()}forge-gdpr\n900\nAAEC")  # torn
    assert signed.here("run", **SIGNING).returncode == 0
    others = signing_key("example.org/test", bytes(32))
    theirs = replace(make_checkpoint([bytes(32)] * 9), origin=others.name)
    with file.open("a") as copies:  # of another record that shares the file
        copies.write(f"\n\n{others.signed(theirs.text)}\n")
    assert signed.here("run", **SIGNING).returncode == 0
    file.write_text("")  # copies are kept from now on
    assert signed.here("run", **SIGNING).returncode == 0


def test_a_file_that_is_not_there_is_no_empty_one(signed: Program, engine: Engine) -> None:
    before, file = record(engine), signed.folder / "checkpoints"
    file.rename(signed.folder / "share")  # which is not mounted
    for words in (("run",), ("run", "--dry-run"), ("audit", "checkpoint"), ("run", "--yes")):
        refused = signed.here(*words, **SIGNING)
        assert (refused.returncode, refused.stderr.count("\n")) == (3, 1), words
        assert refused.stderr.startswith(
            "error: FORGE_GDPR_CHECKPOINT_FILE=checkpoints is not there, though the record is"
            " signed, so nobody can say whether this database is as it was: mount it or put it"
            " back; if copies are kept from today on, run 'install -m 600 /dev/null checkpoints'"
        )
    assert (record(engine), file.exists()) == (before, False)
    (signed.folder / "share").rename(file)
    assert signed.here("run", **SIGNING).returncode == 0


@pytest.mark.parametrize("target", ["pipe", "/dev/zero", "/dev/full", "/dev/null"])
def test_what_is_no_file_is_not_waited_for(
    signed: Program, engine: Engine, sandbox: Sandbox, target: str
) -> None:
    before, called = record(engine), people(sandbox)
    os.mkfifo(signed.folder / "pipe")
    (signed.folder / "copies").symlink_to(target)
    away = SIGNING | {"FORGE_GDPR_CHECKPOINT_FILE": "copies"}
    against = ("audit", "verify", "--against", "copies")
    for words in (("run",), ("audit", "checkpoint"), ("audit", "verify"), against):
        refused = signed.here(*words, **(SIGNING if words is against else away))
        assert (refused.returncode, refused.stderr.count("\n")) == (3, 1), words
        assert "can't be read (it is no regular file)" in refused.stderr
    assert (record(engine), people(sandbox)) == (before, called)
    (signed.folder / "copies").unlink()
    (signed.folder / "copies").symlink_to("checkpoints")
    assert signed.here("run", **away).returncode == 0


def test_checkpoints_that_nobody_can_check_are_a_wrong_setting(
    signed: Program, engine: Engine
) -> None:
    before = record(engine)
    signed.here("audit", "keygen", "new")
    unknown = signed.here("run", **SIGNING | {"FORGE_GDPR_SIGNING_KEY_FILE": "new"})
    assert (unknown.returncode, unknown.stderr.count("\n")) == (3, 1)
    assert "add the public key that signed them to FORGE_GDPR_PUBLIC_KEY_FILE" in unknown.stderr
    keys = f"{(signed.folder / 'key.pub').read_text()}{(signed.folder / 'new.pub').read_text()}"
    (signed.folder / "keys.pub").write_text(keys)
    rotated = {"FORGE_GDPR_SIGNING_KEY_FILE": "new", "FORGE_GDPR_PUBLIC_KEY_FILE": "keys.pub"}
    assert record(engine) == before
    assert signed.here("run", **SIGNING | rotated).returncode == 0
    renamed = signed.here("audit", "keygen", "third", "--name", "example.org/third")
    assert renamed.returncode == 0
    dropped = signed.here("run", **SIGNING | {"FORGE_GDPR_SIGNING_KEY_FILE": "third"})
    assert (dropped.returncode, dropped.stderr.count("\n")) == (3, 1)
    signer = "+".join((signed.folder / "new.pub").read_text().split("+")[:2])
    assert f"checkpoints of this record are signed by {signer}, which" in dropped.stderr
    (signed.folder / "folder").mkdir()
    folder = signed.here("run", **SIGNING | {"FORGE_GDPR_CHECKPOINT_FILE": "folder"})
    assert (folder.returncode, "can't be read (IsADirectoryError)" in folder.stderr) == (3, True)


def test_after_restore_is_for_the_record(program: Program) -> None:
    bare = program.here("run", "--after-restore")
    assert (bare.returncode, "--after-restore needs --reason CODE" in bare.stderr) == (2, True)
