"""What must be true of the record and of Forge's own log, whatever was killed. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """Which transactions had been committed at one moment.

    Exact where clocks are not: PostgreSQL's snapshot; on SQLite, where transactions never
    overlap, the newest event's id.
    """

    below: int
    but: frozenset[int] = frozenset()

    def __contains__(self, transaction: int) -> bool:
        """Say whether a transaction (that was not rolled back) had been committed."""
        return transaction < self.below and transaction not in self.but


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A DELETE that arrived at Forge."""

    number: int
    request_id: int | None  #: whose user it was about
    status: int | None  #: of the answer; None if none was sent whole
    changed: bool  #: it deleted the user
    committed: Committed  #: at its arrival


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event of the record."""

    transaction: int  #: that recorded it
    event: str
    run_id: str | None = None
    request_id: int | None = None
    attempt: int | None = None
    outcome: str | None = None
    http_status: int | None = None
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def late(self) -> bool:
        """Whether it came after another run had taken the request over."""
        return bool(self.body.get("late"))

    @property
    def crashed(self) -> bool:
        """Whether another run wrote it in place of one that had died."""
        return self.body.get("ended") == "crashed"

    @property
    def own(self) -> tuple[str | None, int | None, int | None]:
        """The attempt it belongs to, if its own run wrote it."""
        return self.run_id, self.request_id, self.attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A request as the table has it in the end."""

    status: str
    reason: str | None
    attempts: int
    by_email: bool = False  #: named by an e-mail alone


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All that is known when the last run is over and no request is left to do.

    Every request names another user, who was at Forge and whom nobody else deletes.
    """

    asked: frozenset[int]  #: the requests that were inserted
    rows: Mapping[int, Row]
    events: Sequence[Event]  #: those of one chain in its order
    calls: Sequence[Call]
    still_there: frozenset[int]  #: requests whose user is at Forge
    ended: Mapping[str, bool]  #: by the end of the run's id: whether it ended by itself, and well
    alone: bool  #: no two runs lived at the same time


def violations(history: History) -> list[str]:
    """Return what is wrong, a line each."""
    known = _Known.of(history)
    return [problem for rule in RULES for problem in rule(history, known)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    events: Mapping[int, list[Event]]  #: by request
    calls: Mapping[int | None, list[Call]]  #: by request

    @classmethod
    def of(cls, history: History) -> _Known:
        events: defaultdict[int, list[Event]] = defaultdict(list)
        calls: defaultdict[int | None, list[Call]] = defaultdict(list)
        for event in history.events:
            if event.request_id is not None:
                events[event.request_id].append(event)
        for call in history.calls:
            calls[call.request_id].append(call)
        return cls(events=events, calls=calls)

    def of_request(self, request_id: int, name: str) -> list[Event]:
        return [event for event in self.events.get(request_id, ()) if event.event == name]


def no_request_is_lost(history: History, known: _Known) -> Iterator[str]:
    """Each is admitted once, and ends done, or with a person for three crashes."""
    for one in sorted(history.asked | history.rows.keys() | known.events.keys()):
        if one not in history.asked:
            yield f"request {one}: nobody asked for it"
            continue
        if one not in history.rows:
            yield f"request {one}: is lost"
            continue
        row = history.rows[one]
        if (row.status, row.reason) not in {("done", None), ("review", "crashed_repeatedly")}:
            yield f"request {one}: ends {row.status} ({row.reason})"
        crashes = sum(event.crashed for event in known.of_request(one, "attempt.finished"))
        if row.status == "review" and crashes != 3:
            yield f"request {one}: is in review after {crashes} crashes"
        admitted = len(known.of_request(one, "request.admitted"))
        if admitted != 1:
            yield f"request {one}: is admitted {admitted} times"


def each_is_closed_once(history: History, known: _Known) -> Iterator[str]:
    """A closing follows the end of an attempt of the same run, and only if the row is done."""
    for one, row in history.rows.items():
        closed = known.of_request(one, "request.closed")
        if len(closed) != (row.status == "done"):
            yield f"request {one}: is {row.status} and closed {len(closed)} times"
        ends = {
            (*event.own, event.outcome, event.http_status)
            for event in known.of_request(one, "attempt.finished")
            if not event.late and event.body.get("ended") == "answered"
        }
        for event in closed:
            if (*event.own, event.outcome, event.http_status) not in ends:
                yield f"request {one}: is closed without the end of an attempt that says so"


def each_attempt_ends_once(history: History, known: _Known) -> Iterator[str]:
    """A start, and one end: by its own run, or by another that says it crashed."""
    for one, row in history.rows.items():
        started = known.of_request(one, "attempt.started")
        finished = known.of_request(one, "attempt.finished")
        in_time = [event for event in finished if not event.late]
        if Counter(e.attempt for e in started) != Counter(e.attempt for e in in_time):
            yield f"request {one}: {len(started)} starts and {len(in_time)} ends do not pair"
        own = Counter(event.own for event in started)
        for event, count in Counter(e.own for e in finished if not e.crashed).items():
            if count > own[event]:
                yield f"request {one}: a run ends an attempt that it did not start"
        counted = sum(event.body.get("ended") != "given_back" for event in in_time)
        if row.attempts != counted:
            yield f"request {one}: has {row.attempts} attempts, the record {counted}"
        if history.alone and len(in_time) != len(finished):
            yield f"request {one}: an end is late although no other run was alive"


def no_call_without_intent(history: History, known: _Known) -> Iterator[str]:
    """When a DELETE arrived, an attempt at its user was committed, and not over.

    Where runs overlap, an attempt that was recorded as crashed may be that of a run that was
    only slow, or was killed with its call on the way: it still explains a call.
    """
    for call in history.calls:
        events = [] if call.request_id is None else known.events.get(call.request_id, [])
        seen = [event for event in events if event.transaction in call.committed]
        started = sum(event.event == "attempt.started" for event in seen)
        ended = sum(
            event.event == "attempt.finished"
            and not event.late
            and (history.alone or not event.crashed)
            for event in seen
        )
        if started <= ended:
            yield (
                f"call {call.number} (request {call.request_id}): arrived after {started} committed"
                f" intents and {ended} ends"
            )


def no_closing_without_an_answer(history: History, known: _Known) -> Iterator[str]:
    """What a closing says is what Forge did and sent, after that attempt's intent."""
    for one in history.rows:
        calls = known.calls.get(one, [])
        intents = {event.own: event for event in known.of_request(one, "attempt.started")}
        for closed in known.of_request(one, "request.closed"):
            intent = intents.get(closed.own)
            during = [
                call
                for call in calls
                if intent is not None
                and intent.transaction in call.committed
                and closed.transaction not in call.committed
            ]
            before = [call for call in calls if closed.transaction not in call.committed]
            match closed.outcome:
                case "erased":
                    proved = any(
                        _erases(call) and call.status == closed.http_status for call in during
                    )
                case "absent_after_attempt":
                    # Who is found by e-mail is looked for first: a 404 of that GET is no call here.
                    proved = any(call.changed for call in before) and (
                        (history.rows[one].by_email and not during)
                        or any(call.status == HTTPStatus.NOT_FOUND for call in during)
                    )
                case _:  # they were at Forge, so whoever deleted them, it was us
                    proved = False
            if not proved:
                yield f"request {one}: is {closed.outcome}, which Forge's log does not bear out"


