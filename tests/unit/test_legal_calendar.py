"""The legal clock against what the authorities publish, and against every day of 20 years."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from holidays import country_holidays

from forge_gdpr.deadlines import LegalClock, Regime

PLAIN = LegalClock()
BAVARIA = LegalClock(zone=ZoneInfo("Europe/Berlin"), holidays=country_holidays("DE", subdiv="BY"))
ENGLAND = LegalClock(zone=ZoneInfo("Europe/London"), holidays=country_holidays("GB", subdiv="ENG"))
FIRST, LAST = date(2018, 5, 25), date(2038, 5, 24)
DAYS = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("clock", "regime", "received_on", "due"),
    [
        pytest.param(
            PLAIN, "uk_gdpr", date(2025, 9, 3), date(2025, 10, 3), id="ICO: 3 September, 3 October"
        ),
        pytest.param(
            PLAIN, "uk_gdpr", date(2025, 3, 31), date(2025, 4, 30), id="ICO: 31 March, 30 April"
        ),
        pytest.param(
            ENGLAND,
            "uk_gdpr",
            date(2025, 11, 25),
            date(2025, 12, 29),
            id="ICO: 25 December is a holiday, then Boxing Day and a weekend",
        ),
        pytest.param(
            PLAIN, "gdpr", date(2025, 3, 5), date(2025, 4, 5), id="EDPB 01/2022: 5 March, 5 April"
        ),
        pytest.param(
            PLAIN,
            "gdpr",
            date(2025, 8, 31),
            date(2025, 9, 30),
            id="EDPB 01/2022: 31 August, 30 September",
        ),
        pytest.param(
            BAVARIA,
            "gdpr",
            date(2025, 3, 5),
            date(2025, 4, 7),
            id="Reg. 1182/71 Art. 3(4): 5 April 2025 is a Saturday",
        ),
        pytest.param(
            BAVARIA,
            "gdpr",
            date(2025, 5, 19),
            date(2025, 6, 20),
            id="Reg. 1182/71 Art. 3(4): Corpus Christi, in Bavaria",
        ),
        pytest.param(
            PLAIN, "ccpa", date(2026, 1, 1), date(2026, 2, 15), id="11 CCR 7021(b): 45 days"
        ),
        pytest.param(
            BAVARIA,
            "ccpa",
            date(2026, 1, 1),
            date(2026, 2, 15),
            id="11 CCR 7021(b): calendar days, also a Sunday",
        ),
    ],
)
def test_the_published_examples(
    clock: LegalClock, regime: str, received_on: date, due: date
) -> None:
    assert clock.due_on(regime, noon(received_on)) == due


@pytest.mark.parametrize(
    ("clock", "regime", "received_on", "due"),
    [
        pytest.param(
            PLAIN, "gdpr", date(2026, 1, 31), date(2026, 4, 30), id="from the original day"
        ),
        pytest.param(PLAIN, "uk_gdpr", date(2025, 11, 30), date(2026, 2, 28), id="clamped"),
        pytest.param(BAVARIA, "gdpr", date(2026, 2, 1), date(2026, 5, 4), id="past a long weekend"),
        pytest.param(PLAIN, "ccpa", date(2026, 1, 1), date(2026, 4, 1), id="90 days in all"),
    ],
)
def test_an_extension_counts_from_receipt(
    clock: LegalClock, regime: str, received_on: date, due: date
) -> None:
    assert clock.extended_to(regime, noon(received_on)) == due


def test_the_controllers_day_counts() -> None:
    late = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)
    assert PLAIN.due_on("gdpr", late) == date(2026, 2, 28)
    assert LegalClock(zone=ZoneInfo("Europe/Berlin")).due_on("gdpr", late) == date(2026, 3, 1)
    assert BAVARIA.day_of(late) == date(2026, 2, 1)


@pytest.mark.parametrize("clock", [BAVARIA, ENGLAND], ids=["Bavaria", "England"])
@pytest.mark.parametrize("regime", ["gdpr", "uk_gdpr"])
def test_20_years_never_early_never_later_than_the_rule(clock: LegalClock, regime: str) -> None:
    assert clock.holidays is not None
    for day in DAYS:
        plain, moved = PLAIN.due_on(regime, noon(day)), clock.due_on(regime, noon(day))
        assert timedelta(days=28) <= plain - day <= timedelta(days=31)
        assert plain.day == day.day or (plain + timedelta(days=1)).day == 1
        assert moved.weekday() < 5
        assert moved not in clock.holidays
        passed = [plain + timedelta(days=n) for n in range((moved - plain).days)]
        assert all(one.weekday() >= 5 or one in clock.holidays for one in passed)


def test_20_years_of_the_ccpa() -> None:
    for day in DAYS:
        assert PLAIN.due_on("ccpa", noon(day)) - day == timedelta(days=45)
        assert PLAIN.extended_to("ccpa", noon(day)) - day == timedelta(days=90)


@pytest.mark.parametrize("regime", list(Regime))
def test_the_alarm_is_the_legal_date_or_28_days(regime: str) -> None:
    for day in DAYS:
        due = PLAIN.due_on(regime, noon(day))
        assert PLAIN.alarm_on(due, noon(day)) == min(due, day + timedelta(days=28))


def test_a_date_at_the_end_of_time_is_a_date() -> None:
    end = datetime(9999, 12, 31, 23, tzinfo=UTC)
    for clock in (PLAIN, BAVARIA):
        assert clock.due_on("gdpr", end) >= date(9990, 2, 1)
        assert clock.extended_to("ccpa", end) == date(9990, 4, 1)
    assert PLAIN.alarm_on(date(9995, 1, 1), end) == date(9990, 1, 29)
    assert BAVARIA.due_on("gdpr", datetime(9989, 12, 31, 23, 30, tzinfo=UTC)) >= date(9990, 2, 1)
