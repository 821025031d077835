"""Opening and closing a run, and what comes before the first claim: repair, guard, admission."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from sqlalchemy import insert, not_, select, update

from forge_gdpr.audit.checkpoints import sign, tree_of
from forge_gdpr.audit.events import Ended, Entry, EventName
from forge_gdpr.audit.history import Past, earlier_dues, pasts
from forge_gdpr.audit.record import append_main, head_of
from forge_gdpr.audit.rollback import NO_COPIES, Copies, acceptance, compared, refused
from forge_gdpr.database.engine import writing
from forge_gdpr.database.tables import runs
from forge_gdpr.errors import GuardStoppedError
from forge_gdpr.guards import RUNS, Bounds, Night, guarded
from forge_gdpr.lifecycle import Reason, Status
from forge_gdpr.queue import admission, backlog, claims
from forge_gdpr.queue.backlog import Due

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Engine

    from forge_gdpr.chain import Json
    from forge_gdpr.continuity import Rupture
    from forge_gdpr.queue.admission import Admitted
    from forge_gdpr.queue.claims import Claimed, End
    from forge_gdpr.run.clock import Clock
    from forge_gdpr.run.plan import Plan
    from forge_gdpr.run.recorder import Recorder, Rules

#: Rows repaired or admitted in one transaction.
_PAGE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What bounds one night."""

    max_due: int
    cool_off_days: int
    limit: int | None = None
    expected: int | None = None
    expect_absent: int | None = None  #: so many may be closed as absent, whoever's account it is
    reason: str | None = None  #: why the guards are overridden tonight: a code
    after_restore: bool = False  #: go on although the record is not what was signed
    max_share: float = 0.0
    spike_factor: float = 0.0
    canary: int = 0
    approved_only: bool = False
    plan: Plan | None = None  #: only what stands in it is done

    @property
    def bounds(self) -> Bounds:
        """What the guards allow."""
        return Bounds(
            max_due=self.max_due,
            max_share=self.max_share,
            spike_factor=self.spike_factor,
            expected=self.expected,
        )

    def due(self, now: datetime) -> Due:
        """Return which requests may be worked on at a moment."""
        return Due(now=now, cool_off_days=self.cool_off_days, approved_only=self.approved_only)


def continued(connection: Connection, limits: Limits, copies: Copies) -> Rupture | None:
    """Compare the record with the checkpoints that are known, before anything is written.

    Returns:
        How it contradicts them, if somebody has said to go on; None if it extends them.

    Raises:
        AuditBrokenError: it contradicts them.
        ConfigurationError: checkpoints were kept, and none of them can be checked.
    """
    _, rupture = compared(connection, copies)
    if rupture is not None and not limits.after_restore:
        raise refused(rupture)
    return rupture


def open_run(
    engine: Engine,
    clock: Clock,
    rules: Rules,
    limits: Limits,
    *,
    version: str,
    rupture: Rupture | None = None,
) -> None:
    """Write down that a run has begun: its lease, and ``run.opened`` in the main chain.

    Args:
        engine: of the database.
        clock: of the run.
        rules: of the run.
        limits: of the run.
        version: of the program.
        rupture: how the record contradicts what was signed, if the run goes on in spite of it.
    """
    details: dict[str, Json] = {
        "version": version,
        "subject_key": rules.subject_key.id,
        "settings": rules.settings_digest,
        "account": rules.account.fingerprint,
    }
    if limits.limit is not None:
        details["limit"] = limits.limit
    if limits.plan is not None:
        details["plan"] = limits.plan.sha256
    opened = Entry(
        event=EventName.RUN_OPENED, run_id=rules.run_id, actor=rules.actor, details=details
    )
    entries = [opened]
    if rupture is not None:
        accepted: dict[str, Json] = acceptance(rupture) | {"reason": limits.reason}
        entries.append(
            Entry(
                event=EventName.GUARD_OVERRIDDEN,
                run_id=rules.run_id,
                actor=rules.actor,
                details=accepted,
            )
        )
    with writing(engine) as connection:
        connection.execute(
            insert(runs).values(
                id=rules.run_id,
                opened_at=clock.opened_at,
                lease_expires_at=clock.now() + timedelta(seconds=rules.lease_s),
            )
        )
        append_main(connection, entries, at=clock.now())


