"""A night's sum adds up, whatever others do meanwhile."""

from datetime import UTC, datetime

import pytest
from builders import make_summary, moderately
from hypothesis import given
from hypothesis import strategies as st

from forge_gdpr.lifecycle import Status
from forge_gdpr.run.sums import PARTS, Ends, Standing, Sums, summed

UNTIL = datetime(2026, 11, 25, 2, 41, 7, 500_000, tzinfo=UTC)
counts = st.integers(0, 50)
standings = st.builds(
    Standing,
    due=counts,
    in_other_runs=counts,
    until=st.none() | st.just(UNTIL),
    waiting=counts,
)


@st.composite
def ends(draw: st.DrawFn) -> Ends:
    back = draw(counts)
    return Ends(
        done=draw(counts),
        put_off=draw(counts),
        review=draw(counts),
        given_back=back,
        given_back_later=draw(st.integers(0, back)),
    )


@moderately
@given(standings, ends(), standings)
def test_the_parts_are_the_whole(start: Standing, own: Ends, end: Standing) -> None:
    sums = summed(start, own, end)
    assert sum(getattr(sums, name) for name in PARTS) == sums.total
    assert sums.total == start.total + sums.came_in
    assert all(getattr(sums, name) >= 0 for name in (*PARTS, "came_in"))
    assert 0 in {sums.elsewhere, sums.came_in}
    assert (sums.done, sums.put_off, sums.review) == (own.done, own.put_off, own.review)
    assert sums.given_back == own.given_back
    assert (sums.in_other_runs, sums.waiting) == (end.in_other_runs, end.waiting)


@moderately
@given(standings, ends(), st.integers(0, 50))
def test_a_night_alone_has_no_remainder(rest: Standing, own: Ends, not_begun: int) -> None:
    start = Standing(
        due=own.total + not_begun, in_other_runs=rest.in_other_runs, waiting=rest.waiting
    )
    end = Standing(
        due=not_begun + own.given_back - own.given_back_later,
        in_other_runs=rest.in_other_runs,
        waiting=rest.waiting,
    )
    sums = summed(start, own, end)
    assert (sums.elsewhere, sums.came_in, sums.not_begun) == (0, 0, not_begun)


@moderately
@given(standings, ends(), standings)
def test_the_line_and_the_json_have_the_same_figures(
    start: Standing, own: Ends, end: Standing
) -> None:
    sums = summed(start, own, end)
    told = sums.as_json()
    assert told["total"] == sum(told[name] for name in PARTS)
    if sums.total:
        assert sums.line.startswith(f"{sums.total} request")
        for name in PARTS:
            assert not told[name] or f" {told[name]} " in sums.line


@pytest.mark.parametrize(
    ("sums", "line"),
    [
        (Sums(), "nothing was due"),
        (Sums(done=1), "1 request: 1 done"),
        (Sums(done=17, given_back=23), "40 requests: 17 done, 23 given back"),
        pytest.param(
            Sums(put_off=1, review=2, not_begun=3, waiting=4, elsewhere=5),
            "15 requests: 1 put off, 2 needing review, 3 not begun, 4 waiting for approval,"
            " 5 seen to by another run or by hand",
        ),
        pytest.param(
            Sums(in_other_runs=2, until=UNTIL, came_in=1),
            "2 requests (1 came in during the run): 2 in another run's hands until"
            " 2026-11-25 02:41:07 UTC at most",
        ),
    ],
)
def test_the_line_for_people(sums: Sums, line: str) -> None:
    assert sums.line == line


def test_the_json_says_until_when() -> None:
    assert Sums(in_other_runs=2, until=UNTIL).as_json() == {
        "total": 2,
        "done": 0,
        "put_off": 0,
        "review": 0,
        "given_back": 0,
        "not_begun": 0,
        "in_other_runs": 2,
        "waiting": 0,
        "elsewhere": 0,
        "in_other_runs_until": "2026-11-25T02:41:07Z",
        "came_in": 0,
    }


def test_who_came_to_review_before_the_first_claim_is_counted_apart() -> None:
    became = {Status.DONE: 1, Status.REVIEW: 3}
    assert make_summary(became=became, sums=Sums(done=1, review=1)).reviewed_before == 2
