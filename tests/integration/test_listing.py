"""The queue as people see it: the same order on both databases, whole or cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from world import insert

from forge_gdpr.audit.events import Entry, EventName
from forge_gdpr.audit.record import append_main
from forge_gdpr.database.engine import now, reading, writing
from forge_gdpr.queue.listing import SortedBy, Wanted, count, listed, one

if TYPE_CHECKING:
    from sqlalchemy import Engine

#: Their ids are 1 to 6. Two have no deadline; 2 and 4 differ in nothing that is sorted by.
ROWS: Final[list[dict[str, object]]] = [
    {"due_on": "2026-05-01", "received_at": "2026-01-03 00:00:00", "status": "review"},
    {"due_on": "2026-04-01", "received_at": "2026-01-01 00:00:00", "attempts": 2},
    {"received_at": "2026-01-04 00:00:00"},
    {"due_on": "2026-04-01", "received_at": "2026-01-01 00:00:00", "attempts": 2},
    {"received_at": "2026-01-02 00:00:00", "status": "held", "attempts": 7},
    {"due_on": "2026-03-01", "received_at": "2026-01-05 00:00:00", "status": "held"},
]


@pytest.mark.parametrize(
    ("by", "forwards", "backwards"),
    [
        (SortedBy.DUE, [6, 2, 4, 1, 3, 5], [1, 4, 2, 6, 5, 3]),
        (SortedBy.RECEIVED, [2, 4, 5, 1, 3, 6], [6, 3, 1, 5, 4, 2]),
        (SortedBy.ID, [1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1]),
        (SortedBy.ATTEMPTS, [1, 3, 6, 2, 4, 5], [5, 4, 2, 6, 3, 1]),
        (SortedBy.STATUS, [6, 5, 2, 4, 3, 1], [1, 4, 2, 3, 6, 5]),
    ],
)
def test_an_order_is_the_same_on_both_databases_and_complete(
    engine: Engine, by: SortedBy, forwards: list[int], backwards: list[int]
) -> None:
    insert(engine, *({"forge_user_id": f"u{n}"} | row for n, row in enumerate(ROWS)))
    with reading(engine) as connection:
        assert [request.id for request in listed(connection, by=by)] == forwards
        assert [request.id for request in listed(connection, by=by, backwards=True)] == backwards
        assert [request.id for request in listed(connection, by=by, most=2)] == forwards[:2]


def test_the_newest_closing_of_what_is_done_says_its_outcome(engine: Engine) -> None:
    insert(
        engine,
        {"forge_user_id": "u1", "status": "done"},
        {"forge_user_id": "u2", "status": "done"},
        {"forge_user_id": "u3"},  # its id was given out before, as after a restore
    )
    with writing(engine) as connection:
        closings = [(1, "erased"), (3, "erased"), (1, "already_absent")]
        entries = [
            Entry(event=EventName.REQUEST_CLOSED, request_id=number, outcome=outcome)
            for number, outcome in closings
        ]
        append_main(connection, entries, at=now(connection))
    with reading(engine) as connection:
        outcomes = [request.outcome for request in listed(connection, by=SortedBy.ID)]
        single = one(connection, 1)
    assert outcomes == ["already_absent", None, None]
    assert single is not None
    assert single.as_json()["outcome"] == "already_absent"


def test_those_that_are_wanted_are_counted(engine: Engine) -> None:
    insert(engine, *({"forge_user_id": f"u{n}"} | row for n, row in enumerate(ROWS)))
    with reading(engine) as connection:
        assert count(connection, Wanted()) == 6
        assert count(connection, Wanted(status="held")) == 2
        assert count(connection, Wanted(reference="T-1")) == 0
