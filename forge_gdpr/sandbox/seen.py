"""The log of what the sandbox saw. Values and a list; no I/O."""

from dataclasses import dataclass, replace
from datetime import datetime

from forge_gdpr.sandbox.faults import FaultKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One request that arrived."""

    number: int  #: 1, 2, 3 ... in order of arrival
    at: datetime  #: of its arrival; aware, UTC
    method: str
    target: str  #: as it came over the wire, nothing decoded
    status: int | None  #: of the answer; None while (or if) none was sent whole
    fault: FaultKind | None  #: the fault that struck, if one did
    changed: bool  #: whether a user was created, changed or deleted by it
    user_id: str | None  #: of the user it was about; decoded


class Log:
    """What was seen so far."""

    def __init__(self) -> None:
        self._entries: list[Seen] = []

    def all(self) -> tuple[Seen, ...]:
        """Return every entry, oldest first."""
        return tuple(self._entries)

    def next_number(self) -> int:
        """Return the number of the next entry."""
        return len(self._entries) + 1

    def append(self, seen: Seen) -> None:
        """Add the next entry."""
        self._entries.append(seen)

    def sent(self, number: int, status: int) -> None:
        """Note that entry ``number`` was answered with ``status``."""
        self._entries[number - 1] = replace(self._entries[number - 1], status=status)
