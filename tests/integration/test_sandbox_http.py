"""HEAD and ``Expect: 100-continue``, as a client on a real socket meets them."""

import http.client
import socket
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from forge_gdpr.sandbox import Fault, FaultKind, Sandbox, generated_user

BASE = "/forge/2021-12"
USER = f"{BASE}/user/{generated_user(0).id}"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(users=3) as running:
        yield running


def call(sandbox: Sandbox, method: str, path: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    headers = {"Authorization": "Bearer sandbox-key"}
    with closing(http.client.HTTPConnection(urlsplit(sandbox.url).netloc, timeout=5)) as link:
        link.request(method, path, headers=headers)
        answer = link.getresponse()
        return answer.status, answer.headers, answer.read()


@pytest.mark.parametrize("path", [f"{BASE}/user", USER, f"{USER}/token", f"{USER}x", "/"])
def test_head_is_answered_like_get_without_the_body(sandbox: Sandbox, path: str) -> None:
    status, headers, body = call(sandbox, "GET", path)
    head_status, head_headers, head_body = call(sandbox, "HEAD", path)
    assert (head_status, head_body) == (status, b"")
    assert head_headers["Content-Length"] == headers["Content-Length"] == str(len(body))


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind=FaultKind.HUGE_BODY),
        Fault(kind=FaultKind.HUGE_BODY, size_bytes=100),
        Fault(kind=FaultKind.GZIP_BOMB, size_bytes=10**7),
        Fault(kind=FaultKind.STATUS, status=200, body="{}"),
        Fault(kind=FaultKind.DRIP),
        Fault(kind=FaultKind.ENCODED),
        Fault(kind=FaultKind.PAGE, page_size=1),
        Fault(kind=FaultKind.ODD_ENTRIES),
    ],
    ids=lambda fault: f"{fault.kind} {fault.size_bytes}",
)
def test_no_body_follows_a_head_request(sandbox: Sandbox, fault: Fault) -> None:
    sandbox.script(fault)
    address = urlsplit(sandbox.url)
    request = f"{{}} {BASE}/user HTTP/1.1\r\nAuthorization: Bearer sandbox-key\r\n{{}}\r\n"
    with socket.create_connection((address.hostname, address.port or 0), timeout=5) as wire:
        wire.sendall(request.format("HEAD", "").encode())
        wire.sendall(request.format("GET", "Connection: close\r\n").encode())
        data = b"".join(iter(lambda: wire.recv(65536), b""))
    heads = data.split(b"\r\n\r\n")
    assert len(heads) == 3  # two heads and the body of the second
    assert all(head.startswith(b"HTTP/1.1 200 OK") for head in heads[:2])
    assert [seen.status for seen in sandbox.seen] == [200, 200]


def test_head_is_refused_where_get_is(sandbox: Sandbox) -> None:
    status, headers, _ = call(sandbox, "HEAD", f"{USER}/logs")
    assert (status, headers["Allow"]) == (405, "DELETE")


def exchange(sandbox: Sandbox, first: bytes, then: bytes) -> tuple[bytes, bytes]:
    """Send ``first``, read what comes, send ``then``, and read to the end."""
    address = urlsplit(sandbox.url)
    with socket.create_connection((address.hostname, address.port or 0), timeout=5) as wire:
        wire.sendall(first)
        early = wire.recv(65536)
        wire.sendall(then)
        return early, b"".join(iter(lambda: wire.recv(65536), b""))


BODY = b'{"name": "Zoe", "email": "zoe@example.org"}'


@pytest.mark.parametrize("expect", [b"Expect: 100-continue", b"EXPECT:  100-Continue "])
def test_a_client_that_waits_to_send_its_body_is_told_to(sandbox: Sandbox, expect: bytes) -> None:
    head = (
        f"POST {BASE}/user HTTP/1.1\r\nAuthorization: bearer sandbox-key\r\n"
        f"Content-Length: {len(BODY)}\r\nConnection: close\r\n"
    ).encode()
    early, late = exchange(sandbox, head + expect + b"\r\n\r\n", BODY)
    assert early == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert late.startswith(b"HTTP/1.1 200 OK\r\n")
    assert sandbox.users[-1].email == "zoe@example.org"


def test_a_client_that_waits_is_told_once_and_each_time(sandbox: Sandbox) -> None:
    head = (
        f"POST {BASE}/user HTTP/1.1\r\nAuthorization: Bearer sandbox-key\r\n"
        f"Content-Length: {len(BODY)}\r\nExpect: 100-continue\r\n"
    ).encode()
    address = urlsplit(sandbox.url)
    with socket.create_connection((address.hostname, address.port or 0), timeout=5) as wire:
        wire.sendall(head + b"\r\n")
        assert wire.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.sendall(BODY[:9])
        wire.sendall(BODY[9:] + head + b"Connection: close\r\n\r\n")
        data = b""
        while data.count(b"\r\n\r\n") < 2 or not data.endswith(b"100 Continue\r\n\r\n"):
            data += wire.recv(65536)
        wire.sendall(BODY)
        data += b"".join(iter(lambda: wire.recv(65536), b""))
    assert data.count(b"100 Continue") == 1
    assert [seen.status for seen in sandbox.seen] == [200, 400]  # the address is taken by then


def test_a_client_that_does_not_wait_is_told_nothing(sandbox: Sandbox) -> None:
    request = (
        f"DELETE {USER} HTTP/1.1\r\nAuthorization: Bearer sandbox-key\r\n"
        "Expect: 100-continue\r\nConnection: close\r\n\r\n"
    ).encode()
    early, late = exchange(sandbox, request, b"")
    assert (early + late).startswith(b"HTTP/1.1 200 OK\r\n")
