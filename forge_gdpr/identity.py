"""Whom a request means at Forge. Decides only; does no I/O.

The list of Forge's users is fetched once a run; here it answers two questions: which id has
this e-mail, and does this id have that e-mail.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forge_gdpr.identifiers import is_safe_user_id, normalised_email
from forge_gdpr.lifecycle import Outcome, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Target:
    """The one Forge user a request means."""

    user_id: str


@dataclass(frozen=True, slots=True)
class Settled:
    """No call is made: the request ends in ``outcome`` as it is."""

    outcome: Outcome
    reason: Reason | None = None


class Directory:
    """Forge's users by id and by normalised e-mail."""

    def __init__(self, users: Iterable[tuple[str, str]]) -> None:
        """Index ``(id, e-mail)`` pairs."""
        ids: dict[str, list[str]] = defaultdict(list)
        emails: dict[str, str] = {}
        for user_id, email in users:
            emails[user_id] = normalised_email(email)
        for user_id, known in emails.items():
            if known:  # users without an e-mail are not found by one
                ids[known].append(user_id)
        self._ids: Mapping[str, list[str]] = ids
        self._emails: Mapping[str, str] = emails

    def __contains__(self, user_id: str) -> bool:
        """Say whether Forge lists a user with this id."""
        return user_id in self._emails

    def __len__(self) -> int:
        """Return how many users Forge has."""
        return len(self._emails)

    def ids_of(self, email: str) -> list[str]:
        """Return the ids of all users with this e-mail."""
        return self._ids.get(normalised_email(email), [])

    def email_of(self, user_id: str) -> str | None:
        """Return a user's normalised e-mail, None if there is no such user."""
        return self._emails.get(user_id)


def identify(
    *, user_id: str | None, email: str | None, directory: Directory | None
) -> Target | Settled:
    """Return whom a request means, or why nobody is to be deleted for it.

    With both id and e-mail, they must not belong to different users: an id that is unknown
    while somebody else has the e-mail is a typing error, not an absent person. If neither is
    known the id is called, so that Forge itself says 404.

    Args:
        user_id: the request's ``forge_user_id``.
        email: the request's ``email``.
        directory: Forge's users; None if they are not at hand: then not tonight.
    """
    if user_id is not None and not is_safe_user_id(user_id):
        return Settled(Outcome.INVALID_USER_ID)
    if email is None or not email.strip():
        if user_id is None:
            return Settled(Outcome.INVALID_USER_ID, Reason.NO_IDENTIFIER)
        return Target(user_id)
    if directory is None:
        return Settled(Outcome.TRANSIENT)
    holders = directory.ids_of(email)
    if user_id is None:
        return _found(holders)
    if user_id in holders or (not holders and user_id not in directory):
        return Target(user_id)
    return Settled(Outcome.IDENTITY_MISMATCH)


def _found(holders: list[str]) -> Target | Settled:
    match holders:
        case []:
            return Settled(Outcome.NOT_FOUND_BY_EMAIL)
        case [only] if is_safe_user_id(only):
            return Target(only)
        case [_]:
            return Settled(Outcome.INVALID_USER_ID)
        case _:
            return Settled(Outcome.AMBIGUOUS_EMAIL)
