"""When reading the record fails: is the record itself to blame?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forge_gdpr.audit import stored
from forge_gdpr.audit.verify import verify
from forge_gdpr.database import soundness
from forge_gdpr.database.engine import reading
from forge_gdpr.database.schema import require_current
from forge_gdpr.errors import (
    AuditBrokenError,
    DatabaseAwayError,
    DatabaseError,
    ForgeGdprError,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine


def blamed(engine: Engine, error: Exception) -> AuditBrokenError | None:
    """Return what is wrong with the record, if that may be why something failed.

    Whoever reads it takes for granted that it is as it was written; what it fails on otherwise may
    be anything. So the record is verified only then, and only what is found there is blamed.

    Args:
        engine: of the database that was read.
        error: that ended a command; one that speaks of something else is not looked into.
    """
    is_ours = isinstance(error, ForgeGdprError) and not isinstance(error, DatabaseError)
    if is_ours or isinstance(error, (DatabaseAwayError, OSError)):
        return None
    try:
        with reading(engine) as connection:
            require_current(connection)
            verify(connection)
    except AuditBrokenError as broken:
        return broken
    except ForgeGdprError:  # it can't be read at all, or is another version's
        pass
    return None


def require_readable(connection: Connection) -> None:
    """Refuse a record with an event that a query would leave out, or that is no table of ours.

    Raises:
        AuditBrokenError: it has one; names the first fault that there is.
    """
    if soundness.form_fault(connection) is not None or stored.has_unreadable(connection):
        verify(connection)
