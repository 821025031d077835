"""How long a closed request keeps what it knows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from builders import moderately
from dateutil.relativedelta import relativedelta
from hypothesis import given
from hypothesis import strategies as st

from forge_gdpr.retention import Cutoffs, Periods

MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2500, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # hypothesis adds the zone


@pytest.mark.parametrize(
    ("now", "months", "before"),
    [
        pytest.param("2026-11-24", 36, "2023-11-24", id="the same day number"),
        pytest.param("2024-02-29", 12, "2023-02-28", id="a year that has no 29 February"),
        pytest.param("2026-03-31", 1, "2026-02-28", id="a shorter month"),
        pytest.param("2026-01-15", 1, "2025-12-15", id="over the new year"),
        pytest.param("1970-01-01", 1200, "1870-01-01", id="the longest of all"),
    ],
)
def test_rows_are_kept_for_calendar_months(now: str, months: int, before: str) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    cutoffs = Periods(ids_days=0, requests_months=months).cutoffs(moment)
    assert cutoffs == Cutoffs(
        now=moment,
        ids_before=moment,
        requests_before=datetime.fromisoformat(before).replace(tzinfo=UTC),
    )


@moderately
@given(MOMENTS, st.integers(0, 36_500), st.integers(1, 1200))
def test_nothing_goes_before_its_time_is_over_and_all_goes_soon_after(
    now: datetime, days: int, months: int
) -> None:
    cutoffs = Periods(ids_days=days, requests_months=months).cutoffs(now)
    assert cutoffs.ids_before + timedelta(days=days) == now
    over_at = cutoffs.requests_before + relativedelta(months=months)
    assert timedelta() <= now - over_at <= timedelta(days=3)


def test_the_record_names_the_periods() -> None:
    assert Periods(ids_days=30, requests_months=36).as_json() == {
        "retain_ids_days": 30,
        "retain_requests_months": 36,
    }
