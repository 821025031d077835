"""The legal clock, against what was published about it."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from itertools import pairwise
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import pytest
from builders import moderately
from dateutil.relativedelta import relativedelta
from holidays import country_holidays
from hypothesis import example, given
from hypothesis import strategies as st

from forge_gdpr.deadlines import (
    ALARM_DAYS,
    CCPA_DAYS,
    CCPA_DAYS_EXTENDED,
    GDPR_MONTHS,
    GDPR_MONTHS_EXTENDED,
    LegalClock,
    Regime,
)

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

CALENDARS: Final[dict[str, Container[date] | None]] = {
    "none": None,
    "AT": country_holidays("AT"),
    "DE": country_holidays("DE"),
    "DE-BY": country_holidays("DE", subdiv="BY"),
    "GB-ENG": country_holidays("GB", subdiv="ENG"),
    "GB-SCT": country_holidays("GB", subdiv="SCT"),
    "IE": country_holidays("IE"),
    "US": country_holidays("US"),
}
WITH_HOLIDAYS: Final = ["DE-BY", "GB-ENG", "IE"]
MONTHLY: Final = [Regime.GDPR, Regime.UK_GDPR]
UNKNOWN: Final = ["", "?", "CCPA", "ccpa ", "lgpd", "GDPR"]
ZONES: Final = [
    "UTC",
    "Europe/Berlin",
    "Europe/Dublin",
    "Europe/London",
    "America/Los_Angeles",
    "Asia/Kathmandu",
    "Pacific/Kiritimati",
]

#: Where the examples stand. A source that names no year gets one that fits its words.
#:
#: * ICO, for the public: "Time limits for responding to data protection rights requests",
#:   https://ico.org.uk/for-the-public/time-limits-for-responding-to-data-protection-rights-requests
#: * ICO, right of access: "What should we consider when responding to a request?", "How long do
#:   we have to comply?" and "Can we extend the time for a response?",
#:   https://ico.org.uk/for-organisations/uk-gdpr-guidance-and-resources/individual-rights/
#:   right-of-access/what-should-we-consider-when-responding-to-a-request/
#: * ICO 2019: the same guidance in August 2019, as quoted on 17 August 2019 by
#:   https://schoolspeople.co.uk/gdpr-when-is-a-month-not-a-month/
#: * Lexology on the ICO's guidance of August 2019,
#:   https://www.lexology.com/library/detail.aspx?g=ff847e97-aa21-4a2d-be47-eb979808f6ae
#: * DSB: Austria's authority, decision DSB-D130.329/0001-DSB/2019 of 19 December 2019, as told by
#:   https://www.dataprotect.at/fristenberechnung
#: * Reg. 1182/71: Regulation (EEC, Euratom) No 1182/71, Art. 3(2)(c): same date, or the last day
#:   of the last month; Art. 3(4): a public holiday, Sunday or Saturday gives way to the following
#:   working day. https://data.europa.eu/eli/reg/1971/1182/oj
#: * 11 CCR §7021(b): California Code of Regulations, title 11: 45 calendar days after receipt,
#:   at most 90 in all.
PUBLISHED: Final = [
    pytest.param(
        *("uk_gdpr", "GB-ENG", date(2024, 9, 3), date(2024, 10, 3)),
        id="ICO, for the public: 3 September",
    ),
    pytest.param(
        *("uk_gdpr", "GB-ENG", date(2023, 11, 25), date(2023, 12, 27)),
        id="ICO, for the public: 25 November, two bank holidays, 27 December is a weekday",
    ),
    pytest.param(
        *("uk_gdpr", "GB-ENG", date(2026, 3, 31), date(2026, 4, 30)),
        id="ICO, for the public: 31 March, no such day in April",
    ),
    pytest.param(
        *("uk_gdpr", "GB-ENG", date(2025, 1, 31), date(2025, 2, 28)),
        id="ICO 2019: 31 January",
    ),
    pytest.param(
        *("uk_gdpr", "GB-ENG", date(2024, 1, 31), date(2024, 2, 29)),
        id="ICO 2019: 31 January of a leap year",
    ),
    pytest.param(
        *("uk_gdpr", "GB-ENG", date(2025, 4, 1), date(2025, 5, 1)),
        id="ICO 2019: 1 April, 1 May is a working day",
    ),
    pytest.param(
        *("uk_gdpr", "GB-ENG", date(2021, 4, 1), date(2021, 5, 4)),
        id="ICO 2019: 1 April, 1 May is a Saturday before a bank holiday",
    ),
    pytest.param(
        *("uk_gdpr", "GB-ENG", date(2022, 4, 1), date(2022, 5, 3)),
        id="ICO 2019: 1 April, 1 May is a Sunday before a bank holiday",
    ),
    pytest.param(
        *("uk_gdpr", "none", date(2019, 8, 1), date(2019, 9, 1)),
        id="Lexology: 1 August, at any hour",
    ),
    pytest.param(
        *("uk_gdpr", "none", date(2019, 1, 30), date(2019, 2, 28)),
        id="Lexology: 30 January",
    ),
    pytest.param(
        *("uk_gdpr", "GB-ENG", date(2026, 3, 3), date(2026, 4, 7)),
        id="ICO, right of access: Good Friday and Easter Monday",
    ),
    pytest.param(
        *("uk_gdpr", "GB-ENG", date(2025, 12, 2), date(2026, 1, 2)),
        id="ICO, right of access: 2 January is a working day in England",
    ),
    pytest.param(
        *("uk_gdpr", "GB-SCT", date(2025, 12, 2), date(2026, 1, 5)),
        id="ICO, right of access: 2 January is a bank holiday in Scotland",
    ),
    pytest.param(
        *("gdpr", "AT", date(2019, 9, 10), date(2019, 10, 10)),
        id="DSB: 10 September 2019",
    ),
    pytest.param(
        *("gdpr", "none", date(2026, 3, 5), date(2026, 4, 5)),
        id="Reg. 1182/71 Art. 3(2)(c): 5 March",
    ),
    pytest.param(
        *("gdpr", "none", date(2026, 8, 31), date(2026, 9, 30)),
        id="Reg. 1182/71 Art. 3(2)(c): 31 August",
    ),
    pytest.param(
        *("gdpr", "none", date(2026, 1, 31), date(2026, 2, 28)),
        id="Reg. 1182/71 Art. 3(2)(c): 31 January",
    ),
    pytest.param(
        *("gdpr", "DE-BY", date(2026, 1, 31), date(2026, 3, 2)),
        id="Reg. 1182/71 Art. 3(4): a Saturday",
    ),
    pytest.param(
        *("gdpr", "DE-BY", date(2026, 2, 1), date(2026, 3, 2)),
        id="Reg. 1182/71 Art. 3(4): a Sunday",
    ),
    pytest.param(
        *("gdpr", "DE-BY", date(2026, 3, 5), date(2026, 4, 7)),
        id="Reg. 1182/71 Art. 3(4): Easter Sunday, then Easter Monday",
    ),
    pytest.param(
        *("gdpr", "DE-BY", date(2025, 12, 6), date(2026, 1, 7)),
        id="Reg. 1182/71 Art. 3(4): Epiphany in Bavaria",
    ),
    pytest.param(
        *("gdpr", "DE", date(2025, 12, 6), date(2026, 1, 6)),
        id="Reg. 1182/71 Art. 3(4): no Epiphany in all of Germany",
    ),
    pytest.param(
        *("gdpr", "IE", date(2026, 2, 17), date(2026, 3, 18)),
        id="Reg. 1182/71 Art. 3(4): Saint Patrick's Day",
    ),
    pytest.param(
        *("gdpr", "IE", date(2026, 3, 3), date(2026, 4, 3)),
        id="Reg. 1182/71 Art. 3(4): Good Friday is no public holiday in Ireland",
    ),
    pytest.param(
        *("ccpa", "US", date(2026, 1, 1), date(2026, 2, 15)),
        id="11 CCR §7021(b): 45 calendar days, to a Sunday",
    ),
    pytest.param(
        *("ccpa", "US", date(2025, 11, 10), date(2025, 12, 25)),
        id="11 CCR §7021(b): 45 calendar days, to Christmas",
    ),
    pytest.param(
        *("ccpa", "none", date(2025, 1, 31), date(2025, 3, 17)),
        id="11 CCR §7021(b): 45 calendar days, over February",
    ),
    pytest.param(
        *("ccpa", "none", date(2024, 1, 31), date(2024, 3, 16)),
        id="11 CCR §7021(b): 45 calendar days, over a leap day",
    ),
    pytest.param(
        *("ccpa", "none", date(2025, 12, 31), date(2026, 2, 14)),
        id="11 CCR §7021(b): 45 calendar days, over the new year",
    ),
]
#: The one extension. GDPR Art. 12(3): two further months; ICO, right of access: "three months from
#: the original start date"; its end is found as above.
PUBLISHED_EXTENDED: Final = [
    pytest.param(
        *("uk_gdpr", "GB-ENG", date(2026, 1, 31), date(2026, 4, 30)),
        id="ICO, right of access: from the original start date, not from 28 February",
    ),
    pytest.param(
        *("gdpr", "none", date(2026, 1, 31), date(2026, 4, 30)),
        id="GDPR Art. 12(3): 31 January, not 28 April",
    ),
    pytest.param(
        *("gdpr", "DE-BY", date(2026, 1, 31), date(2026, 4, 30)),
        id="GDPR Art. 12(3): 31 January, though the first date has moved to 2 March",
    ),
    pytest.param(
        *("gdpr", "none", date(2025, 11, 30), date(2026, 2, 28)),
        id="GDPR Art. 12(3), Reg. 1182/71 Art. 3(2)(c): 30 November",
    ),
    pytest.param(
        *("gdpr", "none", date(2023, 11, 30), date(2024, 2, 29)),
        id="GDPR Art. 12(3), Reg. 1182/71 Art. 3(2)(c): 30 November before a leap day",
    ),
    pytest.param(
        *("gdpr", "none", date(2025, 12, 31), date(2026, 3, 31)),
        id="GDPR Art. 12(3): 31 December",
    ),
    pytest.param(
        *("gdpr", "DE-BY", date(2026, 2, 1), date(2026, 5, 4)),
        id="GDPR Art. 12(3), Reg. 1182/71 Art. 3(4): Labour Day, then a weekend",
    ),
    pytest.param(
        *("uk_gdpr", "GB-ENG", date(2026, 2, 1), date(2026, 5, 1)),
        id="ICO, right of access: 1 May is a working day in England",
    ),
    pytest.param(
        *("gdpr", "IE", date(2026, 2, 4), date(2026, 5, 5)),
        id="GDPR Art. 12(3), Reg. 1182/71 Art. 3(4): May bank holiday in Ireland",
    ),
    pytest.param(
        *("ccpa", "US", date(2026, 1, 1), date(2026, 4, 1)),
        id="11 CCR §7021(b): 90 calendar days in all",
    ),
    pytest.param(
        *("ccpa", "none", date(2024, 1, 1), date(2024, 3, 31)),
        id="11 CCR §7021(b): 90 calendar days in all, over a leap day, to a Sunday",
    ),
]

#: Every day for 20 years, from the day on which the GDPR applies.
FIRST: Final = date(2018, 5, 25)
TWENTY_YEARS: Final = [
    FIRST + timedelta(days=n) for n in range((date(2038, 5, 25) - FIRST).days + 1)
]
MOMENTS: Final = st.datetimes(
    min_value=datetime(2018, 5, 25),  # noqa: DTZ001  # Hypothesis adds the zone
    max_value=datetime(2100, 3, 31),  # noqa: DTZ001
    timezones=st.just(UTC),
)
#: All that a datetime can hold, at any offset.
ANY_MOMENTS: Final = st.datetimes(
    timezones=st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
)
CLOCKS: Final = st.builds(
    LegalClock,
    zone=st.sampled_from(ZONES).map(ZoneInfo),
    holidays=st.sampled_from(["none", *WITH_HOLIDAYS]).map(CALENDARS.__getitem__),
)
REGIMES: Final = st.sampled_from([*Regime, "?"])


def noon(day: date) -> datetime:
    return datetime.combine(day, time(12), UTC)


def days_between(one: date, other: date) -> Iterator[date]:
    """The days from the first to before the other."""
    return (one + timedelta(days=n) for n in range((other - one).days))


def is_month_later(day: date, later: date, *, months: int) -> bool:
    """Whether it's the same day number, or the last day of a month that has none."""
    counted = (later.year - day.year) * 12 + later.month - day.month
    is_last = (later + timedelta(days=1)).day == 1
    return counted == months and (later.day == day.day or (is_last and later.day < day.day))


