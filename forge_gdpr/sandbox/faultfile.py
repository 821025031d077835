"""How a file says what goes wrong: faults and pages as JSON. Pure."""

import json
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final

from forge_gdpr.sandbox.codings import Encoding
from forge_gdpr.sandbox.endpoints import METHODS
from forge_gdpr.sandbox.faults import Fault, FaultKind
from forge_gdpr.sandbox.userlist import Hint, Paging, Placement


def parse_faults(text: str) -> tuple[Fault, ...]:
    """Return the faults that ``text`` lists as JSON: a list of objects, one object, or JSON lines.

    The fields are those of ``Fault``, with ``headers`` as an object of strings. Blank text is no
    faults.

    Raises:
        ValueError: the message names the entry, counted from 1, and the field.
    """
    return tuple(_fault(number, entry) for number, entry in enumerate(_entries(text), start=1))


def parse_paging(text: str) -> Paging:
    """Return the paging that ``text`` describes as a JSON object with ``size`` and ``hint``.

    Raises:
        ValueError: the message names the field.
    """
    try:
        entry: object = _json(text)
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None
    return Paging(**_values(entry, _PAGING_READERS))


def _json(text: str) -> Any:  # noqa: ANN401  any JSON
    """Return the value of a JSON text.

    Raises:
        ValueError: it is not JSON, or nested too deeply for Python.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _entries(text: str) -> list[object]:
    """Return the values of a JSON list, of one JSON value or of JSON lines."""
    try:
        whole = _json(text)
    except ValueError as error:
        if text.lstrip().startswith("["):
            raise ValueError(f"the list of faults is not JSON: {error}") from None
        lines = [line for line in text.splitlines() if line.strip()]
        return [_line(number, line) for number, line in enumerate(lines, start=1)]
    return whole if isinstance(whole, list) else [whole]


def _line(number: int, line: str) -> object:
    try:
        value: object = _json(line)
    except ValueError as error:
        raise ValueError(f"fault {number}: not JSON: {error}") from None
    return value


def _fault(number: int, entry: object) -> Fault:
    """Return the fault that one JSON value describes."""
    try:
        return Fault(**_values(entry, _READERS, required=("kind",)))
    except ValueError as error:
        raise ValueError(f"fault {number}: {error}") from None


def _values(
    entry: object,
    readers: Mapping[str, Callable[[str, object], Any]],
    *,
    required: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Return the fields of one JSON value, each of its right type."""
    if not isinstance(entry, dict):
        raise ValueError(f"{entry!r} is not an object")  # noqa: TRY004  the value is wrong, not the code
    for field in entry:
        if field not in readers:
            raise ValueError(f"field {field}: there is no such field")
    for field in required:
        if field not in entry:
            raise ValueError(f"field {field}: is missing")
    return {field: readers[field](field, value) for field, value in entry.items()}


def _word(words: type[StrEnum]) -> Callable[[str, object], StrEnum]:
    """Return the reader of a field that holds one of these words."""

    def read(field: str, value: object) -> StrEnum:
        try:
            return words(str(value))
        except ValueError:
            raise ValueError(f"field {field}: {value!r} is none of {', '.join(words)}") from None

    return read


def _word_or_null(words: type[StrEnum]) -> Callable[[str, object], StrEnum | None]:
    read = _word(words)
    return lambda field, value: None if value is None else read(field, value)


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


def _list(field: str, value: object) -> tuple[object, ...]:
    if isinstance(value, list):
        return tuple(value)
    raise ValueError(f"field {field}: {value!r} is not a list")


def _object(field: str, value: object) -> dict[str, object]:
    if isinstance(value, dict):
        return value
    raise ValueError(f"field {field}: {value!r} is not an object")


def _headers(field: str, value: object) -> tuple[tuple[str, str], ...]:
    if isinstance(value, dict) and all(isinstance(text, str) for text in value.values()):
        return tuple(value.items())
    raise ValueError(f"field {field}: {value!r} is not an object of strings")


#: How each field of a fault is read from JSON.
_READERS: Final[Mapping[str, Callable[[str, object], Any]]] = {
    "kind": _word(FaultKind),
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
    "encoding": _word_or_null(Encoding),
    "page_size": _whole,
    "hint": _word(Hint),
    "entries": _list,
    "placement": _word(Placement),
    "extra": _object,
}

#: How each field of a page is read from JSON.
_PAGING_READERS: Final[Mapping[str, Callable[[str, object], Any]]] = {
    "size": _whole_or_null,
    "hint": _word(Hint),
}
