"""The figures' course: over time, by days to close, by days left. From the record alone, too.

A value of its own beside `Figures`, since ``report`` and ``report --output json`` do without it:
they stay as quick as they were, and what monitors read keeps its shape. Where both are wanted, they
are counted in one reading of the events.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from forge_gdpr.lifecycle import Status
from forge_gdpr.reports.calendar import Unit, span, unit_of
from forge_gdpr.reports.cohort import CAME, TENTHS, TOOK, WENT, followed, unclosed
from forge_gdpr.reports.figures import Figures, counted, is_overdue
from forge_gdpr.reports.nights import Nights, nights

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, Row

#: Days to close: the first whole day of each band. 28 is the alarm, 30 or 31 GDPR's month, 45 and
#: 90 CCPA's days, 92 the longest extension.
_TOOK_FROM: Final = (0, 1, 2, 3, 7, 14, 21, 28, 32, 46, 93)
#: Days left to the deadline: the first day of each band.
_LEFT_FROM: Final = (0, 8, 15, 22, 29)
LATE: Final = "late"
NO_DEADLINE: Final = "no deadline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Requests that came and went in one day, week, month or year."""

    label: str  #: as ISO 8601 writes it: 2026-03-01, 2026-W09, 2026-03, 2026
    received: int
    closed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """Closed requests that took so many days."""

    label: str
    on_time: int
    late: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Punctual:
    """The requests received in a month (or a year, of very long periods) whose time is over.

    What is overdue counts: a share of the closed alone would look the better the more is left.
    """

    label: str
    on_time: int
    late: int
    overdue: int  #: not closed and past the due date

    @property
    def share(self) -> float | None:
        """Which share of them was closed on time, from 0 to 1; None if there is none."""
        judged = self.on_time + self.late + self.overdue
        return self.on_time / judged if judged else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """Requests that are not closed and have so many days left."""

    label: str
    open: int
    review: int
    held: int

    @property
    def requests(self) -> int:
        """All of them."""
        return self.open + self.review + self.held


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """How the requests received in a period came and went, and the nights of that period."""

    unit: Unit
    flow: Sequence[Flow]
    took: Sequence[Took]
    punctual: Sequence[Punctual]
    left: Sequence[Left]
    nights: Nights


def followed_figures(
    connection: Connection, *, since: date, until: date, today: date
) -> tuple[Figures, Series]:
    """Return the figures and their course; arguments are those of `figures.figures`."""
    parts: dict[str, list[Row[Any]]] = {TOOK: [], CAME: [], WENT: []}
    for row in connection.execute(followed(since, until)):
        parts[row.part].append(row)
    waiting = connection.execute(unclosed(since, until)).all()
    unit, flow = flow_of(_by_day(parts[CAME]), _by_day(parts[WENT]), since, min(until, today))
    return (
        counted(connection, parts[TOOK], waiting, since=since, until=until, today=today),
        Series(
            unit=unit,
            flow=flow,
            took=_took(parts[TOOK]),
            punctual=_punctual(parts[CAME], waiting, today),
            left=_left(waiting, today),
            nights=nights(connection, since=since, until=until),
        ),
    )


def flow_of(
    came: Counter[date], went: Counter[date], since: date, until: date
) -> tuple[Unit, tuple[Flow, ...]]:
    """Return what came and went, by day if that is readable, else in longer units.

    Args:
        came: requests by day of receipt.
        went: requests by day of closing, which may lie outside the period.
        since: the first day to show, also if nothing happened.
        until: the last day to show.
    """
    days = {since, max(since, until)} | came.keys() | went.keys()
    unit = unit_of(min(days), max(days))
    if unit is Unit.YEAR:  # of centuries, only the years in which something happened
        days = came.keys() | went.keys()
    received, closed = _in(unit, came), _in(unit, went)
    return unit, tuple(
        Flow(label=label, received=received[label], closed=closed[label])
        for label in span(unit, days)
    )


def _in(unit: Unit, by_day: Counter[date]) -> Counter[str]:
    found: Counter[str] = Counter()
    for day, requests in by_day.items():
        found[unit.label(day)] += requests
    return found


def _by_day(groups: Iterable[Row[Any]]) -> Counter[date]:
    found: Counter[date] = Counter()
    for group in groups:
        if group.day is not None:
            found[date.fromisoformat(group.day)] += group.requests
    return found


def _took(groups: Iterable[Row[Any]]) -> tuple[Took, ...]:
    on_time, late = Counter[str](), Counter[str]()
    for group in groups:
        if group.outcome is not None:
            band = _band(max(0, group.tenths) // TENTHS, _TOOK_FROM)
            (on_time if group.on_time else late)[band] += group.requests
    return tuple(
        Took(label=label, on_time=on_time[label], late=late[label]) for label in _labels(_TOOK_FROM)
    )


def _punctual(
    came: Sequence[Row[Any]], waiting: Sequence[Row[Any]], today: date
) -> tuple[Punctual, ...]:
    days = {date.fromisoformat(group.day) for group in came}
    if not days:
        return ()
    unit = max(Unit.MONTH, unit_of(min(days), max(days)))
    on_time, late, overdue = Counter[str](), Counter[str](), Counter[str]()
    for group in came:
        if group.on_time is not None:
            label = unit.label(date.fromisoformat(group.day))
            (on_time if group.on_time else late)[label] += group.requests
    for group in waiting:
        if is_overdue(group.due_on, today):
            overdue[unit.label(date.fromisoformat(f"{group.month}-01"))] += group.requests
    return tuple(
        Punctual(label=label, on_time=on_time[label], late=late[label], overdue=overdue[label])
        for label in span(unit, days)
    )


def _left(waiting: Iterable[Row[Any]], today: date) -> tuple[Left, ...]:
    found: dict[str, Counter[str]] = {
        label: Counter() for label in (LATE, *_labels(_LEFT_FROM), NO_DEADLINE)
    }
    for group in waiting:
        if group.due_on is None:
            band = NO_DEADLINE
        else:
            days = (date.fromisoformat(group.due_on) - today).days
            band = LATE if days < 0 else _band(days, _LEFT_FROM)
        found[band][group.status] += group.requests
    return tuple(
        Left(
            label=label,
            open=counts["open"],
            review=counts[Status.REVIEW],
            held=counts[Status.HELD],
        )
        for label, counts in found.items()
        if label != NO_DEADLINE or counts
    )


def _band(days: int, starts: Sequence[int]) -> str:
    reached = sum(start <= days for start in starts)
    return _labels(starts)[reached - 1]


def _labels(starts: Sequence[int]) -> list[str]:
    """Name the bands in words: a spreadsheet would take ``8-14`` for the 14th of August."""
    lasts = [start - 1 for start in starts[1:]]
    names = [
        str(first) if first == last else f"{first} to {last}"
        for first, last in zip(starts, lasts, strict=False)
    ]
    return [*names, f"{starts[-1]} or more"]
