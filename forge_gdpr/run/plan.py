"""A plan: exactly which requests a run may delete, for a person to sign off.

Made by a dry run and carried out by a later run, which does these and no others, and refuses
when anything has changed since. It holds pseudonyms and no person.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select

from forge_gdpr.chain import canonical, written_time
from forge_gdpr.database.tables import deletion_requests
from forge_gdpr.errors import GuardStoppedError
from forge_gdpr.pseudonyms import Kind, subject_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Row

    from forge_gdpr.deadlines import LegalClock
    from forge_gdpr.pseudonyms import SubjectKey
    from forge_gdpr.queue.backlog import Due

_C = deletion_requests.c
_SELECT: Final = select(
    *(
        _C[name]
        for name in (
            "id",
            "forge_user_id",
            "email",
            "reference",
            "regime",
            "received_at",
            "not_before",
            "due_on",
            "subject",
            "attempts",
            "approved_by",
        )
    )
)
_PAGE: Final = 500
_FORMAT: Final = "forge-gdpr plan 1"
#: So many requests are named when they have changed.
_NAMED: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One request of a plan."""

    id: int
    subject: str
    regime: str
    due_on: str
    state: str  #: a keyed hash of all that the plan depends on: it names nobody


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What may be done, where, and how."""

    made_at: str
    base_url: str
    steps: Sequence[str]
    requests: Sequence[Planned]
    max_age_h: float = 24.0

    @property
    def ids(self) -> list[int]:
        """The requests, in the order of work."""
        return [one.id for one in self.requests]

    @property
    def sha256(self) -> str:
        """The hash of all the plan says, as 64 hex digits."""
        return hashlib.sha256(canonical(self._said()).encode()).hexdigest()

    def as_text(self) -> str:
        """Return the plan's file: JSON with a line a request, so that two of them can be diffed."""
        head = self._said() | {"sha256": self.sha256}
        requests = head.pop("requests")
        lines = [f"  {json.dumps(name)}: {json.dumps(value)}," for name, value in head.items()]
        rows = ",\n".join(f"    {json.dumps(one)}" for one in requests)
        return "\n".join(["{", *lines, '  "requests": [', *([rows] if rows else []), "  ]", "}\n"])

    def require_unchanged(self, connection: Connection, due: Due, *, key: SubjectKey) -> None:
        """Refuse when the plan is too old, or any of its requests is not as it was.

        Raises:
            GuardStoppedError: it is; make a new plan.
        """
        age = due.now - datetime.fromisoformat(self.made_at)
        if not timedelta() <= age <= timedelta(hours=self.max_age_h):
            raise _refused(f"it was made at {self.made_at}, over {self.max_age_h:g} h ago")
        changed = [
            planned.id
            for start in range(0, len(self.requests), _PAGE)
            for planned, state in _compared(
                connection, self.requests[start : start + _PAGE], due, key
            )
            if planned.state != state
        ]
        if changed:
            named = ", ".join(str(one) for one in changed[:_NAMED])
            more = ", ..." if len(changed) > _NAMED else ""
            raise _refused(
                f"{len(changed)} of its {len(self.requests)} requests are not as they were"
                f" ({named}{more})"
            )

    def require_same(self, *, base_url: str, steps: Sequence[str]) -> None:
        """Refuse when the settings would do something else than was signed off.

        Raises:
            GuardStoppedError: they would.
        """
        if self.base_url != base_url:
            raise _refused(f"it is for {self.base_url}, and FORGE_GDPR_BASE_URL is {base_url}")
        if list(self.steps) != list(steps):
            raise _refused(f"its steps are {', '.join(self.steps)}, not {', '.join(steps)}")

    def _said(self) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "made_at": self.made_at,
            "base_url": self.base_url,
            "steps": list(self.steps),
            "count": len(self.requests),
            "requests": [asdict(one) for one in self.requests],
        }


def made(
    connection: Connection,
    due: Due,
    *,
    key: SubjectKey,
    legal: LegalClock,
    base_url: str,
    steps: Sequence[str],
) -> Plan:
    """Return the plan of all that is due, earliest deadline first.

    Args:
        connection: in a transaction; nothing is written.
        due: when a request is due.
        key: for the pseudonyms, and the hashes of what was seen.
        legal: for the dates of requests that no run has seen.
        base_url: where they would be deleted.
        steps: what a deletion consists of.
    """
    rows = connection.execute(_SELECT.where(due.condition)).all()
    planned = [
        Planned(
            id=row.id,
            subject=row.subject or _subject(row, key),
            regime=row.regime,
            due_on=(row.due_on or legal.due_on(row.regime, row.received_at)).isoformat(),
            state=_state(row, key),
        )
        for row in rows
    ]
    return Plan(
        made_at=written_time(due.now),
        base_url=base_url,
        steps=tuple(steps),
        requests=tuple(sorted(planned, key=lambda one: (one.due_on, one.id))),
    )


def read(text: str, *, max_age_h: float) -> Plan:
    """Return the plan in a file.

    Raises:
        GuardStoppedError: it is no plan, or was altered.
    """
    try:
        said = json.loads(text)
        plan = Plan(
            made_at=str(said["made_at"]),
            base_url=str(said["base_url"]),
            steps=tuple(said["steps"]),
            requests=tuple(Planned(**one) for one in said["requests"]),
            max_age_h=max_age_h,
        )
        intact = said.pop("sha256") == plan.sha256 and said == plan._said()  # noqa: SLF001  # its own
        datetime.fromisoformat(plan.made_at)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise _refused("it is no plan") from None
    if not intact:
        raise _refused("it was altered after it was made")
    return plan


def _compared(
    connection: Connection, page: Sequence[Planned], due: Due, key: SubjectKey
) -> list[tuple[Planned, str | None]]:
    ids = [planned.id for planned in page]
    rows = connection.execute(_SELECT.where(_C.id.in_(ids), due.condition)).all()
    states = {row.id: _state(row, key) for row in rows}
    return [(planned, states.get(planned.id)) for planned in page]


def _state(row: Row[Any], key: SubjectKey) -> str:
    seen = {
        "id": row.id,
        "user_id": row.forge_user_id,
        "email": row.email,
        "reference": row.reference,
        "regime": row.regime,
        "received_at": written_time(row.received_at),
        "not_before": None if row.not_before is None else written_time(row.not_before),
        "attempts": row.attempts,
        "approved_by": row.approved_by,
    }
    return key.subject(Kind.STATE, json.dumps(seen, sort_keys=True))


def _subject(row: Row[Any], key: SubjectKey) -> str:
    return subject_of(key, request_id=row.id, user_id=row.forge_user_id, email=row.email)


def _refused(why: str) -> GuardStoppedError:
    return GuardStoppedError(
        f"the plan is not carried out: {why}; make a new one with"
        " 'forge-gdpr run --dry-run --plan FILE'"
    )
