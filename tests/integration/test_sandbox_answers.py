"""Answers that mislead: polite denials, lies, routes that vanish, bodies in a coding."""

import gzip
import http.client
import json
import zlib
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from forge_gdpr.sandbox import Encoding, Fault, FaultKind, Sandbox, generated_user, parse_faults

BASE = "/forge/2021-12"
ADA, BEN = generated_user(0), generated_user(1)
USER = f"{BASE}/user/{ADA.id}"
HEADERS = {"Authorization": "Bearer sandbox-key"}
SUCCESS = b'{"success": true}'
LOGS_SUCCESS = b'{"message": "Success"}'


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(users=3) as running:
        yield running


def call(
    sandbox: Sandbox, method: str = "DELETE", path: str = USER, body: object = None
) -> tuple[int, http.client.HTTPMessage, bytes]:
    text = None if body is None else json.dumps(body)
    with closing(http.client.HTTPConnection(urlsplit(sandbox.url).netloc, timeout=5)) as link:
        link.request(method, path, body=text, headers=HEADERS)
        answer = link.getresponse()
        return answer.status, answer.headers, answer.read()


@pytest.mark.parametrize(
    "body",
    [
        '{"error": "not allowed"}',
        "{}",
        "[]",
        "null",
        "false",
        "0",
        '"Unauthorized"',
        '{"message": "User not found"}',
        '{"ok": false}',
        '{"statusCode": 500}',
        '{"success": "true"}',
        '{"success": 1}',
    ],
)
@pytest.mark.parametrize("path", [USER, f"{USER}/logs"])
def test_a_polite_denial_is_a_200_that_does_nothing(sandbox: Sandbox, path: str, body: str) -> None:
    fault = {"kind": "status", "status": 200, "body": body, "method": "DELETE"}
    assert call(sandbox, "POST", "/_sandbox/faults", fault)[0] == 200
    status, headers, denial = call(sandbox, path=path)
    assert (status, headers["Content-Type"], denial) == (200, "application/json", body.encode())
    [seen] = sandbox.seen
    assert (seen.status, seen.changed, ADA in sandbox.users) == (200, False, True)


ROUTES = {
    ("users", "GET"): (f"{BASE}/user", None),
    ("users", "POST"): (f"{BASE}/user", {"name": "Zoe", "email": "zoe@example.org"}),
    ("user", "GET"): (USER, None),
    ("user", "PATCH"): (USER, {"fullName": "Ada", "email": "ada@example.org"}),
    ("user", "DELETE"): (USER, None),
    ("token", "GET"): (f"{USER}/token", None),
    ("logs", "DELETE"): (f"{USER}/logs", None),
}


@pytest.mark.parametrize("way", ["python", "wire"])
@pytest.mark.parametrize(("endpoint", "method"), ROUTES)
def test_a_route_vanishes_in_mid_run_and_the_others_stay(
    sandbox: Sandbox, endpoint: str, method: str, way: str
) -> None:
    path, body = ROUTES[endpoint, method]
    fault = {
        "kind": "status",
        "status": 404,
        "path": endpoint,
        "method": method,
        "skip": 1,
        "count": None,
        "body": "default backend - 404",
        "headers": {"Content-Type": "text/plain"},
    }
    if way == "wire":
        assert call(sandbox, "POST", "/_sandbox/faults", [fault])[0] == 200
    else:
        sandbox.script(*parse_faults(json.dumps(fault)))
    assert call(sandbox, method, path, body)[0] == 200
    before = sandbox.users
    for _ in range(3):
        status, headers, text = call(sandbox, method, path, body)
        assert (status, headers["Content-Type"], text) == (
            404,
            "text/plain",
            b"default backend - 404",
        )
    assert sandbox.users == before
    elsewhere = f"{BASE}/user" if endpoint == "user" else f"{BASE}/user/{BEN.id}"
    assert call(sandbox, "GET", elsewhere)[0] == 200
    assert call(sandbox, "DELETE", "/_sandbox/faults")[0] == 200
    assert b"default backend" not in call(sandbox, method, path, body)[2]


@pytest.mark.parametrize(("path", "success"), [("", SUCCESS), ("/logs", LOGS_SUCCESS)])
def test_a_lie_says_success_and_deletes_nobody(sandbox: Sandbox, path: str, success: bytes) -> None:
    sandbox.script(Fault(kind=FaultKind.LIE, count=2))
    assert call(sandbox, "GET")[0] == 200  # a lie is about deletions
    for _ in range(2):
        assert call(sandbox, path=USER + path)[::2] == (200, success)
    assert [(seen.fault, seen.changed) for seen in sandbox.seen] == [
        (None, False),
        ("lie", False),
        ("lie", False),
    ]
    assert ADA in sandbox.users
    assert call(sandbox)[::2] == (200, SUCCESS)
    assert ADA not in sandbox.users


