"""A record of three quarters, as nights and people write one: the same each time."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from forge_gdpr.audit.checkpoints import sign, tree_of
from forge_gdpr.audit.events import Ended, Entry, EventName
from forge_gdpr.audit.record import append, append_main
from forge_gdpr.chain import Head, written_time
from forge_gdpr.checkpoints import signing_key
from forge_gdpr.database.engine import writing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date

    from sqlalchemy import Connection, Engine

    from forge_gdpr.chain import Json

KEY: Final = signing_key("example.org/forge-gdpr", bytes(range(32)))
FIRST: Final = datetime(2026, 3, 1, 2, 30, tzinfo=UTC)
NIGHTS: Final = 240
TODAY: Final = (FIRST + timedelta(days=NIGHTS)).date()
_WEEKDAY: Final = (4, 14)  #: so many requests come
_WEEKEND: Final = (0, 3)
_SATURDAY: Final = 5
_STOPPED: Final[Mapping[int, Mapping[str, Json]]] = {
    17: {"stopped": "guard"},
    90: {"stopped": "unreachable", "exit_code": 5, "claimed": 3, "outcomes": {}},
    91: {"stopped": "unreachable", "exit_code": 5, "claimed": 1, "outcomes": {}},
    150: {"stopped": "signal", "exit_code": 143, "claimed": 4, "outcomes": {"given_back": 4}},
}
_CRASHED: Final = 120
_OVERRIDDEN: Final = {18: ("max_due", 61, 80, "backlog"), 200: ("spike_factor", 44, 50, "campaign")}


class _Request:
    """One request, and what is going to become of it."""

    def __init__(self, number: int, received_at: datetime, chance: random.Random) -> None:
        self.number = number
        self.subject = f"v1:0011aabb:{number:064x}"
        self.due_on = (received_at + timedelta(days=30)).date()
        self.facts: dict[str, Json] = {
            "reference": f"T-{number}",
            "regime": chance.choice(["gdpr", "gdpr", "ccpa"]),
            "received_at": written_time(received_at),
        }
        wait_days = min(60, int(chance.expovariate(1 / 6)))
        self.closes_on = (received_at + timedelta(days=1 + wait_days)).date()
        self.end = chance.choices(
            ["erased", "already_absent", "not_found_by_email", "refused", "cancelled", "open"],
            [820, 60, 40, 20, 30, 12],
        )[0]
        self.state = chance.choice(["pending", "review", "held"]) if self.end == "open" else ""

    @property
    def by_people(self) -> bool:
        return self.end in {"refused", "cancelled"}

    def told(
        self, event: EventName, details: Mapping[str, Json], outcome: str | None = None
    ) -> Entry:
        return Entry(
            event=event,
            request_id=self.number,
            subject=self.subject,
            outcome=outcome,
            details=details,
        )

    def admitted(self) -> Entry:
        due: dict[str, Json] = {"status": "pending", "due_on": self.due_on.isoformat()}
        return self.told(EventName.REQUEST_ADMITTED, self.facts | due)

    def sent_to_review(self) -> Entry:
        details = {"ended": Ended.ANSWERED.value, "status": self.state, "reason": "unexpected"}
        return self.told(EventName.ATTEMPT_FINISHED, details, "unexpected")

    def held(self) -> Entry:
        return self.told(EventName.REQUEST_HELD, {"reason": "dispute", "status": "held"})

    def closing(self, day: date) -> Entry:
        due: dict[str, Json] = {
            "due_on": self.due_on.isoformat(),
            "closed_on": day.isoformat(),
        }
        told = self.facts | due
        match self.end:
            case "refused":
                return self.told(EventName.REQUEST_REFUSED, told | {"reason": "expression"})
            case "cancelled":
                return self.told(EventName.REQUEST_CANCELLED, told | {"reason": "withdrawn"})
            case _:
                return self.told(EventName.REQUEST_CLOSED, told, self.end)


def write_quarters(engine: Engine) -> None:
    """Write 240 nights: failures, overrides, decisions; signed, and some requests still open."""
    chance = random.Random(4711)  # noqa: S311  # the same record each time, no secret
    waiting: list[_Request] = []
    number = 0
    with writing(engine) as connection:
        for night in range(NIGHTS):
            at = FIRST + timedelta(days=night)
            came = []
            for _ in range(chance.randint(*(_WEEKDAY if at.weekday() < _SATURDAY else _WEEKEND))):
                number += 1
                received_at = at - timedelta(minutes=chance.randint(1, 1440))
                came.append(_Request(number, received_at, chance))
            waiting += came
            closed: list[_Request] = []
            if night not in _STOPPED and night != _CRASHED:
                closed = [
                    one for one in waiting if one.end != "open" and one.closes_on <= at.date()
                ]
            waiting = [one for one in waiting if one not in closed]
            _write_night(connection, night, at, came, closed)
        sign(connection, KEY, actor="cron", at=FIRST + timedelta(days=NIGHTS))


def _write_night(
    connection: Connection,
    night: int,
    at: datetime,
    came: Sequence[_Request],
    closed: Sequence[_Request],
) -> None:
    run_id = f"019a0000-0000-7000-8000-{night:012d}"
    opened = Entry(
        event=EventName.RUN_OPENED, run_id=run_id, actor="cron", details={"version": "0.1.0"}
    )
    append_main(connection, [opened, *_overrides(night, run_id)], at=at)
    entries = [one.admitted() for one in came]
    entries += [one.sent_to_review() for one in came if one.state == "review"]
    entries += [one.closing(at.date()) for one in closed if not one.by_people]
    head = append(
        connection,
        Head(chain=run_id),
        [replace(one, run_id=run_id) for one in entries],
        at=at + timedelta(seconds=20),
    )
    done: dict[str, Json] = {
        "exit_code": 0,
        "claimed": len(closed),
        "outcomes": {"erased": sum(one.end == "erased" for one in closed)},
    }
    if night in _STOPPED:
        done = dict(_STOPPED[night])
    elif night == _CRASHED:
        done = {"recovered": True}
    root = tree_of(connection, run_id).root.hex()
    details = done | {"length": head.seq, "head": head.hash, "root": root}
    ended = Entry(event=EventName.RUN_CLOSED, run_id=run_id, actor="cron", details=details)
    decided = [one.closing(at.date()) for one in closed if one.by_people]
    decided += [one.held() for one in came if one.state == "held"]
    append_main(connection, [ended, *decided], at=at + timedelta(minutes=2 + len(closed) / 10))


def _overrides(night: int, run_id: str) -> Iterator[Entry]:
    if night in _OVERRIDDEN:
        guard, due, allowed, reason = _OVERRIDDEN[night]
        yield Entry(
            event=EventName.GUARD_OVERRIDDEN,
            run_id=run_id,
            actor="ada",
            details={"guard": guard, "due": due, "allowed": allowed, "reason": reason},
        )
