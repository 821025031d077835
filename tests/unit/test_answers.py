"""What an answer of Forge means for a deletion."""

import pytest
from builders import moderately
from hypothesis import given
from hypothesis import strategies as st

from forge_gdpr.answers import (
    EQUAL_REFUSALS,
    REFUSALS,
    TRANSIENT_STATUSES,
    Reply,
    Verdict,
    judge,
    judge_logs,
    judge_presence,
)

SUCCESS = b'{"success": true}'
PAGE = b"<!DOCTYPE html><title>Sign in</title>"

#: The contract's table by hand: the exceptions, then the class.
SINGLE = {
    200: Verdict.ERASED,
    202: Verdict.ACCEPTED,
    204: Verdict.ERASED,
    401: Verdict.KEY_REFUSED,
    403: Verdict.FORBIDDEN,
    404: Verdict.ABSENT,
    408: Verdict.TRANSIENT,
    410: Verdict.ABSENT,
    425: Verdict.TRANSIENT,
    429: Verdict.TRANSIENT,
    500: Verdict.TRANSIENT,
    502: Verdict.TRANSIENT,
    503: Verdict.TRANSIENT,
    504: Verdict.TRANSIENT,
    **dict.fromkeys(range(520, 531), Verdict.TRANSIENT),
}
CLASSES = {
    1: Verdict.UNEXPECTED,
    2: Verdict.UNEXPECTED,
    3: Verdict.UNEXPECTED,
    4: Verdict.REJECTED,
    5: Verdict.UNEXPECTED,
}
EXPECTED = {status: SINGLE.get(status, CLASSES[status // 100]) for status in range(100, 600)}


def test_every_status_has_its_verdict() -> None:
    found = {status: judge(Reply(status=status, body=SUCCESS)) for status in range(100, 600)}
    assert found == EXPECTED


@pytest.mark.parametrize("body", [PAGE, b"", b'{"success": false}'], ids=["page", "none", "false"])
def test_a_body_that_does_not_confirm_spoils_only_a_success(body: bytes) -> None:
    verdicts = {status: judge(Reply(status=status, body=body)) for status in range(100, 600)}
    assert verdicts == EXPECTED | {200: Verdict.UNEXPECTED}


@pytest.mark.parametrize("status", [-1, 0, 99, 600, 999])
def test_a_status_that_is_none_is_unexpected(status: int) -> None:
    assert judge(Reply(status=status, body=SUCCESS)) is Verdict.UNEXPECTED


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        pytest.param(SUCCESS, Verdict.ERASED, id="documented"),
        pytest.param(b'{"success": true, "id": 7}', Verdict.ERASED, id="and more"),
        pytest.param(b'\xef\xbb\xbf{"success": true}', Verdict.ERASED, id="byte order mark"),
        *(
            pytest.param(body, Verdict.UNEXPECTED, id=f"the body {body.decode()}")
            for body in (
                b'{"message": "Success"}',
                b'{"error": "not allowed"}',
                b"{}",
                b"[]",
                b"null",
                b"false",
                b"true",
                b"0",
                b'"Unauthorized"',
                b'"success"',
                b'{"message": "User not found"}',
                b'{"ok": true}',
                b'{"ok": false}',
                b'{"statusCode": 500}',
                b'{"a": {"success": true}}',
                b'[{"success": true}]',
                b'{"Success": true}',
                b'{"success": [true]}',
                b'{"success": false, "success": true}',
                b'{"success": true, "success": true}',
            )
        ),
        pytest.param(b'{"success": false}', Verdict.UNEXPECTED, id="false"),
        pytest.param(b'{"success": null}', Verdict.UNEXPECTED, id="neither"),
        pytest.param(b'{"success": 0}', Verdict.UNEXPECTED, id="zero"),
        pytest.param(b'{"success": 1}', Verdict.UNEXPECTED, id="one"),
        pytest.param(b'{"success": "true"}', Verdict.UNEXPECTED, id="true as text"),
        pytest.param(b"", Verdict.UNEXPECTED, id="nothing"),
        pytest.param(b"OK", Verdict.UNEXPECTED, id="plain text"),
        pytest.param(PAGE, Verdict.UNEXPECTED, id="a page"),
        pytest.param(b'{"success": true', Verdict.UNEXPECTED, id="half an object"),
        pytest.param(b'{"success": true} {}', Verdict.UNEXPECTED, id="two objects"),
        pytest.param(b'{"success": "\xff"}', Verdict.UNEXPECTED, id="not UTF-8"),
        pytest.param(b"1" * 5000, Verdict.UNEXPECTED, id="more digits than Python reads"),
        pytest.param(
            b"[" * 60_000,
            Verdict.UNEXPECTED,
            id="nested too deeply",
        ),
    ],
)
def test_a_success_must_be_confirmed_by_its_body(body: bytes, verdict: Verdict) -> None:
    assert judge(Reply(status=200, body=body)) is verdict


@pytest.mark.parametrize("status", [201, 203, 205, 206, 207, 226, 299])
@pytest.mark.parametrize("body", [SUCCESS, b'{"message": "Success"}'])
def test_no_other_success_erases(status: int, body: bytes) -> None:
    assert judge(Reply(status=status, body=body)) is Verdict.UNEXPECTED
    assert judge_logs(Reply(status=status, body=body)) is Verdict.UNEXPECTED


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        (SUCCESS, Verdict.ERASED),
        (b'{"message": "Success"}', Verdict.ERASED),
        (b'{"message": "success"}', Verdict.UNEXPECTED),
        (b'{"message": "Success", "failed": 3}', Verdict.UNEXPECTED),
        (b'{"message": "User not found"}', Verdict.UNEXPECTED),
        (b'"Success"', Verdict.UNEXPECTED),
        (b"{}", Verdict.UNEXPECTED),
        (PAGE, Verdict.UNEXPECTED),
    ],
)
def test_logs_are_erased_by_either_documented_answer(body: bytes, verdict: Verdict) -> None:
    assert judge_logs(Reply(status=200, body=body)) is verdict