def test_a_deletion_may_be_done_and_answered_with_404(sandbox: Sandbox) -> None:
    body = '{"message": "User not found"}'
    sandbox.script(Fault(kind=FaultKind.STATUS_AFTER, status=404, body=body))
    assert call(sandbox)[::2] == (404, body.encode())
    [seen] = sandbox.seen
    assert (seen.status, seen.changed, ADA in sandbox.users) == (404, True, False)


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        (None, "gzip"),
        (Encoding.GZIP, "gzip"),
        (Encoding.DEFLATE, "deflate"),
        (Encoding.DEFLATE_RAW, "deflate"),
        (Encoding.GZIP_TWICE, "gzip, gzip"),
        (Encoding.GZIP_CUT, "gzip"),
        (Encoding.GZIP_FALSE, "gzip"),
        (Encoding.BR, "br"),
    ],
)
def test_the_right_answer_comes_in_a_coding(
    sandbox: Sandbox, encoding: Encoding | None, name: str
) -> None:
    sandbox.script(Fault(kind=FaultKind.ENCODED, encoding=encoding))
    status, headers, data = call(sandbox)
    assert (status, headers["Content-Encoding"], int(headers["Content-Length"])) == (
        200,
        name,
        len(data),
    )
    assert (sandbox.seen[0].changed, ADA in sandbox.users) == (True, False)
    match encoding:
        case None | Encoding.GZIP:
            assert gzip.decompress(data) == SUCCESS
        case Encoding.DEFLATE:
            assert zlib.decompress(data) == SUCCESS
        case Encoding.DEFLATE_RAW:
            assert zlib.decompress(data, wbits=-zlib.MAX_WBITS) == SUCCESS
        case Encoding.GZIP_TWICE:
            assert gzip.decompress(gzip.decompress(data)) == SUCCESS
        case Encoding.GZIP_CUT:
            with pytest.raises(EOFError):
                gzip.decompress(data)
        case Encoding.GZIP_FALSE:
            assert data == SUCCESS
        case Encoding.BR:
            assert SUCCESS not in data


def test_another_answer_may_come_in_a_coding_too(sandbox: Sandbox) -> None:
    denial = '{"error": "not allowed"}'
    sandbox.script(
        Fault(kind=FaultKind.STATUS, status=200, body=denial, encoding=Encoding.GZIP),
        Fault(kind=FaultKind.HTML, encoding=Encoding.DEFLATE),
        Fault(kind=FaultKind.LIE, encoding=Encoding.GZIP),
    )
    assert gzip.decompress(call(sandbox)[2]) == denial.encode()
    assert zlib.decompress(call(sandbox)[2]).startswith(b"<!DOCTYPE html>")
    assert gzip.decompress(call(sandbox)[2]) == SUCCESS
    assert ADA in sandbox.users


def test_the_list_comes_in_a_coding(sandbox: Sandbox) -> None:
    sandbox.script(Fault(kind=FaultKind.ENCODED, path="users"))
    assert len(json.loads(gzip.decompress(call(sandbox, "GET", f"{BASE}/user")[2]))["data"]) == 3


@pytest.mark.parametrize("size_bytes", [0, 40, 1024**2 + 5, 64 * 1024**2])
def test_a_gzip_bomb_is_small_on_the_wire(sandbox: Sandbox, size_bytes: int) -> None:
    sandbox.script(Fault(kind=FaultKind.GZIP_BOMB, size_bytes=size_bytes))
    status, headers, data = call(sandbox)
    assert (status, headers["Content-Encoding"], int(headers["Content-Length"])) == (
        200,
        "gzip",
        len(data),
    )
    assert len(data) < 200 + size_bytes / 900
    text = gzip.decompress(data)  # checks length and checksum too
    assert len(text) == max(size_bytes, 32)
    assert json.loads(text)["success"] is True
    [seen] = sandbox.seen
    assert (seen.status, seen.changed) == (200, True)


def test_a_bomb_without_a_size_is_a_gibibyte_in_one_member(sandbox: Sandbox) -> None:
    sandbox.script(Fault(kind=FaultKind.GZIP_BOMB))
    _, headers, data = call(sandbox)
    assert int.from_bytes(data[-4:], "little") == 1024**3
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert unpacker.decompress(data, 50).startswith(b'{"success": true')
    assert int(headers["Content-Length"]) < 2 * 1024**2
