"""What can go wrong at Forge, and for which requests. Pure.

A fault either answers something else instead of Forge, and then nothing happens to the users, or
it spoils Forge's own answer or its delivery, and then the effect has taken place (``EFFECTIVE``).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Final

from forge_gdpr.sandbox.codings import Encoding
from forge_gdpr.sandbox.endpoints import METHODS, Endpoint
from forge_gdpr.sandbox.userlist import ODD_ENTRIES, PLAIN, Hint, Oddity, Paging, Placement

_KNOWN_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@unique
class FaultKind(StrEnum):
    """What goes wrong."""

    # Something else instead; the users stay as they are.
    STATUS = "status"  #: this status, with these headers and this body
    REDIRECT = "redirect"  #: the same with 302 as its default; give Location in ``headers``
    RESET_BEFORE = "reset_before"  #: the connection is reset (RST)
    HANG = "hang"  #: no answer, ever
    HTML = "html"  #: 200 with a login page
    WRONG_JSON = "wrong_json"  #: 200 with JSON that breaks off, of the right length
    NOT_SUCCESS = "not_success"  #: 200 with {"success": false}
    EMPTY = "empty"  #: 200 with an empty body
    GARBAGE = "garbage"  #: bytes that are not HTTP, then the end of the connection
    LIE = "lie"  #: DELETE only: the documented success, and nothing is deleted

    # The request takes effect; its answer doesn't arrive as it should.
    STATUS_AFTER = "status_after"  #: this status all the same: a 502 after a real deletion
    ANSWER_LOST = "answer_lost"  #: the connection is reset (RST)
    HANG_AFTER = "hang_after"  #: no answer, ever
    SLOW = "slow"  #: the right answer, after ``delay_s``
    DRIP = "drip"  #: the right answer byte by byte, the status line too, ``delay_s`` apart
    DRIP_BODY = "drip_body"  #: its head at once, then its body byte by byte
    TRUNCATED = "truncated"  #: half of its body, then the end of the connection
    HUGE_BODY = "huge_body"  #: 200 with ``size_bytes`` of JSON; without a size it never ends
    ENCODED = "encoded"  #: the right answer in the coding ``encoding``; gzip if none is named
    GZIP_BOMB = "gzip_bomb"  #: 200 with gzip that unpacks to ``size_bytes`` of JSON, or to 1 GiB
    PAGE = "page"  #: the list only: ``page_size`` users of it, with a ``hint`` or without
    ODD_ENTRIES = "odd_entries"  #: the list only: with ``entries`` and ``extra`` keys in it


#: The kinds that let the request take effect.
EFFECTIVE: Final = frozenset(
    {
        FaultKind.STATUS_AFTER,
        FaultKind.ANSWER_LOST,
        FaultKind.HANG_AFTER,
        FaultKind.SLOW,
        FaultKind.DRIP,
        FaultKind.DRIP_BODY,
        FaultKind.TRUNCATED,
        FaultKind.HUGE_BODY,
        FaultKind.ENCODED,
        FaultKind.GZIP_BOMB,
        FaultKind.PAGE,
        FaultKind.ODD_ENTRIES,
    }
)

#: The kinds that only some requests can meet, and the methods and endpoints of those.
_ONLY: Final[Mapping[FaultKind, tuple[frozenset[str], frozenset[Endpoint]]]] = {
    FaultKind.LIE: (frozenset({"DELETE"}), frozenset({"user", "logs"})),
    FaultKind.PAGE: (frozenset({"GET", "HEAD"}), frozenset({"users"})),
    FaultKind.ODD_ENTRIES: (frozenset({"GET", "HEAD"}), frozenset({"users"})),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault: what goes wrong, for which requests and how often.

    Raises:
        ValueError: a value makes no sense; the message names its field.
    """

    kind: FaultKind
    method: str | None = None  #: None: any
    user_id: str | None = None  #: decoded; None: any, or none at all
    path: Endpoint | None = None  #: None: any, also an unknown one
    skip: int = 0  #: so many requests that match are let through first
    count: int | None = 1  #: how often it strikes; None: always
    probability: float = 1.0  #: that it strikes a request that matches
    status: int | None = None  #: None: 302 for ``redirect``, 503 otherwise
    headers: tuple[tuple[str, str], ...] = ()  #: added to the answer, or replacing its own
    body: str | None = None  #: in place of the body that is the kind's own
    delay_s: float = 0.0  #: between two bytes of a drip, else before the answer (or the reset)
    size_bytes: int | None = None  #: of ``huge_body`` (None: endless) or ``gzip_bomb``, unpacked
    encoding: Encoding | None = None  #: of any answer with a body that is sent as a whole
    page_size: int = 10  #: users in a ``page``
    hint: Hint = Hint.NONE  #: what a ``page`` says of the rest
    #: Of ``odd_entries``: raw JSON values; None: some of each sort.
    entries: Sequence[object] | None = field(default=None, hash=False)
    placement: Placement = Placement.APPEND  #: where ``entries`` stand
    extra: Mapping[str, object] = field(default_factory=dict, hash=False)  #: keys beside ``data``

    def __post_init__(self) -> None:
        """Refuse a fault that could never strike or would break the sandbox itself."""
        methods, endpoints = _ONLY.get(self.kind, (_KNOWN_METHODS, METHODS))
        rules = {
            "method": self.method is None or self.method in methods,
            "path": self.path is None or self.path in endpoints,
            "skip": self.skip >= 0,
            "count": self.count is None or self.count >= 1,
            "probability": 0.0 <= self.probability <= 1.0,
            "status": self.status is None or 200 <= self.status <= 599,  # noqa: PLR2004  HTTP's range
            "headers": not any(
                set("\r\n") & set(name + text) or not (name and (name + text).isascii())
                for name, text in self.headers
            ),
            "delay_s": math.isfinite(self.delay_s) and self.delay_s >= 0.0,
            "size_bytes": self.size_bytes is None or self.size_bytes >= 0,
            "page_size": self.page_size >= 0,
        }
        for name, holds in rules.items():
            if not holds:
                raise ValueError(f"field {name}: {getattr(self, name)!r} is out of range")

    def matches(self, *, method: str, path: Endpoint | None, user_id: str | None) -> bool:
        """Say whether it is meant for such a request."""
        if self.kind in _ONLY:
            methods, endpoints = _ONLY[self.kind]
            if method not in methods or path not in endpoints:
                return False
        return (
            (self.method is None or self.method == method)
            and (self.path is None or self.path == path)
            and (self.user_id is None or self.user_id == user_id)
        )

    def paging(self, otherwise: Paging) -> Paging:
        """Return how much of the list is in an answer that it strikes."""
        if self.kind is FaultKind.PAGE:
            return Paging(size=self.page_size, hint=self.hint)
        return otherwise

    @property
    def oddity(self) -> Oddity:
        """What it puts into the list, if it is of that kind."""
        if self.kind is FaultKind.ODD_ENTRIES:
            entries = ODD_ENTRIES if self.entries is None else self.entries
            return Oddity(entries=entries, placement=self.placement, extra=self.extra)
        return PLAIN