@moderately
@given(
    status=st.integers(100, 599),
    body=st.binary(max_size=64) | st.sampled_from([SUCCESS, b'{"message": "Success"}', PAGE]),
    cut=st.booleans(),
    unreadable=st.booleans(),
)
def test_nothing_erases_but_the_documented_answers(
    status: int, body: bytes, cut: bool, unreadable: bool
) -> None:
    reply = Reply(status=status, body=body, cut=cut, unreadable=unreadable)
    whole = status == 200 and not cut and not unreadable
    for judged, documented in (
        (judge, {SUCCESS}),
        (judge_logs, {SUCCESS, b'{"message": "Success"}'}),
    ):
        erased = status == 204 or (whole and body in documented)
        assert (judged(reply) is Verdict.ERASED) is erased
    assert judge_presence(reply, "61ab8f99251cba0014437326") not in {None, Verdict.ERASED}


def test_logs_and_account_agree_on_every_other_status() -> None:
    verdicts = {status: judge_logs(Reply(status=status, body=SUCCESS)) for status in EXPECTED}
    assert verdicts == EXPECTED


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, b'{"_id": "61ab8f99251cba0014437326"}', None),
        (200, b'{"_id": "61AB8F99251CBA0014437326", "workflows": null}', None),
        (200, b'{"_id": "61ab8f99251cba0014437327"}', Verdict.UNEXPECTED),
        (200, b'{"userId": "61ab8f99251cba0014437326"}', Verdict.UNEXPECTED),
        (200, b'{"_id": 61}', Verdict.UNEXPECTED),
        (200, SUCCESS, Verdict.UNEXPECTED),
        (200, b"[]", Verdict.UNEXPECTED),
        (200, PAGE, Verdict.UNEXPECTED),
        (200, b'{"_id": "61ab8f99251cba0014437326", "_id": "x"}', Verdict.UNEXPECTED),
        (200, b'[{"_id": "61ab8f99251cba0014437326"}]', Verdict.UNEXPECTED),
        (200, b'{"data": {"_id": "61ab8f99251cba0014437326"}}', Verdict.UNEXPECTED),
        (201, b'{"_id": "61ab8f99251cba0014437326"}', Verdict.UNEXPECTED),
        (202, b"{}", Verdict.UNEXPECTED),
        (204, b"", Verdict.UNEXPECTED),
        (302, b"", Verdict.UNEXPECTED),
        (401, b"", Verdict.KEY_REFUSED),
        (403, b"", Verdict.FORBIDDEN),
        (404, b'{"_id": "61ab8f99251cba0014437326"}', Verdict.ABSENT),
        (410, b"", Verdict.ABSENT),
        (405, b"", Verdict.REJECTED),
        (503, b"", Verdict.TRANSIENT),
    ],
)
def test_a_look_shows_the_user_or_nothing(
    status: int, body: bytes, verdict: Verdict | None
) -> None:
    assert judge_presence(Reply(status=status, body=body), "61ab8f99251cba0014437326") is verdict