def test_the_regimes_are_the_contracts() -> None:
    assert [regime.value for regime in Regime] == ["gdpr", "uk_gdpr", "ccpa"]


def test_the_numbers_are_the_laws() -> None:
    assert (GDPR_MONTHS, GDPR_MONTHS_EXTENDED) == (1, 1 + 2)
    assert (CCPA_DAYS, CCPA_DAYS_EXTENDED) == (45, 45 + 45)
    assert ALARM_DAYS == 28


@pytest.mark.parametrize(("regime", "calendar", "received_on", "due"), PUBLISHED)
def test_the_date_is_the_published_one(
    regime: str, calendar: str, received_on: date, due: date
) -> None:
    clock = LegalClock(holidays=CALENDARS[calendar])
    first = datetime.combine(received_on, time.min, UTC)
    assert clock.due_on(regime, first) == due
    assert clock.due_on(regime, first + timedelta(days=1, microseconds=-1)) == due


@pytest.mark.parametrize(("regime", "calendar", "received_on", "due"), PUBLISHED_EXTENDED)
def test_the_extended_date_is_the_published_one(
    regime: str, calendar: str, received_on: date, due: date
) -> None:
    clock = LegalClock(holidays=CALENDARS[calendar])
    first = datetime.combine(received_on, time.min, UTC)
    assert clock.extended_to(regime, first) == due
    assert clock.extended_to(regime, first + timedelta(days=1, microseconds=-1)) == due


