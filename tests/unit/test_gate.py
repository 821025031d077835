"""Pace, pauses, the breaker, and the word to stop."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from builders import Hands
from structlog.testing import capture_logs

from forge_gdpr.forge.gate import Gate, Halt, HaltedError, Pace

if TYPE_CHECKING:
    from collections.abc import Callable

FOUR_A_SECOND = Pace(rate=4.0)
OPENED = {"event": "breaker.opened", "log_level": "warning", "failures": 3}


class QuickGate(Gate):
    """A gate at which time passes only by waiting, and waiting takes none."""

    def __init__(self, pace: Pace, *, at_s: float = 0.0, stands_still: bool = False) -> None:
        self.hands = Hands(at_s)
        self.stands_still = stands_still
        self.waits: list[float] = []
        self.meanwhile: list[Callable[[], None]] = []
        super().__init__(pace, monotonic=self.hands)

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        if self.meanwhile:
            self.meanwhile.pop(0)()
        if not self.stands_still:
            self.hands.s += seconds

    def turn_at(self) -> float:
        self.turn()
        return self.hands.s


def test_a_gate_is_open_and_unproved_at_first() -> None:
    gate = Gate(Pace(), monotonic=Hands())
    assert (gate.halted, gate.halt_reason, gate.has_answered) == (False, None, False)
    assert Pace() == Pace(rate=0.0, breaker=20)


def test_the_halts_have_their_names() -> None:
    assert [halt.value for halt in Halt] == [
        "signal",
        "key_refused",
        "breaker",
        "unreachable",
        "unproved",
        "certificate",
        "directory",
        "canary",
        "database",
    ]


def test_calls_are_spaced_by_the_rate() -> None:
    gate = QuickGate(FOUR_A_SECOND, at_s=8.0)
    assert [gate.turn_at() for _ in range(4)] == [8.0, 8.25, 8.5, 8.75]
    assert gate.waits == [0.0, 0.25, 0.25, 0.25]


def test_an_idle_time_is_not_made_up_for() -> None:
    gate = QuickGate(FOUR_A_SECOND)
    gate.turn()
    gate.hands.s = 10.0
    assert [gate.turn_at() for _ in range(3)] == [10.0, 10.25, 10.5]


def test_a_slow_rate_is_kept_too() -> None:
    gate = QuickGate(Pace(rate=0.5))
    assert [gate.turn_at() for _ in range(3)] == [0.0, 2.0, 4.0]


def test_without_a_rate_nobody_waits() -> None:
    gate = QuickGate(Pace(rate=0.0), at_s=5.0)
    assert [gate.turn_at() for _ in range(3)] == [5.0, 5.0, 5.0]


def test_workers_share_the_rate() -> None:
    gate = QuickGate(FOUR_A_SECOND, stands_still=True)
    with ThreadPoolExecutor(8) as workers:
        for turn in [workers.submit(gate.turn) for _ in range(40)]:
            turn.result()
    assert sorted(gate.waits) == [0.25 * place for place in range(40)]


def test_a_pause_holds_everybody_back() -> None:
    gate = QuickGate(FOUR_A_SECOND, at_s=1.0)
    gate.pause(30.0)
    assert [gate.turn_at() for _ in range(3)] == [31.0, 31.25, 31.5]


def test_a_pause_holds_back_without_a_rate_too() -> None:
    gate = QuickGate(Pace(), at_s=1.0)
    gate.pause(2.0)
    assert [gate.turn_at() for _ in range(2)] == [3.0, 3.0]


def test_a_pause_counts_from_when_it_is_asked_for() -> None:
    gate = QuickGate(Pace())
    gate.hands.s = 7.0
    gate.pause(2.0)
    assert gate.turn_at() == 9.0


@pytest.mark.parametrize("pauses", [(5.0, 2.0), (2.0, 5.0), (5.0, 5.0)])
def test_of_two_pauses_the_longer_counts(pauses: tuple[float, float]) -> None:
    gate = QuickGate(Pace())
    for seconds in pauses:
        gate.pause(seconds)
    assert gate.turn_at() == 5.0


def test_a_pause_that_is_over_holds_nobody_back() -> None:
    gate = QuickGate(Pace())
    gate.pause(5.0)
    gate.hands.s = 6.0
    assert gate.turn_at() == 6.0


def test_who_waits_while_a_pause_comes_waits_for_its_end() -> None:
    gate = QuickGate(FOUR_A_SECOND)
    gate.turn()
    gate.meanwhile = [lambda: gate.pause(3.0)]
    assert gate.turn_at() == 3.0
    assert gate.waits == [0.0, 0.25, 2.75]
    assert gate.turn_at() == 3.25


def test_a_halted_gate_lets_nobody_through() -> None:
    gate = QuickGate(FOUR_A_SECOND)
    gate.halt(Halt.KEY_REFUSED)
    with pytest.raises(HaltedError):
        gate.turn()
    assert gate.waits == []
    assert (gate.halted, gate.halt_reason) == (True, Halt.KEY_REFUSED)


def test_who_waits_while_the_gate_is_halted_does_not_get_through() -> None:
    gate = QuickGate(FOUR_A_SECOND)
    gate.turn()
    gate.meanwhile = [lambda: gate.halt(Halt.SIGNAL)]
    with pytest.raises(HaltedError):
        gate.turn()


def test_a_pause_does_not_keep_anybody_at_a_halted_gate() -> None:
    gate = QuickGate(Pace(), stands_still=True)  # woken early
    gate.pause(5.0)
    gate.meanwhile = [lambda: gate.halt(Halt.SIGNAL)]
    with pytest.raises(HaltedError):
        gate.turn()


def test_the_first_reason_for_a_halt_stays() -> None:
    gate = Gate(Pace(), monotonic=Hands())
    gate.halt(Halt.CERTIFICATE)
    gate.halt(Halt.BREAKER)
    assert gate.halt_reason is Halt.CERTIFICATE


def test_a_halt_wakes_all_who_wait() -> None:
    gate = Gate(Pace(), monotonic=Hands())
    waiting = [threading.Thread(target=gate.wait, args=(60.0,), daemon=True) for _ in range(3)]
    for thread in waiting:
        thread.start()
    waiting[0].join(timeout=0.02)
    assert all(thread.is_alive() for thread in waiting)
    gate.halt(Halt.SIGNAL)
    for thread in waiting:
        thread.join(timeout=10.0)
    assert not any(thread.is_alive() for thread in waiting)


def test_a_wait_ends_by_itself_but_not_before_its_time() -> None:
    gate = Gate(Pace(), monotonic=Hands())
    started_s = time.monotonic()
    gate.wait(0.01)
    assert time.monotonic() - started_s >= 0.009
    assert not gate.halted


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_no_time_is_no_wait(seconds: float) -> None:
    gate = Gate(Pace(), monotonic=Hands())
    gate.wait(seconds)
    assert not gate.halted


def test_so_many_failures_in_a_row_halt_the_run() -> None:
    gate = Gate(Pace(breaker=3), monotonic=Hands())
    with capture_logs() as logs:
        gate.failed()
        gate.failed()
        assert (gate.halted, logs) == (False, [])
        gate.failed()
    assert (gate.halted, gate.halt_reason, logs) == (True, Halt.BREAKER, [OPENED])


def test_a_breaker_of_one_opens_at_once() -> None:
    gate = Gate(Pace(breaker=1), monotonic=Hands())
    with capture_logs() as logs:
        gate.failed()
    assert (gate.halt_reason, logs) == (Halt.BREAKER, [OPENED | {"failures": 1}])


def test_an_answer_ends_the_row_of_failures() -> None:
    gate = Gate(Pace(breaker=3), monotonic=Hands())
    for _ in range(5):
        gate.failed()
        gate.failed()
        gate.answered()
    assert (gate.halted, gate.has_answered) == (False, True)
    gate.failed()
    gate.failed()
    assert not gate.halted
    with capture_logs():
        gate.failed()
    assert gate.halted


def test_a_failure_is_no_answer() -> None:
    gate = Gate(Pace(), monotonic=Hands())
    gate.failed()
    assert not gate.has_answered


def test_the_breaker_is_told_once() -> None:
    gate = Gate(Pace(breaker=3), monotonic=Hands())
    with capture_logs() as logs:
        for _ in range(10):
            gate.failed()
    assert logs == [OPENED]


def test_the_breaker_does_not_change_an_earlier_reason() -> None:
    gate = Gate(Pace(breaker=1), monotonic=Hands())
    gate.halt(Halt.SIGNAL)
    with capture_logs():
        gate.failed()
    assert gate.halt_reason is Halt.SIGNAL


def test_failures_of_all_workers_count_together() -> None:
    gate = Gate(Pace(breaker=100), monotonic=Hands())
    with capture_logs() as logs, ThreadPoolExecutor(8) as workers:
        for failure in [workers.submit(gate.failed) for _ in range(99)]:
            failure.result()
        assert not gate.halted
        workers.submit(gate.failed).result()
    assert gate.halt_reason is Halt.BREAKER
    assert logs == [OPENED | {"failures": 100}]
