"""Whom a request means at Forge. Decides only; does no I/O.

Forge's list of users is read once a run, for those whom the run asks for. Here it answers two
questions: which id has this e-mail, and does this id have that e-mail.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from forge_gdpr.identifiers import (
    DEFAULT_PATTERN,
    canonical_email,
    canonical_user_id,
    folded_email,
    is_readable_email,
    user_id_fault,
)
from forge_gdpr.lifecycle import Outcome, Reason

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Target:
    """The one Forge user a request means."""

    user_id: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Settled:
    """No call is made: the request ends in ``outcome`` as it is."""

    outcome: Outcome
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Later:
    """Nothing can be said tonight: the list was not asked for this person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdRules:
    """What an id must be, and whose is never deleted."""

    pattern: re.Pattern[str] = DEFAULT_PATTERN
    sentinel: str | None = field(default=None, repr=False)

    def objection(self, user_id: str) -> Settled | None:
        """Return why an id is never sent; None if it may be."""
        if user_id_fault(user_id, self.pattern) is not None:
            return Settled(Outcome.INVALID_USER_ID)
        if self.sentinel is not None and canonical_user_id(user_id) == canonical_user_id(
            self.sentinel
        ):
            return Settled(Outcome.INVALID_USER_ID, Reason.SENTINEL)
        return None


DEFAULT_RULES: Final = IdRules()


class Directory:
    """What Forge's whole list says about some people. Holds them and nobody else."""

    def __init__(self, *, user_ids: Iterable[str] = (), emails: Iterable[str] = ()) -> None:
        """Prepare to look for these ids and addresses; what is no address is left out."""
        self._ids = frozenset(map(canonical_user_id, user_ids))
        self._holders: dict[str, list[str]] = {}
        self._near: dict[str, list[str]] = {}
        for email in emails:
            canonical = canonical_email(email)
            if canonical is not None:
                self._holders[canonical] = []
                self._near[folded_email(canonical)] = []
        self._listed: dict[str, str | None] = {}
        self.users = 0
        self.without_email = 0

    def note(self, user_id: str, email: str | None) -> None:
        """Take a user of the list; None: the entry shows nothing in place of an address."""
        self.users += 1
        user_id = canonical_user_id(user_id)
        if user_id in self._ids:
            self._listed[user_id] = None if email is None else canonical_email(email)
        if email is None or not is_readable_email(email):
            self.without_email += 1
        if email is not None and self._near:
            near = self._near.get(folded_email(email))
            if near is not None:
                near.append(user_id)
                holders = self._holders.get(canonical_email(email) or "")
                if holders is not None:
                    holders.append(user_id)

    def was_asked(self, *, user_id: str | None, email: str) -> bool:
        """Say whether it was looked for these, so that silence about them says something."""
        return email in self._holders and (
            user_id is None or canonical_user_id(user_id) in self._ids
        )

    def __contains__(self, user_id: str) -> bool:
        """Say whether a user who was looked for is in the list."""
        return canonical_user_id(user_id) in self._listed

    def holders(self, email: str) -> list[str]:
        """Return the ids of all users with this canonical address."""
        return self._holders.get(email, [])

    def near(self, email: str) -> list[str]:
        """Return the ids of all users with this address but for case, Unicode or IDN form."""
        return self._near.get(folded_email(email), [])

    def listed(self) -> frozenset[str]:
        """Return the ids that were looked for and are in the list."""
        return frozenset(self._listed)


def identify(
    *,
    user_id: str | None,
    email: str | None,
    directory: Directory | None,
    rules: IdRules = DEFAULT_RULES,
) -> Target | Settled | Later:
    """Return whom a request means, or why nobody is to be deleted for it.

    With both id and e-mail, they must not belong to different users: an id that is unknown
    while somebody else has the e-mail is a typing error, not an absent person. If neither is
    known the id is called, so that Forge itself says 404.

    Args:
        user_id: the request's ``forge_user_id``.
        email: the request's ``email``.
        directory: what Forge's list says; None if it could not be had: then not tonight.
        rules: what an id must be.
    """
    if user_id is not None and (objection := rules.objection(user_id)) is not None:
        return objection
    if email is None or not email.strip():
        if user_id is None:
            return Settled(Outcome.INVALID_USER_ID, Reason.NO_IDENTIFIER)
        return Target(canonical_user_id(user_id))
    address = canonical_email(email)
    if address is None:
        return Settled(Outcome.INVALID_EMAIL)
    if directory is None or not directory.was_asked(user_id=user_id, email=address):
        return Later()
    if user_id is None:
        return _by_email(address, directory, rules)
    return _by_both(canonical_user_id(user_id), address, directory)


def _by_email(address: str, directory: Directory, rules: IdRules) -> Target | Settled:
    match directory.holders(address):
        case [holder]:
            return rules.objection(holder) or Target(holder)
        case [] if not directory.near(address):
            return Settled(Outcome.NOT_FOUND_BY_EMAIL)
        case _:
            return Settled(Outcome.AMBIGUOUS_EMAIL)


def _by_both(user_id: str, address: str, directory: Directory) -> Target | Settled:
    holders = directory.holders(address)
    if user_id in holders:
        return Target(user_id)
    if holders:
        return Settled(Outcome.IDENTITY_MISMATCH)
    near = directory.near(address)
    if user_id in near or (near and user_id not in directory):
        return Settled(Outcome.AMBIGUOUS_EMAIL)
    if user_id in directory:
        return Settled(Outcome.IDENTITY_MISMATCH)
    return Target(user_id)
