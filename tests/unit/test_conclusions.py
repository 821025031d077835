"""What an attempt means for its request."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from builders import NOW, make_claimed, make_erasure, moderately
from hypothesis import given
from hypothesis import strategies as st

from forge_gdpr.answers import Verdict
from forge_gdpr.audit.events import Ended
from forge_gdpr.lifecycle import Event, Outcome, Reason, Status
from forge_gdpr.queue.claims import End
from forge_gdpr.run.conclusions import Conclusion, conclude, outcome_of

OPENED_AT = NOW - timedelta(minutes=5)
#: What `make_claimed` becomes when its attempt counts for nothing.
GIVEN_BACK = End(id=7, fence=3, event=Event.GIVEN_BACK, reason=None, attempts=2)
IN_AN_HOUR = NOW + timedelta(hours=1)


def concluded(
    outcome: Outcome | None,
    *,
    attempts: int = 2,
    counts: bool = True,
    later: bool = False,
    max_attempts: int = 30,
    reason: Reason | None = None,
    retry_after_s: float | None = None,
    opened_at: datetime = OPENED_AT,
) -> Conclusion:
    return conclude(
        make_claimed(attempts=attempts),
        outcome,
        counts=counts,
        later=later,
        now=NOW,
        opened_at=opened_at,
        max_attempts=max_attempts,
        reason=reason,
        retry_after_s=retry_after_s,
    )


@pytest.mark.parametrize("reached_before", [False, True])
@pytest.mark.parametrize("reached", [False, True])
@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [
        (None, None),
        (Verdict.ERASED, Outcome.ERASED),
        (Verdict.ACCEPTED, Outcome.ACCEPTED),
        (Verdict.TRANSIENT, Outcome.TRANSIENT),
        (Verdict.UNEXPECTED, Outcome.UNEXPECTED),
        (Verdict.REJECTED, Outcome.REJECTED),
        (Verdict.FORBIDDEN, Outcome.REJECTED),
        (Verdict.KEY_REFUSED, Outcome.KEY_REFUSED),
    ],
)
def test_a_verdict_is_its_outcome_whatever_was_before(
    verdict: Verdict | None, outcome: Outcome | None, reached: bool, reached_before: bool
) -> None:
    erasure = make_erasure(verdict=verdict, reached=reached)
    assert outcome_of(erasure, reached_before=reached_before) is outcome


@pytest.mark.parametrize(
    ("reached", "reached_before", "outcome"),
    [
        pytest.param(False, False, Outcome.ALREADY_ABSENT, id="never reached"),
        pytest.param(True, False, Outcome.ABSENT_AFTER_ATTEMPT, id="a try before"),
        pytest.param(False, True, Outcome.ABSENT_AFTER_ATTEMPT, id="an attempt before"),
        pytest.param(True, True, Outcome.ABSENT_AFTER_ATTEMPT, id="both before"),
    ],
)
def test_an_absent_user_may_be_gone_by_our_doing(
    reached: bool, reached_before: bool, outcome: Outcome
) -> None:
    erasure = make_erasure(verdict=Verdict.ABSENT, http_status=404, reached=reached)
    assert outcome_of(erasure, reached_before=reached_before) is outcome


def test_every_verdict_but_an_unproved_one_has_an_outcome() -> None:
    found = [
        outcome_of(make_erasure(verdict=verdict), reached_before=False)
        for verdict in Verdict
        if verdict is not Verdict.FORBIDDEN
    ]
    assert len(set(found)) == len(Verdict) - 1
    assert None not in found


#: What each outcome of the third attempt makes of the request.
ENDS = {
    Outcome.ERASED: (Event.CLOSED, None, None),
    Outcome.ABSENT_AFTER_ATTEMPT: (Event.CLOSED, None, None),
    Outcome.ALREADY_ABSENT: (Event.CLOSED, None, None),
    Outcome.NOT_FOUND_BY_EMAIL: (Event.CLOSED, None, None),
    Outcome.ACCEPTED: (Event.DEFERRED, "accepted", NOW),
    Outcome.TRANSIENT: (Event.DEFERRED, "transient", IN_AN_HOUR),
    Outcome.UNEXPECTED: (Event.SENT_TO_REVIEW, "unexpected", None),
    Outcome.REJECTED: (Event.SENT_TO_REVIEW, "rejected", None),
    Outcome.INVALID_USER_ID: (Event.SENT_TO_REVIEW, "invalid_user_id", None),
    Outcome.IDENTITY_MISMATCH: (Event.SENT_TO_REVIEW, "identity_mismatch", None),
    Outcome.AMBIGUOUS_EMAIL: (Event.SENT_TO_REVIEW, "ambiguous_email", None),
    Outcome.INVALID_EMAIL: (Event.SENT_TO_REVIEW, "invalid_email", None),
}


@pytest.mark.parametrize("outcome", ENDS)
def test_an_outcome_decides_what_becomes_of_the_request(outcome: Outcome) -> None:
    event, reason, again_at = ENDS[outcome]
    assert concluded(outcome) == Conclusion(
        outcome=outcome,
        ended=Ended.ANSWERED,
        end=End(id=7, fence=3, event=event, reason=reason, attempts=3, next_attempt_at=again_at),
    )


def test_without_a_reason_or_a_wish_of_forge_the_outcome_says_it_all() -> None:
    conclusion = conclude(
        make_claimed(),
        Outcome.TRANSIENT,
        counts=True,
        now=NOW,
        opened_at=OPENED_AT,
        max_attempts=30,
    )
    assert conclusion == concluded(Outcome.TRANSIENT)


@pytest.mark.parametrize("counts", [False, True])
@pytest.mark.parametrize("outcome", [None, Outcome.KEY_REFUSED])
def test_what_never_says_anything_about_the_person_gives_the_request_back(
    outcome: Outcome | None, counts: bool
) -> None:
    assert concluded(
        outcome, counts=counts, reason=Reason.STILL_PRESENT, retry_after_s=7200.0, max_attempts=1
    ) == Conclusion(outcome=outcome, ended=Ended.GIVEN_BACK, end=GIVEN_BACK)


def test_every_outcome_is_in_one_of_the_tables() -> None:
    assert {*ENDS, Outcome.KEY_REFUSED} == set(Outcome)


#: What is noted of a request that goes back, so that the next night tries others first.
NOTED = {
    Outcome.TRANSIENT: "transient",
    Outcome.REJECTED: "rejected",
    Outcome.UNEXPECTED: "unexpected",
}


@pytest.mark.parametrize("max_attempts", [1, 30])
@pytest.mark.parametrize("outcome", Outcome)
def test_what_is_nobodys_fault_gives_the_request_back_with_no_more_than_a_note(
    outcome: Outcome, max_attempts: int
) -> None:
    assert concluded(
        outcome,
        counts=False,
        reason=Reason.STILL_PRESENT,
        retry_after_s=7200.0,
        max_attempts=max_attempts,
    ) == Conclusion(
        outcome=outcome,
        ended=Ended.GIVEN_BACK,
        end=replace(GIVEN_BACK, reason=NOTED.get(outcome)),
    )


@pytest.mark.parametrize(
    ("opened_at", "again_at"),
    [
        pytest.param(OPENED_AT, NOW, id="long before"),
        pytest.param(NOW - timedelta(milliseconds=1), NOW, id="a millisecond before"),
        pytest.param(NOW, NOW + timedelta(milliseconds=1), id="at that very moment"),
        pytest.param(
            NOW + timedelta(seconds=1), NOW + timedelta(seconds=1.001), id="by a clock ahead"
        ),
    ],
)
@pytest.mark.parametrize("counts", [False, True])
def test_what_goes_back_for_later_is_not_due_again_in_this_run(
    counts: bool, opened_at: datetime, again_at: datetime
) -> None:
    assert concluded(None, counts=counts, later=True, opened_at=opened_at) == Conclusion(
        outcome=None,
        ended=Ended.GIVEN_BACK,
        end=replace(GIVEN_BACK, next_attempt_at=again_at),
    )


def test_a_note_and_later_go_together() -> None:
    end = concluded(Outcome.TRANSIENT, counts=False, later=True).end
    assert end == replace(GIVEN_BACK, reason="transient", next_attempt_at=NOW)


@pytest.mark.parametrize("outcome", ENDS)
def test_what_counts_is_not_put_off_by_later(outcome: Outcome) -> None:
    assert concluded(outcome, later=True) == concluded(outcome)


@pytest.mark.parametrize("outcome", [Outcome.TRANSIENT, Outcome.ACCEPTED])
@pytest.mark.parametrize(
    ("attempts", "status"),
    [
        pytest.param(0, Status.PENDING, id="the first"),
        pytest.param(28, Status.PENDING, id="the last but one"),
        pytest.param(29, Status.REVIEW, id="the last"),
        pytest.param(30, Status.REVIEW, id="one more than allowed"),
    ],
)
def test_after_the_last_attempt_a_person_looks(
    outcome: Outcome, attempts: int, status: Status
) -> None:
    assert concluded(outcome, attempts=attempts).end.status is status


@pytest.mark.parametrize("outcome", [Outcome.TRANSIENT, Outcome.ACCEPTED])
def test_the_reason_is_then_that_attempts_are_exhausted(outcome: Outcome) -> None:
    assert concluded(outcome, max_attempts=3, retry_after_s=7200.0) == Conclusion(
        outcome=outcome,
        ended=Ended.ANSWERED,
        end=End(
            id=7,
            fence=3,
            event=Event.SENT_TO_REVIEW,
            reason="attempts_exhausted",
            attempts=3,
            next_attempt_at=None,
        ),
    )


def test_a_last_attempt_that_erases_still_closes() -> None:
    assert concluded(Outcome.ERASED, max_attempts=1).end.status is Status.DONE


@pytest.mark.parametrize(
    ("outcome", "reason", "expected"),
    [
        (Outcome.UNEXPECTED, Reason.STILL_PRESENT, "still_present"),
        (Outcome.UNEXPECTED, Reason.LOGS_NOT_ERASED, "logs_not_erased"),
        (Outcome.UNEXPECTED, Reason.ADDRESS_MOVED, "address_moved"),
        (Outcome.REJECTED, Reason.LOGS_NOT_ERASED, "logs_not_erased"),
        (Outcome.INVALID_USER_ID, Reason.NO_IDENTIFIER, "no_identifier"),
        (Outcome.INVALID_USER_ID, Reason.SENTINEL, "sentinel"),
        (Outcome.ERASED, Reason.STILL_PRESENT, None),
    ],
)
def test_a_reason_says_more_than_the_outcome(
    outcome: Outcome, reason: Reason, expected: str | None
) -> None:
    assert concluded(outcome, reason=reason).end.reason == expected


@pytest.mark.parametrize(
    ("asked_s", "again_at"),
    [
        pytest.param(60.5, IN_AN_HOUR, id="less than the deferral"),
        pytest.param(7200.0, NOW + timedelta(hours=2), id="more than the deferral"),
    ],
)
def test_a_deferred_request_waits_as_long_as_forge_asks(asked_s: float, again_at: datetime) -> None:
    assert concluded(Outcome.TRANSIENT, retry_after_s=asked_s).end.next_attempt_at == again_at


@pytest.mark.parametrize(
    ("opened_at", "again_at"),
    [
        pytest.param(OPENED_AT, NOW, id="long before"),
        pytest.param(NOW - timedelta(milliseconds=1), NOW, id="a millisecond before"),
        pytest.param(NOW, NOW + timedelta(milliseconds=1), id="at that very moment"),
    ],
)
def test_an_accepted_deletion_is_looked_at_by_the_next_run_not_by_this_one(
    opened_at: datetime, again_at: datetime
) -> None:
    again = concluded(Outcome.ACCEPTED, opened_at=opened_at, retry_after_s=7200.0)
    assert again.end.next_attempt_at == again_at


@moderately
@given(
    outcome=st.none() | st.sampled_from(Outcome),
    attempts=st.integers(0, 40),
    counts=st.booleans(),
    later=st.booleans(),
    asked_s=st.none() | st.floats(0.0, 1e6),
)
def test_an_attempt_counts_once_or_not_at_all_and_is_never_tried_again_tonight(
    outcome: Outcome | None, attempts: int, counts: bool, later: bool, asked_s: float | None
) -> None:
    conclusion = concluded(
        outcome, attempts=attempts, counts=counts, later=later, retry_after_s=asked_s
    )
    end = conclusion.end
    gave_back = conclusion.ended is Ended.GIVEN_BACK
    assert end.attempts == attempts + (not gave_back)
    is_put_off = end.event is Event.DEFERRED or (later and gave_back)
    assert (end.next_attempt_at is not None) is is_put_off
    assert end.next_attempt_at is None or end.next_attempt_at > OPENED_AT
    assert (end.id, end.fence, conclusion.outcome) == (7, 3, outcome)
    assert (end.event is Event.GIVEN_BACK) is gave_back
