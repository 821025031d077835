"""Each kind of fault, as a client on a raw socket meets it."""

import json
import socket
import time
from collections.abc import Iterator
from itertools import count
from urllib.parse import urlsplit

import pytest

from forge_gdpr.sandbox import Fault, FaultKind, Sandbox, generated_user
from forge_gdpr.sandbox.faults import EFFECTIVE

ADA = generated_user(0)
BASE = "/forge/2021-12"
SUCCESS = b'{"success": true}'


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(users=3) as running:
        yield running


@pytest.fixture
def wire(sandbox: Sandbox) -> Iterator[socket.socket]:
    with connected(sandbox) as link:
        yield link


def connected(sandbox: Sandbox) -> socket.socket:
    address = urlsplit(sandbox.url)
    return socket.create_connection((address.hostname, address.port or 0), timeout=5)


def send(wire: socket.socket, method: str = "DELETE", path: str = f"{BASE}/user/{ADA.id}") -> None:
    wire.sendall(f"{method} {path} HTTP/1.1\r\nAuthorization: Bearer sandbox-key\r\n\r\n".encode())


def receive(wire: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Read one answer that has a Content-Length, and not a byte more."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        data += wire.recv(1)
    first, *lines = data.decode("latin-1").rstrip().split("\r\n")
    headers = {name.lower(): text for name, _, text in (line.partition(": ") for line in lines)}
    body = b""
    while len(body) < int(headers.get("content-length", "0")):
        body += wire.recv(int(headers["content-length"]) - len(body))
    return int(first.split(" ")[1]), headers, body


def to_the_end(wire: socket.socket) -> bytes:
    return b"".join(iter(lambda: wire.recv(65536), b""))


def deleted(sandbox: Sandbox) -> bool:
    return ADA not in sandbox.users


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        pytest.param(
            Fault(kind=FaultKind.STATUS), 503, b'{"message": "Fault of the sandbox"}', id="status"
        ),
        pytest.param(
            Fault(kind=FaultKind.STATUS, status=429, body="slow down"),
            429,
            b"slow down",
            id="status with a body",
        ),
        pytest.param(Fault(kind=FaultKind.WRONG_JSON), 200, b'{"success": tr', id="wrong JSON"),
        pytest.param(
            Fault(kind=FaultKind.NOT_SUCCESS), 200, b'{"success": false}', id="not success"
        ),
        pytest.param(Fault(kind=FaultKind.EMPTY), 200, b"", id="empty"),
        pytest.param(Fault(kind=FaultKind.REDIRECT), 302, b"", id="redirect"),
        pytest.param(Fault(kind=FaultKind.HTML, body="<html>"), 200, b"<html>", id="html"),
    ],
)
def test_another_answer_leaves_the_user(
    sandbox: Sandbox, wire: socket.socket, fault: Fault, status: int, body: bytes
) -> None:
    sandbox.script(fault)
    send(wire)
    assert receive(wire)[::2] == (status, body)
    [seen] = sandbox.seen
    assert (seen.status, seen.fault, seen.changed) == (status, fault.kind, False)
    assert not deleted(sandbox)
    send(wire)  # the connection is still good, and the fault is used up
    assert receive(wire)[2] == SUCCESS


def test_a_login_page_is_html(sandbox: Sandbox, wire: socket.socket) -> None:
    sandbox.script(Fault(kind=FaultKind.HTML))
    send(wire)
    _, headers, page = receive(wire)
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert page.startswith(b"<!DOCTYPE html>")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_leads_where_it_is_told(
    sandbox: Sandbox, wire: socket.socket, status: int
) -> None:
    headers = (("Location", "https://example.org/login"), ("Retry-After", "5"))
    sandbox.script(Fault(kind=FaultKind.REDIRECT, status=status, headers=headers))
    send(wire)
    answered, got, _ = receive(wire)
    assert (answered, got["location"], got["retry-after"]) == (
        status,
        "https://example.org/login",
        "5",
    )


def test_a_bad_gateway_after_the_deletion_hides_it(sandbox: Sandbox, wire: socket.socket) -> None:
    sandbox.script(Fault(kind=FaultKind.STATUS_AFTER, status=502))
    send(wire)
    assert receive(wire)[0] == 502
    [seen] = sandbox.seen
    assert (seen.status, seen.changed, deleted(sandbox)) == (502, True, True)


