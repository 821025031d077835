"""The canary: a few deletions, one by one, before the workers start. Decides only; does no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from forge_gdpr.answers import Verdict

_SUCCESSES: Final = frozenset({Verdict.ERASED, Verdict.ACCEPTED, Verdict.ABSENT})


@dataclass(slots=True)
class Canary:
    """Counts until so many deletions have succeeded, or as many have failed.

    A single failure does not stop the night: else one poisonous request at the front of the
    queue would stop every night.
    """

    wanted: int
    succeeded: int = 0
    failed: int = 0

    @property
    def is_over(self) -> bool:
        """Whether the workers may start."""
        return self.succeeded >= self.wanted

    @property
    def has_failed(self) -> bool:
        """Whether as many have failed as should have succeeded."""
        return not self.is_over and self.failed >= self.wanted

    def note(self, verdict: Verdict | None) -> None:
        """Count what one deletion showed; None is no verdict."""
        if verdict in _SUCCESSES:
            self.succeeded += 1
        elif verdict is not None:
            self.failed += 1
