"""Figures as JSON: the same numbers as in the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forge_gdpr.reports.figures import DAYS_RULE

if TYPE_CHECKING:
    from forge_gdpr.reports.figures import Figures


def as_json(figures: Figures) -> dict[str, Any]:
    """Return the figures as values that JSON has. Days are UTC, both ends are included."""
    return {
        "since": figures.since.isoformat(),
        "until": figures.until.isoformat(),
        "today": figures.today.isoformat(),
        "received": figures.received,
        "closed": figures.closed,
        "outcomes": dict(figures.outcomes),
        "review": figures.review,
        "held": figures.held,
        "open": figures.open,
        "on_time": figures.on_time,
        "late": figures.late,
        "overdue": figures.overdue,
        "days_to_close": {
            "median": figures.days.median,
            "p95": figures.days.p95,
            "rule": DAYS_RULE,
        },
        "reconciles": figures.reconciles,
        "rule": figures.rule,
        "unseen": figures.unseen,
        "record": {
            "chain": figures.head.chain,
            "seq": figures.head.seq,
            "hash": figures.head.hash,
        },
        "checkpoint": figures.checkpoint,
    }
