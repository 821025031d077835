"""One sentence for every status and every reason there is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from forge_gdpr.desk.actions import ACTIONS
from forge_gdpr.desk.explanations import NOTES, REVIEWS, Facts, explained, numbered
from forge_gdpr.lifecycle import CONSEQUENCES, Event, Reason, Status
from forge_gdpr.outcomes import Fate

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ERASED = Fate(name="erased", meaning="It is.", absence=None, logs="Logs too.")
UNKNOWN = Fate(name="from_the_future", meaning=None, absence=None, logs=None)
LATER = NOW + timedelta(hours=3)


def sentence(*, cool_off_days: int = 0, approved_only: bool = False, **changes: Any) -> str:
    given: dict[str, Any] = {"id": 17, "status": "pending", "reason": None, "received_at": NOW}
    facts = Facts(**given | changes)
    return explained(facts, now=NOW, cool_off_days=cool_off_days, approved_only=approved_only)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({}, "is due: the next 'forge-gdpr run' takes it", id="due"),
        pytest.param(
            {"next_attempt_at": LATER, "reason": "transient"},
            "waits: Forge failed when it was tried last; a run after 2026-03-01 15:00 UTC tries"
            " again",
            id="backoff",
        ),
        pytest.param(
            {"next_attempt_at": LATER, "reason": "accepted"},
            "waits: Forge accepted the deletion and has not confirmed it yet; a run after"
            " 2026-03-01 15:00 UTC tries again",
            id="accepted",
        ),
        pytest.param(
            {"next_attempt_at": LATER},
            "waits: it was put off; a run after 2026-03-01 15:00 UTC tries again",
            id="put off",
        ),
        pytest.param(
            {"not_before": LATER},
            "waits: its asker wants it untouched until 2026-03-01 15:00 UTC",
            id="not before",
        ),
        pytest.param(
            {"next_attempt_at": NOW, "not_before": NOW},
            "is due: the next 'forge-gdpr run' takes it",
            id="waited to this moment",
        ),
        pytest.param(
            {"cool_off_days": 2},
            "waits: it cools off until 2026-03-03 12:00 UTC (FORGE_GDPR_COOL_OFF_DAYS)",
            id="cool-off",
        ),
        pytest.param(
            {"held_by": [12], "not_before": LATER},
            "waits: request 12 of the same person is on hold; 'forge-gdpr requests release 12' ends"
            " that",
            id="another request on hold",
        ),
        pytest.param(
            {"held_by": [12, 14], "approved_only": True},
            "waits: requests 12 and 14 of the same person are on hold; 'forge-gdpr requests release"
            " 12 14' ends that",
            id="several others on hold",
        ),
        pytest.param(
            {"approved_only": True},
            "waits for approval: 'forge-gdpr requests approve 17', by somebody else",
            id="not approved",
        ),
        pytest.param(
            {"approved_only": True, "is_approved": True},
            "is due: the next 'forge-gdpr run' takes it",
            id="approved",
        ),
        pytest.param(
            {"status": "running", "claimed_by": "019a"},
            "is being worked on by run 019a; if that has died, the next run takes it over when"
            " its lease ends",
            id="running",
        ),
        pytest.param(
            {"status": "held", "reason": "dispute"},
            "is on hold (the request itself is disputed): 'forge-gdpr requests release 17' ends"
            " that",
            id="held",
        ),
        pytest.param(
            {"status": "held"},
            "is on hold (no reason): 'forge-gdpr requests release 17' ends that",
            id="held by its application",
        ),
        pytest.param(
            {"status": "review", "reason": "rejected"},
            "needs a person: Forge refuses to delete this user: see the HTTP status in"
            " 'requests show 17', then 'forge-gdpr requests retry 17'",
            id="review",
        ),
        pytest.param(
            {"status": "review", "reason": "new"},
            "needs a person: a person has to look (new): 'forge-gdpr requests retry 17'",
            id="a reason nobody knows",
        ),
        pytest.param(
            {"status": "review", "reason": "{x}"},
            "needs a person: a person has to look ({x}): 'forge-gdpr requests retry 17'",
            id="a reason that looks like a format",
        ),
        pytest.param(
            {"status": "review", "reason": "unreadable", "unreadable": ["regime", "fence"]},
            "needs a person: its row holds what can't be read, such as bytes instead of text, an"
            " impossible time or a number out of range: correct regime and fence, then"
            " 'forge-gdpr requests retry 17'",
            id="unreadable",
        ),
        pytest.param(
            {"unreadable": ["fence", "email"]},
            "can't be read (fence, email): the next run sends it to review",
            id="unreadable, not seen yet",
        ),
        pytest.param(
            {"received_at": datetime(9999, 12, 31, tzinfo=UTC), "cool_off_days": 30},
            "waits: it cools off until 9999-12-31 23:59 UTC (FORGE_GDPR_COOL_OFF_DAYS)",
            id="received at the end of time",
        ),
        pytest.param(
            {"status": "done", "closed_at": NOW, "fate": ERASED},
            "is done since 2026-03-01 12:00 UTC: erased. It is. Logs too.",
            id="done",
        ),
        pytest.param(
            {"status": "done", "closed_at": NOW, "fate": UNKNOWN},
            "is done since 2026-03-01 12:00 UTC: from_the_future",
            id="done, nobody knows how",
        ),
        pytest.param(
            {"status": "done", "closed_at": NOW, "fate": ERASED, "removed": True},
            "is done since 2026-03-01 12:00 UTC: erased; only the record has it:"
            " 'forge-gdpr audit list --request 17'. It is. Logs too.",
            id="removed",
        ),
        pytest.param(
            {"status": "done"}, "is done since an unknown time: closed", id="done by hand"
        ),
        pytest.param(
            {"status": "refused", "closed_at": NOW, "reason": "archiving"},
            "was refused at 2026-03-01 12:00 UTC (archiving): that is final",
            id="refused",
        ),
        pytest.param(
            {"status": "cancelled", "closed_at": NOW, "reason": "withdrawn"},
            "was cancelled at 2026-03-01 12:00 UTC (withdrawn): that is final",
            id="cancelled",
        ),
        pytest.param(
            {"status": "Pending"},
            "has the unknown status 'Pending': the next run sends it to review",
            id="unknown status",
        ),
    ],
)
def test_a_sentence_says_why_and_what_would_change_it(changes: dict[str, Any], said: str) -> None:
    assert sentence(**changes) == f"request 17 {said}"


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        ([7], "request 7"),
        ([7, 8], "requests 7 and 8"),
        ([7, 8, 9], "requests 7, 8 and 9"),
        (range(1, 11), "requests 1, 2, 3, 4, 5, 6, 7, 8, 9 and 10"),
        (range(1, 12), "requests 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 1 more"),
        (range(1, 2001), "requests 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 1990 more"),
    ],
)
def test_of_many_requests_the_first_are_named(ids: Sequence[int], said: str) -> None:
    assert numbered(ids) == said


def test_every_way_into_review_is_explained() -> None:
    outcomes = {one for one, event in CONSEQUENCES.items() if event is Event.SENT_TO_REVIEW}
    assert set(REVIEWS) == outcomes | set(Reason) - {Reason.ABSENCE_NOT_SHOWN}  # it goes back


@pytest.mark.parametrize("reason", NOTES)
def test_a_note_of_the_last_night_is_told(reason: str) -> None:
    assert sentence(status="pending", reason=reason).endswith(f"takes it ({NOTES[reason]})")


def test_every_status_has_its_sentence() -> None:
    said = {sentence(status=status.value).removeprefix("request 17 ") for status in Status}
    assert len(said) == len(Status)
    assert not any("unknown status" in one for one in said)


@pytest.mark.parametrize("reason", ACTIONS["hold"].reasons)
def test_a_hold_is_explained_by_its_meaning(reason: str) -> None:
    assert ACTIONS["hold"].reasons[reason] in sentence(status="held", reason=reason)
