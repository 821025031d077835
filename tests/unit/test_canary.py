"""A few deletions, one by one, before the workers start."""

import pytest

from forge_gdpr.answers import Verdict
from forge_gdpr.run.canary import Canary

GOOD, BAD = Verdict.ERASED, Verdict.REJECTED


@pytest.mark.parametrize(
    ("wanted", "verdicts", "is_over", "has_failed"),
    [
        pytest.param(0, [], True, False, id="none is wanted"),
        pytest.param(3, [GOOD, GOOD], False, False, id="not yet"),
        pytest.param(3, [GOOD, GOOD, GOOD], True, False, id="all succeeded"),
        pytest.param(3, [BAD, BAD, GOOD, GOOD, GOOD], True, False, id="one bad row stops nobody"),
        pytest.param(3, [BAD, GOOD, BAD, BAD], False, True, id="as many failed"),
        pytest.param(2, [BAD, GOOD], False, False, id="one of each says nothing"),
        pytest.param(1, [None, None], False, False, id="no verdict is no failure"),
        pytest.param(2, [Verdict.ABSENT, Verdict.ACCEPTED], True, False, id="gone is a success"),
    ],
)
def test_it_is_over_when_enough_succeeded_and_fails_when_as_many_failed(
    wanted: int, verdicts: list[Verdict | None], is_over: bool, has_failed: bool
) -> None:
    canary = Canary(wanted)
    for verdict in verdicts:
        canary.note(verdict)
    assert (canary.is_over, canary.has_failed) == (is_over, has_failed)
