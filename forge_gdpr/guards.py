"""When a run refuses to start. Decides only; does no I/O.

Peers cut the queue first and count afterwards, so their guards never fire: here the whole
backlog is judged, before any ``--limit`` cuts it.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

#: So many runs say what is usual; fewer than the second number say nothing yet.
RUNS: Final = 14
FEWEST_RUNS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one night may do; 0 switches a guard off."""

    max_due: int
    max_share: float = 0.0  #: of Forge's users
    spike_factor: float = 0.0  #: times the usual number
    expected: int | None = None  #: ``--expect``: tonight so many are right, whatever guards say


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """What the guards look at."""

    due: int
    users: int | None = None  #: at Forge; None: nobody asked
    earlier: Sequence[int] = ()  #: how many were due in the last runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """What the guards say about a night."""

    stops: str | None = None  #: why the run must not start, for the operator
    overridden: tuple[str, ...] = ()  #: the guards that would stop it, but for ``--expect``


def guarded(night: Night, bounds: Bounds) -> Guarded:
    """Judge a night by all guards. ``--expect`` answers for them, and stops what exceeds it."""
    objections = {
        "max_due": max_due(night, bounds),
        "max_share": max_share(night, bounds),
        "spike": spike(night, bounds),
    }
    raised = {name: said for name, said in objections.items() if said is not None}
    expected = bounds.expected
    if expected is None:
        return Guarded(stops=next(iter(raised.values()), None))
    if night.due > expected:
        return Guarded(
            stops=f"{night.due} requests are due, but --expect allows {expected}: look at"
            " 'forge-gdpr run --dry-run', then run again with the right number"
        )
    return Guarded(overridden=tuple(raised))


def max_due(night: Night, bounds: Bounds) -> str | None:
    """Say why so many are too many; None if they are not."""
    if night.due <= bounds.max_due:
        return None
    return (
        f"{night.due} requests are due, more than FORGE_GDPR_MAX_DUE={bounds.max_due} allows:"
        f" if that is right, run once with --expect {night.due}"
    )


def max_share(night: Night, bounds: Bounds) -> str | None:
    """Say why this is too large a share of all users; None if it is not."""
    if not bounds.max_share or night.users is None:
        return None
    if night.due <= night.users * bounds.max_share:
        return None
    return (
        f"{night.due} requests are due, and Forge has {night.users} users: more than the share"
        f" FORGE_GDPR_MAX_SHARE={bounds.max_share:g} allows: if that is right, run once with"
        f" --expect {night.due}"
    )


def spike(night: Night, bounds: Bounds) -> str | None:
    """Say why this is too many more than usual; None if it is not, or nothing is usual yet."""
    earlier = night.earlier[-RUNS:]
    if not bounds.spike_factor or len(earlier) < FEWEST_RUNS:
        return None
    usual = max(1.0, median(earlier))  # after quiet weeks a single request is no spike
    if night.due <= usual * bounds.spike_factor:
        return None
    return (
        f"{night.due} requests are due, more than FORGE_GDPR_SPIKE_FACTOR={bounds.spike_factor:g}"
        f" times the usual {usual:g} of the last {len(earlier)} runs: if that is right, run once"
        f" with --expect {night.due}"
    )
