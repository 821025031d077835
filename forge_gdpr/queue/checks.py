"""What a new request must be: the same for one that is typed and for a line of a file.

Decides only; does no I/O. No message quotes what it is about: that names a person.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from forge_gdpr import actors
from forge_gdpr.deadlines import Regime
from forge_gdpr.errors import InvalidInputError, InvalidUserIdError
from forge_gdpr.identifiers import (
    canonical_email,
    canonical_user_id,
    email_fault,
    normalised_email,
    user_id_fault,
)

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping

LONGEST_REFERENCE: Final = 255

_REGIMES: Final = frozenset(r.value for r in Regime)
#: Clocks and time zones differ by less.
_AHEAD: Final = timedelta(days=1)
#: No law waits so long; a careless year would keep a request from ever being due.
_COOL_OFF: Final = timedelta(days=366)
#: A year of two digits, or of another calendar.
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_DATE_LENGTH: Final = len("2026-03-31")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRequest:
    """One request before it is in the table. The person is not in its ``repr``."""

    user_id: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    reference: str | None = field(default=None, repr=False)
    regime: str = Regime.GDPR.value
    received_at: datetime | None = None  #: None: now, by the database's clock
    not_before: datetime | None = None
    created_by: str | None = None  #: None: an application


def check(new: NewRequest, *, pattern: re.Pattern[str], now: datetime) -> None:
    """Refuse what is no request that a run could carry out.

    Args:
        new: its times aware.
        pattern: what a user id looks like.
        now: the database's clock.

    Raises:
        InvalidUserIdError: the id does not look like one.
        InvalidInputError: anything else is wrong.
    """
    if new.user_id is None and new.email is None:
        raise InvalidInputError("a request names a person: give a user id, an e-mail, or both")
    fault = None if new.user_id is None else user_id_fault(new.user_id, pattern)
    if fault is not None:
        raise InvalidUserIdError(f"wrong user id: {fault}")
    fault = None if new.email is None else email_fault(new.email)
    if fault is not None:
        raise InvalidInputError(f"wrong e-mail: {fault}")
    if new.reference is not None:
        _check_text("reference", new.reference, longest=LONGEST_REFERENCE)
    if new.regime not in _REGIMES:
        raise InvalidInputError(
            f"this regime is not known: write one of {', '.join(sorted(_REGIMES))}"
        )
    if new.created_by is not None:
        fault = actors.fault(new.created_by)
        if fault is not None:
            raise InvalidInputError(f"the actor {fault}")
    _check_time("received_at", new.received_at, latest=now + _AHEAD, said="in the future")
    _check_time("not_before", new.not_before, latest=now + _COOL_OFF, said="over a year ahead")


def request_in(cells: Mapping[str, str], *, created_by: str | None) -> NewRequest:
    """Return the request that a line of a file holds; `check` is yet to see it.

    Args:
        cells: what is given, by column; no empty ones.
        created_by: who imports it.

    Raises:
        InvalidInputError: there is no reference, or a time can't be read.
    """
    get = cells.get
    if "reference" not in cells:
        raise InvalidInputError(
            "there is no reference: without it an import can't be repeated safely"
        )
    email, received_at, not_before = get("email"), get("received_at"), get("not_before")
    return NewRequest(
        user_id=get("forge_user_id"),
        email=None if email is None else email.strip(),
        reference=cells["reference"].strip(),
        regime=get("regime", Regime.GDPR.value),
        received_at=None if received_at is None else _time("received_at", received_at),
        not_before=None if not_before is None else _time("not_before", not_before),
        created_by=created_by,
    )


def differences(new: NewRequest, old: NewRequest, *, closed: bool) -> list[str]:
    """Return in which columns ``new`` says something else than ``old`` of the same reference.

    What ``new`` does not give is not compared: its time was then the database's, its user id the
    run may have found out. Nor is what a closed request has forgotten.
    """
    differing = []
    mine, other = new.user_id or old.user_id or "", old.user_id or ""
    if not (closed and old.user_id is None) and canonical_user_id(mine) != canonical_user_id(other):
        differing.append("forge_user_id")
    mine, other = new.email or old.email or "", old.email or ""
    if not (closed and old.email is None) and _compared(mine) != _compared(other):
        differing.append("email")
    if new.regime != old.regime:
        differing.append("regime")
    if new.received_at not in {None, old.received_at}:
        differing.append("received_at")
    if new.not_before not in {None, old.not_before}:
        differing.append("not_before")
    return differing


def _compared(email: str) -> str:
    """Return an address as it is compared; an application may have inserted what is none."""
    return canonical_email(email) or normalised_email(email)


def _check_text(name: str, text: str, *, longest: int) -> None:
    if not text:
        raise InvalidInputError(f"the {name} is empty: leave it out, or write one")
    if len(text) > longest:
        raise InvalidInputError(f"the {name} is longer than {longest} characters: shorten it")
    if not text.isprintable():
        raise InvalidInputError(f"the {name} holds a control or an invisible character: remove it")


def _check_time(name: str, at: datetime | None, *, latest: datetime, said: str) -> None:
    if at is None:
        return
    if at > latest:
        raise InvalidInputError(f"{name} is {said}: check it")
    if at < _EARLIEST:
        raise InvalidInputError(f"{name} is before the year 2000: check it")


def _time(name: str, text: str) -> datetime:
    """Read a date, which is midnight UTC, or a time with its zone."""
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None and len(text) <= _DATE_LENGTH:
            return at.replace(tzinfo=UTC)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidInputError(
            f"{name} is no time: write 2026-03-31 or 2026-03-31T09:00:00Z"
        ) from None
    raise InvalidInputError(
        f"{name} has no time zone: write 2026-03-31T09:00:00Z, or only the date"
    )
