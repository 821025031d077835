"""HTTP/1.1 as bytes: a request out of a buffer, an answer into one. Pure: no sockets, no clock.

Source: RFC 9112. Left out because no client of ours needs it: chunked request bodies (411),
trailers, folded header lines (400), expectations other than ``100-continue`` (ignored).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

MAX_HEAD_BYTES: Final = 64 * 1024
MAX_BODY_BYTES: Final = 1024 * 1024

#: What a client that waits with its body waits for (RFC 9110, section 10.1.1).
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_END_OF_HEAD: Final = b"\r\n\r\n"
_WITHOUT_BODY: Final = frozenset({204, 304})
_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as it came over the wire."""

    method: str
    target: str  #: raw: nothing decoded, nothing normalised
    headers: Mapping[str, str]  #: names in lower case; of a repeated one the last
    body: bytes
    keep_alive: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is said to a request, before it becomes bytes."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()  #: added; one named like a header of ours replaces it


class MalformedRequestError(Exception):
    """What came in is no request, or none that this server reads; the connection must be closed."""

    def __init__(self, status: int, message: str, *, method: str = "", target: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.method = method
        self.target = target


def take_request(buffer: bytearray) -> Request | None:
    """Cut the first request out of ``buffer``; None if it has not arrived whole.

    Raises:
        MalformedRequestError: it can't be read; the buffer is not to be used again.
    """
    while buffer.startswith(b"\r\n"):  # RFC 9112, section 2.2: empty lines before a request
        del buffer[:2]
    end = buffer.find(_END_OF_HEAD)
    if end > MAX_HEAD_BYTES or (end < 0 and len(buffer) > MAX_HEAD_BYTES):
        raise _malformed(431, "The head of the request is too large", buffer)
    if end < 0:
        return None
    first, *lines = buffer[:end].decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not all(words) or words[2] not in {"HTTP/1.1", "HTTP/1.0"}:  # noqa: PLR2004  method, target, version
        raise _malformed(400, "The request line is malformed", buffer)
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise _malformed(400, "A header line is malformed", buffer)
        headers[name.lower()] = value.strip()
    start = end + len(_END_OF_HEAD)
    stop = start + _body_length(headers, buffer)
    if len(buffer) < stop:
        return None
    body = bytes(buffer[start:stop])
    del buffer[:stop]
    return Request(
        method=words[0],
        target=words[1],
        headers=headers,
        body=body,
        keep_alive=_keeps_alive(words[2], headers.get("connection", "")),
    )


def waits_for_continue(buffer: bytearray) -> bool:
    """Say whether the client holds its body back until it is told to send it.

    To be asked when ``take_request`` has found the request incomplete.
    """
    head, end, _ = bytes(buffer[: MAX_HEAD_BYTES + len(_END_OF_HEAD)]).partition(_END_OF_HEAD)
    first, *lines = head.lower().split(b"\r\n")
    expectations = [line.partition(b":") for line in lines]
    return (
        bool(end)
        and first.endswith(b"http/1.1")
        and any(
            name == b"expect" and value.strip() == b"100-continue"
            for name, _, value in expectations
        )
    )


def encoded_head(answer: Answer, *, date: str, close: bool, length: int | None = None) -> bytes:
    """Return status line and headers, up to and with the empty line.

    Args:
        answer: what to announce.
        date: the ``Date`` header, as RFC 9110 writes it.
        close: whether to announce that the connection ends after this.
        length: ``Content-Length`` if it is to differ from the body's; -1 for a chunked body.
    """
    lines = [f"Date: {date}"]
    if answer.status not in _WITHOUT_BODY:
        lines.append(f"Content-Type: {answer.content_type}")
        if length is not None and length < 0:
            lines.append("Transfer-Encoding: chunked")
        else:
            lines.append(f"Content-Length: {len(answer.body) if length is None else length}")
    if close:
        lines.append("Connection: close")
    if answer.headers:
        replaced = {name.lower() for name, _ in answer.headers}
        lines = [line for line in lines if line.partition(":")[0].lower() not in replaced]
        lines += [f"{name}: {text}" for name, text in answer.headers]
    status_line = f"HTTP/1.1 {answer.status} {_PHRASES.get(answer.status, '')}"
    return "\r\n".join([status_line, *lines, "\r\n"]).encode("latin-1")


def encoded_body(answer: Answer, *, method: str) -> bytes:
    """Return the body as it follows the head: none for 204, 304 and after HEAD."""
    return b"" if answer.status in _WITHOUT_BODY or method == "HEAD" else answer.body


def _keeps_alive(version: str, connection: str) -> bool:
    """Say whether another request may follow, from the version and the Connection header."""
    options = {option.strip().lower() for option in connection.split(",")}
    return "close" not in options if version == "HTTP/1.1" else "keep-alive" in options


def _body_length(headers: Mapping[str, str], buffer: bytearray) -> int:
    """Return how many bytes of body follow the head."""
    if "transfer-encoding" in headers:
        raise _malformed(411, "Send the body with a Content-Length", buffer)
    text = headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit()):
        raise _malformed(400, "Content-Length is not a number", buffer)
    if len(text) > len(str(MAX_BODY_BYTES)) or int(text) > MAX_BODY_BYTES:
        raise _malformed(413, "The body of the request is too large", buffer)
    return int(text)


def _malformed(status: int, message: str, buffer: bytearray) -> MalformedRequestError:
    """Return the error with as much of the request line as can be made out."""
    line = bytes(buffer[:MAX_HEAD_BYTES]).partition(b"\r\n")[0].decode("latin-1")
    method, _, rest = line.partition(" ")
    return MalformedRequestError(
        status, message, method=method, target=rest.rpartition(" ")[0] or rest
    )
