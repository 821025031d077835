"""A run's clock: the database's, read once, then carried on by a monotonic one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The time, for leases and for the record.

    The machine's wall clock plays no part, so its steps change nothing; several machines agree,
    for they all start from the database's.
    """

    opened_at: datetime  #: the database's clock at the opening, UTC
    started_s: float  #: `monotonic` at that moment
    monotonic: Callable[[], float]

    def elapsed_s(self) -> float:
        """Return the seconds since the opening."""
        return self.monotonic() - self.started_s

    def now(self) -> datetime:
        """Return the time, UTC."""
        return (self.opened_at + timedelta(seconds=self.elapsed_s())).astimezone(UTC)