def test_a_204_has_no_body(sandbox: Sandbox, wire: socket.socket) -> None:
    sandbox.script(Fault(kind=FaultKind.STATUS_AFTER, status=204))
    send(wire)
    send(wire, "GET")
    assert [receive(wire)[0] for _ in range(2)] == [204, 404]


def test_a_fault_may_end_the_connection(sandbox: Sandbox, wire: socket.socket) -> None:
    sandbox.script(Fault(kind=FaultKind.STATUS, headers=(("Connection", "close"),)))
    send(wire)
    assert to_the_end(wire).startswith(b"HTTP/1.1 503 ")


@pytest.mark.parametrize("kind", [FaultKind.RESET_BEFORE, FaultKind.ANSWER_LOST])
def test_a_reset_is_a_reset(sandbox: Sandbox, wire: socket.socket, kind: FaultKind) -> None:
    sandbox.script(Fault(kind=kind))
    send(wire)
    with pytest.raises(ConnectionResetError):
        wire.recv(1)
    [seen] = sandbox.seen
    assert (seen.status, seen.fault, seen.changed) == (None, kind, kind in EFFECTIVE)
    assert deleted(sandbox) is (kind is FaultKind.ANSWER_LOST)


@pytest.mark.parametrize("kind", [FaultKind.HANG, FaultKind.HANG_AFTER])
def test_a_hang_says_nothing(sandbox: Sandbox, wire: socket.socket, kind: FaultKind) -> None:
    sandbox.script(Fault(kind=kind))
    send(wire)
    send(wire, "GET")  # waits behind it, for ever
    wire.settimeout(0.05)
    with pytest.raises(TimeoutError):
        wire.recv(1)
    [seen] = sandbox.seen
    assert (seen.status, seen.changed) == (None, kind is FaultKind.HANG_AFTER)
    assert deleted(sandbox) is (kind is FaultKind.HANG_AFTER)


def test_a_drip_starts_with_the_first_byte_of_the_status_line(
    sandbox: Sandbox, wire: socket.socket
) -> None:
    sandbox.script(Fault(kind=FaultKind.DRIP, delay_s=0.01))
    send(wire)
    assert [wire.recv(100) for _ in range(4)] == [b"H", b"T", b"T", b"P"]
    [seen] = sandbox.seen
    assert (seen.status, seen.changed) == (None, True)


def test_a_drip_ends_in_the_right_answer(sandbox: Sandbox, wire: socket.socket) -> None:
    sandbox.script(Fault(kind=FaultKind.DRIP))
    send(wire)
    assert receive(wire)[::2] == (200, SUCCESS)
    assert sandbox.seen[0].status == 200


def test_a_dripping_body_has_its_head_at_once(sandbox: Sandbox, wire: socket.socket) -> None:
    sandbox.script(Fault(kind=FaultKind.DRIP_BODY, delay_s=0.01))
    send(wire)
    assert wire.recv(1000).endswith(b"\r\n\r\n")
    assert [wire.recv(100) for _ in range(4)] == [b"{", b'"', b"s", b"u"]
    assert deleted(sandbox)


def test_a_slow_answer_is_right(sandbox: Sandbox, wire: socket.socket) -> None:
    sandbox.script(Fault(kind=FaultKind.SLOW, delay_s=0.02))
    send(wire)
    assert receive(wire)[::2] == (200, SUCCESS)
    assert deleted(sandbox)


