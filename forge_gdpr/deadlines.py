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
#: Beyond it no date can be computed: a careless `9999-12-31` must not stop a night.
_LATEST: Final = date(9990, 1, 1)
_SATURDAY: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class LegalClock:
    """Counts legal days as one controller does.

    An unknown regime is counted as GDPR, the shortest of them.
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
        # Compared first: the last hours of the year 9999 have no day in an eastern zone.
        early_enough = received_at.astimezone(UTC).date() < _LATEST
        return self.day_of(received_at) if early_enough else _LATEST

    def _due_on(self, regime: str, received_at: datetime, *, months: int, days: int) -> date:
        received_on = self._received_on(received_at)
        if regime == Regime.CCPA:
            return received_on + timedelta(days=days)
        return self._working_day(received_on + relativedelta(months=months))

    def _working_day(self, day: date) -> date:
        if self.holidays is None:
            return day
        while day.weekday() >= _SATURDAY or day in self.holidays:
            day += timedelta(days=1)
        return day
