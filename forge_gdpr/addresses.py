"""Addresses that operators write, in the one form that is used everywhere. No I/O.

What is harmless is normalised, so that the same server is always the same text: a request is sent
to the very URL that it was made for, and an account is told by its key and address. What could lead
a request somewhere else is refused. No message quotes an address: it may hold a password.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import idna

if TYPE_CHECKING:
    from urllib.parse import SplitResult

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_LONGEST_HOST: Final = 253
_HOST: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
#: RFC 3986's ``pchar`` without the percent sign: nobody on the way rewrites these.
_PATH: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@/-]*")


def api_base(text: str) -> str:
    """Return the address of an API: lower-case scheme and host, no default port, plain slashes.

    Raises:
        ValueError: it is none, or a path below it could end up elsewhere; the message ends a
            sentence that begins with the name of the setting.
    """
    url = _split(text, example="https://api.runalloy.com/forge/2021-12")
    if "@" in url.netloc:
        raise ValueError("has a user or password in it (an @): write the host alone")
    if "?" in text or "#" in text:
        raise ValueError("has a ? or # in it: write the address without query and fragment")
    host, port = _host(url), _port(url)
    if url.scheme == "http" and not is_loopback(host.strip("[]")):
        raise ValueError("is plain http, which is only for this machine: write https")
    segments = [segment for segment in url.path.split("/") if segment]
    if {".", ".."} & set(segments):
        raise ValueError("has a /./ or /../ in its path: write the path that is meant")
    if _PATH.fullmatch(url.path) is None:
        raise ValueError(
            "has a character in its path that a URL can't have as it is, such as a blank, a letter"
            " with an accent or a %"
        )
    return "/".join([f"{url.scheme}://{host}{port}", *segments])


def proxy(text: str) -> str:
    """Return the address of an HTTP proxy as it was given, if it is one.

    Raises:
        ValueError: it is none; as from `api_base`.
    """
    url = _split(text, example="http://proxy.example:3128")
    _host(url)
    _port(url)
    if url.path.strip("/") or "?" in text or "#" in text:
        raise ValueError("is more than a proxy's address: write it like http://proxy.example:3128")
    return text


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine, by its name or number alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split(text: str, *, example: str) -> SplitResult:
    """Split an address whose text is sound; `urlsplit` would drop or mend what is not."""
    if not text.isprintable() or "\\" in text or " " in text:
        raise ValueError("has a blank, a backslash or a control character in it")
    try:
        url = urlsplit(text)
    except ValueError:
        url = urlsplit("")
    if url.scheme not in _DEFAULT_PORTS or not url.netloc:
        raise ValueError(f"is not an address like {example}")
    return url


def _host(url: SplitResult) -> str:
    """Return the host in lower case, an IPv6 address in brackets."""
    host = (url.hostname or "").lower()
    if not host.isascii():
        raise ValueError(f"has letters beyond ASCII in its host: {_in_ascii(host)}")
    if "[" in url.netloc and "%" not in host:  # no zone: it would be this machine's alone
        try:
            return f"[{ipaddress.IPv6Address(host)}]"
        except ValueError:
            raise ValueError("has no valid IPv6 address in its brackets") from None
    if len(host) > _LONGEST_HOST or _HOST.fullmatch(host) is None:
        raise ValueError("has no valid host: write it like https://api.runalloy.com")
    return host


def _in_ascii(host: str) -> str:
    """Say how a host is written in ASCII: the person who sees it may notice that it is another.

    It is not converted unasked, for a letter that only looks like another one would send the API
    key to a stranger.
    """
    try:
        return f"if you mean {idna.encode(host, uts46=True).decode()}, write that"
    except idna.IDNAError:
        return "no host has these"


def _port(url: SplitResult) -> str:
    """Return ``:port``, or nothing for the one that the scheme has anyway."""
    try:
        port = url.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("has a port that is not a number from 1 to 65535")
    return "" if port in {None, _DEFAULT_PORTS[url.scheme]} else f":{port}"