@pytest.mark.parametrize("regime", MONTHLY)
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
        pytest.param(date(2100, 1, 29), date(2100, 2, 28), id="a century is no leap year"),
        pytest.param(date(2000, 1, 31), date(2000, 2, 29), id="every fourth century is"),
        pytest.param(date(2024, 2, 29), date(2024, 3, 29), id="leap day"),
        pytest.param(date(2025, 2, 28), date(2025, 3, 28), id="last of February"),
        pytest.param(date(2026, 3, 30), date(2026, 4, 30), id="March 30"),
        pytest.param(date(2026, 4, 30), date(2026, 5, 30), id="April 30"),
        pytest.param(date(2026, 7, 31), date(2026, 8, 31), id="two long months"),
        pytest.param(date(2026, 10, 31), date(2026, 11, 30), id="October 31"),
        pytest.param(date(2026, 11, 30), date(2026, 12, 30), id="into December"),
        pytest.param(date(2025, 12, 1), date(2026, 1, 1), id="December 1"),
        pytest.param(date(2025, 12, 31), date(2026, 1, 31), id="over the new year"),
    ],
)
def test_without_a_calendar_no_date_moves(regime: str, received_on: date, due: date) -> None:
    assert LegalClock().due_on(regime, noon(received_on)) == due


@pytest.mark.parametrize(
    ("zone", "moment", "day"),
    [
        pytest.param("UTC", "2026-01-31T23:30Z", date(2026, 1, 31), id="UTC"),
        pytest.param("Europe/Berlin", "2026-01-31T23:30Z", date(2026, 2, 1), id="Berlin: tomorrow"),
        pytest.param("Europe/Berlin", "2026-01-31T22:59Z", date(2026, 1, 31), id="Berlin: today"),
        pytest.param("Europe/Berlin", "2026-02-01T00:30+01:00", date(2026, 2, 1), id="in Berlin"),
        pytest.param("UTC", "2026-02-01T00:30+01:00", date(2026, 1, 31), id="the clock's zone"),
        pytest.param("America/Los_Angeles", "2026-02-01T07:59Z", date(2026, 1, 31), id="west"),
        pytest.param("America/Los_Angeles", "2026-02-01T08:00Z", date(2026, 2, 1), id="west, too"),
        pytest.param("Pacific/Kiritimati", "2026-01-31T10:00Z", date(2026, 2, 1), id="far east"),
        pytest.param("Europe/Berlin", "2026-03-28T22:59Z", date(2026, 3, 28), id="before 23 h"),
        pytest.param("Europe/Berlin", "2026-03-28T23:00Z", date(2026, 3, 29), id="first of 23 h"),
        pytest.param("Europe/Berlin", "2026-03-29T21:59Z", date(2026, 3, 29), id="last of 23 h"),
        pytest.param("Europe/Berlin", "2026-03-29T22:00Z", date(2026, 3, 30), id="after 23 h"),
        pytest.param("Europe/Berlin", "2026-10-24T21:59Z", date(2026, 10, 24), id="before 25 h"),
        pytest.param("Europe/Berlin", "2026-10-24T22:00Z", date(2026, 10, 25), id="first of 25 h"),
        pytest.param("Europe/Berlin", "2026-10-25T22:59Z", date(2026, 10, 25), id="last of 25 h"),
        pytest.param("Europe/Berlin", "2026-10-25T23:00Z", date(2026, 10, 26), id="after 25 h"),
        pytest.param("America/Sao_Paulo", "2018-11-04T02:59Z", date(2018, 11, 3), id="no midnight"),
        pytest.param(
            "America/Sao_Paulo", "2018-11-04T03:00Z", date(2018, 11, 4), id="but 1 o'clock"
        ),
    ],
)
def test_the_day_is_the_controllers(zone: str, moment: str, day: date) -> None:
    clock = LegalClock(zone=ZoneInfo(zone))
    received_at = datetime.fromisoformat(moment)
    assert clock.day_of(received_at) == day
    assert clock.due_on("gdpr", received_at) == day + relativedelta(months=1)
    assert clock.due_on("ccpa", received_at) == day + timedelta(days=45)


