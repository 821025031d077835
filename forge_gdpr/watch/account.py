"""What Forge shows of the account that the API key reaches, for `doctor`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from forge_gdpr.absence import account_proof
from forge_gdpr.audit.history import has_erased
from forge_gdpr.database.engine import now as database_now
from forge_gdpr.database.engine import reading
from forge_gdpr.errors import ExitCode, ForgeGdprError
from forge_gdpr.identity import Directory
from forge_gdpr.queue import backlog
from forge_gdpr.retries import http_date
from forge_gdpr.watch.checks import compared
from forge_gdpr.watch.findings import Finding, failure, warning

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from sqlalchemy import Engine

    from forge_gdpr.absence import Account
    from forge_gdpr.forge.client import ForgeClient
    from forge_gdpr.forge.userlist import ListedUser, UserList

#: So many ids that requests name are looked for.
_NAMED: Final = 10_000
#: Certificates that renew themselves are renewed earlier than so many days before their end.
_RENEWAL_DAYS: Final = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What is looked for in the account, and what the record says of it."""

    account: Account
    sentinel: str | None = field(default=None, repr=False)
    due_ids: Sequence[str] = field(default=(), repr=False)
    named_ids: Sequence[str] = field(default=(), repr=False)
    erased_before: bool = False


def expected(engine: Engine, account: Account, *, sentinel: str | None) -> Expected:
    """Return what of this database should be in the account."""
    with reading(engine) as connection:
        due = backlog.Due(now=database_now(connection))
        return Expected(
            account=account,
            sentinel=sentinel,
            due_ids=backlog.due_user_ids(connection, due, most=_NAMED),
            named_ids=backlog.named_user_ids(connection, account.keys, most=_NAMED),
            erased_before=has_erased(connection, account.fingerprints),
        )


def forge(
    client: ForgeClient, expectation: Expected | None, *, now: Callable[[], datetime]
) -> list[Finding]:
    """See whether key, host, path and account are right, by one list; and compare the clocks.

    Args:
        client: of the account.
        expectation: what should be in it; None: the database can't say.
        now: this machine's clock.
    """
    directory = Directory()

    def taker() -> Callable[[ListedUser], None]:
        nonlocal directory
        directory = Directory(user_ids=_looked_for(expectation))
        return lambda user: directory.note(user.id, user.email)

    try:
        users = client.read_users(taker)
    except ForgeGdprError as error:
        return [failure("forge", str(error), error.exit_code)]
    date = http_date(users.date)
    return [
        Finding(name="forge", said=f"accepts the key and has {users.users} users"),
        _wholeness(users),
        *([] if expectation is None else [_account(directory, expectation)]),
        warning("forge clock", "Forge's answer has no readable Date")
        if date is None
        else compared("forge clock", date, now(), "Forge's"),
    ]


def certificate(ends_at: datetime | None, *, now: datetime) -> Finding:
    """Say how long the server's certificate is valid; that it is trusted, the list has shown."""
    name = "forge certificate"
    if ends_at is None:
        return warning(name, "it can't be read: see whether the server is up, then look again")
    days = (ends_at - now) // timedelta(days=1)
    said = f"valid for {days} more days, until {ends_at:%Y-%m-%d %H:%M} UTC"
    if days < _RENEWAL_DAYS:
        return warning(name, f"{said}: ask whoever runs the server when it is renewed")
    return Finding(name=name, said=said)


def _looked_for(expectation: Expected | None) -> list[str]:
    if expectation is None:
        return []
    sentinel = expectation.sentinel
    watched = [] if sentinel is None else [sentinel]
    return [*expectation.due_ids, *expectation.named_ids, *watched]


def _wholeness(users: UserList) -> Finding:
    """Say whether absence can be concluded from Forge's list."""
    if users.partial is not None:
        return warning(
            "forge list",
            f"it is not whole: {users.partial}; so nobody is closed as absent by it, and"
            " requests with an e-mail wait",
        )
    if users.without_email:
        return warning(
            "forge list",
            f"{users.without_email} of its {users.users} users show no e-mail: as long as they"
            " don't, no request is closed because nobody has its address",
        )
    return Finding(name="forge list", said="whole")


def _account(directory: Directory, expectation: Expected) -> Finding:
    """Say whether anything shows that the account is ours."""
    sentinel = expectation.sentinel
    proof = account_proof(
        users=directory.users,
        sentinel=None if sentinel is None else sentinel in directory,
        erased_before=expectation.erased_before,
        listed=any(user_id in directory for user_id in expectation.named_ids),
    )
    here = sum(user_id in directory for user_id in expectation.due_ids)
    said = (
        f"{here} of {len(expectation.due_ids)} due requests by user id are in it"
        f" (key {expectation.account.short})"
    )
    if sentinel is not None and sentinel not in directory:
        return failure(
            "account",
            f"{said}; FORGE_GDPR_SENTINEL_USER_ID is not: check FORGE_GDPR_API_KEY",
            ExitCode.GUARD_STOPPED,
        )
    if proof is None:
        return warning(
            "account",
            f"{said}; nothing shows that it is yours: make a user of your own with 'forge-gdpr"
            " users create' and set FORGE_GDPR_SENTINEL_USER_ID",
        )
    return Finding(name="account", said=f"{said}; shown to be yours: {proof.value}")
