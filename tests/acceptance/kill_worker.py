"""A process that starts real runs by fork and kills them with SIGKILL.

A fresh interpreter costs most of a second. This one imports the program once, opens no database,
socket or thread, and forks a process for each run, which costs milliseconds. It reads orders and
writes reports, each a line of JSON. Only it kills, and only its own children that it has not
reaped yet, so a process id can't have become somebody else's.

An order holds the arguments of `_night` as ``night``, and what is done to the run: ``kill_at``,
the number of an enumerated point (before and after each commit and each call) or null, and
``signals``, a list of seconds since the first of these points and a signal's name.
"""

from __future__ import annotations

import gc
import json
import os
import secrets
import selectors
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import event
from world import AT_ONCE, KEY, SUBJECT_KEY, Warm

from forge_gdpr.absence import Account
from forge_gdpr.database.engine import engine_of
from forge_gdpr.errors import DatabaseError
from forge_gdpr.forge.client import ForgeClient
from forge_gdpr.forge.erasure import Eraser, Steps
from forge_gdpr.forge.gate import Gate, Pace
from forge_gdpr.run.nightly import Order, Stop, Surroundings, run
from forge_gdpr.run.opening import Limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection, Engine

#: How a run's process ends that is not killed.
WELL: Final = 0
BUG: Final = 1
TAKEN_FOR_DEAD: Final = 4

#: What a child says at its first point.
_BEGUN: Final = b"."


class _Points:
    """Counts the places where a run can be killed; at number ``kill_at`` it kills."""

    def __init__(self, kill_at: int | None, report_to: int) -> None:
        self._kill_at = kill_at
        self._report_to = report_to
        self._lock = Lock()
        self._committing = False  # the main thread alone writes
        self.passed = 0

    def mark(self, place: str) -> None:
        with self._lock:
            if self.passed == 0:
                os.write(self._report_to, _BEGUN)
            self.passed += 1
            if self.passed == self._kill_at:
                os.write(self._report_to, place.encode())
                os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, engine: Engine) -> None:
        """Mark the commits that write."""
        event.listen(engine, "commit", self._before_commit)
        event.listen(engine, "checkin", self._after_commit)

    def _before_commit(self, connection: Connection) -> None:
        if not connection.get_execution_options().get("forge_gdpr_read_only", False):
            self._committing = True
            self.mark("before commit")

    def _after_commit(self, *_: object) -> None:
        if self._committing:
            self._committing = False
            self.mark("after commit")


class _MarkedGate(Gate):
    """Every try of every call goes through `turn`, and ends in one of the others."""

    def __init__(self, points: _Points) -> None:
        super().__init__(Pace(), monotonic=time.monotonic)
        self._points = points

    def turn(self) -> None:
        super().turn()
        self._points.mark("before call")

    def failed(self, cause: str) -> None:
        self._points.mark("after call")
        super().failed(cause)

    def answered(self) -> None:
        self._points.mark("after call")
        super().answered()


