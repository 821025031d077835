"""Faults as text, and which of them strikes."""

import pytest

from forge_gdpr.sandbox import Fault, FaultKind, parse_faults
from forge_gdpr.sandbox.script import Script


def strikes(script: Script, times: int, method: str = "DELETE") -> list[bool]:
    return [
        script.strike(method=method, path="user", user_id="a1") is not None for _ in range(times)
    ]


def never() -> float:
    raise AssertionError("a certain fault needs no random number")


def test_every_field_can_be_given() -> None:
    text = """[{"kind": "status", "method": "DELETE", "user_id": "a/b", "path": "user", "skip": 2,
        "count": null, "probability": 0.5, "status": 429, "headers": {"Retry-After": "5"},
        "body": "slow down", "delay_s": 1, "size_bytes": 10}]"""
    assert parse_faults(text) == (
        Fault(
            kind=FaultKind.STATUS,
            method="DELETE",
            user_id="a/b",
            path="user",
            skip=2,
            count=None,
            probability=0.5,
            status=429,
            headers=(("Retry-After", "5"),),
            body="slow down",
            delay_s=1.0,
            size_bytes=10,
        ),
    )


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        pytest.param("", [], id="blank"),
        pytest.param("[]", [], id="empty list"),
        pytest.param('{"kind": "hang"}', ["hang"], id="one object"),
        pytest.param('\n{"kind": "hang"}\n\n{"kind": "drip"}\n', ["hang", "drip"], id="lines"),
        pytest.param('[{"kind": "hang"},\n {"kind": "drip"}]', ["hang", "drip"], id="list"),
    ],
)
def test_a_list_one_object_and_lines_are_read(text: str, kinds: list[str]) -> None:
    assert [fault.kind.value for fault in parse_faults(text)] == kinds


@pytest.mark.parametrize("kind", FaultKind)
def test_every_kind_is_read_by_its_value(kind: FaultKind) -> None:
    assert parse_faults(f'{{"kind": "{kind.value}"}}') == (Fault(kind=kind),)


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ('"hang"', "fault 2: 'hang' is not an object"),
        ("{}", "fault 2: field kind: is missing"),
        ('{"kind": "hnag"}', "fault 2: field kind: 'hnag' is none of status, redirect"),
        ('{"kind": "hang", "metod": "GET"}', "fault 2: field metod: there is no such field"),
        ('{"kind": "hang", "method": "delete"}', "fault 2: field method: 'delete' is out of range"),
        ('{"kind": "hang", "method": 1}', "fault 2: field method: 1 is not a string"),
        ('{"kind": "hang", "path": "usr"}', "fault 2: field path: 'usr' is none of users, user"),
        ('{"kind": "hang", "skip": -1}', "fault 2: field skip: -1 is out of range"),
        ('{"kind": "hang", "skip": true}', "fault 2: field skip: True is not a whole number"),
        ('{"kind": "hang", "count": 0}', "fault 2: field count: 0 is out of range"),
        ('{"kind": "hang", "count": 1.5}', "fault 2: field count: 1.5 is not a whole number"),
        ('{"kind": "hang", "probability": 1.1}', "fault 2: field probability: 1.1 is out of range"),
        ('{"kind": "hang", "probability": "1"}', "fault 2: field probability: '1' is not a number"),
        ('{"kind": "hang", "status": 99}', "fault 2: field status: 99 is out of range"),
        ('{"kind": "hang", "delay_s": NaN}', "fault 2: field delay_s: nan is out of range"),
        ('{"kind": "hang", "headers": ["a"]}', "fault 2: field headers: "),
        ('{"kind": "hang", "headers": {"a": "b\\r\\nc"}}', "fault 2: field headers: "),
        ('{"kind": "hang", "size_bytes": -1}', "fault 2: field size_bytes: -1 is out of range"),
        ('{"kind": "hang"', "fault 2: not JSON: "),
    ],
)
def test_a_wrong_entry_is_named_with_its_field(entry: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=r"^fault 2: ") as caught:
        parse_faults(f'{{"kind": "hang"}}\n{entry}')
    assert str(caught.value).startswith(complaint)


def test_a_list_that_breaks_off_is_not_read_as_lines() -> None:
    with pytest.raises(ValueError, match=r"^the list of faults is not JSON: "):
        parse_faults('[{"kind": "hang"},')


def test_a_fault_lets_some_pass_and_then_strikes_as_often_as_it_says() -> None:
    script = Script([Fault(kind=FaultKind.HANG, skip=2, count=3)], draw=never)
    assert strikes(script, 7) == [False, False, True, True, True, False, False]


def test_a_fault_without_a_count_strikes_always() -> None:
    assert all(strikes(Script([Fault(kind=FaultKind.HANG, count=None)], draw=never), 50))


def test_a_request_that_does_not_match_is_not_counted() -> None:
    script = Script([Fault(kind=FaultKind.HANG, method="DELETE", skip=1)], draw=never)
    assert strikes(script, 5, method="GET") == [False] * 5
    assert strikes(script, 3) == [False, True, False]


@pytest.mark.parametrize(
    ("fault", "struck"),
    [
        (Fault(kind=FaultKind.HANG, method="GET"), False),
        (Fault(kind=FaultKind.HANG, path="users"), False),
        (Fault(kind=FaultKind.HANG, user_id="a2"), False),
        (Fault(kind=FaultKind.HANG, method="DELETE", path="user", user_id="a1"), True),
    ],
)
def test_method_path_and_user_must_all_match(fault: Fault, struck: bool) -> None:
    assert strikes(Script([fault], draw=never), 1) == [struck]


def test_the_first_fault_that_strikes_keeps_the_others_waiting() -> None:
    script = Script([Fault(kind=FaultKind.HANG), Fault(kind=FaultKind.DRIP)], draw=never)
    found = [script.strike(method="GET", path=None, user_id=None) for _ in range(3)]
    assert [fault and fault.kind for fault in found] == [FaultKind.HANG, FaultKind.DRIP, None]


def test_a_fault_strikes_when_the_number_drawn_is_below_its_probability() -> None:
    fault = Fault(kind=FaultKind.HANG, count=None, probability=0.3)
    draw = iter([0.0, 0.29, 0.3, 0.99, 0.1]).__next__
    assert strikes(Script([fault], draw=draw), 5) == [True, True, False, False, True]


def test_a_draw_that_misses_is_not_a_strike() -> None:
    fault = Fault(kind=FaultKind.HANG, count=1, probability=0.3)
    draw = iter([0.9, 0.9, 0.1]).__next__
    assert strikes(Script([fault], draw=draw), 4) == [False, False, True, False]


def test_a_probability_of_zero_never_strikes() -> None:
    script = Script([Fault(kind=FaultKind.HANG, probability=0.0)], draw=lambda: 0.0)
    assert strikes(script, 3) == [False] * 3


def test_clearing_tells_how_many_there_were() -> None:
    script = Script([Fault(kind=FaultKind.HANG), Fault(kind=FaultKind.DRIP)], draw=never)
    assert (script.clear(), script.clear()) == (2, 0)
    assert strikes(script, 2) == [False, False]
