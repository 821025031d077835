"""Claiming: from the queue to jobs for the workers, each with its intent on record."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from forge_gdpr.forge.erasure import Erasure
from forge_gdpr.identity import Directory, IdRules, Later, Settled, Target, identify
from forge_gdpr.lifecycle import Outcome
from forge_gdpr.pseudonyms import Kind, is_as_admitted, named_by
from forge_gdpr.queue import approvals, claims
from forge_gdpr.queue.admission import admitted_as, readmit
from forge_gdpr.run.conclusions import after_this_run
from forge_gdpr.run.opening import admission_of
from forge_gdpr.run.plan import states
from forge_gdpr.run.recorder import Attempt, Recorder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from forge_gdpr.queue.admission import Admitted
    from forge_gdpr.queue.claims import Claimed
    from forge_gdpr.run.absences import Absences
    from forge_gdpr.run.opening import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One request that Forge may be called for."""

    claimed: Claimed
    user_id: str = field(repr=False)
    email: str | None = field(default=None, repr=False)  #: by which alone the user was found
    lease: int = 0  #: of the gate, when the job was handed out


class Claimer:
    """Claims a run's requests, a batch a transaction. Main thread only."""

    def __init__(
        self,
        recorder: Recorder,
        limits: Limits,
        absences: Absences,
        *,
        batch: int,
        rules: IdRules,
        directory: Directory | None,
    ) -> None:
        """Start at the front of the queue.

        Args:
            recorder: writes the intents.
            limits: which requests are due, and how many of them are taken.
            absences: takes those whose address nobody has.
            batch: at most so many are claimed at a time.
            rules: what an id must be.
            directory: what Forge's list says; None: requests with an e-mail are left alone.
        """
        self._recorder = recorder
        self._limits = limits
        self._absences = absences
        self._rules = rules
        self._batch = batch
        self._directory = directory
        plan = limits.plan
        self._signed_off = {} if plan is None else {one.id: one.state for one in plan.requests}
        self._noted: dict[int, str] = {}  # user ids that this run has found by e-mail
        self._taken: set[int] = set()  # of a plan's
        self._planned = self._whole_plan()
        self._untried = self._planned is None  # only those at which nothing has failed yet
        self.one_at_a_time = False  #: only those are left whose last attempt crashed
        self.exhausted = False  #: nothing more is claimed

    def claim(self, most: int | None = None) -> list[Job]:
        """Claim the next requests; when this returns, their intents are committed.

        First those at which nothing has failed yet, then the others: so a few that always fail,
        at the front of the queue, stop no second night. Last, alone, what has crashed.

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
        if self.one_at_a_time:
            return self._claim_alone()
        among = self._next_of_the_plan(wanted)
        jobs, count = self._claimed(wanted, among)
        tally.claimed += count
        if not self._planned if among is not None else count < wanted:
            self.one_at_a_time = not self._untried
            self._untried = False
            self._planned = self._whole_plan()
        return jobs

    def _claim_alone(self) -> list[Job]:
        """Claim one of those whose last attempt crashed.

        If it makes this run crash, too, nobody else's attempt is counted for it.
        """
        page = None if self._planned is None else self._planned[: self._batch]
        jobs, count = self._claimed(1, page, crashed=True)
        self._recorder.tally.claimed += count
        if count == 0:
            if self._planned is not None:
                del self._planned[: self._batch]
            self.exhausted = not self._planned
        return jobs

    def _whole_plan(self) -> list[int] | None:
        return None if self._limits.plan is None else list(self._limits.plan.ids)

    def _next_of_the_plan(self, wanted: int) -> list[int] | None:
        if self._planned is None:
            return None
        among, self._planned = self._planned[:wanted], self._planned[wanted:]
        return among

    def _claimed(
        self, most: int, among: list[int] | None, *, crashed: bool = False
    ) -> tuple[list[Job], int]:
        recorder = self._recorder

        def work(connection: Connection) -> tuple[list[Job], list[Attempt], int]:
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
                untried=self._untried,
                crashed=crashed,
            )
            count = len(claimed)
            for request in claimed:  # who was given back, and is taken again, counts once
                recorder.tally.given_back.pop(request.id, None)
            if among is not None:
                self._taken |= {one.id for one in claimed}
                self._require_planned(connection, [one for one in among if one not in self._taken])
            claimed = self._require_admitted(connection, claimed)
            recorder.append(connection, [recorder.started(one) for one in claimed])
            jobs, settled, absent = self._identified(claimed)
            noted = {j.claimed.id: j.user_id for j in jobs if j.claimed.forge_user_id is None}
            claims.note_user_ids(connection, noted)
            self._noted |= noted
            if settled:
                recorder.write(connection, settled)
            return jobs, absent, count

        jobs, absent, count = recorder.commit(work)
        for attempt in absent:
            self._absences.put(attempt)
        return [_with_user_id(job) for job in jobs], count

    def _require_admitted(
        self, connection: Connection, claimed: Sequence[Claimed]
    ) -> list[Claimed]:
        """Admit those again whose rows name somebody else by now; return who may be called for.

        Where somebody has to approve requests, or has signed a plan, that was for another person:
        the corrected ones are given back. So is what is not as the plan has it, whoever it names,
        and what nobody has approved as it is: also a name that somebody wrote into the row.
        """
        recorder, rules = self._recorder, self._recorder.rules
        record = admitted_as(connection, [one.id for one in claimed])
        strangers = {
            one.id for one in claimed if not self._is_as_admitted(one, record.get(one.id, ()))
        }
        unapproved = {
            one.id
            for one in claimed
            if self._limits.approved_only
            and not approvals.is_for(
                rules.keys,
                one.approval,
                request_id=one.id,
                subject=one.subject,
                approved_by=one.approved_by,
            )
        }
        corrected = strangers | unapproved
        changed = self._require_planned(connection, [one.id for one in claimed])
        now = recorder.clock.now()
        readmitted = readmit(
            connection,
            corrected,
            key=rules.subject_key,
            legal=rules.legal,
            now=now,
            references=rules.references,
        )
        recorder.append(connection, [admission_of(one, rules.run_id) for one in readmitted])
        for one in readmitted:
            why = (
                "its row names somebody else since it was admitted"
                if one.id in strangers
                else "its approval is not for what its row says"
            )
            structlog.get_logger().warning("request.admitted", request_id=one.id, why=why)
        if self._limits.approved_only or self._limits.plan is not None:
            self._give_back(connection, [one for one in claimed if one.id in corrected | changed])
            return [one for one in claimed if one.id not in corrected | changed]
        anew = {one.id: one for one in readmitted}
        return [_anew(one, anew.get(one.id)) for one in claimed]

    def _require_planned(self, connection: Connection, request_ids: Sequence[int]) -> set[int]:
        """Note which of them are not as the plan has it that was signed off, and return them.

        Those that are claimed nobody changes any more before this transaction ends. The others are
        in the plan and can't be claimed: what was done to them may be why.
        """
        if not self._signed_off:
            return set()
        tally, key = self._recorder.tally, self._recorder.rules.subject_key
        present = states(connection, request_ids, key=key, noted=self._noted)
        changed = {one for one in request_ids if present.get(one) != self._signed_off.get(one)}
        for one in sorted(changed - tally.not_as_planned):
            why = "it is not as it was when the plan was made"
            structlog.get_logger().warning("request.not_planned", request_id=one, why=why)
        tally.not_as_planned |= changed
        return changed

    def _give_back(self, connection: Connection, claimed: Sequence[Claimed]) -> None:
        """Leave them for a later run, and count them."""
        tally, clock = self._recorder.tally, self._recorder.clock
        now = clock.now()
        later = after_this_run(now, clock.opened_at)
        back = [claims.given_back(one, next_attempt_at=later) for one in claimed]
        claims.finish(connection, back, now=now)
        for end in back:
            tally.became[end.status] += 1
            tally.given_back[end.id] = True

    def _identified(self, claimed: list[Claimed]) -> tuple[list[Job], list[Attempt], list[Attempt]]:
        """Return whom Forge may be called for, what is settled, and whom Forge's list lacks."""
        jobs: list[Job] = []
        settled: list[Attempt] = []
        absent: list[Attempt] = []
        for request in claimed:
            user_id, email = request.forge_user_id, request.email
            match identify(
                user_id=user_id, email=email, directory=self._directory, rules=self._rules
            ):
                case Target(target_id):
                    by_email = (
                        None if email is None or self._named_by(request) is Kind.USER_ID else email
                    )
                    jobs.append(Job(claimed=request, user_id=target_id, email=by_email))
                case Settled(Outcome.NOT_FOUND_BY_EMAIL) as end:
                    absent.append(Attempt(claimed=request, result=end, by_email=True))
                case Settled() as end:
                    settled.append(Attempt(claimed=request, result=end))
                case Later():
                    back = Erasure(verdict=None)
                    settled.append(Attempt(claimed=request, result=back, later=True))
        return jobs, settled, absent

    def _is_as_admitted(self, request: Claimed, record: Sequence[Sequence[str]]) -> bool:
        """Say whether its row names whom the record's newest admission of it names."""
        *_, admitted = ((), *record)
        return request.subject in admitted[:1] and is_as_admitted(
            self._recorder.rules.keys,
            admitted,
            request_id=request.id,
            user_id=request.forge_user_id,
            email=request.email,
        )

    def _named_by(self, request: Claimed) -> Kind | None:
        """Return what its asker named: an id that an earlier run found by e-mail is not it."""
        return named_by(
            self._recorder.rules.keys,
            request.subject,
            request_id=request.id,
            user_id=request.forge_user_id,
            email=request.email,
        )


def _anew(request: Claimed, admitted: Admitted | None) -> Claimed:
    """Return a claimed request as it was admitted again, if it was."""
    if admitted is None:
        return request
    return replace(request, subject=admitted.subject, public_reference=admitted.public_reference)


def _with_user_id(job: Job) -> Job:
    """Let the request know whom it means, so that its closing has this pseudonym, too."""
    return replace(job, claimed=replace(job.claimed, forge_user_id=job.user_id))
