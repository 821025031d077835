"""How long, and in how much memory, `report` reads a million closed requests on SQLite.

    python tests/benchmarks/report.py [requests] [directory]

Each closed request has four events, written the real way. The file is kept and used again.
"""

from __future__ import annotations

import logging
import resource
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from forge_gdpr.audit.events import Ended, Entry, EventName
from forge_gdpr.audit.record import append, head_of
from forge_gdpr.chain import written_time
from forge_gdpr.database.engine import engine_of, reading, writing
from forge_gdpr.database.schema import upgrade
from forge_gdpr.reports.figures import figures

if TYPE_CHECKING:
    from forge_gdpr.chain import Json

CHAIN = "019a0000-0000-7000-8000-000000000000"
FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
PAGE = 5000


def life(number: int, received_at: datetime) -> list[Entry]:
    """Return what a run records of a request that it erases at once."""
    subject = f"v1:01234567:{number:064x}"
    facts: dict[str, Json] = {
        "reference": f"T-{number}",
        "regime": "gdpr",
        "received_at": written_time(received_at),
        "due_on": (received_at.date() + timedelta(days=30)).isoformat(),
    }
    finished: dict[str, Json] = {
        "ended": Ended.ANSWERED.value,
        "status": "done",
        "reached": True,
        "tries": 1,
        "steps": [{"name": "account", "http_status": 200, "tries": 1}],
    }
    told: tuple[tuple[EventName, dict[str, Json], str | None], ...] = (
        (EventName.REQUEST_ADMITTED, facts | {"status": "pending"}, None),
        (EventName.ATTEMPT_STARTED, {}, None),
        (EventName.ATTEMPT_FINISHED, finished, "erased"),
        (EventName.REQUEST_CLOSED, facts | {"attempts": 1}, "erased"),
    )
    return [
        Entry(
            event=event,
            run_id=CHAIN,
            request_id=number,
            subject=subject,
            outcome=outcome,
            details=details,
        )
        for event, details, outcome in told
    ]


def fill(url: str, requests: int) -> None:
    """Write the record of ``requests`` closed requests, unless it is there."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    engine = engine_of(url, create=True)
    upgrade(engine)
    with reading(engine) as connection:
        head = head_of(connection, CHAIN)
    for start in range(head.seq // 4 + 1, requests + 1, PAGE):
        entries: list[Entry] = []
        closed_at = FIRST_DAY + timedelta(seconds=start * 8)
        for number in range(start, min(start + PAGE, requests + 1)):
            received_at = closed_at - timedelta(hours=number % 1000)
            entries += life(number, received_at)
        with writing(engine) as connection:
            head = append(connection, head, entries, at=closed_at)
    engine.dispose()


def main() -> None:
    """Fill the database if need be, then take the figures three times."""
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    folder = sys.argv[2] if len(sys.argv) > 2 else tempfile.gettempdir()
    url = f"sqlite:///{Path(folder) / f'forge-gdpr-report-{requests}.db'}"
    fill(url, requests)
    engine = engine_of(url)
    for _ in range(3):
        before_s = time.perf_counter()
        with reading(engine) as connection:
            taken = figures(
                connection,
                since=date(2025, 1, 1),
                until=date(2026, 12, 31),
                today=date(2026, 12, 31),
            )
        taken_s = time.perf_counter() - before_s
        print(f"{taken.received} requests: {taken_s:.2f} s, {peak_mb():.0f} MB")  # noqa: T201


def peak_mb() -> float:
    """Return the most memory that the process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
