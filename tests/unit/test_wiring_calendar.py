"""Which zone and which holidays the legal clock is given."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from forge_gdpr.cli.wiring import legal_clock
from forge_gdpr.errors import ConfigurationError
from forge_gdpr.settings import Settings

if TYPE_CHECKING:
    from forge_gdpr.deadlines import LegalClock

HALF_PAST_11 = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TIMEZONE", "HOLIDAYS"):
        monkeypatch.delenv(f"FORGE_GDPR_{name}", raising=False)


def clock_with(**settings: str) -> LegalClock:
    return legal_clock(Settings.from_environment(**settings))


def test_by_default_days_are_utcs_and_no_date_moves() -> None:
    clock = clock_with()
    assert (clock.zone, clock.holidays) == (ZoneInfo("UTC"), None)
    assert clock.due_on("gdpr", HALF_PAST_11) == date(2026, 2, 28)  # a Saturday


def test_zone_and_holidays_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORGE_GDPR_TIMEZONE", "Europe/Berlin")
    monkeypatch.setenv("FORGE_GDPR_HOLIDAYS", "DE-BY")
    clock = clock_with()
    assert clock.zone == ZoneInfo("Europe/Berlin")
    assert clock.due_on("gdpr", HALF_PAST_11) == date(2026, 3, 2)  # 1 March is a Sunday
    assert clock.extended_to("gdpr", HALF_PAST_11) == date(2026, 5, 4)  # 1 May is Labour Day


def test_empty_variables_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORGE_GDPR_TIMEZONE", "")
    monkeypatch.setenv("FORGE_GDPR_HOLIDAYS", "")
    assert clock_with() == clock_with(timezone="UTC")


def test_white_space_around_a_value_is_dropped() -> None:
    clock = clock_with(timezone=" Europe/Berlin\r", holidays=" DE")
    assert (clock.zone, clock.holidays is None) == (ZoneInfo("Europe/Berlin"), False)


@pytest.mark.parametrize(
    "zone", ["UTC", "Europe/Berlin", "America/Los_Angeles", "Etc/GMT-1", "Asia/Kathmandu"]
)
def test_a_zone_is_known_by_its_name(zone: str) -> None:
    assert clock_with(timezone=zone).zone == ZoneInfo(zone)


@pytest.mark.parametrize(
    "zone",
    [
        pytest.param("Europe/Munich", id="a city that names no zone"),
        pytest.param("europe /berlin", id="white space"),
        pytest.param("GMT+1", id="an offset"),
        pytest.param("+01:00", id="another offset"),
        pytest.param("Europe", id="a folder"),
        pytest.param("zone.tab", id="a file that is no zone"),
        pytest.param("../etc/passwd", id="out of the folder"),
        pytest.param("/etc/localtime", id="a path"),
        pytest.param("x" * 5000, id="too long for a file"),
    ],
)
def test_an_unknown_zone_is_named(zone: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        clock_with(timezone=zone)
    assert str(caught.value) == (
        f"FORGE_GDPR_TIMEZONE={zone} is no time zone: write one like Europe/Berlin"
    )


@pytest.mark.parametrize(
    ("calendar", "holiday", "working_day"),
    [
        pytest.param("DE", date(2026, 5, 1), date(2026, 1, 6), id="DE: no Epiphany"),
        pytest.param("DE-BY", date(2026, 1, 6), date(2026, 10, 30), id="DE-BY: Epiphany"),
        pytest.param("GB-ENG", date(2026, 4, 6), date(2026, 1, 2), id="GB-ENG: Easter Monday"),
        pytest.param("GB-SCT", date(2026, 1, 2), date(2026, 4, 6), id="GB-SCT: 2 January"),
        pytest.param("IE", date(2026, 3, 17), date(2026, 4, 3), id="IE: Saint Patrick's Day"),
        pytest.param("US-CA", date(2026, 3, 31), date(2026, 4, 1), id="US-CA: Cesar Chavez Day"),
    ],
)
def test_a_calendar_is_a_country_or_its_subdivision(
    calendar: str, holiday: date, working_day: date
) -> None:
    holidays = clock_with(holidays=calendar).holidays
    assert holidays is not None
    assert holiday in holidays
    assert working_day not in holidays


@pytest.mark.parametrize(
    "calendar",
    [
        pytest.param("XX", id="no such country"),
        pytest.param("de", id="small letters"),
        pytest.param("DE-XX", id="no such subdivision"),
        pytest.param("DE-by", id="a subdivision in small letters"),
        pytest.param("DE_BY", id="an underscore"),
        pytest.param("DE BY", id="a space"),
        pytest.param("DE-BY-", id="a hyphen too many"),
        pytest.param("-BY", id="a subdivision alone"),
        pytest.param("BY-DE", id="the wrong way round"),
        pytest.param("yes", id="a word"),
    ],
)
def test_an_unknown_calendar_is_named(calendar: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        clock_with(holidays=calendar)
    assert str(caught.value) == (
        f"FORGE_GDPR_HOLIDAYS={calendar} is no calendar: write a country's code, or one with its"
        " subdivision, like DE or DE-BY"
    )
