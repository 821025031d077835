"""Compliance figures over a period. They come from the record alone, and they must add up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select

from forge_gdpr.audit.checkpoints import newest
from forge_gdpr.audit.events import MAIN
from forge_gdpr.audit.record import head_of
from forge_gdpr.database.tables import deletion_requests
from forge_gdpr.lifecycle import CONSEQUENCES, FINAL, Event, Status
from forge_gdpr.outcomes import name_of
from forge_gdpr.reports.cohort import TENTHS, received, unclosed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from sqlalchemy import Connection, Row

    from forge_gdpr.chain import Head

#: How a request can be closed, in the order of the reports.
OUTCOMES: Final = (
    *(outcome.value for outcome, event in CONSEQUENCES.items() if event is Event.CLOSED),
    Status.CANCELLED.value,
    Status.REFUSED.value,
)

#: What the days to close mean; part of each report.
DAYS_RULE: Final = (
    "Days run from received to closed, over all closed requests; median and 95th percentile are by"
    " nearest rank, to 1 decimal."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """Days from received to closed, over all closed requests; None when nothing is closed.

    By nearest rank: the value of a request that exists, none in between. Rounded to 1 decimal.
    """

    median: float | None
    p95: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What became of the requests received in a period."""

    since: date
    until: date  #: the last day, which is included
    today: date
    received: int
    outcomes: Mapping[str, int]  #: closed, by outcome; all of OUTCOMES are there
    review: int
    held: int
    open: int  #: to be tried, or being tried
    on_time: int  #: closed on the due date or before
    late: int  #: closed after it
    overdue: int  #: not closed (open, held or in review) and past the due date
    days: Days
    unseen: int  #: no run has admitted them yet, whenever they came; in no other number
    head: Head  #: the main chain's end, at the time of the report
    checkpoint: str | None = None  #: the newest one, a signed note; None: the record is not signed

    @property
    def closed(self) -> int:
        """How many are done with, whatever the outcome."""
        return sum(self.outcomes.values())

    @property
    def reconciles(self) -> bool:
        """Whether the numbers add up by the rule.

        One statement counts received and closed, another one review, held and open: a request
        that is lost or counted twice between the two shows here.
        """
        waiting = self.review + self.held + self.open
        return (
            self.received == self.closed + waiting
            and self.closed == self.on_time + self.late
            and self.overdue <= waiting
        )

    @property
    def rule(self) -> str:
        """By which rule the numbers add up, with the numbers."""
        return (
            "Counted are the requests received in the period, each once, as the record says they"
            " stand now:"
            f" {self.received} received ="
            f" {self.closed} closed + {self.review} review + {self.held} held + {self.open} open;"
            f" {self.closed} closed = {self.on_time} on time + {self.late} late."
        )


def figures(connection: Connection, *, since: date, until: date, today: date) -> Figures:
    """Return the figures of the requests received from ``since`` to ``until``, both included.

    Args:
        connection: in a transaction on one snapshot (``database.engine.reading``), so that the
            numbers, which several statements count, are of one moment.
        since: the first day, UTC.
        until: the last day, UTC.
        today: requests that are not closed and were due before this day are overdue.
    """
    return counted(
        connection,
        connection.execute(received(since, until)),
        connection.execute(unclosed(since, until)),
        since=since,
        until=until,
        today=today,
    )


def counted(
    connection: Connection,
    came: Iterable[Row[Any]],
    waits: Iterable[Row[Any]],
    *,
    since: date,
    until: date,
    today: date,
) -> Figures:
    """Return the figures from groups that were counted already.

    Args:
        connection: as for `figures`; for what stands beside the groups.
        came: the groups of `cohort.received`.
        waits: the groups of `cohort.unclosed`.
        since: the first day, UTC.
        until: the last day, UTC.
        today: requests that are not closed and were due before this day are overdue.
    """
    total = 0
    outcomes = Counter(dict.fromkeys(OUTCOMES, 0))
    timely: Counter[int] = Counter()
    tenths: Counter[int] = Counter()
    for row in came:
        total += row.requests
        if row.outcome is not None:
            outcomes[row.outcome] += row.requests
            timely[row.on_time] += row.requests
            tenths[max(0, row.tenths)] += row.requests
    waiting: Counter[str] = Counter()
    overdue = 0
    for row in waits:
        waiting[row.status] += row.requests
        overdue += row.requests if is_overdue(row.due_on, today) else 0
    return Figures(
        since=since,
        until=until,
        today=today,
        received=total,
        outcomes=dict(outcomes),
        review=waiting["review"],
        held=waiting["held"],
        open=waiting["open"],
        on_time=timely[1],
        late=timely[0],
        overdue=overdue,
        days=Days(median=_nearest_rank(tenths, 50), p95=_nearest_rank(tenths, 95)),
        unseen=_unseen(connection),
        head=head_of(connection, MAIN),
        checkpoint=newest(connection),
    )


def became(figures: Figures) -> dict[str, int]:
    """Return how many requests were closed in which way, by what people call it."""
    named: Counter[str] = Counter()
    for outcome, requests in figures.outcomes.items():
        named[name_of(outcome)] += requests
    return dict(named)


def is_overdue(due_on: str | None, today: date) -> bool:
    """Say whether a written deadline, if there is one, was before ``today``."""
    return due_on is not None and due_on < today.isoformat()


def _nearest_rank(counted: Mapping[int, int], percent: int) -> float | None:
    """Return the value in days that ``percent`` of all do not exceed.

    Args:
        counted: how many requests took so many tenths of a day. Rounded values have the rank
            of the exact ones, so this is the exact percentile, rounded.
        percent: from 1 to 100.
    """
    rank = -(-sum(counted.values()) * percent // 100)
    seen = 0
    for tenths, requests in sorted(counted.items()):
        seen += requests
        if seen >= rank:
            return tenths / TENTHS
    return None


def _unseen(connection: Connection) -> int:
    rows = deletion_requests.c
    return connection.execute(
        select(func.count()).where(rows.subject.is_(None), rows.status.not_in(FINAL))
    ).scalar_one()
