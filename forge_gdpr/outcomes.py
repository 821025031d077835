"""What each outcome means in words: for README, reports, proofs and certificates.

*Erased* is said only of `erased` and `absent_after_attempt`. Whatever else closes a request deleted
nobody, and the words say so. Sentences of this table stand in certificates and exports, which are
verified by telling them again: a changed sentence needs a new format there. Decides only; does no
I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from forge_gdpr.lifecycle import Outcome, Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


#: The event by which Forge's answers end a request.
CLOSED: Final = "request.closed"
_FINISHED: Final = "attempt.finished"
#: The state of a request that erased somebody, and of no other.
ERASED: Final = "erased"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What one outcome means, for README and for people."""

    name: str  #: what it is called, in lower case
    seen: str  #: what Forge answered, or what was seen instead
    becomes: str  #: what the request becomes


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What the end of a request means."""

    state: str  #: for machines
    name: str  #: for people, in lower case
    sentence: str  #: what it means, and no more than that


MEANINGS: Final[Mapping[Outcome, Meaning]] = {
    Outcome.ERASED: Meaning(
        name="erased",
        seen="200 and a JSON object whose `success` is `true`, or 204",
        becomes="is done",
    ),
    Outcome.ABSENT_AFTER_ATTEMPT: Meaning(
        name="erased, absent after an earlier call",
        seen="404 or 410, absence was shown, and an earlier call of ours may have arrived",
        becomes="is done",
    ),
    Outcome.ALREADY_ABSENT: Meaning(
        name="was not there",
        seen="404 or 410, absence was shown, and no earlier call of ours had arrived",
        becomes="is done, counted apart",
    ),
    Outcome.NOT_FOUND_BY_EMAIL: Meaning(
        name="no user with this address was found",
        seen="a whole list of our account, in which nobody has this address, not even nearly",
        becomes="is done, counted apart",
    ),
    Outcome.ACCEPTED: Meaning(
        name="accepted, not confirmed yet",
        seen="202",
        becomes="is looked at again by the next run",
    ),
    Outcome.TRANSIENT: Meaning(
        name="failed for now",
        seen="408, 425, 429, 500, 502, 503, 504, 52x, no connection, or no answer in time",
        becomes="is put off",
    ),
    Outcome.UNEXPECTED: Meaning(
        name="an answer that is not documented",
        seen="a redirect (never followed), any other 2xx, HTML, or a 404 for a user whom Forge's"
        " list still names",
        becomes="needs review",
    ),
    Outcome.REJECTED: Meaning(
        name="rejected by Forge",
        seen="400, 403, 405, 422 or another 4xx",
        becomes="needs review",
    ),
    Outcome.INVALID_USER_ID: Meaning(
        name="not a user id",
        seen="nothing: what does not look like a user id is never sent",
        becomes="needs review",
    ),
    Outcome.IDENTITY_MISMATCH: Meaning(
        name="user id and address of different people",
        seen="user id and address belong to different users at Forge; nobody is deleted",
        becomes="needs review",
    ),
    Outcome.AMBIGUOUS_EMAIL: Meaning(
        name="an address that may be several people's",
        seen="two users have this address, or one has it but for case, Unicode or IDN form; nobody"
        " is deleted",
        becomes="needs review",
    ),
    Outcome.INVALID_EMAIL: Meaning(
        name="not an e-mail address",
        seen="nothing: it is not a single e-mail address",
        becomes="needs review",
    ),
    Outcome.KEY_REFUSED: Meaning(
        name="API key refused",
        seen="401",
        becomes="stays as it was; the run stops",
    ),
}

#: Every way in which a request ends. What is not here is not known to be an end.
ENDINGS: Final[Mapping[str, Ending]] = {
    Outcome.ERASED: Ending(
        state=ERASED,
        name=MEANINGS[Outcome.ERASED].name,
        sentence="Forge confirmed that it deleted the user.",
    ),
    Outcome.ABSENT_AFTER_ATTEMPT: Ending(
        state=ERASED,
        name=MEANINGS[Outcome.ABSENT_AFTER_ATTEMPT].name,
        sentence="Forge no longer has this user. An earlier call of this request, whose answer was"
        " lost, may be what deleted the user.",
    ),
    Outcome.ALREADY_ABSENT: Ending(
        state="was_not_there",
        name=MEANINGS[Outcome.ALREADY_ABSENT].name,
        sentence="The user was not at Forge: no user with this id was found, and no earlier call of"
        " this request had reached Forge. This request deleted nobody.",
    ),
    Outcome.NOT_FOUND_BY_EMAIL: Ending(
        state="not_found_by_email",
        name=MEANINGS[Outcome.NOT_FOUND_BY_EMAIL].name,
        sentence="No user with this address was found in Forge's list of users. This request"
        " deleted nobody.",
    ),
    Status.CANCELLED: Ending(
        state="cancelled",
        name="cancelled",
        sentence="The request was cancelled by a person. This request deleted nobody.",
    ),
    Status.REFUSED: Ending(
        state="refused",
        name="refused",
        sentence="The request was refused by a person. This request deleted nobody.",
    ),
}

#: A request that was closed with an outcome of which this version knows nothing.
_UNKNOWN_STATE: Final = "closed"
#: After these the record should say how absence was shown.
_ABSENT: Final = frozenset(
    {Outcome.ABSENT_AFTER_ATTEMPT, Outcome.ALREADY_ABSENT, Outcome.NOT_FOUND_BY_EMAIL}
)
_NOBODY: Final = frozenset({Outcome.ALREADY_ABSENT, Outcome.NOT_FOUND_BY_EMAIL})
_GONE: Final[Mapping[tuple[object, object], str]] = {
    ("list", "list"): "by Forge's whole list of users",
    ("sentinel", "list"): "by Forge's whole list of users",
    ("list", "get"): "by a look at this user, after Forge had given its whole list of users",
    ("sentinel", "get"): "by a look at this user, between two good answers for the sentinel user",
}
_ACCOUNTS: Final[Mapping[object, str]] = {
    "sentinel": "in an account that has the sentinel user",
    "erased_before": "in an account whose API key had erased somebody before",
    "listed": "in an account that has another user whom a request names",
    "expected": "in an account that an operator vouched for: nothing but the operator's word shows"
    " that it is the right one",
}
_NO_ABSENCE: Final = "How absence was shown is not in the record (older version)."
_ODD_ABSENCE: Final = "Absence was shown in a way that this version does not know."
_LOGS_ERASED: Final = "Forge confirmed that it deleted this user's logs, before the account."
_LOGS_NOT_ASKED_FOR: Final = (
    "Forge was not asked to delete this user's logs (FORGE_GDPR_ERASE_LOGS was off), and keeps"
    " them."
)
_LOGS_NOT_FOUND: Final = (
    "Forge was asked to delete this user's logs and answered that there are none; whether it keeps"
    " some is not known."
)
_LOGS_NOBODY: Final = "No logs were deleted, for no user was found."
_LOGS_UNKNOWN: Final = "What became of this user's logs is not in the record."
#: Sentences that deny something, as they are said where the record may have more events of the
#: request than are at hand.
_BY_THESE_EVENTS: Final[Mapping[str, str]] = {
    ENDINGS[Outcome.ALREADY_ABSENT].sentence: "The user was not at Forge: no user with this id was"
    " found. By these events, no earlier call of this request had reached Forge, and it deleted"
    " nobody.",
    ENDINGS[Outcome.NOT_FOUND_BY_EMAIL].sentence: "No user with this address was found in Forge's"
    " list of users. By these events, this request deleted nobody.",
    ENDINGS[Status.CANCELLED].sentence: "The request was cancelled by a person. By these events, it"
    " deleted nobody.",
    ENDINGS[Status.REFUSED].sentence: "The request was refused by a person. By these events, it"
    " deleted nobody.",
    _LOGS_NOT_ASKED_FOR: "By these events, Forge was not asked to delete this user's logs"
    " (FORGE_GDPR_ERASE_LOGS was off), and keeps them.",
    _LOGS_NOBODY: "By these events, no logs were deleted, for no user was found.",
    _LOGS_UNKNOWN: "What became of this user's logs, these events do not say.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What became of a request that was closed by what Forge answered."""

    name: str
    meaning: str | None
    absence: str | None
    logs: str | None

    @property
    def sentences(self) -> list[str]:
        """All of it that is told in sentences."""
        return [text for text in (self.meaning, self.absence, self.logs) if text is not None]


