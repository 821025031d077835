"""What ties one audit event to the one before it."""

import hashlib
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
import rfc8785
from builders import moderately
from hypothesis import given
from hypothesis import strategies as st

from forge_gdpr.chain import (
    GENESIS,
    Head,
    NotCanonicalError,
    canonical,
    parsed,
    seal,
    written_time,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forge_gdpr.chain import Json

NAMES = st.text(st.characters(max_codepoint=0x7F), max_size=6)
NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1)
VALUES: "st.SearchStrategy[Json]" = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
BODIES = st.dictionaries(NAMES, VALUES, max_size=5)
DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)


def test_genesis_is_64_zeros() -> None:
    assert GENESIS == "0" * 64
    assert Head(chain="main") == Head(chain="main", seq=0, hash="0" * 64)


def test_the_canonical_form_of_a_known_body() -> None:
    body: dict[str, Json] = {
        "seq": 2,
        "event": "run.opened",
        "At": None,
        "a": [True, False, {"z": 0, "b": -1}],
        "text": 'é "\\/\b\f\n\r\t\x1f\x7f\u2028€😀',
    }
    assert canonical(body) == (
        '{"At":null,"a":[true,false,{"b":-1,"z":0}],"event":"run.opened","seq":2,'
        '"text":"é \\"\\\\/\\b\\f\\n\\r\\t\\u001f\x7f\u2028€😀"}'
    )


@moderately
@given(BODIES)
def test_the_canonical_form_is_rfc_8785(body: "dict[str, Json]") -> None:
    assert canonical(body).encode() == rfc8785.dumps(body)


@moderately
@given(BODIES)
def test_the_order_of_names_does_not_matter(body: "dict[str, Json]") -> None:
    assert canonical(dict(reversed(body.items()))) == canonical(body)


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb"])
def test_what_cannot_be_written_in_utf_8_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        canonical({"a": text})


@pytest.mark.parametrize(
    ("previous", "body", "expected"),
    [
        pytest.param(
            GENESIS,
            '{"chain":"main","seq":1}',
            "0536c6da9941e321b1a60e78baf1370721e999d9efbc7e89c0c63f8f2089596b",
            id="the first of a chain",
        ),
        pytest.param(
            "ab" * 32,
            '{"t":"é"}',
            "0d09e57f5fa26866306d386af238d132f3eef5d7dfee240f9b2db87acb852fc8",
            id="a later one, not ASCII",
        ),
    ],
)
def test_a_seal_is_what_openssl_says(previous: str, body: str, expected: str) -> None:
    assert seal(previous, body) == expected


@moderately
@given(previous=DIGESTS, body=st.text(max_size=20))
def test_a_seal_covers_the_32_bytes_before_and_then_the_body(previous: str, body: str) -> None:
    assert (
        seal(previous, body) == hashlib.sha256(bytes.fromhex(previous) + body.encode()).hexdigest()
    )


@moderately
@given(one=st.tuples(DIGESTS, st.text()), other=st.tuples(DIGESTS, st.text()))
def test_no_two_events_share_a_seal(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (seal(*one) == seal(*other)) is (one == other)


@pytest.mark.parametrize(
    ("previous", "told"),
    [
        pytest.param("", "^a hash has 64 hex digits, not 0$", id="none"),
        pytest.param("0" * 62, "^a hash has 64 hex digits, not 62$", id="two too few"),
        pytest.param("0" * 66, "^a hash has 64 hex digits, not 66$", id="two too many"),
        pytest.param("0" * 63, None, id="one too few"),
        pytest.param("0" * 65, None, id="one too many"),
        pytest.param("g" * 64, None, id="no hex digits"),
        pytest.param(
            "00 " * 32,
            None,
            id="spaces",
        ),
    ],
)
def test_what_is_no_hash_is_refused(previous: str, told: str | None) -> None:
    with pytest.raises(ValueError, match=told):
        seal(previous, "{}")


@pytest.fixture
def machine_in_tokyo(monkeypatch: pytest.MonkeyPatch) -> "Iterator[None]":
    monkeypatch.setenv("TZ", "JST-9")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("machine_in_tokyo")
@pytest.mark.parametrize(
    ("at", "text"),
    [
        pytest.param(
            datetime(2026, 3, 31, 2, 30, 15, 250_000, tzinfo=UTC),
            "2026-03-31T02:30:15.250000Z",
            id="UTC",
        ),
        pytest.param(
            datetime(2026, 3, 31, 2, 30, 15, tzinfo=UTC),
            "2026-03-31T02:30:15.000000Z",
            id="whole seconds",
        ),
        pytest.param(
            datetime(2026, 3, 31, 2, 30, 15, 1, tzinfo=timezone(timedelta(hours=5))),
            "2026-03-30T21:30:15.000001Z",
            id="another zone, and another day there",
        ),
    ],
)
def test_a_time_is_written_in_one_way_whatever_zone_it_or_the_machine_is_in(
    at: datetime, text: str
) -> None:
    assert written_time(at) == text


@moderately
@given(BODIES)
def test_a_canonical_text_says_its_body(body: "dict[str, Json]") -> None:
    assert parsed(canonical(body)) == body


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("no json", "not JSON", id="no JSON"),
        pytest.param(b"{}", "it is not text", id="bytes"),
        pytest.param(None, "it is not text", id="null"),
        pytest.param("", "not JSON", id="empty"),
        pytest.param("\ufeff{}", "not JSON", id="byte order mark"),
        pytest.param("[" * 100_000, "not JSON", id="deeper than any stack"),
        pytest.param("1" * 5000, "not JSON", id="more digits than Python reads"),
        pytest.param('{"a":"\n"}', "not JSON", id="a control character"),
        pytest.param("[]", "not canonical", id="a list"),
        pytest.param("7", "not canonical", id="a number"),
        pytest.param('{"a":NaN}', "not whole", id="NaN"),
        pytest.param('{"a":-Infinity}', "not whole", id="infinity"),
        pytest.param('{"a":12.0}', "not whole", id="12.0"),
        pytest.param('{"a":1e2}', "not whole", id="1e2"),
        pytest.param('{"a":-0}', "not canonical", id="minus zero"),
        pytest.param('{"a":9223372036854775808}', "too large", id="a large number"),
        pytest.param('{"a":1,"a":1}', "not canonical", id="a name twice"),
        pytest.param('{"a": 1}', "not canonical", id="a blank"),
        pytest.param('{"a":1}\n', "not canonical", id="a line end"),
        pytest.param('{"b":1,"a":2}', "not canonical", id="another order"),
        pytest.param('{"a":"\\u00e9"}', "not canonical", id="an escape that none needs"),
        pytest.param('{"a":"\\u001F"}', "not canonical", id="an escape in capitals"),
        pytest.param('{"a":"\\/"}', "not canonical", id="an escaped slash"),
        pytest.param('{"a":"\\ud800"}', "not canonical", id="half a surrogate pair"),
        pytest.param('{"a":[{"é":1}]}', "not canonical", id="a name that is not ASCII"),
    ],
)
def test_what_no_event_was_written_as(text: object, problem: str) -> None:
    with pytest.raises(NotCanonicalError, match=problem):
        parsed(text)


def test_texts_that_are_not_ascii_are_canonical() -> None:
    assert parsed('{"a":["é",{"b":"😀"}]}') == {"a": ["é", {"b": "😀"}]}
