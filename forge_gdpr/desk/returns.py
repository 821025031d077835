"""Whose request is closed and who is at Forge again. Decides only; does no I/O.

The record knows people by pseudonym only, so Forge's users are pseudonymised and looked for in
it. What is held here grows with Forge's users, however long the record is.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from forge_gdpr.lifecycle import Outcome
from forge_gdpr.pseudonyms import Kind, pseudonyms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from forge_gdpr.pseudonyms import SubjectKey

#: Outcomes after which the person was not at Forge. The last one says so of an address only:
#: no user had it, so no id is known, and who has it now is never more than a match by e-mail.
PROMISES: Final = frozenset(
    {
        Outcome.ERASED,
        Outcome.ABSENT_AFTER_ATTEMPT,
        Outcome.ALREADY_ABSENT,
        Outcome.NOT_FOUND_BY_EMAIL,
    }
)


class Match(StrEnum):
    """How somebody was found again."""

    USER_ID = "user_id"  #: the same account, which Forge's own id says: a restore
    EMAIL = "email"  #: the address under another id, or one the record does not know: perhaps anew


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """A request that ended with the person not at Forge, as the record has it."""

    request_id: int
    closed_at: datetime
    outcome: str
    subjects: tuple[str, ...]  #: the person's pseudonyms
    reference: str | None
    regime: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """Somebody who is back. Who it is at Forge is not in its ``repr``."""

    closing: Closing  #: the latest one
    match: Match
    times: int  #: how many requests for them were closed so
    user_id: str = field(repr=False)


class Presence:
    """Forge's users by pseudonym, and the closings that were found to be about one of them."""

    def __init__(self, users: Iterable[tuple[str, str]], keys: Sequence[SubjectKey]) -> None:
        """Pseudonymise ``(id, e-mail)`` pairs under every live key."""
        self._key_ids = frozenset(key.id for key in keys)
        self._by_id: dict[str, str] = {}
        self._by_email: defaultdict[str, list[str]] = defaultdict(list)
        self._returns: dict[tuple[Match, str], Return] = {}
        self.users = 0
        self.closings = 0
        self.unreadable = 0  #: closings under keys that are not live
        for user_id, email in users:
            self.users += 1
            for key in keys:
                for pseudonym in pseudonyms(key, Kind.USER_ID, user_id):
                    self._by_id[pseudonym] = user_id
                if email.strip():  # users without an e-mail are not found by one
                    for pseudonym in pseudonyms(key, Kind.EMAIL, email):
                        self._by_email[pseudonym].append(user_id)

    def note(self, closing: Closing) -> None:
        """Look whether a closing is about somebody who is there. In the record's order."""
        self.closings += 1
        if not any(_key_id(subject) in self._key_ids for subject in closing.subjects):
            self.unreadable += 1
            return
        for match, user_id in dict.fromkeys(self._found(closing)):
            before = self._returns.get((match, user_id))
            self._returns[match, user_id] = Return(
                closing=closing,
                match=match,
                times=1 if before is None else before.times + 1,
                user_id=user_id,
            )

    def returns(self) -> list[Return]:
        """Return who is back, one for each user: first by id, then by e-mail, oldest first."""
        by_id = {user_id for match, user_id in self._returns if match is Match.USER_ID}
        found = [
            one
            for (match, user_id), one in self._returns.items()
            if match is Match.USER_ID or user_id not in by_id
        ]
        return sorted(
            found, key=lambda one: (one.match is Match.EMAIL, one.closing.request_id, one.user_id)
        )

    def _found(self, closing: Closing) -> Iterator[tuple[Match, str]]:
        for subject in closing.subjects:
            if subject in self._by_id:
                yield Match.USER_ID, self._by_id[subject]
            for user_id in self._by_email.get(subject, ()):
                yield Match.EMAIL, user_id


def _key_id(subject: str) -> str:
    return subject.removeprefix("v1:").partition(":")[0]