def test_half_an_hour_before_midnight_is_next_month_in_berlin() -> None:
    received_at = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)
    in_berlin = LegalClock(zone=ZoneInfo("Europe/Berlin"))
    assert LegalClock().due_on("gdpr", received_at) == date(2026, 2, 28)
    assert in_berlin.due_on("gdpr", received_at) == date(2026, 3, 1)
    assert LegalClock().extended_to("gdpr", received_at) == date(2026, 4, 30)
    assert in_berlin.extended_to("gdpr", received_at) == date(2026, 5, 1)
    assert in_berlin.due_on("ccpa", received_at) == date(2026, 3, 18)


@pytest.mark.parametrize("regime", UNKNOWN)
def test_an_unknown_regime_gets_the_shortest_time(regime: str) -> None:
    clock = LegalClock()
    assert clock.due_on(regime, noon(date(2026, 1, 31))) == date(2026, 2, 28)
    assert clock.extended_to(regime, noon(date(2026, 1, 31))) == date(2026, 4, 30)  # 89 days
    assert clock.extended_to(regime, noon(date(2026, 6, 1))) == date(2026, 8, 30)  # not 92 days


@pytest.mark.parametrize(
    ("received_on", "due", "alarm"),
    [
        pytest.param(date(2026, 3, 1), date(2026, 4, 1), date(2026, 3, 29), id="a long month"),
        pytest.param(date(2026, 2, 1), date(2026, 3, 1), date(2026, 3, 1), id="28 days"),
        pytest.param(date(2026, 1, 31), date(2026, 2, 28), date(2026, 2, 28), id="clamped"),
        pytest.param(date(2026, 3, 1), date(2026, 3, 10), date(2026, 3, 10), id="sooner by hand"),
        pytest.param(date(2026, 3, 1), date(2026, 2, 1), date(2026, 2, 1), id="long over"),
        pytest.param(date(2026, 1, 1), date(2026, 2, 15), date(2026, 1, 29), id="45 days"),
    ],
)
def test_the_alarm_is_after_28_days_or_on_the_date(
    received_on: date, due: date, alarm: date
) -> None:
    assert LegalClock().alarm_on(due, noon(received_on)) == alarm


