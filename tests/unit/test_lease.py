"""The gate knows how long the lease lasts, and lets nobody through afterwards."""

import pytest
from builders import Hands

from forge_gdpr.forge.gate import Gate, HaltedError, Pace


class LeasedGate(Gate):
    """A gate whose lease ends at second 10; time passes by waiting, and waiting takes none."""

    def __init__(self) -> None:
        self.hands = Hands()
        super().__init__(Pace(), monotonic=self.hands)
        self.lasts_until(10.0)

    def wait(self, seconds: float) -> None:
        self.hands.s += seconds

    def is_shut_at(self, at_s: float) -> bool:
        self.hands.s = at_s
        try:
            self.turn()
        except HaltedError:
            return True
        return False


def test_nobody_gets_through_whose_lease_is_over() -> None:
    gate = LeasedGate()
    gate.work_under(gate.lease)
    assert [gate.is_shut_at(at_s) for at_s in (0.0, 9.5, 10.0, 11.0)] == [False, False, True, True]
    assert not gate.halted


def test_a_lease_that_is_renewed_in_time_goes_on() -> None:
    gate = LeasedGate()
    gate.work_under(gate.lease)
    gate.hands.s = 9.5
    gate.lasts_until(20.0)
    assert [gate.is_shut_at(at_s) for at_s in (19.5, 20.0)] == [False, True]
    assert gate.lease == 0


def test_who_waits_while_the_lease_ends_does_not_get_through() -> None:
    gate = LeasedGate()
    gate.work_under(gate.lease)
    gate.pause(12.0)
    with pytest.raises(HaltedError):
        gate.turn()


def test_a_new_lease_is_not_for_those_who_lost_the_one_before() -> None:
    gate = LeasedGate()
    gate.work_under(gate.lease)
    gate.hands.s = 10.0
    gate.lasts_until(20.0)
    assert gate.is_shut_at(11.0)
    gate.work_under(gate.lease)
    assert not gate.is_shut_at(11.0)


def test_who_only_asks_needs_no_lease() -> None:
    assert not LeasedGate().is_shut_at(11.0)
