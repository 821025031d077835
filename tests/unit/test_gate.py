"""Pace, pauses, the breaker, and the word to stop."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from builders import Hands
from structlog.testing import capture_logs

from forge_gdpr.answers import EQUAL_REFUSALS
from forge_gdpr.forge.gate import Gate, Halt, HaltedError, Pace

if TYPE_CHECKING:
    from collections.abc import Callable

FOUR_A_SECOND = Pace(rate=4.0)
CAUSE = "HTTP 503"
#: What was refused, as `Erasure.refusal` says it.
FORBIDDEN, LOCKED, PAGE = ("forbidden", 403), ("rejected", 423), ("unexpected", 200)
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
    assert (gate.causes, gate.cause(3)) == (Counter(), None)
    assert Pace() == Pace(rate=0.0, breaker=20, equal_refusals=10)


def test_the_halts_have_their_names() -> None:
    assert [halt.value for halt in Halt] == [
        "signal",
        "key_refused",
        "breaker",
        "unreachable",
        "outage",
        "refusals",
        "unseen",
        "unproved",
        "account",
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
        gate.failed(CAUSE)
        gate.failed(CAUSE)
        assert (gate.halted, logs) == (False, [])
        gate.failed(CAUSE)
    assert (gate.halted, gate.halt_reason, logs) == (True, Halt.BREAKER, [OPENED])


def test_a_breaker_of_one_opens_at_once() -> None:
    gate = Gate(Pace(breaker=1), monotonic=Hands())
    with capture_logs() as logs:
        gate.failed(CAUSE)
    assert (gate.halt_reason, logs) == (Halt.BREAKER, [OPENED | {"failures": 1}])


def test_an_answer_ends_the_row_of_failures() -> None:
    gate = Gate(Pace(breaker=3), monotonic=Hands())
    for _ in range(5):
        gate.failed(CAUSE)
        gate.failed(CAUSE)
        gate.answered()
    assert (gate.halted, gate.has_answered) == (False, True)
    gate.failed(CAUSE)
    gate.failed(CAUSE)
    assert not gate.halted
    with capture_logs():
        gate.failed(CAUSE)
    assert gate.halted


def test_a_failure_is_no_answer() -> None:
    gate = Gate(Pace(), monotonic=Hands())
    gate.failed(CAUSE)
    assert not gate.has_answered


def test_the_breaker_is_told_once() -> None:
    gate = Gate(Pace(breaker=3), monotonic=Hands())
    with capture_logs() as logs:
        for _ in range(10):
            gate.failed(CAUSE)
    assert logs == [OPENED]


def test_the_breaker_does_not_change_an_earlier_reason() -> None:
    gate = Gate(Pace(breaker=1), monotonic=Hands())
    gate.halt(Halt.SIGNAL)
    with capture_logs():
        gate.failed(CAUSE)
    assert gate.halt_reason is Halt.SIGNAL


def test_failures_of_all_workers_count_together() -> None:
    gate = Gate(Pace(breaker=100), monotonic=Hands())
    with capture_logs() as logs, ThreadPoolExecutor(8) as workers:
        for failure in [workers.submit(gate.failed, CAUSE) for _ in range(99)]:
            failure.result()
        assert not gate.halted
        workers.submit(gate.failed, CAUSE).result()
    assert gate.halt_reason is Halt.BREAKER
    assert logs == [OPENED | {"failures": 100}]


# A row of equal refusals

Refusal = tuple[str, int | None] | None


@pytest.mark.parametrize(
    ("refusals", "halts"),
    [
        pytest.param([FORBIDDEN] * 2, False, id="one too few"),
        pytest.param([FORBIDDEN] * 3, True, id="a row"),
        pytest.param([None] * 9, False, id="answers that are none"),
        pytest.param([FORBIDDEN, FORBIDDEN, None, FORBIDDEN, FORBIDDEN], False, id="broken"),
        pytest.param([FORBIDDEN, LOCKED] * 5, False, id="in turn"),
        pytest.param([("rejected", 403), FORBIDDEN, FORBIDDEN], False, id="of another kind"),
        pytest.param([("forbidden", 404), FORBIDDEN, FORBIDDEN], False, id="of another status"),
        pytest.param([LOCKED, LOCKED, PAGE, PAGE, PAGE], True, id="after others"),
        pytest.param([None, LOCKED, LOCKED, LOCKED], True, id="after a good answer"),
    ],
)
def test_a_row_of_equal_refusals_halts_the_run(refusals: list[Refusal], halts: bool) -> None:
    gate = Gate(Pace(equal_refusals=3), monotonic=Hands())
    for refusal in refusals:
        gate.judged(refusal)
    assert gate.halt_reason is (Halt.REFUSALS if halts else None)


def test_by_default_the_row_is_as_long_as_is_argued() -> None:
    gate = Gate(Pace(), monotonic=Hands())
    for _ in range(EQUAL_REFUSALS - 1):
        gate.judged(FORBIDDEN)
    assert not gate.halted
    gate.judged(FORBIDDEN)
    assert gate.halt_reason is Halt.REFUSALS


def test_a_failed_try_neither_continues_nor_ends_the_row() -> None:
    gate = Gate(Pace(equal_refusals=2), monotonic=Hands())
    gate.judged(FORBIDDEN)
    gate.failed(CAUSE)
    gate.answered()
    assert not gate.halted
    gate.judged(FORBIDDEN)
    assert gate.halt_reason is Halt.REFUSALS


def test_refusals_of_all_workers_count_together() -> None:
    gate = Gate(Pace(equal_refusals=100), monotonic=Hands())
    with ThreadPoolExecutor(8) as workers:
        for refusal in [workers.submit(gate.judged, FORBIDDEN) for _ in range(99)]:
            refusal.result()
        assert not gate.halted
        workers.submit(gate.judged, FORBIDDEN).result()
    assert gate.halt_reason is Halt.REFUSALS


# Why it stopped, in words


@pytest.mark.parametrize(
    ("refusal", "cause"),
    [
        (FORBIDDEN, "3 calls in a row ended in HTTP 403"),
        (LOCKED, "3 calls in a row ended in HTTP 423"),
        (PAGE, "3 calls in a row ended in HTTP 200"),
        (("logs_not_erased", 200), "3 calls in a row ended in logs_not_erased"),
        (("still_present", 200), "3 calls in a row ended in still_present"),
        (("address_moved", 200), "3 calls in a row ended in address_moved"),
    ],
)
def test_a_row_of_refusals_is_its_own_cause(refusal: Refusal, cause: str) -> None:
    gate = Gate(Pace(equal_refusals=3), monotonic=Hands())
    gate.failed(CAUSE)
    for _ in range(3):
        gate.judged(refusal)
    assert gate.cause(7) == cause


@pytest.mark.parametrize(
    "later",
    [[None], [LOCKED], [FORBIDDEN], [None, FORBIDDEN]],
    ids=["good", "other", "same", "both"],
)
def test_what_was_in_flight_does_not_change_the_cause(later: list[Refusal]) -> None:
    gate = Gate(Pace(equal_refusals=3), monotonic=Hands())
    for refusal in [FORBIDDEN] * 3 + later:
        gate.judged(refusal)
    assert gate.cause(9) == "3 calls in a row ended in HTTP 403"


@pytest.mark.parametrize(
    "halt", [Halt.BREAKER, Halt.UNREACHABLE, Halt.OUTAGE, Halt.CERTIFICATE], ids=str
)
@pytest.mark.parametrize(
    ("causes", "calls", "cause"),
    [
        pytest.param(["HTTP 503"] * 3, 3, "3 of 3 calls: HTTP 503", id="all"),
        pytest.param(["HTTP 503"], 4, "1 of 4 calls: HTTP 503", id="one of four"),
        pytest.param(
            ["HTTP 500", "HTTP 503", "HTTP 503"], 3, "2 of 3 calls: HTTP 503", id="most often"
        ),
        pytest.param(["HTTP 500", "HTTP 503"], 2, "1 of 2 calls: HTTP 500", id="the first"),
        pytest.param(["HTTP 503"] * 4, 0, "4 of 4 calls: HTTP 503", id="more than were counted"),
        pytest.param([], 4, None, id="no failure"),
    ],
)
def test_failures_are_named_once_by_the_most_frequent_cause(
    halt: Halt, causes: list[str], calls: int, cause: str | None
) -> None:
    gate = Gate(Pace(), monotonic=Hands())
    for name in causes:
        gate.failed(name)
    gate.halt(halt)
    assert (gate.cause(calls), gate.causes) == (cause, Counter(causes))


@pytest.mark.parametrize(
    "halt",
    [None, *sorted(set(Halt) - {Halt.BREAKER, Halt.UNREACHABLE, Halt.OUTAGE, Halt.CERTIFICATE})],
    ids=str,
)
def test_what_else_stops_a_run_is_not_explained_by_failures(halt: Halt | None) -> None:
    gate = Gate(Pace(), monotonic=Hands())
    gate.failed(CAUSE)
    gate.judged(FORBIDDEN)
    gate.judged(None)
    if halt is not None:
        gate.halt(halt)
    assert gate.cause(3) is None
