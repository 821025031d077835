"""What was verified is on record, and `status` reads only what came after it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from roles import administer, login_url
from tampering import changes, disarm, record_of, rewritten, write
from world import fetch, insert, make_program, night

from forge_gdpr.audit import past
from forge_gdpr.audit.events import MAIN, Entry, EventName
from forge_gdpr.audit.record import append, append_main, head_of
from forge_gdpr.audit.verify import examine
from forge_gdpr.chain import Head
from forge_gdpr.database.engine import now, reading, writing
from forge_gdpr.deadlines import LegalClock
from forge_gdpr.errors import AuditBrokenError, ExitCode
from forge_gdpr.sandbox import Sandbox, generated_user
from forge_gdpr.watch.status import health

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection, Engine
    from world import Program

    from forge_gdpr.audit.verify import Examined
    from forge_gdpr.watch.status import Health

VERIFIED = "SELECT body FROM audit_events WHERE event = 'audit.verified' ORDER BY id"


def verify_all(engine: Engine) -> None:
    with reading(engine) as connection:
        assert examine(connection).broken == {}
        extent = past.extent(connection)
    assert extent is not None
    with writing(engine) as connection:
        past.record(connection, extent, actor="tester", at=now(connection))


def since(connection: Connection) -> Examined:
    verified = past.newest(connection)
    assert verified is not None
    return examine(connection, since=verified)


@pytest.fixture
def nights(engine: Engine, sandbox: Sandbox) -> Engine:
    """Two nights, a verification, and a third one."""
    for number in range(3):
        insert(engine, *({"forge_user_id": generated_user(2 * number + n).id} for n in (0, 1)))
        night(engine, sandbox.url)
        if number == 1:
            verify_all(engine)
    return engine


def test_only_what_came_after_it_is_read(nights: Engine) -> None:
    with reading(nights) as connection:
        whole, tail = examine(connection), since(connection)
    assert (tail.broken, whole.broken) == ({}, {})
    assert (tail.events, tail.runs, tail.open_runs) == (whole.events, 3, 0)
    assert (tail.head, tail.last_id) == (whole.head, whole.last_id)
    (body,) = [json.loads(body) for body in fetch(nights, VERIFIED)]
    assert (tail.read, whole.read) == (whole.events - body["events"], whole.events)
    assert (body["actor"], body["size"], body["seq"]) == ("tester", 4, 5)
    ends = "SELECT max(id) FROM audit_events WHERE chain = 'main' AND seq = 4"
    assert fetch(nights, ends) == [body["last_id"]]


def test_every_change_in_what_came_after_it_is_found(nights: Engine) -> None:
    disarm(nights)
    (last_id,) = [json.loads(body)["last_id"] for body in fetch(nights, VERIFIED)]
    everything = "SELECT * FROM audit_events ORDER BY id"
    ids = fetch(nights, f"SELECT id FROM audit_events WHERE id > {last_id} ORDER BY id")[:5]
    with writing(nights) as connection:
        before = connection.exec_driver_sql(everything).all()
        missed, tried = [], 0
        for name, statements in changes(nights.dialect.name, ids).items():
            undo = connection.begin_nested()
            for statement in statements:
                connection.exec_driver_sql(statement)
            try:
                is_same = connection.exec_driver_sql(everything).all() == before
            except Exception:  # noqa: BLE001  # it can't even be read
                is_same = False
            tried += not is_same
            try:
                if not is_same and not since(connection).broken:
                    missed.append(name)
            except Exception as error:  # noqa: BLE001  # which is looked into: see audit/blame.py
                if not examine(connection).broken:
                    missed.append(f"{name}: {error!r}")
            undo.rollback()
    assert missed == []
    assert tried > 300


def test_of_what_was_verified_it_sees_what_is_missing_added_or_another_chain(
    nights: Engine,
) -> None:
    disarm(nights)
    found = {
        "DELETE FROM audit_events WHERE id = 3": "up to id",
        "INSERT INTO audit_events (id, chain, seq, at, event, body, previous, hash)"
        " SELECT -5, '', 1, at, event, body, previous, hash FROM audit_events"
        " WHERE id = 3": "up to id",
        f"UPDATE audit_events SET hash = '{'0' * 64}' WHERE chain = 'main' AND seq = 2": "is not",
    }
    with writing(nights) as connection:
        for statement, said in found.items():
            undo = connection.begin_nested()
            connection.exec_driver_sql(statement)
            assert said in since(connection).broken["verified"]
            undo.rollback()
        # The rest is for the next verification: README says so.
        connection.exec_driver_sql("UPDATE audit_events SET outcome = 'x' WHERE id = 4")
        assert since(connection).broken == {}
        assert examine(connection).broken != {}


def test_a_rewritten_past_is_found_though_every_hash_is_right(nights: Engine) -> None:
    record = record_of(nights)
    record["main"][0]["actor"] = "somebody else"
    write(nights, rewritten(record))
    with reading(nights) as connection:
        assert "verified" in since(connection).broken
        assert examine(connection).broken == {}


def test_verifying_while_a_run_writes_hides_nothing_of_it(engine: Engine, sandbox: Sandbox) -> None:
    insert(engine, *({"forge_user_id": generated_user(n).id} for n in range(20)))
    reads: list[int] = []

    def look(_done: int, _due: int) -> None:
        verify_all(engine)
        with reading(engine) as connection:
            found = since(connection)
            assert (found.broken, found.open_runs) == ({}, 1)
            reads.append(found.events - found.read)

    night(engine, sandbox.url, progress=look, order={"batch": 5, "concurrency": 1})
    with reading(engine) as connection:
        found, whole = since(connection), examine(connection)
    assert (found.broken, found.events, found.open_runs) == ({}, whole.events, 0)
    assert reads == sorted(reads)
    assert reads[-1] > 0


def test_an_event_that_is_recorded_late_under_an_early_id_is_no_alarm(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":  # one writer at a time
        return
    with writing(engine) as connection:
        opened = [Entry(event=EventName.RUN_OPENED, run_id=name) for name in ("one", "two")]
        append_main(connection, opened, at=now(connection))
    entry = {name: Entry(event=EventName.REQUEST_ADMITTED, run_id=name) for name in ("one", "two")}
    with writing(engine) as late:
        append(late, Head(chain="one"), [entry["one"]], at=now(late))
        with writing(engine) as early:
            append(early, Head(chain="two"), [entry["two"]], at=now(early))
        verify_all(engine)
    with reading(engine) as connection:
        found = since(connection)
        assert (found.broken, found.events) == ({}, 5)
    verify_all(engine)
    with writing(engine) as connection:
        append(connection, head_of(connection, "one"), [entry["one"]], at=now(connection))
        assert since(connection).broken == {}


def test_what_changed_meanwhile_is_not_recorded_as_verified(nights: Engine) -> None:
    with reading(nights) as connection:
        extent = past.extent(connection)
    assert extent is not None
    record = record_of(nights)
    record["main"][0]["actor"] = "somebody else"
    write(nights, rewritten(record))
    with pytest.raises(AuditBrokenError, match="another one than"), writing(nights) as connection:
        past.record(connection, extent, actor="tester", at=now(connection))


def stands(engine: Engine, days: float) -> Health:
    with reading(engine) as connection:
        at = now(connection) + timedelta(days=days)
        return health(connection, now=at, legal=LegalClock(), max_age_h=9999)


def test_a_verification_grows_old(engine: Engine, sandbox: Sandbox) -> None:
    assert not stands(engine, 99).is_unverified  # nothing is recorded
    night(engine, sandbox.url)
    assert (stands(engine, 7.9).exit_code, stands(engine, 8.1).exit_code) == (0, ExitCode.STALE)
    assert stands(engine, 1).line.endswith("; record whole, 2 events, never verified")
    verify_all(engine)
    assert (stands(engine, 7.9).exit_code, stands(engine, 8.1).exit_code) == (0, ExitCode.STALE)
    assert stands(engine, 9).line.endswith(
        "all of it verified 9.0 d ago (at most 8 d): run 'forge-gdpr audit verify'"
    )
    assert stands(engine, 9).as_json()["verified_age_d"] == 9


def test_the_command_records_what_it_verified_and_status_says_how_old_it_is(
    program: Program, engine: Engine
) -> None:
    empty = program.here("audit", "verify")
    assert (empty.returncode, fetch(engine, VERIFIED)) == (0, [])
    assert program.here("run").returncode == 0
    told = program.here("audit", "verify", "--output", "json", "--actor", "ann")
    assert (json.loads(told.stdout)["recorded"], told.stderr) == (True, "")
    (body,) = map(json.loads, fetch(engine, VERIFIED))
    assert (body["actor"], body["events"], body["chain"]) == ("ann", 2, MAIN)
    status = json.loads(program.here("status", "--output", "json").stdout)
    assert (status["events"], status["events_read"], status["exit_code"]) == (3, 1, 0)
    late = program.here("status", "--quick", FORGE_GDPR_VERIFIED_WITHIN_D="0.1")
    assert (late.returncode, "all of it verified 0.0 d ago" in late.stdout) == (0, True)
    assert "audit.verified" in program.here("audit", "list").stdout
    assert program.here("report").returncode == 0
    disarm(engine)
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE audit_events SET actor = 'x' WHERE seq = 3")
    assert program.here("status").returncode == 6
    broken = program.here("audit", "verify", "--output", "json")
    assert (broken.returncode, json.loads(broken.stdout)["recorded"]) == (6, False)
    assert len(fetch(engine, VERIFIED)) == 1


def test_who_may_not_write_verifies_all_the_same(roled_url: str, tmp_path: Path) -> None:
    worker, auditor = (
        make_program(tmp_path, FORGE_GDPR_DATABASE_URL=login_url(roled_url, role))
        for role in ("worker", "auditor")
    )
    hold = ("requests", "hold", "1", "--reason", "dispute")
    administer(roled_url, "INSERT INTO deletion_requests (reference, email) VALUES ('1', 'a@b.de')")
    assert worker.here(*hold).returncode == 0
    seen = auditor.here("audit", "verify")
    assert (seen.returncode, "the record is whole" in seen.stdout) == (0, True)
    assert seen.stderr.startswith("that nothing was found is not recorded, so 'status' can't say")
    assert seen.stderr.count("\n") == 1
    assert worker.here("audit", "verify").stderr == ""
    assert "all of it verified" in auditor.here("status").stdout
