"""The run itself: the main thread claims and records, the workers speak HTTP."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog

from forge_gdpr.database.engine import now as database_now
from forge_gdpr.database.engine import reading
from forge_gdpr.database.schema import require_current
from forge_gdpr.deadlines import LegalClock
from forge_gdpr.errors import ExitCode, ForgeGdprError, GuardStoppedError, KeyRefusedError
from forge_gdpr.forge.gate import Gate, Halt, HaltedError
from forge_gdpr.forge.shapes import User
from forge_gdpr.identity import Directory, Settled, Target, identify
from forge_gdpr.queue import backlog, claims
from forge_gdpr.run.clock import Clock
from forge_gdpr.run.inbox import Inbox
from forge_gdpr.run.opening import Limits, admit, close_run, guard, open_run, repair
from forge_gdpr.run.pool import Pool
from forge_gdpr.run.recorder import Attempt, Recorder, Rules
from forge_gdpr.run.summary import Summary, Tally
from forge_gdpr.runids import RANDOM_BYTES, uuid7

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    from forge_gdpr.chain import Json
    from forge_gdpr.forge.erasure import Eraser, Erasure
    from forge_gdpr.pseudonyms import SubjectKey
    from forge_gdpr.queue.claims import Claimed

#: How often the main thread looks up from waiting: for a signal, a lease, the time.
_LOOK_S: Final = 0.1
_NAP_S: Final = 0.02
#: How often ``run.progress`` is logged where no progress bar is shown.
_PROGRESS_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What one run is asked to do."""

    actor: str
    version: str
    subject_key: SubjectKey
    limits: Limits
    concurrency: int = 8
    batch: int = 100
    lease_s: float = 120.0
    max_attempts: int = 30
    max_runtime_s: float = 10_800.0
    legal: LegalClock = field(default_factory=LegalClock)


