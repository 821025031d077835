"""Answers on their way from the workers to the record, written many at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from forge_gdpr.answers import Verdict
from forge_gdpr.forge.erasure import Erasure
from forge_gdpr.forge.gate import Gate, Halt
from forge_gdpr.run.absences import given_back

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forge_gdpr.run.recorder import Attempt, Recorder

#: Answers are written when so many wait, or the oldest has waited so long.
GROUP: Final = 200
GROUP_WAIT_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Suspect:
    """An answer that may be the whole's fault."""

    attempt: Attempt
    number: int  #: of the answers taken


class Inbox:
    """Answers that wait to be written. Main thread only.

    A failed attempt is suspect until Forge has shown that it works: is the fault the request's,
    or that of the whole? So is a refusal, until Forge has answered something else. Only an
    attempt that began later shows that: several are on their way at once, and what Forge answered
    before it broke may arrive after the first failure.
    """

    def __init__(self, recorder: Recorder, gate: Gate) -> None:
        """Start empty."""
        self._recorder = recorder
        self._gate = gate
        self._waiting: list[Attempt] = []
        self._failures: list[_Suspect] = []
        self._refusals: list[_Suspect] = []  # equal ones, in a row
        self._crashes: list[Attempt] = []  # in a row
        self.taken = 0  #: answers so far; read by the workers, too
        self._oldest_s = 0.0
        self._has_worked = False  # Forge gave an answer about one request that is that one's own

    def put(self, attempt: Attempt, *, began: int) -> None:
        """Take an answer: to be written, or suspect for now.

        Args:
            attempt: what Forge answered.
            began: how many answers had been taken when the attempt began.
        """
        self.taken += 1
        result = attempt.result
        if attempt.crashed:
            self._crashes.append(attempt)
            return
        self.keep(self._crashes)  # not everybody's
        self._crashes = []
        if not isinstance(result, Erasure):
            self.keep([attempt])
        elif result.verdict is Verdict.TRANSIENT:
            self._failures.append(_Suspect(attempt=attempt, number=self.taken))
        elif result.refusal is not None and not attempt.claimed.was_refused:
            self._refuse(attempt, result)
        elif result.verdict in {None, Verdict.KEY_REFUSED} or result.refusal is not None:
            self.keep([attempt])
        else:
            self.keep([*self._cleared(began), attempt])
            self._has_worked = True

    def keep(self, attempts: Sequence[Attempt]) -> None:
        """Take what is beyond suspicion: given back, or judged by another look."""
        if attempts and not self._waiting:
            self._oldest_s = self._recorder.clock.elapsed_s()
        self._waiting += attempts

    @property
    def crashes(self) -> int:
        """How many attempts in a row a bug of ours has ended."""
        return len(self._crashes)

    def forgive_crashes(self) -> None:
        """Give back those that crashed in a row, uncounted: the bug is nobody's own."""
        self.keep([replace(attempt, crashed=False) for attempt in self._crashes])
        self._crashes = []

    @property
    def refusals(self) -> int:
        """How many refusals wait for an answer that is none."""
        return len(self._refusals)

    def write_if_due(self, *, idle: bool) -> None:
        """Write a group if it is large or old enough, or there is nothing else to do."""
        waited_s = self._recorder.clock.elapsed_s() - self._oldest_s
        if self._waiting and (len(self._waiting) >= GROUP or waited_s >= GROUP_WAIT_S or idle):
            self._write()

    def close(self) -> None:
        """Say whose fault the last failures were, and write all that is left."""
        self._settle_refusals()
        failures = [suspect.attempt for suspect in self._failures]
        if failures and not self._has_worked:
            reached = any(map(_was_reached, failures))
            self._gate.halt(Halt.OUTAGE if reached else Halt.UNREACHABLE)
        whole = self._gate.halt_reason not in {None, Halt.SIGNAL}
        outage = self._gate.halt_reason is Halt.OUTAGE
        self.keep(
            [
                replace(attempt, counts=not whole or (outage and _was_put_off(attempt)))
                for attempt in failures
            ]
        )
        self.keep(self._crashes)
        self._failures, self._crashes = [], []
        self._write()

    def _cleared(self, began: int) -> list[Attempt]:
        """Return those whom an attempt clears of suspicion, for it began after their answers."""
        suspects = [*self._failures, *self._refusals]
        self._failures = [suspect for suspect in self._failures if suspect.number > began]
        self._refusals = [suspect for suspect in self._refusals if suspect.number > began]
        return [suspect.attempt for suspect in suspects if suspect.number <= began]

    def _refuse(self, attempt: Attempt, erasure: Erasure) -> None:
        """Take a refusal; another one before it shows that Forge does not refuse everybody so."""
        before = self._refusals[-1].attempt.result if self._refusals else None
        if isinstance(before, Erasure) and before.refusal != erasure.refusal:
            self._settle_refusals()
        self._refusals.append(_Suspect(attempt=attempt, number=self.taken))

    def _settle_refusals(self) -> None:
        refusals = [suspect.attempt for suspect in self._refusals]
        if self._gate.halt_reason is Halt.REFUSALS:
            self.keep([replace(attempt, counts=False) for attempt in refusals])
        elif self._gate.halt_reason is Halt.UNPROVED:
            self.keep([given_back(attempt) for attempt in refusals])
        elif refusals:
            self.keep(refusals)
            self._has_worked = True
        self._refusals = []

    def _write(self) -> None:
        self._recorder.record(self._waiting)
        self._waiting = []


def _was_put_off(attempt: Attempt) -> bool:
    """Say whether Forge itself wants to be asked later: so long the request is put off."""
    result = attempt.result
    return (
        isinstance(result, Erasure)
        and result.http_status == HTTPStatus.TOO_MANY_REQUESTS
        and result.retry_after_s is not None
    )


def _was_reached(attempt: Attempt) -> bool:
    """Say whether any of an attempt's tries got through to Forge."""
    result = attempt.result
    return isinstance(result, Erasure) and (result.reached or result.http_status is not None)
