"""The runs of a period and what they were allowed beyond the guards, from the main chain alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, time
from enum import StrEnum
from signal import Signals
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Integer, case, cast, func, null, select, true

from forge_gdpr.audit.events import MAIN, EventName
from forge_gdpr.database.tables import audit_events
from forge_gdpr.errors import ExitCode
from forge_gdpr.reports.bodies import number, said, told

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from sqlalchemy import CTE, ColumnElement, Connection, Row

#: Up to so many runs are all listed; of more, those that did not finish.
FEW: Final = 40
#: More lines than this nobody reads: the newest are listed, the others counted.
MOST: Final = 1000
#: A run that ends with one of these did its work.
FINISHED: Final = (ExitCode.OK, ExitCode.NEEDS_REVIEW, ExitCode.DEADLINE_AT_RISK)
_SIGNAL: Final = 128

_E: Final = audit_events.c


class Ended(StrEnum):
    """How a run ended."""

    FINISHED = "finished"
    STOPPED = "stopped"  #: by a guard, a signal, a failure; it closed itself
    CRASHED = "crashed"  #: it died; another run closed it
    NOT_CLOSED = "not closed"  #: it is still at work, or died and no other has looked yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run, as its opening and its closing tell it."""

    run_id: str
    ended: Ended
    actor: str | None
    opened_at: datetime
    closed_at: datetime | None
    claimed: int | None  #: None: it does not say
    outcomes: Mapping[str, int]
    exit_code: int | None
    stopped: str | None  #: why it stopped early

    @property
    def code_name(self) -> str:
        """The exit code and its name; empty if none is on record."""
        return "" if self.exit_code is None else code_name(self.exit_code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """Somebody let a run start that a guard would have stopped."""

    at: datetime
    actor: str | None
    run_id: str | None
    guard: str
    due: int | None
    allowed: int | None
    reason: str | None  #: a code


@dataclass(frozen=True, slots=True, kw_only=True)
class Nights:
    """The runs that were opened in a period, newest first, and the overridden guards."""

    ended: Mapping[Ended, int]  #: all of Ended are there
    finished: Mapping[int, int]  #: those that finished, by exit code
    listed: Sequence[Run]  #: all of them if they are few, else those that did not finish
    overridden: int
    overrides: Sequence[Override]

    @property
    def runs(self) -> int:
        """How many there were."""
        return sum(self.ended.values())

    @property
    def lists_all(self) -> bool:
        """Whether those that finished are listed, too."""
        return self.runs <= FEW

    @property
    def missing(self) -> int:
        """How many of those that did not finish are too old to be listed."""
        failed = self.runs - self.ended[Ended.FINISHED]
        return 0 if self.lists_all else failed - len(self.listed)


def code_name(code: int) -> str:
    """Return an exit code with its name: ``0 OK``, ``143 SIGTERM``."""
    names = {_SIGNAL + signal.value: signal.name for signal in Signals}
    names |= {own.value: own.name for own in ExitCode}
    return f"{code} {names.get(code, '')}".rstrip()


def nights(connection: Connection, *, since: date, until: date) -> Nights:
    """Return the runs that were opened from ``since`` to ``until``, both included, UTC."""
    found = _runs(since, until)
    ended = dict.fromkeys(Ended, 0)
    finished: dict[int, int] = {}
    kinds = select(found.c.ended, found.c.exit_code, func.count().label("runs")).group_by(
        found.c.ended, found.c.exit_code
    )
    for row in connection.execute(kinds):
        ended[Ended(row.ended)] += row.runs
        if row.ended == Ended.FINISHED:
            finished[row.exit_code] = row.runs
    listed = select(found).order_by(found.c.opened_at.desc(), found.c.run_id).limit(MOST)
    if sum(ended.values()) > FEW:
        listed = listed.where(found.c.ended != Ended.FINISHED.value)
    of_guards = (_E.chain == MAIN, _E.event == EventName.GUARD_OVERRIDDEN.value)
    overrides = (
        select(
            _E.at,
            _E.actor,
            _E.run_id,
            said(_E.body, "guard").label("guard"),
            number(_E.body, "due").label("due"),
            number(_E.body, "allowed").label("allowed"),
            said(_E.body, "reason").label("reason"),
            func.count().over().label("overridden"),
        )
        .where(*of_guards, *_within(_E.at, since, until))
        .order_by(_E.id.desc())
        .limit(MOST)
    )
    rows = connection.execute(overrides).all()
    return Nights(
        ended=ended,
        finished=dict(sorted(finished.items())),
        listed=tuple(_run(row) for row in connection.execute(listed)),
        overridden=rows[0].overridden if rows else 0,
        overrides=tuple(_override(row) for row in rows),
    )


def _runs(since: date, until: date) -> CTE:
    """One row a run: its opening, and what its closing says."""
    opened, closed = audit_events.alias("opened"), audit_events.alias("closed")
    events = {EventName.RUN_OPENED.value: "opened_id", EventName.RUN_CLOSED.value: "closed_id"}
    pairs = (
        select(
            *(
                func.min(case((_E.event == event, _E.id), else_=null())).label(name)
                for event, name in events.items()
            )
        )
        .where(_E.chain == MAIN, _E.event.in_(events))
        .group_by(_E.run_id)
        .subquery("pairs")
    )
    stopped = said(closed.c.body, "stopped")
    recovered = told(closed.c.body, "recovered").is_not_distinct_from(true())
    # A guard's verdict closes a run before it has figures.
    exit_code = case(
        (stopped == "guard", cast(ExitCode.GUARD_STOPPED.value, Integer)),
        else_=number(closed.c.body, "exit_code"),
    )
    ended = case(
        (closed.c.id.is_(None), Ended.NOT_CLOSED.value),
        (recovered, Ended.CRASHED.value),
        (exit_code.in_([code.value for code in FINISHED]), Ended.FINISHED.value),
        else_=Ended.STOPPED.value,
    )
    return (
        select(
            opened.c.run_id,
            opened.c.actor,
            opened.c.at.label("opened_at"),
            closed.c.at.label("closed_at"),
            number(closed.c.body, "claimed").label("claimed"),
            said(closed.c.body, "outcomes").label("outcomes"),
            exit_code.label("exit_code"),
            stopped.label("stopped"),
            ended.label("ended"),
        )
        .select_from(pairs)
        .join(opened, opened.c.id == pairs.c.opened_id)
        .outerjoin(closed, closed.c.id == pairs.c.closed_id)
        .where(*_within(opened.c.at, since, until))
        .cte("runs_of_period")
    )


def _within(at: ColumnElement[Any], since: date, until: date) -> list[ColumnElement[bool]]:
    first = datetime.combine(since, time.min, UTC)
    last = datetime.combine(until, time.max, UTC)
    return [at >= first, at <= last]


def _run(row: Row[Any]) -> Run:
    return Run(
        run_id=row.run_id,
        ended=Ended(row.ended),
        actor=row.actor,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
        claimed=row.claimed,
        outcomes={} if row.outcomes is None else json.loads(row.outcomes),
        exit_code=row.exit_code,
        stopped=row.stopped,
    )


def _override(row: Row[*tuple[Any, ...]]) -> Override:
    return Override(
        at=row.at,
        actor=row.actor,
        run_id=row.run_id,
        guard=row.guard,
        due=row.due,
        allowed=row.allowed,
        reason=row.reason,
    )
