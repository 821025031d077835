"""What ties one audit event to the one before it. Decides only; does no I/O."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from typing import Any

    Json = str | int | bool | Sequence["Json"] | Mapping[str, "Json"] | None

#: As we write it: one text for one hash.
_HASH: Final = re.compile("[0-9a-f]{64}")

#: Made once: `json.dumps` with any option makes one a call.
_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)

#: No id is as large. (RFC 8785 has one spelling for whole numbers up to 2**53 only, but an id is
#: as the database gave it.)
_TOO_LARGE: Final = 2**63

#: What the first event of a chain is tied to.
GENESIS: Final = "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The end of a chain, to which the next event is tied."""

    chain: str
    seq: int = 0
    hash: str = GENESIS


def canonical(body: Mapping[str, Json]) -> str:
    """Return ``body`` as canonical JSON (RFC 8785).

    For ASCII names, text, whole numbers below 2**53, booleans and null, which is all an audit
    body holds, the standard library's sorted and dense form is RFC 8785's, at three to four
    times the speed of a general implementation (the tests hold it against one).

    Raises:
        ValueError: a text cannot be written in UTF-8 (a lone surrogate).
    """
    text = _ENCODER.encode(body)
    text.encode()
    return text


class NotCanonicalError(ValueError):
    """A text is not what `canonical` writes. Its message ends a sentence about a body."""


def parsed(text: object) -> dict[str, Any]:
    """Return the object of which ``text`` is the canonical JSON, byte for byte.

    Raises:
        NotCanonicalError: it is not the canonical JSON of an object, or it holds what no event
            does: a fraction, a number of 2**63 or more, a name that is not ASCII.
    """
    if not isinstance(text, str):
        raise NotCanonicalError("has a body that is not JSON: it is not text")
    try:
        body = _DECODER.decode(text)
    except NotCanonicalError:
        raise
    except (ValueError, RecursionError):
        raise NotCanonicalError("has a body that is not JSON") from None
    try:
        is_same = isinstance(body, dict) and canonical(body) == text
    except ValueError:  # a lone surrogate
        is_same = False
    if not is_same or not (text.isascii() or _has_plain_names(body)):
        raise NotCanonicalError("has a body that is not canonical JSON")
    return dict(body)


def written_time(at: datetime) -> str:
    """Return an aware time as a body holds it: RFC 3339 in UTC with microseconds and ``Z``."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def seal(previous: str, body: str) -> str:
    """Return the SHA-256 that ties ``body`` to the event before it, as 64 hex digits.

    Hashed are the 32 raw bytes of ``previous``, then ``body`` in UTF-8. The first part has a
    fixed length, so no two pairs share an input.

    Args:
        previous: the hash of the event before; GENESIS for none.
        body: the event as canonical JSON, the exact text that is stored.

    Raises:
        ValueError: ``previous`` is not 64 lower-case hex digits.
    """
    if _HASH.fullmatch(previous) is None:
        raise ValueError(f"a hash has 64 hex digits, not {len(previous)}")
    return hashlib.sha256(bytes.fromhex(previous) + body.encode()).hexdigest()


def _whole(digits: str) -> int:
    number = int(digits)
    if abs(number) >= _TOO_LARGE:
        raise NotCanonicalError("has a body that is not canonical JSON: a number is too large")
    return number


def _refused(_number: str) -> Json:
    raise NotCanonicalError("has a body that is not canonical JSON: a number is not whole")


def _has_plain_names(value: object) -> bool:
    """Say whether all names are ASCII; RFC 8785 sorts others in another order than Python."""
    if isinstance(value, dict):
        return all(name.isascii() and _has_plain_names(item) for name, item in value.items())
    return not isinstance(value, list) or all(map(_has_plain_names, value))


_DECODER: Final = json.JSONDecoder(parse_int=_whole, parse_float=_refused, parse_constant=_refused)
