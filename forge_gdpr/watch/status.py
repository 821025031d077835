"""For a monitor: is the job alive, are the deadlines safe, is the record whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from forge_gdpr import forecast
from forge_gdpr.audit import past
from forge_gdpr.audit.history import closings
from forge_gdpr.audit.rollback import NO_COPIES, compared
from forge_gdpr.audit.verify import examine
from forge_gdpr.errors import AuditBrokenError, ExitCode, gravest
from forge_gdpr.lifecycle import Status
from forge_gdpr.queue import backlog
from forge_gdpr.queue.backlog import Due

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from sqlalchemy import Connection

    from forge_gdpr.audit.rollback import Copies
    from forge_gdpr.audit.verify import Examined
    from forge_gdpr.deadlines import LegalClock

#: A run that ended so has done its night's work.
GOOD: Final = frozenset({ExitCode.OK, ExitCode.NEEDS_REVIEW, ExitCode.DEADLINE_AT_RISK})
_DAY: Final = timedelta(days=1)
#: Requests due within so many days are counted as due soon.
SOON_DAYS: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRun:
    """The newest run that did its night's work."""

    run_id: str
    closed_at: datetime
    pace: int  #: requests a night if some were left; 0: it says nothing of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """How many requests are open, and how they stand against their legal dates."""

    open: int
    review: int
    due_soon: int  #: on one of the next seven days, or today
    overdue: int  #: past their legal date
    at_risk: int  #: past the alarm, or will be before they can be done
    unapproved: int  #: would be due, if somebody had approved them


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What a monitor wants to know."""

    now: datetime
    max_age_h: float
    last_good: LastRun | None
    backlog: Backlog
    record: Examined | None  #: None: it was not read
    recorded_since: datetime | None = None  #: when the record began; None: it has not
    verified_at: datetime | None = None  #: when all of it was; None: it never was, on record
    verified_within_d: float = 8.0
    contradiction: str | None = None  #: how the record is not what was signed

    @property
    def verified_age_d(self) -> float | None:
        """Days since all of the record was verified; None if it never was."""
        return None if self.verified_at is None else (self.now - self.verified_at) / _DAY

    @property
    def is_unverified(self) -> bool:
        """Whether the record was not verified for too long; a young one may wait for the first."""
        since = self.verified_at or self.recorded_since
        return since is not None and (self.now - since) / _DAY > self.verified_within_d

    @property
    def age_h(self) -> float | None:
        """Hours since the last good run closed; None if there was none."""
        if self.last_good is None:
            return None
        return (self.now - self.last_good.closed_at) / timedelta(hours=1)

    @property
    def exit_code(self) -> ExitCode:
        """The gravest of what is wrong."""
        broken = self.record is not None and bool(self.record.broken)
        broken = broken or self.contradiction is not None
        alive = self.age_h is not None and self.age_h <= self.max_age_h
        found = {
            ExitCode.AUDIT_BROKEN: broken,
            ExitCode.STALE: not alive or self.is_unverified,
            ExitCode.DEADLINE_AT_RISK: self.backlog.at_risk > 0 or self.backlog.overdue > 0,
            ExitCode.NEEDS_REVIEW: self.backlog.review > 0,
        }
        return gravest(code for code, is_so in found.items() if is_so)

    @property
    def line(self) -> str:
        """All of it in one line, the exit code's name first."""
        age = "no good run yet" if self.age_h is None else f"last good run {self.age_h:.1f} h ago"
        counts = self.backlog
        unapproved = f", {counts.unapproved} waiting for approval" if counts.unapproved else ""
        return (
            f"{self.exit_code.name}: {age} (at most {self.max_age_h:g} h);"
            f" {counts.open} open, {counts.due_soon} due within {SOON_DAYS} days,"
            f" {counts.overdue} overdue, {counts.at_risk} at risk,"
            f" {counts.review} in review{unapproved}; {self._record}, {self._verified}"
        )

    @property
    def _verified(self) -> str:
        age_d = self.verified_age_d
        said = "never verified" if age_d is None else f"all of it verified {age_d:.1f} d ago"
        if self.is_unverified:
            return f"{said} (at most {self.verified_within_d:g} d): run 'forge-gdpr audit verify'"
        return said

    @property
    def _record(self) -> str:
        if self.contradiction is not None:
            return self.contradiction
        if self.record is None:
            return "record not read"
        if self.record.broken:
            return f"{len(self.record.broken)} broken chains: run 'forge-gdpr audit verify'"
        return f"record whole, {self.record.events} events"

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        last, age_d = self.last_good, self.verified_age_d
        return {
            "exit_code": int(self.exit_code),
            "state": self.exit_code.name,
            "last_good_run": None if last is None else last.run_id,
            "last_good_run_closed_at": None if last is None else last.closed_at.isoformat(),
            "last_good_run_age_h": None if self.age_h is None else round(self.age_h, 2),
            "max_age_h": self.max_age_h,
            "open": self.backlog.open,
            "due_within_7_days": self.backlog.due_soon,
            "overdue": self.backlog.overdue,
            "at_risk": self.backlog.at_risk,
            "review": self.backlog.review,
            "waiting_for_approval": self.backlog.unapproved,
            "broken_chains": None if self.record is None else len(self.record.broken),
            "contradiction": self.contradiction,
            "events": None if self.record is None else self.record.events,
            "events_read": None if self.record is None else self.record.read,
            "verified_at": None if self.verified_at is None else self.verified_at.isoformat(),
            "verified_age_d": None if age_d is None else round(age_d, 2),
            "verified_within_d": self.verified_within_d,
        }


