"""The one reader of evidence: what two readers could take for different things is refused."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest

from forge_gdpr.chain import canonical
from forge_gdpr.strictjson import InvalidJsonError, are_same, event_in, is_time, value_in

NUMBER: Final = "it has a number that is not a whole one below 2**53"
REFUSED: Final = {
    "": "it is not JSON",
    "{": "it is not JSON",
    "\ufeff{}": "it is not JSON",
    '{"a":1,"a":1}': "it says one name twice",
    '{"a":{"b":1,"b":2}}': "it says one name twice",
    '{"a":1,"\\u0061":2}': "it says one name twice",
    "12.0": NUMBER,
    "1e3": NUMBER,
    "-0.0": NUMBER,
    "NaN": NUMBER,
    "Infinity": NUMBER,
    "-Infinity": NUMBER,
    "9007199254740992": NUMBER,
    "-9007199254740992": NUMBER,
    "1" * 10_000: NUMBER,
    '"\\ud800"': "it has half a character",
    '{"\\udfff":1}': "it has half a character",
    "[" * 33 + "]" * 33: "it is more than 32 levels deep",
    '{"a":' * 33 + "1" + "}" * 33: "it is more than 32 levels deep",
    "[" * 100_000: "it is not JSON",
    '"a\nb"': "it is not JSON",
    "1 2": "it is not JSON",
}
EVENT: Final[dict[str, Any]] = {
    "chain": "main",
    "seq": 1,
    "at": "2026-11-24T03:00:00.000000Z",
    "event": "run.opened",
    "run_id": "r",
}


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_what_two_readers_could_differ_over_is_refused(text: str) -> None:
    with pytest.raises(InvalidJsonError, match=f"^{re.escape(REFUSED[text])}$"):
        value_in(text)


def test_what_is_plain_is_read() -> None:
    assert value_in('{"a": [1, -1, true, null, "\\u00e9"], "b": 9007199254740991}') == {
        "a": [1, -1, True, None, "é"],
        "b": 2**53 - 1,
    }
    assert value_in("[" * 32 + "]" * 32) is not None
    with pytest.raises(InvalidJsonError, match=r"^it has more than 3 characters$"):
        value_in("1234", most=3)
    assert value_in("123", most=3) == 123


def test_an_event_is_its_own_canonical_form() -> None:
    assert event_in(canonical(EVENT)) == EVENT
    for text in (
        canonical(EVENT) + " ",
        canonical(EVENT).replace('"seq":1', '"seq":01'),
        canonical(EVENT).replace("main", "m\\u0061in"),
        '{"seq":1,"chain":"main"}',
        "7",
        canonical({**EVENT, "é": 1}),
        canonical({**EVENT, "a": [{"é": 1}]}),
    ):
        with pytest.raises(InvalidJsonError):
            event_in(text)


@pytest.mark.parametrize(
    "changes",
    [
        {"chain": 1},
        {"chain": None},
        {"seq": "1"},
        {"seq": True},
        {"seq": 0},
        {"at": 1},
        {"at": "2026-11-24"},
        {"event": None},
        {"run_id": 1},
        {"run_id": None},
        {"request_id": "1"},
        {"request_id": True},
    ],
)
def test_what_is_in_no_place_is_no_event(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidJsonError, match=r"^it is not an event$"):
        event_in(canonical(EVENT | changes))


def test_one_is_not_true_and_nothing_is_rounded() -> None:
    assert are_same({"a": [1, None]}, {"a": [1, None]})
    for one, other in ((1, True), (0, False), (12, 12.0), ("1", 1), (None, "null")):
        assert not are_same({"a": one}, {"a": other})
    assert not are_same("\ud800", "\ud800")
    assert not are_same({1}, {1})


def test_a_moment_has_one_spelling() -> None:
    assert is_time("2026-11-24T03:00:00.000000Z")
    for text in (
        "2026-11-24T03:00:00Z",
        "2026-11-24T03:00:00.000000+00:00",
        "2026-11-24 03:00:00.000000Z",
        "2026-13-24T03:00:00.000000Z",
        "٢026-11-24T03:00:00.000000Z",
        "0001-01-01T00:00:00.000000+23:59",
        "",
        7,
        None,
    ):
        assert not is_time(text)
