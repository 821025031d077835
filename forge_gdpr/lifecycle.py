"""What may become of a request, as two tables. Decides only; does no I/O."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class Status(StrEnum):
    """Where a request stands; the values are what the database holds."""

    PENDING = "pending"
    RUNNING = "running"
    REVIEW = "review"  #: needs a person
    HELD = "held"  #: a person put it on hold
    DONE = "done"
    CANCELLED = "cancelled"
    REFUSED = "refused"


#: Nothing leads out of these.
FINAL: Final = frozenset({Status.DONE, Status.CANCELLED, Status.REFUSED})
OPEN: Final = frozenset(Status) - FINAL


class Event(StrEnum):
    """What can happen to a request."""

    CLAIMED = "claimed"
    CLOSED = "closed"  #: Forge deleted the person, or had no such user: `outcomes` says which
    DEFERRED = "deferred"  #: to be tried again later; the attempt counts
    GIVEN_BACK = "given_back"  #: not this request's fault; the attempt does not count
    LEASE_EXPIRED = "lease_expired"  #: the run that had claimed it died
    SENT_TO_REVIEW = "sent_to_review"
    HELD = "held"
    RELEASED = "released"
    RETRIED = "retried"
    CANCELLED = "cancelled"
    REFUSED = "refused"


#: The whole state machine. A pair that is not here cannot happen.
TRANSITIONS: Final[Mapping[tuple[Status, Event], Status]] = {
    (Status.PENDING, Event.CLAIMED): Status.RUNNING,
    (Status.RUNNING, Event.CLOSED): Status.DONE,
    (Status.RUNNING, Event.DEFERRED): Status.PENDING,
    (Status.RUNNING, Event.GIVEN_BACK): Status.PENDING,
    (Status.RUNNING, Event.LEASE_EXPIRED): Status.PENDING,
    (Status.RUNNING, Event.SENT_TO_REVIEW): Status.REVIEW,
    (Status.PENDING, Event.SENT_TO_REVIEW): Status.REVIEW,  # its row can't be read
    (Status.PENDING, Event.HELD): Status.HELD,
    (Status.HELD, Event.RELEASED): Status.PENDING,
    (Status.REVIEW, Event.RETRIED): Status.PENDING,
    **{
        (status, event): end
        for status in (Status.PENDING, Status.HELD, Status.REVIEW)
        for event, end in (
            (Event.CANCELLED, Status.CANCELLED),
            (Event.REFUSED, Status.REFUSED),
        )
    },
}


class IllegalTransitionError(Exception):
    """An event that cannot happen in this status: a bug of ours."""


def after(status: Status, event: Event) -> Status:
    """Return the status that ``event`` leads to.

    Raises:
        IllegalTransitionError: ``event`` cannot happen in ``status``.
    """
    try:
        return TRANSITIONS[status, event]
    except KeyError:
        raise IllegalTransitionError(f"{event} cannot happen to a {status} request") from None


class Outcome(StrEnum):
    """What an attempt ended in; the values are what the audit holds."""

    ERASED = "erased"
    ABSENT_AFTER_ATTEMPT = "absent_after_attempt"
    ALREADY_ABSENT = "already_absent"
    NOT_FOUND_BY_EMAIL = "not_found_by_email"
    ACCEPTED = "accepted"
    TRANSIENT = "transient"
    UNEXPECTED = "unexpected"
    REJECTED = "rejected"
    INVALID_USER_ID = "invalid_user_id"
    IDENTITY_MISMATCH = "identity_mismatch"
    AMBIGUOUS_EMAIL = "ambiguous_email"
    INVALID_EMAIL = "invalid_email"
    KEY_REFUSED = "key_refused"


#: What each outcome does to the request that was attempted.
CONSEQUENCES: Final[Mapping[Outcome, Event]] = {
    Outcome.ERASED: Event.CLOSED,
    Outcome.ABSENT_AFTER_ATTEMPT: Event.CLOSED,
    Outcome.ALREADY_ABSENT: Event.CLOSED,
    Outcome.NOT_FOUND_BY_EMAIL: Event.CLOSED,
    Outcome.ACCEPTED: Event.DEFERRED,
    Outcome.TRANSIENT: Event.DEFERRED,
    Outcome.UNEXPECTED: Event.SENT_TO_REVIEW,
    Outcome.REJECTED: Event.SENT_TO_REVIEW,
    Outcome.INVALID_USER_ID: Event.SENT_TO_REVIEW,
    Outcome.IDENTITY_MISMATCH: Event.SENT_TO_REVIEW,
    Outcome.AMBIGUOUS_EMAIL: Event.SENT_TO_REVIEW,
    Outcome.INVALID_EMAIL: Event.SENT_TO_REVIEW,
    Outcome.KEY_REFUSED: Event.GIVEN_BACK,
}


#: The ``status_reason`` of a pending request whose last attempt crashed: such requests are claimed
#: last, and one at a time, so that what makes a run crash takes no others with it.
CRASHED: Final = "crashed"


class Reason(StrEnum):
    """Why a request is where it is: ``status_reason``, where the outcome alone does not say it."""

    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    CRASHED_REPEATEDLY = "crashed_repeatedly"
    NO_IDENTIFIER = "no_identifier"
    UNKNOWN_STATUS = "unknown_status"
    UNREADABLE = "unreadable"  #: a cell holds what can't be there: bytes, no time, a huge number
    STILL_PRESENT = "still_present"  #: Forge says that the user is gone, and still has the user
    ABSENCE_NOT_SHOWN = "absence_not_shown"  #: given back: a 404 that nothing bore out
    LOGS_NOT_ERASED = "logs_not_erased"  #: the account is there, and untouched
    ADDRESS_MOVED = "address_moved"  #: the user who was found by e-mail has another one by now
    SENTINEL = "sentinel"  #: the user that shows that the account is ours is never deleted


#: What operators give as a reason, of all their actions.
BY_HAND: Final = frozenset(
    {
        "archiving",
        "authority",
        "ccpa_exception",
        "checked",
        "complexity",
        "dispute",
        "duplicate",
        "expression",
        "hold_over",
        "identity_check",
        "legal_claims",
        "legal_obligation",
        "mended",
        "mistake",
        "not_identified",
        "number",
        "public_health",
        "unfounded",
        "withdrawn",
    }
)
#: What stands for a word of an application that is none of ours: it may name a person.
OTHER: Final = "other"
_REASONS: Final = frozenset({*Outcome, *Reason, CRASHED, *BY_HAND})


def coded(reason: str | None) -> str | None:
    """Return a ``status_reason`` as it may be shown and recorded: a code, never free text."""
    return reason if reason is None or reason in _REASONS else OTHER
