"""A model of queue, leases, clock and answers, driven at random against both databases.

The model is a dict of rows, kept by the rules in the words of the contract; after each step the
table must say the same. Runs are real `Recorder`s on one made-up clock; some fall silent, wake up
after another run has taken over, and go on as if nothing had happened.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select
from world import SUBJECT_KEY, fetch, insert

from forge_gdpr.absence import Account
from forge_gdpr.answers import Verdict
from forge_gdpr.audit.verify import verify
from forge_gdpr.database.engine import reading, writing
from forge_gdpr.database.tables import deletion_requests
from forge_gdpr.deadlines import LegalClock
from forge_gdpr.errors import DatabaseError
from forge_gdpr.forge.erasure import Erasure, Step
from forge_gdpr.queue import claims
from forge_gdpr.run import opening
from forge_gdpr.run.clock import Clock
from forge_gdpr.run.opening import Limits
from forge_gdpr.run.recorder import Attempt, Recorder, Rules
from forge_gdpr.run.summary import Tally
from forge_gdpr.runids import uuid7

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine

    from forge_gdpr.queue.claims import Claimed

ACCOUNT: Final = Account.of([SUBJECT_KEY], base_url="http://127.0.0.1/", api_key="key")
START: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEASE_S: Final = 100.0
MAX_ATTEMPTS: Final = 5
COOL_OFF_DAYS: Final = 1
LIMITS: Final = Limits(max_due=1000, cool_off_days=COOL_OFF_DAYS)

Row = dict[str, Any]
Event = tuple[Any, ...]  # its name, the request, the outcome, the number of the attempt
#: What is compared as it stands, and what is compared as null or not.
COLUMNS: Final = (
    "status",
    "status_reason",
    "attempts",
    "fence",
    "due_on",
    "claimed_by",
    "claim_expires_at",
    "next_attempt_at",
)
PRESENT: Final = ("email", "closed_at", "subject")
NEW: Final[Row] = {
    **dict.fromkeys(COLUMNS),
    "status": "pending",
    "attempts": 0,
    "fence": 0,
    "email": False,
    "closed_at": False,
    "subject": False,
}
FREE: Final[Row] = dict.fromkeys(
    ("status_reason", "claimed_by", "claim_expires_at", "next_attempt_at")
)
FINAL: Final = frozenset({"done", "cancelled", "refused"})
#: What an operator may make of a request.
DECISIONS: Final = {
    "pending": ("held", "refused"),
    "held": ("pending", "cancelled"),
    "review": ("pending", "refused"),
}
TABLES: Final = ("deletion_requests", "audit_events", "runs")
KEEPER: Final = "audit_events_refuse_delete"


@dataclass(frozen=True)
class Answer:
    """What Forge may say, and what the contract makes of it."""

    erasure: Erasure
    outcome: str | None
    status: str
    fair: bool = True  # False: what went wrong is wrong with the whole
    acted: bool = False  # Forge may have deleted the user: a 404 that comes later is our own work

    @property
    def counts(self) -> bool:
        return self.fair and self.outcome not in {None, "key_refused"}


def answer(
    verdict: Verdict | None,
    outcome: str | None,
    status: str,
    *,
    fair: bool = True,
    acted: bool = False,
    http_status: int | None = None,
    tries: int = 0,
    reached: bool = False,
) -> Answer:
    account = Step(name="account", http_status=http_status, tries=tries)
    erasure = Erasure(
        verdict=verdict,
        http_status=http_status,
        tries=tries,
        reached=reached,
        steps=(account,) if tries else (),
    )
    return Answer(erasure, outcome, status, fair, acted or reached)


#: ``absent`` is decided by what was tried before.
ANSWERS: Final = {
    "erased": answer(Verdict.ERASED, "erased", "done", acted=True, http_status=200, tries=1),
    "absent": answer(Verdict.ABSENT, "absent", "done", http_status=404, tries=1),
    "absent at the second try": answer(
        Verdict.ABSENT, "absent", "done", http_status=404, tries=2, reached=True
    ),
    "accepted": answer(
        Verdict.ACCEPTED, "accepted", "pending", acted=True, http_status=202, tries=1
    ),
    "transient": answer(
        Verdict.TRANSIENT, "transient", "pending", http_status=503, tries=4, reached=True
    ),
    "no connection": answer(Verdict.TRANSIENT, "transient", "pending", tries=4),
    "everything fails": answer(Verdict.TRANSIENT, "transient", "pending", fair=False, tries=4),
    "unexpected": answer(Verdict.UNEXPECTED, "unexpected", "review", http_status=302, tries=1),
    "rejected": answer(Verdict.REJECTED, "rejected", "review", http_status=400, tries=1),
    "halted": answer(None, None, "pending"),
    "halted after a try": answer(None, None, "pending", tries=1, reached=True),
    "key refused": answer(Verdict.KEY_REFUSED, "key_refused", "pending", http_status=401, tries=1),
}


@dataclass
class Run:
    """A run as the model knows it, and the real recorder that it drives."""

    recorder: Recorder
    lease: datetime
    renewed_s: float = 0.0
    closed: bool = False  # by itself, or by another run that took it for dead
    silent: bool = False  # it is over: it writes no more
    held: list[Claimed] = field(default_factory=list)
    late: int = 0

    @property
    def id(self) -> str:
        return self.recorder.rules.run_id

    @property
    def clock(self) -> Clock:
        return self.recorder.clock


@dataclass
class Try:
    """One attempt at a request."""

    fence: int
    may_have_reached: bool = True  # until an end says otherwise
    crashed: bool = False


class Nights(RuleBasedStateMachine):
    """Nights that overlap, stall, crash and repair each other."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine
        self.elapsed_s = 0.0
        self.model: dict[int, Row] = {}
        self.before: dict[int, Row] = {}
        self.times: dict[int, tuple[datetime, datetime | None]] = {}  # received, not before
        self.tries: dict[int, list[Try]] = {}
        self.runs: list[Run] = []
        self.record: dict[str, list[Event]] = {}

    @initialize(pending=st.integers(3, 8))
    def start(self, pending: int) -> None:
        """An empty database, some requests, and a run that is at work."""
        with writing(self.engine) as connection:
            emptied(connection)
        for number in range(pending):
            self.a_request_is_inserted(2, None, number % 2 == 0, None, "pending")
        self.a_run_opens(0.0)

    # What applications and operators do.

    @rule(
        days_ago=st.sampled_from((0, 2, 2, 2)),
        cool_until_s=st.sampled_from((None, None, None, 50, 3000)),
        email=st.booleans(),
        due_on=st.sampled_from((None, None, date(2026, 3, 9), date(2026, 3, 8))),
        status=st.sampled_from(("pending",) * 6 + ("Pending", "running")),
    )
    def a_request_is_inserted(
        self,
        days_ago: int,
        cool_until_s: int | None,
        email: bool,
        due_on: date | None,
        status: str,
    ) -> None:
        number = len(self.model)
        received_at, not_before = self.now - timedelta(days=days_ago), None
        row: Row = {
            "forge_user_id": f"{number:024x}",
            "received_at": received_at.isoformat(),
            "status": status,
        }
        if cool_until_s is not None:
            not_before = self.now + timedelta(seconds=cool_until_s)
            row["not_before"] = not_before.isoformat()
        if email:
            row["email"] = f"user{number}@example.org"
        if due_on is not None:
            row["due_on"] = due_on.isoformat()
        (request_id,) = insert(self.engine, row)
        self.model[request_id] = NEW | {"status": status, "email": email, "due_on": due_on}
        self.times[request_id] = (received_at, not_before)
        self.tries[request_id] = []

    @precondition(lambda self: self.decidable())
    @rule(data=st.data())
    def an_operator_decides(self, data: st.DataObject) -> None:
        request_id = data.draw(st.sampled_from(self.decidable()))
        row = self.model[request_id]
        after = data.draw(st.sampled_from(DECISIONS[row["status"]]))
        closing = ", closed_at = updated_at, email = NULL" if after in FINAL else ""
        with writing(self.engine) as connection:
            connection.exec_driver_sql(
                f"UPDATE deletion_requests SET status = '{after}', status_reason = NULL{closing}"
                f" WHERE id = {request_id} AND status = '{row['status']}'"
            )
        row |= {"status": after, "status_reason": None}
        if closing:
            row |= {"closed_at": True, "email": False}

    # Time, by the one clock that all share. Halves are exact, as floats and as microseconds.

    @rule(seconds=st.sampled_from((0.5, 24.5, 25.0, 76.0, LEASE_S, 3600.0, 86400.0)))
    def time_passes(self, seconds: float) -> None:
        self.elapsed_s += seconds

    # What runs do.

    @precondition(lambda self: len(self.working()) < 3)
    @rule(pause_s=st.sampled_from((0.0, 0.0, 0.5, LEASE_S)))
    def a_run_opens(self, pause_s: float) -> None:
        clock = Clock(
            opened_at=self.now, started_s=self.elapsed_s, monotonic=lambda: self.elapsed_s
        )
        rules = Rules(
            legal=LegalClock(),
            run_id=uuid7(now=self.now, random=len(self.runs).to_bytes(10)),
            actor="tester",
            subject_key=SUBJECT_KEY,
            lease_s=LEASE_S,
            max_attempts=MAX_ATTEMPTS,
            account=ACCOUNT,
        )
        opening.open_run(self.engine, clock, rules, LIMITS, version="0")
        recorder = Recorder(self.engine, clock, rules, Tally())
        run = Run(recorder, lease=self.now + timedelta(seconds=LEASE_S))
        self.runs.append(run)
        self.note("main", "run.opened")
        self.elapsed_s += pause_s
        assert self.alive(run, lambda: opening.repair(run.recorder))
        self.repaired(run)
        self.elapsed_s += pause_s
        assert self.alive(run, lambda: opening.admit(run.recorder))
        self.admitted(run)

    @rule(
        data=st.data(),
        most=st.integers(0, 5),
        with_email=st.sampled_from((True, True, False)),
        crashed=st.booleans(),
        answers=st.lists(st.sampled_from(sorted(ANSWERS)), max_size=8),
    )
    def a_run_works(
        self, data: st.DataObject, most: int, with_email: bool, crashed: bool, answers: list[str]
    ) -> None:
        """It claims, and answers arrive: in time, or to claims that it has long lost."""
        if not self.working():
            self.a_run_opens(0.0)
        run = data.draw(st.sampled_from(self.working()))
        if most:
            self.claim(run, most, with_email=with_email, crashed=crashed)
        if answers and run.held and not run.silent:
            group = data.draw(st.permutations(run.held))[: len(answers)]
            self.answer(run, group, [ANSWERS[name] for name in answers[: len(group)]])

    @precondition(lambda self: self.working())
    @rule(data=st.data())
    def leases_are_renewed(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(self.working()))
        if self.renews(run):
            self.alive(run, run.recorder.renew_if_due)
        else:
            run.recorder.renew_if_due()  # writes nothing, so it can't learn that it is dead

    @precondition(lambda self: self.holding())
    @rule(data=st.data())
    def a_run_is_overtaken(self, data: st.DataObject) -> None:
        """It wrote since it renewed its claims, then stood still: they are lost, it is not."""
        run = data.draw(st.sampled_from(self.holding()))
        for pause_s in (25.0, 24.5):  # claims are renewed by the first write, not by the second
            self.elapsed_s += pause_s
            if not self.alive(run, lambda: wrote(run)):
                return
        self.elapsed_s += 76.0
        self.a_run_opens(0.0)

    @precondition(lambda self: self.holding())
    @rule(data=st.data())
    def a_run_crashes(self, data: st.DataObject) -> None:
        """It says no word more; what it holds stays as it is until the leases are over."""
        data.draw(st.sampled_from(self.holding())).silent = True

    @precondition(lambda self: any(not run.held for run in self.working()))
    @rule(data=st.data())
    def a_run_closes(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from([r for r in self.working() if not r.held]))
        if self.alive(run, lambda: opening.close_run(run.recorder, stopped=None, figures={})):
            self.note("main", "run.closed")
        run.closed = run.silent = True

    # What must hold, whatever happened.

    @invariant()
    def the_table_says_what_the_model_says(self) -> None:
        with reading(self.engine) as connection:
            rows = connection.execute(select(deletion_requests)).mappings().all()
        found = {
            row["id"]: {name: row[name] for name in COLUMNS}
            | {name: row[name] is not None for name in PRESENT}
            for row in rows
        }
        assert found == self.model
        for request_id, row in found.items():
            was = self.before.get(request_id, row)
            assert row["fence"] >= was["fence"]
            assert row == was or was["status"] not in FINAL
            assert row["closed_at"] == (row["status"] in FINAL)
            assert row["email"] == (was["email"] and not row["closed_at"])
            assert row["claimed_by"] is None or row["status"] == "running"
        live = [
            one.id
            for run in self.runs
            for one in run.held
            if (found[one.id]["status"], found[one.id]["fence"]) == ("running", one.fence)
        ]
        assert len(live) == len(set(live))
        self.before = found

    def teardown(self) -> None:
        """The record is whole and holds what happened, nothing else; nobody is done twice."""
        with reading(self.engine) as connection:
            assert verify(connection).open_runs == sum(not run.closed for run in self.runs)
        kept: dict[str, list[Event]] = {}
        for chain, *event in fetch(
            self.engine,
            "SELECT chain, event, request_id, outcome, attempt FROM audit_events ORDER BY id",
        ):
            kept.setdefault(chain, []).append(tuple(event))
        assert kept == self.record
        closed = fetch(self.engine, "SELECT request_id FROM deletion_outcomes ORDER BY request_id")
        assert closed == [i for i, row in self.model.items() if row["status"] == "done"]

    # The model.

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.elapsed_s)

    def working(self) -> list[Run]:
        return [run for run in self.runs if not run.silent]

    def holding(self) -> list[Run]:
        return [run for run in self.working() if run.held]

    def decidable(self) -> list[int]:
        return [i for i, row in self.model.items() if row["status"] in DECISIONS]

    def due(self, at: datetime, *, with_email: bool, crashed: bool) -> list[int]:
        found = [
            (row["due_on"], request_id)
            for request_id, row in self.model.items()
            if row["status"] == "pending"
            and row["subject"]
            and (with_email or not row["email"])
            and (row["status_reason"] == "crashed") is crashed
            and (row["next_attempt_at"] or at) <= at
            and (self.times[request_id][1] or at) <= at
            and self.times[request_id][0] + timedelta(days=COOL_OFF_DAYS) <= at
        ]
        return [request_id for _, request_id in sorted(found)]

    def renews(self, run: Run) -> bool:
        return run.clock.elapsed_s() - run.renewed_s >= LEASE_S / 4

    def alive(self, run: Run, write: Callable[[], object]) -> bool:
        """Let a run write. One that was taken for dead is refused, and is over."""
        if run.closed:
            with pytest.raises(DatabaseError, match="took this one for dead"):
                write()
            run.silent = True
            return False
        write()
        run.lease = self.now + timedelta(seconds=LEASE_S)
        if self.renews(run):
            run.renewed_s = run.clock.elapsed_s()
            for row in self.model.values():
                if row["claimed_by"] == run.id:
                    row["claim_expires_at"] = run.lease
        return True

    def claim(self, run: Run, most: int, *, with_email: bool, crashed: bool) -> None:
        due = self.due(run.clock.opened_at, with_email=with_email, crashed=crashed)
        got: list[Claimed] = []

        def write() -> None:
            with run.recorder.transaction() as connection:
                got[:] = claims.claim(
                    connection,
                    run_id=run.id,
                    most=most,
                    due=LIMITS.due(run.clock.opened_at),
                    expires_at=self.now + timedelta(seconds=LEASE_S),
                    now=self.now,
                    with_email=with_email,
                    crashed=crashed,
                )
                run.recorder.append(connection, [run.recorder.started(one) for one in got])

        if not self.alive(run, write):
            return
        assert [one.id for one in got] == due[:most]
        for one in got:
            row = self.model[one.id]
            row |= {
                "status": "running",
                "fence": row["fence"] + 1,
                "claimed_by": run.id,
                "claim_expires_at": self.now + timedelta(seconds=LEASE_S),
            }
            assert (one.fence, one.attempts) == (row["fence"], row["attempts"])
            self.tries[one.id].append(Try(fence=one.fence))
            self.note(run.id, "attempt.started", one.id, attempt=one.attempts + 1)
        run.held += got

    def answer(self, run: Run, group: list[Claimed], answers: list[Answer]) -> None:
        attempts = [
            Attempt(claimed=one, result=given.erasure, counts=given.fair)
            for one, given in zip(group, answers, strict=True)
        ]
        run.held = [one for one in run.held if one not in group]
        if self.alive(run, lambda: run.recorder.record(attempts)):
            for one, given in zip(group, answers, strict=True):
                self.answered(run, one, given)
            assert run.recorder.tally.late == run.late

    def repaired(self, run: Run) -> None:
        for request_id, row in self.model.items():
            expires_at = row["claim_expires_at"]
            alive = any(
                other.id == row["claimed_by"] and not other.closed and other.lease > self.now
                for other in self.runs
            )
            dead = not alive or expires_at is None or expires_at <= self.now
            if row["status"] == "running" and row["subject"] and dead:
                self.crashed(run, request_id, row)
        for other in self.runs:
            if not other.closed and other.lease <= self.now:
                other.closed = True
                self.note("main", "run.closed")

    def admitted(self, run: Run) -> None:
        for request_id, row in self.model.items():
            if row["subject"] or row["status"] in FINAL:
                continue
            received_at, _ = self.times[request_id]
            row |= {
                "subject": True,
                "due_on": row["due_on"] or LegalClock().due_on("gdpr", received_at),
            }
            if row["status"] == "Pending":
                row |= {"status": "review", "status_reason": "unknown_status"}
            self.note(run.id, "request.admitted", request_id)

    def crashed(self, run: Run, request_id: int, row: Row) -> None:
        """Another run finds a claim that has outlived its own."""
        tries = self.tries[request_id]
        if not tries or tries[-1].fence != row["fence"]:
            tries.append(Try(fence=row["fence"]))  # an application wrote "running" itself
        tries[-1].crashed = True
        self.note(run.id, "attempt.finished", request_id, attempt=row["attempts"] + 1)
        row |= FREE | {"status": "pending", "attempts": row["attempts"] + 1}
        row["status_reason"] = "crashed"
        if sum(one.crashed for one in tries) >= claims.MOST_CRASHES:
            row |= {"status": "review", "status_reason": "crashed_repeatedly"}
        elif row["attempts"] >= MAX_ATTEMPTS:
            row |= {"status": "review", "status_reason": "attempts_exhausted"}

    def answered(self, run: Run, one: Claimed, given: Answer) -> None:
        row, tries = self.model[one.id], self.tries[one.id]
        outcome = given.outcome
        if outcome == "absent":
            ours = given.erasure.reached or any(
                t.may_have_reached and (t.crashed or t.fence != one.fence) for t in tries
            )
            outcome = "absent_after_attempt" if ours else "already_absent"
        event = (one.id, outcome, one.attempts + 1)
        self.note(run.id, "attempt.finished", *event)
        for this in tries:
            if this.fence == one.fence and not this.crashed:
                this.may_have_reached = given.acted
        if (row["status"], row["fence"]) != ("running", one.fence):
            run.late += 1  # and nothing changes
            return
        row |= FREE | {"status": given.status}
        if not given.counts:
            # Nobody's fault, and yet a mark: the next run knows that Forge failed here.
            row["status_reason"] = outcome if outcome == "transient" else None
            return
        row["attempts"] += 1
        if given.status == "done":
            row |= {"closed_at": True, "email": False}
            self.note(run.id, "request.closed", *event)
            return
        row["status_reason"] = outcome
        if given.status == "pending" and row["attempts"] >= MAX_ATTEMPTS:
            row |= {"status": "review", "status_reason": "attempts_exhausted"}
        elif outcome == "transient":
            wait = timedelta(minutes=15) * 2 ** (row["attempts"] - 1)
            row["next_attempt_at"] = self.now + min(wait, timedelta(hours=12))
        elif outcome == "accepted":
            later = run.clock.opened_at + timedelta(milliseconds=1)
            row["next_attempt_at"] = max(self.now, later)

    def note(
        self,
        chain: str,
        event: str,
        request_id: int | None = None,
        outcome: str | None = None,
        attempt: int | None = None,
    ) -> None:
        self.record.setdefault(chain, []).append((event, request_id, outcome, attempt))


def wrote(run: Run) -> None:
    with run.recorder.transaction():
        pass


def emptied(connection: Connection) -> None:
    """Empty the tables: the record is append-only, so its keeper has to look away."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        connection.exec_driver_sql(f"TRUNCATE {', '.join(TABLES)}")
        return
    found = connection.exec_driver_sql(f"SELECT sql FROM sqlite_master WHERE name = '{KEEPER}'")
    keeper = found.scalar_one()
    connection.exec_driver_sql(f"DROP TRIGGER {KEEPER}")
    for table in TABLES:
        connection.exec_driver_sql(f"DELETE FROM {table}")
    connection.exec_driver_sql(keeper)


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_an_answer_may_have_erased_as_the_model_says(answer: Answer) -> None:
    """Chance alone tells the story of such an answer and a later 404 too seldom."""
    assert answer.erasure.may_have_erased is answer.acted


def test_every_night_is_as_the_model_says(engine: Engine) -> None:
    def machine() -> Nights:
        return Nights(engine)

    run_state_machine_as_test(
        machine,  # type: ignore[arg-type]  # a factory serves as well as a class
        settings=settings(
            max_examples=40,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
