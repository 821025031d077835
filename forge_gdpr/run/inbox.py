"""Answers on their way from the workers to the record, written many at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from forge_gdpr.answers import Verdict
from forge_gdpr.forge.erasure import Erasure
from forge_gdpr.forge.gate import Gate, Halt
from forge_gdpr.run.recorder import Attempt, Recorder

if TYPE_CHECKING:
    from forge_gdpr.queue.claims import Claimed

#: Answers are written when so many wait, or the oldest has waited so long.
GROUP: Final = 200
GROUP_WAIT_S: Final = 0.2


class Inbox:
    """Answers that wait to be written. Main thread only.

    A failed attempt is suspect until Forge has shown that it works: is the fault the request's,
    or that of the whole?
    """

    def __init__(self, recorder: Recorder, gate: Gate) -> None:
        """Start empty."""
        self._recorder = recorder
        self._gate = gate
        self._waiting: list[Attempt] = []
        self._suspects: list[Attempt] = []
        self._oldest_s = 0.0

    def put(self, claimed: Claimed, erasure: Erasure) -> None:
        """Take an answer: to be written, or suspect for now."""
        self._recorder.tally.calls += erasure.tries
        attempt = Attempt(claimed=claimed, result=erasure)
        if erasure.verdict is Verdict.TRANSIENT:
            self._suspects.append(attempt)
            return
        if erasure.verdict not in {None, Verdict.KEY_REFUSED}:
            self._waiting += self._suspects
            self._suspects = []
        if not self._waiting:
            self._oldest_s = self._recorder.clock.elapsed_s()
        self._waiting.append(attempt)

    def write_if_due(self, *, idle: bool) -> None:
        """Write a group if it is large or old enough, or there is nothing else to do."""
        waited_s = self._recorder.clock.elapsed_s() - self._oldest_s
        if self._waiting and (len(self._waiting) >= GROUP or waited_s >= GROUP_WAIT_S or idle):
            self._write()

    def close(self) -> None:
        """Say whose fault the last failures were, and write all that is left."""
        if self._suspects and not (self._gate.has_answered or any(map(_reached, self._suspects))):
            self._gate.halt(Halt.UNREACHABLE)
        whole = self._gate.halt_reason not in {None, Halt.SIGNAL}
        self._waiting += [
            Attempt(claimed=s.claimed, result=s.result, counts=not whole) for s in self._suspects
        ]
        self._suspects = []
        self._write()

    def _write(self) -> None:
        self._recorder.record(self._waiting)
        self._waiting = []


def _reached(attempt: Attempt) -> bool:
    """Say whether any of an attempt's tries got through to Forge."""
    return isinstance(attempt.result, Erasure) and attempt.result.reached
