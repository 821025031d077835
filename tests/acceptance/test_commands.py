"""The program as cron and people see it: real processes, exit codes, what stands where."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from world import KEY, SUBJECT_KEY, Program, demo, fetch, insert, make_program

from forge_gdpr.cli import main
from forge_gdpr.database import schema
from forge_gdpr.sandbox import Fault, FaultKind, Sandbox, generated_user

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

ADA, BOB = generated_user(0), generated_user(1)


def commands(group: Any, *names: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *names, name)
        else:
            yield (*names, name), command


COMMANDS = dict(commands(main))


def test_a_good_run_prints_its_summary_only(program: Program, engine: Engine) -> None:
    insert(engine, {"forge_user_id": ADA.id}, {"email": BOB.email})
    done = program("run")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^ *erased +2$", done.stdout, re.MULTILINE)
    assert "2 requests: 2 done\n2 done in " in done.stdout


def test_quiet_prints_nothing(program: Program, engine: Engine) -> None:
    insert(engine, {"forge_user_id": ADA.id})
    done = program.here("run", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_json_has_the_same_figures(program: Program, engine: Engine) -> None:
    insert(engine, {"forge_user_id": ADA.id}, {"forge_user_id": "../x"})
    done = program.here("run", "--output", "json", "--actor", "me", "--rate", "50")
    told = json.loads(done.stdout)
    assert (done.returncode, told["exit_code"], told["due"], told["calls"]) == (10, 10, 2, 1)
    assert (told["outcomes"]["erased"], told["outcomes"]["invalid_user_id"]) == (1, 1)
    assert [line["event"] for line in map(json.loads, done.stderr.splitlines())] == ["run.closed"]
    assert set(fetch(engine, "SELECT actor FROM audit_events WHERE event = 'run.opened'")) == {"me"}


def test_a_dry_run_needs_no_key_and_calls_nobody(
    program: Program, engine: Engine, sandbox: Sandbox
) -> None:
    insert(engine, {"forge_user_id": ADA.id})
    done = program("run", "--dry-run", FORGE_GDPR_API_KEY="")
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 request is due; nobody was deleted" in done.stdout
    assert [seen.method for seen in sandbox.seen] == []
    checked = json.loads(program.here("run", "--dry-run", "--check", "--output", "json").stdout)
    assert checked["checked"] == {"exists": 1}
    assert {seen.method for seen in sandbox.seen} == {"GET"}


def test_the_desk_adds_lists_and_shows(program: Program, engine: Engine) -> None:
    added = program("requests", "add", "--email", "-", "--reference", "T-1", stdin=f"{BOB.email}\n")
    again = program.here("requests", "add", "--email", BOB.email, "--reference", "T-1")
    other = program.here("requests", "add", "--user-id", ADA.id, "--reference", "T-1")
    assert (added.stdout, again.stdout) == ("request 1 added\n", "request 1 was there already\n")
    assert (other.returncode, other.stderr.count("\n")) == (2, 1)
    program.here("run")
    listed = json.loads(program.here("requests", "list", "--output", "json").stdout)
    assert [(one["reference"], one["status"]) for one in listed] == [("T-1", "done")]
    shown = program.here("requests", "show", "1")
    assert "request.closed" in shown.stdout
    assert BOB.email not in shown.stdout
    told = json.loads(program.here("requests", "show", "1", "--output", "json").stdout)
    assert [event["event"] for event in told["history"]][-1] == "request.closed"
    assert program.here("requests", "show", "99").returncode == 2
    assert "T-1" in program.here("requests", "list", "--reference", "T-1").stdout
    assert fetch(engine, "SELECT email FROM deletion_requests") == [None]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("requests", "add"), 2),
        (("requests", "add", "--user-id", "../x"), 2),
        (("requests", "add", "--email", "nobody"), 2),
        (("requests", "add", "--user-id", "undefined"), 2),
        (("requests", "add", "--user-id", "a", "--regime", "lgpd"), 2),
        (("requests", "add", "--user-id", "a", "--received-at", "soon"), 2),
        (("run", "--check"), 2),
        (("run", "--concurrency", "0"), 2),
        (("report", "--from", "2026-02-01", "--to", "2026-01-01"), 2),
    ],
)
def test_wrong_input_is_refused_in_a_line(
    program: Program, words: tuple[str, ...], code: int
) -> None:
    done = program.here(*words)
    assert (done.returncode, done.stdout) == (code, "")
    assert "Traceback" not in done.stderr


def test_the_record_is_listed_and_verified(program: Program, engine: Engine) -> None:
    insert(engine, {"forge_user_id": ADA.id})
    program.here("run")
    assert "request.closed" in program.here("audit", "list", "--request", "1").stdout
    assert len(json.loads(program.here("audit", "list", "--output", "json").stdout)) == 6
    verified = program.here("audit", "verify")
    assert (verified.returncode, verified.stdout[:20]) == (0, "the record is whole:")
    again = json.loads(program.here("audit", "verify", "--output", "json").stdout)
    assert (again["events"], again["recorded"]) == (7, True)  # the first one is an event, too


def test_a_broken_record_is_exit_code_6(program: Program, engine: Engine) -> None:
    if engine.dialect.name != "sqlite":
        pytest.skip("how a record is broken differs; what is said does not")
    insert(engine, {"forge_user_id": ADA.id})
    program.here("run")
    with sqlite3.connect(str(engine.url.database).removeprefix("file:")) as connection:
        connection.execute("DROP TRIGGER audit_events_refuse_update")
        connection.execute("UPDATE audit_events SET actor = 'x' WHERE chain = 'main' AND seq = 1")
    connection.close()
    done = program("audit", "verify")
    assert (done.returncode, done.stderr.count("\n")) == (6, 1)
    assert "audit event 1 of chain main" in done.stderr


def test_the_report_reconciles(program: Program, engine: Engine) -> None:
    insert(engine, {"forge_user_id": ADA.id}, {"forge_user_id": "../x"})
    program.here("run")
    told = program.here("report", "--output", "json")
    assert told.returncode == 0
    assert json.loads(told.stdout)["received"] == 2
    assert "received" in program.here("report").stdout


def test_all_endpoints_can_be_typed(program: Program) -> None:
    created = program.here("users", "create", "--name", "Zoë", "--email", "z@example.org")
    new_id = created.stdout.strip()
    assert re.fullmatch("[0-9a-f]{24}", new_id)
    assert "Zoë" in program.here("users", "get", new_id).stdout
    updated = program.here(
        "users",
        "update",
        new_id,
        "--full-name",
        "Z",
        "--email",
        "z2@example.org",
        "--output",
        "json",
    )
    assert json.loads(updated.stdout)["full_name"] == "Z"
    assert program.here("users", "token", new_id).stdout.count(".") == 2
    assert len(json.loads(program.here("users", "list", "--output", "json").stdout)) == 31
    assert program.here("users", "delete", new_id).stdout == "deleted\n"
    gone = program.here("users", "get", new_id, "--output", "json")
    assert (gone.returncode, new_id in gone.stderr) == (2, False)


def test_bad_settings_are_exit_code_3(program: Program, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(KEY)
    key.chmod(0o644)
    for variables, said in [
        ({"FORGE_GDPR_RATE": "fast"}, "FORGE_GDPR_RATE=fast is wrong"),
        ({"FORGE_GDPR_USER_ID_PATTERN": "[0-9"}, "is not a regular expression of Python: unterm"),
        ({"FORGE_GDPR_USER_ID_PATTERN": "a{99999999999}"}, "is not a regular expression"),
        ({"FORGE_GDPR_USER_ID_PATTERN": "'[0-9]+'"}, "has quotation marks, blanks"),
        ({"FORGE_GDPR_REFERENCE_PATTERN": "T-["}, "is not a regular expression of Python: unterm"),
        ({"FORGE_GDPR_REFERENCE_PATTERN": "x" * 1001}, "is longer than 1000 characters"),
        ({"FORGE_GDPR_USER_ID_PATTERN": "[0-9]+\r"}, "has quotation marks, blanks"),
        ({"FORGE_GDPR_API_KEY": ""}, "there is no API key"),
        ({"FORGE_GDPR_API_KEY": "", "FORGE_GDPR_API_KEY_FILE": str(key)}, "chmod 600"),
        ({"FORGE_GDPR_BASE_URL": "http://example.com"}, "write https"),
        ({"FORGE_GDPR_LEASE_S": "10"}, "must be more than"),
        ({"FORGE_GDPR_SUBJECT_KEY": "short"}, "too short"),
        ({"FORGE_GDPR_DATABASE_URL": "sqlite:////nonexistent/x.db"}, "run 'forge-gdpr db upgrade'"),
    ]:
        done = program.here("run", **variables)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1), done.stderr
        assert said in done.stderr


def test_a_key_can_come_from_a_file_or_from_systemd(program: Program, tmp_path: Path) -> None:
    key = tmp_path / "forge_gdpr_api_key"
    key.write_text(f"{KEY}\n")
    key.chmod(0o600)
    for variables in (
        {"FORGE_GDPR_API_KEY_FILE": str(key)},
        {"CREDENTIALS_DIRECTORY": str(tmp_path)},
    ):
        assert program.here("users", "list", FORGE_GDPR_API_KEY="", **variables).returncode == 0


def test_an_unreachable_database_is_exit_code_4(program: Program) -> None:
    done = program(
        "run", "--dry-run", FORGE_GDPR_DATABASE_URL="postgresql://u:secret@127.0.0.1:1/x"
    )
    assert (done.returncode, done.stderr.count("\n"), "secret" in done.stderr) == (4, 1, False)


def test_a_guard_is_exit_code_8(program: Program, engine: Engine) -> None:
    insert(engine, {"forge_user_id": ADA.id}, {"forge_user_id": BOB.id})
    done = program.here("run", FORGE_GDPR_MAX_DUE="1")
    assert (done.returncode, done.stderr.count("\n")) == (8, 1)
    assert "--expect 2" in done.stderr


def test_a_wrong_key_is_exit_code_7_and_says_what_to_do(program: Program, engine: Engine) -> None:
    insert(engine, {"forge_user_id": ADA.id})
    done = program("run", FORGE_GDPR_API_KEY="wrong")
    assert done.returncode == 7
    assert "check FORGE_GDPR_API_KEY" in done.stderr


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_cleanly(
    program: Program, engine: Engine, sandbox: Sandbox, signum: signal.Signals
) -> None:
    insert(engine, *({"forge_user_id": generated_user(n).id} for n in range(20)))
    sandbox.script(Fault(kind=FaultKind.SLOW, delay_s=0.2, count=None))
    process = program.start("run", "--concurrency", "2", "--output", "json")
    while not sandbox.seen:
        time.sleep(0.01)
    process.send_signal(signum)
    told, said = process.communicate(timeout=30)
    assert process.returncode == 128 + signum, said
    erased = json.loads(told)["outcomes"]["erased"]
    assert 0 < erased < 20
    statuses = "SELECT status, count(*) FROM deletion_requests GROUP BY status ORDER BY status"
    assert fetch(engine, statuses) == [("done", erased), ("pending", 20 - erased)]
    assert program.here("audit", "verify").returncode == 0
    assert program.here("run").returncode == 0


def test_a_second_signal_stops_at_once_and_the_next_run_repairs(
    program: Program, engine: Engine, sandbox: Sandbox
) -> None:
    insert(engine, {"forge_user_id": ADA.id})
    sandbox.script(Fault(kind=FaultKind.HANG, count=1))
    process = program.start("run", FORGE_GDPR_LEASE_S="1", FORGE_GDPR_TOTAL_TIMEOUT_S="0.9")
    while not sandbox.seen:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert process.returncode in {-signal.SIGTERM, 128 + signal.SIGTERM}
    time.sleep(1.1)
    assert program.here("run").returncode == 0
    assert fetch(engine, "SELECT status FROM deletion_requests") == ["done"]


def test_a_closed_stdout_does_no_harm(program: Program, engine: Engine) -> None:
    insert(engine, {"forge_user_id": ADA.id})
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        program.command("run"),
        env=program.environment,
        cwd=program.folder,
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
        text=True,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
    assert fetch(engine, "SELECT status FROM deletion_requests") == ["done"]


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_help_needs_nothing_and_ends_with_an_example_and_exit_codes(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    bare = Program(environment={"PATH": os.environ["PATH"]}, folder=tmp_path)
    done = bare.here(*names, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    example, codes = done.stdout.split("Example:")[1].split("Exit codes:")
    assert example.strip().startswith(f"forge-gdpr {' '.join(names)}")
    assert re.search(r"^ +0  ", codes, re.MULTILINE)
    assert list(tmp_path.iterdir()) == []


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    bare = Program(environment={"PATH": os.environ["PATH"], "PYTHONVERBOSE": "1"}, folder=tmp_path)
    done = bare("run", "--help")
    assert (done.returncode, done.stdout[:21]) == (0, "Usage: forge-gdpr run")
    loaded = done.stderr
    for heavy in ("sqlalchemy", "requests.sessions", "tenacity", "structlog", "pydantic", "rich"):
        assert f"import '{heavy}" not in loaded


def test_the_demo_tells_the_whole_story() -> None:
    done = demo()
    assert (done.returncode, done.stderr) == (0, "")
    for said in ("erased", "already_absent", "the record is whole", "received", "run --dry-run"):
        assert said in done.stdout
    assert generated_user(0).id not in done.stdout


def test_db_upgrade_makes_a_database_and_a_key_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    bare = make_program(tmp_path, FORGE_GDPR_DATABASE_URL=f"sqlite:///{path}")
    bare.environment.pop("FORGE_GDPR_SUBJECT_KEY")
    assert bare("db", "check").returncode == 3
    assert bare("db", "upgrade").returncode == 0
    key = path.with_name("new.db.subject-key")
    assert (stat.S_IMODE(key.stat().st_mode), len(key.read_text().strip())) == (0o600, 64)
    assert bare.here("db", "current").stdout == f"{schema.REVISION}\n"
    assert bare.here("db", "check").returncode == 0
    kept = key.read_text()
    assert bare.here("db", "upgrade").returncode == 0
    assert key.read_text() == kept
    key.unlink()
    lost = bare("run", FORGE_GDPR_API_KEY=KEY)
    assert (lost.returncode, "is missing" in lost.stderr) == (3, True)
    assert bare.here("db", "upgrade").returncode == 3  # never a new key for an old record


def test_postgresql_needs_a_key_of_its_own(program: Program, engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has its key beside it")
    done = program.here("run", FORGE_GDPR_SUBJECT_KEY="")
    assert (done.returncode, "openssl rand -hex 32" in done.stderr) == (3, True)


def test_the_sandbox_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    faults = tmp_path / "faults.json"
    faults.write_text('[{"kind": "status", "method": "GET", "status": 418}]')
    bare = make_program(tmp_path)
    process = bare.start("sandbox", "--port", "0", "--users", "3", "--faults", str(faults))
    assert process.stdout is not None
    line = process.stdout.readline()
    variables = dict(word.split("=", 1) for word in line.split()[1:])
    assert program_lists(bare, variables) == 2
    assert program_lists(bare, variables) == 3
    url = variables["FORGE_GDPR_BASE_URL"].removesuffix("/forge/2021-12")
    with urllib.request.urlopen(f"{url}/_sandbox/seen") as log:  # noqa: S310  # loopback
        assert len(json.load(log)) == 2
    process.send_signal(signal.SIGTERM)
    assert (process.communicate()[1], process.returncode) == ("saw 2 calls\n", 0)


def program_lists(program: Program, variables: dict[str, str]) -> int:
    """Return how many users are listed, or the exit code."""
    done = program("users", "list", "--output", "json", **variables)
    return len(json.loads(done.stdout)) if done.returncode == 0 else done.returncode


def test_a_bug_shows_where_and_not_whom(program: Program, tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text(
        "import sys\nfrom forge_gdpr.cli.errors import show_bug\nsys.excepthook = show_bug\n"
        "raise KeyError('ada@example.org')\n"
    )
    done = subprocess.run(
        [sys.executable, str(broken)],
        env=program.environment,
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 1
    assert "broken.py" in done.stderr
    assert "builtins.KeyError" in done.stderr
    assert "ada@example.org'" not in done.stderr.split("bug:")[1]


CANARIES = (ADA.id, BOB.id, ADA.email, BOB.email, ADA.name, KEY, SUBJECT_KEY.secret.decode())


def test_nobody_is_named_anywhere_outside_the_request_table(
    program: Program, engine: Engine, sandbox: Sandbox, tmp_path: Path
) -> None:
    slow = {FaultKind.HANG, FaultKind.HANG_AFTER, FaultKind.DRIP, FaultKind.DRIP_BODY}
    lists = {FaultKind.PAGE, FaultKind.ODD_ENTRIES}
    kinds = [kind for kind in FaultKind if kind not in slow | lists]
    for kind in kinds:
        headers = (("Location", f"/user/{ADA.id}"),) if kind is FaultKind.REDIRECT else ()
        sandbox.script(Fault(kind=kind, method="DELETE", headers=headers))
    insert(
        engine,
        {"forge_user_id": ADA.id, "email": ADA.email, "reference": ADA.email},
        {"email": BOB.email, "reference": "T-2"},
        {"forge_user_id": f"{ADA.id}/x", "reference": f"u-{ADA.id}"},
        *({"forge_user_id": generated_user(n).id} for n in range(2, 12)),
    )
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    debug = {
        "FORGE_GDPR_LOG_LEVEL": "debug",
        "TMPDIR": str(temporary),
        "FORGE_GDPR_BREAKER": "99",  # every fault has its turn
        "FORGE_GDPR_CANARY": "0",
    }
    said = ""
    for words in (
        ("--verbose", "run", "--dry-run", "--check"),
        ("--verbose", "run"),
        ("--verbose", "run", "--output", "json"),
        ("requests", "list"),
        ("requests", "show", "1"),
        ("audit", "list"),
        ("audit", "list", "--output", "json"),
        ("report", "--output", "json"),
        ("--verbose", "users", "get", ADA.id.replace("3", "4")),
        ("--verbose", "users", "delete", f"{ADA.id}/../x"),
    ):
        # What logs, and could warn or break, is a process of its own.
        call = program if words[0] == "--verbose" else program.here
        done = call(*words, **debug)
        said += done.stdout + done.stderr
    assert "attempt.finished" in said
    assert "retry.scheduled" in said
    assert sum(seen.method == "DELETE" for seen in sandbox.seen) > len(kinds)
    record = str(fetch(engine, "SELECT * FROM audit_events"))
    files = "".join(p.read_text(errors="replace") for p in temporary.rglob("*") if p.is_file())
    for text in (said, record, files):
        assert [canary for canary in CANARIES if canary in text] == []
