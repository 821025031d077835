"""When a run refuses to start."""

from typing import Any

import pytest
from builders import moderately
from hypothesis import given
from hypothesis import strategies as st

from forge_gdpr.guards import Bounds, Guarded, Night, guarded

USUAL = (10, 12, 8, 11, 9)


def bounds(**changes: Any) -> Bounds:
    return Bounds(**{"max_due": 1000} | changes)


@pytest.mark.parametrize(
    ("night", "allowed", "overridden"),
    [
        pytest.param(Night(due=0), bounds(), (), id="nothing due"),
        pytest.param(Night(due=1000), bounds(), (), id="just the limit"),
        pytest.param(Night(due=5), bounds(expected=5), (), id="as expected, which is needless"),
        pytest.param(
            Night(due=1001), bounds(expected=1001), ("max_due",), id="over the limit, as expected"
        ),
        pytest.param(
            Night(due=1001), bounds(expected=2000), ("max_due",), id="fewer than expected"
        ),
        pytest.param(Night(due=10, users=100), bounds(max_share=0.1), (), id="just the share"),
        pytest.param(Night(due=11, users=100), bounds(), (), id="no share is set"),
        pytest.param(Night(due=11), bounds(max_share=0.1), (), id="nobody asked for the users"),
        pytest.param(
            Night(due=11, users=100),
            bounds(max_share=0.1, expected=11),
            ("max_share",),
            id="over the share, as expected",
        ),
        pytest.param(Night(due=20, earlier=USUAL), bounds(spike_factor=2), (), id="just twice"),
        pytest.param(Night(due=99, earlier=USUAL), bounds(), (), id="no factor is set"),
        pytest.param(Night(due=99, earlier=(1, 1)), bounds(spike_factor=2), (), id="two runs"),
        pytest.param(
            Night(due=2, earlier=(0, 0, 0)), bounds(spike_factor=2), (), id="after quiet weeks"
        ),
        pytest.param(
            Night(due=2000, users=100, earlier=USUAL),
            bounds(max_share=0.1, spike_factor=2, expected=2000),
            ("max_due", "max_share", "spike"),
            id="over all of them, as expected",
        ),
        pytest.param(
            Night(due=20, earlier=(*[1000] * 9, *[10] * 14)),
            bounds(spike_factor=2),
            (),
            id="only the last 14 runs say what is usual",
        ),
    ],
)
def test_a_run_may_start(night: Night, allowed: Bounds, overridden: tuple[str, ...]) -> None:
    assert guarded(night, allowed) == Guarded(overridden=overridden)


@pytest.mark.parametrize(
    ("night", "allowed", "says"),
    [
        pytest.param(
            Night(due=1001),
            bounds(),
            "1001 requests are due, more than FORGE_GDPR_MAX_DUE=1000 allows:"
            " if that is right, run once with --expect 1001",
            id="max_due",
        ),
        pytest.param(
            Night(due=11, users=100),
            bounds(max_share=0.1),
            "11 requests are due, and Forge has 100 users: more than the share"
            " FORGE_GDPR_MAX_SHARE=0.1 allows: if that is right, run once with --expect 11",
            id="max_share",
        ),
        pytest.param(
            Night(due=1, users=0),
            bounds(max_share=1),
            "1 requests are due, and Forge has 0 users: more than the share"
            " FORGE_GDPR_MAX_SHARE=1 allows: if that is right, run once with --expect 1",
            id="nobody is there",
        ),
        pytest.param(
            Night(due=21, earlier=USUAL),
            bounds(spike_factor=2.0),
            "21 requests are due, more than FORGE_GDPR_SPIKE_FACTOR=2 times the usual 10 of the"
            " last 5 runs: if that is right, run once with --expect 21",
            id="spike",
        ),
        pytest.param(
            Night(due=3, earlier=(0, 0, 0)),
            bounds(spike_factor=2.5),
            "3 requests are due, more than FORGE_GDPR_SPIKE_FACTOR=2.5 times the usual 1 of the"
            " last 3 runs: if that is right, run once with --expect 3",
            id="after quiet weeks",
        ),
        pytest.param(
            Night(due=6),
            bounds(expected=5),
            "6 requests are due, but --expect allows 5: look at"
            " 'forge-gdpr run --dry-run', then run again with the right number",
            id="expected fewer",
        ),
    ],
)
def test_a_guard_says_what_is_too_much_and_what_to_type(
    night: Night, allowed: Bounds, says: str
) -> None:
    assert guarded(night, allowed) == Guarded(stops=says)


@moderately
@given(st.integers(0, 50), st.integers(0, 50), st.none() | st.integers(0, 50))
def test_a_run_starts_if_and_only_if_the_word_that_counts_allows_it(
    due: int, limit: int, expected: int | None
) -> None:
    judged = guarded(Night(due=due), bounds(max_due=limit, expected=expected))
    assert (judged.stops is None) is (due <= (limit if expected is None else expected))
    assert bool(judged.overridden) is (judged.stops is None and due > limit)
