"""Closed requests forget and are removed, on both databases; the record and its reports stay."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest
from dateutil.relativedelta import relativedelta
from sqlalchemy import event
from world import SUBJECT_KEY, fetch, insert, night

from forge_gdpr.audit.verify import verify
from forge_gdpr.database.engine import now, reading, writing
from forge_gdpr.deadlines import LegalClock
from forge_gdpr.desk.forgetting import Forgotten, forget, preview
from forge_gdpr.desk.steering import Wish, steer
from forge_gdpr.errors import DatabaseError
from forge_gdpr.identifiers import FORGE_ID
from forge_gdpr.queue import intake
from forge_gdpr.queue.checks import NewRequest
from forge_gdpr.reports.figures import figures
from forge_gdpr.retention import Cutoffs, Periods
from forge_gdpr.sandbox import Fault, FaultKind, Sandbox, User, generated_user

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

PERIODS: Final = Periods(ids_days=30, requests_months=36)
TODAY: Final = datetime.now(UTC)
DAYS_31: Final = timedelta(days=31)
MONTHS_37: Final = relativedelta(months=37)
ADA, BEN, CLEO = (generated_user(number) for number in range(3))


def cutoffs(engine: Engine) -> Cutoffs:
    with reading(engine) as connection:
        return PERIODS.cutoffs(now(connection))


def retain(engine: Engine) -> Forgotten:
    """Apply it; the preview says the same before, and nothing after."""
    wanted = cutoffs(engine)
    foreseen = preview(engine, wanted)
    done = forget(engine, wanted, periods=PERIODS, actor="kim")
    assert done == foreseen
    assert preview(engine, wanted) == forget(engine, wanted, periods=PERIODS, actor="kim")
    assert preview(engine, wanted) == Forgotten()
    with reading(engine) as connection:
        verify(connection)
    return done


def closed(ago: timedelta | relativedelta, **changes: object) -> dict[str, object]:
    """A row that was closed so long ago."""
    at = (TODAY - ago).strftime("%Y-%m-%d %H:%M:%S.%f")
    return {"forge_user_id": ADA.id, "status": "done", "closed_at": at} | changes


def applied(engine: Engine) -> list[dict[str, Any]]:
    bodies = fetch(
        engine, "SELECT body FROM audit_events WHERE event = 'retention.applied' ORDER BY id"
    )
    return [json.loads(body) for body in bodies]


def shifted(engine: Engine, **ago: int) -> None:
    """Let all that is closed have been closed so long ago."""
    at = (TODAY - relativedelta(**ago)).strftime("%Y-%m-%d %H:%M:%S.%f")  # type: ignore[arg-type]
    with writing(engine) as connection:
        connection.exec_driver_sql(
            f"UPDATE deletion_requests SET closed_at = '{at}' WHERE closed_at IS NOT NULL"
        )


def test_ids_go_after_their_days_and_rows_after_their_months(engine: Engine) -> None:
    insert(
        engine,
        closed(timedelta(days=29)),
        closed(DAYS_31, status="cancelled"),
        closed(relativedelta(months=35), status="refused", forge_user_id=None, email="x@y"),
        closed(MONTHS_37),
        {"forge_user_id": BEN.id, "email": BEN.email, "received_at": "2001-01-01 00:00:00"},
    )
    assert retain(engine) == Forgotten(user_ids=1, emails=1, removed=1)
    assert fetch(engine, "SELECT id, forge_user_id, email FROM deletion_requests ORDER BY id") == [
        (1, ADA.id, None),
        (2, None, None),
        (3, None, None),
        (5, BEN.id, BEN.email),
    ]


def test_an_address_that_was_written_again_goes_at_once(engine: Engine, sandbox: Sandbox) -> None:
    (request_id,) = insert(engine, {"forge_user_id": ADA.id, "email": ADA.email})
    night(engine, sandbox.url)
    with writing(engine) as connection:
        connection.exec_driver_sql(f"UPDATE deletion_requests SET email = '{ADA.email}'")
    assert retain(engine) == Forgotten(emails=1)
    assert fetch(engine, "SELECT id, forge_user_id, email FROM deletion_requests") == [
        (request_id, ADA.id, None)
    ]


def test_the_record_says_who_did_it_how_much_and_by_which_limits(engine: Engine) -> None:
    insert(engine, closed(DAYS_31), closed(DAYS_31, email="x@y"), closed(MONTHS_37))
    wanted = cutoffs(engine)
    forget(engine, wanted, periods=PERIODS, actor="kim")
    (body,) = applied(engine)
    assert body.pop("at") > written(wanted.now)
    assert body == {
        "chain": "main",
        "seq": 1,
        "event": "retention.applied",
        "actor": "kim",
        "user_ids": 2,
        "emails": 1,
        "references": 0,
        "dated": 0,
        "removed": 1,
        "retain_ids_days": 30,
        "retain_requests_months": 36,
        "ids_before": written(wanted.ids_before),
        "requests_before": written(wanted.requests_before),
    }


def written(at: datetime) -> str:
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def test_nothing_to_do_is_not_on_record(engine: Engine) -> None:
    insert(engine, closed(timedelta(days=1)), {"forge_user_id": BEN.id})
    assert retain(engine) == Forgotten()
    assert applied(engine) == []


def test_reports_and_outcomes_say_the_same_when_all_rows_are_gone(
    engine: Engine, sandbox: Sandbox
) -> None:
    ids = insert(
        engine,
        {"forge_user_id": ADA.id, "reference": "T-1"},
        {"email": BEN.email, "reference": "T-2"},
        {"forge_user_id": CLEO.id, "reference": "T-3"},
        {"forge_user_id": "../x"},
    )
    with writing(engine) as connection:
        wish = Wish(action="cancel", actor="kim", reason="withdrawn")
        steer(connection, ids[2:3], wish, key=SUBJECT_KEY, legal=LegalClock())
    night(engine, sandbox.url)

    def told() -> tuple[object, list[Any]]:
        day = TODAY.date()
        with reading(engine) as connection:
            found = figures(connection, since=day - DAYS_31, until=day + DAYS_31, today=day)
        outcomes = "SELECT request_id, reference, outcome, on_time FROM deletion_outcomes"
        # The main chain has a new event, and the figures name its end.
        said = {name: value for name, value in asdict(found).items() if name != "head"}
        return said, fetch(engine, f"{outcomes} ORDER BY request_id")

    before = told()
    assert len(before[1]) == 3
    shifted(engine, days=31)
    assert retain(engine) == Forgotten(user_ids=3)
    assert told() == before
    shifted(engine, months=37)
    assert retain(engine) == Forgotten(removed=3)
    assert told() == before
    assert fetch(engine, "SELECT id FROM deletion_requests") == [4]


def test_a_closing_without_a_time_that_can_be_counts_from_today(engine: Engine) -> None:
    insert(
        engine,
        {"forge_user_id": ADA.id, "status": "done"},
        {"forge_user_id": BEN.id, "status": "cancelled", "email": "x@y"},
        closed(timedelta(days=-400)),
        closed(timedelta(days=50_000)),
        closed(DAYS_31),
    )
    assert retain(engine) == Forgotten(dated=4, emails=1, user_ids=1)
    assert fetch(engine, "SELECT count(*) FROM deletion_requests WHERE forge_user_id IS NULL") == [
        1
    ]
    shifted(engine, days=31)
    assert retain(engine) == Forgotten(user_ids=4)


@pytest.mark.parametrize("value", [0, 1_700_000_000, "", "31.03.2026", "03/31/2020", "yesterday"])
def test_what_is_no_time_on_sqlite_counts_from_today(engine: Engine, value: object) -> None:
    if engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL takes times only")
    insert(engine, {"forge_user_id": ADA.id, "status": "done", "closed_at": value})
    assert retain(engine) == Forgotten(dated=1)
    assert fetch(engine, "SELECT forge_user_id FROM deletion_requests") == [ADA.id]


def test_infinity_counts_from_today(engine: Engine) -> None:
    if engine.dialect.name != "postgresql":
        pytest.skip("only PostgreSQL has it")
    insert(engine, *(closed(DAYS_31, closed_at=value) for value in ("infinity", "-infinity")))
    assert retain(engine) == Forgotten(dated=2)


def test_a_reference_that_names_the_person_goes_with_the_id(
    engine: Engine, sandbox: Sandbox
) -> None:
    margaret = User(id="c" * 24, name="Margaret", email="margaret@example.org")
    sandbox.add(margaret)
    insert(
        engine,
        {"forge_user_id": margaret.id, "email": margaret.email, "reference": "erase Margaret"},
        {"forge_user_id": BEN.id, "reference": f"user-{BEN.id}"},
        {"email": "nobody@example.org", "reference": "nobody@example.org"},
        {"forge_user_id": CLEO.id, "email": CLEO.email, "reference": "T-4"},
    )
    night(engine, sandbox.url)
    assert retain(engine) == Forgotten()
    shifted(engine, days=31)
    assert retain(engine) == Forgotten(user_ids=3, references=3)
    assert fetch(engine, "SELECT reference FROM deletion_requests ORDER BY id") == [
        None, None, None, "T-4",
    ]  # fmt: skip


def test_a_thousand_rows_are_a_transaction_and_an_event(engine: Engine) -> None:
    with writing(engine) as connection:
        at = (TODAY - DAYS_31).strftime("%Y-%m-%d %H:%M:%S")
        connection.exec_driver_sql(
            "INSERT INTO deletion_requests (forge_user_id, status, closed_at)"
            f" WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)"
            f" SELECT 'u' || i, 'done', '{at}' FROM n"
            if engine.dialect.name == "sqlite"
            else "INSERT INTO deletion_requests (forge_user_id, status, closed_at)"
            f" SELECT 'u' || i, 'done', '{at}' FROM generate_series(1, 2500) AS i"
        )
    assert retain(engine) == Forgotten(user_ids=2500)
    assert [body["user_ids"] for body in applied(engine)] == [1000, 1000, 500]


def is_read_only(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get("forge_gdpr_read_only"))


def test_what_was_done_before_a_failure_is_on_record(engine: Engine) -> None:
    insert(engine, *(closed(DAYS_31, forge_user_id=f"u{number}") for number in range(1100)))
    written: list[Connection] = []

    @event.listens_for(engine, "commit")
    def fail_on_the_second(connection: Connection) -> None:
        if not is_read_only(connection):
            assert not written, "stop"
            written.append(connection)

    with pytest.raises(AssertionError, match="stop"):
        forget(engine, cutoffs(engine), periods=PERIODS, actor="kim")
    event.remove(engine, "commit", fail_on_the_second)
    assert [body["user_ids"] for body in applied(engine)] == [1000]
    left = "SELECT count(*) FROM deletion_requests WHERE forge_user_id IS NOT NULL"
    assert fetch(engine, left) == [100]
    assert retain(engine) == Forgotten(user_ids=100)


def test_a_row_that_somebody_holds_is_left_for_the_next_time(engine: Engine) -> None:
    if engine.dialect.name != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    insert(engine, closed(DAYS_31), closed(DAYS_31))
    with engine.begin() as other:
        other.exec_driver_sql("UPDATE deletion_requests SET regime = 'ccpa' WHERE id = 1")
        done = forget(engine, cutoffs(engine), periods=PERIODS, actor="kim")
        assert done == Forgotten(user_ids=1)
    assert retain(engine) == Forgotten(user_ids=1)


def test_two_at_once_do_each_row_once(engine: Engine) -> None:
    """The second has found its page, and finds it done when its turn comes."""
    insert(engine, closed(DAYS_31), closed(MONTHS_37))
    wanted = cutoffs(engine)
    looked: list[Connection] = []
    others: list[Forgotten] = []

    @event.listens_for(engine, "commit")
    def be_quicker(connection: Connection) -> None:
        if is_read_only(connection):
            looked.append(connection)
            if len(looked) == 2:  # the first look is for what the role may do
                others.append(forget(engine, wanted, periods=PERIODS, actor="kim"))

    mine = forget(engine, wanted, periods=PERIODS, actor="lea")
    event.remove(engine, "commit", be_quicker)
    assert (mine, others) == (Forgotten(), [Forgotten(user_ids=1, removed=1)])
    assert [body["actor"] for body in applied(engine)] == ["kim"]


def test_a_night_goes_on_while_closed_requests_are_removed(
    engine: Engine, sandbox: Sandbox
) -> None:
    insert(engine, *(closed(MONTHS_37) for _ in range(20)))
    insert(engine, *({"forge_user_id": generated_user(n).id} for n in range(12)))
    sandbox.script(Fault(kind=FaultKind.SLOW, delay_s=0.05, count=None))
    done: list[Forgotten] = []

    def progress(finished: int, _due: int) -> None:
        if finished and not done:
            done.append(forget(engine, cutoffs(engine), periods=PERIODS, actor="kim"))

    summary = night(engine, sandbox.url, progress=progress, order={"concurrency": 1})
    assert done == [Forgotten(removed=20)]
    assert summary.outcomes == {"erased": 12}
    with reading(engine) as connection:
        verify(connection)


def test_an_id_is_never_used_again(engine: Engine) -> None:
    ids = insert(engine, *(closed(MONTHS_37) for _ in range(3)))
    assert retain(engine) == Forgotten(removed=3)
    assert fetch(engine, "SELECT count(*) FROM deletion_requests") == [0]
    assert insert(engine, {"forge_user_id": ADA.id})[0] > max(ids)


def test_an_old_reference_is_free_when_its_request_was_removed(
    engine: Engine, sandbox: Sandbox
) -> None:
    """A repeat of an old import is a new request: for who is gone it ends at once."""
    new = NewRequest(user_id=ADA.id, reference="T-1")
    with writing(engine) as connection:
        first, _ = intake.add(connection, new, pattern=re.compile(FORGE_ID))
    night(engine, sandbox.url)
    shifted(engine, months=35)
    retain(engine)
    with writing(engine) as connection:
        assert intake.add(connection, new, pattern=re.compile(FORGE_ID)) == (first, False)
    shifted(engine, months=37)
    retain(engine)
    with writing(engine) as connection:
        second, is_new = intake.add(connection, new, pattern=re.compile(FORGE_ID))
    assert is_new
    assert second > first
    assert night(engine, sandbox.url).outcomes == {"already_absent": 1}


@pytest.fixture
def writer(engine: Engine) -> Iterator[Engine]:
    """The engine of a role that may do everything but remove rows."""
    if engine.dialect.name != "postgresql":
        pytest.skip("SQLite has no roles")
    role = f"writer_{engine.url.database}"
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {role}")
        connection.exec_driver_sql(
            f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {role}"
        )

    @event.listens_for(engine, "begin")
    def become(connection: Connection) -> None:
        connection.exec_driver_sql(f"SET LOCAL ROLE {role}")

    yield engine
    event.remove(engine, "begin", become)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP OWNED BY {role}")
        connection.exec_driver_sql(f"DROP ROLE {role}")


def test_who_may_not_remove_rows_is_told_before_anything_is_done(writer: Engine) -> None:
    insert(writer, closed(DAYS_31), closed(MONTHS_37))
    with pytest.raises(DatabaseError, match="the role that owns the tables"):
        forget(writer, cutoffs(writer), periods=PERIODS, actor="kim")
    assert preview(writer, cutoffs(writer)) == Forgotten(user_ids=1, removed=1)
    assert fetch(writer, "SELECT count(*) FROM deletion_requests WHERE forge_user_id = 'x'") == [0]
