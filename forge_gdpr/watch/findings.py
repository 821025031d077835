"""What a check has found. Decides only; does no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from forge_gdpr.errors import ExitCode, gravest

if TYPE_CHECKING:
    from collections.abc import Iterable


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"  #: a night would still work
    FAILURE = "failure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of `doctor`."""

    name: str
    said: str  #: what was seen; with a failure also what to do
    level: Level = Level.OK
    code: ExitCode = ExitCode.OK  #: of a failure

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {"check": self.name, "level": self.level.value, "said": self.said}


def warning(name: str, said: str) -> Finding:
    """Return what should be seen to, though a night would work."""
    return Finding(name=name, said=said, level=Level.WARNING)


def failure(name: str, said: str, code: ExitCode) -> Finding:
    """Return what would stop a night."""
    return Finding(name=name, said=said, level=Level.FAILURE, code=code)


def worst(findings: Iterable[Finding]) -> ExitCode:
    """Return the exit code of the gravest failure; OK if there is none."""
    return gravest(finding.code for finding in findings)
