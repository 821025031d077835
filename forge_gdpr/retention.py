"""How long a closed request keeps what it knows. Decides only; does no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from dateutil.relativedelta import relativedelta

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Periods:
    """What is kept for how long after a request was closed."""

    ids_days: int  #: who it was about
    requests_months: int  #: the row; calendar months

    def cutoffs(self, now: datetime) -> Cutoffs:
        """Return the moments before which a request must have been closed.

        A month ends on the same day number, or on the shorter month's last day. Counted back
        from now, not on from the closing, so that one bound holds for all rows: nothing goes
        before its months are over, and in the days after a short month it stays up to three
        days longer.

        Args:
            now: the database's clock; 1970 at the earliest.
        """
        return Cutoffs(
            now=now,
            ids_before=now - timedelta(days=self.ids_days),
            requests_before=now - relativedelta(months=self.requests_months),
        )

    def as_json(self) -> dict[str, int]:
        """Return the periods for the record."""
        return {
            "retain_ids_days": self.ids_days,
            "retain_requests_months": self.requests_months,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Cutoffs:
    """What was closed earlier than this has been kept for long enough."""

    now: datetime  #: as of which
    ids_before: datetime
    requests_before: datetime
