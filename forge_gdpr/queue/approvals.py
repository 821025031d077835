"""What an approval is for: sealed with the subject key, so it can't be written by hand or moved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import and_, func

from forge_gdpr.chain import canonical
from forge_gdpr.database.tables import deletion_requests
from forge_gdpr.queue.cells import readable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import ColumnElement

    from forge_gdpr.pseudonyms import SubjectKey

_C: Final = deletion_requests.c
_PURPOSE: Final = "approval"
_BLANKS: Final = " \t\r\n"


def approved() -> ColumnElement[bool]:
    """Return the condition that somebody has approved a request. Never null.

    Whether the approval is for what the row says by now, only who has the key can tell: see
    `is_for`, which each claim asks.
    """
    by = func.coalesce(func.trim(_C.approved_by, _BLANKS), "")
    return and_(readable(_C.approved_by), by != "", readable(_C.approval), _C.approval.is_not(None))


def sealed(key: SubjectKey, *, request_id: int, subject: str, approved_by: str) -> str:
    """Return what is written beside the approver's name.

    Args:
        key: the current one.
        request_id: of the request.
        subject: the pseudonym of whom it names: that the row still names them is seen at its claim.
        approved_by: who approves it.
    """
    return key.seal(_PURPOSE, _said(request_id, subject, approved_by))


def is_for(
    keys: Iterable[SubjectKey],
    approval: str | None,
    *,
    request_id: int,
    subject: str,
    approved_by: str | None,
) -> bool:
    """Say whether an approval is for a request as it is.

    Args:
        keys: every live one.
        approval: as it stands in the row.
        request_id: of the request.
        subject: the pseudonym of whom it names.
        approved_by: as it stands in the row.
    """
    said = _said(request_id, subject, approved_by or "")
    return any(key.has_sealed(approval or "", _PURPOSE, said) for key in keys)


def _said(request_id: int, subject: str, approved_by: str) -> str:
    return canonical({"id": request_id, "subject": subject, "by": approved_by})
