"""How an answer goes out: in one piece, in drops, cut off or not at all. Decides only; no I/O."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto
from itertools import chain
from typing import Final

from forge_gdpr.sandbox.codings import Encoding, bomb, encoded
from forge_gdpr.sandbox.faults import Fault, FaultKind
from forge_gdpr.sandbox.wire import Answer, encoded_body, encoded_head

_BLOCK: Final = b"x" * 65536
_GARBAGE: Final = "\x00\x01 this is not HTTP\r\n\r\n"
_LOGIN_PAGE: Final = (
    "<!DOCTYPE html><html><head><title>Sign in</title></head>"
    '<body><form action="/login" method="post"><input name="email"></form></body></html>'
)

#: The kinds whose answer, as ``Simulator`` makes it, goes out in one piece.
_OWN: Final = frozenset(
    {
        FaultKind.SLOW,
        FaultKind.ENCODED,
        FaultKind.LIE,
        FaultKind.PAGE,
        FaultKind.ODD_ENTRIES,
    }
)

#: What a gzip bomb unpacks to if nobody says.
_BOMB_BYTES: Final = 1024**3

#: The JSON around the padding of a body that is too large.
_PADDED: Final = (b'{"success": true, "padding": "', b'"}')


class Ending(Enum):
    """What becomes of the connection after the last part."""

    KEEP = auto()  #: the next request may come
    CLOSE = auto()  #: an orderly end (FIN)
    RESET = auto()  #: RST
    HANG = auto()  #: open, and silent for good


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What an answer takes over from its request and its moment."""

    method: str
    close: bool  #: the client asked for the connection to end
    date: str  #: the ``Date`` header


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What goes out, and how. All times are in seconds."""

    parts: Iterable[bytes]  #: one write each; may be endless
    status: int | None  #: what the client has been told once all parts are out; None: nothing whole
    ending: Ending
    wait_s: float = 0.0  #: before the first part
    pace_s: float = 0.0  #: between two parts


def whole(answer: Answer, envelope: Envelope) -> Delivery:
    """Return the ordinary delivery: one write."""
    close = envelope.close or any(
        name.lower() == "connection" and text.lower() == "close" for name, text in answer.headers
    )
    head = encoded_head(answer, date=envelope.date, close=close)
    return Delivery(
        parts=(head + encoded_body(answer, method=envelope.method),),
        status=answer.status,
        ending=Ending.CLOSE if close else Ending.KEEP,
    )


def faulty(fault: Fault, answer: Answer, envelope: Envelope) -> Delivery:
    """Return what ``fault`` makes of ``answer``, Forge's own (unused where it says otherwise)."""
    plain = replace(answer, headers=answer.headers + fault.headers)
    own = _coded(plain, fault)
    match fault.kind:
        case FaultKind.RESET_BEFORE | FaultKind.ANSWER_LOST:
            return Delivery(parts=(), status=None, ending=Ending.RESET, wait_s=fault.delay_s)
        case FaultKind.HANG | FaultKind.HANG_AFTER:
            return Delivery(parts=(), status=None, ending=Ending.HANG)
        case FaultKind.DRIP | FaultKind.DRIP_BODY:
            return _dripping(own, fault, envelope)
        case FaultKind.TRUNCATED | FaultKind.GARBAGE:
            return _broken(own, fault, envelope)
        case FaultKind.HUGE_BODY:
            return _huge(plain, fault, envelope)
        case FaultKind.GZIP_BOMB:
            return _bomb(plain, fault, envelope)
        case kind:
            final = own if kind in _OWN else _coded(substitute(fault), fault)
            return replace(whole(final, envelope), wait_s=fault.delay_s)


def substitute(fault: Fault) -> Answer:
    """Return what is said instead of Forge's own answer, for the kinds that say something else."""
    content_type = "application/json"
    match fault.kind:
        case FaultKind.HTML:
            status, body, content_type = 200, _LOGIN_PAGE, "text/html; charset=utf-8"
        case FaultKind.WRONG_JSON:
            status, body = 200, '{"success": tr'
        case FaultKind.NOT_SUCCESS:
            status, body = 200, '{"success": false}'
        case FaultKind.EMPTY:
            status, body = 200, ""
        case FaultKind.REDIRECT:
            status, body = 302, ""
        case _:
            status, body = 503, json.dumps({"message": "Fault of the sandbox"})
    return Answer(
        status=status if fault.status is None else fault.status,
        body=(body if fault.body is None else fault.body).encode(),
        content_type=content_type,
        headers=fault.headers,
    )


