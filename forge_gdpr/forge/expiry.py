"""Until when a server's certificate is valid: of one that has expired OpenSSL doesn't say so."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime


def expires_at(
    host: str, port: int, *, timeout_s: float, hold: Callable[[socket.socket], None]
) -> datetime | None:
    """Return the date in the certificate that a server shows; None if it can't be had.

    A handshake and nothing more: what is sent is no request, for nobody knows who answers.

    Args:
        host: to connect to.
        port: of it.
        timeout_s: for the connection and for each read of the handshake.
        hold: is given the socket, for whoever ends what takes too long.
    """
    from cryptography import x509  # noqa: PLC0415  # heavy, and hardly ever needed

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as plain:
            hold(plain)
            with context.wrap_socket(plain, server_hostname=host) as tls:
                certificate = tls.getpeercert(binary_form=True)
        return x509.load_der_x509_certificate(certificate or b"").not_valid_after_utc
    except (OSError, ValueError):
        return None
