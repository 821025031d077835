"""Who does something, by the name that is put on record. Decides only; does no I/O.

A name is plain: one that only looks like another's, such as one with a Cyrillic letter in it, would
let its bearer approve what they added themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST: Final = 64
#: Where nobody is logged in, and nobody said who it is.
NOBODY: Final = "cron"


def trimmed(name: str) -> str:
    """Return a name without the blanks around it."""
    return name.strip(" ")


def fault(name: str) -> str | None:
    """Return why a name is no actor's, None if it is one; the end of a sentence about it."""
    text = trimmed(name)
    if not text:
        return "is blank: write a name, or leave it out"
    if len(text) > LONGEST:
        return f"is longer than {LONGEST} characters: shorten it"
    if not (text.isascii() and text.isprintable()):
        return "has a character in it that is not printable ASCII: write it in plain letters"
    return None


def are_same(one: str, other: str) -> bool:
    """Say whether two names are of one actor, for all that people see: Ada is ada."""
    return _folded(one) == _folded(other)


def first_of(names: Iterable[str | None]) -> str:
    """Return the first of these that is an actor's name; of none it is `NOBODY`."""
    for name in names:
        if name is not None and fault(name) is None:
            return trimmed(name)
    return NOBODY


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()
