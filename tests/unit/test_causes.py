"""Why a try got no answer, in a few words."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
from datetime import UTC, datetime

import pytest
import requests
import urllib3
from urllib3.connection import HTTPConnection

from forge_gdpr.forge.causes import CERTIFICATE_FAILURES, Failure, failure_of, is_proxys, phrase


def refused_certificate(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError("certificate verify failed: secret.example.org")
    error.verify_code = code
    return error


def wrapped(error: Exception) -> requests.ConnectionError:
    """Return an error as requests wraps it: in an argument, not as a cause."""
    return requests.ConnectionError(urllib3.exceptions.MaxRetryError(None, "/user/x", error))  # type: ignore[arg-type]


UNREACHED = [
    (socket.gaierror(socket.EAI_NONAME, "x"), Failure.UNKNOWN_HOST),
    (socket.gaierror(socket.EAI_AGAIN, "x"), Failure.LOOKUP),
    (UnicodeError("label too long"), Failure.UNKNOWN_HOST),
    (ConnectionRefusedError(errno.ECONNREFUSED, "x"), Failure.REFUSED),
    (OSError(errno.ENETUNREACH, "x"), Failure.UNREACHABLE),
    (OSError(errno.EHOSTUNREACH, "x"), Failure.UNREACHABLE),
    (TimeoutError("x"), Failure.CONNECT_TIMEOUT),
    (OSError(errno.ETIMEDOUT, "x"), Failure.CONNECT_TIMEOUT),
    (ssl.SSLError(1, "wrong version number"), Failure.TLS),
    (ssl.SSLEOFError(8, "x"), Failure.TLS),
    (OSError("Tunnel connection failed: 407"), Failure.CONNECT),
    (refused_certificate(10), Failure.EXPIRED),
    (refused_certificate(9), Failure.NOT_YET_VALID),
    (refused_certificate(18), Failure.SELF_SIGNED),
    (refused_certificate(19), Failure.UNKNOWN_AUTHORITY),
    (refused_certificate(20), Failure.UNKNOWN_AUTHORITY),
    (refused_certificate(62), Failure.OTHER_HOST),
    (refused_certificate(64), Failure.OTHER_HOST),
    (refused_certificate(23), Failure.CERTIFICATE),
]
REACHED = [
    (ConnectionResetError(errno.ECONNRESET, "x"), Failure.RESET),
    (BrokenPipeError(errno.EPIPE, "x"), Failure.RESET),
    (http.client.RemoteDisconnected("x"), Failure.CLOSED),
    (http.client.IncompleteRead(b""), Failure.BROKEN_OFF),
    (http.client.BadStatusLine("x"), Failure.NOT_HTTP),
    (urllib3.exceptions.InvalidHeader("x"), Failure.NOT_HTTP),
    (TimeoutError("x"), Failure.READ_TIMEOUT),
    (ssl.SSLError(1, "bad record mac"), Failure.CONNECTION),
    (OSError("x"), Failure.CONNECTION),
]


@pytest.mark.parametrize(("error", "failure"), UNREACHED)
def test_what_went_wrong_on_the_way_is_told_apart(error: Exception, failure: Failure) -> None:
    assert failure_of(error, reached=False) is failure
    assert failure_of(wrapped(error), reached=False) is failure


@pytest.mark.parametrize(("error", "failure"), REACHED)
def test_what_went_wrong_afterwards_is_told_apart(error: Exception, failure: Failure) -> None:
    assert failure_of(error, reached=True) is failure
    assert failure_of(wrapped(error), reached=True) is failure


def test_what_urllib3_makes_of_a_lookup_is_understood() -> None:
    error = socket.gaierror(socket.EAI_NONAME, "x")
    resolution = urllib3.exceptions.NameResolutionError("x", HTTPConnection("x"), error)
    resolution.__cause__ = error
    assert failure_of(wrapped(resolution), reached=False) is Failure.UNKNOWN_HOST


def test_a_certificates_failures_are_known_as_such() -> None:
    failures = {failure for _, failure in UNREACHED if "certificate" in failure.value}
    assert failures == CERTIFICATE_FAILURES


def test_a_phrase_has_no_word_of_a_library() -> None:
    assert phrase(Failure.REFUSED) == "connection refused"
    assert phrase(Failure.READ_TIMEOUT) == "no answer in time"
    assert phrase(Failure.READ_TIMEOUT, within_s=15.0) == "no answer within 15 s"
    assert phrase(Failure.CONNECT_TIMEOUT, within_s=0.5) == "no connection within 0.5 s"
    assert phrase(Failure.TOTAL_TIMEOUT, within_s=30) == "no whole answer within 30 s"
    since = datetime(2026, 3, 1, tzinfo=UTC)
    assert phrase(Failure.EXPIRED, since=since) == "certificate expired on 2026-03-01"
    assert phrase(Failure.REFUSED, proxy=True) == "proxy: connection refused"


def test_a_proxys_failure_is_known_as_such() -> None:
    error = ConnectionRefusedError(errno.ECONNREFUSED, "x")
    assert not is_proxys(wrapped(error))
    assert is_proxys(wrapped(urllib3.exceptions.ProxyError("x", error)))