def state_of(outcome: object) -> str:
    """Return what an end is called for machines; it says ``erased`` only where somebody was."""
    ending = ENDINGS.get(str(outcome))
    return _UNKNOWN_STATE if ending is None else ending.state


def name_of(outcome: object) -> str:
    """Return what an end is called for people: its own code, if nothing is known of it."""
    ending = ENDINGS.get(str(outcome))
    return str(outcome or _UNKNOWN_STATE) if ending is None else ending.name


def meaning_of(outcome: object) -> str | None:
    """Return what an end means, None if nothing is known of it."""
    ending = ENDINGS.get(str(outcome))
    return None if ending is None else ending.sentence


def by_these_events(sentence: str | None) -> str | None:
    """Return a sentence as it is true of some events of a request, of which there may be more."""
    return None if sentence is None else _BY_THESE_EVENTS.get(sentence, sentence)


def absence_in(closing: Mapping[str, Any]) -> str | None:
    """Return how absence was shown, None where a request was closed without it.

    Args:
        closing: the body of a ``request.closed``; its ``absence`` is missing in older records.
    """
    absence = closing.get("absence")
    if absence is None:
        return _NO_ABSENCE if str(closing.get("outcome")) in _ABSENT else None
    if not isinstance(absence, dict):
        return _ODD_ABSENCE
    paths, gone, account = (str(absence.get(name)) for name in ("paths", "gone", "account"))
    if (paths, gone) not in _GONE or account not in _ACCOUNTS:
        return _ODD_ABSENCE
    return f"Absence was shown {_GONE[paths, gone]}, {_ACCOUNTS[account]}."