def health(
    connection: Connection,
    *,
    now: datetime,
    legal: LegalClock,
    max_age_h: float,
    verified_within_d: float = 8.0,
    read_record: bool = True,
    cool_off_days: int = 0,
    approved_only: bool = False,
    copies: Copies = NO_COPIES,
) -> Health:
    """Return how the job stands; all figures are of one moment.

    Args:
        connection: in a reading transaction.
        now: the database's clock.
        legal: for the controller's day, and the dates of requests that no run has seen.
        max_age_h: the last good run is no older than this.
        verified_within_d: all of the record was verified in the last so many days.
        read_record: whether every event is verified (some 100,000 a second) that came after the
            last time that all were.
        cool_off_days: a request is not due for so long after receipt.
        approved_only: whether a request is due only once somebody has approved it.
        copies: the checkpoints that were kept, as they were before this transaction.

    Raises:
        ConfigurationError: they can't be read, or not be checked.
    """
    # What is counted here does not depend on the person, whom the auditor may not read.
    due = Due(now=now, cool_off_days=cool_off_days, approved_only=approved_only, reads_people=False)
    last = last_good(closings(connection))
    verified = past.newest(connection)
    record = examine(connection, since=verified) if read_record else None
    return Health(
        now=now,
        max_age_h=max_age_h,
        last_good=last,
        backlog=_backlog(connection, legal, due, pace=0 if last is None else last.pace),
        record=record,
        recorded_since=past.first_at(connection),
        verified_at=None if verified is None else verified.at,
        verified_within_d=verified_within_d,
        contradiction=(
            None if record is not None and record.broken else _contradiction(connection, copies)
        ),
    )


def _contradiction(connection: Connection, copies: Copies) -> str | None:
    try:
        _, rupture = compared(connection, copies)
    except AuditBrokenError:
        return "the record is not what its own checkpoint covers: run 'forge-gdpr audit verify'"
    return None if rupture is None else f"{rupture.why} (README, After a restore)"


def last_good(closed: Iterable[dict[str, Any]]) -> LastRun | None:
    """Return the first good run among the bodies of closings."""
    for body in closed:
        if body.get("exit_code") in GOOD:
            return LastRun(
                run_id=body["run_id"],
                closed_at=datetime.fromisoformat(body["at"]),
                pace=body.get("pace", 0),
            )
    return None


def _backlog(connection: Connection, legal: LegalClock, due: Due, *, pace: int) -> Backlog:
    today = legal.day_of(due.now)
    groups = backlog.groups(connection, due)
    dated = [(group.due_on, group.count) for group in groups if group.due_on is not None]
    undated = [
        (legal.due_on(one.regime, one.received_at), one.count) for one in backlog.unseen(connection)
    ]
    waiting = backlog.waiting(connection, today=today)
    missed = forecast.missed(waiting, per_night=pace, today=today) if pace else 0
    every = [*dated, *undated]
    overdue = _count(every, before=today)
    late = backlog.deadlines(connection, today=today).at_risk + _count(undated, before=today)
    return Backlog(
        open=sum(group.count for group in groups),
        review=sum(group.count for group in groups if group.fate == Status.REVIEW),
        due_soon=_count(every, before=today + timedelta(days=SOON_DAYS + 1)) - overdue,
        overdue=overdue,
        at_risk=late + missed,
        unapproved=sum(group.count for group in groups if group.fate == "not_approved"),
    )


def _count(dated: Iterable[tuple[date, int]], *, before: date) -> int:
    return sum(count for due_on, count in dated if due_on < before)
