"""The users Forge holds. Values and a store; no I/O, no clock, no lock."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

_FIRST_NAMES: Final = ("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gita", "Hugo")
_LAST_NAMES: Final = ("Alder", "Birch", "Cedar", "Elm", "Fir", "Hazel", "Maple", "Oak", "Rowan")


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """One account at Forge."""

    id: str  #: what answers call ``_id``; 24 hex digits, unless a test chose something else
    name: str
    email: str


class DuplicateUserError(ValueError):
    """The id or the e-mail address belongs to a user already."""


def generated_user(number: int, *, seed: int = 0, account: int = 0) -> User:
    """Return user ``number``, counted from 0: always the same one for the same ``seed``.

    Name and address hold the number, hence are unique within an account. Accounts share no address
    and no id, and ids are unique over seeds too.

    Args:
        number: which user of the account.
        seed: as the sandbox was given it.
        account: 0 is the main account, 1 the first of the others, in the order they were given.
    """
    first = _FIRST_NAMES[number % len(_FIRST_NAMES)]
    last = _LAST_NAMES[number % len(_LAST_NAMES)]
    domain = f"account-{account}.example.org" if account else "example.org"
    return User(
        id=derived_id("user", seed, number, *_suffix(account)),
        name=f"{first} {last} {number}",
        email=f"{first}.{last}.{number}@{domain}".lower(),
    )


def derived_id(*parts: str | int) -> str:
    """Return 24 hex digits that depend on ``parts`` alone."""
    text = ":".join(str(part) for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


class Users:
    """The store of one account: unique ids, unique addresses, in the order in which they came."""

    def __init__(self, users: Iterable[User] = (), *, seed: int = 0, account: int = 0) -> None:
        self.revision = 0  #: rises with each change
        self._seed = seed
        self._account = account
        self._created = 0
        self._by_id: dict[str, User] = {}
        self._id_of_email: dict[str, str] = {}
        for user in users:
            self.add(user)

    def all(self) -> tuple[User, ...]:
        """Return every user."""
        return tuple(self._by_id.values())

    def find(self, user_id: str | None) -> User | None:
        """Return the user with this id, if there is one."""
        return None if user_id is None else self._by_id.get(user_id)

    def add(self, user: User) -> None:
        """Put a user with an id of the caller's choice.

        Raises:
            DuplicateUserError: the id or the address is taken.
        """
        if user.id in self._by_id:
            raise DuplicateUserError("A user with this id exists")
        if user.email in self._id_of_email:
            raise DuplicateUserError("A user with this email exists")
        self._by_id[user.id] = user
        self._id_of_email[user.email] = user.id
        self.revision += 1

    def create(self, *, name: str, email: str) -> User:
        """Make a user with a new id.

        Raises:
            DuplicateUserError: the address is taken.
        """
        user_id = derived_id("created", self._seed, self._created, *_suffix(self._account))
        user = User(id=user_id, name=name, email=email)
        self.add(user)
        self._created += 1
        return user

    def change(self, user: User, *, name: str, email: str) -> User:
        """Give an existing user another name and address.

        Raises:
            DuplicateUserError: the address is somebody else's.
        """
        if self._id_of_email.get(email, user.id) != user.id:
            raise DuplicateUserError("A user with this email exists")
        changed = replace(user, name=name, email=email)
        del self._id_of_email[user.email]
        self._id_of_email[email] = user.id
        self._by_id[user.id] = changed
        self.revision += 1
        return changed

    def remove(self, user: User) -> None:
        """Delete an existing user."""
        del self._by_id[user.id]
        del self._id_of_email[user.email]
        self.revision += 1


def _suffix(account: int) -> tuple[str | int, ...]:
    """Return what tells the ids of an account from those of the main one."""
    return ("account", account) if account else ()
