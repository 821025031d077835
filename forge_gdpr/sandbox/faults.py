"""What can go wrong at Forge, for which requests, and how a file says so. Pure.

A fault either answers something else instead of Forge, and then nothing happens to the users, or
it spoils the delivery of Forge's own answer, and then the effect has taken place (``EFFECTIVE``).
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Any, Final

from forge_gdpr.sandbox.endpoints import METHODS, Endpoint

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

    # The request takes effect; its answer doesn't arrive as it should.
    STATUS_AFTER = "status_after"  #: this status all the same: a 502 after a real deletion
    ANSWER_LOST = "answer_lost"  #: the connection is reset (RST)
    HANG_AFTER = "hang_after"  #: no answer, ever
    SLOW = "slow"  #: the right answer, after ``delay_s``
    DRIP = "drip"  #: the right answer byte by byte, the status line too, ``delay_s`` apart
    DRIP_BODY = "drip_body"  #: its head at once, then its body byte by byte
    TRUNCATED = "truncated"  #: half of its body, then the end of the connection
    HUGE_BODY = "huge_body"  #: 200 with ``size_bytes`` of JSON; without a size it never ends


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
    }
)


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
    size_bytes: int | None = None  #: of ``huge_body``; None: endless

    def __post_init__(self) -> None:
        """Refuse a fault that could never strike or would break the sandbox itself."""
        rules = {
            "method": self.method is None or self.method in _KNOWN_METHODS,
            "path": self.path is None or self.path in METHODS,
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
        }
        for field, holds in rules.items():
            if not holds:
                raise ValueError(f"field {field}: {getattr(self, field)!r} is out of range")

    def matches(self, *, method: str, path: Endpoint | None, user_id: str | None) -> bool:
        """Say whether it is meant for such a request."""
        return (
            (self.method is None or self.method == method)
            and (self.path is None or self.path == path)
            and (self.user_id is None or self.user_id == user_id)
        )


def parse_faults(text: str) -> tuple[Fault, ...]:
    """Return the faults that ``text`` lists as JSON: a list of objects, one object, or JSON lines.

    The fields are those of ``Fault``, with ``headers`` as an object of strings. Blank text is no
    faults.

    Raises:
        ValueError: the message names the entry, counted from 1, and the field.
    """
    return tuple(_fault(number, entry) for number, entry in enumerate(_entries(text), start=1))


def _entries(text: str) -> list[object]:
    """Return the values of a JSON list, of one JSON value or of JSON lines."""
    try:
        whole = json.loads(text)
    except ValueError as error:
        if text.lstrip().startswith("["):
            raise ValueError(f"the list of faults is not JSON: {error}") from None
        lines = [line for line in text.splitlines() if line.strip()]
        return [_line(number, line) for number, line in enumerate(lines, start=1)]
    return whole if isinstance(whole, list) else [whole]


def _line(number: int, line: str) -> object:
    try:
        value: object = json.loads(line)
    except ValueError as error:
        raise ValueError(f"fault {number}: not JSON: {error}") from None
    return value


def _fault(number: int, entry: object) -> Fault:
    """Return the fault that one JSON value describes."""
    try:
        return Fault(**_values(entry))
    except ValueError as error:
        raise ValueError(f"fault {number}: {error}") from None


def _values(entry: object) -> dict[str, Any]:
    """Return the fields of one JSON value, each of its right type."""
    if not isinstance(entry, dict):
        raise ValueError(f"{entry!r} is not an object")  # noqa: TRY004  the value is wrong, not the code
    for field in entry:
        if field not in _READERS:
            raise ValueError(f"field {field}: there is no such field")
    if "kind" not in entry:
        raise ValueError("field kind: is missing")
    return {field: _READERS[field](field, value) for field, value in entry.items()}


def _kind(field: str, value: object) -> FaultKind:
    try:
        return FaultKind(str(value))
    except ValueError:
        raise ValueError(f"field {field}: {value!r} is none of {', '.join(FaultKind)}") from None


def _path(field: str, value: object) -> object:
    if value is None or (isinstance(value, str) and value in METHODS):
        return value
    raise ValueError(f"field {field}: {value!r} is none of {', '.join(METHODS)}")


def _text(field: str, value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise ValueError(f"field {field}: {value!r} is not a string")


def _whole(field: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(f"field {field}: {value!r} is not a whole number")


def _whole_or_null(field: str, value: object) -> int | None:
    return None if value is None else _whole(field, value)


def _number(field: str, value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise ValueError(f"field {field}: {value!r} is not a number")


def _headers(field: str, value: object) -> tuple[tuple[str, str], ...]:
    if isinstance(value, dict) and all(isinstance(text, str) for text in value.values()):
        return tuple(value.items())
    raise ValueError(f"field {field}: {value!r} is not an object of strings")


#: How each field of a fault is read from JSON.
_READERS: Final[Mapping[str, Callable[[str, object], Any]]] = {
    "kind": _kind,
    "method": _text,
    "user_id": _text,
    "path": _path,
    "skip": _whole,
    "count": _whole_or_null,
    "probability": _number,
    "status": _whole_or_null,
    "headers": _headers,
    "body": _text,
    "delay_s": _number,
    "size_bytes": _whole_or_null,
}
