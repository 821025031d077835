"""The legal clock: by when a request must be answered. Decides only; does no I/O."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final


class Regime(StrEnum):
    """The law a request is made under."""

    GDPR = "gdpr"
    UK_GDPR = "uk_gdpr"
    CCPA = "ccpa"


CCPA_DAYS: Final = 45
#: Beyond it no date can be computed: a careless `9999-12-31` must not stop a night.
_LATEST: Final = date(9999, 1, 1)


def due_on(regime: str, received_at: datetime) -> date:
    """Return the last day on which a request may be answered.

    GDPR and UK GDPR: one month from receipt, on the same day number, or on the month's last
    day if it is shorter (GDPR Art. 12(3), Reg. 1182/71 Art. 3). CCPA: 45 calendar days
    (Cal. Code Regs. tit. 11, §7021). An unknown regime gets one month, the shorter of the two.

    Args:
        regime: a value of Regime, or whatever the application wrote.
        received_at: when the person's request arrived, aware.
    """
    received_on = min(received_at.astimezone(UTC).date(), _LATEST)
    if regime == Regime.CCPA:
        return received_on + timedelta(days=CCPA_DAYS)
    return _months_later(received_on, 1)


def _months_later(day: date, months: int) -> date:
    years, month = divmod(day.month - 1 + months, 12)
    year = day.year + years
    last = calendar.monthrange(year, month + 1)[1]
    return date(year, month + 1, min(day.day, last))
