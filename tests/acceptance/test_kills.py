"""The kill loop: real processes, real SIGKILLs, and a record in which nothing is wrong.

The runs are killed at every enumerated point (before and after each commit and each call) and at
seeded random moments. `history.py` says what must hold afterwards.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final, Self

import pytest
from history import Call, Committed, Event, History, Row, violations
from sqlalchemy import create_engine
from world import KEY, fetch, insert, night

from forge_gdpr.audit.verify import verify
from forge_gdpr.database.engine import reading, writing
from forge_gdpr.sandbox import Fault, FaultKind, Sandbox, User
from forge_gdpr.sandbox.users import derived_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType

    from sqlalchemy import Engine

WORKER: Final = Path(__file__).with_name("kill_worker.py")

#: Kills of one test. With those at every point of a lonely run, `LEAST_POINTS` on each database,
#: they are 300 or more.
KILLS: Final = {"sqlite": 80, "postgresql": 160}
LEAST_POINTS: Final = 30
MANY_KILLS: Final = {"sqlite": 1000, "postgresql": 2000}
#: How many runs live at the same time.
AT_ONCE: Final = {"sqlite": 1, "postgresql": 4}
#: Short, so that who was killed is soon found, but longer than a busy machine lets a run wait.
LEASE_S: Final = 1.0
TIMEOUT_S: Final = 0.4
#: So many requests wait for each run, at least.
WAITING: Final = 8
#: One run in so many is not killed: it does its work, and shows how long a life is.
SPARED: Final = 8
#: And one in so many is not killed but stopped for a while, where others are alive.
STOPPED: Final = 8
#: A run that has something to do passes so many points, at least.
POINTS: Final = 30

FAULTS: Final = tuple(
    Fault(kind=kind, status=status, delay_s=delay_s, probability=often, method="DELETE", count=None)
    for kind, status, delay_s, often in (
        (FaultKind.STATUS, 503, 0.0, 0.15),
        (FaultKind.ANSWER_LOST, None, 0.0, 0.12),
        (FaultKind.STATUS_AFTER, 502, 0.0, 0.08),
        (FaultKind.SLOW, None, 0.03, 0.3),
        (FaultKind.RESET_BEFORE, None, 0.0, 0.05),
    )
)


#: Of the record, as `Event` has them.
COLUMNS: Final = ("event", "run_id", "request_id", "attempt", "outcome", "http_status")


class Witness:
    """The sandbox's clock; each time it is read it notes what is committed at that moment.

    So that "the intent was committed before the call" is a fact of the database's and needs no
    two clocks to agree.
    """

    def __init__(self, database_url: str) -> None:
        self._engine = create_engine(database_url, isolation_level="AUTOCOMMIT")
        self._connection = self._engine.connect()
        self._query = (
            "SELECT coalesce(max(id), 0) || '' FROM audit_events"
            if self._engine.dialect.name == "sqlite"
            else "SELECT pg_current_snapshot()::text"
        )
        self._last = datetime.now(UTC)
        self._noted: dict[datetime, str] = {}

    def __call__(self) -> datetime:
        noted = self._connection.exec_driver_sql(self._query).scalar_one()
        self._last = max(datetime.now(UTC), self._last + timedelta(microseconds=1))
        self._noted[self._last] = noted
        return self._last

    def committed(self, at: datetime) -> Committed:
        """Return what was committed when the clock said ``at``."""
        noted = self._noted[at]
        if self._engine.dialect.name == "sqlite":
            return Committed(below=int(noted) + 1)
        _least, below, running = noted.split(":")
        return Committed(
            below=int(below), but=frozenset(map(int, filter(None, running.split(","))))
        )

    def close(self) -> None:
        self._connection.close()
        self._engine.dispose()


@dataclass(frozen=True, kw_only=True)
class Report:
    """How a run's process ended."""

    tag: str
    code: int
    said: str  #: killed at a point: which; ended well: how many points it passed
    lived_s: float  #: since its first point

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


