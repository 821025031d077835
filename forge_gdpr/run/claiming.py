"""Claiming: from the queue to jobs for the workers, each with its intent on record."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from forge_gdpr.identity import Directory, Settled, Target, identify
from forge_gdpr.queue import claims
from forge_gdpr.run.recorder import Attempt, Recorder

if TYPE_CHECKING:
    from forge_gdpr.queue.claims import Claimed
    from forge_gdpr.run.opening import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One request that Forge may be called for."""

    claimed: Claimed
    user_id: str = field(repr=False)


class Claimer:
    """Claims a run's requests, a batch a transaction. Main thread only."""

    def __init__(
        self, recorder: Recorder, limits: Limits, *, batch: int, directory: Directory | None
    ) -> None:
        """Start at the front of the queue.

        Args:
            recorder: writes the intents.
            limits: which requests are due, and how many of them are taken.
            batch: at most so many are claimed at a time.
            directory: Forge's users; None: requests with an e-mail are left alone.
        """
        self._recorder = recorder
        self._limits = limits
        self._batch = batch
        self._directory = directory
        self._planned = None if limits.plan is None else list(limits.plan.ids)
        self.exhausted = False  #: nothing more is claimed

    def claim(self, most: int | None = None) -> list[Job]:
        """Claim the next requests; when this returns, their intents are committed.

        Args:
            most: at most so many; None: a batch.
        """
        tally, limit = self._recorder.tally, self._limits.limit
        wanted = min(self._batch, self._batch if most is None else most)
        if limit is not None:
            wanted = min(wanted, limit - tally.claimed)
        if wanted <= 0:
            self.exhausted = True
            return []
        among = self._next_of_the_plan(wanted)
        jobs, count = self._claimed(wanted, among)
        tally.claimed += count
        self.exhausted = not self._planned if among is not None else count < wanted
        return jobs

    def _next_of_the_plan(self, wanted: int) -> list[int] | None:
        if self._planned is None:
            return None
        among, self._planned = self._planned[:wanted], self._planned[wanted:]
        return among

    def _claimed(self, most: int, among: list[int] | None) -> tuple[list[Job], int]:
        recorder = self._recorder
        with recorder.transaction() as connection:
            now = recorder.clock.now()
            claimed = claims.claim(
                connection,
                run_id=recorder.rules.run_id,
                most=most,
                due=self._limits.due(recorder.clock.opened_at),
                expires_at=now + timedelta(seconds=recorder.rules.lease_s),
                now=now,
                with_email=self._directory is not None,
                among=among,
            )
            recorder.append(connection, [recorder.started(one) for one in claimed])
            jobs, settled = self._identified(claimed)
            claims.note_user_ids(
                connection,
                {j.claimed.id: j.user_id for j in jobs if j.claimed.forge_user_id is None},
            )
            if settled:
                recorder.write(connection, settled)
        return [_with_user_id(job) for job in jobs], len(claimed)

    def _identified(self, claimed: list[Claimed]) -> tuple[list[Job], list[Attempt]]:
        jobs: list[Job] = []
        settled: list[Attempt] = []
        for one in claimed:
            match identify(user_id=one.forge_user_id, email=one.email, directory=self._directory):
                case Target(user_id):
                    jobs.append(Job(claimed=one, user_id=user_id))
                case Settled() as end:
                    settled.append(Attempt(claimed=one, result=end))
        return jobs, settled


def _with_user_id(job: Job) -> Job:
    """Let the request know whom it means, so that its closing has this pseudonym, too."""
    return replace(job, claimed=replace(job.claimed, forge_user_id=job.user_id))
