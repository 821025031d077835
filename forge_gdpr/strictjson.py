"""Evidence as it is read: JSON that every reader takes for the same, or that is refused.

One reader for certificates, exports and the events in them. Two readers that differ over a
duplicate name, ``12.0`` or ``1`` for ``true`` would differ over what was proven. Decides only; does
no I/O.

Source: RFC 8259 §4 and §8, RFC 8785, RFC 7493 (I-JSON).
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final

from forge_gdpr.chain import canonical, written_time

#: The longest document: a certificate, a manifest, or a page with a certificate in it.
MOST_CHARACTERS: Final = 64 * 1024 * 1024
#: The longest line of an export, and the longest event.
MOST_IN_A_LINE: Final = 1024 * 1024
_MOST_DEEP: Final = 32
_MOST: Final = 2**53 - 1
_DIGITS: Final = len(str(-_MOST))


class InvalidJsonError(ValueError):
    """A text is not JSON that is taken as evidence. Its message holds nothing of it."""


def value_in(text: str, *, most: int = MOST_CHARACTERS) -> Any:  # noqa: ANN401  # JSON
    """Return what a JSON text says.

    Args:
        text: to be read.
        most: how many characters it may have.

    Raises:
        InvalidJsonError: it is not JSON, too long or too deep, says one name twice, or has a number
            that is not a whole one below 2**53, or half a character.
    """
    if len(text) > most:
        raise InvalidJsonError(f"it has more than {most} characters")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_refused,
            parse_constant=_refused,
        )
        _require_flat(value, _MOST_DEEP)
        canonical({"": value})
    except InvalidJsonError:
        raise
    except UnicodeEncodeError:
        raise InvalidJsonError("it has half a character") from None
    except (ValueError, RecursionError):
        raise InvalidJsonError("it is not JSON") from None
    return value


def event_in(body: str) -> dict[str, Any]:
    """Return what an event says: one whose text is its own canonical form, and in its place.

    Raises:
        InvalidJsonError: it is none.
    """
    event = value_in(body, most=MOST_IN_A_LINE)
    if not isinstance(event, dict) or canonical(event) != body or not _are_ascii(event):
        raise InvalidJsonError("it is not in canonical form")
    kinds = [type(event.get(name)) for name in ("chain", "seq", "at", "event")]
    if kinds != [str, int, str, str] or event["seq"] < 1 or not is_time(event["at"]):
        raise InvalidJsonError("it is not an event")
    if type(event.get("run_id", "")) is not str or type(event.get("request_id", 1)) is not int:
        raise InvalidJsonError("it is not an event")
    return event


def are_same(one: object, other: object) -> bool:
    """Say whether two JSON values are the same, in their types, too."""
    try:
        return canonical({"": one}) == canonical({"": other})  # type: ignore[dict-item]
    except (TypeError, ValueError, RecursionError):
        return False


def is_time(text: object) -> bool:
    """Say whether a value is a moment as `chain.written_time` writes it."""
    try:
        return isinstance(text, str) and written_time(datetime.fromisoformat(text)) == text
    except (ValueError, OverflowError):
        return False


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise InvalidJsonError("it says one name twice")
    return values


def _integer(digits: str) -> int:
    if len(digits) > _DIGITS or abs(int(digits)) > _MOST:
        raise InvalidJsonError("it has a number that is not a whole one below 2**53")
    return int(digits)


def _refused(_number: str) -> float:
    raise InvalidJsonError("it has a number that is not a whole one below 2**53")


def _are_ascii(value: object) -> bool:
    """Say whether all names are ASCII: then every way to sort them is the same."""
    if isinstance(value, dict):
        return all(name.isascii() and _are_ascii(inner) for name, inner in value.items())
    return not isinstance(value, list) or all(map(_are_ascii, value))


def _require_flat(value: object, levels: int) -> None:
    if not isinstance(value, dict | list):
        return
    if levels == 0:
        raise InvalidJsonError(f"it is more than {_MOST_DEEP} levels deep")
    for inner in value.values() if isinstance(value, dict) else value:
        _require_flat(inner, levels - 1)