def close_run(
    recorder: Recorder,
    *,
    stopped: str | None,
    figures: dict[str, Json],
    copies: Copies = NO_COPIES,
) -> str | None:
    """Write ``run.closed`` into the main chain, with the run chain's length, head and root.

    Returns:
        The checkpoint that was signed over the main chain; None without a signing key.
    """
    details = figures | ({} if stopped is None else {"stopped": stopped})
    rules = recorder.rules

    def close(connection: Connection) -> str | None:
        _close(recorder, connection, rules.run_id, details)
        if rules.signing_key is None:
            return None
        return sign(
            connection,
            rules.signing_key,
            actor=rules.actor,
            at=recorder.clock.now(),
            copies=replace(copies, may_be_missing=True),  # nobody is called any more
        )

    return recorder.commit(close)


def repair(recorder: Recorder, *, goes_on: Callable[[], bool] = lambda: True) -> None:
    """Take over what crashed runs left: their claims, and the ends of their chains.

    Args:
        recorder: of the run.
        goes_on: is asked after each page; if not, the next run repairs what is left.
    """
    while _repair_claims(recorder) == _PAGE:
        if not goes_on():
            return

    def close(connection: Connection) -> None:
        dead = connection.execute(
            select(runs.c.id)
            .where(runs.c.closed_at.is_(None), not_(claims.lives(recorder.clock.now())))
            .order_by(runs.c.id)
            .with_for_update(skip_locked=True)
        ).scalars()
        for run_id in dead.all():
            _close(recorder, connection, run_id, {"recovered": True})

    recorder.commit(close)


def guard(recorder: Recorder, limits: Limits, *, users: int | None = None) -> int:
    """Judge the true backlog, before any limit cuts it, and return how many are due.

    Args:
        recorder: of the run that wants to start.
        limits: its bounds, and its plan if it has one; then only what is planned is counted.
        users: how many Forge has; None if nobody asked.

    Raises:
        GuardStoppedError: the run must not start.
    """
    due = limits.due(recorder.clock.opened_at)

    def look(connection: Connection) -> tuple[int, Sequence[int]]:
        if limits.plan is not None:
            limits.plan.require_unchanged(connection, due, key=recorder.rules.subject_key)
            count = len(limits.plan.ids)
        else:
            count = backlog.count_due(connection, due)
        return count, earlier_dues(connection, runs=RUNS)

    count, earlier = recorder.read(look)
    verdict = guarded(Night(due=count, users=users, earlier=earlier), limits.bounds)
    if verdict.stops is not None:
        raise GuardStoppedError(verdict.stops)
    if verdict.overridden:
        _record_override(recorder, limits, verdict.overridden, count)
    return count


def _record_override(recorder: Recorder, limits: Limits, guards: Sequence[str], count: int) -> None:
    entries = [
        Entry(
            event=EventName.GUARD_OVERRIDDEN,
            run_id=recorder.rules.run_id,
            actor=recorder.rules.actor,
            details={
                "guard": name,
                "due": count,
                "allowed": limits.expected,
                "reason": limits.reason,
            },
        )
        for name in guards
    ]
    recorder.commit(lambda connection: recorder.append_main(connection, entries))


def set_aside(recorder: Recorder, *, goes_on: Callable[[], bool] = lambda: True) -> None:
    """Send to review what can't be read, a page a transaction.

    Args:
        recorder: of the run.
        goes_on: is asked before each page; if not, the next run sees to what is left.
    """
    while goes_on():
        requests = _page(recorder, admission.set_aside)
        _count_reviews(recorder, sum(one.status == Status.REVIEW for one in requests))
        if len(requests) < _PAGE:
            return


