"""The only name a person has outside the request table. Decides only; does no I/O."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from forge_gdpr.identifiers import email_spellings, user_id_spellings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SHORTEST_KEY_BYTES: Final = 32


class Kind(StrEnum):
    """What kind of identifier a pseudonym stands for; part of what is hashed."""

    USER_ID = "user_id"
    EMAIL = "email"
    REQUEST = "request"  #: a request that names nobody; hashed is its own number
    ACCOUNT = "account"  #: what an API key reaches at a base URL
    REFERENCE = "reference"  #: an asker's, which may name the person
    STATE = "state"  #: all of a request that a plan depends on


@dataclass(frozen=True, slots=True)
class SubjectKey:
    """The secret under which people are pseudonymised.

    A plain hash of an id is guessed at a million a second; only a keyed one is a pseudonym.

    Raises:
        ValueError: the key is shorter than 32 bytes.
    """

    secret: bytes = field(repr=False)
    #: Eight hex digits that name the key and give nothing of it away.
    id: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) < SHORTEST_KEY_BYTES:
            raise ValueError(
                f"it is too short, a subject key has at least {SHORTEST_KEY_BYTES} bytes"
            )
        named = hmac.digest(self.secret, b"forge-gdpr subject key id", "sha256").hex()[:8]
        object.__setattr__(self, "id", named)

    def subject(self, kind: Kind, identifier: str) -> str:
        """Return the pseudonym ``v1:<key id>:<64 hex digits>`` of an identifier.

        Args:
            kind: what ``identifier`` is, so that an id never equals an e-mail.
            identifier: in its canonical form; lone surrogates are kept, not refused.
        """
        message = f"{kind}\x00{identifier}".encode("utf-8", "surrogatepass")
        return self._named(message)

    def seal(self, purpose: str, text: str) -> str:
        """Return ``v1:<key id>:<64 hex digits>``, which nobody without the key can make for a text.

        Args:
            purpose: what the text is; a seal for one purpose is none for another, nor a pseudonym.
            text: that must not be altered.
        """
        return self._named(f"forge-gdpr {purpose}\x00{text}".encode("utf-8", "surrogatepass"))

    def has_sealed(self, seal: str, purpose: str, text: str) -> bool:
        """Say whether a seal is this key's for a text, in a time that tells nothing about it."""
        return hmac.compare_digest(
            seal.encode("utf-8", "replace"), self.seal(purpose, text).encode()
        )

    def _named(self, message: bytes) -> str:
        return f"v1:{self.id}:{hmac.digest(self.secret, message, 'sha256').hex()}"


@dataclass(frozen=True, slots=True)
class Keyring:
    """The subject keys that are live, the oldest first: one for each epoch.

    The last one is used for what is written, all of them for what is looked up. A key that is
    taken away is destroyed: who stands in the record under it can't be found by anybody any more.

    Raises:
        ValueError: there is none, one is too short, or one is there twice.
    """

    keys: tuple[SubjectKey, ...]

    def __post_init__(self) -> None:
        if not self.keys:
            raise ValueError("there is no subject key")
        if len({key.id for key in self.keys}) < len(self.keys):
            raise ValueError("a subject key is there twice")

    @classmethod
    def parse(cls, text: str) -> Keyring:
        """Return the keys of a text, one a line."""
        lines = (line.strip() for line in text.splitlines())
        return cls(tuple(SubjectKey(line.encode()) for line in lines if line))

    @property
    def current(self) -> SubjectKey:
        """The key that new pseudonyms are made with."""
        return self.keys[-1]

    def subjects(self, kind: Kind, identifier: str) -> list[str]:
        """Return an identifier's pseudonyms under every live key and in every form it ever had."""
        return [one for key in self.keys for one in pseudonyms(key, kind, identifier)]

    def has(self, key_id: str) -> bool:
        """Say whether a key is live."""
        return any(key.id == key_id for key in self.keys)


