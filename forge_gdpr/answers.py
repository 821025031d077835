"""What an answer of Forge means for a deletion. Decides only; does no I/O.

Statuses are those of RFC 9110 §15; 425 is RFC 8470, 429 is RFC 6585.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Final

#: Worth another try: the server, or something on the way to it, was not able just now.
TRANSIENT_STATUSES: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One HTTP answer, read whole or to the limit."""

    status: int
    body: bytes = b""
    cut: bool = False  #: the body went on beyond the limit
    retry_after: str | None = None
    date: str | None = None

    def json(self) -> object:
        """Return the body as JSON.

        Raises:
            ValueError: it was cut off, is not JSON, or is nested too deeply.
        """
        if self.cut:
            raise ValueError("the body is longer than the limit")
        try:
            return json.loads(self.body)
        except RecursionError:
            raise ValueError("the body is nested too deeply") from None


class Verdict(StrEnum):
    """What one answer says about one deletion."""

    ERASED = "erased"
    ACCEPTED = "accepted"
    ABSENT = "absent"
    TRANSIENT = "transient"
    UNEXPECTED = "unexpected"
    REJECTED = "rejected"
    FORBIDDEN = "forbidden"
    KEY_REFUSED = "key_refused"


#: Said about one person only if Forge has proved in this run that key, host and path are right:
#: a wrong base URL answers 404 (or 301, or a login page) to everything.
NEEDS_PROOF: Final = frozenset(
    {Verdict.ABSENT, Verdict.UNEXPECTED, Verdict.REJECTED, Verdict.FORBIDDEN}
)


def judge(reply: Reply) -> Verdict:
    """Return what ``reply`` to a DELETE says."""
    match reply.status:
        case HTTPStatus.ACCEPTED:
            return Verdict.ACCEPTED
        case HTTPStatus.NO_CONTENT:
            return Verdict.ERASED
        case status if 200 <= status < 300:  # noqa: PLR2004  # the class of success
            return Verdict.ERASED if _confirms(reply) else Verdict.UNEXPECTED
        case HTTPStatus.UNAUTHORIZED:
            return Verdict.KEY_REFUSED
        case HTTPStatus.FORBIDDEN:
            return Verdict.FORBIDDEN
        case HTTPStatus.NOT_FOUND | HTTPStatus.GONE:
            return Verdict.ABSENT
        case status if status in TRANSIENT_STATUSES:
            return Verdict.TRANSIENT
        case status if 400 <= status < 500:  # noqa: PLR2004  # the class of client errors
            return Verdict.REJECTED
        case _:
            return Verdict.UNEXPECTED


def _confirms(reply: Reply) -> bool:
    """Say whether a 2xx is Forge's word for success, and not a page or a polite failure."""
    try:
        body = reply.json()
    except ValueError:
        return False
    return not isinstance(body, dict) or body.get("success", True) is True
