"""A few deletions, one by one, before the workers start."""

import pytest
from builders import make_erasure, moderately
from hypothesis import given
from hypothesis import strategies as st

from forge_gdpr.answers import Verdict
from forge_gdpr.forge.erasure import NOT_CALLED, Erasure
from forge_gdpr.run.canary import Canary

GOOD = make_erasure()
ACCEPTED = make_erasure(verdict=Verdict.ACCEPTED, http_status=202)
BAD = make_erasure(verdict=Verdict.REJECTED, http_status=422)
FORBIDDEN = make_erasure(verdict=Verdict.FORBIDDEN, http_status=403)
ODD = make_erasure(verdict=Verdict.UNEXPECTED, http_status=200)
ABSENT = make_erasure(verdict=Verdict.ABSENT, http_status=404)
FAILING = make_erasure(verdict=Verdict.TRANSIENT, http_status=503)
SILENT = make_erasure(verdict=Verdict.TRANSIENT, http_status=None)
REFUSED = make_erasure(verdict=Verdict.KEY_REFUSED, http_status=401)


def noted(wanted: int, erasures: list[Erasure]) -> Canary:
    canary = Canary(wanted)
    for erasure in erasures:
        canary.note(erasure)
    return canary


@pytest.mark.parametrize(
    ("wanted", "erasures", "is_over", "has_failed"),
    [
        pytest.param(0, [], True, False, id="none is wanted"),
        pytest.param(0, [BAD, SILENT], True, False, id="none is wanted, whatever comes"),
        pytest.param(3, [], False, False, id="nothing yet"),
        pytest.param(3, [GOOD, GOOD], False, False, id="not yet"),
        pytest.param(3, [GOOD, GOOD, GOOD], True, False, id="all succeeded"),
        pytest.param(3, [BAD, BAD, GOOD, GOOD, GOOD], True, False, id="a bad row stops nobody"),
        pytest.param(3, [BAD, GOOD, BAD, BAD], False, True, id="as many failed"),
        pytest.param(3, [BAD, FORBIDDEN, ODD], False, True, id="each kind of refusal"),
        pytest.param(2, [BAD, GOOD], False, False, id="one of each says nothing"),
        pytest.param(2, [ACCEPTED, ACCEPTED], True, False, id="accepted is a success"),
        pytest.param(1, [NOT_CALLED] * 2, False, False, id="no verdict is no failure"),
        pytest.param(1, [REFUSED] * 2, False, False, id="a refused key is no failure"),
        pytest.param(1, [FAILING] * 9, False, False, id="an outage is none of its business"),
        pytest.param(1, [SILENT] * 9, False, False, id="nor is silence"),
        pytest.param(1, [ABSENT] * 9, False, False, id="an absence that was not shown is nothing"),
        pytest.param(1, [GOOD, BAD], True, False, id="a failure that comes too late"),
    ],
)
def test_it_is_over_when_enough_succeeded_and_fails_when_as_many_failed(
    wanted: int, erasures: list[Erasure], is_over: bool, has_failed: bool
) -> None:
    canary = noted(wanted, erasures)
    assert (canary.is_over, canary.has_failed) == (is_over, has_failed)


@pytest.mark.parametrize(
    ("wanted", "erasures", "is_alone"),
    [
        pytest.param(3, [], False, id="nothing yet"),
        pytest.param(3, [SILENT] * 2, False, id="not yet"),
        pytest.param(3, [SILENT] * 3, True, id="as many"),
        pytest.param(3, [SILENT] * 9, True, id="more"),
        pytest.param(0, [SILENT] * 9, False, id="none is wanted"),
        pytest.param(3, [FAILING] * 9, False, id="a status is an answer"),
        pytest.param(3, [NOT_CALLED] * 9, False, id="nobody was called"),
        pytest.param(3, [SILENT, SILENT, NOT_CALLED, SILENT], True, id="nobody in between"),
        pytest.param(3, [SILENT, SILENT, FAILING, SILENT, SILENT], False, id="one in between"),
        pytest.param(3, [SILENT, SILENT, ABSENT, SILENT, SILENT], False, id="a 404 in between"),
        pytest.param(3, [BAD, SILENT, SILENT, SILENT], True, id="after an answer"),
        pytest.param(2, [GOOD, GOOD, SILENT, SILENT], False, id="when it is over"),
    ],
)
def test_it_is_alone_when_nobody_answers_so_often(
    wanted: int, erasures: list[Erasure], is_alone: bool
) -> None:
    assert noted(wanted, erasures).is_alone is is_alone


@pytest.mark.parametrize(
    ("erasures", "absent", "present", "is_over", "has_failed"),
    [
        pytest.param([ABSENT] * 3, 3, 0, True, False, id="all are shown to be absent"),
        pytest.param([ABSENT] * 3, 2, 1, False, False, id="one is there"),
        pytest.param([ABSENT] * 3, 0, 3, False, True, id="all are there"),
        pytest.param([ABSENT] * 3, 0, 0, False, False, id="nobody could see"),
        pytest.param([GOOD, GOOD, ABSENT], 1, 0, True, False, id="the last is absent"),
        pytest.param([BAD, BAD, ABSENT], 0, 1, False, True, id="the last is there"),
    ],
)
def test_an_absence_counts_when_it_was_looked_again(
    erasures: list[Erasure], absent: int, present: int, is_over: bool, has_failed: bool
) -> None:
    canary = noted(3, erasures)
    canary.note_looks(absent, present)
    assert (canary.is_over, canary.has_failed) == (is_over, has_failed)
    assert not canary.is_alone


KINDS = st.sampled_from(
    [GOOD, ACCEPTED, BAD, FORBIDDEN, ODD, ABSENT, FAILING, SILENT, REFUSED, NOT_CALLED]
)


@moderately
@given(wanted=st.integers(0, 4), erasures=st.lists(KINDS, max_size=12))
def test_it_is_over_or_has_failed_but_never_both(wanted: int, erasures: list[Erasure]) -> None:
    canary = noted(wanted, erasures)
    assert not (canary.is_over and (canary.has_failed or canary.is_alone))
    assert canary.succeeded + canary.failed <= len(erasures)
