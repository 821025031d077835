"""What `doctor` sees of a machine that is set up, and of one that is not."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from roles import administer, login_url
from world import KEY, SUBJECT_KEY, client, fetch, insert, night, raw_server

from forge_gdpr.absence import Account
from forge_gdpr.audit.record import lock_main
from forge_gdpr.database.engine import engine_of, reading, writing
from forge_gdpr.errors import DatabaseError, ExitCode, GuardStoppedError
from forge_gdpr.identifiers import FORGE_ID
from forge_gdpr.pseudonyms import Keyring, SubjectKey
from forge_gdpr.sandbox import Fault, FaultKind, Sandbox, generated_user
from forge_gdpr.watch import account, checks
from forge_gdpr.watch.findings import Finding, Level, failure, warning, worst

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from sqlalchemy import Engine
    from world import Program

NOW = datetime.now(UTC)


def test_the_worst_failure_decides_and_warnings_do_not_count() -> None:
    found = [
        Finding(name="a", said="well"),
        warning("b", "soon"),
        failure("c", "gone", ExitCode.FORGE_UNAVAILABLE),
        failure("d", "wrong", ExitCode.CONFIGURATION),
    ]
    assert worst(found) == ExitCode.CONFIGURATION
    assert worst(found[:2]) == ExitCode.OK


def test_an_error_for_the_operator_becomes_a_line() -> None:
    def check() -> Finding:
        raise DatabaseError("the database is away")

    assert checks.tried("x", check) == failure("x", "the database is away", ExitCode.DATABASE)


SQLITE_TRIGGER = """CREATE TRIGGER audit_events_refuse_update BEFORE UPDATE{} ON audit_events {}
BEGIN SELECT RAISE({}); END"""
ABORT = "ABORT, 'audit_events is append-only'"
POSTGRESQL_TRIGGER = """CREATE TRIGGER audit_events_refuse_change BEFORE {} ON audit_events
FOR EACH {} EXECUTE FUNCTION audit_events_refuse()"""
ANY = "UPDATE OR DELETE OR TRUNCATE"
FUNCTION = """CREATE OR REPLACE FUNCTION audit_events_refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN {} END $$"""
REFUSE = "RAISE EXCEPTION 'audit_events is append-only';"
#: What is done to the triggers: statements, and what is said of it.
DISARMED = {
    "sqlite": [
        (["DROP TRIGGER audit_events_refuse_delete"], "it lets DELETE pass"),
        (["DROP TRIGGER audit_events_refuse_replace"], "it lets REPLACE pass"),
        ([SQLITE_TRIGGER.format("", "WHEN NEW.id > 900", ABORT)], "it lets UPDATE pass"),
        ([SQLITE_TRIGGER.format(" OF body", "", ABORT)], "it lets UPDATE pass"),
        ([SQLITE_TRIGGER.format("", "", "IGNORE")], "it lets UPDATE pass"),
        ([SQLITE_TRIGGER.format("", "WHEN NEW.id <> 3", ABORT)], "or replaced)"),
    ],
    "postgresql": [
        (["ALTER TABLE audit_events DISABLE TRIGGER ALL"], "it lets UPDATE and DELETE pass"),
        ([POSTGRESQL_TRIGGER.format("DELETE OR TRUNCATE", "STATEMENT")], "it lets UPDATE pass"),
        ([POSTGRESQL_TRIGGER.format(ANY.replace("UPDATE", "UPDATE OF body"), "STATEMENT")], "UPD"),
        ([POSTGRESQL_TRIGGER.format("UPDATE OR DELETE", "STATEMENT")], "or replaced)"),
        ([POSTGRESQL_TRIGGER.format("UPDATE OR DELETE", "ROW WHEN (OLD.id <> 3)")], "or replaced)"),
        ([FUNCTION.format("RETURN NULL;")], "it lets UPDATE and DELETE pass"),
        ([FUNCTION.format(f"IF session_user <> 'eve' THEN {REFUSE} END IF;")], "or replaced)"),
    ],
}


def test_triggers_that_do_not_refuse_are_a_failure(engine: Engine, sandbox: Sandbox) -> None:
    assert checks.triggers(engine) == Finding(  # of an empty record, too
        name="triggers", said="the database refuses to change or delete the record"
    )
    insert(engine, {"forge_user_id": generated_user(0).id})
    night(engine, sandbox.url)
    everything = "SELECT * FROM audit_events ORDER BY id"
    before = fetch(engine, everything)
    for statements, said in DISARMED[engine.dialect.name]:
        with pytest.raises(GuardStoppedError), writing(engine) as connection:
            for statement in statements:
                made = re.match(r"CREATE TRIGGER (\w+)", statement)
                if made:
                    on = " ON audit_events" if engine.dialect.name == "postgresql" else ""
                    connection.exec_driver_sql(f"DROP TRIGGER {made[1]}{on}")
                connection.exec_driver_sql(statement)
            found = checks.triggers_in(connection)
            assert (found.level, found.code) == (Level.FAILURE, ExitCode.AUDIT_BROKEN), statements
            assert said in found.said, statements
            raise GuardStoppedError("")  # which takes it back
    assert checks.triggers(engine).level is Level.OK
    assert fetch(engine, everything) == before


def test_doctor_tries_the_triggers_beside_a_writer(engine: Engine, sandbox: Sandbox) -> None:
    night(engine, sandbox.url)
    if engine.dialect.name == "sqlite":
        with reading(engine):
            assert checks.triggers(engine).level is Level.OK
        return
    with writing(engine) as connection:  # of a run
        lock_main(connection)
        connection.exec_driver_sql("SELECT * FROM audit_events FOR UPDATE")
        assert checks.triggers(engine).level is Level.OK


@pytest.mark.parametrize("role", ["worker", "auditor"])
def test_a_login_that_may_not_try_says_so(roled_url: str, role: str) -> None:
    owner, other = (engine_of(login_url(roled_url, one)) for one in ("owner", role))
    assert checks.triggers(owner).said == "the database refuses to change or delete the record"
    assert "was not tried" in checks.triggers(other).said
    administer(roled_url, FUNCTION.format("RETURN NULL;"))
    for each in (owner, other):
        assert checks.triggers(each).code == ExitCode.AUDIT_BROKEN
        each.dispose()


def test_another_subject_key_than_the_last_runs_is_a_failure(
    engine: Engine, sandbox: Sandbox
) -> None:
    other, ours = Keyring((SubjectKey(b"o" * 32),)), Keyring((SUBJECT_KEY,))
    assert checks.subject_key(engine, other).level is Level.OK  # no run has used one
    night(engine, sandbox.url)
    assert checks.subject_key(engine, ours).level is Level.OK
    found = checks.subject_key(engine, other)
    assert (found.code, SUBJECT_KEY.id in found.said) == (ExitCode.CONFIGURATION, True)


def test_nothing_is_written_to_see_whether_it_could_be(engine: Engine) -> None:
    assert checks.writable(engine).level is Level.OK
    with writing(engine) as connection:
        for table in ("audit_events", "deletion_requests", "runs"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == 0


@pytest.mark.parametrize(("away_s", "said"), [(90, "ahead of"), (-90, "behind")])
def test_a_clock_that_is_off_is_a_warning(engine: Engine, away_s: int, said: str) -> None:
    assert checks.database_clock(engine, now=lambda: datetime.now(UTC)).level is Level.OK
    off = datetime.now(UTC) + timedelta(seconds=away_s)
    found = checks.database_clock(engine, now=lambda: off)
    assert (found.level, said in found.said) == (Level.WARNING, True)


def test_an_old_last_run_is_a_warning(engine: Engine, sandbox: Sandbox) -> None:
    assert checks.last_run(engine, now=NOW, max_age_h=26).level is Level.WARNING
    night(engine, sandbox.url)
    now = datetime.now(UTC)
    assert checks.last_run(engine, now=now, max_age_h=26).level is Level.OK
    later = checks.last_run(engine, now=now + timedelta(hours=27), max_age_h=26)
    assert later == warning(
        "last run", "the last good run closed 27.0 h ago, over 26 h: is it scheduled?"
    )


def test_requests_that_name_nobody_properly_are_counted(engine: Engine) -> None:
    pattern = re.compile(FORGE_ID)
    good = generated_user(0)
    insert(
        engine,
        {"forge_user_id": good.id.upper(), "email": good.email},
        {"email": " "},
        {"forge_user_id": "undefined", "status": "done"},
    )
    fine = checks.identifiers(engine, pattern=pattern)
    assert fine == Finding(
        name="identifiers", said="the ids and addresses of all open requests look right"
    )
    insert(
        engine,
        {"email": "banana"},
        {"forge_user_id": "4711", "email": "Ada <ada@example.org>"},
        {"forge_user_id": "ada@example.org", "status": "held"},
    )
    assert checks.identifiers(engine, pattern=pattern) == warning(
        "identifiers",
        "open requests with a user id that does not look like one: 2, with an e-mail that is not an"
        " address: 2; the first is request 4 (this is not an e-mail address: it has no @): correct"
        " the columns in the table, or the next run sends these requests to review",
    )
    by_number = checks.identifiers(engine, pattern=re.compile("[0-9]+"))
    assert "does not look like one: 2," in by_number.said


def test_files_that_others_may_read_are_a_warning(tmp_path: Path) -> None:
    private, public = tmp_path / "private", tmp_path / "public"
    private.touch(mode=0o600)
    public.touch(mode=0o600)
    public.chmod(0o640)
    assert checks.files([private, tmp_path / "missing"]).level is Level.OK
    assert checks.files([private, public]) == warning(
        "files", f"others may read or write: run 'chmod 600 {public}'"
    )


@pytest.mark.parametrize(
    ("free", "level"),
    [(2**31, Level.OK), (2**29, Level.WARNING), (2**20, Level.FAILURE)],
)
def test_a_full_disk_is_said_before_the_night(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, level: Level
) -> None:
    # A disk of this size can't be had here; the library's answer is what is simulated.
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=free))
    assert checks.disk(tmp_path).level is level


def at_forge(
    url: str, expectation: account.Expected | None = None, **changes: Any
) -> list[Finding]:
    with client(url, **changes) as opened:
        return account.forge(opened, expectation, now=lambda: datetime.now(UTC))


def test_forge_is_asked_for_its_users_and_its_clock(sandbox: Sandbox) -> None:
    users, whole, clock = at_forge(sandbox.url)
    assert users == Finding(name="forge", said="accepts the key and has 30 users")
    assert whole == Finding(name="forge list", said="whole")
    assert (clock.level, clock.said.endswith(" s from this machine's")) == (Level.OK, True)
    assert [(seen.method, seen.target) for seen in sandbox.seen] == [("GET", "/forge/2021-12/user")]


@pytest.mark.parametrize(
    ("fault", "users", "said"),
    [
        (
            {"entries": [{"_id": "0" * 24, "fullName": None, "email": None}]},
            31,
            "1 of its 31 users show no e-mail: as long as they",
        ),
        ({"entries": [None]}, 30, "it is not whole: 1 of its entries have no usable _id"),
        ({"entries": [], "extra": {"next": None}}, 30, "it is not whole: it has the key next"),
    ],
)
def test_a_list_that_shows_no_absence_is_a_warning(
    sandbox: Sandbox, fault: dict[str, Any], users: int, said: str
) -> None:
    sandbox.script(Fault(kind=FaultKind.ODD_ENTRIES, **fault))
    count, whole, _ = at_forge(sandbox.url)
    assert count == Finding(name="forge", said=f"accepts the key and has {users} users")
    assert (whole.name, whole.level) == ("forge list", Level.WARNING)
    assert whole.said.startswith(said)


@pytest.mark.parametrize(
    ("changes", "level", "said"),
    [
        ({}, Level.WARNING, "; nothing shows that it is yours: make a user of your own"),
        ({"sentinel": generated_user(0).id}, Level.OK, "; shown to be yours: sentinel"),
        ({"sentinel": "0" * 24}, Level.FAILURE, "; FORGE_GDPR_SENTINEL_USER_ID is not: check"),
        (
            {"sentinel": "0" * 24, "erased_before": True},
            Level.FAILURE,
            "; FORGE_GDPR_SENTINEL_USER_ID is not: check",
        ),
        ({"erased_before": True}, Level.OK, "; shown to be yours: erased_before"),
        ({"named_ids": [generated_user(1).id.upper()]}, Level.OK, "; shown to be yours: listed"),
        ({"named_ids": ["0" * 24]}, Level.WARNING, "; nothing shows that it is yours"),
    ],
)
def test_whose_account_it_is_is_said(
    sandbox: Sandbox, changes: dict[str, Any], level: Level, said: str
) -> None:
    ours = Account.of([SUBJECT_KEY], base_url=sandbox.url, api_key=KEY)
    due_ids = [generated_user(0).id, "0" * 24, "1" * 24]
    expectation = account.Expected(account=ours, due_ids=due_ids, **changes)
    _, _, finding, _ = at_forge(sandbox.url, expectation)
    start = f"1 of 3 due requests by user id are in it (key {ours.short}){said}"
    assert (finding.name, finding.level) == ("account", level)
    assert finding.said.startswith(start)
    assert (finding.code == ExitCode.GUARD_STOPPED) == (level is Level.FAILURE)


def test_the_database_says_what_should_be_in_the_account(engine: Engine, sandbox: Sandbox) -> None:
    """Nobody is closed with another account's key, and `doctor` says it before the night."""
    users = [generated_user(number) for number in range(4)]
    insert(engine, *({"forge_user_id": user.id} for user in users[1:]))
    insert(engine, {"forge_user_id": users[0].id, "status": "held"})
    ours = Account.of([SUBJECT_KEY], base_url=sandbox.url, api_key=KEY)
    before = account.expected(engine, ours, sentinel=None)
    assert sorted(before.due_ids) == sorted(user.id for user in users[1:])
    assert (before.account, before.sentinel, before.erased_before) == (ours, None, False)
    with Sandbox(users=0, key=KEY) as test:
        _, _, finding, _ = at_forge(test.url, before)
    assert (finding.level, finding.said[:8]) == (Level.WARNING, "0 of 3 d")
    night(engine, sandbox.url)
    after = account.expected(engine, ours, sentinel=None)
    assert (list(after.due_ids), after.erased_before) == ([], True)
    other = Account.of([SUBJECT_KEY], base_url=sandbox.url, api_key="another")
    assert not account.expected(engine, other, sentinel=None).erased_before