@dataclass(slots=True)
class Stop:
    """Set by a signal handler, read by the main loop; a plain attribute can't deadlock."""

    signal: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a run does not make itself. Only `cli/` supplies real ones."""

    engine: Engine
    eraser: Eraser
    gate: Gate
    stop: Stop
    monotonic: Callable[[], float]
    random: Callable[[int], bytes]
    progress: Callable[[int, int], None] = field(default=lambda _done, _due: None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    claimed: Claimed
    user_id: str = field(repr=False)


def run(order: Order, around: Surroundings) -> Summary:
    """Carry out the deletion requests that are due.

    Raises:
        ConfigurationError: the database is not migrated.
        DatabaseError: it failed on the way; what was in flight is repaired by the next run.
        GuardStoppedError: nobody was deleted.
    """
    with reading(around.engine) as connection:
        require_current(connection)
        started_s = around.monotonic()
        opened_at = database_now(connection)
    clock = Clock(opened_at=opened_at, started_s=started_s, monotonic=around.monotonic)
    rules = Rules(
        run_id=uuid7(now=opened_at, random=around.random(RANDOM_BYTES)),
        actor=order.actor,
        subject_key=order.subject_key,
        lease_s=order.lease_s,
        max_attempts=order.max_attempts,
        legal=order.legal,
    )
    with structlog.contextvars.bound_contextvars(run_id=rules.run_id):
        open_run(around.engine, clock, rules, order.limits, version=order.version)
        return _Night(order, around, Recorder(around.engine, clock, rules, Tally())).run()


class _Night:
    """One run's moving parts."""

    def __init__(self, order: Order, around: Surroundings, recorder: Recorder) -> None:
        self._order = order
        self._around = around
        self._gate = around.gate
        self._recorder = recorder
        self._clock = recorder.clock
        self._tally = recorder.tally
        self._due = 0
        self._exhausted = False  # nothing more is claimed
        self._directory: Directory | None = None
        self._directory_failed = False
        self._inbox = Inbox(recorder, around.gate)
        self._progress_s = 0.0

    def run(self) -> Summary:
        try:
            repair(self._recorder)
            self._due = guard(self._recorder, self._order.limits)
            admit(self._recorder)
            self._directory = self._fetched_directory()
            with Pool(self._erase, size=self._order.concurrency) as pool:
                try:
                    self._work(pool)
                except BaseException:
                    # Whatever failed, no further call is made for what can't be recorded.
                    self._gate.halt(Halt.DATABASE)
                    raise
        except GuardStoppedError:
            close_run(self._recorder, stopped="guard", figures={})
            raise
        return self._closed()

    def _erase(self, job: _Job) -> tuple[_Job, Erasure]:
        # A thread has a log context of its own.
        run_id, request_id = self._recorder.rules.run_id, job.claimed.id
        with structlog.contextvars.bound_contextvars(run_id=run_id, request_id=request_id):
            return job, self._around.eraser.erase(job.user_id)

    def _fetched_directory(self) -> Directory | None:
        """Return Forge's users, None if no due request has an e-mail, or they can't be listed.

        Fetched by a thread of its own, so that a signal is seen meanwhile. Without the list the
        requests that have an e-mail are left as they are; the others go on.
        """
        with reading(self._around.engine) as connection:
            if not backlog.any_with_email(
                connection,
                now=self._clock.opened_at,
                cool_off_days=self._order.limits.cool_off_days,
            ):
                return None
        try:
            with Pool[str, list[User]](self._listed, size=1) as pool:
                pool.submit("GET /user")
                while not (listed := pool.take(_LOOK_S)):
                    self._look_up()
                    self._recorder.renew_if_due()
        except KeyRefusedError:
            self._gate.halt(Halt.KEY_REFUSED)
        except (ForgeGdprError, HaltedError) as error:
            self._directory_failed = True
            structlog.get_logger().warning("directory.unavailable", why=str(error))
        else:
            return Directory((user.id, user.email) for user in listed[0])
        return None

    def _listed(self, _job: str) -> list[User]:
        return self._around.eraser.list_users()

    def _work(self, pool: Pool[_Job, tuple[_Job, Erasure]]) -> None:
        low_water = self._order.concurrency * 2
        while True:
            self._look_up()
            if not self._exhausted and pool.outstanding <= low_water:
                self._claim(pool)
            if pool.outstanding == 0 and self._exhausted:
                break
            if pool.outstanding > low_water:
                # Workers are many and busy: waking up for every answer would only take the
                # interpreter away from them.
                self._gate.wait(_NAP_S)
            answers = pool.take(_LOOK_S)
            for job, erasure in answers:
                self._inbox.put(job.claimed, erasure)
            self._inbox.write_if_due(idle=not answers)
            self._recorder.renew_if_due()
        self._inbox.close()
        if self._directory_failed:
            self._gate.halt(Halt.DIRECTORY)

    def _look_up(self) -> None:
        """See to what comes from outside: a signal, the time, a halt."""
        if self._around.stop.signal is not None:
            self._gate.halt(Halt.SIGNAL)
        late = self._clock.elapsed_s() >= self._order.max_runtime_s
        self._exhausted = self._exhausted or late or self._gate.halted
        self._report_progress()

    def _claim(self, pool: Pool[_Job, tuple[_Job, Erasure]]) -> None:
        limit = self._order.limits.limit
        left = self._order.batch if limit is None else limit - self._tally.claimed
        most = min(self._order.batch, left)
        claimed: list[Claimed] = []
        jobs: list[_Job] = []
        if most > 0:
            with self._recorder.transaction() as connection:
                now = self._clock.now()
                claimed = claims.claim(
                    connection,
                    run_id=self._recorder.rules.run_id,
                    most=most,
                    due_at=self._clock.opened_at,
                    expires_at=now + timedelta(seconds=self._order.lease_s),
                    now=now,
                    cool_off_days=self._order.limits.cool_off_days,
                    with_email=self._directory is not None,
                )
                self._recorder.append(connection, [self._recorder.started(c) for c in claimed])
                jobs, settled = self._identified(claimed)
                claims.note_user_ids(
                    connection,
                    {j.claimed.id: j.user_id for j in jobs if j.claimed.forge_user_id is None},
                )
                if settled:
                    self._recorder.write(connection, settled)
        # Committed: from here on Forge may be called for them.
        self._tally.claimed += len(claimed)
        self._exhausted = len(claimed) < most or most == 0
        for job in jobs:
            pool.submit(job)

    def _identified(self, claimed: list[Claimed]) -> tuple[list[_Job], list[Attempt]]:
        jobs: list[_Job] = []
        settled: list[Attempt] = []
        for one in claimed:
            match identify(user_id=one.forge_user_id, email=one.email, directory=self._directory):
                case Target(user_id):
                    jobs.append(_Job(claimed=one, user_id=user_id))
                case Settled() as end:
                    settled.append(Attempt(claimed=one, result=end))
        return jobs, settled

    def _report_progress(self) -> None:
        done = sum(self._tally.became.values())
        self._around.progress(done, self._due)
        if self._clock.elapsed_s() - self._progress_s >= _PROGRESS_S:
            self._progress_s = self._clock.elapsed_s()
            structlog.get_logger().info("run.progress", done=done, due=self._due)

    def _closed(self) -> Summary:
        limits = self._order.limits
        with reading(self._around.engine) as connection:
            standing = backlog.deadlines(
                connection, today=self._order.legal.day_of(self._clock.now())
            )
            left = backlog.count_due(
                connection, now=self._clock.opened_at, cool_off_days=limits.cool_off_days
            )
        tally = self._tally
        summary = Summary(
            run_id=self._recorder.rules.run_id,
            opened_at=self._clock.opened_at,
            elapsed_s=self._clock.elapsed_s(),
            due=self._due,
            admitted=tally.admitted,
            claimed=tally.claimed,
            recovered=tally.recovered,
            calls=tally.calls,
            late=tally.late,
            outcomes=dict(tally.outcomes),
            became=dict(tally.became),
            left=left,
            next_due_on=standing.next_due_on,
            at_risk=standing.at_risk,
            halt=self._gate.halt_reason,
            signal=self._around.stop.signal,
        )
        figures: dict[str, Json] = {
            "due": summary.due,
            "claimed": summary.claimed,
            "outcomes": {k.value: v for k, v in sorted(summary.outcomes.items())},
            "exit_code": int(summary.exit_code),
        }
        stopped = None if summary.halt is None else summary.halt.value
        close_run(self._recorder, stopped=stopped, figures=figures)
        if summary.exit_code != ExitCode.OK:
            structlog.get_logger().warning("run.closed", **figures)
        return summary
