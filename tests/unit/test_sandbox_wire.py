"""Bytes, targets and users of the sandbox, without a socket."""

import pytest

from forge_gdpr.sandbox import User, generated_user
from forge_gdpr.sandbox.endpoints import Place, locate
from forge_gdpr.sandbox.users import DuplicateUserError, Users
from forge_gdpr.sandbox.wire import (
    MAX_HEAD_BYTES,
    Answer,
    MalformedRequestError,
    encoded_body,
    encoded_head,
    take_request,
    waits_for_continue,
)

REQUEST = b"POST /x?y=%2e HTTP/1.1\r\nContent-Length: 3\r\nX-A:  b \r\n\r\nabc"
ID = "61ab8f99251cba0014437326"


def test_a_request_is_the_same_however_it_is_cut() -> None:
    buffer = bytearray()
    for at, byte in enumerate(REQUEST[:-1]):
        buffer.append(byte)
        assert take_request(buffer) is None, at
    buffer.append(REQUEST[-1])
    request = take_request(buffer)
    assert request is not None
    assert (request.method, request.target, request.body) == ("POST", "/x?y=%2e", b"abc")
    assert request.headers == {"content-length": "3", "x-a": "b"}
    assert buffer == b""


def test_requests_that_come_together_are_taken_one_by_one() -> None:
    buffer = bytearray(REQUEST + b"\r\n" + REQUEST)
    first, second = take_request(buffer), take_request(buffer)
    assert first == second
    assert take_request(buffer) is None


@pytest.mark.parametrize(
    ("head", "keep_alive"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nConnection: Close\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True),
    ],
)
def test_version_and_connection_say_whether_more_may_follow(head: bytes, keep_alive: bool) -> None:
    request = take_request(bytearray(head))
    assert request is not None
    assert request.keep_alive is keep_alive


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(b"GET /\r\n\r\n", 400, id="no version"),
        pytest.param(b"GET  / HTTP/1.1\r\n\r\n", 400, id="two spaces"),
        pytest.param(b"GET / HTTP/2\r\n\r\n", 400, id="other version"),
        pytest.param(b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, id="no colon"),
        pytest.param(b"GET / HTTP/1.1\r\nA: b\r\n c: d\r\n\r\n", 400, id="folded line"),
        pytest.param(b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400, id="negative length"),
        pytest.param(b"GET / HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n", 413, id="big body"),
        pytest.param(b"GET / HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n", 413, id="a byte more"),
        pytest.param(b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411, id="chunked"),
        pytest.param(b"GET / HTTP/1.1\r\nA: " + b"b" * MAX_HEAD_BYTES, 431, id="head, not ended"),
        pytest.param(
            b"GET / HTTP/1.1\r\nA: " + b"b" * MAX_HEAD_BYTES + b"\r\n\r\n", 431, id="head, ended"
        ),
    ],
)
def test_what_cannot_be_read_is_refused(data: bytes, status: int) -> None:
    with pytest.raises(MalformedRequestError) as caught:
        take_request(bytearray(data))
    assert caught.value.status == status
    assert caught.value.method == "GET"


def test_an_answer_has_these_bytes() -> None:
    answer = Answer(status=200, body=b"{}", headers=(("X-A", "b"),))
    assert encoded_head(answer, date="D", close=True) == (
        b"HTTP/1.1 200 OK\r\nDate: D\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
        b"Connection: close\r\nX-A: b\r\n\r\n"
    )


def test_a_header_of_the_answer_replaces_ours() -> None:
    answer = Answer(status=200, headers=(("content-type", "text/plain"), ("DATE", "today")))
    assert encoded_head(answer, date="D", close=False) == (
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\ncontent-type: text/plain\r\nDATE: today\r\n\r\n"
    )


def test_204_and_head_have_no_body() -> None:
    empty = Answer(status=204, body=b"{}")
    assert encoded_head(empty, date="D", close=False) == (
        b"HTTP/1.1 204 No Content\r\nDate: D\r\n\r\n"
    )
    assert encoded_body(empty, method="GET") == b""
    assert encoded_body(Answer(status=200, body=b"{}"), method="HEAD") == b""


@pytest.mark.parametrize(
    ("head", "waits"),
    [
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n", True),
        (b"POST / HTTP/1.1\r\nEXPECT:100-Continue\r\nContent-Length: 3\r\n\r\nab", True),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n", False),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\nExpect: a-pony\r\n\r\n", False),
        (b"POST / HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n", False),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n", False),
        (b"", False),
    ],
)
def test_a_client_waits_if_it_says_so_in_a_whole_head(head: bytes, waits: bool) -> None:
    assert waits_for_continue(bytearray(head)) is waits


@pytest.mark.parametrize(
    ("target", "place"),
    [
        ("/forge/2021-12/user", Place(endpoint="users")),
        ("/forge/2021-12/user/", Place(endpoint="users")),
        ("/forge/2021-12/user?x=/y", Place(endpoint="users")),
        (f"/forge/2021-12/user/{ID}", Place(endpoint="user", user_id=ID)),
        (f"/forge/2021-12/user/{ID}/token", Place(endpoint="token", user_id=ID)),
        (f"/forge/2021-12/user/{ID}/logs", Place(endpoint="logs", user_id=ID)),
        ("/forge/2021-12/user/a%2Fb%3f", Place(endpoint="user", user_id="a/b?")),
        ("/forge/2021-12/user/..", Place(endpoint="user", user_id="..")),
        ("http://h:1/forge/2021-12/user", Place(endpoint="users")),
        ("/forge/2021-12/users", Place(endpoint=None)),
        ("/forge/2021-12/user/a/workflows", Place(endpoint=None)),
        ("/forge/2021-12", Place(endpoint=None)),
        ("/forge/2021-123/user", Place(endpoint=None, in_api=False)),
        ("/", Place(endpoint=None, in_api=False)),
        ("*", Place(endpoint=None, in_api=False)),
    ],
)
def test_a_target_leads_to_its_endpoint(target: str, place: Place) -> None:
    assert locate(target) == place


def test_user_number_seven_is_always_the_same() -> None:
    assert generated_user(7) == User(
        id="274a071a69d78307c98f4e28", name="Hugo Oak 7", email="hugo.oak.7@example.org"
    )


def test_generated_users_are_unique() -> None:
    users = [generated_user(number, seed=seed) for seed in (0, 1) for number in range(500)]
    assert len({user.id for user in users}) == 1000
    assert all(len(user.id) == 24 and int(user.id, 16) >= 0 for user in users)
    assert len({user.email for user in users[:500]}) == 500
    assert len({user.name for user in users[:500]}) == 500


def test_id_and_address_are_taken_once_and_free_after_removal() -> None:
    first = generated_user(0)
    users = Users([first])
    with pytest.raises(DuplicateUserError, match="id"):
        users.add(User(id=first.id, name="n", email="other@example.org"))
    with pytest.raises(DuplicateUserError, match="email"):
        users.create(name="n", email=first.email)
    users.remove(first)
    users.add(first)
    assert users.all() == (first,)
