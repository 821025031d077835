"""When reading the record fails: is the record itself to blame?"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from forge_gdpr.audit.verify import verify
from forge_gdpr.database.engine import reading
from forge_gdpr.errors import DatabaseError, ForgeGdprError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine


@contextmanager
def blaming_the_record(engine: Engine) -> Iterator[None]:
    """Say that the record was changed, if that is why it can't be read.

    Whoever reads it takes for granted that it is as it was written; what it fails on otherwise may
    be anything. So the record is verified only then, and only what is found there is blamed.

    Raises:
        AuditBrokenError: the record does not verify.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, ForgeGdprError) and not isinstance(error, DatabaseError):
            raise
        with reading(engine) as connection:
            verify(connection)
        raise