def who_is_done_is_gone(history: History, known: _Known) -> Iterator[str]:
    """A done request's user is not at Forge, and one that is not was deleted by a call."""
    for one, row in history.rows.items():
        there = one in history.still_there
        if row.status == "done" and there:
            yield f"request {one}: is done, but its user is still at Forge"
        if not there and not any(call.changed for call in known.calls.get(one, [])):
            yield f"request {one}: its user is gone, but no call deleted it"


def each_run_is_closed_once(history: History, _known: _Known) -> Iterator[str]:
    """By itself if it ended well, else by another as recovered."""
    runs: defaultdict[str | None, Counter[str]] = defaultdict(Counter)
    recovered: set[str | None] = set()
    for event in history.events:
        if event.event in {"run.opened", "run.closed"}:
            runs[event.run_id][event.event] += 1
        if event.event == "run.closed" and event.body.get("recovered"):
            recovered.add(event.run_id)
    for run_id, counts in runs.items():
        if counts != {"run.opened": 1, "run.closed": 1}:
            yield f"run {run_id}: {dict(counts)}"
    closed_themselves = {str(run_id)[-12:] for run_id in runs.keys() - recovered}
    for tag, well in history.ended.items():
        if well and tag not in closed_themselves:
            yield f"run ...{tag}: ended well, but did not close itself"


def _erases(call: Call) -> bool:
    return call.changed and call.status is not None and 200 <= call.status < 300


#: All of it must hold.
RULES: Sequence[Callable[[History, _Known], Iterator[str]]] = (
    no_request_is_lost,
    each_is_closed_once,
    each_attempt_ends_once,
    no_call_without_intent,
    no_closing_without_an_answer,
    who_is_done_is_gone,
    each_run_is_closed_once,
)
