"""A run's clock."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from builders import NOW, Hands, moderately
from hypothesis import given
from hypothesis import strategies as st

from forge_gdpr.run.clock import Clock


def test_the_time_is_the_databases_carried_on() -> None:
    hands = Hands(s=100.0)
    clock = Clock(opened_at=NOW, started_s=100.0, monotonic=hands)
    assert (clock.elapsed_s(), clock.now()) == (0.0, NOW)
    hands.s = 163.5
    assert (clock.elapsed_s(), clock.now()) == (63.5, NOW + timedelta(seconds=63.5))


def test_the_time_may_have_gone_on_since_the_database_was_asked() -> None:
    clock = Clock(opened_at=NOW, started_s=-2.0, monotonic=Hands(s=1.0))
    assert clock.now() == NOW + timedelta(seconds=3)


@pytest.mark.parametrize("hours", [-8, 0, 5])
def test_the_time_is_utc_wherever_the_database_is(hours: int) -> None:
    opened_at = NOW.astimezone(timezone(timedelta(hours=hours)))
    now = Clock(opened_at=opened_at, started_s=0.0, monotonic=Hands()).now()
    assert (now, now.tzinfo) == (NOW, UTC)


@moderately
@given(st.lists(st.floats(0.0, 1e6), min_size=2, max_size=5))
def test_the_time_never_goes_back(readings: list[float]) -> None:
    hands = Hands()
    clock = Clock(opened_at=NOW, started_s=0.0, monotonic=hands)
    seen: list[datetime] = []
    for hands.s in sorted(readings):
        seen.append(clock.now())
    assert seen == sorted(seen)
