"""What can be done to a request, and what is said where it can't."""

from __future__ import annotations

from datetime import date

import pytest

from forge_gdpr.desk.actions import ACTIONS, Standing, objection
from forge_gdpr.lifecycle import FINAL, TRANSITIONS, Status

TODAY = date(2026, 3, 1)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("status", Status)
def test_an_action_is_refused_unless_the_table_of_transitions_has_it(
    action: str, status: Status
) -> None:
    said = objection(action, Standing(status=status), actor="kim", today=TODAY)
    event = ACTIONS[action].event
    allowed = (
        status not in FINAL | {Status.RUNNING} if event is None else (status, event) in TRANSITIONS
    )
    assert (said is None) is allowed


@pytest.mark.parametrize(
    ("action", "standing", "said"),
    [
        pytest.param(
            "hold",
            Standing(status="running"),
            "is being worked on: wait until the run has ended, then try again",
            id="running",
        ),
        pytest.param(
            "retry",
            Standing(status="held"),
            "is held: 'retry' is for what is review",
            id="not in review",
        ),
        pytest.param(
            "cancel", Standing(status="done"), "is done, and that is final", id="done already"
        ),
        pytest.param(
            "hold",
            Standing(status="held"),
            "is held: 'hold' is for what is pending",
            id="held already",
        ),
        pytest.param(
            "release",
            Standing(status="review"),
            "is review: 'release' is for what is held",
            id="no hold",
        ),
        pytest.param(
            "extend", Standing(status="cancelled"), "is cancelled, and that is final", id="final"
        ),
        pytest.param(
            "approve",
            Standing(status="pending", created_by="kim"),
            "was made by kim: somebody else has to approve it",
            id="one's own",
        ),
        *(
            pytest.param(
                "approve",
                Standing(status="pending", created_by=name),
                "was made by kim: somebody else has to approve it",
                id=f"one's own as {name!r}",
            )
            for name in ("Kim", "KIM", "kim ", " Kim")
        ),
        *(
            pytest.param(
                "approve",
                Standing(status="pending", created_by=name),
                "was made under a name that is not plain, so nobody can say that it is somebody"
                " else's: correct created_by in its row, or cancel it and add it again",
                id=label,
            )
            for name, label in (("k\u0456m", "a look-alike"), ("Zoë", "no plain name"))
        ),
        pytest.param(
            "extend",
            Standing(status="pending", extended=True, due_on=date(2026, 2, 28)),
            "was extended before, and the law allows it once",
            id="extended",
        ),
        pytest.param(
            "extend",
            Standing(status="pending", due_on=date(2026, 2, 28)),
            "is late already: an extension has to be told to the person before that",
            id="late",
        ),
    ],
)
def test_an_objection_says_why(action: str, standing: Standing, said: str) -> None:
    assert objection(action, standing, actor="kim", today=TODAY) == said


@pytest.mark.parametrize(
    ("action", "standing"),
    [
        pytest.param("approve", Standing(status="pending", created_by="lee"), id="another's"),
        pytest.param("approve", Standing(status="pending"), id="an application's"),
        pytest.param("approve", Standing(status="pending", created_by=" "), id="nobody's"),
        pytest.param(
            "approve", Standing(status="pending", created_login="office"), id="another login's"
        ),
        pytest.param(
            "hold", Standing(status="pending", created_login="night"), id="hold the same login's"
        ),
        pytest.param("extend", Standing(status="pending", due_on=TODAY), id="on the last day"),
        pytest.param("extend", Standing(status="pending"), id="not seen yet"),
        pytest.param("hold", Standing(status="pending", created_by="kim"), id="hold one's own"),
        pytest.param(
            "hold",
            Standing(status="pending", extended=True, due_on=date(2026, 2, 28)),
            id="hold what is late",
        ),
    ],
)
def test_what_nothing_speaks_against_is_done(action: str, standing: Standing) -> None:
    assert objection(action, standing, actor="kim", today=TODAY, login="night") is None


def test_one_login_does_not_add_and_approve() -> None:
    standing = Standing(status="pending", created_by="lee", created_login="night")
    said = objection("approve", standing, actor="kim", today=TODAY, login="night")
    assert said == (
        "was added through the database login night, as it would be approved: use another login,"
        " or set FORGE_GDPR_SHARED_LOGIN=true if people share one"
    )
    assert objection("approve", standing, actor="kim", today=TODAY) is None


def test_what_nothing_leads_back_from_is_asked_for_first() -> None:
    assert {name for name, action in ACTIONS.items() if action.is_final} == {"cancel", "refuse"}
