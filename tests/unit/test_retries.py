"""When a failed call, and a failed request, is tried again."""

from datetime import UTC, datetime, timedelta

import pytest
from builders import NOW, moderately
from hypothesis import given
from hypothesis import strategies as st

from forge_gdpr.retries import (
    FIRST_DEFERRAL,
    LONGEST_DEFERRAL,
    RetryPolicy,
    http_date,
    next_attempt_at,
    retry_after_s,
)

MANY = RetryPolicy(tries=20)


def test_the_defaults_are_the_contracts() -> None:
    assert RetryPolicy() == RetryPolicy(
        tries=4, least_wait_s=0.5, most_wait_s=30.0, longest_retry_after_s=60.0
    )
    assert timedelta(minutes=15) == FIRST_DEFERRAL
    assert timedelta(hours=12) == LONGEST_DEFERRAL


@pytest.mark.parametrize(
    ("tried", "draw", "wait_s"),
    [
        pytest.param(1, 0.0, 0.5, id="first, least"),
        pytest.param(1, 0.5, 0.75, id="first, middle"),
        pytest.param(1, 1.0, 1.0, id="first, most"),
        pytest.param(2, 0.0, 0.5, id="second, least"),
        pytest.param(2, 0.5, 1.25, id="second, middle"),
        pytest.param(2, 1.0, 2.0, id="second, most"),
        pytest.param(3, 1.0, 4.0, id="third, most"),
        pytest.param(5, 1.0, 16.0, id="fifth, most, under the cap"),
        pytest.param(6, 0.0, 0.5, id="sixth, least"),
        pytest.param(6, 0.5, 15.25, id="sixth, middle"),
        pytest.param(6, 1.0, 30.0, id="sixth, most, at the cap"),
        pytest.param(19, 1.0, 30.0, id="last, most"),
    ],
)
def test_waits_grow_and_the_draw_says_where_in_between(
    tried: int, draw: float, wait_s: float
) -> None:
    assert MANY.next_wait_s(tried, draw=draw) == wait_s


@pytest.mark.parametrize(
    ("tries", "tried", "goes_on"),
    [(1, 1, False), (4, 3, True), (4, 4, False), (4, 5, False), (20, 19, True), (20, 20, False)],
)
def test_tries_run_out(tries: int, tried: int, goes_on: bool) -> None:
    assert (RetryPolicy(tries=tries).next_wait_s(tried, draw=0.0) is not None) is goes_on
    assert RetryPolicy(tries=tries).next_wait_s(tries, draw=0.0, retry_after_s=1.0) is None


@pytest.mark.parametrize(
    ("asked_s", "wait_s"),
    [
        pytest.param(None, 1.0, id="nothing asked"),
        pytest.param(0.0, 1.0, id="at once"),
        pytest.param(0.25, 1.0, id="less than the backoff"),
        pytest.param(1.5, 1.5, id="more than the backoff"),
        pytest.param(31.0, 31.0, id="more than the longest backoff"),
        pytest.param(60.0, 60.0, id="the longest that is obeyed tonight"),
        pytest.param(60.5, None, id="not tonight"),
        pytest.param(1e9, None, id="not in this life"),
    ],
)
def test_a_retry_after_is_obeyed_or_means_not_tonight(
    asked_s: float | None, wait_s: float | None
) -> None:
    assert RetryPolicy().next_wait_s(1, draw=1.0, retry_after_s=asked_s) == wait_s


def test_a_policy_of_other_numbers_keeps_to_them() -> None:
    policy = RetryPolicy(tries=9, least_wait_s=2.0, most_wait_s=8.0, longest_retry_after_s=10.0)
    assert [policy.next_wait_s(n, draw=1.0) for n in (1, 2, 3)] == [4.0, 8.0, 8.0]
    assert [policy.next_wait_s(n, draw=0.0) for n in (1, 2, 3)] == [2.0, 2.0, 2.0]
    assert policy.next_wait_s(1, draw=0.0, retry_after_s=10.0) == 10.0
    assert policy.next_wait_s(1, draw=0.0, retry_after_s=10.5) is None


