"""Writing a run: its chain, its claims and their ends, many in one transaction."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Generic, TypeVar

from sqlalchemy import update

from forge_gdpr.answers import Verdict
from forge_gdpr.audit.events import Ended, Entry, EventName
from forge_gdpr.audit.history import Past, pasts
from forge_gdpr.audit.record import append, append_main, is_recorded
from forge_gdpr.chain import Head, written_time
from forge_gdpr.database.engine import reading, writing
from forge_gdpr.database.tables import runs
from forge_gdpr.errors import DatabaseAwayError, DatabaseError
from forge_gdpr.forge.erasure import Erasure
from forge_gdpr.lifecycle import Event, Outcome, Status, coded
from forge_gdpr.pseudonyms import aliases
from forge_gdpr.queue import claims
from forge_gdpr.queue.admission import shown_regime
from forge_gdpr.references import TICKETS
from forge_gdpr.run.conclusions import Conclusion, conclude, crashed, outcome_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection, Engine

    from forge_gdpr.absence import Absence, Account
    from forge_gdpr.chain import Json
    from forge_gdpr.checkpoints import SigningKey
    from forge_gdpr.deadlines import LegalClock
    from forge_gdpr.forge.gate import Gate
    from forge_gdpr.identity import Settled
    from forge_gdpr.lifecycle import Reason
    from forge_gdpr.pseudonyms import SubjectKey
    from forge_gdpr.queue.claims import Claimed
    from forge_gdpr.references import ReferenceRules
    from forge_gdpr.run.clock import Clock
    from forge_gdpr.run.patience import Patience
    from forge_gdpr.run.summary import Tally

#: A lease is renewed when this share of it is over.
_RENEWAL_SHARE = 0.25

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An attempt that is over: what it showed, or why no call was made."""

    claimed: Claimed
    result: Erasure | Settled
    counts: bool = True
    crashed: bool = False  #: a bug of ours ended it; whether Forge was reached is not known
    later: bool = False  #: if it is given back, this run does not take it again
    by_email: bool = False  #: the request did not name the id: it was found by e-mail
    note: Reason | None = None  #: left on a request that is given back
    absence: Absence | None = None  #: by what it was shown that the person is not at Forge


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a run's writing depends on, beside the database."""

    run_id: str
    actor: str
    subject_key: SubjectKey
    lease_s: float
    max_attempts: int
    legal: LegalClock
    account: Account
    settings_digest: str = ""
    signing_key: SigningKey | None = None
    references: ReferenceRules = TICKETS

    @property
    def keys(self) -> frozenset[SubjectKey]:
        """Every live subject key."""
        return frozenset((*self.account.keys, self.subject_key))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Doubt(Generic[Result]):
    """A transaction of which nobody knows whether it was committed, and what it would mean."""

    newest: Head | None  #: what it appended last: if it is in the record, all of it happened
    head: Head  #: of the run's chain
    tally: Tally
    result: Result


