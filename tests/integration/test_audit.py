"""Verifying the record: whole as it is, broken by every manipulation, on both databases."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from world import fetch, insert, night

from forge_gdpr.audit.events import MAIN, Entry, EventName
from forge_gdpr.audit.history import events
from forge_gdpr.audit.record import append, append_main, head_of
from forge_gdpr.audit.verify import verify
from forge_gdpr.chain import Head, canonical, seal
from forge_gdpr.database.engine import now, reading, writing
from forge_gdpr.errors import AuditBrokenError
from forge_gdpr.sandbox import Sandbox, generated_user

if TYPE_CHECKING:
    from sqlalchemy import Engine


@pytest.fixture
def nights(engine: Engine, sandbox: Sandbox) -> Engine:
    """A database with the record of two runs."""
    for number in (0, 1):
        insert(engine, {"forge_user_id": generated_user(number).id})
        night(engine, sandbox.url)
    return engine


def tamper(engine: Engine, *statements: str) -> None:
    """Do what only the table's owner can: take the triggers away and change the record."""
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("ALTER TABLE audit_events DISABLE TRIGGER ALL")
        else:
            names = connection.exec_driver_sql(
                "SELECT name FROM sqlite_master"
                " WHERE type = 'trigger' AND tbl_name = 'audit_events'"
            )
            for name in names.scalars().all():
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.exec_driver_sql(statement)


def broken(engine: Engine) -> str:
    with reading(engine) as connection, pytest.raises(AuditBrokenError) as caught:
        verify(connection)
    return str(caught.value)


FIRST_RUN = "(SELECT min(chain) FROM audit_events WHERE chain <> 'main')"
SECOND_RUN = "(SELECT max(chain) FROM audit_events WHERE chain <> 'main')"


def test_a_record_as_it_was_written_is_whole(nights: Engine) -> None:
    with reading(nights) as connection:
        verified = verify(connection)
    assert (verified.runs, verified.open_runs, verified.events) == (2, 0, 12)
    assert verified.as_json()["main"] == {"seq": 4, "hash": verified.head.hash}


def test_an_empty_record_is_whole(engine: Engine) -> None:
    with reading(engine) as connection:
        assert verify(connection).head == Head(chain=MAIN)


MANIPULATIONS = {
    "a column of a run": (
        f"UPDATE audit_events SET outcome = 'accepted' WHERE chain = {FIRST_RUN} AND seq = 3",
        "another outcome",
    ),
    "the time": (
        "UPDATE audit_events SET at = '2020-01-01 00:00:00' WHERE chain = 'main' AND seq = 1",
        "another at",
    ),
    "the actor": (
        "UPDATE audit_events SET actor = 'me' WHERE chain = 'main' AND seq = 1",
        "another actor",
    ),
    "whom it is about": (
        "UPDATE audit_events SET request_id = 77 WHERE request_id = 1",
        "another request_id",
    ),
    "a body": (
        "UPDATE audit_events SET body = replace(body, 'erased', 'absent') WHERE outcome = 'erased'",
        "does not match its hash",
    ),
    "the first event gone": (
        f"DELETE FROM audit_events WHERE chain = {FIRST_RUN} AND seq = 1",
        "one is missing",
    ),
    "a middle event gone": (
        f"DELETE FROM audit_events WHERE chain = {FIRST_RUN} AND seq = 2",
        "one is missing",
    ),
    "the last event of a run gone": (
        f"DELETE FROM audit_events WHERE chain = {FIRST_RUN} AND seq = 4",
        "ends at event 3",
    ),
    "a run gone": (f"DELETE FROM audit_events WHERE chain = {FIRST_RUN}", "is missing"),
    "a middle event of main gone": (
        "DELETE FROM audit_events WHERE chain = 'main' AND seq = 2",
        "one is missing",
    ),
    "main gone": ("DELETE FROM audit_events WHERE chain = 'main'", "belongs to no run"),
    "a chain renamed": (
        f"UPDATE audit_events SET chain = 'x' WHERE chain = {FIRST_RUN}",
        "belongs to no run",
    ),
    "an event moved": (
        f"UPDATE audit_events SET seq = 9 WHERE chain = {FIRST_RUN} AND seq = 4",
        "one is missing",
    ),
    "a hash": (
        "UPDATE audit_events SET hash = previous WHERE chain = 'main' AND seq = 2",
        "does not match its hash",
    ),
    "a body emptied": (
        f"UPDATE audit_events SET body = '[]' WHERE chain = {SECOND_RUN} AND seq = 1",
        "does not match its hash",
    ),
    "an event added": (
        """INSERT INTO audit_events (chain, seq, at, event, body, previous, hash)
        SELECT chain, 99, at, event, body, hash, hash FROM audit_events
        WHERE chain = 'main' AND seq = 4""",
        "one is missing, or was added or moved",
    ),
}


