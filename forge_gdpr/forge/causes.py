"""Why a try got no answer, in words of ours: a library's would name the user. Pure."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
from enum import StrEnum, unique
from typing import TYPE_CHECKING, Final

from urllib3.exceptions import InvalidHeader, ProxyError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@unique
class Failure(StrEnum):
    """How a try ended without an answer; the value is what a person reads."""

    # No connection: nothing reached Forge.
    UNKNOWN_HOST = "host name not found"
    LOOKUP = "host name lookup failed"
    REFUSED = "connection refused"
    UNREACHABLE = "no route to the host"
    CONNECT_TIMEOUT = "no connection in time"
    TLS = "TLS handshake failed"
    CONNECT = "no connection"
    # This is not the server it claims to be.
    EXPIRED = "certificate expired"
    NOT_YET_VALID = "certificate not valid yet"
    SELF_SIGNED = "self-signed certificate"
    UNKNOWN_AUTHORITY = "certificate of an unknown authority"
    OTHER_HOST = "certificate of another host name"
    CERTIFICATE = "certificate not valid"
    # The connection stood: Forge may have got the request.
    RESET = "connection reset"
    CLOSED = "connection closed without an answer"
    BROKEN_OFF = "answer broken off"
    NOT_HTTP = "answer is not HTTP"
    READ_TIMEOUT = "no answer in time"
    TOTAL_TIMEOUT = "no whole answer in time"
    CONNECTION = "connection broken"


CERTIFICATE_FAILURES: Final = frozenset(
    {
        Failure.EXPIRED,
        Failure.NOT_YET_VALID,
        Failure.SELF_SIGNED,
        Failure.UNKNOWN_AUTHORITY,
        Failure.OTHER_HOST,
        Failure.CERTIFICATE,
    }
)

#: OpenSSL's X509_V_ERR_...; its own words hold the host name.
_VERIFY_CODES: Final[Mapping[int, Failure]] = {
    2: Failure.UNKNOWN_AUTHORITY,
    9: Failure.NOT_YET_VALID,
    10: Failure.EXPIRED,
    18: Failure.SELF_SIGNED,
    19: Failure.UNKNOWN_AUTHORITY,
    20: Failure.UNKNOWN_AUTHORITY,
    21: Failure.UNKNOWN_AUTHORITY,
    62: Failure.OTHER_HOST,
    64: Failure.OTHER_HOST,
}
_UNREACHABLE: Final = frozenset(
    {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN}
)
#: The first that is in the chain of causes says what happened: the narrower stands higher.
_BY_TYPE: Final[tuple[tuple[type[BaseException], Failure], ...]] = (
    (ConnectionRefusedError, Failure.REFUSED),
    (http.client.RemoteDisconnected, Failure.CLOSED),
    (ConnectionError, Failure.RESET),
    (http.client.IncompleteRead, Failure.BROKEN_OFF),
    (http.client.HTTPException, Failure.NOT_HTTP),
    (InvalidHeader, Failure.NOT_HTTP),
    (UnicodeError, Failure.UNKNOWN_HOST),  # a label that IDNA refuses
)


def failure_of(error: BaseException, *, reached: bool) -> Failure:
    """Return what an error of the network means.

    Args:
        error: as requests, urllib3, http.client, ssl or a socket raised it.
        reached: the connection stood when it was raised.
    """
    chain = _chain(error)
    for link in chain:
        if isinstance(link, ssl.SSLCertVerificationError):
            return _VERIFY_CODES.get(link.verify_code, Failure.CERTIFICATE)
    if any(isinstance(link, TimeoutError) for link in chain):
        return Failure.READ_TIMEOUT if reached else Failure.CONNECT_TIMEOUT
    for link in chain:
        if isinstance(link, socket.gaierror):
            missing = link.errno in {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", None)}
            return Failure.UNKNOWN_HOST if missing else Failure.LOOKUP
    if any(isinstance(link, OSError) and link.errno in _UNREACHABLE for link in chain):
        return Failure.UNREACHABLE
    for kind, failure in _BY_TYPE:
        if any(isinstance(link, kind) for link in chain):
            return failure
    if not reached and any(isinstance(link, ssl.SSLError) for link in chain):
        return Failure.TLS
    return Failure.CONNECTION if reached else Failure.CONNECT


def phrase(
    failure: Failure,
    *,
    within_s: float | None = None,
    since: datetime | None = None,
    proxy: bool = False,
) -> str:
    """Return a failure in a few words, like ``no answer within 15 s``.

    Args:
        failure: what happened.
        within_s: how long was waited, for the failures that are about time.
        since: when it came to be so.
        proxy: it happened on the way to the proxy.
    """
    text = failure.value
    if within_s is not None:
        text = text.replace(" in time", f" within {within_s:g} s")
    if since is not None:
        text = f"{text} on {since:%Y-%m-%d}"
    return f"proxy: {text}" if proxy else text


def is_proxys(error: BaseException) -> bool:
    """Say whether an error is about the way to the proxy."""
    return any(isinstance(link, ProxyError) for link in _chain(error))


def _chain(error: BaseException) -> list[BaseException]:
    """Return an error and all that it wraps, however its library wraps."""
    chain: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        link = waiting.pop(0)
        if isinstance(link, BaseException) and link not in chain:
            chain.append(link)
            waiting += [link.__cause__, link.__context__, getattr(link, "reason", None), *link.args]
    return chain
