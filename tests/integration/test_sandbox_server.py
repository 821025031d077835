"""The sandbox as a server: connections, TLS, many clients, and a clean end."""

import gc
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import urlsplit

import pytest
import trustme

from forge_gdpr.sandbox import Fault, FaultKind, Sandbox, User, generated_user

BASE = "/forge/2021-12"
HEADERS = {"Authorization": "Bearer sandbox-key"}
GET = f"GET {BASE}/user HTTP/1.1\r\nAuthorization: Bearer sandbox-key\r\n".encode()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(users=3) as running:
        yield running


def connected(sandbox: Sandbox) -> socket.socket:
    address = urlsplit(sandbox.url)
    return socket.create_connection((address.hostname, address.port or 0), timeout=5)


def to_the_end(wire: socket.socket) -> bytes:
    return b"".join(iter(lambda: wire.recv(65536), b""))


def delete(sandbox: Sandbox, *users: User) -> list[int]:
    """Delete users over one connection; return the statuses."""
    statuses = []
    with closing(http.client.HTTPConnection(urlsplit(sandbox.url).netloc, timeout=5)) as link:
        for user in users:
            link.request("DELETE", f"{BASE}/user/{user.id}", headers=HEADERS)
            with link.getresponse() as answer:
                answer.read()
                statuses.append(answer.status)
    return statuses


def authority() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a server's context and that of a client that trusts it."""
    ca = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    ca.configure_trust(client)
    return server, client


def test_connection_close_is_honoured(sandbox: Sandbox) -> None:
    with connected(sandbox) as wire:
        wire.sendall(GET + b"Connection: close\r\n\r\n")
        answer = to_the_end(wire)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Connection: close\r\n" in answer


def test_pipelined_requests_are_answered_in_order(sandbox: Sandbox) -> None:
    count = 3000
    with connected(sandbox) as wire:
        sender = threading.Thread(
            target=wire.sendall,
            args=((GET + b"\r\n") * count + GET + b"Connection: close\r\n\r\n",),
        )
        sender.start()
        answers = to_the_end(wire)
        sender.join()
    assert answers.count(b"HTTP/1.1 200 OK") == count + 1
    assert [seen.number for seen in sandbox.seen] == list(range(1, count + 2))


def test_requests_ahead_of_a_slow_answer_wait(sandbox: Sandbox) -> None:
    sandbox.script(Fault(kind=FaultKind.SLOW, delay_s=0.02))
    ahead = 15_000  # more than the server takes in before it stops reading
    with connected(sandbox) as wire:
        refused = b"GET / HTTP/1.1\r\nX: " + b"y" * 60 + b"\r\n\r\n"
        sender = threading.Thread(
            target=wire.sendall,
            args=(GET + b"\r\n" + refused * ahead + GET + b"Connection: close\r\n\r\n",),
        )
        sender.start()
        answers = to_the_end(wire)
        sender.join()
    assert answers.startswith(b"HTTP/1.1 200 OK")
    assert answers.count(b"HTTP/1.1 404 Not Found") == ahead
    assert answers.count(b"HTTP/1.1 200 OK") == 2


def test_a_client_that_does_not_read_is_waited_for_and_holds_up_nobody(sandbox: Sandbox) -> None:
    sandbox.script(Fault(kind=FaultKind.HUGE_BODY, path="users", size_bytes=1024**2, count=None))
    with connected(sandbox) as wire:
        wire.sendall((GET + b"\r\n") * 31 + GET + b"Connection: close\r\n\r\n")
        assert delete(sandbox, *[generated_user(0)] * 300) == [200] + [404] * 299
        assert len([seen for seen in sandbox.seen if seen.method == "GET"]) < 32
        assert to_the_end(wire).count(b"HTTP/1.1 200 OK") == 32
    assert {seen.status for seen in sandbox.seen if seen.method == "GET"} == {200}


def test_a_request_too_large_is_answered_before_the_end(sandbox: Sandbox) -> None:
    with connected(sandbox) as wire:
        wire.sendall(GET + b"X: " + b"y" * 100_000)
        answer = to_the_end(wire)
    assert answer.startswith(b"HTTP/1.1 431 ")
    [seen] = sandbox.seen
    assert (seen.status, seen.method, seen.target) == (431, "GET", f"{BASE}/user")


def test_what_is_no_request_is_400(sandbox: Sandbox) -> None:
    with connected(sandbox) as wire:
        wire.sendall(b"hello\r\n\r\nmore")
        assert to_the_end(wire).startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert [(seen.method, seen.status) for seen in sandbox.seen] == [("hello", 400)]


def test_latency_does_not_hold_up_other_connections() -> None:
    with Sandbox(users=20, latency_s=0.05) as sandbox, ThreadPoolExecutor(20) as pool:
        started = time.monotonic()
        statuses = list(pool.map(lambda user: delete(sandbox, user), sandbox.users))
        took_s = time.monotonic() - started
    assert statuses == [[200]] * 20
    assert 0.05 <= took_s < 0.05 * 20


def test_a_client_that_leaves_early_has_had_its_effect_and_no_answer() -> None:
    with Sandbox(users=1, latency_s=30.0) as sandbox:
        [user] = sandbox.users
        with connected(sandbox) as wire:
            wire.sendall(
                f"DELETE {BASE}/user/{user.id} HTTP/1.1\r\n"
                "Authorization: Bearer sandbox-key\r\n\r\n".encode()
            )
            while not sandbox.seen:
                time.sleep(0.001)
        assert sandbox.users == ()
    assert [(seen.changed, seen.status) for seen in sandbox.seen] == [(True, None)]


