"""When a failed call is tried again. Decides only: it neither sleeps nor draws numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Final

#: Attempts that failed tonight are tried again after this, doubled each time, up to the cap.
#: The cap is under a day, so a nightly job never skips a night for it.
FIRST_DEFERRAL: Final = timedelta(minutes=15)
LONGEST_DEFERRAL: Final = timedelta(hours=12)
#: Forge may ask for longer than our cap, but no header puts a request off beyond its deadline.
LONGEST_WISH_S: Final = 24 * 3600.0

_DELTA_SECONDS: Final = re.compile(r"[0-9]+", re.ASCII)
_IMF_FIXDATE: Final = "%a, %d %b %Y %H:%M:%S GMT"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often, and how patiently, one attempt calls Forge. All times are in seconds."""

    tries: int = 4
    least_wait_s: float = 0.5
    most_wait_s: float = 30.0
    longest_retry_after_s: float = 60.0

    def next_wait_s(
        self, tried: int, *, draw: float, retry_after_s: float | None = None
    ) -> float | None:
        """Return how long to wait after failed try number ``tried``, or None to give up.

        Args:
            tried: how many tries have failed; at least 1.
            draw: where to land between the least wait and this try's backoff, from 0.0 to 1.0
                (full jitter, so that a pool of workers does not come back as one).
            retry_after_s: the server's Retry-After, None if it sent none. Waiting less than it
                asks would be rude, and more than ``longest_retry_after_s`` would stall the
                night, so a longer wish means: not tonight.
        """
        if tried >= self.tries:
            return None
        if retry_after_s is not None and retry_after_s > self.longest_retry_after_s:
            return None
        backoff_s = min(self.most_wait_s, self.least_wait_s * 2.0**tried)
        wait_s = self.least_wait_s + draw * (backoff_s - self.least_wait_s)
        return max(wait_s, retry_after_s or 0.0)


def retry_after_s(value: str | None, *, now: datetime) -> float | None:
    """Return how many seconds a Retry-After header asks for, None if it says nothing readable.

    Args:
        value: the header, in either form: seconds, or an HTTP date.
        now: the moment the answer was made; best its own Date header, so that a wrong clock
            here changes nothing.

    Source: RFC 9110 §10.2.3 and §5.6.7. Read strictly: ``float()`` would take ``nan``,
    ``-5`` and ``1e9``.
    """
    if value is None:
        return None
    if _DELTA_SECONDS.fullmatch(value):
        return float(value[:400])  # a longer number is not of this world; 400 digits are inf
    date = http_date(value)
    return None if date is None else max(0.0, (date - now).total_seconds())


def http_date(value: str | None) -> datetime | None:
    """Return an HTTP date (RFC 9110 §5.6.7, the preferred form) as UTC, None if it isn't one."""
    if value is None:
        return None
    try:
        date = datetime.strptime(value, _IMF_FIXDATE).replace(tzinfo=UTC)
    except ValueError:
        return None
    # strptime is lenient: a wrong weekday, one digit, any case. What is written back is not.
    return date if format_datetime(date, usegmt=True) == value else None


def next_attempt_at(
    *, attempts: int, now: datetime, retry_after_s: float | None = None
) -> datetime:
    """Return when a request is looked at again after its ``attempts``-th failed attempt.

    Args:
        attempts: attempts made so far, this one included; at least 1.
        now: the moment of the failure, UTC.
        retry_after_s: what Forge asked for, if it did; the longer of the two is kept, up to a
            day.
    """
    doublings = min(attempts - 1, 10)  # far beyond the cap; keeps the product small
    wait = min(LONGEST_DEFERRAL, FIRST_DEFERRAL * 2.0**doublings)
    return now + max(wait, timedelta(seconds=min(retry_after_s or 0.0, LONGEST_WISH_S)))