@moderately
@given(
    tried=st.integers(1, 19),
    draw=st.floats(0.0, 1.0),
    asked_s=st.none() | st.floats(0.0, 60.0),
)
def test_a_wait_is_never_shorter_than_asked_nor_longer_than_needed(
    tried: int, draw: float, asked_s: float | None
) -> None:
    wait_s = MANY.next_wait_s(tried, draw=draw, retry_after_s=asked_s)
    assert wait_s is not None
    assert max(0.5, asked_s or 0.0) <= wait_s <= max(30.0, asked_s or 0.0)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        pytest.param(None, None, id="none"),
        pytest.param("", None, id="empty"),
        pytest.param("0", 0.0, id="zero"),
        pytest.param("00", 0.0, id="zeros"),
        pytest.param("7", 7.0, id="seconds"),
        pytest.param("120", 120.0, id="minutes"),
        pytest.param("999999999", 999_999_999.0, id="a generation"),
        pytest.param(
            "9" * 10,
            9_999_999_999.0,
            id="ten digits",
        ),
        pytest.param("nan", None, id="nan"),
        pytest.param("inf", None, id="inf"),
        pytest.param("-5", None, id="negative"),
        pytest.param("+5", None, id="plus"),
        pytest.param("1e9", None, id="exponent"),
        pytest.param("1.5", None, id="fraction"),
        pytest.param("1_0", None, id="underscore"),
        pytest.param("0x10", None, id="hex"),
        pytest.param(" 5", None, id="space before"),
        pytest.param("5 ", None, id="space after"),
        pytest.param("5\n", None, id="line feed after"),
        pytest.param("5, 7", None, id="two"),
        pytest.param("5s", None, id="unit"),
        pytest.param("\u0665", None, id="arabic digit"),
        pytest.param("\uff15", None, id="full-width digit"),
        pytest.param("\xb2", None, id="superscript"),
        pytest.param("soon", None, id="a word"),
        pytest.param("Tue, 31 Mar 2026 02:31:15 GMT", 59.75, id="date ahead"),
        pytest.param("Tue, 31 Mar 2026 02:30:16 GMT", 0.75, id="date just ahead"),
        pytest.param("Tue, 31 Mar 2026 02:30:15 GMT", 0.0, id="date just past"),
        pytest.param("Sun, 06 Nov 1994 08:49:37 GMT", 0.0, id="date long past"),
        pytest.param("Wed, 01 Apr 2026 02:30:15 GMT", 86_399.75, id="tomorrow"),
        pytest.param("2026-03-31T02:31:15Z", None, id="RFC 3339"),
    ],
)
def test_a_retry_after_is_read_strictly(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, now=NOW) == seconds


@moderately
@given(st.text() | st.from_regex(r"[-+]?[0-9.eE_]{1,20}", fullmatch=True))
def test_whatever_the_header_says_the_wait_is_none_or_not_negative(value: str) -> None:
    seconds = retry_after_s(value, now=NOW)
    assert seconds is None or 0.0 <= seconds < float("inf")


