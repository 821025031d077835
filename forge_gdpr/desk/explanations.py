"""Why a request is not done yet, and what would change it, as one sentence. Decides only.

Of one that is done, what became of it: by the words of `outcomes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from forge_gdpr.desk.actions import ACTIONS
from forge_gdpr.lifecycle import CRASHED, Outcome, Reason, Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forge_gdpr.outcomes import Fate

#: How a request's identifiers are corrected, on record.
_AMEND_ID: Final = "'forge-gdpr requests amend {id} --user-id -'"
_AMEND_TO_ID: Final = "'forge-gdpr requests amend {id} --user-id - --no-email'"

#: Why a person is needed, and what the person does.
REVIEWS: Final[Mapping[str, str]] = {
    Outcome.UNEXPECTED: "Forge's answer was none of the documented ones: ask Forge's support, then",
    Outcome.REJECTED: "Forge refuses to delete this user: see the HTTP status in"
    " 'requests show {id}', then",
    Outcome.INVALID_USER_ID: "its user id does not look like one, or could change a URL's path, and"
    f" is never sent: correct it with {_AMEND_ID}, then",
    Outcome.IDENTITY_MISMATCH: "its user id and its e-mail belong to different people at Forge, so"
    f" nobody was deleted: find out who is meant, correct the wrong one with {_AMEND_ID} or"
    " --email -, then",
    Reason.ATTEMPTS_EXHAUSTED: "it was tried as often as MAX_ATTEMPTS allows: see"
    " 'requests show {id}', then",
    Reason.CRASHED_REPEATEDLY: "several runs died while they worked on it: look into their logs,"
    " then",
    Outcome.AMBIGUOUS_EMAIL: "several users at Forge have its e-mail, or one has it in another"
    " spelling, so nobody was deleted: find out who is meant and name the id alone with"
    f" {_AMEND_TO_ID}, then",
    Outcome.INVALID_EMAIL: "its e-mail is not a single mail address: correct it with"
    " 'forge-gdpr requests amend {id} --email -', then",
    Reason.NO_IDENTIFIER: "it names nobody, neither by id nor by e-mail: say who is meant with"
    f" {_AMEND_ID} or --email -, then",
    Reason.UNKNOWN_STATUS: "its application wrote a status that does not exist: see why, then",
    Reason.UNREADABLE: "its row holds what can't be read, such as bytes instead of text, an"
    " impossible time or a number out of range: correct the row, then",
    Reason.STILL_PRESENT: "Forge says that this user is gone, and still has the user: ask Forge's"
    " support, then",
    Reason.SENTINEL: "it names the user of FORGE_GDPR_SENTINEL_USER_ID, who is never deleted:"
    f" cancel it, or correct the id with {_AMEND_ID}, then",
    Reason.LOGS_NOT_ERASED: "Forge did not delete this user's logs, so the account was left as it"
    " is: ask Forge's support, or switch FORGE_GDPR_ERASE_LOGS off, then",
    Reason.ADDRESS_MOVED: "the user who had its e-mail has another one by now, so nobody was"
    f" deleted: find out who is meant and name the id alone with {_AMEND_TO_ID}, then",
}
#: What the last night left on a request that went back as it was.
NOTES: Final[Mapping[str, str]] = {
    Outcome.TRANSIENT: "last time Forge failed at every call",
    Outcome.REJECTED: "last time Forge refused one after the other",
    Outcome.UNEXPECTED: "last time Forge refused one after the other",
    Reason.ABSENCE_NOT_SHOWN: "last time Forge knew no such user, and nothing showed that this was"
    " true: see 'forge-gdpr doctor'",
}
_WAITS: Final[Mapping[str, str]] = {
    Outcome.TRANSIENT: "Forge failed when it was tried last",
    CRASHED: "the last run crashed while it worked on it",
    Outcome.ACCEPTED: "Forge accepted the deletion and has not confirmed it yet",
}

#: So many requests are named, then it is said how many more there are.
_NAMED: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a request; nothing of the person."""

    id: int
    status: str
    reason: str | None
    received_at: datetime | None  #: None: it can't be read
    not_before: datetime | None = None
    next_attempt_at: datetime | None = None
    claimed_by: str | None = None
    is_approved: bool = False
    closed_at: datetime | None = None
    fate: Fate | None = None  #: of one that Forge's answers closed, from the record
    removed: bool = False  #: only the record knows it still
    unreadable: Sequence[str] = ()  #: the columns that a run needs and that can't be read
    held_by: Sequence[int] = ()  #: requests of the same person that are on hold


