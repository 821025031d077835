"""Figures over a period, on both databases, against the record that runs and people write."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from world import insert, night

from forge_gdpr.audit.events import Entry, EventName, body_of
from forge_gdpr.audit.record import append, append_main
from forge_gdpr.chain import Head, written_time
from forge_gdpr.database.engine import reading, writing
from forge_gdpr.lifecycle import Outcome
from forge_gdpr.reports.figures import OUTCOMES, Days, Figures, figures
from forge_gdpr.sandbox import Sandbox, generated_user

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection, Engine

    from forge_gdpr.chain import Json

RUN = "019d41c4-0d10-7cc3-98c4-dc0c0c07398f"
SINCE, UNTIL, TODAY = date(2026, 3, 1), date(2026, 3, 31), date(2026, 4, 15)
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
DUE_ON = date(2026, 4, 10)


@dataclass(frozen=True)
class Told:
    """An event and when it happened."""

    entry: Entry
    at: datetime


def told(
    event: str,
    at: datetime = NOON,
    *,
    request: int = 1,
    outcome: str | None = None,
    **details: Json,
) -> Told:
    entry = Entry(
        event=cast("EventName", event),  # some names belong to commands that are not there yet
        run_id=RUN,
        request_id=request,
        subject="v1:0011aabb:" + f"{request:064x}",
        outcome=outcome,
        details=details,
    )
    return Told(entry, at)


def admitted(
    received_at: datetime = NOON,
    *,
    due_on: date = DUE_ON,
    status: str = "pending",
    request: int = 1,
) -> Told:
    return told(
        "request.admitted",
        received_at,
        request=request,
        reference=f'T-{request} "late":true',
        regime="gdpr",
        received_at=written_time(received_at),
        due_on=due_on.isoformat(),
        status=status,
    )


def closed(
    at: datetime = NOON, *, outcome: str = "erased", due_on: date = DUE_ON, request: int = 1
) -> Told:
    """Return how a run (``request.closed``) or a person ends a request."""
    by_hand = outcome in {"cancelled", "refused"}
    return told(
        f"request.{outcome if by_hand else 'closed'}",
        at,
        request=request,
        outcome=None if by_hand else outcome,
        regime="gdpr",
        received_at=written_time(NOON),
        due_on=due_on.isoformat(),
    )


def finished(status: str, *, late: bool = False) -> Told:
    one = told("attempt.finished", outcome="transient", ended="answered", status=status)
    details = {**one.entry.details, "late": True} if late else one.entry.details
    return replace(one, entry=replace(one.entry, details=details))


def record(connection: Connection, history: Sequence[Told]) -> None:
    head = Head(chain=RUN)
    for one in history:
        head = append(connection, head, [one.entry], at=one.at)


def taken(connection: Connection, **changes: date) -> Figures:
    days = {"since": SINCE, "until": UNTIL, "today": TODAY} | changes
    return figures(connection, **days)


def figures_of(engine: Engine, *history: Told, **changes: date) -> Figures:
    with writing(engine) as connection:
        record(connection, history)
    with reading(engine) as connection:
        found = taken(connection, **changes)
    assert found.reconciles
    return found


@contextmanager
def undone(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that is rolled back: what is recorded could not be deleted."""
    with engine.connect() as connection, connection.begin() as transaction:
        yield connection
        transaction.rollback()


# What the figures must be, in plain Python over the bodies.


@dataclass
class Life:
    """A request as its events tell it."""

    received_on: str
    received_at: datetime
    due_on: str
    status: str = "open"
    outcome: str | None = None
    closed_at: datetime | None = None


def lives(history: Sequence[Told]) -> list[Life]:
    found: dict[int, Life] = {}
    for one in history:
        body: dict[str, Any] = dict(body_of(one.entry, chain=RUN, seq=1, at=one.at))
        name, request = body["event"], body["request_id"]
        if name == "request.admitted":
            received_at = datetime.fromisoformat(body["received_at"])
            first = Life(body["received_at"][:10], received_at, body["due_on"])
            life = found.setdefault(request, first)
            life.due_on = body["due_on"]
        life = found[request]
        if life.outcome is not None:
            continue
        if name == "request.extended":
            life.due_on = body["due_on"]
        elif name in {"request.closed", "request.cancelled", "request.refused"}:
            life.outcome = body.get("outcome", name.removeprefix("request."))
            life.closed_at = one.at
            life.due_on = body.get("due_on", life.due_on)
        elif name == "request.held":
            life.status = "held"
        elif name != "request.approved" and "late" not in body:
            life.status = body.get("status", "open")
    return list(found.values())