def test_the_alarm_counts_from_the_controllers_day() -> None:
    received_at = datetime(2026, 2, 28, 23, 30, tzinfo=UTC)
    clock = LegalClock(zone=ZoneInfo("Europe/Berlin"))
    assert clock.alarm_on(date(2026, 4, 1), received_at) == date(2026, 3, 29)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("hours", [-12, 0, 14])
@pytest.mark.parametrize("regime", [*Regime, "?"])
def test_no_moment_is_too_late_or_too_early(zone: str, hours: int, regime: str) -> None:
    clock = LegalClock(zone=ZoneInfo(zone), holidays=CALENDARS["DE-BY"])
    offset = timezone(timedelta(hours=hours))
    last, first = datetime.max.replace(tzinfo=offset), datetime.min.replace(tzinfo=offset)
    assert clock.due_on(regime, last) >= date(9990, 2, 1)
    assert clock.extended_to(regime, last) >= date(9990, 3, 31)
    assert clock.alarm_on(date.max, last) == date(9990, 1, 29)
    assert clock.due_on(regime, first) <= date(1, 2, 16)
    assert clock.extended_to(regime, first) <= date(1, 4, 4)
    assert clock.alarm_on(date.max, first) <= date(1, 1, 30)


def test_the_last_day_of_all_is_the_latest() -> None:
    clock = LegalClock()
    assert clock.due_on("ccpa", noon(date(9989, 12, 31))) == date(9990, 2, 14)
    assert clock.due_on("ccpa", noon(date(9990, 1, 1))) == date(9990, 2, 15)
    assert clock.due_on("ccpa", noon(date(9990, 1, 2))) == date(9990, 2, 15)


