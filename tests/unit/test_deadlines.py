"""The legal clock."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from builders import moderately
from hypothesis import given
from hypothesis import strategies as st

from forge_gdpr.deadlines import CCPA_DAYS, LegalClock, Regime

due_on = LegalClock().due_on

MOMENTS = st.datetimes(
    min_value=datetime(2018, 5, 25),  # noqa: DTZ001  # Hypothesis adds the zone
    max_value=datetime(2100, 3, 31),  # noqa: DTZ001
    timezones=st.just(UTC),
)


def test_the_regimes_are_the_contracts() -> None:
    assert [regime.value for regime in Regime] == ["gdpr", "uk_gdpr", "ccpa"]


@pytest.mark.parametrize("regime", ["gdpr", "uk_gdpr"])
@pytest.mark.parametrize(
    ("received_on", "due"),
    [
        pytest.param(date(2026, 3, 1), date(2026, 4, 1), id="first of a month"),
        pytest.param(date(2026, 6, 15), date(2026, 7, 15), id="middle of a month"),
        pytest.param(date(2025, 1, 27), date(2025, 2, 27), id="January 27"),
        pytest.param(date(2025, 1, 28), date(2025, 2, 28), id="January 28"),
        pytest.param(date(2025, 1, 29), date(2025, 2, 28), id="January 29"),
        pytest.param(date(2025, 1, 31), date(2025, 2, 28), id="January 31"),
        pytest.param(date(2024, 1, 28), date(2024, 2, 28), id="January 28 before a leap day"),
        pytest.param(date(2024, 1, 29), date(2024, 2, 29), id="January 29 before a leap day"),
        pytest.param(date(2024, 1, 30), date(2024, 2, 29), id="January 30 before a leap day"),
        pytest.param(date(2024, 1, 31), date(2024, 2, 29), id="January 31 before a leap day"),
        pytest.param(date(2100, 1, 29), date(2100, 2, 28), id="a century is no leap year"),
        pytest.param(date(2000, 1, 31), date(2000, 2, 29), id="every fourth century is"),
        pytest.param(date(2024, 2, 29), date(2024, 3, 29), id="leap day"),
        pytest.param(date(2025, 2, 28), date(2025, 3, 28), id="last of February"),
        pytest.param(date(2026, 3, 30), date(2026, 4, 30), id="March 30"),
        pytest.param(date(2026, 3, 31), date(2026, 4, 30), id="March 31"),
        pytest.param(date(2026, 4, 30), date(2026, 5, 30), id="April 30"),
        pytest.param(date(2026, 7, 31), date(2026, 8, 31), id="two long months"),
        pytest.param(date(2026, 10, 31), date(2026, 11, 30), id="October 31"),
        pytest.param(date(2026, 11, 30), date(2026, 12, 30), id="into December"),
        pytest.param(date(2025, 12, 1), date(2026, 1, 1), id="December 1"),
        pytest.param(date(2025, 12, 31), date(2026, 1, 31), id="over the new year"),
    ],
)
def test_gdpr_gives_one_month(regime: str, received_on: date, due: date) -> None:
    first = datetime(received_on.year, received_on.month, received_on.day, tzinfo=UTC)
    assert due_on(regime, first) == due
    assert due_on(regime, first + timedelta(days=1, microseconds=-1)) == due


@pytest.mark.parametrize(
    ("received_on", "due"),
    [
        pytest.param(date(2026, 1, 1), date(2026, 2, 15), id="January"),
        pytest.param(date(2025, 1, 31), date(2025, 3, 17), id="over February"),
        pytest.param(date(2024, 1, 31), date(2024, 3, 16), id="over a leap day"),
        pytest.param(date(2025, 12, 31), date(2026, 2, 14), id="over the new year"),
    ],
)
def test_ccpa_gives_45_days(received_on: date, due: date) -> None:
    received_at = datetime(received_on.year, received_on.month, received_on.day, 23, tzinfo=UTC)
    assert due_on("ccpa", received_at) == due
    assert CCPA_DAYS == 45


@pytest.mark.parametrize("regime", ["", "CCPA", "ccpa ", "lgpd", "GDPR"])
def test_an_unknown_regime_gets_the_shorter_time(regime: str) -> None:
    assert due_on(regime, datetime(2026, 1, 31, tzinfo=UTC)) == date(2026, 2, 28)


@pytest.mark.parametrize(
    ("hours", "due"),
    [
        pytest.param(-5, date(2026, 3, 1), id="west: already February in UTC"),
        pytest.param(0, date(2026, 2, 28), id="UTC"),
        pytest.param(9, date(2026, 2, 28), id="east"),
    ],
)
def test_the_day_of_receipt_is_that_of_utc(hours: int, due: date) -> None:
    received_at = datetime(2026, 1, 31, 23, 30, tzinfo=timezone(timedelta(hours=hours)))
    assert due_on("gdpr", received_at) == due


@moderately
@given(MOMENTS)
def test_a_month_is_the_same_day_number_or_the_months_last_day(received_at: datetime) -> None:
    due = due_on("gdpr", received_at)
    months = (due.year - received_at.year) * 12 + due.month - received_at.month
    assert months == 1
    assert due.day == received_at.day or (due + timedelta(days=1)).day == 1 <= due.day
    assert due.day <= received_at.day


@moderately
@given(MOMENTS)
def test_the_unknown_is_never_later_than_any_regime(received_at: datetime) -> None:
    unknown = due_on("?", received_at)
    assert all(unknown <= due_on(regime, received_at) for regime in Regime)
    assert due_on("ccpa", received_at) - received_at.date() == timedelta(days=45)


@moderately
@given(st.sampled_from(Regime), MOMENTS, MOMENTS)
def test_who_asks_later_is_never_due_earlier(
    regime: Regime, one: datetime, other: datetime
) -> None:
    assert due_on(regime, min(one, other)) <= due_on(regime, max(one, other))
