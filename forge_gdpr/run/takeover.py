"""Other runs that hold requests: do they live, or are they waited for and taken over?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import exists, select

from forge_gdpr.database.tables import deletion_requests, runs
from forge_gdpr.lifecycle import Status
from forge_gdpr.queue.cells import readable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """What a run waits for before it begins: leases that nobody may renew any more.

    A run that crashed leaves its requests under its lease. Who begins before the lease is over
    sees nobody due, and all of them wait for the next night.
    """

    leases: Mapping[str, datetime]  #: by run, as they were at first
    latest: datetime  #: no longer than this

    @classmethod
    def begun(cls, leases: Mapping[str, datetime], *, now: datetime, lease_s: float) -> Wait:
        """Return the wait for ``leases``, for as long as this run's own lease at the most."""
        return cls(leases=leases, latest=now + timedelta(seconds=lease_s))

    def ends_at(self, leases: Mapping[str, datetime], *, now: datetime) -> datetime | None:
        """Return until when there is something to wait for; None if there is nothing more.

        A run that has renewed its lease lives, and one that holds nothing leaves nothing behind.

        Args:
            leases: by run, as they are now.
            now: the database's clock.
        """
        silent = [at for run_id, at in self.leases.items() if leases.get(run_id) == at]
        end = min(max(silent, default=now), self.latest)
        return end if end > now else None


def held_leases(connection: Connection, *, besides: str) -> dict[str, datetime]:
    """Return the runs that hold requests, with the end of each one's lease.

    Args:
        connection: in any transaction.
        besides: the run that asks.
    """
    held = exists().where(
        deletion_requests.c.claimed_by == runs.c.id, deletion_requests.c.status == Status.RUNNING
    )
    rows = connection.execute(
        select(runs.c.id, runs.c.lease_expires_at).where(
            runs.c.id != besides,
            runs.c.closed_at.is_(None),
            readable(runs.c.lease_expires_at),  # else it is over: see `opening.repair`
            held,
        )
    ).all()
    return {row.id: row.lease_expires_at for row in rows}
