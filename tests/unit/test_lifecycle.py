"""What may become of a request."""

import re
from itertools import product

import pytest

from forge_gdpr.desk.actions import ACTIONS
from forge_gdpr.lifecycle import (
    BY_HAND,
    CONSEQUENCES,
    CRASHED,
    FINAL,
    OPEN,
    TRANSITIONS,
    Event,
    IllegalTransitionError,
    Outcome,
    Reason,
    Status,
    after,
    coded,
)

#: Written out from the contract, not from the code.
ALLOWED = {
    ("pending", "claimed"): "running",
    ("pending", "sent_to_review"): "review",
    ("pending", "held"): "held",
    ("pending", "cancelled"): "cancelled",
    ("pending", "refused"): "refused",
    ("running", "closed"): "done",
    ("running", "deferred"): "pending",
    ("running", "given_back"): "pending",
    ("running", "lease_expired"): "pending",
    ("running", "sent_to_review"): "review",
    ("held", "released"): "pending",
    ("held", "cancelled"): "cancelled",
    ("held", "refused"): "refused",
    ("review", "retried"): "pending",
    ("review", "cancelled"): "cancelled",
    ("review", "refused"): "refused",
}
PAIRS = list(product(Status, Event))
IMPOSSIBLE = [pair for pair in PAIRS if (pair[0].value, pair[1].value) not in ALLOWED]

#: The contract's table: what each outcome makes of the request.
BECOMES = {
    "erased": "done",
    "absent_after_attempt": "done",
    "already_absent": "done",
    "not_found_by_email": "done",
    "accepted": "pending",
    "transient": "pending",
    "unexpected": "review",
    "rejected": "review",
    "invalid_user_id": "review",
    "identity_mismatch": "review",
    "ambiguous_email": "review",
    "invalid_email": "review",
    "key_refused": "pending",
}


def test_the_statuses_are_the_contracts() -> None:
    assert [status.value for status in Status] == [
        "pending",
        "running",
        "review",
        "held",
        "done",
        "cancelled",
        "refused",
    ]


def test_the_transitions_are_the_contracts() -> None:
    assert {(s.value, e.value): end.value for (s, e), end in TRANSITIONS.items()} == ALLOWED


@pytest.mark.parametrize(("pair", "end"), ALLOWED.items(), ids=[" ".join(p) for p in ALLOWED])
def test_a_pair_in_the_table_leads_to_its_status(pair: tuple[str, str], end: str) -> None:
    assert after(Status(pair[0]), Event(pair[1])) is Status(end)


@pytest.mark.parametrize(("status", "event"), IMPOSSIBLE, ids=[f"{s} {e}" for s, e in IMPOSSIBLE])
def test_a_pair_that_is_not_in_the_table_cannot_happen(status: Status, event: Event) -> None:
    told = re.escape(f"{event.value} cannot happen to a {status.value} request")
    with pytest.raises(IllegalTransitionError, match=f"^{told}$") as caught:
        after(status, event)
    assert caught.value.__suppress_context__


def test_nothing_leads_out_of_an_end() -> None:
    assert {Status.DONE, Status.CANCELLED, Status.REFUSED} == FINAL
    assert not [status for status, _ in TRANSITIONS if status in FINAL]


def test_every_open_status_leads_to_an_end() -> None:
    assert {Status.PENDING, Status.RUNNING, Status.REVIEW, Status.HELD} == OPEN
    ending = set(FINAL)
    for _ in Status:
        ending |= {status for (status, _), end in TRANSITIONS.items() if end in ending}
    assert ending == set(Status)


def test_every_status_can_be_reached() -> None:
    reached = {Status.PENDING}
    for _ in Status:
        reached |= {end for (status, _), end in TRANSITIONS.items() if status in reached}
    assert reached == set(Status)


def test_every_event_can_happen() -> None:
    assert {event for _, event in TRANSITIONS} == set(Event)


def test_every_outcome_has_its_consequence() -> None:
    assert {
        outcome.value: after(Status.RUNNING, event).value for outcome, event in CONSEQUENCES.items()
    } == BECOMES
    assert set(CONSEQUENCES) == set(Outcome)


def test_only_a_refused_key_leaves_the_attempt_uncounted() -> None:
    assert [o for o, event in CONSEQUENCES.items() if event is Event.GIVEN_BACK] == [
        Outcome.KEY_REFUSED
    ]


def test_the_reasons_have_their_names() -> None:
    assert [reason.value for reason in Reason] == [
        "attempts_exhausted",
        "crashed_repeatedly",
        "no_identifier",
        "unknown_status",
        "unreadable",
        "still_present",
        "absence_not_shown",
        "logs_not_erased",
        "address_moved",
        "sentinel",
    ]


def test_codes_fit_their_columns() -> None:
    assert max(map(len, Status)) <= 16
    assert max(map(len, [*Reason, *Outcome])) <= 64
    assert max(map(len, Outcome)) <= 32


def test_a_reason_is_never_mistaken_for_an_outcome() -> None:
    assert not set(map(str, Reason)) & set(map(str, Outcome))


def test_a_reason_is_a_code_or_is_not_shown() -> None:
    for reason in (*Outcome, *Reason, CRASHED, *BY_HAND):
        assert coded(reason) == reason
    assert coded(None) is None
    assert {coded(text) for text in ("", "Ada Lovelace", "Erased", "ada_lovelace")} == {"other"}


def test_the_codes_of_operators_are_those_of_their_actions() -> None:
    assert {code for action in ACTIONS.values() for code in action.reasons} == BY_HAND