def test_what_is_wrong_with_key_path_or_host_is_said(sandbox: Sandbox) -> None:
    (refused,) = at_forge(sandbox.url, api_key="another")
    assert (refused.code, "API key" in refused.said) == (ExitCode.KEY_REFUSED, True)
    (path,) = at_forge(f"{sandbox.url}/nowhere")
    assert (path.code, "not Forge's path" in path.said) == (ExitCode.FORGE_UNAVAILABLE, True)
    (host,) = at_forge("http://127.0.0.1:9/forge")
    assert host.code == ExitCode.FORGE_UNAVAILABLE


@pytest.mark.parametrize(
    ("date", "said"),
    [
        ("Date: Tue, 01 Jan 2030 00:00:00 GMT\r\n", "behind Forge's: is NTP running?"),
        ("", "no readable Date"),
    ],
)
def test_forges_clock_is_compared(date: str, said: str) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        body = b'{"data": []}'
        head = f"HTTP/1.1 200 OK\r\n{date}Content-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)

    with raw_server(answer) as url:
        _, _, clock = at_forge(url)
    assert (clock.level, said in clock.said) == (Level.WARNING, True)


def test_the_command_on_a_machine_that_is_set_up(
    program: Program, engine: Engine, sandbox: Sandbox
) -> None:
    insert(engine, {"forge_user_id": generated_user(0).id})
    assert program.here("run").returncode == 0
    calls = len(sandbox.seen)
    done = program("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    assert "accepts the key and has 29 users" in done.stdout
    assert KEY not in done.stdout
    assert SUBJECT_KEY.secret.decode() not in done.stdout
    told = json.loads(program.here("doctor", "--offline", "--output", "json").stdout)
    assert len(sandbox.seen) == calls + 1
    assert (told["exit_code"], told["settings"]["api_key"]) == (0, "set")
    assert {one["level"] for one in told["checks"]} <= {"ok", "warning"}
    assert "forge" not in {one["check"] for one in told["checks"]}


def test_the_command_on_a_machine_that_is_not(program: Program, tmp_path: Path) -> None:
    empty = f"sqlite:///{tmp_path / 'none.db'}"
    for variables, code, said in (
        ({"FORGE_GDPR_DATABASE_URL": empty}, 3, "run 'forge-gdpr db upgrade'"),
        ({"FORGE_GDPR_API_KEY": ""}, 3, "there is no API key"),
        ({"FORGE_GDPR_API_KEY": "another"}, 7, "Forge refuses the API key"),
        ({"FORGE_GDPR_CONCURRENCY": "many"}, 3, "FORGE_GDPR_CONCURRENCY"),
        ({"FORGE_GDPR_TIMEZONE": "Mars"}, 3, "FORGE_GDPR_TIMEZONE=Mars is no time zone"),
        ({"FORGE_GDPR_SUBJECT_KEY": "short"}, 3, "FORGE_GDPR_SUBJECT_KEY can't be used"),
    ):
        done = program.here("doctor", **variables)
        assert (done.returncode, said in done.stdout, done.stderr) == (code, True, ""), said