@moderately
@given(st.integers(0, 999_999_999))
def test_both_forms_ask_for_the_same(seconds: int) -> None:
    now = datetime(2026, 3, 31, 2, 30, 15, tzinfo=UTC)
    date = (now + timedelta(seconds=seconds)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert retry_after_s(date, now=now) == retry_after_s(str(seconds), now=now) == seconds


def test_an_http_date_is_utc() -> None:
    assert http_date("Sun, 06 Nov 1994 08:49:37 GMT") == datetime(
        1994, 11, 6, 8, 49, 37, tzinfo=UTC
    )
    assert http_date("Thu, 29 Feb 2024 23:59:59 GMT") == datetime(
        2024, 2, 29, 23, 59, 59, tzinfo=UTC
    )


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(None, id="none"),
        pytest.param("", id="empty"),
        pytest.param("5", id="seconds"),
        pytest.param("Sunday, 06-Nov-94 08:49:37 GMT", id="RFC 850"),
        pytest.param("Sun Nov  6 08:49:37 1994", id="asctime"),
        pytest.param("Sun, 06 Nov 1994 08:49:37", id="no zone"),
        pytest.param("Sun, 06 Nov 1994 08:49:37 UTC", id="other name of the zone"),
        pytest.param("Sun, 06 Nov 1994 08:49:37 +0000", id="zone as a number"),
        pytest.param("Sun, 06 Nov 1994 08:49:37 GMT ", id="space after"),
        pytest.param("Sun, 06 Nov 1994 08:49:37 GMT\n", id="line feed after"),
        pytest.param(" Sun, 06 Nov 1994 08:49:37 GMT", id="space before"),
        pytest.param("Thu, 30 Feb 2023 08:49:37 GMT", id="no such day"),
        pytest.param("Wed, 29 Feb 2023 08:49:37 GMT", id="no leap year"),
        pytest.param("Sun, 06 Nov 1994 24:00:00 GMT", id="no such hour"),
        pytest.param("Sat, 31 Dec 2016 23:59:60 GMT", id="leap second"),
        pytest.param("Sun, 06 Nov 0000 08:49:37 GMT", id="no such year"),
        pytest.param("Sun, 06 Nov 1994 8:49:37 GMT", id="short hour"),
        pytest.param("Sun, 6 Nov 1994 08:49:37 GMT", id="short day"),
        pytest.param("sun, 06 nov 1994 08:49:37 gmt", id="lower case"),
        pytest.param("Mon, 06 Nov 1994 08:49:37 GMT", id="other weekday"),
        pytest.param("Sun,  06 Nov 1994 08:49:37 GMT", id="two spaces"),
    ],
)
def test_what_is_no_http_date_is_none(value: str | None) -> None:
    assert http_date(value) is None


@pytest.mark.parametrize(
    ("attempts", "wait"),
    [
        (1, timedelta(minutes=15)),
        (2, timedelta(minutes=30)),
        (3, timedelta(hours=1)),
        (4, timedelta(hours=2)),
        (5, timedelta(hours=4)),
        (6, timedelta(hours=8)),
        (7, timedelta(hours=12)),
        (8, timedelta(hours=12)),
        (30, timedelta(hours=12)),
        (10_000, timedelta(hours=12)),
    ],
)
def test_a_deferral_doubles_up_to_half_a_day(attempts: int, wait: timedelta) -> None:
    assert next_attempt_at(attempts=attempts, now=NOW) == NOW + wait


@pytest.mark.parametrize(
    ("attempts", "asked_s", "wait"),
    [
        pytest.param(1, None, timedelta(minutes=15), id="nothing asked"),
        pytest.param(1, 0.0, timedelta(minutes=15), id="at once"),
        pytest.param(1, 899.0, timedelta(minutes=15), id="a second less"),
        pytest.param(1, 901.0, timedelta(seconds=901), id="a second more"),
        pytest.param(9, 46_800.0, timedelta(hours=13), id="more than the cap"),
        pytest.param(9, 36_000.0, timedelta(hours=12), id="less than the cap"),
        pytest.param(9, 86_399.0, timedelta(seconds=86_399), id="a second less than a day"),
        pytest.param(9, 86_401.0, timedelta(days=1), id="more than a day"),
        pytest.param(9, float("inf"), timedelta(days=1), id="for ever"),
    ],
)
def test_of_a_deferral_and_a_retry_after_the_longer_is_kept(
    attempts: int, asked_s: float | None, wait: timedelta
) -> None:
    assert next_attempt_at(attempts=attempts, now=NOW, retry_after_s=asked_s) == NOW + wait


def test_the_farthest_date_puts_off_and_breaks_nothing() -> None:
    asked_s = retry_after_s("Fri, 31 Dec 9999 23:59:59 GMT", now=NOW - timedelta(seconds=5))
    assert next_attempt_at(attempts=1, now=NOW, retry_after_s=asked_s) > NOW
