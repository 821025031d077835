"""What an answer of Forge means for a deletion. Decides only; does no I/O.

Statuses are those of RFC 9110 §15; 425 is RFC 8470, 429 is RFC 6585.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Final

#: Worth another try: the server, or something on the way to it, was not able just now. 520 to 530
#: are what gateways say of the server behind them (Cloudflare's 520 to 527 and 530; 529 is
#: "overloaded"): none of them is about one person.
TRANSIENT_STATUSES: Final = frozenset({408, 425, 429, 500, 502, 503, 504, *range(520, 531)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One HTTP answer, read whole or to the limit."""

    status: int
    body: bytes = b""
    cut: bool = False  #: the body went on beyond the limit
    unreadable: bool = False  #: the body could not be decoded; it is left out
    retry_after: str | None = None
    date: str | None = None
    partial: str | None = None  #: what in the head says that this is a part: 206, a header

    def json(self) -> object:
        """Return the body as JSON.

        Raises:
            ValueError: it was cut off, can't be decoded, is not JSON, or is nested too deeply.
        """
        if self.unreadable:
            raise ValueError("the body can't be decoded")
        if self.cut:
            raise ValueError("the body is longer than the limit")
        try:
            return json.loads(self.body, object_pairs_hook=_without_duplicates)
        except RecursionError:
            raise ValueError("the body is nested too deeply") from None


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Refuse an object that says one thing twice: which of the two holds is anybody's guess."""
    body = dict(pairs)
    if len(body) < len(pairs):
        raise ValueError("an object has the same key twice")
    return body


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


#: Refusals of one person's deletion. Believed only if Forge has shown in this run that key, host
#: and path are right: a wrong base URL answers 301, or a login page, to everything.
REFUSALS: Final = frozenset({Verdict.UNEXPECTED, Verdict.REJECTED, Verdict.FORBIDDEN})

#: So many equal refusals in a row, over all workers, are the whole's fault and no person's: a
#: firewall, a lost permission, a login page. Where each tenth account refuses on its own, ten in a
#: row happen once in ten thousand million times.
EQUAL_REFUSALS: Final = 10


def judge(reply: Reply) -> Verdict:
    """Return what ``reply`` to the deletion of an account says.

    Only the documented answer erases: 200 and a JSON object whose ``success`` is ``true``, or 204.
    """
    return _judged(reply, confirmed=_is_success(reply))


def judge_logs(reply: Reply) -> Verdict:
    """Return what ``reply`` to the deletion of a user's logs says.

    Later versions of the API document ``{"message": "Success"}`` for it.
    """
    confirmed = _is_success(reply) or _body_of(reply) == {"message": "Success"}
    return _judged(reply, confirmed=confirmed)


def judge_presence(reply: Reply, user_id: str) -> Verdict | None:
    """Return what ``reply`` to ``GET /user/:id`` says: None if it shows this very user.

    Any other 2xx is ``UNEXPECTED``: it shows neither that the user is there nor that not.
    """
    body = _body_of(reply)
    shown_id = body.get("_id") if isinstance(body, dict) else None
    if isinstance(shown_id, str) and shown_id.lower() == user_id.lower():
        return None
    verdict = _judged(reply, confirmed=False)
    return Verdict.UNEXPECTED if verdict in {Verdict.ERASED, Verdict.ACCEPTED} else verdict


def _judged(reply: Reply, *, confirmed: bool) -> Verdict:
    match reply.status:
        case HTTPStatus.ACCEPTED:
            return Verdict.ACCEPTED
        case HTTPStatus.NO_CONTENT:
            return Verdict.ERASED
        case HTTPStatus.OK if confirmed:
            return Verdict.ERASED
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


def _is_success(reply: Reply) -> bool:
    body = _body_of(reply)
    return isinstance(body, dict) and body.get("success") is True


def _body_of(reply: Reply) -> object:
    """Return the JSON of a 200, None of anything else."""
    if reply.status != HTTPStatus.OK:
        return None
    try:
        return reply.json()
    except ValueError:
        return None
