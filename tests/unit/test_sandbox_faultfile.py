"""Faults as text, and which of them strikes."""

import pytest

from forge_gdpr.sandbox import Encoding, Fault, FaultKind, Hint, Paging, Placement, parse_faults
from forge_gdpr.sandbox.faultfile import parse_paging
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
        "body": "slow down", "delay_s": 1, "size_bytes": 10, "encoding": "deflate_raw",
        "page_size": 100, "hint": "has_more", "entries": [null, {"_id": 5}], "placement": "merge",
        "extra": {"total": 250}}]"""
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
            encoding=Encoding.DEFLATE_RAW,
            page_size=100,
            hint=Hint.HAS_MORE,
            entries=(None, {"_id": 5}),
            placement=Placement.MERGE,
            extra={"total": 250},
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
        ("[" * 100_000, "fault 2: not JSON: it is nested too deeply"),
        ('{"kind": "page", "page_size": -1}', "fault 2: field page_size: -1 is out of range"),
        ('{"kind": "page", "page_size": null}', "fault 2: field page_size: None is not a whole"),
        ('{"kind": "page", "hint": "more"}', "fault 2: field hint: 'more' is none of none, has_"),
        ('{"kind": "page", "path": "user"}', "fault 2: field path: 'user' is out of range"),
        ('{"kind": "page", "method": "POST"}', "fault 2: field method: 'POST' is out of range"),
        ('{"kind": "lie", "method": "GET"}', "fault 2: field method: 'GET' is out of range"),
        ('{"kind": "odd_entries", "entries": {}}', "fault 2: field entries: {} is not a list"),
        ('{"kind": "odd_entries", "extra": []}', "fault 2: field extra: [] is not an object"),
        ('{"kind": "odd_entries", "placement": 1}', "fault 2: field placement: 1 is none of app"),
        ('{"kind": "encoded", "encoding": "zip"}', "fault 2: field encoding: 'zip' is none of g"),
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


@pytest.mark.parametrize("kind", [FaultKind.PAGE, FaultKind.ODD_ENTRIES, FaultKind.LIE])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
@pytest.mark.parametrize("path", ["users", "user", "token", "logs", None])
def test_some_kinds_strike_only_the_requests_they_make_sense_for(
    kind: FaultKind, method: str, path: str | None
) -> None:
    script = Script([Fault(kind=kind)], draw=never)
    fault = script.strike(method=method, path=path, user_id=None)  # type: ignore[arg-type]
    expected = {
        FaultKind.LIE: method == "DELETE" and path in {"user", "logs"},
    }.get(kind, method in {"GET", "HEAD"} and path == "users")
    assert (fault is not None) is expected


@pytest.mark.parametrize("field", ["encoding", "status", "size_bytes", "user_id", "path"])
def test_null_is_as_good_as_not_said(field: str) -> None:
    assert parse_faults(f'{{"kind": "encoded", "{field}": null}}') == (
        Fault(kind=FaultKind.ENCODED),
    )


def test_a_fault_is_a_value() -> None:
    odd = [Fault(kind=FaultKind.ODD_ENTRIES, entries=[{}], extra={"a": []}) for _ in range(2)]
    assert len(set(odd)) == 1


@pytest.mark.parametrize(
    ("text", "paging"),
    [
        ("{}", Paging()),
        ('{"size": 0}', Paging(size=0)),
        ('{"size": null, "hint": "total"}', Paging(hint=Hint.TOTAL)),
        ('{"size": 100, "hint": "link"}', Paging(size=100, hint=Hint.LINK)),
    ],
)
def test_paging_is_read_from_json(text: str, paging: Paging) -> None:
    assert parse_paging(text) == paging
