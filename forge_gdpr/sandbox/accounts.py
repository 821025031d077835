"""Which API key reaches which users. Values and a store; no I/O, no clock, no lock.

Test and production are one host at Forge and differ by key alone, so a wrong key is a valid key of
another account: what is there for one is not there for the other.
"""

from collections.abc import Mapping

from forge_gdpr.sandbox.users import DuplicateUserError, User, Users, generated_user


class UnknownKeyError(LookupError):
    """No account has this key."""

    def __init__(self) -> None:
        super().__init__("No account has this key")


class Accounts:
    """Every account under its keys. Ids are unique over all accounts, addresses within one."""

    def __init__(self, sizes: Mapping[str, int], *, seed: int = 0) -> None:
        """Make an account of so many generated users for each key; the first is the main account.

        Raises:
            ValueError: a key is not one that a header can carry.
        """
        self._by_key: dict[str, Users] = {}
        for account, (key, size) in enumerate(sizes.items()):
            made = (generated_user(number, seed=seed, account=account) for number in range(size))
            self._enter(key, Users(made, seed=seed, account=account))
        self.main = next(iter(self._by_key.values()))

    def find(self, key: str) -> Users | None:
        """Return the account that this key reaches, if it reaches one."""
        return self._by_key.get(key)

    def of(self, key: str | None) -> Users:
        """Return the account of a key; without a key the main account.

        Raises:
            UnknownKeyError: there is none.
        """
        users = self.main if key is None else self.find(key)
        if users is None:
            raise UnknownKeyError
        return users

    def add(self, user: User, *, key: str | None = None) -> None:
        """Put a user into an account.

        Raises:
            UnknownKeyError: no account has this key.
            DuplicateUserError: an account has the id, or this account has the address.
        """
        users = self.of(key)
        if any(account.find(user.id) for account in self._by_key.values()):
            raise DuplicateUserError("A user with this id exists")
        users.add(user)

    def add_key(self, key: str, *, like: str | None = None) -> None:
        """Let a new key reach the account of another, as when a key is rotated.

        Raises:
            UnknownKeyError: no account has the key ``like``.
            ValueError: the key is taken, or not one that a header can carry.
        """
        self._enter(key, self.of(like))

    def remove_key(self, key: str) -> None:
        """Let a key reach nothing any more.

        Raises:
            UnknownKeyError: it reaches nothing already.
        """
        self.of(key)
        del self._by_key[key]

    def _enter(self, key: str, users: Users) -> None:
        if not key or not key.isascii() or not key.isprintable() or key != key.strip():
            raise ValueError("An API key consists of printable ASCII characters")
        if key in self._by_key:
            raise ValueError("An account has this key already")
        self._by_key[key] = users
