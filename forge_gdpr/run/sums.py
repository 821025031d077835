"""What became of the requests of one night, as a sum that adds up. Decides only; does no I/O."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The requests that are tonight's, whoever does them, at one moment."""

    due: int = 0
    in_other_runs: int = 0  #: claimed by runs that live
    until: datetime | None = None  #: the last of those claims ends then, if it is not renewed
    waiting: int = 0  #: would be due, and nobody has approved them

    @property
    def total(self) -> int:
        """How many they are."""
        return self.due + self.in_other_runs + self.waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """What became of the requests that a run took in hand itself."""

    done: int = 0
    put_off: int = 0  #: to be tried again another night
    review: int = 0  #: came to need a person
    given_back: int = 0  #: as they were: not their fault
    given_back_later: int = 0  #: of these, so many are not due again before the next run

    @property
    def total(self) -> int:
        """How many they are."""
        return self.done + self.put_off + self.review + self.given_back


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Where each of a night's requests is when the run is over: each in one place."""

    done: int = 0
    put_off: int = 0
    review: int = 0
    given_back: int = 0
    not_begun: int = 0  #: due, and this run did not get to them
    in_other_runs: int = 0
    until: datetime | None = None
    waiting: int = 0
    elsewhere: int = 0  #: another run or the desk has seen to them in the meantime
    came_in: int = 0  #: were not there, or not due, when the run began

    @property
    def total(self) -> int:
        """How many requests the night was about."""
        parts = asdict(self)
        return sum(parts[name] for name in PARTS)

    def as_json(self) -> dict[str, Any]:
        """Return it for machines; `total` is the sum of all but ``came_in``, which is in them."""
        until = None if self.until is None else f"{self.until:%Y-%m-%dT%H:%M:%S}Z"
        return (
            {"total": self.total}
            | {name: getattr(self, name) for name in PARTS}
            | {"in_other_runs_until": until, "came_in": self.came_in}
        )

    @property
    def line(self) -> str:
        """The same for people; what is nought is left out."""
        until = "" if self.until is None else f" until {self.until:%Y-%m-%d %H:%M:%S} UTC at most"
        words = {
            "done": "done",
            "put_off": "put off",
            "review": "needing review",
            "given_back": "given back",
            "not_begun": "not begun",
            "in_other_runs": f"in another run's hands{until}",
            "waiting": "waiting for approval",
            "elsewhere": "seen to by another run or by hand",
        }
        parts = asdict(self)
        told = [f"{parts[name]} {words[name]}" for name in PARTS if parts[name]]
        if not told:
            return "nothing was due"
        noun = "request" if self.total == 1 else "requests"
        late = f" ({self.came_in} came in during the run)" if self.came_in else ""
        return f"{self.total} {noun}{late}: {', '.join(told)}"


#: The parts of the sum, in the order in which they are shown.
PARTS = (
    "done",
    "put_off",
    "review",
    "given_back",
    "not_begun",
    "in_other_runs",
    "waiting",
    "elsewhere",
)


def summed(start: Standing, ends: Ends, end: Standing) -> Sums:
    """Return where the requests are that were tonight's at the start.

    What a run sees at its end is not only its own doing: others claim, a desk holds, applications
    insert. The difference has a name, so that the parts always add up.

    Args:
        start: when the guards had judged, before anything was claimed.
        ends: of what the run claimed.
        end: when it was over; due is whatever would be due still.
    """
    # What was given back is due still, but for what was put off beyond this run.
    not_begun = max(0, end.due - (ends.given_back - ends.given_back_later))
    placed = ends.total + not_begun + end.in_other_runs + end.waiting
    return Sums(
        done=ends.done,
        put_off=ends.put_off,
        review=ends.review,
        given_back=ends.given_back,
        not_begun=not_begun,
        in_other_runs=end.in_other_runs,
        until=end.until if end.in_other_runs else None,
        waiting=end.waiting,
        elsewhere=max(0, start.total - placed),
        came_in=max(0, placed - start.total),
    )
