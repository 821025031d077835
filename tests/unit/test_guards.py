"""When a run refuses to start."""

import pytest
from builders import moderately
from hypothesis import given
from hypothesis import strategies as st

from forge_gdpr.guards import Guarded, max_due


@pytest.mark.parametrize(
    ("due", "limit", "expected", "overridden"),
    [
        pytest.param(0, 1000, None, False, id="nothing due"),
        pytest.param(999, 1000, None, False, id="fewer than the limit"),
        pytest.param(1000, 1000, None, False, id="just the limit"),
        pytest.param(0, 1000, 0, False, id="nothing due, as expected"),
        pytest.param(5, 1000, 5, False, id="as expected, which is needless"),
        pytest.param(1000, 1000, 1000, False, id="just the limit, as expected"),
        pytest.param(1001, 1000, 1001, True, id="one over the limit, as expected"),
        pytest.param(1001, 1000, 2000, True, id="over the limit, fewer than expected"),
        pytest.param(900, 1000, 2000, False, id="under the limit, fewer than expected"),
    ],
)
def test_a_run_may_start(due: int, limit: int, expected: int | None, overridden: bool) -> None:
    assert max_due(due, limit=limit, expected=expected) == Guarded(
        stops=None, overridden=overridden
    )


def test_one_request_too_many_stops_the_run() -> None:
    assert max_due(1001, limit=1000, expected=None) == Guarded(
        stops="1001 requests are due, more than FORGE_GDPR_MAX_DUE=1000 allows:"
        " if that is right, run once with --expect 1001",
        overridden=False,
    )


@pytest.mark.parametrize(
    ("due", "limit", "expected"),
    [
        pytest.param(1, 1000, 0, id="one, though none was expected"),
        pytest.param(6, 1000, 5, id="one more than expected, under the limit"),
        pytest.param(2001, 1000, 2000, id="one more than expected, over the limit"),
    ],
)
def test_more_than_expected_stops_the_run(due: int, limit: int, expected: int) -> None:
    assert max_due(due, limit=limit, expected=expected) == Guarded(
        stops=f"{due} requests are due, but --expect allows {expected}: look at"
        " 'forge-gdpr run --dry-run', then run again with the right number",
        overridden=False,
    )


@moderately
@given(st.integers(0, 50), st.integers(0, 50), st.none() | st.integers(0, 50))
def test_a_run_starts_if_and_only_if_the_word_that_counts_allows_it(
    due: int, limit: int, expected: int | None
) -> None:
    guarded = max_due(due, limit=limit, expected=expected)
    assert (guarded.stops is None) is (due <= (limit if expected is None else expected))
    assert guarded.overridden is (guarded.stops is None and due > limit)
