"""Whether an asker's reference may be shown and recorded. Decides only; does no I/O.

It is free text of an application, and what is recorded is recorded for ever. So it is decided once,
when a request is admitted, and what stands for the reference from then on is kept beside it.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from forge_gdpr.identifiers import FORGE_ID
from forge_gdpr.options import REFERENCE_PATTERN
from forge_gdpr.pseudonyms import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forge_gdpr.pseudonyms import SubjectKey

#: So many letters and digits in common with an address tell who is meant, and so many with an id.
_SHARED_WITH_EMAIL: Final = 4
_SHARED_WITH_ID: Final = 6
#: A word of an address is looked for if it has so many letters, or digits.
_LETTERS: Final = 2
_DIGITS: Final = 3
#: From so many letters on a word is looked for within other words, too.
_WITHIN: Final = 3

_FORGE_ID: Final = re.compile(FORGE_ID)
_HASH: Final = re.compile(r"v1:[0-9a-f]{8}:[0-9a-f]{64}")
_WORD: Final = re.compile(r"[^\W\d_]+|\d+")
#: Percent-encoding of percent-encoding, and so on, is undone so often.
_ENCODED: Final = 4


@dataclass(frozen=True, slots=True)
class ReferenceRules:
    """What a reference must look like to be shown."""

    pattern: re.Pattern[str]  #: the whole of it matches
    user_ids: re.Pattern[str]  #: what matches this is a user id, whoever's

    def decided(
        self, reference: str | None, *, key: SubjectKey, user_id: str | None, email: str | None
    ) -> str | None:
        """Return what stands for a reference from now on: itself, or its keyed hash.

        Args:
            reference: as the asker wrote it; None, or blank: there is none.
            key: of the hash.
            user_id: of the request.
            email: of the request.
        """
        text = trimmed(reference)
        if text is None or self.may_show(text, user_id=user_id, email=email):
            return text
        return key.subject(Kind.REFERENCE, text)

    def kept(self, stored: str | None) -> str | None:
        """Return what was decided; of what a column holds, for an application may write it."""
        if not stored or is_hash(stored) or self.pattern.fullmatch(stored):
            return stored or None
        return None

    def may_show(self, reference: str, *, user_id: str | None, email: str | None) -> bool:
        """Say whether a reference names nobody, as far as can be seen."""
        return (
            self.pattern.fullmatch(reference) is not None
            and self.user_ids.fullmatch(reference) is None
            and not _shares(reference, user_id=user_id or "", email=email or "")
        )


TICKETS: Final = ReferenceRules(
    pattern=re.compile(str(REFERENCE_PATTERN.default)), user_ids=_FORGE_ID
)


def trimmed(reference: str | None) -> str | None:
    """Return a reference without the white space around it; None: there is nothing else."""
    return None if reference is None else reference.strip() or None


def is_hash(text: str) -> bool:
    """Say whether this stands for a reference that is withheld."""
    return _HASH.fullmatch(text) is not None


def hashes(keys: Iterable[SubjectKey], reference: str) -> list[str]:
    """Return the keyed hashes that may stand for a reference, under each live key."""
    text = reference.strip()
    return [key.subject(Kind.REFERENCE, text) for key in keys]


def _shares(reference: str, *, user_id: str, email: str) -> bool:
    plain = _plain(reference)
    if "@" in plain:
        return True
    local, _, domain = _plain(email).rpartition("@")
    *labels, _top = domain.split(".")
    squeezed = _squeezed(plain)
    return (
        _has_in_common(squeezed, _squeezed(_plain(user_id)), _SHARED_WITH_ID)
        or _has_in_common(squeezed, _squeezed(local), _SHARED_WITH_EMAIL)
        # Those of Forge's own ids mean nothing.
        or (_FORGE_ID.fullmatch(user_id) is None and _has_word(plain, user_id))
        or _has_word(plain, local)
        or _has_word(plain, " ".join(labels))
    )


def _has_word(text: str, name: str) -> bool:
    """Say whether a text holds one of the words of a name, or all of it."""
    words = _WORD.findall(text)
    pairs = map("".join, pairwise(words))
    squeezed, whole = _squeezed(text), _squeezed(_plain(name))
    for word in _WORD.findall(_plain(name)):
        if len(word) >= (_DIGITS if word.isdecimal() else _LETTERS) and word in words:
            return True
        if len(word) >= _WITHIN and word.isalpha() and word in squeezed:
            return True
    return whole != "" and whole in {squeezed, *words, *pairs}


def _has_in_common(text: str, name: str, length: int) -> bool:
    """Say whether two texts have a part of a length in common."""
    return any(name[i : i + length] in text for i in range(len(name) - length + 1))


def _plain(text: str) -> str:
    """Return a text without what makes equal words look different."""
    for _ in range(_ENCODED):
        text = unquote(text)
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()


def _squeezed(text: str) -> str:
    return "".join(c for c in text if c.isalnum())
