"""A database that is gone in mid-run: how long a run waits for it, and how it does."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import structlog

from forge_gdpr.forge.gate import Gate, Halt

if TYPE_CHECKING:
    from collections.abc import Callable

    from forge_gdpr.errors import DatabaseAwayError

_FIRST_WAIT_S: Final = 0.1
_LONGEST_WAIT_S: Final = 5.0
#: A signal is seen so soon.
_LOOK_S: Final = 0.25


def next_wait_s(failures: int) -> float:
    """Return how long to wait before the next try, after so many that failed; the first is 1."""
    return min(_FIRST_WAIT_S * 2.0 ** min(failures - 1, 10), _LONGEST_WAIT_S)


class Patience:
    """Sits out an outage of the database. Main thread only.

    Meanwhile nobody is called: what is not recorded could be done twice.
    """

    def __init__(
        self,
        gate: Gate,
        *,
        most_s: float,
        monotonic: Callable[[], float],
        is_stopped: Callable[[], bool],
    ) -> None:
        """Start with a database that is there.

        Args:
            gate: holds the calls.
            most_s: an outage that lasts longer ends the run.
            monotonic: seconds that never go back.
            is_stopped: whether somebody wants the run to end now.
        """
        self._gate = gate
        self._most_s = most_s
        self._monotonic = monotonic
        self._is_stopped = is_stopped
        self._nap = threading.Event()  # nobody sets it: the gate's own wait ends with a halt
        self._since_s = 0.0
        self._failures = 0

    def sit_out(self, error: DatabaseAwayError) -> None:
        """Wait before the next try.

        Raises:
            DatabaseAwayError: ``error``, if patience is over.
        """
        now_s = self._monotonic()
        if not self._failures:
            self._since_s = now_s
            self._gate.hold()
            if self._most_s:
                structlog.get_logger().warning("database.away", why=str(error))
        self._failures += 1
        ends_s = self._since_s + self._most_s
        until_s = min(now_s + next_wait_s(self._failures), ends_s)
        while self._monotonic() < until_s and not self._is_stopped():
            self._nap.wait(min(_LOOK_S, until_s - now_s))
        if self._monotonic() >= ends_s or self._is_stopped():
            self._gate.halt(Halt.DATABASE)  # who is held would wait for ever
            raise error

    def end(self) -> None:
        """Go on: the database has answered."""
        if not self._failures:
            return
        self._failures = 0
        self._gate.release()
        away_s = round(self._monotonic() - self._since_s, 1)
        structlog.get_logger().warning("database.back", away_s=away_s)