class Recorder:
    """The only writer of a run's chain. Main thread only."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        rules: Rules,
        tally: Tally,
        *,
        gate: Gate | None = None,
        patience: Patience | None = None,
    ) -> None:
        """Start at the beginning of the run's chain.

        Args:
            engine: of the database.
            clock: of the run.
            rules: what the writing depends on.
            tally: is counted up.
            gate: is told how long the lease lasts; its clock is the run's. None: nobody calls.
            patience: with a database that is gone; None: there is none.
        """
        self.engine = engine
        self.clock = clock
        self.rules = rules
        self.tally = tally
        self._gate = gate
        self._patience = patience
        self.head = Head(chain=rules.run_id)
        self.has_forgotten = False  # an address, of a request that was closed
        self._newest: Head | None = None  # what this transaction has appended last
        self._renewed_s = 0.0

    @property
    def leased_until_s(self) -> float:
        """When the lease of all that is claimed ends, by the clock's monotonic seconds."""
        return self.clock.started_s + self._renewed_s + self.rules.lease_s

    def read(self, look: Callable[[Connection], Result]) -> Result:
        """Return what ``look`` sees; if the database is gone, wait for it and look again.

        Raises:
            DatabaseError: the database fails, or stays away.
        """
        while True:
            try:
                with reading(self.engine) as connection:
                    result = look(connection)
            except DatabaseAwayError as error:
                self._sit_out(error)
            else:
                self._go_on()
                return result

    def commit(self, work: Callable[[Connection], Result]) -> Result:
        """Do ``work`` in a transaction; if the database is gone meanwhile, wait and do it again.

        A connection that is lost at COMMIT leaves open whether it has happened. What ``work``
        appended to the record tells: if it is there, nothing is done again.

        Args:
            work: what is done; nothing of it but by the connection it is given, and by this
                recorder, which go back together.

        Raises:
            DatabaseError: as `transaction`, or the database stays away.
        """
        doubt: _Doubt[Result] | None = None
        is_over = was_done = False
        while not (is_over and doubt is not None):
            try:
                with self._transaction(doubt) as connection:
                    was_done = connection is None
                    if connection is not None:
                        doubt = None
                        doubt = self._doubt(work(connection))
                is_over = True
            except DatabaseAwayError as error:
                self._sit_out(error)
        self._go_on()
        if was_done:  # before the connection was lost
            self.head = doubt.head
            self.tally.reset(doubt.tally)
        return doubt.result

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open a transaction in which this run is known to be alive; renew its leases.

        Raises:
            DatabaseError: the database fails, or another run has declared this one dead and
                closed its chain: nothing more may be written.
        """
        with self._transaction(None) as connection:
            if connection is not None:
                yield connection

    def append(self, connection: Connection, entries: Sequence[Entry]) -> None:
        """Append to the run's chain."""
        self.head = append(connection, self.head, entries, at=self.clock.now())
        if entries:
            self._newest = self.head

    def append_main(self, connection: Connection, entries: Sequence[Entry]) -> None:
        """Append to the main chain."""
        self._newest = append_main(connection, entries, at=self.clock.now())

    def renew_if_due(self) -> None:
        """Renew the leases if nothing was written for a while."""
        if self._renewal_is_due():
            self.commit(lambda _connection: None)

    def record(self, attempts: Sequence[Attempt]) -> None:
        """Write what attempts have ended in; all of it, or nothing if the database fails."""
        if attempts:
            self.commit(lambda connection: self.write(connection, attempts))

    def write(self, connection: Connection, attempts: Sequence[Attempt]) -> None:
        """Write what attempts have ended in, in the caller's transaction."""
        telling = {a.claimed.id: a.claimed.subject for a in attempts if a.crashed or _is_absent(a)}
        known = pasts(connection, telling) if telling else {}
        fences = claims.fences(connection, {a.claimed.id for a in attempts})
        entries: list[Entry] = []
        ends: list[claims.End] = []
        for attempt in attempts:
            conclusion = self._concluded(attempt, known)
            # One request may be here twice: this run's own late answer, and its new claim's.
            late = fences.get(attempt.claimed.id) != attempt.claimed.fence
            entries.append(self._finished(attempt, conclusion, late=late))
            if late:
                self.tally.late += 1
                continue
            ends.append(conclusion.end)
            if conclusion.end.status is Status.DONE:
                entries.append(self._closed(attempt, conclusion))
                self.has_forgotten = self.has_forgotten or attempt.claimed.email is not None
            self._count(conclusion)
        claims.finish(connection, ends, now=self.clock.now())
        self.append(connection, entries)

    def started(self, claimed: Claimed) -> Entry:
        """Return the intent to attempt a request; committed before the first byte is sent."""
        return Entry(
            event=EventName.ATTEMPT_STARTED,
            run_id=self.rules.run_id,
            request_id=claimed.id,
            subject=claimed.subject,
            attempt=claimed.attempts + 1,
        )

    def _concluded(self, attempt: Attempt, known: Mapping[int, Past]) -> Conclusion:
        rules, claimed, result = self.rules, attempt.claimed, attempt.result
        if attempt.crashed:
            return crashed(
                claimed,
                crashes=known.get(claimed.id, Past()).crashes + 1,
                now=self.clock.now(),
                opened_at=self.clock.opened_at,
                max_attempts=rules.max_attempts,
            )
        reason, asked_s = None, None
        if isinstance(result, Erasure):
            past = known.get(claimed.id, Past())
            # This attempt is among the unfinished; another one may have reached Forge.
            reached = past.reached or past.unfinished > 1
            outcome = outcome_of(result, reached_before=reached)
            reason = result.reason
            asked_s = result.retry_after_s
        else:
            outcome, reason = result.outcome, result.reason
        return conclude(
            claimed,
            outcome,
            counts=attempt.counts,
            later=attempt.later,
            note=attempt.note,
            now=self.clock.now(),
            opened_at=self.clock.opened_at,
            max_attempts=rules.max_attempts,
            reason=reason,
            retry_after_s=asked_s,
        )

    def _entry(
        self,
        event: EventName,
        attempt: Attempt,
        conclusion: Conclusion,
        details: Mapping[str, Json],
    ) -> Entry:
        result = attempt.result
        return Entry(
            event=event,
            run_id=self.rules.run_id,
            request_id=attempt.claimed.id,
            subject=attempt.claimed.subject,
            actor=self.rules.actor if event is EventName.REQUEST_CLOSED else None,
            outcome=conclusion.outcome,
            attempt=attempt.claimed.attempts + 1,
            http_status=result.http_status if isinstance(result, Erasure) else None,
            details=details,
        )

    def _finished(self, attempt: Attempt, conclusion: Conclusion, *, late: bool) -> Entry:
        details: dict[str, Json] = {
            "ended": conclusion.ended.value,
            "status": conclusion.end.status.value,
        }
        if conclusion.end.reason is not None:
            details["reason"] = coded(str(conclusion.end.reason))
        if late:
            details["late"] = True
        result = attempt.result
        if isinstance(result, Erasure):
            details["reached"] = result.may_have_erased
            details["tries"] = result.tries
            details["steps"] = [
                {"name": step.name, "http_status": step.http_status, "tries": step.tries}
                for step in result.steps
            ]
        return self._entry(EventName.ATTEMPT_FINISHED, attempt, conclusion, details)

    def _closed(self, attempt: Attempt, conclusion: Conclusion) -> Entry:
        claimed = attempt.claimed
        also = aliases(
            self.rules.subject_key,
            claimed.subject,
            user_id=claimed.forge_user_id,
            email=claimed.email,
        )
        details: dict[str, Json] = {
            "reference": self.rules.references.kept(claimed.public_reference),
            "regime": shown_regime(claimed.regime),
            "received_at": written_time(claimed.received_at),
            "due_on": claimed.due_on.isoformat(),
            "attempts": conclusion.end.attempts,
            "closed_on": self.rules.legal.day_of(self.clock.now()).isoformat(),
        }
        if also:
            details["also"] = also
        if isinstance(attempt.result, Erasure):
            details["steps"] = [step.name for step in attempt.result.steps]
        if attempt.absence is not None:
            details["absence"] = attempt.absence.as_json()
        if conclusion.outcome is Outcome.ERASED:
            details["account"] = self.rules.account.fingerprint
            details["named"] = "email" if attempt.by_email else "id"
        return self._entry(EventName.REQUEST_CLOSED, attempt, conclusion, details)

    def _count(self, conclusion: Conclusion) -> None:
        if conclusion.outcome is not None and conclusion.ended is Ended.ANSWERED:
            self.tally.outcomes[conclusion.outcome] += 1
        end = conclusion.end
        self.tally.became[end.status] += 1
        if end.event is Event.GIVEN_BACK:
            self.tally.given_back[end.id] = end.next_attempt_at is not None
        elif end.event in {Event.DEFERRED, Event.LEASE_EXPIRED}:  # the latter: it crashed
            self.tally.put_off += 1

    def _renewal_is_due(self) -> bool:
        since_s = self.clock.elapsed_s() - self._renewed_s
        return since_s >= self.rules.lease_s * _RENEWAL_SHARE

    @contextmanager
    def _transaction(self, doubt: _Doubt[Result] | None) -> Iterator[Connection | None]:
        """Open a transaction; yield None if what is in doubt turns out to be done."""
        head, tally, renewed_s = self.head, self.tally.copy(), self._renewed_s
        self._newest = None
        try:
            with writing(self.engine) as connection:
                # First of all, for it waits until a transaction in doubt is over at the server.
                is_alive = self._renew(connection)
                newest = None if doubt is None else doubt.newest
                is_done = newest is not None and is_recorded(connection, newest)
                _require(is_alive or is_done)
                yield None if is_done else connection
        except BaseException:
            self.head, self._renewed_s = head, renewed_s
            self.tally.reset(tally)
            raise
        if self._gate is not None:
            self._gate.lasts_until(self.leased_until_s)

    def _doubt(self, result: Result) -> _Doubt[Result]:
        tally = self.tally.copy()
        return _Doubt(newest=self._newest, head=self.head, tally=tally, result=result)

    def _renew(self, connection: Connection) -> bool:
        """Renew the lease, and that of the claims if it is due; say whether there is a lease."""
        now_s, now = self.clock.elapsed_s(), self.clock.now()
        expires_at = now + timedelta(seconds=self.rules.lease_s)
        alive = connection.execute(
            update(runs)
            .where(runs.c.id == self.rules.run_id, runs.c.closed_at.is_(None))
            .values(lease_expires_at=expires_at)
        )
        if alive.rowcount == 1 and self._renewal_is_due():
            claims.renew(connection, run_id=self.rules.run_id, expires_at=expires_at)
            self._renewed_s = now_s
        return alive.rowcount == 1

    def _sit_out(self, error: DatabaseAwayError) -> None:
        if self._patience is None:
            raise error
        self._patience.sit_out(error)

    def _go_on(self) -> None:
        if self._patience is not None:
            self._patience.end()


def _require(is_alive: bool) -> None:
    if not is_alive:
        raise DatabaseError(
            "another run took this one for dead, after its lease ran out, and repairs what it left:"
            " nothing more is written; look why this machine stood still"
        )


def _is_absent(attempt: Attempt) -> bool:
    return isinstance(attempt.result, Erasure) and attempt.result.verdict is Verdict.ABSENT
