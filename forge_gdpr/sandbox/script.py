"""Which fault strikes which request. Pure: random numbers are an argument."""

from collections.abc import Callable, Iterable

from forge_gdpr.sandbox.endpoints import Endpoint
from forge_gdpr.sandbox.faults import Fault


class Script:
    """The faults that are still to strike, in order: the first that strikes a request is the one.

    A fault counts a request (for ``skip``) only if no earlier one has struck it.
    """

    def __init__(self, faults: Iterable[Fault] = (), *, draw: Callable[[], float]) -> None:
        """Take the faults, and ``draw``, which returns a number from 0.0 up to below 1.0.

        ``draw`` is asked only for a fault with a probability below 1, so that adding a certain
        fault to a script doesn't shift the draws of the others.
        """
        self._draw = draw
        self._armed: list[_Armed] = []
        self.extend(faults)

    def extend(self, faults: Iterable[Fault]) -> None:
        """Append faults."""
        self._armed += [_Armed(fault) for fault in faults]

    def clear(self) -> int:
        """Forget all faults; return how many there were."""
        cleared = len(self._armed)
        self._armed.clear()
        return cleared

    def strike(self, *, method: str, path: Endpoint | None, user_id: str | None) -> Fault | None:
        """Return the fault that strikes this request, and count it."""
        for armed in self._armed:
            fault = armed.fault
            if not fault.matches(method=method, path=path, user_id=user_id):
                continue
            if armed.to_skip > 0:
                armed.to_skip -= 1
                continue
            if fault.probability < 1.0 and self._draw() >= fault.probability:
                continue
            if armed.left is not None:
                armed.left -= 1
                if armed.left == 0:
                    self._armed.remove(armed)
            return fault
        return None


class _Armed:
    """A fault with what is left of its counts."""

    __slots__ = ("fault", "left", "to_skip")

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.to_skip = fault.skip
        self.left = fault.count