def logs_in(events: Sequence[Mapping[str, Any]]) -> str | None:
    """Return what became of the user's logs, None where Forge's answers closed no request.

    An attempt goes past its logs only where Forge confirmed their deletion; older versions went on
    after a 404, too.

    Args:
        events: the bodies of a request's events: its ``request.closed``, which in older records
            has no ``steps``, and each ``attempt.finished``.
    """
    closing = closing_in(events)
    if closing is None:
        return None
    outcome, done = str(closing.get("outcome")), closing.get("steps")
    if outcome in _NOBODY:
        return _LOGS_NOBODY
    if state_of(outcome) != ERASED:
        return _LOGS_UNKNOWN
    attempts = [body for body in events if body.get("event") == _FINISHED]
    passed = [status for body in attempts for status in _passed_logs(body)]
    erased = outcome == Outcome.ERASED
    if any(_is_success(status) for status in passed) or (erased and _names(done, "logs")):
        return _LOGS_ERASED
    if passed:
        return _LOGS_NOT_FOUND
    if erased and isinstance(done, list):
        return _LOGS_NOT_ASKED_FOR
    # Of an absent user any of the attempts may have deleted the account.
    judged = [body for body in attempts if not erased or body.get("status") == Status.DONE]
    if judged and all(_asked_for_no_logs(body) for body in judged):
        return _LOGS_NOT_ASKED_FOR
    return _LOGS_UNKNOWN


def closing_in(events: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the body of the newest ``request.closed`` among a request's events."""
    closings = [body for body in events if body.get("event") == CLOSED]
    return closings[-1] if closings else None


def fate_of(events: Sequence[Mapping[str, Any]]) -> Fate | None:
    """Return what became of a request that was closed by what Forge answered; None of any other.

    Args:
        events: as for `logs_in`.
    """
    closing = closing_in(events)
    if closing is None:
        return None
    outcome = closing.get("outcome")
    return Fate(
        name=name_of(outcome),
        meaning=meaning_of(outcome),
        absence=absence_in(closing),
        logs=logs_in(events),
    )


def steps_in(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the steps of an ``attempt.finished``; a ``request.closed`` has only their names."""
    steps = body.get("steps")
    return [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []


def _passed_logs(attempt: Mapping[str, Any]) -> list[object]:
    """Return the answer for the logs, if the attempt went on after it."""
    steps = steps_in(attempt)
    return [
        step.get("http_status")
        for step, after in pairwise(steps)
        if (step.get("name"), after.get("name")) == ("logs", "account")
    ]


def _asked_for_no_logs(attempt: Mapping[str, Any]) -> bool:
    names = [step.get("name") for step in steps_in(attempt)]
    if names:
        return "logs" not in names
    return attempt.get("ended") != "crashed" and not attempt.get("reached")  # no call was made


def _names(steps: object, name: str) -> bool:
    return isinstance(steps, list) and name in steps


def _is_success(status: object) -> bool:
    return isinstance(status, int) and HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