def pseudonyms(key: SubjectKey, kind: Kind, identifier: str) -> list[str]:
    """Return what an identifier may stand under in the record: as it is written today, then before.

    Ids and addresses have one canonical form now. Those that were recorded earlier, in upper case
    or with a Unicode domain, are still looked for.
    """
    match kind:
        case Kind.USER_ID:
            forms = user_id_spellings(identifier)
        case Kind.EMAIL:
            forms = email_spellings(identifier)
        case _:
            forms = [identifier]
    return [key.subject(kind, form) for form in forms]


def key_id_of(subject: str) -> str:
    """Return which key a pseudonym was made with: ``v1:<key id>:<hex>``."""
    return subject.split(":")[1]


def subject_of(key: SubjectKey, *, request_id: int, user_id: str | None, email: str | None) -> str:
    """Return the pseudonym of the person a request names; of its number if it names nobody."""
    known = _pseudonyms(key, user_id=user_id, email=email)
    return known[0] if known else key.subject(Kind.REQUEST, str(request_id))


def named_by(
    keys: Iterable[SubjectKey],
    subject: str,
    *,
    request_id: int,
    user_id: str | None,
    email: str | None,
) -> Kind | None:
    """Return by what a pseudonym names the person of a request; None: it is somebody else's.

    So it is seen that a row was corrected since it was admitted. Whose user id was found by the
    e-mail is still named by the e-mail.

    Args:
        keys: every live one.
        subject: what the request was admitted under.
        request_id: the number of the request.
        user_id: as the row has it now.
        email: likewise.
    """
    names: list[tuple[Kind, str]] = []
    if user_id is not None:
        names.append((Kind.USER_ID, user_id))
    if email is not None and email.strip():
        names.append((Kind.EMAIL, email))
    if not names:
        names.append((Kind.REQUEST, str(request_id)))
    keys = tuple(keys)
    for kind, name in names:
        if any(subject in pseudonyms(key, kind, name) for key in keys):
            return kind
    return None


def is_as_admitted(
    keys: Iterable[SubjectKey],
    admitted: Sequence[str],
    *,
    request_id: int,
    user_id: str | None,
    email: str | None,
) -> bool:
    """Say whether a row names the person whom the record has, by id and by e-mail.

    An id that stands beside the e-mail under which a request was admitted says nothing: a run may
    have found it.

    Args:
        keys: every live one.
        admitted: the pseudonyms of its newest admission, the subject first; none: it has none.
        request_id: the number of the request.
        user_id: as the row has it now.
        email: likewise.
    """
    ring = {key.id: key for key in keys}
    subject = next(iter(admitted), "")
    kind = named_by(ring.values(), subject, request_id=request_id, user_id=user_id, email=email)
    if kind is not Kind.USER_ID:
        return kind is not None
    address = email or ""
    by_email = {
        one
        for key in ring.values()
        if address.strip()
        for one in pseudonyms(key, Kind.EMAIL, address)
    }
    ids = {user_id or "", (user_id or "").strip()}
    by_id = {one for key in ring.values() for name in ids for one in pseudonyms(key, kind, name)}
    recorded = {pseudonym for pseudonym in admitted if key_id_of(pseudonym) in ring}
    return recorded <= by_id | by_email and (not by_email or not recorded.isdisjoint(by_email))


def aliases(key: SubjectKey, subject: str, *, user_id: str | None, email: str | None) -> list[str]:
    """Return the other pseudonyms by which the person can be asked for.

    So a question by e-mail finds one that was asked by id, a question under the current key one
    that was admitted under an older key, and a question by id one that had blanks around it.
    """
    others = _pseudonyms(key, user_id=user_id, email=email)
    trimmed = (user_id or "").strip()
    if trimmed not in {"", user_id}:
        others.insert(1, pseudonyms(key, Kind.USER_ID, trimmed)[0])
    return [one for one in others if one != subject]


def _pseudonyms(key: SubjectKey, *, user_id: str | None, email: str | None) -> list[str]:
    by_id = [] if user_id is None else pseudonyms(key, Kind.USER_ID, user_id)[:1]
    by_email = [] if not (email or "").strip() else pseudonyms(key, Kind.EMAIL, email or "")[:1]
    return by_id + by_email