def _dripping(answer: Answer, fault: Fault, envelope: Envelope) -> Delivery:
    """Return Forge's own answer in drops, with or without its head."""
    plain = whole(answer, envelope)
    data = b"".join(plain.parts)
    split = data.index(b"\r\n\r\n") + 4 if fault.kind is FaultKind.DRIP_BODY else 1
    drops = (data[at : at + 1] for at in range(split, len(data)))
    return replace(plain, parts=chain([data[:split]], drops), pace_s=fault.delay_s)


def _broken(answer: Answer, fault: Fault, envelope: Envelope) -> Delivery:
    """Return half of Forge's own answer, or something that is no answer at all."""
    if fault.kind is FaultKind.TRUNCATED:
        head = encoded_head(answer, date=envelope.date, close=envelope.close)
        body = encoded_body(answer, method=envelope.method)
        data = head + body[: len(body) // 2]
    else:
        data = (_GARBAGE if fault.body is None else fault.body).encode()
    return Delivery(parts=(data,), status=None, ending=Ending.CLOSE, wait_s=fault.delay_s)


def _coded(answer: Answer, fault: Fault) -> Answer:
    """Return the answer in the coding of the fault, if it has one."""
    encoding = fault.encoding
    if encoding is None:
        if fault.kind is not FaultKind.ENCODED:
            return answer
        encoding = Encoding.GZIP
    body, name = encoded(answer.body, encoding)
    return replace(answer, body=body, headers=(*answer.headers, ("Content-Encoding", name)))


def _huge(answer: Answer, fault: Fault, envelope: Envelope) -> Delivery:
    """Return an answer that is valid JSON of ``size_bytes``, or JSON whose string never ends."""
    start, end = _PADDED
    if fault.size_bytes is None:
        parts = chain([_chunk(start)], _endless(_chunk(_BLOCK)))
        return _large(answer, fault, envelope, parts=parts, length=-1)
    length = max(fault.size_bytes, len(start + end))
    parts = chain([start], _filling(length - len(start + end)), [end])
    return _large(answer, fault, envelope, parts=parts, length=length)


def _bomb(answer: Answer, fault: Fault, envelope: Envelope) -> Delivery:
    """Return an answer that is small on the wire and unpacks to valid JSON of ``size_bytes``."""
    size_bytes = _BOMB_BYTES if fault.size_bytes is None else fault.size_bytes
    start, end = _PADDED
    length, parts = bomb(start, b"x", end, size_bytes=size_bytes)
    answer = replace(answer, headers=(*answer.headers, ("Content-Encoding", "gzip")))
    return _large(answer, fault, envelope, parts=parts, length=length)


def _large(
    answer: Answer, fault: Fault, envelope: Envelope, *, parts: Iterable[bytes], length: int
) -> Delivery:
    """Return a 200 whose body is made as it is sent; with length -1 it is chunked and endless."""
    answer = replace(answer, status=200)
    head = encoded_head(answer, date=envelope.date, close=envelope.close, length=length)
    bodiless = envelope.method == "HEAD"
    return Delivery(
        parts=[head] if bodiless else chain([head], parts),
        status=None if length < 0 and not bodiless else 200,
        ending=Ending.CLOSE if envelope.close else Ending.KEEP,
        wait_s=fault.delay_s,
    )


def _chunk(data: bytes) -> bytes:
    """Return ``data`` as one chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def _endless(block: bytes) -> Iterator[bytes]:
    while True:
        yield block


def _filling(size_bytes: int) -> Iterator[bytes]:
    """Yield blocks of that size in all."""
    for _ in range(size_bytes // len(_BLOCK)):
        yield _BLOCK
    yield _BLOCK[: size_bytes % len(_BLOCK)]
