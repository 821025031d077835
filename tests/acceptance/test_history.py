"""The history check finds each kind of wrong: what finds nothing would prove nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest
from history import Call, Committed, Event, History, Row, violations

FIRST, SECOND = "019d41c4-0000-7000-8000-000000000001", "019d41c4-0000-7000-8000-000000000002"


def event(transaction: int, name: str, run_id: str = FIRST, **changes: Any) -> Event:
    """An event of request 1, or of a run."""
    given: dict[str, Any] = {} if name.startswith("run.") else {"request_id": 1, "attempt": 1}
    return Event(transaction=transaction, event=name, run_id=run_id, **given | changes)


def call(below: int, **changes: Any) -> Call:
    """A DELETE of request 1's user, when the transactions before ``below`` were committed."""
    given = {"number": 1, "request_id": 1, "status": 200, "changed": True}
    return Call(**given | changes, committed=Committed(below=below))


ERASED: Final[dict[str, Any]] = {"outcome": "erased", "http_status": 200}
ABSENT: Final[dict[str, Any]] = {"outcome": "absent_after_attempt", "http_status": 404}
ANSWERED: Final[dict[str, Any]] = {"body": {"ended": "answered"}}
CRASHED: Final[dict[str, Any]] = {"body": {"ended": "crashed"}}
RECOVERED: Final[dict[str, Any]] = {"body": {"recovered": True}}

#: One run, one request, erased.
PLAIN: Final = History(
    asked=frozenset({1}),
    rows={1: Row(status="done", reason=None, attempts=1)},
    events=(
        event(1, "run.opened"),
        event(2, "request.admitted", attempt=None),
        event(3, "attempt.started"),
        event(4, "attempt.finished", **ERASED, **ANSWERED),
        event(4, "request.closed", **ERASED),
        event(5, "run.closed"),
    ),
    calls=(call(4),),
    still_there=frozenset(),
    ended={FIRST[-12:]: True},
    alone=True,
)
#: The first run is killed before it hears of its deletion; the second finds nobody.
REPAIRED: Final = History(
    asked=frozenset({1}),
    rows={1: Row(status="done", reason=None, attempts=2)},
    events=(
        event(1, "run.opened"),
        event(2, "request.admitted", attempt=None),
        event(3, "attempt.started"),
        event(4, "run.opened", SECOND),
        event(5, "attempt.finished", SECOND, **CRASHED),
        event(6, "run.closed", **RECOVERED),
        event(7, "attempt.started", SECOND, attempt=2),
        event(8, "attempt.finished", SECOND, attempt=2, **ABSENT, **ANSWERED),
        event(8, "request.closed", SECOND, attempt=2, **ABSENT),
        event(9, "run.closed", SECOND),
    ),
    calls=(call(4, status=None), call(8, number=2, status=404, changed=False)),
    still_there=frozenset(),
    ended={FIRST[-12:]: False, SECOND[-12:]: True},
    alone=True,
)


def without(history: History, *names: str) -> History:
    return replace(history, events=[one for one in history.events if one.event not in names])


def with_events(history: History, *events: Event) -> History:
    return replace(history, events=[*history.events, *events])


def changed(history: History, name: str, **changes: Any) -> History:
    """Return the history with the last event of a name changed."""
    at = max(n for n, one in enumerate(history.events) if one.event == name)
    events = list(history.events)
    events[at] = replace(events[at], **changes)
    return replace(history, events=events)


def with_row(status: str = "done", reason: str | None = None, attempts: int = 1) -> History:
    return replace(PLAIN, rows={1: Row(status=status, reason=reason, attempts=attempts)})


def with_calls(history: History, *calls: Call) -> History:
    return replace(history, calls=calls)


UNPROVED: Final = "is erased, which Forge's log does not bear out"
ABSENT_UNPROVED: Final = "is absent_after_attempt, which Forge's log does not bear out"

