"""A plan: exactly which requests a run may delete, for a person to sign off.

Made by a dry run and carried out by a later run, which does these and no others, and refuses
when anything has changed since. It is sealed with the subject key, so nobody without it can make
or alter one; it holds pseudonyms and no person.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select

from forge_gdpr.chain import canonical, written_time
from forge_gdpr.database.tables import deletion_requests
from forge_gdpr.errors import GuardStoppedError
from forge_gdpr.pseudonyms import Kind, subject_of
from forge_gdpr.queue.admission import shown_regime
from forge_gdpr.queue.cells import cell
from forge_gdpr.strictjson import InvalidJsonError, is_time, value_in

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import Connection, Row

    from forge_gdpr.deadlines import LegalClock
    from forge_gdpr.pseudonyms import SubjectKey
    from forge_gdpr.queue.backlog import Due

_C = deletion_requests.c
_SELECT: Final = select(
    *(
        cell(name) if name == "approval" else _C[name]
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
            "approval",
        )
    )
)
_PAGE: Final = 500
_FORMAT: Final = "forge-gdpr plan 2"
#: As they began, also those that had no seal.
_ANY_FORMAT: Final = "forge-gdpr plan "
_SEALED: Final = "plan v2"  #: what a plan's seal is for
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

    def as_text(self, key: SubjectKey) -> str:
        """Return the plan's file: JSON with a line a request, so that two of them can be diffed.

        Args:
            key: that it is sealed with.
        """
        head = self._sealed() | {"seal": key.seal(_SEALED, canonical(self._sealed()))}
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

    def _sealed(self) -> dict[str, Any]:
        return self._said() | {"sha256": self.sha256}

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
            regime=shown_regime(row.regime),
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


def read(text: str, *, key: SubjectKey, max_age_h: float) -> Plan:
    """Return the plan in a file.

    Args:
        text: the file's.
        key: that it must be sealed with.
        max_age_h: an older one is not carried out.

    Raises:
        GuardStoppedError: it is no plan, or not sealed by this key as it stands.
    """
    try:
        said = value_in(text)
    except InvalidJsonError as error:
        raise _refused(f"it is no plan: {error}") from None
    name = said.get("format") if isinstance(said, dict) else None
    if not (isinstance(name, str) and name.startswith(_ANY_FORMAT)):
        raise _refused("it is no plan")
    if name != _FORMAT:
        raise _refused("another version of this program made it")
    seal = said.pop("seal", None)
    if not isinstance(seal, str) or not key.has_sealed(seal, _SEALED, canonical(said)):
        raise _refused("it was altered after it was made, or made under another subject key")
    plan = _plan_of(said, max_age_h)
    if plan is None or plan._sealed() != said:  # noqa: SLF001  # its own
        raise _refused("it is no plan")
    return plan


#: What each field of one of its requests must be.
_KINDS: Final[Mapping[str, type]] = {
    name: int if name == "id" else str for name in Planned.__dataclass_fields__
}


def _plan_of(said: Mapping[str, Any], max_age_h: float) -> Plan | None:
    """Return the plan that a file says, None if it says none."""
    made_at, base_url = said.get("made_at"), said.get("base_url")
    steps, requests = said.get("steps"), said.get("requests")
    if not (is_time(made_at) and isinstance(base_url, str) and isinstance(steps, list)):
        return None
    if not (isinstance(requests, list) and all(map(_is_planned, requests))):
        return None
    if len({request["id"] for request in requests}) < len(requests):
        return None
    return Plan(
        made_at=str(made_at),
        base_url=base_url,
        steps=tuple(steps),
        requests=tuple(Planned(**request) for request in requests),
        max_age_h=max_age_h,
    )


def _is_planned(request: object) -> bool:
    if not isinstance(request, dict):
        return False
    if {name: type(value) for name, value in request.items()} != _KINDS or request["id"] < 1:
        return False
    try:
        day: str = request["due_on"]
        return date.fromisoformat(day).isoformat() == day
    except ValueError:
        return False


def states(
    connection: Connection,
    request_ids: Collection[int],
    *,
    key: SubjectKey,
    noted: Mapping[int, str] = MappingProxyType({}),
) -> Mapping[int, str]:
    """Return the states of requests as they are now, by id, to be compared with a plan's.

    Args:
        connection: in a transaction; in the claim's, nobody can change them until it ends.
        request_ids: of requests that can be read.
        key: that the plan's states were made under.
        noted: user ids that this run itself has found by e-mail and written into rows.
    """
    rows = connection.execute(_SELECT.where(_C.id.in_(request_ids))).all()
    return {row.id: _state(row, key, noted=noted.get(row.id)) for row in rows}


def _compared(
    connection: Connection, page: Sequence[Planned], due: Due, key: SubjectKey
) -> list[tuple[Planned, str | None]]:
    ids = [planned.id for planned in page]
    rows = connection.execute(_SELECT.where(_C.id.in_(ids), due.condition)).all()
    states = {row.id: _state(row, key) for row in rows}
    return [(planned, states.get(planned.id)) for planned in page]


def _state(row: Row[Any], key: SubjectKey, *, noted: str | None = None) -> str:
    seen = {
        "id": row.id,
        "user_id": None if row.forge_user_id == noted else row.forge_user_id,
        "email": row.email,
        "reference": row.reference,
        "regime": row.regime,
        "received_at": written_time(row.received_at),
        "not_before": None if row.not_before is None else written_time(row.not_before),
        "attempts": row.attempts,
        "approved_by": row.approved_by,
        "approval": row.approval,
    }
    return key.subject(Kind.STATE, json.dumps(seen, sort_keys=True))


def _subject(row: Row[Any], key: SubjectKey) -> str:
    return subject_of(key, request_id=row.id, user_id=row.forge_user_id, email=row.email)


def _refused(why: str) -> GuardStoppedError:
    return GuardStoppedError(
        f"the plan is not carried out: {why}; make a new one with"
        " 'forge-gdpr run --dry-run --plan FILE'"
    )