def test_a_success_that_was_cut_off_is_not_believed() -> None:
    assert judge(Reply(status=200, body=SUCCESS, cut=True)) is Verdict.UNEXPECTED
    assert judge(Reply(status=204, body=SUCCESS, cut=True)) is Verdict.ERASED


@moderately
@given(
    status=st.sampled_from(sorted(set(range(100, 600)) - set(range(200, 300)))), body=st.binary()
)
def test_only_a_success_needs_a_body(status: int, body: bytes) -> None:
    assert judge(Reply(status=status, body=body)) is EXPECTED[status]


@moderately
@given(st.binary(max_size=64))
def test_no_body_breaks_the_judgement(body: bytes) -> None:
    assert judge(Reply(status=200, body=body)) in {Verdict.ERASED, Verdict.UNEXPECTED}


def test_json_is_read_only_when_it_is_whole() -> None:
    assert Reply(status=200, body=b'{"data": ["\xc3\xa9"]}').json() == {"data": ["é"]}
    with pytest.raises(ValueError, match=r"^the body is longer than the limit$"):
        Reply(status=200, body=b"{}", cut=True).json()
    with pytest.raises(ValueError, match="Expecting value"):
        Reply(status=200).json()
    with pytest.raises(ValueError, match=r"^the body can't be decoded$"):
        Reply(status=200, body=b"{}", unreadable=True).json()
    with pytest.raises(ValueError, match=r"^the body is nested too deeply$"):
        Reply(status=200, body=b"[" * 60_000).json()


def test_a_plain_reply_has_nothing_but_a_status() -> None:
    assert Reply(status=204) == Reply(
        status=204, body=b"", cut=False, retry_after=None, date=None, partial=None
    )


def test_transient_statuses_are_the_contracts() -> None:
    gateways = {520, 521, 522, 523, 524, 525, 526, 527, 528, 529, 530}
    assert {408, 425, 429, 500, 502, 503, 504} | gateways == TRANSIENT_STATUSES


def test_a_row_of_refusals_is_longer_than_chance() -> None:
    refusing_accounts = 0.1  # every tenth refuses on its own
    assert refusing_accounts**EQUAL_REFUSALS <= 1.01e-10


def test_what_a_wrong_address_could_say_is_a_refusal() -> None:
    assert {Verdict.UNEXPECTED, Verdict.REJECTED, Verdict.FORBIDDEN} == REFUSALS


def test_the_verdicts_have_their_names() -> None:
    assert [verdict.value for verdict in Verdict] == [
        "erased",
        "accepted",
        "absent",
        "transient",
        "unexpected",
        "rejected",
        "forbidden",
        "key_refused",
    ]


def test_every_verdict_can_be_given() -> None:
    assert set(EXPECTED.values()) == set(Verdict)