WRONGS: Final = {
    "a request is gone": (replace(PLAIN, rows={}), "is lost"),
    "a request comes from nowhere": (replace(PLAIN, asked=frozenset()), "nobody asked for it"),
    "a request stays claimed": (with_row("running"), "ends running"),
    "a request is never tried": (with_row("pending"), "ends pending"),
    "a request needs a person for another reason": (
        with_row("review", "rejected"),
        "ends review (rejected)",
    ),
    "a request goes to a person too early": (
        with_row("review", "crashed_repeatedly"),
        "is in review after 0 crashes",
    ),
    "a request is never admitted": (without(PLAIN, "request.admitted"), "is admitted 0 times"),
    "a request is admitted twice": (
        with_events(PLAIN, event(2, "request.admitted")),
        "is admitted 2 times",
    ),
    "a request is done and not closed": (
        without(PLAIN, "request.closed"),
        "is done and closed 0 times",
    ),
    "a request is closed twice": (
        with_events(PLAIN, event(6, "request.closed", **ERASED)),
        "is done and closed 2 times",
    ),
    "a request is closed while it is not done": (
        with_row("review", "crashed_repeatedly"),
        "is review and closed 1 times",
    ),
    "a request is closed by a run that did not end it": (
        changed(PLAIN, "request.closed", run_id=SECOND),
        "is closed without the end of an attempt",
    ),
    "a closing says something else than the end": (
        changed(PLAIN, "request.closed", outcome="absent_after_attempt"),
        "is closed without the end of an attempt",
    ),
    "a late answer closes a request": (
        changed(PLAIN, "attempt.finished", body={"ended": "answered", "late": True}),
        "is closed without the end of an attempt",
    ),
    "an attempt never ends": (without(PLAIN, "attempt.finished"), "1 starts and 0 ends"),
    "an attempt ends twice": (
        with_events(PLAIN, event(6, "attempt.finished", SECOND, **CRASHED)),
        "1 starts and 2 ends",
    ),
    "an attempt is ended by a run that did not start it": (
        changed(PLAIN, "attempt.finished", run_id=SECOND),
        "a run ends an attempt that it did not start",
    ),
    "an attempt is forgotten by the row": (with_row(attempts=0), "has 0 attempts, the record 1"),
    "an answer is late while nobody else is alive": (
        with_events(PLAIN, event(6, "attempt.finished", body={"ended": "answered", "late": True})),
        "an end is late although no other run was alive",
    ),
    "a call arrives before its intent is committed": (
        with_calls(PLAIN, call(3)),
        "arrived after 0 committed intents",
    ),
    "a call arrives without an intent": (
        without(PLAIN, "attempt.started"),
        "arrived after 0 committed intents",
    ),
    "a call is about somebody whom nobody asked for": (
        with_calls(PLAIN, call(4), call(4, request_id=None)),
        "(request None): arrived after 0 committed intents",
    ),
    "a call arrives after the attempt is over": (
        with_calls(PLAIN, call(4), call(5, number=2, status=404, changed=False)),
        "arrived after 1 committed intents and 1 ends",
    ),
    "a second night calls before its intent is committed": (
        with_calls(REPAIRED, REPAIRED.calls[0], call(7, status=404, changed=False)),
        "arrived after 1 committed intents and 1 ends",
    ),
    "an erasure without a call": (with_calls(PLAIN), UNPROVED),
    "an erasure whose answer was never sent": (with_calls(PLAIN, call(4, status=None)), UNPROVED),
    "an erasure that Forge has refused": (with_calls(PLAIN, call(4, status=503)), UNPROVED),
    "an erasure that changed nothing": (with_calls(PLAIN, call(4, changed=False)), UNPROVED),
    "an erasure that is recorded before it happens": (with_calls(PLAIN, call(5)), UNPROVED),
    "an erasure with another status than was sent": (
        with_calls(PLAIN, call(4, status=204)),
        UNPROVED,
    ),
    "an absence after an attempt without an attempt that deleted": (
        with_calls(REPAIRED, replace(REPAIRED.calls[0], changed=False), REPAIRED.calls[1]),
        ABSENT_UNPROVED,
    ),
    "an absence without a 404": (with_calls(REPAIRED, REPAIRED.calls[0]), ABSENT_UNPROVED),
    "an absence that is called none of our doing": (
        changed(REPAIRED, "request.closed", outcome="already_absent"),
        "is already_absent, which Forge's log does not bear out",
    ),
    "a user who is done is still there": (
        replace(PLAIN, still_there=frozenset({1})),
        "is done, but its user is still at Forge",
    ),
    "a user disappears by itself": (with_calls(PLAIN), "its user is gone, but no call deleted it"),
    "a run is never closed": (without(PLAIN, "run.closed"), "{'run.opened': 1}"),
    "a run is closed twice": (
        with_events(PLAIN, event(6, "run.closed")),
        "{'run.opened': 1, 'run.closed': 2}",
    ),
    "a run that ended well is closed as crashed": (
        changed(PLAIN, "run.closed", **RECOVERED),
        "ended well, but did not close itself",
    ),
}


@pytest.mark.parametrize("history", [PLAIN, REPAIRED], ids=["one run", "a crash and its repair"])
def test_nothing_is_wrong_where_nothing_is(history: History) -> None:
    assert violations(history) == []


@pytest.mark.parametrize(("history", "problem"), WRONGS.values(), ids=WRONGS.keys())
def test_it_is_found_when(history: History, problem: str) -> None:
    assert any(problem in found for found in violations(history)), violations(history)


def test_a_run_that_overlaps_with_its_repair_may_still_call() -> None:
    slow = call(6, number=3, status=404, changed=False)
    overlapping = with_calls(REPAIRED, *REPAIRED.calls, slow)
    assert violations(replace(overlapping, alone=False)) == []
    assert violations(overlapping) != []


@pytest.mark.parametrize(
    ("transaction", "committed"), [(3, True), (5, False), (7, True), (8, False), (9, False)]
)
def test_a_snapshot_leaves_out_what_was_running(transaction: int, *, committed: bool) -> None:
    assert (transaction in Committed(below=8, but=frozenset({5}))) is committed
