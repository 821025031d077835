"""What the calls of one run share: pace, pauses, the breaker, and the word to stop.

Every wait of a worker goes through `Gate.wait`, so one `halt` wakes them all.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable


class Halt(StrEnum):
    """Why no further call is made in this run."""

    SIGNAL = "signal"
    KEY_REFUSED = "key_refused"
    BREAKER = "breaker"
    UNREACHABLE = "unreachable"  #: no call got through
    UNPROVED = "unproved"  #: nothing shows that key, host and path are right
    CERTIFICATE = "certificate"
    DIRECTORY = "directory"  #: the list of users can't be had: who has an e-mail was left
    CANARY = "canary"  #: the first deletions failed
    DATABASE = "database"


class HaltedError(Exception):
    """The gate is closed: no call was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast and how stubbornly a run calls."""

    rate: float = 0.0  #: calls a second over all workers; 0 is no limit
    breaker: int = 20  #: failed tries in a row that stop the run


class Gate:
    """Lets the calls of all workers through, one after the other, until it is halted."""

    def __init__(self, pace: Pace, *, monotonic: Callable[[], float]) -> None:
        """Start open.

        Args:
            pace: rate and breaker.
            monotonic: seconds that never go back.
        """
        self._pace = pace
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._halted = threading.Event()
        self._next_at = self._paused_until = monotonic()
        self._failures = 0
        self.halt_reason: Halt | None = None
        self.has_answered = False  #: Forge gave at least one answer that was no failure

    @property
    def halted(self) -> bool:
        """Whether no further call may be made."""
        return self._halted.is_set()

    def halt(self, reason: Halt) -> None:
        """Let nobody through any more, and wake all who wait. The first reason stays."""
        with self._lock:
            self._close(reason)

    def turn(self) -> None:
        """Wait for the next call's turn.

        Raises:
            HaltedError: the gate is, or was meanwhile, halted.
        """
        interval_s = 1 / self._pace.rate if self._pace.rate else 0.0
        while not self.halted:
            with self._lock:
                now = self._monotonic()
                at = max(now, self._next_at, self._paused_until)
                self._next_at = at + interval_s
            self.wait(at - now)
            if self._monotonic() >= self._paused_until:
                break  # else a pause came while this call waited: it takes a new turn
        if self.halted:
            raise HaltedError

    def wait(self, seconds: float) -> None:
        """Sleep, but not beyond a halt."""
        if seconds > 0:
            self._halted.wait(seconds)

    def pause(self, seconds: float) -> None:
        """Hold all calls back for so long: one 429 speaks to the whole pool."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._monotonic() + seconds)

    def failed(self) -> None:
        """Count a try that got no usable answer; too many in a row halt the run."""
        with self._lock:
            self._failures += 1
            opened = self._failures == self._pace.breaker
            if opened:  # before anybody else takes a turn
                self._close(Halt.BREAKER)
        if opened:
            structlog.get_logger().warning("breaker.opened", failures=self._pace.breaker)

    def answered(self) -> None:
        """Note a usable answer: the row of failures is over."""
        with self._lock:
            self._failures = 0
            self.has_answered = True

    def _close(self, reason: Halt) -> None:
        if self.halt_reason is None:
            self.halt_reason = reason
        self._halted.set()