def test_each_user_is_deleted_once_however_many_ask() -> None:
    with Sandbox(users=100) as sandbox, ThreadPoolExecutor(8) as pool:
        users = sandbox.users
        answers = list(pool.map(lambda _: delete(sandbox, *users), range(8)))
        assert sandbox.users == ()
    assert sum(statuses.count(200) for statuses in answers) == 100
    assert sum(statuses.count(404) for statuses in answers) == 700
    changed = [seen.user_id for seen in sandbox.seen if seen.changed]
    assert sorted(changed, key=str) == sorted(user.id for user in users)
    assert [seen.number for seen in sandbox.seen] == list(range(1, 801))


def test_https_is_served_as_localhost() -> None:
    server, client = authority()
    lost = Fault(kind=FaultKind.ANSWER_LOST, user_id=generated_user(1).id)
    with Sandbox(users=2, tls=server, faults=[lost]) as sandbox:
        address = urlsplit(sandbox.url)
        assert (address.scheme, address.hostname) == ("https", "localhost")
        for user in sandbox.users:
            link = http.client.HTTPSConnection(address.netloc, context=client, timeout=5)
            link.request("DELETE", f"{BASE}/user/{user.id}", headers=HEADERS)
            if user.id == lost.user_id:
                with pytest.raises(ConnectionError):
                    link.getresponse()
            else:
                answer = link.getresponse()
                assert (answer.status, answer.read()) == (200, b'{"success": true}')
            link.close()
        assert sandbox.users == ()


def test_connection_close_is_honoured_with_tls() -> None:
    server, client = authority()
    with (
        Sandbox(tls=server) as sandbox,
        connected(sandbox) as plain,
        client.wrap_socket(plain, server_hostname="localhost") as wire,
    ):
        wire.sendall(GET + b"Connection: close\r\n\r\n")
        assert to_the_end(wire).endswith(b'{"data": []}')


def test_a_client_that_does_not_trust_the_certificate_does_no_harm() -> None:
    server, client = authority()
    with Sandbox(tls=server) as sandbox:
        with connected(sandbox) as plain, pytest.raises(ssl.SSLCertVerificationError):
            ssl.create_default_context().wrap_socket(plain, server_hostname="localhost")
        with connected(sandbox) as plain:
            client.wrap_socket(plain, server_hostname="localhost").close()
    assert sandbox.seen == ()
    gc.collect()


def test_the_end_leaves_nothing_open() -> None:
    server, _ = authority()
    threads = threading.active_count()
    for tls in (None, server):
        with Sandbox(users=1, tls=tls, faults=[Fault(kind=FaultKind.HANG)]) as sandbox:
            wires = [connected(sandbox) for _ in range(4)]
            for wire in wires[:3]:  # with TLS these stop amid the handshake
                wire.sendall(GET[:3])
            if tls is None:
                wires[2].sendall(GET[3:] + b"\r\n")  # one that hangs
                while not sandbox.seen:
                    time.sleep(0.001)
        for wire in wires:
            wire.close()
        with pytest.raises(ConnectionRefusedError):
            connected(sandbox)
    assert threading.active_count() == threads
    gc.collect()  # an unclosed socket or loop would warn here, and a warning is an error


def test_it_ends_cleanly_amid_traffic() -> None:
    errors: list[Exception] = []

    def hammer(sandbox: Sandbox) -> None:
        try:
            while True:
                delete(sandbox, *[generated_user(0)] * 20)
        except (OSError, http.client.HTTPException) as error:
            errors.append(error)

    with Sandbox(users=1) as sandbox:
        clients = [threading.Thread(target=hammer, args=(sandbox,)) for _ in range(4)]
        for client in clients:
            client.start()
        while len(sandbox.seen) < 200:
            time.sleep(0.001)
    for client in clients:
        client.join()
    assert len(errors) == 4
    gc.collect()


def test_users_and_log_outlive_the_server_and_it_can_be_entered_again() -> None:
    sandbox = Sandbox(users=2)
    with sandbox:
        delete(sandbox, generated_user(0))
    assert sandbox.users == (generated_user(1),)
    with sandbox:
        assert delete(sandbox, generated_user(0), generated_user(1)) == [404, 200]
    assert [seen.status for seen in sandbox.seen] == [200, 404, 200]


def test_a_port_can_be_chosen_and_taken_again_at_once(sandbox: Sandbox) -> None:
    port = urlsplit(sandbox.url).port or 0
    with pytest.raises(OSError, match="in use"), Sandbox(port=port):
        pass
    with Sandbox() as other:
        port = urlsplit(other.url).port or 0
        delete(other, generated_user(0))
    with Sandbox(port=port) as again:
        assert urlsplit(again.url).port == port


def test_there_is_no_address_before_the_start_and_only_one_start_at_a_time() -> None:
    sandbox = Sandbox()
    with pytest.raises(RuntimeError, match="before it is entered"):
        _ = sandbox.url
    with sandbox, pytest.raises(RuntimeError, match="is running"):
        sandbox.__enter__()


def test_it_listens_on_loopback_only(sandbox: Sandbox) -> None:
    assert sandbox.url.startswith("http://127.0.0.1:")
    assert sandbox.url.endswith(BASE)