def recomputed(history: Sequence[Told]) -> dict[str, Any]:
    cohort = [
        one for one in lives(history) if SINCE <= date.fromisoformat(one.received_on) <= UNTIL
    ]
    done = [one for one in cohort if one.closed_at is not None]
    waiting = [one for one in cohort if one.closed_at is None]
    took = sorted(
        max(0, (whole_s(one.closed_at or NOON) - whole_s(one.received_at) + 4320) // 8640) / 10
        for one in done
    )
    timely = [one for one in done if str((one.closed_at or NOON).date()) <= one.due_on]
    states = Counter(one.status if one.status in {"review", "held"} else "open" for one in waiting)
    return {
        "received": len(cohort),
        "outcomes": dict.fromkeys(OUTCOMES, 0) | Counter(one.outcome for one in done),
        "review": states["review"],
        "held": states["held"],
        "open": states["open"],
        "on_time": len(timely),
        "late": len(done) - len(timely),
        "overdue": sum(one.due_on < str(TODAY) for one in waiting),
        "days": Days(
            median=took[ceil(len(took) * 0.5) - 1] if took else None,
            p95=took[ceil(round(len(took) * 0.95, 6)) - 1] if took else None,
        ),
    }


def whole_s(at: datetime) -> int:
    return int((at.replace(microsecond=0) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())


TIMES = st.datetimes(datetime(2026, 2, 26), datetime(2026, 4, 3)).map(  # noqa: DTZ001
    lambda naive: naive.replace(tzinfo=UTC)
)
DUE_DATES = st.dates(date(2026, 3, 25), date(2026, 5, 5))
MOVES = st.sampled_from(
    [
        told("attempt.started"),
        told("request.held"),
        told("request.released"),
        told("request.retried"),
        told("request.approved"),
        *(finished(status) for status in ("pending", "review")),
        *(finished(status, late=True) for status in ("pending", "review", "done")),
    ]
) | DUE_DATES.map(lambda due_on: told("request.extended", due_on=due_on.isoformat()))


@st.composite
def life_of_one(draw: st.DrawFn) -> list[Told]:
    """Draw a request's events: any moves, legal or not, then perhaps its end and a late answer."""
    received_at, due_on = draw(TIMES), draw(DUE_DATES)
    statuses = st.sampled_from(["pending", "pending", "review", "held"])
    events = [admitted(received_at, due_on=due_on, status=draw(statuses)), *draw(st.lists(MOVES))]
    if draw(st.integers(0, 9)) == 0:  # twice: the first one counts
        events.append(admitted(draw(TIMES), due_on=draw(DUE_DATES), status=draw(statuses)))
    if draw(st.booleans()):
        at = received_at + draw(st.timedeltas(timedelta(days=-2), timedelta(days=60)))
        events.append(closed(at, outcome=draw(st.sampled_from(OUTCOMES)), due_on=draw(DUE_DATES)))
        events += draw(st.sampled_from([[], [finished("review", late=True)]]))
    return events


@st.composite
def histories(draw: st.DrawFn) -> list[Told]:
    """Draw the record of some requests whose events lie between each other's."""
    waiting = [
        [replace(one, entry=replace(one.entry, request_id=number)) for one in life]
        for number, life in enumerate(draw(st.lists(life_of_one(), max_size=8)), start=1)
    ]
    order = draw(st.permutations([i for i, life in enumerate(waiting) for _ in life]))
    return [waiting[i].pop(0) for i in order]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(history=histories())
def test_the_figures_are_those_that_python_finds_in_the_bodies(
    engine: Engine, history: list[Told]
) -> None:
    with undone(engine) as connection:
        record(connection, history)
        found = taken(connection)
    assert {name: getattr(found, name) for name in recomputed([])} == recomputed(history)
    assert found.reconciles


def test_an_empty_record_reconciles(engine: Engine) -> None:
    assert figures_of(engine) == Figures(
        since=SINCE,
        until=UNTIL,
        today=TODAY,
        received=0,
        outcomes=dict.fromkeys(OUTCOMES, 0),
        review=0,
        held=0,
        open=0,
        on_time=0,
        late=0,
        overdue=0,
        days=Days(median=None, p95=None),
        unseen=0,
        head=Head(chain="main"),
    )


def test_every_outcome_that_closes_has_a_line_of_its_own(engine: Engine) -> None:
    history = [
        event
        for number, outcome in enumerate(OUTCOMES, start=1)
        for event in (admitted(request=number), closed(outcome=outcome, request=number))
    ]
    found = figures_of(engine, *history)
    assert found.outcomes == dict.fromkeys(OUTCOMES, 1)
    assert set(OUTCOMES) == {
        Outcome.ERASED,
        Outcome.ABSENT_AFTER_ATTEMPT,
        Outcome.ALREADY_ABSENT,
        Outcome.NOT_FOUND_BY_EMAIL,
        "cancelled",
        "refused",
    }


def test_both_days_of_the_period_are_included_to_the_microsecond(engine: Engine) -> None:
    start, end = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
    instant = timedelta(microseconds=1)
    times = (start - instant, start, end - instant, end)
    history = [admitted(at, request=number) for number, at in enumerate(times, start=1)]
    assert figures_of(engine, *history).received == 2
    with reading(engine) as connection:
        one_day = taken(connection, since=date(2026, 2, 28), until=date(2026, 2, 28))
        backwards = taken(connection, since=UNTIL, until=SINCE)
    assert (one_day.received, backwards.received) == (1, 0)


def test_days_are_utc_whatever_the_zone_of_the_session(engine: Engine) -> None:
    received_at = datetime(2026, 3, 31, 23, 59, tzinfo=UTC)
    closed_at = datetime(2026, 4, 10, 23, 59, tzinfo=UTC)
    found = figures_of(engine, admitted(received_at), closed(closed_at))
    assert (found.received, found.on_time, found.days.median) == (1, 1, 10.0)
    if engine.dialect.name == "postgresql":
        for zone in ("Pacific/Kiritimati", "America/Los_Angeles"):
            with reading(engine) as connection:
                connection.exec_driver_sql(f"SET LOCAL TIME ZONE '{zone}'")
                assert taken(connection) == found


@pytest.mark.parametrize(
    ("events", "state"),
    [
        pytest.param([admitted()], "open", id="admitted"),
        pytest.param([admitted(status="review")], "review", id="admitted for review"),
        pytest.param([admitted(status="held")], "held", id="admitted on hold"),
        pytest.param([told("request.held"), admitted(status="held")], "held", id="held before"),
        pytest.param([admitted(), told("attempt.started")], "open", id="running"),
        pytest.param([admitted(), finished("pending")], "open", id="to be tried later"),
        pytest.param([admitted(), finished("review")], "review", id="sent to review"),
        pytest.param(
            [admitted(), finished("review"), told("request.retried")], "open", id="retried"
        ),
        pytest.param(
            [admitted(), finished("review"), finished("done", late=True)],
            "review",
            id="a late answer moves nothing out of review",
        ),
        pytest.param(
            [admitted(), finished("review", late=True)],
            "open",
            id="a late answer moves nothing into review",
        ),
        pytest.param([admitted(), told("request.held")], "held", id="held"),
        pytest.param(
            [admitted(), told("request.held"), told("request.released")], "open", id="released"
        ),
        pytest.param(
            [admitted(status="review"), told("request.extended", due_on="2026-06-01")],
            "review",
            id="extended in review",
        ),
        pytest.param(
            [admitted(status="review"), told("request.approved")], "review", id="approved"
        ),
        pytest.param([admitted(), finished("review"), closed()], "closed", id="closed"),
        pytest.param(
            [admitted(), closed(), finished("review", late=True)],
            "closed",
            id="a late answer opens nothing again",
        ),
        pytest.param([closed(outcome="refused")], "closed", id="refused before any run saw it"),
    ],
)
def test_a_request_counts_where_the_record_says_it_stands(
    engine: Engine, events: list[Told], state: str
) -> None:
    found = figures_of(engine, *events)
    states = ("closed", "review", "held", "open")
    assert {name: getattr(found, name) for name in states} == dict.fromkeys(states, 0) | {state: 1}


@pytest.mark.parametrize(
    ("closed_at", "on_time"),
    [
        pytest.param(datetime(2026, 4, 10, 23, 59, 59, 999_999, tzinfo=UTC), 1, id="last moment"),
        pytest.param(datetime(2026, 4, 11, tzinfo=UTC), 0, id="next day"),
    ],
)
def test_closed_on_the_due_date_is_on_time(
    engine: Engine, closed_at: datetime, on_time: int
) -> None:
    found = figures_of(engine, admitted(), closed(closed_at))
    assert (found.on_time, found.late) == (on_time, 1 - on_time)


@pytest.mark.parametrize(
    ("events", "today", "overdue"),
    [
        pytest.param([], DUE_ON, 0, id="due today"),
        pytest.param([], DUE_ON + timedelta(days=1), 1, id="due yesterday"),
        pytest.param([finished("review")], TODAY, 1, id="in review"),
        pytest.param([told("request.extended", due_on="2026-06-10")], TODAY, 0, id="extended"),
        pytest.param([closed()], TODAY, 0, id="closed"),
    ],
)
def test_what_is_not_closed_is_overdue_after_its_due_date(
    engine: Engine, events: list[Told], today: date, overdue: int
) -> None:
    assert figures_of(engine, admitted(), *events, today=today).overdue == overdue


@pytest.mark.parametrize(
    ("hours", "days"),
    [
        pytest.param([24 * day for day in range(20, 0, -1)], Days(median=10, p95=19), id="twenty"),
        pytest.param([36], Days(median=1.5, p95=1.5), id="one"),
        pytest.param([24, 72], Days(median=1, p95=3), id="two"),
        pytest.param([1.19, 1.2], Days(median=0, p95=0.1), id="rounded half up"),
        pytest.param([-50], Days(median=0, p95=0), id="closed before it was received"),
    ],
)
def test_days_to_close_are_those_of_the_nearest_rank(
    engine: Engine, hours: list[float], days: Days
) -> None:
    history = [
        event
        for number, took in enumerate(hours, start=1)
        for event in (
            admitted(request=number),
            closed(NOON + timedelta(hours=took), request=number),
        )
    ]
    assert figures_of(engine, *history).days == days


def test_rows_that_change_change_no_figure(engine: Engine) -> None:
    """What no run has seen is counted apart, and only there."""
    statement = "INSERT INTO deletion_requests (forge_user_id, subject) VALUES ('u', {})"
    with writing(engine) as connection:
        for subject in ("'v1:a:b'", "'v1:a:c'", "NULL", "NULL"):
            connection.exec_driver_sql(statement.format(subject))
    before = figures_of(engine, admitted(request=1), closed(request=1), admitted(request=2))
    assert (before.received, before.closed, before.open, before.unseen) == (2, 1, 1, 2)
    with writing(engine) as connection:
        connection.exec_driver_sql(
            "UPDATE deletion_requests SET status = 'review', regime = 'ccpa', attempts = 9,"
            " received_at = '2020-01-01 00:00:00', due_on = '2020-02-01', reference = NULL"
        )
    with reading(engine) as connection:
        assert taken(connection) == before
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE deletion_requests SET status = 'cancelled'")
    with reading(engine) as connection:
        assert taken(connection) == replace(before, unseen=0)


def test_the_main_chains_end_says_which_record_it_was(engine: Engine) -> None:
    opened = Entry(event=EventName.RUN_OPENED, run_id=RUN)
    with writing(engine) as connection:
        head = append_main(connection, [opened, opened], at=NOON)
    assert figures_of(engine, admitted()).head == head
    assert head.seq == 2


def test_a_night_that_was_really_run_is_counted(engine: Engine, sandbox: Sandbox) -> None:
    insert(
        engine,
        {"forge_user_id": generated_user(0).id},
        {"forge_user_id": "0" * 24},
        {"email": "not@there.example"},
    )
    before = datetime.now(UTC).date()
    night(engine, sandbox.url)
    with reading(engine) as connection:
        found = taken(connection, since=before, until=before + timedelta(days=1), today=before)
    expected = {"erased": 1, "already_absent": 1, "not_found_by_email": 1}
    assert found.outcomes == dict.fromkeys(OUTCOMES, 0) | expected
    assert (found.received, found.on_time, found.unseen) == (3, 3, 0)
    assert found.days == Days(median=0.0, p95=0.0)
    assert found.reconciles
    assert found.head.seq == 2