def admit(recorder: Recorder, *, goes_on: Callable[[], bool] = lambda: True) -> None:
    """Admit every request that no run has seen, a page a transaction.

    Args:
        recorder: of the run.
        goes_on: is asked before each page; if not, the next run admits what is left.
    """
    while goes_on() and recorder.commit(partial(_decide, recorder)) == _PAGE:
        pass
    while goes_on():
        admitted = _page(recorder, admission.admit)
        recorder.tally.admitted += len(admitted)
        _count_reviews(
            recorder, sum(one.status_reason is Reason.UNKNOWN_STATUS for one in admitted)
        )
        if len(admitted) < _PAGE:
            return


def _decide(recorder: Recorder, connection: Connection) -> int:
    rules = recorder.rules
    return admission.decide_references(
        connection, key=rules.subject_key, references=rules.references, most=_PAGE
    )


def _count_reviews(recorder: Recorder, count: int) -> None:
    """Count what came to need a person without having been due: it is in no sum of the night."""
    tally = recorder.tally
    tally.set_aside += count
    tally.reviewed_before += count
    tally.became[Status.REVIEW] += count


def _page(recorder: Recorder, take: Callable[..., list[Admitted]]) -> list[Admitted]:
    rules = recorder.rules

    def page(connection: Connection) -> list[Admitted]:
        requests = take(
            connection,
            key=rules.subject_key,
            legal=rules.legal,
            now=recorder.clock.now(),
            most=_PAGE,
            references=rules.references,
        )
        recorder.append(connection, [admission_of(request, rules.run_id) for request in requests])
        return requests

    return recorder.commit(page)


def _repair_claims(recorder: Recorder) -> int:
    now = recorder.clock.now()

    def reopen(connection: Connection) -> list[End]:
        expired = claims.expired(connection, now=now, most=_PAGE)
        known = pasts(connection, {one.id: one.subject for one in expired})
        ends = []
        for one in expired:
            past = known.get(one.id, Past())
            ends.append(
                claims.reopened(
                    one, crashes=past.crashes + 1, max_attempts=recorder.rules.max_attempts
                )
            )
        claims.finish(connection, ends, now=now)
        recorder.append(
            connection,
            [
                _crashed(one, end, recorder.rules.run_id)
                for one, end in zip(expired, ends, strict=True)
            ],
        )
        return ends

    ends = recorder.commit(reopen)
    recorder.tally.recovered += len(ends)
    recorder.tally.became[Status.REVIEW] += sum(e.status is Status.REVIEW for e in ends)
    return len(ends)


def _crashed(one: Claimed, end: End, run_id: str) -> Entry:
    details: dict[str, Json] = {"ended": Ended.CRASHED.value, "status": end.status.value}
    if end.reason is not None:
        details["reason"] = str(end.reason)
    return Entry(
        event=EventName.ATTEMPT_FINISHED,
        run_id=run_id,
        request_id=one.id,
        subject=one.subject,
        attempt=one.attempts + 1,
        details=details,
    )


def admission_of(one: Admitted, run_id: str) -> Entry:
    """Return the event of a request that a run has admitted."""
    return Entry(
        event=EventName.REQUEST_ADMITTED,
        run_id=run_id,
        request_id=one.id,
        subject=one.subject,
        details=one.facts,
    )


def _close(
    recorder: Recorder, connection: Connection, run_id: str, details: dict[str, Json]
) -> None:
    head = head_of(connection, run_id)
    root = tree_of(connection, run_id).root.hex()
    closed = Entry(
        event=EventName.RUN_CLOSED,
        run_id=run_id,
        actor=recorder.rules.actor,
        details=details | {"length": head.seq, "head": head.hash, "root": root},
    )
    recorder.append_main(connection, [closed])
    closed_at = recorder.clock.now()
    connection.execute(update(runs).where(runs.c.id == run_id).values(closed_at=closed_at))