def explained(facts: Facts, *, now: datetime, cool_off_days: int, approved_only: bool) -> str:
    """Return the sentence; of a request that is done also what it means.

    Args:
        facts: the request.
        now: the database's clock.
        cool_off_days: COOL_OFF_DAYS.
        approved_only: REQUIRE_APPROVAL.
    """
    match facts.status:
        case Status.PENDING:
            said = _pending(facts, now, cool_off_days, approved_only=approved_only)
        case Status.RUNNING:
            said = (
                f"is being worked on by run {facts.claimed_by}; if that has died, the next run"
                " takes it over when its lease ends"
            )
        case Status.HELD:
            meaning = ACTIONS["hold"].reasons.get(facts.reason or "", facts.reason or "no reason")
            said = f"is on hold ({meaning}): 'forge-gdpr requests release {facts.id}' ends that"
        case Status.REVIEW:
            said = f"needs a person: {_review(facts)} 'forge-gdpr requests retry {facts.id}'"
        case Status.DONE:
            name = "closed" if facts.fate is None else facts.fate.name
            said = f"is done since {_minute(facts.closed_at)}: {name}"
        case Status.CANCELLED | Status.REFUSED:
            said = (
                f"was {facts.status} at {_minute(facts.closed_at)} ({facts.reason}): that is final"
            )
        case _:
            said = f"has the unknown status {facts.status!r}: the next run sends it to review"
    kept = f"; only the record has it: 'forge-gdpr audit list --request {facts.id}'"
    first = f"request {facts.id} {said}{kept if facts.removed else ''}"
    sentences = [] if facts.fate is None else facts.fate.sentences
    return f"{first}. {' '.join(sentences)}" if sentences else first


def _review(facts: Facts) -> str:
    why = REVIEWS.get(facts.reason or "")
    if why is None:
        return f"a person has to look ({facts.reason}):"
    if facts.unreadable:
        why = why.replace("correct the row", f"correct {' and '.join(facts.unreadable)}")
    return why.replace("{id}", str(facts.id))


def numbered(ids: Sequence[int]) -> str:
    """Return ``request 17``, or ``requests 17, 18 and 19``; of many the first, and how many more.

    Args:
        ids: one at least.
    """
    *before, last = [str(request_id) for request_id in ids[:_NAMED]]
    if len(ids) > _NAMED:
        before, last = [*before, last], f"{len(ids) - _NAMED} more"
    return f"requests {', '.join(before)} and {last}" if before else f"request {last}"


def _pending(facts: Facts, now: datetime, cool_off_days: int, *, approved_only: bool) -> str:
    if facts.unreadable or facts.received_at is None:
        return f"can't be read ({', '.join(facts.unreadable)}): the next run sends it to review"
    cool_off = timedelta(days=cool_off_days)
    free_at = min(facts.received_at, datetime.max.replace(tzinfo=UTC) - cool_off) + cool_off
    if facts.held_by:
        is_or_are = "is" if len(facts.held_by) == 1 else "are"
        ids = " ".join(map(str, facts.held_by[:_NAMED]))
        return (
            f"waits: {numbered(facts.held_by)} of the same person {is_or_are} on hold;"
            f" 'forge-gdpr requests release {ids}' ends that"
        )
    if facts.next_attempt_at is not None and facts.next_attempt_at > now:
        why = _WAITS.get(facts.reason or "", "it was put off")
        return f"waits: {why}; a run after {_minute(facts.next_attempt_at)} tries again"
    if facts.not_before is not None and facts.not_before > now:
        return f"waits: its asker wants it untouched until {_minute(facts.not_before)}"
    if free_at > now:
        return f"waits: it cools off until {_minute(free_at)} (FORGE_GDPR_COOL_OFF_DAYS)"
    if approved_only and not facts.is_approved:
        return f"waits for approval: 'forge-gdpr requests approve {facts.id}', by somebody else"
    last = NOTES.get(facts.reason or "")
    return f"is due: the next 'forge-gdpr run' takes it{f' ({last})' if last else ''}"


def _minute(at: datetime | None) -> str:
    return "an unknown time" if at is None else f"{at:%Y-%m-%d %H:%M} UTC"
