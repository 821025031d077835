"""What an attempt means for its request. Decides only; does no I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from forge_gdpr.answers import Verdict
from forge_gdpr.audit.events import Ended
from forge_gdpr.lifecycle import CONSEQUENCES, Event, Outcome, Reason, Status
from forge_gdpr.queue.claims import End, reopened
from forge_gdpr.retries import next_attempt_at

if TYPE_CHECKING:
    from datetime import datetime

    from forge_gdpr.forge.erasure import Erasure
    from forge_gdpr.queue.claims import Claimed

#: The verdicts that are outcomes as they stand; ABSENT depends on what was tried before.
_OUTCOMES: Final = {
    Verdict.ERASED: Outcome.ERASED,
    Verdict.ACCEPTED: Outcome.ACCEPTED,
    Verdict.TRANSIENT: Outcome.TRANSIENT,
    Verdict.UNEXPECTED: Outcome.UNEXPECTED,
    Verdict.REJECTED: Outcome.REJECTED,
    Verdict.FORBIDDEN: Outcome.REJECTED,
    Verdict.KEY_REFUSED: Outcome.KEY_REFUSED,
}


#: What is noted of a request that goes back: the next night tries others first, and takes a second
#: refusal for the request's own.
_NOTED: Final = frozenset({Outcome.TRANSIENT, Outcome.REJECTED, Outcome.UNEXPECTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """An attempt's outcome and what becomes of the request."""

    outcome: Outcome | None  #: None: it was given back before Forge said anything
    ended: Ended
    end: End


def outcome_of(erasure: Erasure, *, reached_before: bool) -> Outcome | None:
    """Return an attempt's outcome.

    Args:
        erasure: what the attempt showed.
        reached_before: an earlier attempt of ours may have reached Forge.
    """
    if erasure.verdict is None:
        return None
    if erasure.verdict is Verdict.ABSENT:
        ours = reached_before or erasure.reached
        return Outcome.ABSENT_AFTER_ATTEMPT if ours else Outcome.ALREADY_ABSENT
    return _OUTCOMES[erasure.verdict]


def conclude(
    claimed: Claimed,
    outcome: Outcome | None,
    *,
    counts: bool,
    later: bool = False,
    note: Reason | None = None,
    now: datetime,
    opened_at: datetime,
    max_attempts: int,
    reason: Reason | None = None,
    retry_after_s: float | None = None,
) -> Conclusion:
    """Return what an attempt means for the request.

    Args:
        claimed: the request as it was claimed.
        outcome: what the attempt ended in.
        counts: False if what went wrong is nobody's fault (a dead host, a stop): the request
            goes back as it was, with a note if Forge failed.
        later: what goes back is put off beyond this run.
        note: what is left on it then.
        now: the moment of the answer.
        opened_at: of the run; what is put off is put off beyond it.
        max_attempts: after so many, a person looks.
        reason: why, where the outcome alone does not say it.
        retry_after_s: what Forge asked for.
    """
    consequence = Event.GIVEN_BACK if outcome is None else CONSEQUENCES[outcome]
    if not counts or consequence is Event.GIVEN_BACK:
        back = End(
            id=claimed.id,
            fence=claimed.fence,
            event=Event.GIVEN_BACK,
            reason=note or (outcome if outcome in _NOTED else None),
            attempts=claimed.attempts,
            next_attempt_at=after_this_run(now, opened_at) if later else None,
        )
        return Conclusion(outcome=outcome, ended=Ended.GIVEN_BACK, end=back)
    attempts = claimed.attempts + 1
    again_at = None
    if consequence is Event.DEFERRED:
        if attempts >= max_attempts:
            consequence, reason = Event.SENT_TO_REVIEW, Reason.ATTEMPTS_EXHAUSTED
        elif outcome is Outcome.TRANSIENT:
            again_at = next_attempt_at(attempts=attempts, now=now, retry_after_s=retry_after_s)
        else:  # accepted: the next run looks, this one does not
            again_at = after_this_run(now, opened_at)
    end = End(
        id=claimed.id,
        fence=claimed.fence,
        event=consequence,
        reason=None if consequence is Event.CLOSED else reason or outcome,
        attempts=attempts,
        next_attempt_at=again_at,
    )
    return Conclusion(outcome=outcome, ended=Ended.ANSWERED, end=end)


def crashed(
    claimed: Claimed, *, crashes: int, now: datetime, opened_at: datetime, max_attempts: int
) -> Conclusion:
    """Return what an attempt means that a bug of ours ended: as if the run had died with it.

    Args:
        claimed: the request as it was claimed.
        crashes: of its attempts, this one too, since an operator last let it be tried again.
        now: the moment of the crash.
        opened_at: of the run, which leaves the request alone from now on.
        max_attempts: after so many, a person looks.
    """
    end = reopened(claimed, crashes=crashes, max_attempts=max_attempts)
    if end.status is Status.PENDING:
        end = replace(end, next_attempt_at=after_this_run(now, opened_at))
    return Conclusion(outcome=None, ended=Ended.CRASHED, end=end)


def after_this_run(now: datetime, opened_at: datetime) -> datetime:
    """Return when a request is due again for the next run, and not for the one of ``opened_at``."""
    return max(now, opened_at + timedelta(milliseconds=1))