def test_a_clock_does_not_show_its_calendar() -> None:
    assert "holidays" not in repr(LegalClock(holidays=CALENDARS["DE-BY"]))


@pytest.mark.parametrize("regime", MONTHLY)
def test_for_20_years_a_month_is_28_to_31_days(regime: str) -> None:
    clock = LegalClock()
    for day in TWENTY_YEARS:
        due, extended = clock.due_on(regime, noon(day)), clock.extended_to(regime, noon(day))
        assert 28 <= (due - day).days <= 31, day
        assert 89 <= (extended - day).days <= 92, day
        assert is_month_later(day, due, months=1), day
        assert is_month_later(day, extended, months=3), day
        assert day + timedelta(days=ALARM_DAYS) == clock.alarm_on(due, noon(day)) <= due, day


@pytest.mark.parametrize("calendar", WITH_HOLIDAYS)
def test_for_20_years_a_moved_date_is_the_next_working_day(calendar: str) -> None:
    holidays = CALENDARS[calendar]
    assert holidays is not None
    clock, unmoved_clock = LegalClock(holidays=holidays), LegalClock()

    def is_free(day: date) -> bool:
        return day.isoweekday() in {6, 7} or day in holidays

    moved = 0
    for day in TWENTY_YEARS:
        for answer, unmoved in (
            (clock.due_on("gdpr", noon(day)), unmoved_clock.due_on("gdpr", noon(day))),
            (clock.extended_to("gdpr", noon(day)), unmoved_clock.extended_to("gdpr", noon(day))),
        ):
            assert answer >= unmoved, day
            assert not is_free(answer), day
            assert all(is_free(between) for between in days_between(unmoved, answer)), day
            moved += answer != unmoved
    assert moved > 2 * 2 * 52 * 20  # at least the weekends


