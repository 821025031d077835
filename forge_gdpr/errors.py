"""What the process tells whoever started it: exit codes, and the errors that carry them.

Every message is one line for the person who reads it: what is wrong, with what, what to type
now. None holds an e-mail, a name, a Forge user id or a key.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class ExitCode(IntEnum):
    """What the process tells cron. README.md has the same table; a test compares the two."""

    OK = 0
    BUG = 1  #: never chosen by us
    USAGE = 2  #: click's own code, too
    CONFIGURATION = 3
    DATABASE = 4
    FORGE_UNAVAILABLE = 5
    AUDIT_BROKEN = 6
    KEY_REFUSED = 7
    GUARD_STOPPED = 8
    STALE = 9
    NEEDS_REVIEW = 10
    DEADLINE_AT_RISK = 11


#: One line each, for help texts and README.
MEANINGS: Final[Mapping[ExitCode, str]] = {
    ExitCode.OK: "all that was due is done, or nothing was due",
    ExitCode.BUG: "a bug of ours: Python's own code",
    ExitCode.USAGE: "the command line is wrong, or names what does not exist",
    ExitCode.CONFIGURATION: "a setting is missing or wrong, or the database is not migrated",
    ExitCode.DATABASE: "the database can't be reached or written",
    ExitCode.FORGE_UNAVAILABLE: "Forge can't be reached or answers badly; the rest is untouched",
    ExitCode.AUDIT_BROKEN: "the record doesn't verify",
    ExitCode.KEY_REFUSED: "Forge refuses the API key",
    ExitCode.GUARD_STOPPED: "a safety guard stopped the run before it deleted anybody",
    ExitCode.STALE: "`status`: no good run, or no `audit verify`, is recent enough",
    ExitCode.NEEDS_REVIEW: (
        "finished; in this run a request, or the copy of its checkpoint, came to need a person"
    ),
    ExitCode.DEADLINE_AT_RISK: "finished; at least one open request is late, or will be",
}

#: Where two codes apply, the first of these wins. All codes are in it; those of a command that did
#: not begin its work come last.
_GRAVEST_FIRST: Final = (
    ExitCode.CONFIGURATION,
    ExitCode.DATABASE,
    ExitCode.AUDIT_BROKEN,
    ExitCode.KEY_REFUSED,
    ExitCode.FORGE_UNAVAILABLE,
    ExitCode.GUARD_STOPPED,
    ExitCode.STALE,
    ExitCode.DEADLINE_AT_RISK,
    ExitCode.NEEDS_REVIEW,
    ExitCode.BUG,
    ExitCode.USAGE,
    ExitCode.OK,
)


def gravest(codes: Iterable[ExitCode]) -> ExitCode:
    """Return the code that matters most among ``codes``; OK if there is none."""
    return min(codes, key=_GRAVEST_FIRST.index, default=ExitCode.OK)


class ForgeGdprError(Exception):
    """Base of all errors that are reported to the operator as one line, without a traceback."""

    exit_code: ClassVar[ExitCode]


class NotFoundError(ForgeGdprError):
    """Something that was named on the command line does not exist."""

    exit_code = ExitCode.USAGE


class InvalidInputError(ForgeGdprError):
    """Something that was typed, or stands in a file, is wrong, or can't be done as things are."""

    exit_code = ExitCode.USAGE


class ConfigurationError(ForgeGdprError):
    """A setting is missing or wrong, or the database is not at this program's schema."""

    exit_code = ExitCode.CONFIGURATION


class DatabaseError(ForgeGdprError):
    """The database can't be reached, read or written."""

    exit_code = ExitCode.DATABASE


class DatabaseAwayError(DatabaseError):
    """The connection is lost, or the server lets nobody in, or write: it may come back."""


class ForgeUnavailableError(ForgeGdprError):
    """Forge can't be reached, or its answers can't be trusted."""

    exit_code = ExitCode.FORGE_UNAVAILABLE


class ForgeRejectedError(ForgeGdprError):
    """Forge answered, and refuses this one call."""

    exit_code = ExitCode.USAGE


class AuditBrokenError(ForgeGdprError):
    """The record does not verify, so it can't be relied on."""

    exit_code = ExitCode.AUDIT_BROKEN


class KeyRefusedError(ForgeGdprError):
    """Forge refuses the API key."""

    exit_code = ExitCode.KEY_REFUSED


class GuardStoppedError(ForgeGdprError):
    """A safety guard stopped the run before it deleted anybody."""

    exit_code = ExitCode.GUARD_STOPPED


class InvalidUserIdError(ForgeGdprError):
    """A Forge user id could change the path of a URL, so it is never sent."""

    exit_code = ExitCode.USAGE
