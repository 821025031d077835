"""The canary: a few deletions, one by one, before the workers start. Decides only; does no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from forge_gdpr.answers import REFUSALS, Verdict

if TYPE_CHECKING:
    from forge_gdpr.forge.erasure import Erasure


@dataclass(slots=True)
class Canary:
    """Counts until so many deletions have succeeded, or as many have failed.

    A single failure does not stop the night: else one poisonous request at the front of the
    queue would stop every night. It judges only what Forge really answered: an outage is not its
    business, and an absence succeeds only when it has been shown.
    """

    wanted: int
    succeeded: int = 0
    failed: int = 0
    unanswered: int = 0  #: attempts that no HTTP answer came to, before the first that had one

    @property
    def is_over(self) -> bool:
        """Whether the workers may start."""
        return self.succeeded >= self.wanted

    @property
    def has_failed(self) -> bool:
        """Whether as many have failed as should have succeeded."""
        return not self.is_over and self.failed >= self.wanted

    @property
    def is_alone(self) -> bool:
        """Whether nobody at all answers there: no further request is tried."""
        return not self.is_over and self.unanswered >= self.wanted

    def note(self, erasure: Erasure) -> None:
        """Count what one deletion showed."""
        if erasure.verdict in {Verdict.ERASED, Verdict.ACCEPTED}:
            self.succeeded += 1
        elif erasure.verdict in REFUSALS:
            self.failed += 1
        if erasure.http_status is not None:
            self.unanswered = 0
        elif erasure.verdict is Verdict.TRANSIENT:
            self.unanswered += 1

    def note_looks(self, absent: int, present: int) -> None:
        """Count people whom Forge called absent, when it was looked again."""
        self.succeeded += absent
        self.failed += present