@pytest.mark.parametrize(("statement", "said"), MANIPULATIONS.values(), ids=MANIPULATIONS.keys())
def test_each_manipulation_is_found(nights: Engine, statement: str, said: str) -> None:
    tamper(nights, statement)
    assert said in broken(nights)


@pytest.mark.parametrize(
    ("body", "said"),
    [("no json", "not JSON"), ("[]", "not canonical"), ('{"b":1, "a":2}', "not canonical")],
)
def test_a_rewritten_tail_with_right_hashes_is_found_in_a_run(
    nights: Engine, body: str, said: str
) -> None:
    previous = fetch(
        nights, f"SELECT previous FROM audit_events WHERE chain = {FIRST_RUN} AND seq = 4"
    )
    tamper(
        nights,
        f"UPDATE audit_events SET body = '{body}', hash = '{seal(previous[0], body)}'"
        f" WHERE chain = {FIRST_RUN} AND seq = 4",
    )
    assert said in broken(nights)


def test_a_run_rewritten_as_a_whole_is_not_what_main_says(nights: Engine) -> None:
    run_id = fetch(nights, f"SELECT {FIRST_RUN}")[0]
    ids = fetch(nights, f"SELECT id FROM audit_events WHERE chain = '{run_id}' ORDER BY seq")
    tamper(nights, f"DELETE FROM audit_events WHERE chain = '{run_id}'")
    with writing(nights) as connection:
        forged = [Entry(event=EventName.REQUEST_CLOSED, run_id=run_id, request_id=1)] * 4
        append(connection, head_of(connection, run_id), forged, at=now(connection))
    assert "is missing" in broken(nights)  # where it stood, before `main` closed it
    with writing(nights) as connection:
        for seq, row_id in enumerate(ids, start=1):
            connection.exec_driver_sql(
                f"UPDATE audit_events SET id = {row_id} WHERE chain = '{run_id}' AND seq = {seq}"
            )
    assert "with another hash" in broken(nights)


def test_verifying_while_a_run_writes_raises_no_alarm(engine: Engine, sandbox: Sandbox) -> None:
    insert(engine, *({"forge_user_id": generated_user(n).id} for n in range(20)))
    verified: list[int] = []

    def look(_done: int, _due: int) -> None:
        with reading(engine) as connection:
            verified.append(verify(connection).open_runs)

    night(engine, sandbox.url, progress=look, order={"batch": 5, "concurrency": 1})
    assert set(verified) == {1}


def test_the_main_chain_has_many_writers(engine: Engine) -> None:
    heads = []
    for number in range(3):
        with writing(engine) as connection:
            entry = Entry(event=EventName.RUN_OPENED, run_id=f"{number}")
            heads.append(append_main(connection, [entry], at=now(connection)))
    assert [head.seq for head in heads] == [1, 2, 3]
    with reading(engine) as connection:
        assert verify(connection).head == heads[-1]


def test_events_are_shown_as_they_were_recorded(nights: Engine) -> None:
    with reading(nights) as connection:
        everything = list(events(connection))
        last = list(events(connection, newest=2))
        of_one = [event.event for event in events(connection, request_id=1)]
        run_id = everything[0].chain if everything[0].chain != MAIN else everything[1].chain
        of_run = list(events(connection, run_id=run_id))
    assert last == everything[-2:]
    assert of_one == ["request.admitted", "attempt.started", "attempt.finished", "request.closed"]
    assert len(of_run) == 6
    assert all(canonical(json.loads(event.body)) == event.body for event in everything)
