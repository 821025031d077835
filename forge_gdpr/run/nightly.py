"""The run itself: the main thread claims and records, the workers speak HTTP."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from forge_gdpr.absence import Account
from forge_gdpr.answers import Verdict
from forge_gdpr.audit.rollback import NO_COPIES, Copies
from forge_gdpr.chain import written_time
from forge_gdpr.database.engine import now as database_now
from forge_gdpr.database.engine import reading
from forge_gdpr.database.schema import require_current
from forge_gdpr.database.traces import wipe
from forge_gdpr.deadlines import LegalClock
from forge_gdpr.errors import (
    DatabaseError,
    ExitCode,
    ForgeGdprError,
    GuardStoppedError,
    KeyRefusedError,
)
from forge_gdpr.forge.erasure import NOT_CALLED, Erasure
from forge_gdpr.forge.gate import Gate, Halt, HaltedError
from forge_gdpr.identity import DEFAULT_RULES, Directory, IdRules
from forge_gdpr.lifecycle import Status
from forge_gdpr.queue import backlog, claims
from forge_gdpr.queue.holds import Held
from forge_gdpr.references import TICKETS
from forge_gdpr.run import closing
from forge_gdpr.run.absences import Absences
from forge_gdpr.run.canary import Canary
from forge_gdpr.run.claiming import Claimer, Job
from forge_gdpr.run.clock import Clock
from forge_gdpr.run.inbox import Inbox
from forge_gdpr.run.opening import (
    Limits,
    admit,
    close_run,
    continued,
    guard,
    open_run,
    repair,
    set_aside,
)
from forge_gdpr.run.patience import Patience
from forge_gdpr.run.pool import Pool, asked
from forge_gdpr.run.recorder import Attempt, Recorder, Rules
from forge_gdpr.run.summary import Summary, Tally
from forge_gdpr.run.sums import Standing
from forge_gdpr.run.takeover import Wait, held_leases
from forge_gdpr.runids import RANDOM_BYTES, uuid7

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection, Engine

    from forge_gdpr.chain import Json
    from forge_gdpr.checkpoints import SigningKey
    from forge_gdpr.forge.erasure import Eraser
    from forge_gdpr.pseudonyms import SubjectKey
    from forge_gdpr.references import ReferenceRules

#: How often the main thread looks up from waiting: for a signal, a lease, the time.
_LOOK_S: Final = 0.1
_NAP_S: Final = 0.02
#: How often it is looked whether another run lives that may be dead.
_POLL_S: Final = 0.5
#: How often ``run.progress`` is logged where no progress bar is shown.
_PROGRESS_S: Final = 30.0

#: So many attempts in a row that a bug of ours ended, with nothing else between them, are no
#: request's own fault: the bug ends the run, and counts against nobody.
MOST_CRASHES_IN_A_ROW: Final = 10

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finished:
    """What a worker comes back with."""

    job: Job
    result: Erasure | Exception  #: or the bug of ours that ended it
    began: int  #: how many answers had been taken when the attempt began


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
    database_patience_s: float = 0.0
    max_attempts: int = 30
    max_runtime_s: float = 10_800.0
    legal: LegalClock = field(default_factory=LegalClock)
    ids: IdRules = DEFAULT_RULES
    account: Account = field(default_factory=Account)  #: that the API key reaches
    settings_digest: str = ""  #: of the settings in force, for certificates
    signing_key: SigningKey | None = None  #: None: the record goes on unsigned
    references: ReferenceRules = TICKETS  #: which ones may be shown
    copies: Copies = NO_COPIES  #: checkpoints that were kept outside the database


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
    publish: Callable[[str], str | None] = field(default=lambda _checkpoint: None)


def run(order: Order, around: Surroundings) -> Summary:
    """Carry out the deletion requests that are due.

    Raises:
        ConfigurationError: the database is not migrated.
        DatabaseError: it failed on the way; what was in flight is repaired by the next run.
        AuditBrokenError: the record is not what was signed; nobody was deleted.
        GuardStoppedError: nobody was deleted.
    """
    copies = order.copies.as_now()
    with reading(around.engine) as connection:
        require_current(connection)
        rupture = continued(connection, order.limits, copies)
        opened_at = database_now(connection)
        started_s = around.monotonic()  # afterwards: so no event is from after it was recorded
    clock = Clock(opened_at=opened_at, started_s=started_s, monotonic=around.monotonic)
    rules = Rules(
        run_id=uuid7(now=opened_at, random=around.random(RANDOM_BYTES)),
        actor=order.actor,
        subject_key=order.subject_key,
        lease_s=order.lease_s,
        max_attempts=order.max_attempts,
        legal=order.legal,
        account=order.account,
        settings_digest=order.settings_digest,
        signing_key=order.signing_key,
        references=order.references,
    )
    with structlog.contextvars.bound_contextvars(run_id=rules.run_id):
        open_run(around.engine, clock, rules, order.limits, version=order.version, rupture=rupture)
        patience = Patience(
            around.gate,
            most_s=order.database_patience_s,
            monotonic=around.monotonic,
            is_stopped=lambda: (
                around.stop.signal is not None or clock.elapsed_s() >= order.max_runtime_s
            ),
        )
        recorder = Recorder(
            around.engine, clock, rules, Tally(), gate=around.gate, patience=patience
        )
        return _Night(order, around, recorder).run()


class _Night:
    """One run's moving parts."""

    def __init__(self, order: Order, around: Surroundings, recorder: Recorder) -> None:
        self._order = order
        self._around = around
        self._gate = around.gate
        self._recorder = recorder
        self._clock = recorder.clock
        self._tally = recorder.tally
        self._inbox = Inbox(recorder, around.gate)
        self._held = Held()
        self._canary = Canary(order.limits.canary)
        self._absences = Absences(recorder, order.limits)
        self._cause: str | None = None  # why the run stopped early, for people
        self._not_copied: str | None = None  # why its checkpoint could not be copied
        self._low_water = order.concurrency * 2
        self._due = 0
        self._start = Standing()
        self._directory: Directory | None = None
        self._no_directory: str | None = None  # why there is none
        self._stopping = False  # nothing more is claimed
        self._ready: list[Job] = []  # claimed, and not handed out yet
        self._has_waited = False  # for another run's lease
        self._progress_s = 0.0

    def run(self) -> Summary:
        try:
            repair(self._recorder, goes_on=self._goes_on)
            self._await_the_silent()
            self._judge()
            set_aside(self._recorder, goes_on=self._goes_on)
            admit(self._recorder, goes_on=self._goes_on)
            if self._directory is None and not self._gate.halted:
                self._read_directory(always=False)
            with Pool(self._erase, size=self._order.concurrency) as pool:
                try:
                    self._work(pool)
                except BaseException as error:
                    # Whatever failed, no further call is made for what can't be recorded.
                    self._gate.halt(Halt.DATABASE)
                    if isinstance(error, Exception) and not isinstance(error, DatabaseError):
                        self._save(pool)
                    raise
        except GuardStoppedError:
            self._close(stopped="guard", figures={})
            raise
        return self._closed()

    def _await_the_silent(self) -> None:
        """Wait for the leases of runs that may be dead, and take over what they left."""
        wait: Wait | None = None
        run_id = self._recorder.rules.run_id
        while True:
            now = self._clock.now()
            leases = self._recorder.read(lambda conn: held_leases(conn, besides=run_id))
            if wait is None:
                wait = Wait.begun(leases, now=now, lease_s=self._order.lease_s)
            ends_at = wait.ends_at(leases, now=now)
            if ends_at is None or self._stopping:
                break
            if not self._has_waited:
                structlog.get_logger().info("lease.awaited", until=written_time(ends_at))
                self._has_waited = True
            self._gate.wait(min(_POLL_S, (ends_at - now).total_seconds()))
            self._meanwhile()
        if self._has_waited:
            repair(self._recorder, goes_on=self._goes_on)

    def _judge(self) -> None:
        """Ask the guards; one of them needs to know how many users Forge has."""
        limits = self._order.limits
        if limits.max_share and not self._gate.halted:
            self._read_directory(always=True)
            if self._directory is None:
                self._halt(Halt.DIRECTORY, self._no_directory)
        self._start = self._recorder.read(
            lambda connection: closing.standing(connection, self._recorder, limits)
        )
        if not self._gate.halted:
            users = None if self._directory is None else self._directory.users
            due = guard(self._recorder, limits, users=users)
            self._start = replace(self._start, due=due)
        self._due = self._start.due
        self._tally.reviewed_before = self._tally.became[Status.REVIEW]

    def _erase(self, job: Job) -> _Finished:
        began = self._inbox.taken
        # A thread has a log context of its own.
        run_id, request_id = self._recorder.rules.run_id, job.claimed.id
        self._gate.work_under(job.lease)
        with structlog.contextvars.bound_contextvars(run_id=run_id, request_id=request_id):
            try:
                erasure = self._around.eraser.erase(
                    job.user_id, email=job.email, was_refused=job.claimed.was_refused
                )
            except Exception as error:  # noqa: BLE001  # a bug over one request stops no other
                # Its message may name the person.
                structlog.get_logger().error("attempt.crashed", error=type(error).__name__)
                return _Finished(job=job, result=error, began=began)
            return _Finished(job=job, result=erasure, began=began)

    def _save(self, pool: Pool[Job, _Finished]) -> None:
        """Write the answers that are there before an error ends the run; give back the rest."""
        with contextlib.suppress(Exception):  # the error that is raised is the first one
            self._inbox.forgive_crashes()
            self._inbox.keep([Attempt(claimed=j.claimed, result=NOT_CALLED) for j in self._ready])
            while pool.outstanding:
                for answer in pool.take(_LOOK_S):
                    self._take(answer)
                self._recorder.renew_if_due()
            self._inbox.forgive_crashes()
            self._inbox.keep(self._absences.give_back())
            self._inbox.close()

    def _read_directory(self, *, always: bool) -> None:
        """Read Forge's list for those who have an e-mail; nobody has one: only if ``always``.

        If it can't be had, the requests that have an e-mail are left as they are; the others
        go on.
        """
        due = self._order.limits.due(self._clock.opened_at)
        user_ids, emails = self._recorder.read(
            lambda connection: backlog.wanted_by_email(connection, due)
        )
        if not (emails or always):
            return
        eraser = self._around.eraser
        try:
            self._directory = self._asked(
                lambda: eraser.read_directory(user_ids=user_ids, emails=emails)
            )
        except KeyRefusedError:
            self._gate.halt(Halt.KEY_REFUSED)
        except (ForgeGdprError, HaltedError) as error:
            self._no_directory = str(error)
            structlog.get_logger().warning("directory.unavailable", why=str(error))

    def _look(self) -> None:
        """Look again for those whom Forge called absent, and judge them."""
        if not len(self._absences):
            return
        sight = None
        if not self._gate.halted:
            question = self._absences.question()
            try:
                sight = self._asked(lambda: self._around.eraser.look(question))
            except KeyRefusedError:
                self._gate.halt(Halt.KEY_REFUSED)
            except HaltedError:
                pass  # nobody could look
        if sight is None:
            self._inbox.keep(self._absences.give_back())
            return
        settlement = self._absences.settle(sight)
        self._canary.note_looks(settlement.concluded, settlement.present)
        for attempt in settlement.attempts:
            if attempt.absence is None:
                self._inbox.keep([attempt])
            else:
                self._inbox.put(attempt, began=0)  # when Forge answered is long ago
        if settlement.halt is not None:
            self._halt(settlement.halt, settlement.cause)

    def _asked(self, ask: Callable[[], Answer]) -> Answer:
        """Ask Forge in a thread of its own, so that a signal is seen and leases are renewed."""
        return asked(ask, wait_s=_LOOK_S, meanwhile=self._meanwhile)

    def _meanwhile(self) -> None:
        self._look_up()
        self._recorder.renew_if_due()

    def _halt(self, reason: Halt, cause: str | None) -> None:
        """Stop the run; a reason that was there before stays."""
        if not self._gate.halted:
            self._cause = cause
        self._gate.halt(reason)

    def _work(self, pool: Pool[Job, _Finished]) -> None:
        claimer = Claimer(
            self._recorder,
            self._order.limits,
            self._absences,
            batch=self._order.batch,
            rules=self._order.ids,
            directory=self._directory,
        )
        ready = self._ready
        while True:
            self._look_up()
            self._claim(claimer, ready, pool.outstanding)
            self._submit(ready, pool)
            if pool.outstanding == 0 and (self._stopping or claimer.exhausted) and not ready:
                break
            if pool.outstanding > self._low_water:
                # Workers are many and busy: waking up for every answer would only take the
                # interpreter away from them.
                self._gate.wait(_NAP_S)
            answers = pool.take(_LOOK_S if pool.outstanding else 0)
            self._take_all(answers)
            lost = 0 if self._gate.halted else sum(map(_is_lost, answers))
            if self._absences.are_enough(first=self._first_absences):
                self._look()
            self._inbox.write_if_due(idle=lost > 0 or not answers)
            self._recorder.renew_if_due()
            if lost:  # they were given back, and may be claimed under a new lease
                self._tally.claimed -= lost
                claimer.exhausted = False
        self._finish()

    def _take_all(self, answers: Sequence[_Finished]) -> None:
        bug = None
        for answer in answers:
            self._take(answer)
            if self._inbox.crashes >= MOST_CRASHES_IN_A_ROW:
                self._inbox.forgive_crashes()
                bug = answer.result
        if isinstance(bug, Exception):
            raise bug

    def _take(self, finished: _Finished) -> None:
        job, erasure, began = finished.job, finished.result, finished.began
        if isinstance(erasure, Exception):
            crash = Attempt(claimed=job.claimed, result=NOT_CALLED, crashed=True)
            self._inbox.put(crash, began=began)
            return
        attempt = Attempt(claimed=job.claimed, result=erasure, by_email=job.email is not None)
        self._tally.calls += erasure.tries
        self._canary.note(erasure)
        if erasure.verdict is Verdict.ERASED and not attempt.by_email:
            self._absences.note_erasure()
        if erasure.verdict is not Verdict.ABSENT:
            self._inbox.put(attempt, began=began)
            return
        self._absences.put(attempt)
        if self._absences.are_expected:
            self._canary.note_looks(1, 0)

    @property
    def _first_absences(self) -> int | None:
        """How many absences have to be judged before the canary goes on."""
        expected = self._absences.are_expected
        return None if self._canary.is_over or expected else self._canary.wanted

    def _finish(self) -> None:
        """Judge what could not be judged before the last answer had come."""
        self._look()
        if self._inbox.refusals and not self._gate.halted:
            # Has Forge turned into a login page since it was last seen to work?
            self._asked(self._around.eraser.prove_again)
        self._inbox.close()
        if self._no_directory is not None:
            self._halt(Halt.DIRECTORY, self._no_directory)
        if self._absences.unseen is not None:
            self._halt(Halt.UNSEEN, self._absences.unseen)
        if not self._gate.halted:  # what others took away is no part of this run any more
            done = self._tally.ends.total
            self._around.progress(done, done)

    def _claim(self, claimer: Claimer, ready: list[Job], outstanding: int) -> None:
        """Claim what the workers will need soon; until the canary is over, one at a time."""
        if self._due > self._tally.claimed and not self._gate.halted:
            if self._canary.has_failed:
                self._gate.halt(Halt.CANARY)
            elif self._canary.is_alone:
                self._gate.halt(Halt.UNREACHABLE)
            self._stopping = self._stopping or self._gate.halted
        if self._stopping or claimer.exhausted:
            return
        waiting = outstanding + len(ready)
        if not self._canary.is_over:
            ready += claimer.claim(1) if waiting == 0 else []
        elif claimer.one_at_a_time:
            if waiting == 0:
                self._look()  # whoever waits for a look is claimed still
                self._inbox.write_if_due(idle=True)
                ready += claimer.claim()
        elif waiting <= self._low_water:
            ready += claimer.claim()

    def _submit(self, ready: list[Job], pool: Pool[Job, _Finished]) -> None:
        """Hand out jobs, but not of requests that were put on hold since they were claimed."""
        if self._is_late:
            self._inbox.keep([Attempt(claimed=job.claimed, result=NOT_CALLED) for job in ready])
            ready.clear()
        if not ready or pool.outstanding > self._low_water:
            return
        jobs = ready[: 2 * self._low_water]
        del ready[: len(jobs)]

        def look(connection: Connection) -> set[int]:
            still = claims.still_claimed(connection, [job.claimed for job in jobs])
            self._held.look(connection)
            return still

        claimed = self._recorder.read(look)
        for job in jobs:
            if job.claimed.id not in claimed:
                self._inbox.keep([Attempt(claimed=job.claimed, result=NOT_CALLED)])
            elif self._held.binds(job.user_id, job.claimed.email):
                self._inbox.keep([Attempt(claimed=job.claimed, result=NOT_CALLED, later=True)])
            else:
                pool.submit(replace(job, lease=self._gate.lease))

    def _goes_on(self) -> bool:
        """Look up between two pages, and say whether another one is wanted."""
        self._look_up()
        return not self._stopping

    def _look_up(self) -> None:
        """See to what comes from outside: a signal, the time, a halt."""
        if self._around.stop.signal is not None:
            self._gate.halt(Halt.SIGNAL)
        self._stopping = self._stopping or self._is_late or self._gate.halted
        self._report_progress()

    @property
    def _is_late(self) -> bool:
        return self._clock.elapsed_s() >= self._order.max_runtime_s

    def _report_progress(self) -> None:
        done = self._tally.ends.total
        limit = self._order.limits.limit
        self._around.progress(done, self._due if limit is None else min(self._due, limit))
        if self._clock.elapsed_s() - self._progress_s >= _PROGRESS_S:
            self._progress_s = self._clock.elapsed_s()
            structlog.get_logger().info("run.progress", done=done, due=self._due)

    def _closed(self) -> Summary:
        end = closing.End(
            start=self._start,
            halt=self._gate.halt_reason,
            cause=self._cause or self._gate.cause(self._tally.calls),
            signal=self._around.stop.signal,
        )
        summary, figures = closing.summed_up(self._recorder, self._order.limits, end)
        stopped = None if summary.halt is None else summary.halt.value
        checkpoint = self._close(stopped=stopped, figures=figures)
        wipe(self._around.engine, rewrite=self._recorder.has_forgotten)
        if summary.exit_code != ExitCode.OK:
            structlog.get_logger().warning("run.closed", **figures)
        return replace(summary, checkpoint=checkpoint, not_copied=self._not_copied)

    def _close(self, *, stopped: str | None, figures: dict[str, Json]) -> str | None:
        checkpoint = close_run(
            self._recorder, stopped=stopped, figures=figures, copies=self._order.copies
        )
        if checkpoint is not None:
            structlog.get_logger().info("audit.checkpoint", note=checkpoint)
            self._not_copied = self._around.publish(checkpoint)
        return checkpoint


def _is_lost(finished: _Finished) -> bool:
    """Say whether an attempt ended because its lease was over, for a run that goes on."""
    return isinstance(finished.result, Erasure) and finished.result.verdict is None
