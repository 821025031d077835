"""One try of one call, against servers that pack, garble and announce, over real sockets."""

from __future__ import annotations

import contextlib
import gzip
import socket
import ssl
import time
import tracemalloc
import zlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from builders import moderately
from hypothesis import given
from hypothesis import strategies as st
from world import AT_ONCE, KEY, Warm, client, raw_server

from forge_gdpr.answers import Reply
from forge_gdpr.errors import ConfigurationError
from forge_gdpr.forge.client import FailedTryError, Trail
from forge_gdpr.forge.deadlines import DeadlineWatch
from forge_gdpr.forge.gate import Halt
from forge_gdpr.forge.transport import Transport, TransportError
from forge_gdpr.retries import RetryPolicy
from forge_gdpr.sandbox import Fault, FaultKind, Sandbox, generated_user

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ADA = generated_user(0)
NOW = datetime.now(UTC)
ONE_TRY = RetryPolicy(tries=1)
BODY = b'{"success": true}'
#: 200 MB of nothing.
BOMB = gzip.compress(bytes(200_000_000), 6)


def head_of(connection: socket.socket) -> bytes:
    """Read one request without a body; nothing at the end of the connection."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        chunk = connection.recv(1)
        if not chunk:
            return b""
        head += chunk
    return head


def answering(*answers: bytes) -> Callable[[socket.socket], None]:
    """Return a server that gives these answers on a connection, one a request, then closes it."""

    def behave(connection: socket.socket) -> None:
        for answer in answers:
            if not head_of(connection):
                return
            connection.sendall(answer)

    return behave


def ok(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def chunked(body: bytes, size: int, *headers: str) -> bytes:
    head = "\r\n".join(["HTTP/1.1 200 OK", "Transfer-Encoding: chunked", *headers]).encode()
    parts = [body[n : n + size] for n in range(0, len(body), size)]
    return (
        head
        + b"\r\n\r\n"
        + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
        + b"0\r\n\r\n"
    )


def reply_to(answer: bytes, *, limit_bytes: int = 64 * 1024) -> Reply:
    with raw_server(answering(answer)) as url, client(url, policy=ONE_TRY) as forge:
        return forge.call("DELETE", "user", ADA.id, limit_bytes=limit_bytes)


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip.compress(BODY)),
        ("x-gzip", gzip.compress(BODY)),
        ("GZIP", gzip.compress(BODY)),
        ("deflate", zlib.compress(BODY)),
        ("deflate", raw_deflate(BODY)),
        ("identity", BODY),
    ],
)
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_a_packed_answer_is_unpacked(coding: str, packed: bytes, framing: str) -> None:
    header = f"Content-Encoding: {coding}"
    answer = {
        "length": ok(packed, header),
        "chunked": chunked(packed, 7, header),
        "close": f"HTTP/1.1 200 OK\r\n{header}\r\n\r\n".encode() + packed,
    }[framing]
    reply = reply_to(answer)
    assert (reply.json(), reply.cut, reply.unreadable) == ({"success": True}, False, False)


def test_a_bomb_is_cut_at_the_limit() -> None:
    tracemalloc.start()
    started = time.monotonic()
    reply = reply_to(ok(BOMB, "Content-Encoding: gzip"))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(reply.body), reply.cut) == (64 * 1024, True)
    assert time.monotonic() - started < 1.0
    assert peak_bytes < 4_000_000


def test_the_limit_holds_for_what_was_unpacked() -> None:
    body = b"[" + b" " * 98 + b"]"
    packed = ok(gzip.compress(body), "Content-Encoding: gzip")
    whole, cut = reply_to(packed, limit_bytes=100), reply_to(packed, limit_bytes=99)
    assert (whole.json(), whole.cut) == ([], False)
    assert (cut.body, cut.cut) == (body[:99], True)


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        pytest.param("br", b"\x0b\x08\x80" + BODY, id="brotli"),
        pytest.param("zstd", b"\x28\xb5\x2f\xfd" + BODY, id="zstandard"),
        pytest.param("gzip", BODY, id="not packed at all"),
        pytest.param("gzip", gzip.compress(BODY)[:-4], id="gzip that breaks off"),
        pytest.param("deflate", zlib.compress(BODY)[:-1], id="zlib that breaks off"),
    ],
)
def test_a_body_that_can_not_be_unpacked_is_an_answer_without_one(
    coding: str, packed: bytes
) -> None:
    answers = (ok(packed, f"Content-Encoding: {coding}", status="404 Not Found"), ok(BODY))
    with raw_server(answering(*answers)) as url, client(url, policy=ONE_TRY) as forge:
        trail = Trail()
        reply = forge.call("DELETE", "user", ADA.id, trail=trail)
        assert forge.gate.has_answered
    assert (reply.status, reply.body, reply.unreadable, trail.tries) == (404, b"", True, 1)
    with pytest.raises(ValueError, match="can't be decoded"):
        reply.json()


@pytest.mark.parametrize("coding", ["gzip", "br"])
def test_no_body_needs_no_unpacking(coding: str) -> None:
    answer = f"HTTP/1.1 204 No Content\r\nContent-Encoding: {coding}\r\n\r\n".encode()
    assert reply_to(answer) == Reply(status=204)


@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_an_answer_that_is_shorter_than_it_says_may_have_had_its_effect(coding: str) -> None:
    body = BODY if coding == "identity" else gzip.compress(BODY)
    answer = ok(body, f"Content-Encoding: {coding}")[:-3]
    trail = Trail()
    with (
        raw_server(answering(answer)) as url,
        client(url, policy=ONE_TRY) as forge,
        pytest.raises(FailedTryError) as caught,
    ):
        forge.call("DELETE", "user", ADA.id, trail=trail)
    assert (caught.value.cause, trail.reached) == ("answer broken off", True)


def test_the_deadline_holds_for_a_packed_drip() -> None:
    def drip(connection: socket.socket) -> None:
        head_of(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")
        for byte in gzip.compress(bytes(100_000)):
            connection.send(bytes([byte]))
            time.sleep(0.05)

    with (
        raw_server(drip) as url,
        client(url, policy=ONE_TRY, total_timeout_s=0.3) as forge,
        pytest.raises(FailedTryError) as caught,
    ):
        forge.call("DELETE", "user", ADA.id)
    assert caught.value.cause == "no whole answer within 0.3 s"


HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n", id="100"),
        pytest.param(b"HTTP/1.1 102 Processing\r\n\r\n", id="102"),
        pytest.param(HINTS, id="103"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + HINTS + HINTS, id="several"),
    ],
)
def test_what_only_announces_an_answer_is_not_taken_for_it(before: bytes) -> None:
    def behave(connection: socket.socket) -> None:
        for status in ("200 OK", "404 Not Found", "204 No Content"):
            if not head_of(connection):
                return
            connection.sendall(before)
            time.sleep(0.05)  # the answer comes later than what announces it
            connection.sendall(ok(b"" if "204" in status else BODY, status=status))

    with raw_server(behave) as url, client(url, policy=ONE_TRY) as forge:
        statuses = [forge.call("DELETE", "user", ADA.id).status for _ in range(3)]
    assert statuses == [200, 404, 204]


def test_a_protocol_that_nobody_asked_for_ends_the_connection() -> None:
    answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"
    with (
        raw_server(answering(answer, ok(BODY))) as url,
        client(url, policy=ONE_TRY) as forge,
    ):
        assert forge.call("DELETE", "user", ADA.id).status == 101
        assert forge.call("DELETE", "user", ADA.id).status == 101  # a new connection


@pytest.mark.parametrize("status", [520, 522, 527, 529, 530])
def test_what_a_gateway_says_of_the_server_behind_it_is_tried_again(
    sandbox: Sandbox, status: int
) -> None:
    sandbox.script(Fault(kind=FaultKind.STATUS, status=status, count=2))
    with client(sandbox.url) as forge:
        assert forge.call("DELETE", "user", ADA.id).status == 200
    sandbox.script(Fault(kind=FaultKind.STATUS, status=status, count=None))
    with client(sandbox.url) as forge, pytest.raises(FailedTryError) as caught:
        forge.call("DELETE", "user", ADA.id)
    assert (caught.value.status, caught.value.cause) == (status, f"HTTP {status}")


def cause_at(url: str, **changes: Any) -> str:
    with client(url, policy=ONE_TRY, **changes) as forge, pytest.raises(FailedTryError) as caught:
        forge.call("DELETE", "user", ADA.id)
    assert str(caught.value) == caught.value.cause
    return caught.value.cause


def reset(connection: socket.socket) -> None:
    head_of(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00" + bytes(4))


def silent(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while connection.recv(1024):
            pass


@pytest.mark.parametrize(
    ("behave", "changes", "cause"),
    [
        pytest.param(reset, {}, "connection reset", id="reset"),
        pytest.param(answering(b""), {}, "connection closed without an answer", id="closed"),
        pytest.param(answering(b"SSH-2.0-x\r\n"), {}, "answer is not HTTP", id="ssh"),
        pytest.param(answering(b"HTTP/2 200\r\n\r\n"), {}, "answer is not HTTP", id="http 2"),
        pytest.param(answering(ok(BODY)[:-1]), {}, "answer broken off", id="broken off"),
        pytest.param(
            answering(chunked(BODY, 5)[:-9]), {}, "answer broken off", id="broken off, chunked"
        ),
        pytest.param(
            answering(ok(BODY, "Content-Length: 5")),
            {},
            "answer is not HTTP",
            id="two lengths",
        ),
        pytest.param(
            silent, {"read_timeout_s": 0.1}, "no answer within 0.1 s", id="silent, read timeout"
        ),
        pytest.param(
            silent,
            {"total_timeout_s": 0.2},
            "no whole answer within 0.2 s",
            id="silent, whole time",
        ),
    ],
)
def test_a_server_that_does_not_answer_is_told_in_words(
    behave: Callable[[socket.socket], None], changes: dict[str, Any], cause: str
) -> None:
    with raw_server(behave) as url:
        assert cause_at(url, **changes) == cause


def test_a_host_that_is_not_there_is_told_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert cause_at(f"http://127.0.0.1:{port}/forge") == "connection refused"
    label = "a" * 64  # no resolver is asked for it
    assert cause_at(f"http://{label}.localhost/forge") == "host name not found"
    through: dict[str, Any] = {"proxy": f"http://127.0.0.1:{port}"}
    assert cause_at("http://127.0.0.1:9/forge", **through) == "proxy: connection refused"
    assert cause_at("https://127.0.0.1:9/forge", **through) == "proxy: connection refused"


def test_a_connection_that_is_not_taken_is_told_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/forge"
        waiting = [socket.socket() for _ in range(4)]  # the queue is full
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        cause = cause_at(url, connect_timeout_s=0.1)
        for one in waiting:
            one.close()
    assert cause == "no connection within 0.1 s"


def test_plain_http_on_the_port_of_https_is_told_in_words() -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(1024)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with raw_server(behave) as url:
        assert cause_at(url.replace("http://", "https://")) == "TLS handshake failed"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("expired", f"certificate expired on {NOW - timedelta(days=3):%Y-%m-%d}"),
        ("early", "certificate not valid yet"),
        ("other host", "certificate of another host name"),
        ("other authority", "certificate of an unknown authority"),
        ("self-signed", "self-signed certificate"),
    ],
)
def test_a_bad_certificate_is_told_in_words(
    authority: trustme.CA, tmp_path: Path, kind: str, cause: str
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    match kind:
        case "expired":
            authority.issue_cert("localhost", not_after=NOW - timedelta(days=3)).configure_cert(
                context
            )
        case "early":
            authority.issue_cert("localhost", not_before=NOW + timedelta(days=3)).configure_cert(
                context
            )
        case "other host":
            authority.issue_cert("forge.example.org").configure_cert(context)
        case "other authority":
            trustme.CA().issue_cert("localhost").configure_cert(context)
        case _:
            other, pair = trustme.CA(), tmp_path / "self.pem"
            pair.write_bytes(other.private_key_pem.bytes() + other.cert_pem.bytes())
            context.load_cert_chain(pair)
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    with (
        Sandbox(users=2, key=KEY, tls=context) as secure,
        client(secure.url, policy=AT_ONCE, ca_file=str(bundle)) as forge,
    ):
        with pytest.raises(FailedTryError) as caught:
            forge.call("DELETE", "user", ADA.id)
        assert (caught.value.cause, caught.value.reached) == (cause, False)
        assert forge.gate.halt_reason is Halt.CERTIFICATE
        assert secure.seen == ()


def test_a_host_that_hides_its_certificate_is_not_waited_for(
    authority: trustme.CA, tmp_path: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", not_after=NOW - timedelta(days=3)).configure_cert(context)
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    handshakes: list[int] = []

    def behave(connection: socket.socket) -> None:
        handshakes.append(1)
        if len(handshakes) > 1:
            return silent(connection)  # the second handshake is about the date
        with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True):
            return None

    started = time.monotonic()
    with raw_server(behave) as url:
        secure = url.replace("http://127.0.0.1", "https://localhost")
        cause = cause_at(secure, ca_file=str(bundle), total_timeout_s=0.3)
    assert cause == "certificate expired"
    assert len(handshakes) == 2
    assert time.monotonic() - started < 1.0


@contextlib.contextmanager
def transport(url: str) -> Iterator[Transport]:
    endpoint = Warm(
        base_url=url, api_key=KEY, connect_timeout_s=1, read_timeout_s=1, total_timeout_s=2
    )
    with DeadlineWatch(monotonic=time.monotonic) as watch:
        opened = Transport(
            endpoint,
            context=endpoint.tls_context(),
            watch=watch,
            monotonic=time.monotonic,
            now=lambda: NOW,
        )
        yield opened
        opened.close()


LINES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 103 x\r\n",
        b"HTTP/1.1 999\r\n",
        b"HTTP/1.1 99 x\r\n",
        b"HTTP/0.9 200 OK\r\n",
        b"HTTP/1.1 \xff\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: 5, 6\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 99999999999999999999\r\n",
        b"Content-Encoding: gzip\r\n",
        b"Content-Encoding: deflate, br\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Content-Type: text/html; charset=\xff\r\n",
        b"Location: http://[::1\r\n",
        b"Location: /\xff\r\n",
        b"Set-Cookie: a=b; expires=\xff; domain=[\r\n",
        b"Connection: close\r\n",
        b"Connection: keep-alive\r\n",
        b": x\r\n",
        b" folded\r\n",
        b"no colon\r\n",
        b"X: " + b"y" * 70_000 + b"\r\n",
        b"X: y\r\n" * 101,
        b"\r\n",
        b"5\r\nhello\r\n",
        b"-5\r\n",
        b"ffffffffffffffffffff\r\n",
        b"0\r\n\r\n",
        b"\x00",
        b"\n",
        b"\r",
        gzip.compress(BODY),
        b'{"success": true}',
    ]
)


def test_nothing_that_a_server_sends_is_taken_for_a_bug() -> None:
    answers: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        if head_of(connection):
            connection.sendall(answers[-1])

    with raw_server(behave) as url, transport(url) as opened:

        @moderately
        @given(st.lists(LINES | st.binary(max_size=8), max_size=12), st.booleans())
        def garbled(pieces: list[bytes], begins_well: bool) -> None:
            answers.append((b"HTTP/1.1 200 OK\r\n" if begins_well else b"") + b"".join(pieces))
            try:
                reply = opened.send("DELETE", f"/user/{ADA.id}")
            except TransportError as error:
                assert error.cause  # noqa: PT017
            else:
                assert isinstance(reply, Reply)

        garbled()


@pytest.mark.parametrize(
    "base_url",
    [
        "https://h.example/a/../b",
        "HTTPS://h.example/a",
        "https://bücher.example/a",
        "https://h.example/a?",
        "https://h.example/a#",
        "https://h.example:port/a",
        "no address",
        "",
    ],
)
def test_a_base_that_changes_in_a_url_is_the_settings_fault_before_any_call(base_url: str) -> None:
    said = "^FORGE_GDPR_BASE_URL changes on its way into a request"
    with pytest.raises(ConfigurationError, match=said), client(base_url):
        pass
    transport = Transport(
        Warm(base_url=base_url, api_key=KEY),
        context=Warm(base_url=base_url, api_key=KEY).tls_context(),
        watch=DeadlineWatch(monotonic=time.monotonic),
        monotonic=time.monotonic,
        now=lambda: datetime.now(UTC),
    )
    with pytest.raises(ConfigurationError, match=said):
        transport.send("DELETE", "/user/61ab8f99251cba0014437326")
    transport.close()


def test_a_bug_stays_a_bug() -> None:
    with raw_server(silent) as url, client(url, read_timeout_s=-1) as forge:
        with pytest.raises(ValueError, match="timeout"):
            forge.call("DELETE", "user", ADA.id)
        assert not forge.gate.halted


def test_an_error_names_nobody() -> None:
    with (
        client("http://127.0.0.1:1/forge", policy=ONE_TRY) as forge,
        pytest.raises(FailedTryError) as caught,
    ):
        forge.call("DELETE", "user", ADA.id)
    assert ADA.id not in repr(caught.value)
    assert caught.value.__cause__ is None