def _night(
    points: _Points,
    *,
    tag: str,
    database_url: str,
    base_url: str,
    lease_s: float,
    timeout_s: float,
    concurrency: int,
    batch: int,
) -> None:
    """Carry out one real run; ``tag`` becomes the end of its id."""
    engine = engine_of(database_url)
    points.watch(engine)
    gate = _MarkedGate(points)
    order = Order(
        actor="tester",
        version="0",
        subject_key=SUBJECT_KEY,
        limits=Limits(max_due=1_000_000, cool_off_days=0),
        concurrency=concurrency,
        batch=batch,
        lease_s=lease_s,
        max_attempts=1000,
        account=Account.of([SUBJECT_KEY], base_url=base_url, api_key=KEY),
    )
    endpoint = Warm(
        base_url=base_url, api_key=KEY, read_timeout_s=timeout_s, total_timeout_s=timeout_s
    )
    with ForgeClient(
        endpoint,
        gate=gate,
        policy=AT_ONCE,
        monotonic=time.monotonic,
        now=lambda: datetime.now(UTC),
        draw=lambda: 0.0,
    ) as client:
        around = Surroundings(
            engine=engine,
            eraser=Eraser(client, Steps()),
            gate=gate,
            stop=Stop(),
            monotonic=time.monotonic,
            random=lambda size: secrets.token_bytes(size - len(tag) // 2) + bytes.fromhex(tag),
        )
        run(order, around)


@dataclass(slots=True)
class _Child:
    tag: str
    pid: int
    pipe: int  #: what it says before it dies; its end is the child's end
    signals: list[tuple[float, str]]  #: what is still to be sent, and when after its beginning
    begun_s: float | None = None  #: by the monotonic clock
    said: bytes = b""

    def send_what_is_due(self, now_s: float) -> float | None:
        """Return the time until the next signal, None if there is none to wait for."""
        if self.begun_s is None:
            return None
        while self.signals:
            after_s, name = self.signals[0]
            if now_s < self.begun_s + after_s:
                return self.begun_s + after_s - now_s
            del self.signals[0]
            os.kill(self.pid, signal.Signals[name])
        return None

    def listen(self) -> bool:
        """Take in what it says; return whether it is dead."""
        heard = os.read(self.pipe, 65536)
        self.said += heard
        if self.begun_s is None:
            self.begun_s = time.monotonic()
        return not heard

    def reap(self) -> dict[str, Any]:
        os.close(self.pipe)
        _, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        return {
            "tag": self.tag,
            "code": code,
            "said": self.said.removeprefix(_BEGUN).decode(),
            "lived_s": time.monotonic() - (self.begun_s or 0.0),
        }


def _begin(order: Mapping[str, Any]) -> _Child:
    tag = secrets.token_hex(6)
    pipe, report_to = os.pipe()
    pid = os.fork()
    if pid == 0:
        _live_and_die(tag, report_to, order)
    os.close(report_to)
    return _Child(tag=tag, pid=pid, pipe=pipe, signals=order["signals"])


def _live_and_die(tag: str, report_to: int, order: Mapping[str, Any]) -> None:
    """Be a run's process. Never returns: what is above on the stack belongs to the parent."""
    code, said = BUG, ""
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1):  # the parent's orders and reports; the log is written to 1
            os.dup2(nothing, stream)
        points = _Points(order["kill_at"], report_to)
        _night(points, tag=tag, **order["night"])
        code, said = WELL, str(points.passed)
    except DatabaseError as error:
        code, said = TAKEN_FOR_DEAD if "for dead" in str(error) else BUG, str(error)
    except BaseException:  # noqa: BLE001  # whatever it is, the parent hears of it
        said = traceback.format_exc()
    finally:
        os.write(report_to, said.encode())
        os._exit(code)


def _serve() -> None:
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin, selectors.EVENT_READ)
    alive: dict[int, _Child] = {}
    orders = b""
    while True:
        for key, _ in selector.select(_send_what_is_due(alive.values())):
            if key.fd in alive:
                if alive[key.fd].listen():
                    selector.unregister(key.fd)
                    sys.stdout.write(json.dumps(alive.pop(key.fd).reap()) + "\n")
                    sys.stdout.flush()
                continue
            read = os.read(key.fd, 65536)
            if not read:  # nobody gives orders any more
                for child in alive.values():
                    os.kill(child.pid, signal.SIGKILL)
                    child.reap()
                return
            *whole, orders = (orders + read).split(b"\n")
            for line in whole:
                child = _begin(json.loads(line))
                alive[child.pipe] = child
                selector.register(child.pipe, selectors.EVENT_READ)


def _send_what_is_due(alive: Iterable[_Child]) -> float | None:
    """Return how long to wait for the next signal to send, None if none is planned."""
    now_s = time.monotonic()
    waits = [child.send_what_is_due(now_s) for child in alive]
    return min((wait_s for wait_s in waits if wait_s is not None), default=None)


if __name__ == "__main__":
    engine_of("postgresql+psycopg://nobody@localhost/none")  # imports the driver; no connection
    gc.freeze()  # else each child's first collection would copy all of it
    _serve()
