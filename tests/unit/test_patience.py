"""How long a run waits for a database that is gone."""

import pytest
from builders import Hands

from forge_gdpr.errors import DatabaseAwayError
from forge_gdpr.forge.gate import Gate, Halt, HaltedError, Pace
from forge_gdpr.run.patience import Patience, next_wait_s

GONE = DatabaseAwayError("gone")


@pytest.mark.parametrize(
    ("failures", "wait_s"),
    [(1, 0.1), (2, 0.2), (3, 0.4), (6, 3.2), (7, 5.0), (1000, 5.0)],
)
def test_the_waits_grow_to_a_limit(failures: int, wait_s: float) -> None:
    assert next_wait_s(failures) == pytest.approx(wait_s)


class Ticking(Hands):
    """A clock that goes on by a second each time it is read."""

    def __call__(self) -> float:
        self.s += 1
        return self.s


def test_patience_has_an_end_and_nobody_is_called_afterwards() -> None:
    gate = Gate(Pace(), monotonic=Hands())
    patience = Patience(gate, most_s=10.0, monotonic=Ticking(), is_stopped=lambda: False)
    with pytest.raises(DatabaseAwayError, match="gone"):
        for _ in range(100):
            patience.sit_out(GONE)
    assert gate.halt_reason is Halt.DATABASE
    with pytest.raises(HaltedError):
        gate.turn()


def test_each_outage_has_a_patience_of_its_own() -> None:
    gate = Gate(Pace(), monotonic=Hands())
    patience = Patience(gate, most_s=10.0, monotonic=Ticking(), is_stopped=lambda: False)
    for _ in range(20):
        patience.sit_out(GONE)
        patience.end()
    gate.turn()
    assert not gate.halted


def test_without_patience_the_first_failure_is_the_last() -> None:
    gate = Gate(Pace(), monotonic=Hands())
    patience = Patience(gate, most_s=0.0, monotonic=Hands(), is_stopped=lambda: False)
    with pytest.raises(DatabaseAwayError):
        patience.sit_out(GONE)


def test_who_is_asked_to_stop_waits_no_longer() -> None:
    gate = Gate(Pace(), monotonic=Hands())
    patience = Patience(gate, most_s=1e9, monotonic=Hands(), is_stopped=lambda: True)
    with pytest.raises(DatabaseAwayError):
        patience.sit_out(GONE)
