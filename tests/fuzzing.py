"""Small changes to evidence, by chance and to be repeated: to what JSON says, and to its text."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from random import Random

#: What takes the place of a value, or is added beside it.
_VALUES: Final[Sequence[Any]] = (
    *(None, True, False, 0, 1, -1, 2, 12.0, 2**53, 2**63, 1e400, float("nan")),
    *("", "0", "1", "true", "null", "main", "run-2", "k1:zz", "erased", "cancelled", "UTC"),
    *("2026-11-24", "2026-11-24T03:00:01.000000Z", "ab" * 32, "AB" * 32, "0" * 64),
    *("a\nthe certificate holds: request 1", "\r", "\x1b[2K", "\u2028", "\u202e", "\ud800", "\x00"),
    *([], {}, [[]], [0], {"a": 0}),
)
#: What is put into a text.
_PIECES: Final = (
    *(" ", "\n", "\t", "\r\n", "\x00", "\ufeff", "\u00a0", "\u2028", "\x1b", "\ud800", "é"),
    *(",", ":", '"', "{", "}", "[", "]", "\\", "\\u0061", "\\n", "\\/", ".0", "e0", "0", "-", "+"),
    *("null", "true", "1", "NaN", "//", "/**/", "—", "="),
)


def changed(value: Any, draw: Random) -> Any:
    """Return JSON that differs in one place, or was changed there and is the same."""
    value = deepcopy(value)
    place = _place(value, draw)
    if place is None:
        return draw.choice(_VALUES)
    holder, key = place
    draw.choice(_DICT if isinstance(holder, dict) else _LIST)(holder, key, draw)
    return value


def changed_inside(value: Any, draw: Random) -> Any:
    """Return JSON in which the text of one event was changed, and is in canonical form again."""
    value = deepcopy(value)
    holders = list(_bodies(value))
    if holders:
        holder = draw.choice(holders)
        try:
            said = json.loads(holder["body"])
        except ValueError:  # it was changed before
            return value
        holder["body"] = dense(changed(said, draw))
    return value


def dense(value: Any) -> str:
    """Return JSON in canonical form, or as near to it as there is one."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def respelled(text: str, draw: Random) -> str:
    """Return a text that differs in a few characters, by a piece, or by a line."""
    start = draw.randrange(len(text) + 1)
    end = min(len(text), start + draw.choice((1, 1, 1, 2, 5, 40)))
    part = text[start:end]
    lines = text.splitlines(keepends=True)
    match draw.randrange(9):
        case 0:
            return text[:start] + text[end:]
        case 1:
            return text[:start] + draw.choice(_PIECES) + text[start:]
        case 2:
            return text[:start] + draw.choice(_PIECES) + text[end:]
        case 3:
            return text[:start] + part + part + text[end:]
        case 4:
            return text[:start] + part.swapcase() + text[end:]
        case 5:
            return text[:start] + "".join(f"\\u{ord(one):04x}" for one in part) + text[end:]
        case 6:
            return text[:start]
        case 7:
            one = draw.randrange(len(lines))
            lines.insert(draw.randrange(len(lines) + 1), lines[one])
            return "".join(lines)
        case _:
            one, other = draw.randrange(len(lines)), draw.randrange(len(lines))
            lines[one], lines[other] = lines[other], lines[one]
            return "".join(lines)


def in_other_bytes(data: bytes, draw: Random) -> bytes:
    """Return bytes that differ in one, or in a few of them."""
    start = draw.randrange(len(data))
    match draw.randrange(4):
        case 0:
            return (
                data[:start] + bytes([data[start] ^ (1 << draw.randrange(8))]) + data[start + 1 :]
            )
        case 1:
            return data[:start] + draw.randbytes(draw.choice((1, 2, 4))) + data[start:]
        case 2:
            return data[:start] + data[start + draw.choice((1, 2, 4)) :]
        case _:
            return data[:start] + draw.randbytes(1) + data[start + 1 :]


