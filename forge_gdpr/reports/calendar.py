"""Days, ISO weeks, months and years, by the length of what is shown. Decides only; no I/O."""

from __future__ import annotations

from datetime import date, timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

#: A quarter is at most so many days: it is shown by day.
DAILY: Final = 92
#: Two years, a leap year among them, are shown by week.
WEEKLY: Final = 731
#: Forty years are shown by month. Longer is only who asks for "everything".
MONTHLY: Final = 14_610
_WEEK: Final = timedelta(days=7)
_DAY: Final = timedelta(days=1)


class Unit(IntEnum):
    """What a point in time is rounded to, from the shortest."""

    DAY = 0
    WEEK = 1
    MONTH = 2
    YEAR = 3

    @property
    def noun(self) -> str:
        """The word for it."""
        return "ISO week" if self is Unit.WEEK else self.name.lower()

    def label(self, day: date) -> str:
        """Return how ISO 8601 writes what ``day`` is in; labels of one unit sort as text."""
        match self:
            case Unit.DAY:
                return day.isoformat()
            case Unit.WEEK:
                year, week, _ = day.isocalendar()
                return f"{year:04}-W{week:02}"
            case Unit.MONTH:
                return day.isoformat()[: len("2026-01")]
            case Unit.YEAR:
                return day.isoformat()[: len("2026")]


def unit_of(first: date, last: date) -> Unit:
    """Return in which unit the days from ``first`` to ``last``, both included, are readable."""
    days = (last - first).days + 1
    if days <= DAILY:
        return Unit.DAY
    if days <= WEEKLY:
        return Unit.WEEK
    return Unit.MONTH if days <= MONTHLY else Unit.YEAR


def span(unit: Unit, days: Collection[date]) -> list[str]:
    """Return the labels from the first of ``days`` to the last.

    Those between them are there, too, but for years: somebody asks for the years 1 to 9999.
    """
    if not days:
        return []
    first, last = min(days), max(days)
    match unit:
        case Unit.DAY:
            return [unit.label(first + n * _DAY) for n in range((last - first).days + 1)]
        case Unit.WEEK:
            monday = first - first.weekday() * _DAY
            return [unit.label(monday + n * _WEEK) for n in range((last - monday).days // 7 + 1)]
        case Unit.MONTH:
            months = range(first.year * 12 + first.month - 1, last.year * 12 + last.month)
            return [f"{n // 12:04}-{n % 12 + 1:02}" for n in months]
        case Unit.YEAR:
            return sorted({unit.label(day) for day in days})
