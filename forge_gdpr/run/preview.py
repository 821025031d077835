"""What a run would do: a dry run's answer. It writes nothing, and asks Forge only if told to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from forge_gdpr.absence import AccountProof, account_proof
from forge_gdpr.audit.history import earlier_dues, has_erased
from forge_gdpr.database.engine import now as database_now
from forge_gdpr.database.engine import reading
from forge_gdpr.database.schema import require_current
from forge_gdpr.guards import RUNS, Night, guarded
from forge_gdpr.identity import Directory, IdRules, Later, Settled, identify
from forge_gdpr.queue import backlog, holds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Engine

    from forge_gdpr.absence import Account
    from forge_gdpr.queue.backlog import Due, Group
    from forge_gdpr.run.opening import Limits

#: So many ids that requests name are looked for in the account.
_NAMED = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """How Forge is asked who of the due exists."""

    read: Callable[[Sequence[str], Sequence[str]], Directory]  #: of user ids and addresses
    account: Account
    ids: IdRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What the API key's account has to do with the due requests."""

    key: str  #: its fingerprint, for people
    users: int
    named: int  #: due requests that name a user id
    here: int  #: how many of those are in the account
    proof: AccountProof | None  #: what shows that it is ours

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "key": self.key,
            "users": self.users,
            "due_by_user_id": self.named,
            "of_these_in_account": self.here,
            "shown_to_be_ours_by": None if self.proof is None else self.proof.value,
        }

    @property
    def line(self) -> str:
        """The same for people, with what to do."""
        counted = (
            f"{self.here} of {self.named} due requests by user id are in this account"
            f" ({self.users} users, key {self.key})"
        )
        if self.proof is not None:
            return counted
        return (
            f"{counted}; nothing shows that it is yours, so a run closes nobody as absent: check"
            " FORGE_GDPR_API_KEY, or set FORGE_GDPR_SENTINEL_USER_ID"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What tonight would bring."""

    as_of: datetime
    due: int
    groups: tuple[Group, ...]
    guard: str | None  #: why the run would not start
    checked: Mapping[str, int] | None = None  #: how many of the due Forge knows; None: not asked
    reach: Reach | None = None  #: None: nobody asked
    reads_people: bool = True  #: if not, `person_held` is by pseudonym alone: it may be more

    def as_json(self) -> dict[str, Any]:
        """Return it for machines: the same figures as the table."""
        return {
            "as_of": self.as_of.isoformat(),
            "due": self.due,
            "requests": [
                {
                    "fate": group.fate,
                    "due_on": None if group.due_on is None else group.due_on.isoformat(),
                    "count": group.count,
                }
                for group in self.groups
            ],
            "guard": self.guard,
            "checked": None if self.checked is None else dict(self.checked),
            "account": None if self.reach is None else self.reach.as_json(),
        }


def preview(engine: Engine, limits: Limits, *, check: Check | None = None) -> Preview:
    """Return what a run would do now, on a connection that the database keeps from writing.

    Args:
        engine: of a migrated database.
        limits: as the run would have them.
        check: to ask Forge which of the due exist; None: nobody is asked.

    Raises:
        ConfigurationError: the database is not migrated.
        DatabaseError: it can't be read.
        ForgeUnavailableError: Forge's list can't be had, or is not whole.
    """
    with reading(engine) as connection:
        require_current(connection)
        now = database_now(connection)
        reads_people = holds.reads_people(connection)
        due = replace(limits.due(now), reads_people=reads_people)
        count = backlog.count_due(connection, due)
        groups = backlog.groups(connection, due)
        earlier = earlier_dues(connection, runs=RUNS)
        asked = None if check is None else _Asked.of(connection, due, check.account)
    directory = None
    if check is not None and asked is not None:
        directory = check.read(asked.user_ids(check.ids), asked.emails)
    users = None if directory is None else directory.users
    verdict = guarded(Night(due=count, users=users, earlier=earlier), limits.bounds)
    seen = Preview(
        as_of=now, due=count, groups=tuple(groups), guard=verdict.stops, reads_people=reads_people
    )
    if check is None or asked is None or directory is None:
        return seen
    return replace(
        seen,
        checked=_checked(asked.due, directory, check.ids),
        reach=asked.reach(directory, check),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """Whom a check asks for."""

    due: Sequence[tuple[str | None, str | None]]
    named: Sequence[str]
    erased_before: bool

    @classmethod
    def of(cls, connection: Connection, due: Due, account: Account) -> _Asked:
        return cls(
            due=backlog.due_identifiers(connection, due),
            named=backlog.named_user_ids(connection, account.keys, most=_NAMED),
            erased_before=has_erased(connection, account.fingerprints),
        )

    @property
    def due_ids(self) -> list[str]:
        return [user_id for user_id, _ in self.due if user_id]

    @property
    def emails(self) -> list[str]:
        return [email for _, email in self.due if email]

    def user_ids(self, ids: IdRules) -> list[str]:
        watched = [] if ids.sentinel is None else [ids.sentinel]
        return [*self.due_ids, *self.named, *watched]

    def reach(self, directory: Directory, check: Check) -> Reach:
        sentinel = check.ids.sentinel
        return Reach(
            key=check.account.short,
            users=directory.users,
            named=len(self.due_ids),
            here=sum(user_id in directory for user_id in self.due_ids),
            proof=account_proof(
                users=directory.users,
                sentinel=None if sentinel is None else sentinel in directory,
                erased_before=self.erased_before,
                listed=any(user_id in directory for user_id in self.named),
            ),
        )


def _checked(
    due: Iterable[tuple[str | None, str | None]], directory: Directory, ids: IdRules
) -> Mapping[str, int]:
    fates: Counter[str] = Counter()
    for user_id, email in due:
        match identify(user_id=user_id, email=email, directory=directory, rules=ids):
            case Settled(outcome=outcome):
                fates[outcome.value] += 1
            case Later():  # nothing was asked for that is not in the list's answer
                fates["unknown"] += 1
            case target:  # one that was found by e-mail is there
                is_there = user_id is None or target.user_id in directory
                fates["exists" if is_there else "absent"] += 1
    return dict(sorted(fates.items()))
