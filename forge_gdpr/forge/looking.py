"""Looking again: is somebody whom a 404 called absent really not at Forge? HTTP only.

A 404 alone says nothing: a gateway, a wrong path or another account's key answer it to everybody.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from forge_gdpr.answers import Verdict, judge_presence
from forge_gdpr.errors import ForgeUnavailableError
from forge_gdpr.forge.client import FailedTryError
from forge_gdpr.identity import Directory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from forge_gdpr.forge.client import ForgeClient
    from forge_gdpr.forge.userlist import ListedUser

#: So many users are looked for one by one between two looks at the sentinel.
_GROUP: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Who is looked for; nobody is in its ``repr``."""

    absent_ids: Sequence[str] = field(default=(), repr=False)  #: Forge answered 404 for them
    emails: Sequence[str] = field(default=(), repr=False)  #: nobody had them
    named_ids: Sequence[str] = field(default=(), repr=False)  #: other users that requests name


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What was seen. Nobody is in its ``repr``."""

    directory: Directory | None = field(default=None, repr=False)  #: None: no whole list
    no_list: str | None = None  #: why there is none
    sentinel: bool | None = None  #: whether it is there; None: there is none, or nobody could look
    looked_for: bool = False  #: one by one, between two good answers for the sentinel
    present: frozenset[str] = field(default=frozenset(), repr=False)
    unclear: frozenset[str] = field(default=frozenset(), repr=False)  #: no clear answer for them

    @property
    def paths_work(self) -> bool:
        """Whether Forge showed that its paths work, after the last 404."""
        return self.directory is not None or self.looked_for


def read_directory(
    client: ForgeClient, *, user_ids: Sequence[str] = (), emails: Sequence[str] = ()
) -> Directory:
    """Read Forge's list and return what it says about these people.

    Raises:
        ForgeUnavailableError: it can't be had, or is not whole.
        KeyRefusedError: Forge refuses the key.
        HaltedError: no call may be made in this run any more.
    """
    directory = Directory()

    def taker() -> Callable[[ListedUser], None]:
        nonlocal directory
        directory = Directory(user_ids=user_ids, emails=emails)
        return lambda user: directory.note(user.id, user.email)

    client.read_users(taker).require_whole()
    return directory


def look(client: ForgeClient, question: Question, *, sentinel: str | None) -> Sight:
    """Look for people in Forge's whole list; without one, one by one beside the sentinel.

    Raises:
        KeyRefusedError: Forge refuses the key.
        HaltedError: no call may be made in this run any more.
    """
    watched = [] if sentinel is None else [sentinel]
    try:
        directory = read_directory(
            client,
            user_ids=[*question.absent_ids, *question.named_ids, *watched],
            emails=question.emails,
        )
    except ForgeUnavailableError as error:
        if sentinel is None:
            return Sight(no_list=str(error))
        return _one_by_one(client, question.absent_ids, sentinel, no_list=str(error))
    absent = {user_id for user_id in question.absent_ids if user_id in directory}
    return Sight(
        directory=directory,
        sentinel=None if sentinel is None else sentinel in directory,
        present=frozenset(absent),
    )


def is_there(client: ForgeClient, user_id: str) -> bool | None:
    """Say whether Forge shows this user; None if its answer says neither.

    Raises:
        HaltedError: no call may be made in this run any more.
    """
    try:
        reply = client.call("GET", "user", user_id)
    except FailedTryError:
        return None
    match judge_presence(reply, user_id):
        case None:
            return True
        case Verdict.ABSENT:
            return False
        case _:
            return None


def _one_by_one(client: ForgeClient, ids: Sequence[str], sentinel: str, *, no_list: str) -> Sight:
    present: set[str] = set()
    unclear: set[str] = set()
    there = is_there(client, sentinel)
    for start in range(0, len(ids), _GROUP):
        if there is not True:
            break
        group = ids[start : start + _GROUP]
        seen = {user_id: is_there(client, user_id) for user_id in group}
        present |= {user_id for user_id, is_there in seen.items() if is_there}
        unclear |= {user_id for user_id, is_there in seen.items() if is_there is None}
        there = is_there(client, sentinel)
    return Sight(
        no_list=no_list,
        sentinel=there,
        looked_for=there is True,
        present=frozenset(present),
        unclear=frozenset(unclear),
    )