def as_text(value: Any, draw: Random) -> str:
    """Return JSON as one of the ways to write it."""
    indent = draw.choice((None, 2))
    return json.dumps(value, indent=indent, ensure_ascii=draw.random() < 0.5)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys: Sequence[Any] = ()
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, list):
        keys = range(len(value))
    for key in keys:
        yield value, key
        yield from _places(value[key])


def _place(value: Any, draw: Random) -> tuple[Any, Any] | None:
    """Return a place: any of them, or one near the top, where there are few."""
    here = value
    if draw.random() < 0.5:
        places = list(_places(value))
        return draw.choice(places) if places else None
    place = None
    for _ in range(draw.randrange(1, 6)):
        if not isinstance(here, dict | list) or not here:
            break
        key = draw.choice(list(here) if isinstance(here, dict) else range(len(here)))
        place, here = (here, key), here[key]
    return place


def _bodies(value: Any) -> Iterator[Any]:
    for holder, key in _places(value):
        if key == "body" and isinstance(holder[key], str) and holder[key].startswith('{"'):
            yield holder


def _replace(holder: Any, key: Any, draw: Random) -> None:
    holder[key] = deepcopy(draw.choice(_VALUES))


def _retype(holder: Any, key: Any, draw: Random) -> None:
    """Write the same value as another type."""
    value = holder[key]
    if isinstance(value, bool):
        others: list[Any] = [int(value), str(value).lower(), [value]]
    elif isinstance(value, int):
        others = [str(value), float(value), bool(value), [value]]
    elif isinstance(value, str):
        others = [[value], {"": value}, list(value), value.encode().hex()]
        others += [int(value)] if value.isascii() and value.isdigit() else []
    elif isinstance(value, list):
        others = [
            {str(n): one for n, one in enumerate(value)},
            value[0] if value else None,
            str(value),
        ]
    elif isinstance(value, dict):
        others = [list(value), list(value.values()), json.dumps(value)]
    else:
        others = ["null", 0, False, "", []]
    holder[key] = draw.choice(others)


def _alter(holder: Any, key: Any, draw: Random) -> None:
    """Change a text or a number a little."""
    value = holder[key]
    if isinstance(value, str):
        holder[key] = respelled(value, draw) if value else draw.choice(_PIECES)
    elif isinstance(value, int):
        holder[key] = int(value) + draw.choice((-1, 1, 7))
    else:
        _replace(holder, key, draw)


def _copy(holder: Any, key: Any, draw: Random) -> None:
    """Let a place have the value of its neighbour."""
    other = draw.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    holder[key] = deepcopy(holder[other])


def _swap(holder: Any, key: Any, draw: Random) -> None:
    other = draw.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    holder[key], holder[other] = holder[other], holder[key]


def _drop(holder: Any, key: Any, _draw: Random) -> None:
    del holder[key]


def _add(holder: Any, key: Any, draw: Random) -> None:
    holder[f"{key}{draw.choice((' ', '2', '_', chr(0x200B)))}"] = deepcopy(holder[key])


def _rename(holder: Any, key: Any, draw: Random) -> None:
    holder[draw.choice((key.upper(), key + " ", key[:-1], ""))] = holder.pop(key)


def _turn(holder: Any, _key: Any, draw: Random) -> None:
    """Write the names in another order, which says the same."""
    items = list(holder.items())
    draw.shuffle(items)
    holder.clear()
    holder.update(items)


def _double(holder: Any, key: Any, draw: Random) -> None:
    holder.insert(draw.randrange(len(holder) + 1), deepcopy(holder[key]))


def _reverse(holder: Any, _key: Any, _draw: Random) -> None:
    holder.reverse()


def _shuffle(holder: Any, _key: Any, draw: Random) -> None:
    draw.shuffle(holder)


def _empty(holder: Any, _key: Any, _draw: Random) -> None:
    holder.clear()


_ANY: Final[Sequence[Callable[[Any, Any, Random], None]]] = (
    *(_replace, _retype, _alter, _alter, _copy, _swap, _drop, _empty),
)
_DICT: Final = (*_ANY, _add, _rename, _turn)
_LIST: Final = (*_ANY, _double, _reverse, _shuffle)
