"""When a run refuses to start. Decides only; does no I/O."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """What a guard says about a backlog."""

    stops: str | None = None  #: why the run must not start, for the operator
    overridden: bool = False  #: the guard would stop it, but for ``--expect``


def max_due(due: int, *, limit: int, expected: int | None) -> Guarded:
    """Judge the whole backlog, counted before any ``--limit`` cuts it.

    Args:
        due: how many requests are due now.
        limit: MAX_DUE, more than which is taken for a mistake upstream.
        expected: ``--expect``, the operator's word for tonight, None if not given. It also
            stops a run that ``limit`` would let through.
    """
    if expected is not None:
        if due > expected:
            return Guarded(
                stops=f"{due} requests are due, but --expect allows {expected}: look at"
                " 'forge-gdpr run --dry-run', then run again with the right number"
            )
        return Guarded(overridden=due > limit)
    if due > limit:
        return Guarded(
            stops=f"{due} requests are due, more than FORGE_GDPR_MAX_DUE={limit} allows:"
            f" if that is right, run once with --expect {due}"
        )
    return Guarded()