def test_a_truncated_answer_ends_before_its_length(sandbox: Sandbox, wire: socket.socket) -> None:
    sandbox.script(Fault(kind=FaultKind.TRUNCATED))
    send(wire)
    head, _, body = to_the_end(wire).partition(b"\r\n\r\n")
    assert f"Content-Length: {len(SUCCESS)}".encode() in head
    assert body == SUCCESS[: len(SUCCESS) // 2]
    [seen] = sandbox.seen
    assert (seen.status, seen.changed, deleted(sandbox)) == (None, True, True)


def test_garbage_is_not_http(sandbox: Sandbox, wire: socket.socket) -> None:
    sandbox.script(Fault(kind=FaultKind.GARBAGE))
    send(wire)
    assert not to_the_end(wire).startswith(b"HTTP/")
    assert not deleted(sandbox)


@pytest.mark.parametrize("size_bytes", [40, 65536, 3 * 1024 * 1024 + 17])
def test_a_huge_body_is_json_of_that_size(
    sandbox: Sandbox, wire: socket.socket, size_bytes: int
) -> None:
    sandbox.script(Fault(kind=FaultKind.HUGE_BODY, size_bytes=size_bytes))
    send(wire)
    status, _, body = receive(wire)
    assert (status, len(body), json.loads(body)["success"]) == (200, size_bytes, True)
    assert sandbox.seen[0].status == 200
    send(wire, "GET")
    assert receive(wire)[0] == 404


def test_an_endless_body_waits_for_its_reader_and_ends_with_it(
    sandbox: Sandbox, wire: socket.socket
) -> None:
    sandbox.script(Fault(kind=FaultKind.HUGE_BODY))
    send(wire)
    got = 0
    while got < 8 * 1024 * 1024:
        got += len(wire.recv(1024 * 1024))
    wire.close()
    [seen] = sandbox.seen
    assert (seen.status, seen.changed, deleted(sandbox)) == (None, True, True)


def test_a_client_that_says_its_last_before_it_reads_ends_nothing_but_its_connection(
    sandbox: Sandbox, wire: socket.socket
) -> None:
    sandbox.script(Fault(kind=FaultKind.HUGE_BODY))
    send(wire)
    waiting = -1
    while waiting != (waiting := len(wire.recv(2**25, socket.MSG_PEEK))):
        time.sleep(0.05)  # until all buffers are full
    wire.shutdown(socket.SHUT_WR)
    while wire.recv(1024 * 1024):
        pass
    with connected(sandbox) as another:
        send(another, "GET", f"{BASE}/user/{ADA.id}")
        assert receive(another)[0] == 404


def test_a_fault_is_for_one_user_and_method(sandbox: Sandbox, wire: socket.socket) -> None:
    ben, cleo = generated_user(1), generated_user(2)
    sandbox.script(Fault(kind=FaultKind.STATUS, method="DELETE", user_id=ben.id, count=None))
    answers = []
    for method, user in [("DELETE", ADA), ("GET", ben), ("DELETE", ben), ("DELETE", cleo)]:
        send(wire, method, f"{BASE}/user/{user.id}")
        answers.append(receive(wire)[0])
    assert answers == [200, 200, 503, 200]
    assert sandbox.users == (ben,)


def test_a_fault_is_for_one_endpoint(sandbox: Sandbox, wire: socket.socket) -> None:
    sandbox.script(Fault(kind=FaultKind.STATUS, path="logs"))
    for path in (f"/user/{ADA.id}", "/user", f"/user/{ADA.id}/token", f"/user/{ADA.id}/logs"):
        send(wire, "GET", BASE + path)
    assert [receive(wire)[0] for _ in range(4)] == [200, 200, 200, 503]


def test_skip_count_and_clear_hold_over_connections(sandbox: Sandbox, wire: socket.socket) -> None:
    sandbox.script(
        Fault(kind=FaultKind.STATUS, skip=1, count=2), Fault(kind=FaultKind.STATUS, skip=9)
    )
    for _ in range(5):
        send(wire, "GET")
    assert [receive(wire)[0] for _ in range(5)] == [200, 503, 503, 200, 200]
    sandbox.clear()
    for _ in range(9):
        send(wire, "GET")
    assert {receive(wire)[0] for _ in range(9)} == {200}


def test_probabilities_repeat_with_the_seed() -> None:
    def run(seed: int) -> list[int | None]:
        fault = Fault(kind=FaultKind.STATUS, count=None, probability=0.5)
        with Sandbox(users=1, seed=seed, faults=[fault]) as sandbox:
            address = urlsplit(sandbox.url)
            with socket.create_connection((address.hostname, address.port or 0), 5) as wire:
                for _ in range(40):
                    send(wire, "GET", f"{BASE}/user")
                    receive(wire)
            return [seen.status for seen in sandbox.seen]

    assert run(1) == run(1)
    assert run(1) != run(2)
    assert set(run(1)) == {200, 503}


def test_the_log_names_the_fault_of_each_request(sandbox: Sandbox, wire: socket.socket) -> None:
    kinds = (FaultKind.EMPTY, FaultKind.NOT_SUCCESS, FaultKind.STATUS_AFTER)
    sandbox.script(*(Fault(kind=kind) for kind in kinds))
    for _ in range(4):
        send(wire)
        receive(wire)
    assert [(seen.number, seen.fault, seen.changed) for seen in sandbox.seen] == list(
        zip(count(1), [*kinds, None], [False, False, True, False], strict=False)
    )