class Killer:
    """The process that starts runs and kills them. A context manager."""

    def __init__(self, **night: Any) -> None:
        self._night = night
        self.alive = 0

    def __enter__(self) -> Self:
        # Measuring coverage would only slow it: who is killed leaves no data.
        kept = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE")}
        self._process = subprocess.Popen(
            [sys.executable, str(WORKER)],
            env=kept | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate(timeout=30)  # the end of its orders is its end

    def start(
        self, *, kill_at: int | None = None, signals: Sequence[tuple[float, str]] = ()
    ) -> None:
        """Start a run, to be killed at a point, sent signals after so many seconds, or neither."""
        assert self._process.stdin is not None
        order = {"night": self._night, "kill_at": kill_at, "signals": signals}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        self.alive += 1

    def report(self) -> Report:
        """Wait for the end of a run, whichever it is."""
        assert self._process.stdout is not None
        report = Report(**json.loads(self._process.stdout.readline()))
        self.alive -= 1
        return report


@dataclass(kw_only=True)
class Scene:
    """A database, Forge, and those who are to be forgotten."""

    engine: Engine
    sandbox: Sandbox
    witness: Witness
    killer: Killer
    at_once: int = 1  #: so many runs live at the same time
    users: dict[str, int] = field(default_factory=dict)  #: request ids
    by_email: set[int] = field(default_factory=set)  #: those of them with an e-mail alone
    reports: list[Report] = field(default_factory=list)

    @property
    def kills(self) -> int:
        return sum(report.killed for report in self.reports)

    def ask(self) -> None:
        """See to it that enough requests are waiting, with an id, an e-mail or both."""
        due = "SELECT count(*) FROM deletion_requests WHERE status = 'pending'"
        missing = WAITING * self.at_once - fetch(self.engine, due)[0]
        users = [self._user(len(self.users) + n) for n in range(missing)]
        shapes: Sequence[Callable[[User], Mapping[str, str]]] = (
            lambda user: {"forge_user_id": user.id},
            lambda user: {"email": user.email},
            lambda user: {"forge_user_id": user.id},
            lambda user: {"forge_user_id": user.id, "email": user.email},
        )
        rows = [shapes[n % len(shapes)](user) for n, user in enumerate(users, len(self.users))]
        ids = insert(self.engine, *rows)
        self.users |= {user.id: one for user, one in zip(users, ids, strict=True)}
        self.by_email |= {
            one for one, row in zip(ids, rows, strict=True) if "forge_user_id" not in row
        }

    def _user(self, number: int) -> User:
        user = User(
            id=derived_id("user", number), name=f"N {number}", email=f"{number}@example.org"
        )
        self.sandbox.add(user)
        return user

    def take_report(self) -> Report:
        report = self.killer.report()
        self.reports.append(report)
        # Of a run that stood still for a whole lease that is right, and it knows it.
        allowed = {-9, 0} if self.at_once == 1 else {-9, 0, 4}
        assert report.code in allowed, report.said
        return report

    def let_leases_expire(self) -> None:
        """Move them into the past, and what was put off into the present; no run is alive."""
        past = "'2020-01-01 00:00:00.000000'"
        with writing(self.engine) as connection:
            for statement in (
                f"UPDATE runs SET lease_expires_at = {past} WHERE closed_at IS NULL",
                f"UPDATE deletion_requests SET claim_expires_at = {past} WHERE status = 'running'",
                "UPDATE deletion_requests SET next_attempt_at = NULL WHERE status = 'pending'",
            ):
                connection.exec_driver_sql(statement)

    def run_alone(self, kill_at: int | None = None) -> Report:
        self.killer.start(kill_at=kill_at)
        report = self.take_report()
        self.let_leases_expire()
        return report

    def history(self) -> History:
        """Let a last run do what is left, and gather all that is known."""
        self.sandbox.clear()
        self.let_leases_expire()
        night(self.engine, self.sandbox.url)
        sqlite = self.engine.dialect.name == "sqlite"
        transaction = "id" if sqlite else "CAST(xmin AS text)"
        events = fetch(
            self.engine,
            f"SELECT {transaction}, body, {', '.join(COLUMNS)} FROM audit_events ORDER BY id",
        )
        rows = fetch(
            self.engine, "SELECT id, status, status_reason, attempts FROM deletion_requests"
        )
        calls = [
            Call(
                number=seen.number,
                request_id=self.users.get(seen.user_id or ""),
                status=seen.status,
                changed=seen.changed,
                committed=self.witness.committed(seen.at),
            )
            for seen in self.sandbox.seen
            if seen.method == "DELETE"
        ]
        return History(
            asked=frozenset(self.users.values()),
            rows={
                one: Row(
                    status=status, reason=reason, attempts=attempts, by_email=one in self.by_email
                )
                for one, status, reason, attempts in rows
            },
            events=[
                Event(
                    transaction=int(transaction),
                    body=json.loads(body),
                    **dict(zip(COLUMNS, columns, strict=True)),
                )
                for transaction, body, *columns in events
            ],
            calls=calls,
            still_there=frozenset(self.users[user.id] for user in self.sandbox.users),
            ended={report.tag: report.code == 0 for report in self.reports},
            alone=self.at_once == 1,
        )

    def assert_that_all_is_well(self) -> None:
        history = self.history()
        assert violations(history) == []
        with reading(self.engine) as connection:
            verified = verify(connection)
        assert (verified.open_runs, verified.events) == (0, len(history.events))
        outcomes = Counter(
            event.outcome for event in history.events if event.event == "request.closed"
        )
        # The kills were worth something: calls were killed on their way, and work was done.
        assert outcomes["erased"] > 0
        assert any(event.crashed for event in history.events)


@pytest.fixture
def scene(database_url: str, engine: Engine) -> Iterator[Scene]:
    witness = Witness(database_url)
    try:
        with (
            Sandbox(key=KEY, faults=FAULTS, latency_s=0.004, clock=witness) as sandbox,
            Killer(
                database_url=database_url,
                base_url=sandbox.url,
                lease_s=LEASE_S,
                timeout_s=TIMEOUT_S,
                concurrency=2,
                batch=3,
            ) as killer,
        ):
            yield Scene(engine=engine, sandbox=sandbox, witness=witness, killer=killer)
    finally:
        witness.close()


def test_a_run_may_be_killed_before_and_after_every_commit_and_every_call(scene: Scene) -> None:
    for number in count(1):
        scene.ask()
        if not scene.run_alone(kill_at=number).killed:
            break
        scene.run_alone()  # it repairs, and leaves the next one as much to do as this one had
    assert scene.kills >= LEAST_POINTS
    assert {report.said for report in scene.reports if report.killed} == {
        "before commit",
        "after commit",
        "before call",
        "after call",
    }
    scene.assert_that_all_is_well()


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(KILLS, id="briefly"),
        pytest.param(MANY_KILLS, id="for long", marks=pytest.mark.soak),
    ],
)
def test_any_run_may_be_killed_at_any_moment(scene: Scene, kills: Mapping[str, int]) -> None:
    kind = scene.engine.dialect.name
    scene.at_once = AT_ONCE[kind]
    plans = moments(scene, random.Random(20260331))  # noqa: S311  # to be repeated
    while scene.kills < kills[kind]:
        scene.ask()
        scene.killer.start(**next(plans))
        if scene.killer.alive == scene.at_once:
            scene.take_report()
        if scene.killer.alive == 0:
            scene.let_leases_expire()
    while scene.killer.alive:
        scene.take_report()
    scene.assert_that_all_is_well()


def moments(scene: Scene, draw: random.Random) -> Iterator[dict[str, Any]]:
    """Yield what to do to the next run.

    One is spared, the others are killed: half at a random moment, half at the next point. Where
    others are alive meanwhile, one is stopped for longer than its lease, then goes on: it is
    taken for dead, and must not touch what others do in its place.
    """
    number = 0
    for turn in count():
        lives_s = [
            report.lived_s
            for report in scene.reports
            if report.code == 0 and report.lived_s < LEASE_S  # it was not stopped meanwhile
        ]
        if turn % SPARED == 0 or not lives_s:
            yield {}
            continue
        moment_s = draw.uniform(0.0, fmean(lives_s[-SPARED:]))
        if turn % STOPPED == 1 and scene.at_once > 1:
            yield {"signals": [(moment_s, "SIGSTOP"), (moment_s + 1.5 * LEASE_S, "SIGCONT")]}
        elif draw.random() < 0.5:
            yield {"signals": [(moment_s, "SIGKILL")]}
        else:
            number = number % POINTS + 1
            yield {"kill_at": number}
