"""Run ids: UUIDs that sort by time. Decides only; does no I/O."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Final

RANDOM_BYTES: Final = 10
_FORM: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def uuid7(*, now: datetime, random: bytes) -> str:
    """Return a UUIDv7 (RFC 9562 §5.7) as text; ``uuid.uuid7`` comes with Python 3.14.

    Args:
        now: aware; its milliseconds are the first 48 bits.
        random: 10 bytes, of which 74 bits are kept.
    """
    milliseconds = (now - _EPOCH) // timedelta(milliseconds=1)
    value = milliseconds << 80 | int.from_bytes(random[:RANDOM_BYTES])
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def is_run_id(text: str) -> bool:
    """Say whether a text has the form of a run's id."""
    return _FORM.fullmatch(text) is not None
