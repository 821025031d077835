"""The legal clock: by when a request must be answered. Decides only; does no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from dateutil.relativedelta import relativedelta

if TYPE_CHECKING:
    from collections.abc import Container


class Regime(StrEnum):
    """The law a request is made under."""

    GDPR = "gdpr"
    UK_GDPR = "uk_gdpr"
    CCPA = "ccpa"


CCPA_DAYS: Final = 45
CCPA_DAYS_EXTENDED: Final = 90
GDPR_MONTHS: Final = 1
GDPR_MONTHS_EXTENDED: Final = 3
#: As many days as the shortest month has: whoever is done by then is in time under every regime.
ALARM_DAYS: Final = 28
#: Later moments count as this day: a careless `9999-12-31` must not stop a night.
_LATEST: Final = date(9990, 1, 1)
_SATURDAY: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class LegalClock:
    """Counts legal days as one controller does.

    An unknown regime gets the earliest date that any of them gives: a month is always less than
    45 days, but three months can be 92, which is more than CCPA's 90.
    """

    zone: tzinfo = UTC
    #: Public holidays; with them a date that is no working day moves to the next one
    #: (Reg. 1182/71 Art. 3(4); in the UK by the ICO's guidance). None: no date is moved.
    holidays: Container[date] | None = field(default=None, repr=False)

    def day_of(self, moment: datetime) -> date:
        """Return the controller's day at an aware moment."""
        return moment.astimezone(self.zone).date()

    def due_on(self, regime: str, received_at: datetime) -> date:
        """Return the last day on which a request may be answered.

        GDPR and UK GDPR: one month from receipt, on the same day number, or on the month's last
        day if it is shorter (GDPR Art. 12(3), Reg. 1182/71 Art. 3(2)(c)). CCPA: 45 calendar days
        (Cal. Code Regs. tit. 11, §7021(b)).

        Args:
            regime: a value of Regime, or whatever the application wrote.
            received_at: when the person's request arrived, aware.
        """
        return self._due_on(regime, received_at, months=GDPR_MONTHS, days=CCPA_DAYS)

    def extended_to(self, regime: str, received_at: datetime) -> date:
        """Return the last day after the one extension that the law allows.

        Counted from receipt, not from the first date: 31 January gives 30 April, not 28.
        GDPR: two further months (Art. 12(3)). CCPA: 90 calendar days in all (§7021(b)).
        """
        return self._due_on(
            regime, received_at, months=GDPR_MONTHS_EXTENDED, days=CCPA_DAYS_EXTENDED
        )

    def alarm_on(self, due: date, received_at: datetime) -> date:
        """Return when somebody must know: on the legal date, or after 28 days if that is earlier.

        Not for an extended request: its own date is the only one.
        """
        return min(due, self._received_on(received_at) + timedelta(days=ALARM_DAYS))

    def _received_on(self, received_at: datetime) -> date:
        try:
            return min(self.day_of(received_at), _LATEST)
        except OverflowError:  # the calendar's first and last hours have no day in every zone
            return date.min if received_at.year == date.min.year else _LATEST

    def _due_on(self, regime: str, received_at: datetime, *, months: int, days: int) -> date:
        received_on = self._received_on(received_at)
        by_days = received_on + timedelta(days=days)
        by_months = self._working_day(received_on + relativedelta(months=months))
        match regime:
            case Regime.CCPA:
                return by_days
            case Regime.GDPR | Regime.UK_GDPR:
                return by_months
            case _:
                return min(by_months, by_days)

    def _working_day(self, day: date) -> date:
        if self.holidays is None:
            return day
        while day.weekday() >= _SATURDAY or day in self.holidays:
            day += timedelta(days=1)
        return day