@pytest.mark.parametrize("calendar", ["none", *WITH_HOLIDAYS, "US"])
def test_for_20_years_ccpa_is_45_and_90_days(calendar: str) -> None:
    clock = LegalClock(holidays=CALENDARS[calendar])
    for day in TWENTY_YEARS:
        assert (clock.due_on("ccpa", noon(day)) - day).days == 45, day
        assert (clock.extended_to("ccpa", noon(day)) - day).days == 90, day


@pytest.mark.parametrize("calendar", ["none", "DE-BY"])
def test_for_20_years_the_unknown_gets_the_earliest_date(calendar: str) -> None:
    clock = LegalClock(holidays=CALENDARS[calendar])
    for day in TWENTY_YEARS:
        at = noon(day)
        assert clock.due_on("?", at) == min(clock.due_on(regime, at) for regime in Regime), day
        earliest = min(clock.extended_to(regime, at) for regime in Regime)
        assert clock.extended_to("?", at) == earliest, day


@pytest.mark.parametrize("calendar", ["none", *WITH_HOLIDAYS])
@pytest.mark.parametrize("regime", ["gdpr", "?"])
def test_for_20_years_who_asks_later_is_never_due_earlier(calendar: str, regime: str) -> None:
    clock = LegalClock(holidays=CALENDARS[calendar])
    for dates in (
        [clock.due_on(regime, noon(day)) for day in TWENTY_YEARS],
        [clock.extended_to(regime, noon(day)) for day in TWENTY_YEARS],
    ):
        assert all(earlier <= later for earlier, later in pairwise(dates))


@moderately
@given(CLOCKS, MOMENTS)
def test_a_month_is_the_same_day_number_or_the_months_last_day(
    clock: LegalClock, received_at: datetime
) -> None:
    unmoved = LegalClock(zone=clock.zone)
    day = clock.day_of(received_at)
    for regime in MONTHLY:
        assert is_month_later(day, unmoved.due_on(regime, received_at), months=1)
        assert is_month_later(day, unmoved.extended_to(regime, received_at), months=3)
        assert unmoved.due_on(regime, received_at) <= clock.due_on(regime, received_at)
        assert unmoved.extended_to(regime, received_at) <= clock.extended_to(regime, received_at)


@moderately
@given(CLOCKS, MOMENTS)
def test_the_alarm_is_neither_after_the_date_nor_after_28_days(
    clock: LegalClock, received_at: datetime
) -> None:
    for regime in [*Regime, "?"]:
        due = clock.due_on(regime, received_at)
        alarm = clock.alarm_on(due, received_at)
        assert alarm <= due
        assert alarm == clock.day_of(received_at) + timedelta(days=28)


@moderately
@given(CLOCKS, ANY_MOMENTS)
def test_the_unknown_is_never_later_than_any_regime(
    clock: LegalClock, received_at: datetime
) -> None:
    due, extended = clock.due_on("?", received_at), clock.extended_to("?", received_at)
    assert all(due <= clock.due_on(regime, received_at) for regime in Regime)
    assert all(extended <= clock.extended_to(regime, received_at) for regime in Regime)
    assert due < extended


@moderately
@given(CLOCKS, REGIMES, ANY_MOMENTS, ANY_MOMENTS)
@example(
    LegalClock(zone=ZoneInfo("America/Los_Angeles")),
    "gdpr",
    datetime(9990, 1, 1, 0, 30, tzinfo=UTC),
    datetime(9989, 12, 31, 13, tzinfo=timezone(-timedelta(hours=12))),
)
def test_who_asks_later_is_never_due_earlier(
    clock: LegalClock, regime: str, one: datetime, other: datetime
) -> None:
    first, second = min(one, other), max(one, other)
    assert clock.due_on(regime, first) <= clock.due_on(regime, second)
    assert clock.extended_to(regime, first) <= clock.extended_to(regime, second)
    assert clock.alarm_on(date.max, first) <= clock.alarm_on(date.max, second)
