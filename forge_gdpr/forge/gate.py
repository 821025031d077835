"""What the calls of one run share: pace, pauses, the breaker, the lease, and the word to stop.

Every wait of a worker goes through `Gate.wait`, so one `halt` wakes them all.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import structlog

from forge_gdpr.answers import EQUAL_REFUSALS, REFUSALS

if TYPE_CHECKING:
    from collections.abc import Callable


class Halt(StrEnum):
    """Why no further call is made in this run."""

    SIGNAL = "signal"
    KEY_REFUSED = "key_refused"
    BREAKER = "breaker"
    UNREACHABLE = "unreachable"  #: no call got through
    OUTAGE = "outage"  #: Forge failed at every call
    REFUSALS = "refusals"  #: Forge gave the same refusal to one after the other
    UNSEEN = "unseen"  #: of some who may be absent nobody could see whether they are
    UNPROVED = "unproved"  #: nothing shows that key, host and path are right
    ACCOUNT = "account"  #: nothing shows that the account is ours, so absence says nothing
    CERTIFICATE = "certificate"
    DIRECTORY = "directory"  #: the list of users can't be had: who has an e-mail was left
    CANARY = "canary"  #: the first deletions failed
    DATABASE = "database"


#: Halts that the causes of failed tries explain.
_FAILURES: Final = frozenset({Halt.BREAKER, Halt.UNREACHABLE, Halt.OUTAGE, Halt.CERTIFICATE})


#: How often a caller who is held looks whether there is still something to wait for.
_LOOK_S: Final = 0.2


class HaltedError(Exception):
    """The gate is closed, or the caller's lease is lost: no call was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast and how stubbornly a run calls."""

    rate: float = 0.0  #: calls a second over all workers; 0 is no limit
    breaker: int = 20  #: failed tries in a row that stop the run
    equal_refusals: int = EQUAL_REFUSALS  #: the same refusal so often in a row stops the run


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
        self._free = threading.Event()
        self._free.set()
        self._next_at = self._paused_until = monotonic()
        self._failures = 0
        self._refusal: tuple[str, int | None] | None = None
        self._refusals = 0
        self._leased_until_s: float | None = None
        self._threads = threading.local()
        self.lease = 0  #: the number of the present lease; a new one follows one that was lost
        self.causes: Counter[str] = Counter()  #: of failed tries, in words
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

    def lasts_until(self, at_s: float) -> None:
        """Let calls through until then, by the monotonic clock, and nobody later.

        What was claimed under a lease that is over may be another run's by now: whoever works
        under it does not get through any more, though there is a new one. Whoever works under
        none, because he only asks, does.
        """
        with self._lock:
            if self._is_over(self.lease):
                self.lease += 1
            self._leased_until_s = at_s

    def work_under(self, lease: int) -> None:
        """Let this thread's calls be made under the lease of this number, and no other."""
        self._threads.lease = lease

    def turn(self) -> None:
        """Wait for the next call's turn.

        Raises:
            HaltedError: the gate is, or was meanwhile, halted, or the lease is lost.
        """
        lease: int | None = getattr(self._threads, "lease", None)
        interval_s = 1 / self._pace.rate if self._pace.rate else 0.0
        while not self._is_shut(lease):
            if not self._free.wait(_LOOK_S):
                continue
            with self._lock:
                now = self._monotonic()
                at = max(now, self._next_at, self._paused_until)
                self._next_at = at + interval_s
            self.wait(at - now)
            if self._monotonic() >= self._paused_until and self._free.is_set():
                break  # else a pause came while this call waited: it takes a new turn
        if self._is_shut(lease):
            raise HaltedError

    def wait(self, seconds: float) -> None:
        """Sleep, but not beyond a halt."""
        if seconds > 0:
            self._halted.wait(seconds)

    def hold(self) -> None:
        """Let nobody through until `release`: what a call answers could not be recorded now."""
        self._free.clear()

    def release(self) -> None:
        """Let calls through again."""
        self._free.set()

    def pause(self, seconds: float) -> None:
        """Hold all calls back for so long: one 429 speaks to the whole pool."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._monotonic() + seconds)

    def failed(self, cause: str) -> None:
        """Count a try that got no usable answer; too many in a row halt the run.

        Args:
            cause: why, in words of our own; it names nobody.
        """
        with self._lock:
            self.causes[cause] += 1
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

    def judged(self, refusal: tuple[str, int | None] | None) -> None:
        """Note what an answer was: a refusal of this kind, or None if it was none.

        A row of equal refusals halts the run: what is refused to everybody is no person's fault.
        """
        with self._lock:
            if self.halted:
                return  # what was in flight changes nothing about why
            self._refusals = self._refusals + 1 if refusal == self._refusal else 1
            self._refusal = refusal
            if refusal is not None and self._refusals == self._pace.equal_refusals:
                self._close(Halt.REFUSALS)

    def cause(self, calls: int) -> str | None:
        """Return in words why the run stopped early, if it is about calls that failed.

        Args:
            calls: how many were made in all.
        """
        with self._lock:
            if self.halt_reason is Halt.REFUSALS and self._refusal is not None:
                name, status = self._refusal
                how = f"HTTP {status}" if name in REFUSALS else name
                return f"{self._refusals} calls in a row ended in {how}"
            if self.halt_reason not in _FAILURES or not self.causes:
                return None
            cause, count = self.causes.most_common(1)[0]
        return f"{count} of {max(calls, count)} calls: {cause}"

    def _is_shut(self, lease: int | None) -> bool:
        return self.halted or (lease is not None and self._is_over(lease))

    def _is_over(self, lease: int) -> bool:
        """Say whether a lease was followed by another one, or nobody renewed it in time."""
        until_s = self._leased_until_s
        return lease != self.lease or (until_s is not None and self._monotonic() >= until_s)

    def _close(self, reason: Halt) -> None:
        if self.halt_reason is None:
            self.halt_reason = reason
        self._halted.set()
