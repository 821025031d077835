"""What a run would do: a dry run's answer. Calls nobody and writes nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forge_gdpr.audit.history import earlier_dues
from forge_gdpr.database.engine import now as database_now
from forge_gdpr.database.engine import reading
from forge_gdpr.database.schema import require_current
from forge_gdpr.guards import RUNS, Night, guarded
from forge_gdpr.identity import Directory, Settled, identify
from forge_gdpr.queue import backlog

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from sqlalchemy import Engine

    from forge_gdpr.queue.backlog import Group
    from forge_gdpr.run.opening import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What tonight would bring."""

    as_of: datetime
    due: int
    groups: tuple[Group, ...]
    guard: str | None  #: why the run would not start
    checked: Mapping[str, int] | None  #: how many of the due Forge knows; None: nobody asked

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
        }


def preview(
    engine: Engine, limits: Limits, *, users: Iterable[tuple[str, str]] | None = None
) -> Preview:
    """Return what a run would do now, on a connection that the database keeps from writing.

    Args:
        engine: of a migrated database.
        limits: as the run would have them.
        users: Forge's users as ``(id, e-mail)``, to see which of the due exist.

    Raises:
        ConfigurationError: the database is not migrated.
        DatabaseError: it can't be read.
    """
    with reading(engine) as connection:
        require_current(connection)
        now = database_now(connection)
        due = limits.due(now)
        count = backlog.count_due(connection, due)
        groups = backlog.groups(connection, due)
        earlier = earlier_dues(connection, runs=RUNS)
        identifiers = [] if users is None else backlog.due_identifiers(connection, due)
    directory = None if users is None else Directory(users)
    known = None if directory is None else len(directory)
    verdict = guarded(Night(due=count, users=known, earlier=earlier), limits.bounds)
    return Preview(
        as_of=now,
        due=count,
        groups=tuple(groups),
        guard=verdict.stops,
        checked=None if directory is None else _checked(identifiers, directory),
    )


def _checked(
    due: Iterable[tuple[str | None, str | None]], directory: Directory
) -> Mapping[str, int]:
    found: Counter[str] = Counter()
    for user_id, email in due:
        match identify(user_id=user_id, email=email, directory=directory):
            case Settled(outcome=outcome):
                found[outcome.value] += 1
            case target:
                found["exists" if target.user_id in directory else "absent"] += 1
    return dict(sorted(found.items()))
