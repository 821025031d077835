"""Which open requests will miss their date at tonight's pace. Decides only; does no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date


def missed(waiting: Mapping[date, int], *, per_night: int, today: date) -> int:
    """Return how many of the waiting requests can't be done by their date.

    They are worked on in the order of their dates, ``per_night`` of them each night; the first
    of these nights is tomorrow's, for tonight's is over.

    Args:
        waiting: how many requests have to be done by each date.
        per_night: how many were done tonight.
        today: the controller's day.
    """
    before = late = 0
    for day, count in sorted(waiting.items()):
        done_by_then = max(0, (day - today).days) * per_night
        in_time = min(count, max(0, done_by_then - before))
        late += count - in_time
        before += count
    return late
