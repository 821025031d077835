"""What the record says about one person, who is known only by pseudonym. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select

from forge_gdpr.audit.events import EventName
from forge_gdpr.audit.history import ENDS, used_keys
from forge_gdpr.database.tables import audit_events
from forge_gdpr.desk.finding import of_person
from forge_gdpr.lifecycle import Status
from forge_gdpr.outcomes import ERASED, name_of, state_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from forge_gdpr.pseudonyms import Keyring

_E = audit_events.c


#: What is said where nobody is found by e-mail.
NO_ADDRESS: Final = (
    "no request named this address; a request by user id alone does not keep an address: ask with"
    " --user-id"
)
#: What is said where somebody is found by e-mail, and nobody was erased so.
MORE_BY_ID: Final = (
    "a request by user id alone does not keep an address and is not found by it: ask with"
    " --user-id, too"
)
OPEN: Final = "open"
_STATUSES: Final = {
    EventName.REQUEST_CANCELLED: Status.CANCELLED,
    EventName.REQUEST_REFUSED: Status.REFUSED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One request of the person."""

    request_id: int
    answer: str = OPEN  #: for machines
    name: str = OPEN  #: for people
    outcome: str | None = None
    closed_at: datetime | None = None

    @property
    def line(self) -> str:
        """What it says for people."""
        if self.closed_at is None:
            return f"{self.name}: request {self.request_id}"
        return f"{self.name}: request {self.request_id}, {self.closed_at:%Y-%m-%d %H:%M} UTC"

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "request_id": self.request_id,
            "answer": self.answer,
            "outcome": self.outcome,
            "closed_at": None if self.closed_at is None else self.closed_at.isoformat(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """All that is known of the person."""

    found: Sequence[Found]
    retired: Sequence[str]  #: key ids of the record that are not live: under them nobody is found
    by_email: bool  #: how the person was asked for

    @property
    def advice(self) -> str | None:
        """What the answer can't know, and what to ask instead; None: nothing."""
        if not self.by_email or any(one.answer == ERASED for one in self.found):
            return None
        return MORE_BY_ID if self.found else NO_ADDRESS


def known_of(
    connection: Connection, keys: Keyring, *, user_id: str | None, email: str | None
) -> Known:
    """Return what became of a person's requests, under every live key.

    Args:
        connection: in a reading transaction.
        keys: that are live.
        user_id: the person's id at Forge, or None.
        email: else their e-mail.
    """
    ids = of_person(connection, keys, user_id=user_id, email=email)
    rows = connection.execute(
        select(_E.request_id, _E.event, _E.outcome, _E.at).where(
            _E.request_id.in_(ids), _E.event.in_(ENDS)
        )
    )
    closed = {
        row.request_id: _closed(row.request_id, row.event, row.outcome, row.at) for row in rows
    }
    return Known(
        found=[closed.get(one) or Found(request_id=one) for one in ids],
        retired=sorted(one for one in used_keys(connection) if not keys.has(one)),
        by_email=user_id is None,
    )


def _closed(request_id: int, event: str, outcome: str | None, at: datetime) -> Found:
    end = _STATUSES.get(EventName(event), outcome)
    return Found(
        request_id=request_id,
        answer=state_of(end),
        name=name_of(end),
        outcome=outcome,
        closed_at=at,
    )
